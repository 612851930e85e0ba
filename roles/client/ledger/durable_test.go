package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dpfpl/mathx/dp"
)

// disk watches what is waited for: each sync, and what was at the ledger's path at that moment.
type disk struct {
	t     *testing.T
	path  string
	syncs []string
}

func (d *disk) sync(s syncer) error {
	d.t.Helper()
	info, err := s.(interface{ Stat() (fs.FileInfo, error) }).Stat()
	must(d.t, err)
	at, err := os.Stat(d.path)
	_, draft := os.Stat(d.path + ".new")
	switch {
	case info.IsDir() && err == nil && draft != nil:
		d.syncs = append(d.syncs, "folder")
	case info.IsDir():
		d.syncs = append(d.syncs, "folder before the rename")
	case err == nil && os.SameFile(at, info):
		d.syncs = append(d.syncs, fmt.Sprintf("file of %d", info.Size()))
	default:
		d.syncs = append(d.syncs, "draft")
	}
	return nil
}

// expect compares the syncs since the last call.
func (d *disk) expect(what string, want ...string) {
	d.t.Helper()
	if !slices.Equal(d.syncs, want) {
		d.t.Errorf("%s waits for %q, want %q", what, d.syncs, want)
	}
	d.syncs = nil
}

// size is the sync of the ledger's file as it is now.
func (d *disk) size() string {
	info, err := os.Stat(d.path)
	must(d.t, err)
	return fmt.Sprintf("file of %d", info.Size())
}

// TestNothingReturnsBeforeTheDisk: a debit and a commit are on disk when they return, whole; a new file is on
// disk before it takes the old one's name, and its name before anything is appended to it.
func TestNothingReturnsBeforeTheDisk(t *testing.T) {
	d := &disk{t: t, path: filepath.Join(t.TempDir(), "ledger")}
	l := mustOpenWith(t, d.path, Limits{}, d.sync)
	d.expect("making a ledger", "draft", "folder")
	must(t, l.Debit(entry("a", 1)))
	d.expect("a debit", d.size())
	must(t, l.Commit("a", 1, []byte("update"), []byte("state")))
	d.expect("a commit", d.size())
	must(t, l.Acked("a", 1))
	d.expect("an acknowledgement")
	must(t, l.Close())

	whole := d.size()
	content, err := os.ReadFile(d.path)
	must(t, err)
	must(t, os.WriteFile(d.path, append(content, 1, 2, 3), 0o600))
	l = mustOpenWith(t, d.path, Limits{}, d.sync)
	d.expect("cutting off a torn record", whole)

	must(t, l.Debit(entry("a", 2)))
	d.expect("a debit after that", d.size())
	must(t, l.Commit("a", 2, make([]byte, slack), nil))
	if got := len(d.syncs); got != 3 {
		t.Fatalf("a commit that makes the file too large waits %d times: %q", got, d.syncs)
	}
	d.syncs = d.syncs[1:] // the commit itself, by its old name
	d.expect("tidying", "draft", "folder")
	must(t, l.Debit(entry("a", 3)))
	d.expect("a debit in the new file", d.size())
}

// TestWhatIsNotDurableIsNotTrue: after a failed commit there is no update to send and no state to go on from,
// after a failed debit no step.
func TestWhatIsNotDurableIsNotTrue(t *testing.T) {
	fail := false
	l := mustOpenWith(t, filepath.Join(t.TempDir(), "ledger"), Limits{}, func(syncer) error {
		if fail {
			return errDisk
		}
		return nil
	})
	must(t, l.Debit(entry("a", 1)))
	before := describe(l)
	fail = true
	if err := l.Commit("a", 1, []byte("update"), []byte("state")); !errors.Is(err, errDisk) {
		t.Fatalf("error %v, want that of the disk", err)
	}
	if after := describe(l); after != before {
		t.Errorf("after a failed commit the ledger says %s, want %s", after, before)
	}
}

// TestTheBookIsNobodyElses: what is handed in or out may be written to by others.
func TestTheBookIsNobodyElses(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, l *Ledger) {
		e := entry("a", 2)
		payload, state := []byte("update"), []byte("state")
		must(t, l.Debit(e))
		must(t, l.Commit("a", 2, payload, state))
		before := describe(l)
		e.Groups[0].Name, payload[0], state[0] = "x", 'x', 'x'
		_, out := l.State("a")
		out[0] = 'x'
		must(t, l.Account().Spend(dp.Step{Q: 1, Z: 1}, 1))
		l.Entries()[0].Run = "x"
		l.Pending()[0].K = 9
		if after := describe(l); after != before {
			t.Errorf("the ledger says %s, want %s", after, before)
		}
	})
}

// TestAnAcknowledgementIsOfOneRun: update 1 of another run stays in the outbox.
func TestAnAcknowledgementIsOfOneRun(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, l *Ledger) {
		for _, run := range []string{"a", "b"} {
			must(t, l.Debit(entry(run, 1)))
			must(t, l.Commit(run, 1, []byte("update of "+run), nil))
		}
		must(t, l.Acked("a", 1))
		if p := l.Pending(); len(p) != 1 || p[0].Run != "b" || string(p[0].Payload) != "update of b" {
			t.Errorf("%+v is pending, want the update of b", p)
		}
	})
}
