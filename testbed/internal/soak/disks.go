package soak

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"dpfpl/testbed/internal/process"
)

// disksName is the process that has the disks, and storeName the folder of the server's streams on its own.
const (
	disksName = "disks"
	storeName = "jetstream"
)

// diskSize is far more than a soak stores on one disk.
const diskSize = 128 << 20

// mount gives the server and every client a small disk of its own, which can be filled up. Where the system does not
// allow that, it says so, and a limit on the size of files must do.
func (s *soaking) mount() {
	var err error
	if s.NoDisks {
		err = errors.New("told to do without")
	} else {
		s.disks, err = s.mountAll()
	}
	if err != nil {
		s.disk = "EFBIG by RLIMIT_FSIZE instead of ENOSPC, because " + err.Error()
		s.Say("WARNING: a full disk is only imitated: " + s.disk)
		return
	}
	s.disk = "ENOSPC, each on a tmpfs of its own"
	s.Say("full disks: " + s.disk)
}

func (s *soaking) mountAll() (*process.Disks, error) {
	own := spec{Name: disksName, Role: disksName, Dir: s.Dir, Disks: process.DisksSpec{Size: diskSize, Folders: []string{s.mountPoint(serverName)}}}
	for i := range s.Clients {
		own.Disks.Folders = append(own.Disks.Folders, s.mountPoint(clientName(i)))
	}
	text, err := json.Marshal(own)
	if err != nil {
		return nil, err
	}
	return process.MountDisks(s.Command(string(text)), own.Disks.Folders, filepath.Join(s.Dir, disksName+".log"))
}

func (s *soaking) mountPoint(name string) string { return filepath.Join(s.Dir, disksName, name) }

// diskOf is where a process stores what must last.
func (s *soaking) diskOf(name string) string {
	if s.disks == nil || strings.HasPrefix(name, "aggregator") { // it stores nothing
		return s.Dir
	}
	return s.disks.Path(s.mountPoint(name))
}

// fetch copies what is on the disks, which end with the soak, to where it would be without them.
func (s *soaking) fetch() (err error) {
	if s.disks == nil {
		return nil
	}
	for name, p := range s.herd.procs {
		if !p.hasDisk() {
			continue
		}
		store := filepath.Join(p.spec.Disk, storeName)
		if name != serverName {
			content, failed := os.ReadFile(p.spec.ledger())
			if failed == nil {
				failed = os.WriteFile(filepath.Join(s.Dir, filepath.Base(p.spec.ledger())), content, 0o600)
			}
			err = errors.Join(err, failed)
		} else if kept := filepath.Join(s.Dir, storeName); os.RemoveAll(kept) == nil {
			err = errors.Join(err, os.CopyFS(kept, os.DirFS(store)))
		}
	}
	return err
}

// count counts the lines of all logs that hold a text.
func (s *soaking) count(text string) (n int) {
	for _, p := range s.herd.procs {
		content, err := os.ReadFile(p.log())
		if err != nil {
			continue // it never wrote a word
		}
		n += strings.Count(string(content), text)
	}
	return n
}
