package logfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"dpfpl/schemas"
	"dpfpl/schemas/logfile"
)

var rewrite = flag.Bool("update", false, "rewrite the golden file")

const (
	golden     = "testdata/run.dpfpl"
	goldenTwin = "testdata/run.txt"
)

// TestGolden pins the format: the file must be readable for ever, and the same run must give the same file.
func TestGolden(t *testing.T) {
	all := newTestRun(t).messages(t)
	file := write(t, all)
	if *rewrite {
		if err := errors.Join(os.WriteFile(golden, file, 0o644), os.WriteFile(goldenTwin, []byte(list(all)), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, want) {
		t.Error("the file differs; run with -update and review")
	}
	got, err := read(want)
	if err != nil {
		t.Fatal(err)
	}
	twin, err := os.ReadFile(goldenTwin)
	if err != nil {
		t.Fatal(err)
	}
	if list(got) != string(twin) {
		t.Errorf("the golden file reads\n%s\nwant\n%s", list(got), twin)
	}
}

func TestOrderOfAFile(t *testing.T) {
	var got []string
	for _, m := range newTestRun(t).messages(t) {
		got = append(got, strings.TrimPrefix(m.Subject, "dpfpl.v1.run."))
	}
	want := "plan model checkpoint update.anna.1 update.bert.1 model checkpoint " +
		"update.anna.2 update.bert.2 model checkpoint update.anna.3 update.bert.3 model checkpoint"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s\nwant\n%s", s, want)
	}
}

func TestInterleaveEndsWithAnError(t *testing.T) {
	r := newTestRun(t)
	bad := errors.New("no more")
	parts := map[string][3]error{"log": {bad, nil, nil}, "models": {nil, bad, nil}, "checkpoints": {nil, nil, bad}}
	for name, e := range parts {
		n := 0
		for _, err := range logfile.Interleave(each(r.log, e[0]), each(r.models, e[1]), each(r.checkpoints, e[2])) {
			if n++; err != nil {
				if err != bad {
					t.Errorf("%s: %v", name, err)
				}
				n = -1000
			}
		}
		if n != -1000 {
			t.Errorf("%s: went on after the error, or had none: %d", name, n)
		}
	}
	for range logfile.Interleave(each(r.log, nil), each(r.models, nil), each(r.checkpoints, nil)) {
		break // must stop cleanly
	}
}

// chunk is where a chunk lies in a file.
type chunk struct{ start, end int }

func chunks(file []byte) []chunk {
	var list []chunk
	for at := 10; at < len(file); {
		end := at + 9 + int(binary.LittleEndian.Uint32(file[at+5:])) + 4
		list = append(list, chunk{at, end})
		at = end
	}
	return list
}

// whole counts the chunks that end at or before byte n.
func whole(list []chunk, n int) int {
	k := 0
	for k < len(list) && list[k].end <= n {
		k++
	}
	return k
}

// TestAFlippedBitIsFound flips a bit of each byte of a file and demands that all before it is read, nothing
// after, and that the chunk is named.
func TestAFlippedBitIsFound(t *testing.T) {
	file := write(t, newTestRun(t).messages(t))
	list := chunks(file)
	for at := range file {
		for _, bit := range []int{at % 8, 7} {
			bad := bytes.Clone(file)
			bad[at] ^= 1 << bit
			got, err := read(bad)
			damage, located := errors.AsType[*logfile.Damage](err)
			switch {
			case at < 8:
				if !errors.Is(err, logfile.ErrFormat) {
					t.Fatalf("byte %d bit %d: %v", at, bit, err)
				}
			case at < 10:
				if !errors.Is(err, logfile.ErrVersion) {
					t.Fatalf("byte %d bit %d: %v", at, bit, err)
				}
			case len(got) != whole(list, at):
				t.Fatalf("byte %d bit %d: %d records read before %v", at, bit, len(got), err)
			case located && int(damage.Chunk) != whole(list, at):
				t.Fatalf("byte %d bit %d is in chunk %d: %v", at, bit, whole(list, at), err)
			case !located && !errors.Is(err, logfile.ErrTruncated): // a larger length
				t.Fatalf("byte %d bit %d: %v", at, bit, err)
			}
		}
	}
}

func TestATruncatedFileYieldsWhatIsWhole(t *testing.T) {
	file := write(t, newTestRun(t).messages(t))
	list := chunks(file)
	for n := range file {
		got, err := read(file[:n])
		if !errors.Is(err, logfile.ErrTruncated) || len(got) != whole(list, n) {
			t.Fatalf("cut after %d bytes: %d records, %v", n, len(got), err)
		}
	}
	if _, err := read(append(bytes.Clone(file), 0)); !errors.Is(err, logfile.ErrDamaged) {
		t.Errorf("one byte too many: %v", err)
	}
}

// surgery rearranges the chunks of a file. mended also repairs index and checksum of each.
func surgery(file []byte, order []int, mended bool) []byte {
	list := chunks(file)
	out := bytes.Clone(file[:10])
	for i, k := range order {
		c := bytes.Clone(file[list[k].start:list[k].end])
		if mended {
			binary.LittleEndian.PutUint32(c[1:], uint32(i))
			n := len(c) - 4
			binary.LittleEndian.PutUint32(c[n:], crc32.Checksum(c[:n], crc32.MakeTable(crc32.Castagnoli)))
		}
		out = append(out, c...)
	}
	return out
}

func TestMovedRecordsAreNamed(t *testing.T) {
	file := write(t, newTestRun(t).messages(t))
	n := len(chunks(file))
	straight := make([]int, n)
	for i := range straight {
		straight[i] = i
	}
	// Chunk 7 is log sequence 3, chunk 8 sequence 4; 9 and 10 are version 2 and its checkpoint.
	swapped := slices.Clone(straight)
	swapped[7], swapped[8] = 8, 7
	for name, c := range map[string]struct {
		order        []int
		chunk        uint32
		seq          uint64
		says, mended string
	}{
		"swapped pair":     {swapped, 7, 4, "chunk 8 stands here", "the digest chain breaks: it or a record after sequence 2"},
		"removed update":   {slices.Delete(slices.Clone(straight), 7, 8), 7, 4, "chunk 8 stands here: what belongs between log sequence 2", "the digest chain breaks: it or a record after sequence 2"},
		"doubled update":   {slices.Insert(slices.Clone(straight), 8, 7), 8, 3, "chunk 7 is there twice", "sequence 3 is there twice"},
		"removed model":    {slices.Delete(slices.Clone(straight), 9, 10), 9, 7, "chunk 10 stands here", "the trailer counts"},
		"doubled model":    {slices.Insert(slices.Clone(straight), 10, 9), 10, 6, "chunk 9 is there twice", "sequence 6 is there twice"},
		"update too late":  {append(slices.Delete(slices.Clone(straight), 7, 8), 7), 7, 4, "chunk 8 stands here", "the digest chain breaks"},
		"trailer too soon": {slices.Insert(slices.Clone(straight), 7, n-1), 7, 0, "chunk 15 stands here", "the trailer counts"},
		"a second plan":    {slices.Insert(slices.Clone(straight), 5, 0), 5, 1, "chunk 0 comes again", "a second plan"},
		"no plan":          {straight[1:], 0, 2, "chunk 1 stands here", "a model where the plan belongs"},
	} {
		_, err := read(surgery(file, c.order, false))
		damage, ok := errors.AsType[*logfile.Damage](err)
		if !ok || damage.Chunk != c.chunk || damage.Seq != c.seq || !strings.Contains(damage.What, c.says) {
			t.Errorf("%s: %v, want chunk %d, sequence %d", name, err, c.chunk, c.seq)
		}
		_, err = read(surgery(file, c.order, true))
		if !errors.Is(err, logfile.ErrDamaged) || !strings.Contains(err.Error(), c.mended) {
			t.Errorf("%s, mended: %v, want %q", name, err, c.mended)
		}
	}
	if _, err := read(surgery(file, straight, true)); err != nil {
		t.Errorf("surgery itself does damage: %v", err)
	}
}

// TestUnchained: without the chain, what is mended passes, and all else is found as before.
func TestUnchained(t *testing.T) {
	file := write(t, newTestRun(t).messages(t))
	read := func(file []byte) (n int, chain [32]byte, err error) {
		r, err := logfile.NewReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		r.Unchained = true
		for ; err == nil; n++ {
			_, err = r.NextSealed()
		}
		return n - 1, r.Chain(), err
	}
	sum, err := logfile.NewReader(bytes.NewReader(file))
	for err == nil {
		_, err = sum.NextSealed()
	}
	if n, chain, err := read(file); n != 15 || err != io.EOF || chain != sum.Chain() {
		t.Errorf("%d records, %v", n, err)
	}
	if n, _, err := read(surgery(file, []int{0, 1, 2, 4, 5, 6}, true)); n != 6 || !errors.Is(err, logfile.ErrTruncated) {
		t.Errorf("a removed record, mended: %d records, %v", n, err)
	}
	if n, _, err := read(surgery(file, []int{0, 1, 2, 4, 5, 6}, false)); n != 3 || !errors.Is(err, logfile.ErrDamaged) {
		t.Errorf("a removed record: %d records, %v", n, err)
	}
}

// TestForgeriesAreNamed writes runs that are perfect files of something that did not happen.
func TestForgeriesAreNamed(t *testing.T) {
	strange := uint64(1)
	for name, c := range map[string]struct {
		forge func(*testRun)
		seq   uint64
		says  string
	}{
		"nothing": {func(*testRun) {}, 0, ""},
		"plan":    {func(r *testRun) { r.plan = sealed(t, r.plan.Body, "anna", 1) }, 1, "signature"},
		"removed update": {func(r *testRun) { r.log = slices.Delete(r.log, 2, 3) }, 7,
			"the log up to sequence 4 is not the one that the aggregator read: a record was changed, removed or added; no message from sequence 3 to 3"},
		"doubled update": {func(r *testRun) {
			double := r.log[4]
			double.Seq, r.log[5].Seq = 6, 7
			r.log = slices.Insert(r.log, 5, double)
		}, 6, "update.anna.3: it is there twice, first at sequence 5"},
		"changed update": {func(r *testRun) { r.log[2].Raw[20] ^= 1 }, 7, "the log up to sequence 4 is not"},
		"removed version": {func(r *testRun) {
			r.models, r.checkpoints = slices.Delete(r.models, 2, 3), slices.Delete(r.checkpoints, 2, 3)
		}, 8, "version 3, the newest before it is 1"},
		"checkpoint of another": {func(r *testRun) { r.checkpoints[2].Raw = r.checkpoints[1].Raw }, 7, "is not of the model before it"},
		"model by another":      {func(r *testRun) { r.models[2] = sealed(t, r.models[2].Body, "anna", 6) }, 6, "signature"},
		"another wire version":  {func(r *testRun) { r.models[1].Raw[0] = 7 }, 4, "wire version"},
		"model of nowhere": {func(r *testRun) {
			m := *r.models[2].Body.(*schemas.Model)
			m.Parent[0] ^= 1
			r.models[2] = sealed(t, &m, "aggregator", 6)
		}, 6, "version 2 does not descend from the version 1"},
		"a plan as model": {func(r *testRun) { r.models[1].Raw = r.plan.Raw }, 4, "kind plan"},
	} {
		r := newTestRun(t)
		c.forge(r)
		sum, err := logfile.Verify(bytes.NewReader(write(t, r.messages(t))))
		if c.says == "" {
			if err != nil || sum.Counts != (logfile.Counts{Log: 6, Models: 4, Checkpoints: 4}) || sum.Version != 3 || !sum.Final || sum.Last != 6 || sum.Strange != strange {
				t.Errorf("an honest run: %+v, %v", sum, err)
			}
			continue
		}
		forgery, ok := errors.AsType[*logfile.Forgery](err)
		if !ok || forgery.Seq != c.seq || !strings.Contains(err.Error(), c.says) || !errors.Is(err, logfile.ErrForged) {
			t.Errorf("%s: %v, want sequence %d and %q", name, err, c.seq, c.says)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	r := newTestRun(t)
	w, err := logfile.NewWriter(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := r.log[0]
	elsewhere.Subject = strings.Replace(elsewhere.Subject, ".run.", ".other.", 1)
	huge := r.log[0]
	huge.Raw = make([]byte, logfile.MaxPayload)
	note := r.log[0]
	note.Subject = "dpfpl.v1.run.note.anna"
	for _, step := range []struct {
		name string
		m    schemas.Message
		ok   bool
	}{
		{"log before plan", r.log[0], false},
		{"plan", r.plan, true},
		{"second plan", r.plan, false},
		{"another run", elsewhere, false},
		{"a note", note, false},
		{"no subject of ours", schemas.Message{Subject: "dpfpl.v1.run.gossip"}, false},
		{"too large", huge, false},
		{"sequence 2", r.log[1], true},
		{"sequence 2 again", r.log[1], false},
		{"sequence 1", r.log[0], false},
		{"model", r.models[0], true},
	} {
		if err := w.Write(step.m); (err == nil) != step.ok || !step.ok && !errors.Is(err, logfile.ErrOrder) {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	if got := w.Counts(); got != (logfile.Counts{Log: 1, Models: 1}) {
		t.Errorf("counts %+v", got)
	}
}

// full is a disk with room for n bytes.
type full struct{ n int }

func (f *full) Write(b []byte) (int, error) {
	if f.n -= len(b); f.n < 0 {
		return 0, io.ErrShortWrite
	}
	return len(b), nil
}

func TestAFullDiskIsReported(t *testing.T) {
	all := newTestRun(t).messages(t)
	w, err := logfile.NewWriter(&full{1500})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		err = errors.Join(err, w.Write(m))
	}
	if !errors.Is(err, io.ErrShortWrite) || !errors.Is(w.Close(), io.ErrShortWrite) {
		t.Errorf("%v, then %v", err, w.Close())
	}
	if _, err := logfile.NewWriter(&full{3}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("header: %v", err)
	}
}

func TestAFailingReaderIsReported(t *testing.T) {
	file := write(t, newTestRun(t).messages(t))
	bad := errors.New("bad sector")
	for _, n := range []int{5, 12, 200, len(file)} {
		r, err := logfile.NewReader(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(bad)))
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, bad) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestAClaimedLengthAllocatesNothing(t *testing.T) {
	file := write(t, nil)[:10]
	file = append(file, 'R', 0, 0, 0, 0, 0, 0, 0, 1) // 2^24 bytes, says the length
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := read(file)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 || !errors.Is(err, logfile.ErrTruncated) {
		t.Errorf("%d bytes allocated, %v", n, err)
	}
}

// TestRandomRuns writes and reads records of any size and content.
func TestRandomRuns(t *testing.T) {
	plan := newTestRun(t).plan
	rapid.Check(t, func(rt *rapid.T) {
		want := []schemas.Message{plan}
		seq := uint64(0)
		for range rapid.IntRange(0, 20).Draw(rt, "records") {
			m := plan
			seq += rapid.Uint64Range(1, 3).Draw(rt, "gap")
			m.Seq = seq
			m.Subject = "dpfpl.v1.run." + rapid.SampledFrom([]string{"update.anna.7", "control.3", "model", "checkpoint"}).Draw(rt, "subject")
			m.Raw = rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(rt, "raw")
			want = append(want, m)
		}
		got, err := read(write(t, want))
		if err != nil || list(got) != list(want) {
			rt.Fatalf("%v\n%s\nwant\n%s", err, list(got), list(want))
		}
	})
}

// FuzzReader: no bytes make it panic or yield a file that writing again would not reproduce.
func FuzzReader(f *testing.F) {
	run := newTestRun(f)
	file := write(f, run.messages(f))
	f.Add(file)
	f.Add(write(f, nil))
	f.Add(write(f, []schemas.Message{run.plan}))
	f.Add(file[:len(file)/2])
	f.Add(append(bytes.Clone(file), file...))
	f.Add([]byte("\x89dpfpl\r\n\x01\x00R\x00\x00\x00\x00\xff\xff\xff\x00"))
	f.Add([]byte("\x89dpfpl\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := read(b)
		if _, verr := logfile.Verify(bytes.NewReader(b)); err != nil && verr == nil {
			t.Fatalf("verified what cannot be read: %v", err)
		}
		if err == nil && !bytes.Equal(write(t, got), b) {
			t.Fatal("writing again what was read gives another file")
		}
	})
}

// BenchmarkRead reads full-size updates; ratio is the time over that of the digest which the chain needs.
func BenchmarkRead(b *testing.B) {
	plan := newTestRun(b).plan
	all := []schemas.Message{plan}
	for i := range uint64(200) {
		m := plan
		m.Subject, m.Seq, m.Raw = schemas.UpdateSubject("run", "anna", i+1), i+1, bytes.Repeat([]byte{byte(i)}, 33<<10)
		all = append(all, m)
	}
	file := write(b, all)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := logfile.NewReader(bytes.NewReader(file))
		for err == nil {
			_, err = r.NextSealed()
		}
		if err != io.EOF {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/200, "ns/update")
}
