package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dpfpl/mathx/dp"

	"pgregory.net/rapid"
)

// tempDir is t.TempDir for a rapid test.
func tempDir(t *rapid.T) string {
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// history is a short life on two runs; each step is one append.
var history = []func(*Ledger) error{
	func(l *Ledger) error { return l.Debit(entry("a", 1)) },
	func(l *Ledger) error { return l.Commit("a", 1, []byte("update one"), []byte("state one")) },
	func(l *Ledger) error { return l.Acked("a", 1) },
	func(l *Ledger) error { return l.Debit(entry("b", 1)) },
	func(l *Ledger) error { return l.Debit(entry("a", 2)) },
	func(l *Ledger) error { return l.Commit("a", 2, []byte("update two"), []byte("state two")) },
}

// TestCutAnywhere ends the file at every byte, as a crash may: the ledger opens, and
// holds exactly the operations whose records are whole.
func TestCutAnywhere(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	l := mustOpen(t, whole, Limits{})
	twin := mustMemory(t, Limits{})
	ends, expected := []int{len(magic)}, []string{describe(twin)}
	for _, step := range history {
		must(t, step(l))
		must(t, step(twin))
		info, err := os.Stat(whole)
		must(t, err)
		ends, expected = append(ends, int(info.Size())), append(expected, describe(twin))
	}
	must(t, l.Close())
	content, err := os.ReadFile(whole)
	must(t, err)
	for size := 0; size <= len(content); size++ {
		done := 0
		for done+1 < len(ends) && ends[done+1] <= size {
			done++
		}
		path := filepath.Join(dir, "cut")
		must(t, os.WriteFile(path, content[:size], 0o600))
		l, err := open(path, Limits{}, noSync)
		if err != nil {
			t.Fatalf("cut at %d of %d: %v", size, len(content), err)
		}
		if got := describe(l); got != expected[done] {
			t.Fatalf("cut at %d, %d whole operations:\n got %s\nwant %s", size, done, got, expected[done])
		}
		if done < len(history) { // life goes on from there
			must(t, history[done](l))
		}
		must(t, l.Close())
		again := mustOpen(t, path, Limits{})
		if got := describe(again); got != expected[min(done+1, len(history))] {
			t.Fatalf("cut at %d, after the next operation: %s", size, got)
		}
		must(t, again.Close())
	}
}

// TestZeroTail: the file had grown but its end was never written, from within the body
// of the last record or from before it.
func TestZeroTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := mustOpen(t, path, Limits{})
	must(t, l.Debit(entry("a", 1)))
	before := describe(l)
	first, err := os.ReadFile(path)
	must(t, err)
	must(t, l.Debit(entry("a", 2)))
	must(t, l.Close())
	content, err := os.ReadFile(path)
	must(t, err)
	for zeros := sumSize; zeros <= len(content)-len(first); zeros++ {
		if left := len(content) - zeros - len(first); left > 0 && left < headSize {
			continue // half a header is damage: eight bytes arrive together
		}
		cut := bytes.Clone(content)
		clear(cut[len(cut)-zeros:])
		must(t, os.WriteFile(path, cut, 0o600))
		l := mustOpen(t, path, Limits{})
		if got := describe(l); got != before {
			t.Errorf("%d zeros: got %s, want %s", zeros, got, before)
		}
		must(t, l.Close())
	}
}

// TestDamageIsNotATornTail flips every bit of a sound ledger: it either refuses with
// ErrDamaged, naming an offset, and leaves the file alone, or (never, here) opens.
func TestDamageIsNotATornTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := mustOpen(t, path, Limits{})
	for _, step := range history {
		must(t, step(l))
	}
	must(t, l.Close())
	sound, err := os.ReadFile(path)
	must(t, err)
	for i := range sound {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			damaged := bytes.Clone(sound)
			damaged[i] ^= flip
			must(t, os.WriteFile(path, damaged, 0o600))
			l, err := open(path, Limits{}, noSync)
			if err == nil {
				_ = l.Close()
			}
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "at offset") {
				t.Fatalf("byte %d flipped by %#x: error %v", i, flip, err)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, damaged) {
				t.Fatalf("byte %d flipped by %#x: the file was changed (%v)", i, flip, err)
			}
		}
	}
}

// twoDebits makes a ledger and returns its content, and where in it the first debit ends.
func twoDebits(t *testing.T) (path string, first int, content []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ledger")
	l := mustOpen(t, path, Limits{})
	must(t, l.Debit(entry("a", 1)))
	content, err := os.ReadFile(path)
	must(t, err)
	first = len(content)
	must(t, l.Debit(entry("a", 2)))
	must(t, l.Close())
	content, err = os.ReadFile(path)
	must(t, err)
	return path, first, content
}

// TestZeroSumInTheMiddleIsDamage: only of the last record may the sum be missing. Taken for a torn tail, it would
// refund every debit behind it.
func TestZeroSumInTheMiddleIsDamage(t *testing.T) {
	path, first, content := twoDebits(t)
	clear(content[first-sumSize : first])
	must(t, os.WriteFile(path, content, 0o600))
	if _, err := Open(path, Limits{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("error %v, want ErrDamaged", err)
	}
}

// TestMovedRecordIsDamage: a record checks only at its own offset.
func TestMovedRecordIsDamage(t *testing.T) {
	path, first, content := twoDebits(t)
	without := append([]byte(magic), content[first:]...)
	must(t, os.WriteFile(path, without, 0o600))
	if _, err := Open(path, Limits{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("first debit removed: error %v, want ErrDamaged", err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := mustOpen(t, path, Limits{})
	if _, err := Open(path, Limits{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second opening: error %v, want ErrLocked", err)
	}
	must(t, l.Debit(entry("a", 1)))
	must(t, l.store.(*file).rewrite(l.book.history()))
	if _, err := Open(path, Limits{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second opening after a rewrite: error %v, want ErrLocked", err)
	}
	must(t, l.Close())
	mustOpen(t, path, Limits{})
}

// TestFileStaysSmall runs 600 steps with states of 40 KB, 24 MB in all.
func TestFileStaysSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := mustOpen(t, path, Limits{})
	largest := int64(0)
	for k := uint64(1); k <= 300; k++ {
		must(t, l.Debit(entry("a", k)))
		must(t, l.Commit("a", k, make([]byte, 20_000), bytes.Repeat([]byte{byte(k)}, 40_000)))
		must(t, l.Acked("a", k))
		info, err := os.Stat(path)
		must(t, err)
		largest = max(largest, info.Size())
	}
	if largest > slack+200_000 {
		t.Errorf("the file grew to %d bytes", largest)
	}
	for k := uint64(301); k <= 600; k++ { // nobody acknowledges: 6 MB of updates must stay
		must(t, l.Debit(entry("a", k)))
		must(t, l.Commit("a", k, make([]byte, 20_000), bytes.Repeat([]byte{byte(k)}, 40_000)))
		info, err := os.Stat(path)
		must(t, err)
		largest = max(largest, info.Size())
	}
	if largest > 2*300*20_500+slack {
		t.Errorf("the file with 300 pending updates grew to %d bytes", largest)
	}
	before := describe(l)
	must(t, l.Close())
	if after := describe(mustOpen(t, path, Limits{})); after != before {
		t.Error("the ledger differs after reopening")
	}
}

// TestCrashInRewrite: a draft that was never renamed is ignored and removed.
func TestCrashInRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := mustOpen(t, path, Limits{})
	must(t, l.Debit(entry("a", 1)))
	before := describe(l)
	must(t, l.Close())
	must(t, os.WriteFile(path+".new", []byte("half"), 0o600))
	if got := describe(mustOpen(t, path, Limits{})); got != before {
		t.Errorf("got %s, want %s", got, before)
	}
	if _, err := os.Stat(path + ".new"); !os.IsNotExist(err) {
		t.Errorf("the draft is still there: %v", err)
	}
}

// failing writes a number of bytes and then fails, or fails to sync.
type failing struct {
	medium
	left    int
	syncErr error
}

var errDisk = errors.New("disk full")

func (f *failing) Write(p []byte) (int, error) {
	if len(p) <= f.left {
		f.left -= len(p)
		return f.medium.Write(p)
	}
	n, _ := f.medium.Write(p[:f.left])
	f.left = 0
	return n, errDisk
}

func (f *failing) Sync() error { return f.syncErr }

// TestFailedWrite: after a failed write nothing more is granted until the ledger is
// opened again, and then the book is sound.
func TestFailedWrite(t *testing.T) {
	for name, disk := range map[string]failing{
		"full":    {left: 20},
		"no sync": {left: 1 << 20, syncErr: errDisk},
	} {
		path := filepath.Join(t.TempDir(), "ledger")
		l := mustOpenWith(t, path, Limits{}, syncer.Sync)
		must(t, l.Debit(entry("a", 1)))
		disk.medium = l.store.(*file).f
		l.store.(*file).f = &disk
		if err := l.Debit(entry("a", 2)); !errors.Is(err, errDisk) {
			t.Errorf("%s: error %v", name, err)
		}
		if err := l.Debit(entry("a", 3)); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: next debit: error %v, want ErrBroken", name, err)
		}
		must(t, l.Close())
		again := mustOpen(t, path, Limits{})
		if n := again.Account().Steps(); n != 1 && !(n == 2 && name == "no sync") {
			t.Errorf("%s: %d steps after reopening", name, n)
		}
	}
}

// TestKill kills a process that debits and commits as fast as it can, some times over,
// and checks that what it had been told was durable is there.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	last := uint64(0)
	for round := range 3 {
		child := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
		child.Env = append(os.Environ(), "DPFPL_LEDGER_CHILD="+path)
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		told := last
		for told < last+uint64(3+round) {
			if _, err := fmt.Fscanf(out, "debited %d\n", &told); err != nil {
				t.Fatalf("child after step %d: %v", told, err)
			}
		}
		if _, err := Open(path, Limits{}); !errors.Is(err, ErrLocked) {
			t.Errorf("while the child runs: error %v, want ErrLocked", err)
		}
		must(t, child.Process.Kill())
		_ = child.Wait()
		l := mustOpen(t, path, Limits{})
		debited := l.Next("a") - 1
		if debited < told {
			t.Errorf("the child was told that step %d is debited, the ledger says %d", told, debited)
		}
		if k, state := l.State("a"); string(state) != fmt.Sprint("state ", k) || k+1 < told {
			t.Errorf("state %q of step %d, told %d", state, k, told)
		}
		if steps := l.Account().Steps(); steps != debited {
			t.Errorf("%d steps accounted, %d debited", steps, debited)
		}
		last = debited
		must(t, l.Close())
	}
}

// TestKillChild is the process that TestKill kills; alone it has nothing to do.
func TestKillChild(t *testing.T) {
	path := os.Getenv("DPFPL_LEDGER_CHILD")
	if path == "" {
		return
	}
	l := mustOpenWith(t, path, Limits{}, syncer.Sync)
	deadline := time.Now().Add(10 * time.Minute) // in case nobody kills
	for k := l.Next("a"); time.Now().Before(deadline); k++ {
		must(t, l.Debit(entry("a", k)))
		fmt.Printf("debited %d\n", k)
		must(t, l.Commit("a", k, []byte("update"), fmt.Append(nil, "state ", k)))
		must(t, l.Acked("a", k))
	}
}

// FuzzReplay feeds the reader anything. It must not panic; what it accepts must be
// what rewriting the accepted book reads as.
func FuzzReplay(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "ledger")
	l := mustOpen(f, path, Limits{})
	for _, step := range history {
		must(f, step(l))
	}
	must(f, l.Close())
	content, err := os.ReadFile(path)
	must(f, err)
	f.Add(content)
	f.Add(content[:len(content)-1])
	f.Add([]byte(magic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := newBook(0)
		must(t, err)
		size, err := replay(data, b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if size > int64(len(data)) {
			t.Fatalf("%d bytes sound of %d", size, len(data))
		}
		rewritten := []byte(magic)
		for _, r := range b.history() {
			rewritten = r.appendFrame(rewritten, int64(len(rewritten)))
		}
		twin, err := newBook(0)
		must(t, err)
		if n, err := replay(rewritten, twin); err != nil || n != int64(len(rewritten)) {
			t.Fatalf("rewritten: %d of %d bytes, %v", n, len(rewritten), err)
		}
		if a, b := fmt.Sprint(b.spent, b.pending), fmt.Sprint(twin.spent, twin.pending); a != b {
			t.Fatalf("rewritten:\n%s\nwas\n%s", b, a)
		}
	})
}

// FuzzDecodeBody feeds bodies past the checksum.
func FuzzDecodeBody(f *testing.F) {
	e := entry("a", 1)
	f.Add(record{kind: kindDebit, entry: e}.appendBody(nil))
	f.Add(record{kind: kindCommit, entry: Entry{Run: "a", K: 1}, payload: []byte("p"), state: []byte("s")}.appendBody(nil))
	f.Add(record{kind: kindDone, entry: Entry{Run: "a", K: 1}, digest: [32]byte{1}, state: []byte("s")}.appendBody(nil))
	f.Add([]byte{3, 1, 'a', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := decodeBody(body)
		if err != nil {
			return
		}
		again, err := decodeBody(r.appendBody(nil))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(r) {
			t.Fatalf("%v became %v (%v)", r, again, err)
		}
	})
}

// TestDecodeBodyRefuses: what is cut short, too long or of no kind is no record.
func TestDecodeBodyRefuses(t *testing.T) {
	debit := record{kind: kindDebit, entry: entry("a", 2)}.appendBody(nil)
	commit := record{kind: kindCommit, entry: entry("a", 2), payload: []byte("p"), state: []byte("s")}.appendBody(nil)
	for _, whole := range [][]byte{debit, commit} {
		for n := range len(whole) {
			if r, err := decodeBody(whole[:n]); !errors.Is(err, errBody) {
				t.Errorf("%d of %d bytes: %v, %v", n, len(whole), r, err)
			}
		}
		if _, err := decodeBody(append(bytes.Clone(whole), 0)); !errors.Is(err, errBody) {
			t.Errorf("a byte too many: error %v", err)
		}
	}
	for _, body := range [][]byte{{}, {0}, {9, 1, 'a', 1}, append([]byte{3, 0xff, 0x7f}, make([]byte, 1<<14)...)} {
		if _, err := decodeBody(body); !errors.Is(err, errBody) {
			t.Errorf("body of %d bytes: error %v", len(body), err)
		}
	}
}

// TestUnusablePath: a ledger that cannot be made is an error and leaves no lock behind.
func TestUnusablePath(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "missing", "ledger"), Limits{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in a missing folder: error %v", err)
	}
	folder := t.TempDir()
	for range 2 {
		if _, err := Open(folder, Limits{}); err == nil || errors.Is(err, ErrLocked) {
			t.Errorf("a folder as ledger: error %v", err)
		}
	}
}

// TestForeignSampler: a ledger with steps that the client's adjacency cannot account for
// is refused, not silently counted.
func TestForeignSampler(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := mustOpen(t, path, Limits{})
	e := entry("a", 1)
	e.Step.Sampler = dp.FixedSize
	must(t, l.Debit(e))
	must(t, l.Close())
	if _, err := Open(path, Limits{Adjacency: dp.AddRemove}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "sampler") {
		t.Errorf("error %v", err)
	}
}

// BenchmarkStep is a debit, a commit of 20 KB and 40 KiB, and an acknowledgement, on
// the file system of the temporary folder, with its two fsyncs.
func BenchmarkStep(b *testing.B) {
	l := mustOpenWith(b, filepath.Join(b.TempDir(), "ledger"), Limits{MaxEpsilon: 1e6, Delta: 1e-5}, syncer.Sync)
	payload, state := make([]byte, 20_000), make([]byte, 40<<10)
	for k := uint64(1); b.Loop(); k++ {
		must(b, l.Debit(entry("a", k)))
		must(b, l.Commit("a", k, payload, state))
		must(b, l.Acked("a", k))
	}
}
