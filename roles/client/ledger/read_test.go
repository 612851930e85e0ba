package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestRead: of every step the digest of what was committed is known, also after the file was rewritten without
// the update, while the client has the ledger open, and with a record half written.
func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l, err := Open(path, Limits{})
	must(t, err)
	large := make([]byte, 1<<20) // five of them, and the file is rewritten
	for k := uint64(1); k <= 12; k++ {
		must(t, l.Debit(entry("a", k)))
		if k == 4 {
			continue // a crash before the commit
		}
		must(t, l.Commit("a", k, fmt.Append(large, k), []byte("state")))
		if k != 11 {
			must(t, l.Acked("a", k))
		}
	}
	check := func() {
		t.Helper()
		steps, err := Read(path)
		must(t, err)
		if len(steps) != 12 {
			t.Fatalf("%d steps", len(steps))
		}
		for i, s := range steps {
			k := uint64(i + 1)
			want := Spending{Entry: entry("a", k)}
			if k != 4 {
				want.Committed, want.Digest = true, sha256.Sum256(fmt.Append(large, k))
			}
			if fmt.Sprint(s) != fmt.Sprint(want) {
				t.Errorf("step %d reads %v, want %v", k, s, want)
			}
		}
	}
	check()
	if info, err := os.Stat(path); err != nil || info.Size() > 8<<20 {
		t.Fatalf("the file was not rewritten: %d bytes, %v", info.Size(), err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.Write([]byte{9, 0, 0})
	must(t, errors.Join(err, f.Close()))
	check()
	must(t, l.Close())
	l, err = Open(path, Limits{})
	must(t, err)
	if pending := l.Pending(); len(pending) != 1 || pending[0].K != 11 || l.Next("a") != 13 {
		t.Errorf("after a restart %d are pending, the next step is %d", len(pending), l.Next("a"))
	}
	if k, state := l.State("a"); k != 12 || string(state) != "state" {
		t.Errorf("after a restart the state is %q of step %d", state, k)
	}
	must(t, l.Close())
	check()
	must(t, os.WriteFile(path, []byte("dpfpl ledger 2\n"), 0o600))
	if _, err := Read(path); !errors.Is(err, ErrDamaged) {
		t.Errorf("another version: %v", err)
	}
}
