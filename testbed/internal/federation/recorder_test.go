package federation

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dpfpl/testbed/internal/process"
)

// TestRecorderGoesOn tears the last line as a power cut would: what is whole stays, and recording goes on after it.
func TestRecorderGoesOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "moments.jsonl")
	start := time.Unix(0, 0)
	record := func(seconds int, client string) *Recorder {
		t.Helper()
		r, err := OpenRecorder(path, start, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Record(start.Add(time.Duration(seconds)*time.Second), Moment{What: MomentJoin, Client: client})
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	record(1, "a")
	record(2, "b")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-3); err != nil {
		t.Fatal(err)
	}
	got := record(3, "c").Moments()
	if len(got) != 2 || got[0].Client != "a" || got[1].Client != "c" || got[1].At != 3 {
		t.Errorf("%+v, want a at 1 and c at 3", got)
	}
	if again := record(4, "d").Moments(); len(again) != 3 {
		t.Errorf("%d moments after the torn line was replaced, want 3", len(again))
	}
	before, err := OpenRecorder(path, start, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRecorder(path, start, nil); process.Supported && (err == nil || !strings.Contains(err.Error(), "in use")) {
		t.Errorf("two at once: %v", err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{}\nno json\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRecorder(path, start, nil); err == nil {
		t.Error("a damaged line passes")
	}
}
