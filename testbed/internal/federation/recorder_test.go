package federation

import (
	"errors"
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
		r, err := OpenRecorder(path, start, []string{"a", "b", "c", "d"}, nil)
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
	before, err := OpenRecorder(path, start, []string{"a", "b", "c", "d"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRecorder(path, start, []string{"a", "b", "c", "d"}, nil); process.Supported && (!errors.Is(err, ErrInUse)) {
		t.Errorf("two at once: %v", err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedRecordIsSetAside damages the file in several ways: what can be read still counts, what was there is kept beside it to the
// byte, one warning says so, and the file is whole afterwards.
func TestDamagedRecordIsSetAside(t *testing.T) {
	t.Parallel()
	const good = `{"at":1,"what":"join","client":"a"}` + "\n" + `{"at":2,"what":"version","version":1}` + "\n"
	long := strings.Repeat("x", 1<<17)
	for name, bad := range map[string]string{
		"no JSON": "junk\n", "zeros": strings.Repeat("\x00", 4096), "another value": "[1]\n", "another type": `{"at":"1","what":"join","client":"a"}` + "\n",
		"torn": `{"at":3,"wh`, "no line's end": `{"at":3,"what":"join","client":"a"}`, "a long line": long + "\n", "empty": "\n",
		"nothing said": "{}\n", "unknown word": `{"at":1,"what":"jojn","client":"a"}` + "\n",
		"a stranger": `{"at":1,"what":"join","client":"x"}` + "\n", "nobody": `{"at":1,"what":"step"}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "moments.jsonl")
			if err := os.WriteFile(path, []byte(good+bad), 0o644); err != nil {
				t.Fatal(err)
			}
			open := func() *Recorder {
				t.Helper()
				r, err := OpenRecorder(path, time.Unix(0, 0), []string{"a"}, nil)
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			r := open()
			if got := r.Moments(); len(got) != 2 || got[0].Client != "a" || got[1].Version != 1 {
				t.Errorf("%+v", got)
			}
			aside, err := filepath.Glob(path + ".damaged-*")
			if err != nil || len(aside) != 1 {
				t.Fatalf("set aside: %v, %v", aside, err)
			}
			if kept, err := os.ReadFile(aside[0]); err != nil || string(kept) != good+bad {
				t.Errorf("kept %q, %v", kept, err)
			}
			if text := r.Damage(); text == nil || !strings.Contains(text.Error(), path+": 1 of 3 lines") || !strings.Contains(text.Error(), aside[0]) {
				t.Errorf("the warning is %v", text)
			}
			r.Record(time.Unix(5, 0), Moment{What: MomentDone, Client: "a"})
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			r = open()
			if got := r.Moments(); len(got) != 3 || got[2].At != 5 || r.Damage() != nil {
				t.Errorf("opened again: %+v, %v", got, r.Damage())
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
