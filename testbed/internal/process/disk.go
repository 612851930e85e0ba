package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Disks are small file systems in memory, each in a folder of its own, that can be filled up. They are mounted in the
// namespaces of a process that does nothing else, which any user may make where the system allows it, so nothing is
// left of them when that process ends. Everybody else reaches them through that process's root folder.
type Disks struct {
	keeper *Child
	root   string
}

// DisksSpec is what the keeper of disks is told at its start: where to mount what, and how large, in bytes.
type DisksSpec struct {
	Folders []string
	Size    int64
}

// ErrNoDisks means that this system does not let us mount file systems.
var ErrNoDisks = errors.New("process: no small disks can be mounted here")

// MountDisks starts cmd, whose process must call KeepDisks with a spec of these folders, in namespaces of its own, and waits
// for it. What it writes to standard error is appended to the file at log. Error: ErrNoDisks.
func MountDisks(cmd *exec.Cmd, folders []string, log string) (*Disks, error) {
	if err := detach(cmd); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoDisks, err)
	}
	keeper, err := Start(cmd, log)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoDisks, err)
	}
	if _, err := keeper.Await(Ready); err != nil {
		said, _ := os.ReadFile(log)
		return nil, fmt.Errorf("%w: %v: %s", ErrNoDisks, err, said)
	}
	d := &Disks{keeper: keeper, root: fmt.Sprintf("/proc/%d/root", keeper.cmd.Process.Pid)}
	for _, folder := range folders {
		if err := d.reach(folder); err != nil {
			d.Close()
			return nil, fmt.Errorf("%w: %v", ErrNoDisks, err)
		}
	}
	return d, nil
}

// reach makes sure that what is reached at folder's path is its disk, and not what is below it, which must not be filled up.
func (d *Disks) reach(folder string) error {
	below, err := os.Stat(folder)
	if err != nil {
		return err
	}
	disk, err := os.Stat(d.Path(folder))
	if err == nil && os.SameFile(below, disk) {
		err = fmt.Errorf("the disk at %s is not to be seen from here", folder)
	}
	return err
}

// KeepDisks is the process that has the disks, until its parent is gone.
func KeepDisks(ctx context.Context, spec DisksSpec, stdin io.Reader, stdout io.Writer) error {
	for _, folder := range spec.Folders {
		if err := mount(folder, spec.Size); err != nil {
			return fmt.Errorf("process: mount %d bytes at %s: %w", spec.Size, folder, err)
		}
	}
	fmt.Fprintln(stdout, Ready)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		Obey(stdin, func(string, string) {})
	}()
	select {
	case <-gone:
	case <-ctx.Done():
	}
	return nil
}

// Path is where others find a folder of the spec, which must be absolute. A link on the way to it would lead them out of the
// disks' namespace.
func (d *Disks) Path(folder string) string {
	if real, err := filepath.EvalSymlinks(folder); err == nil {
		folder = real
	}
	return filepath.Join(d.root, folder)
}

// Close ends the disks and all that is on them.
func (d *Disks) Close() {
	d.keeper.Kill()
	for range d.keeper.Lines() { // it says no more
	}
	<-d.keeper.Exited()
}

// ballast is the file that takes the room of a full disk.
const ballast = "ballast"

// FillDisk leaves room for so many pages of memory on the disk that a folder is the top of.
func FillDisk(folder string, pages int64) error {
	file, err := os.OpenFile(filepath.Join(folder, ballast), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(take(file, pages*int64(os.Getpagesize())), file.Close())
}

// EmptyDisk gives the room back.
func EmptyDisk(folder string) error {
	err := os.Remove(filepath.Join(folder, ballast))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
