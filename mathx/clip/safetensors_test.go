package clip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"
)

// file makes a safetensors file of a header and some data.
func safetensorsFile(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func openBytes(b []byte) (*Safetensors, error) {
	return OpenSafetensors("test.safetensors", bytes.NewReader(b), int64(len(b)))
}

// The golden file comes from testbed/reference/make_safetensors_goldens.py.
func TestSafetensorsGoldens(t *testing.T) {
	s, err := openBytes(mustRead(t, "testdata/safetensors/types.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	var want map[string][]float32
	readJSON(t, mustRead(t, "testdata/safetensors/types.json"), &want)
	if len(want) != 6 || len(s.Names()) != 7 {
		t.Fatalf("%d goldens, tensors %v", len(want), s.Names())
	}
	for name, values := range want {
		info, _ := s.Info(name)
		got, err := s.Tensor(name, info.Shape...)
		if err != nil || !slices.Equal(got, values) {
			t.Errorf("%s: %v %v, want %v", name, err, got, values)
		}
	}
	row := make([]float32, 5)
	if err := s.Row(row, "bf16", 2, 3); err != nil || !slices.Equal(row, want["bf16"][10:]) {
		t.Errorf("row: %v %v", err, row)
	}
	if err := s.Row(row, "bf16", 3, 3); !errors.Is(err, ErrWeights) {
		t.Errorf("row 3 of 3: %v", err)
	}
	if _, err := s.Tensor("position_ids", 1, 7); !errors.Is(err, ErrWeights) {
		t.Errorf("whole numbers as weights: %v", err)
	}
	if _, err := s.Tensor("f32", 5, 3); !errors.Is(err, ErrWeights) || !strings.Contains(err.Error(), "[3 5], want [5 3]") {
		t.Errorf("wrong shape: %v", err)
	}
	if _, err := s.Tensor("absent", 1); !errors.Is(err, ErrWeights) || !strings.Contains(err.Error(), `"absent"`) {
		t.Errorf("absent: %v", err)
	}
}

// hostile lists files that must be refused, with a word of the reason.
var hostile = map[string]struct {
	file   []byte
	reason string
}{
	"empty":             {nil, "too few"},
	"short":             {[]byte("1234567"), "too few"},
	"huge header":       {binary.LittleEndian.AppendUint64(nil, 1<<63), "header of"},
	"header beyond end": {append(binary.LittleEndian.AppendUint64(nil, 100), "{}"...), "header of"},
	"no JSON":           {safetensorsFile("hello", nil), ""},
	"array":             {safetensorsFile("[]", nil), "want {"},
	"text after":        {safetensorsFile("{}{}", nil), "after its end"},
	"not UTF-8":         {safetensorsFile("{\"\xff\":1}", nil), "UTF-8"},
	"cut":               {safetensorsFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]`, make([]byte, 4)), "EOF"},
	"twice":             {safetensorsFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, make([]byte, 4)), `"a" occurs twice`},
	"inner key twice":   {safetensorsFile(`{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}`, make([]byte, 4)), `"shape" occurs twice`},
	"unknown key":       {safetensorsFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, make([]byte, 4)), "unknown key"},
	"unknown type":      {safetensorsFile(`{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}`, make([]byte, 4)), "F33"},
	"number as type":    {safetensorsFile(`{"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}}`, make([]byte, 4)), "dtype"},
	"no shape":          {safetensorsFile(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, make([]byte, 4)), "missing"},
	"three offsets":     {safetensorsFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}`, make([]byte, 4)), "more than 2"},
	"negative offset":   {safetensorsFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, make([]byte, 4)), "non-negative"},
	"backwards":         {safetensorsFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, make([]byte, 4)), "backwards"},
	"overflowing":       {safetensorsFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}}`, make([]byte, 4)), "whole number"},
	"fraction":          {safetensorsFile(`{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`, make([]byte, 4)), "whole number"},
	"negative shape":    {safetensorsFile(`{"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}`, make([]byte, 4)), "non-negative"},
	"product overflows": {safetensorsFile(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, nil), "overflows"},
	"many dimensions":   {safetensorsFile(`{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}`, make([]byte, 4)), "more than 8"},
	"wrong product":     {safetensorsFile(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, make([]byte, 4)), "takes 8 bytes"},
	"truncated":         {safetensorsFile(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, make([]byte, 7)), "truncated"},
	"trailing":          {safetensorsFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, make([]byte, 5)), "after the last"},
	"overlap":           {safetensorsFile(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, make([]byte, 12)), "overlaps"},
	"same bytes":        {safetensorsFile(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, make([]byte, 8)), "overlaps"},
	"gap":               {safetensorsFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, make([]byte, 8)), "unused bytes"},
	"misaligned":        {safetensorsFile(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}`, make([]byte, 5)), "aligned"},
	"far away":          {safetensorsFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[9223372036854775800,9223372036854775804]}}`, make([]byte, 4)), "unused bytes"},
	"metadata":          {safetensorsFile(`{"__metadata__":{"a":1}}`, nil), "__metadata__"},
	"metadata twice":    {safetensorsFile(`{"__metadata__":{"a":"1","a":"2"}}`, nil), `"a" occurs twice`},
	"deep":              {safetensorsFile(`{"__metadata__":`+strings.Repeat("[", 20000)+`}`, nil), ""},
}

func TestSafetensorsRefusesHostileFiles(t *testing.T) {
	for name, h := range hostile {
		_, err := openBytes(h.file)
		if !errors.Is(err, ErrWeights) || !strings.Contains(err.Error(), h.reason) || !strings.Contains(err.Error(), "test.safetensors") {
			t.Errorf("%s: %v, want %q", name, err, h.reason)
		}
	}
}

func TestSafetensorsMetadata(t *testing.T) {
	s, err := openBytes(safetensorsFile(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"__metadata__":{"b":"x","a":"\u00e9"}}  `, nil))
	if err != nil {
		t.Fatal(err)
	}
	if m := s.Metadata(); len(m) != 2 || m["a"] != "é" || m["b"] != "x" {
		t.Errorf("%v", m)
	}
}

func TestSafetensorsRefusesNonFinite(t *testing.T) {
	for _, v := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
		data := binary.LittleEndian.AppendUint32(make([]byte, 4), math.Float32bits(v))
		s, err := openBytes(safetensorsFile(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, data))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Tensor("a", 2); !errors.Is(err, ErrWeights) || !strings.Contains(err.Error(), "element 1") {
			t.Errorf("%v: %v", v, err)
		}
	}
}

// A claim of much data with nothing behind it costs no memory.
func TestSafetensorsAllocatesLittle(t *testing.T) {
	for name, h := range hostile {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const runs = 10
		for range runs {
			if _, err := openBytes(h.file); err == nil {
				t.Fatalf("%s: accepted", name)
			}
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / runs; n > uint64(1<<14+40*len(h.file)) {
			t.Errorf("%s: %d bytes allocated for %d", name, n, len(h.file))
		}
	}
}

// TestSafetensorsRoundTrip writes random layouts and reads them back, whole
// and cut.
func TestSafetensorsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var header []string
		var data []byte
		want := map[string][]float32{}
		shapes := map[string][]int{}
		for i := range rapid.IntRange(1, 5).Draw(t, "tensors") {
			name := fmt.Sprintf("t.%d", i)
			rows, cols := rapid.IntRange(0, 4).Draw(t, "rows"), rapid.IntRange(1, 5).Draw(t, "cols")
			begin := len(data)
			for range rows * cols {
				v := rapid.Float32Range(-1e30, 1e30).Draw(t, "v")
				want[name] = append(want[name], v)
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
			}
			shapes[name] = []int{rows, cols}
			header = append(header, fmt.Sprintf(`%q:{"data_offsets":[%d,%d],"shape":[%d,%d],"dtype":"F32"}`, name, begin, len(data), rows, cols))
		}
		file := safetensorsFile("{"+strings.Join(header, ",")+"}  ", data)
		s, err := openBytes(file)
		if err != nil {
			t.Fatal(err)
		}
		for name, shape := range shapes {
			got, err := s.Tensor(name, shape...)
			if err != nil || !slices.Equal(got, want[name]) {
				t.Fatalf("%s: %v %v, want %v", name, err, got, want[name])
			}
		}
		cut := rapid.IntRange(0, len(file)-1).Draw(t, "cut")
		_, err = openBytes(file[:cut])
		if !errors.Is(err, ErrWeights) {
			t.Fatalf("cut at %d of %d: %v", cut, len(file), err)
		}
	})
}

func FuzzSafetensors(f *testing.F) {
	for _, h := range hostile {
		f.Add(h.file)
	}
	f.Add(mustRead(f, "testdata/safetensors/types.safetensors"))
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := openBytes(file)
		if err != nil {
			if !errors.Is(err, ErrWeights) {
				t.Fatal(err)
			}
			return
		}
		total := int64(0)
		for _, name := range s.Names() {
			info, _ := s.Info(name)
			total += info.size
			v, err := s.Tensor(name, info.Shape...)
			if err != nil && !errors.Is(err, ErrWeights) {
				t.Fatal(err)
			}
			if err == nil && int64(len(v))*dtypeSize[info.DType] != info.size {
				t.Fatalf("%s: %d values for %d bytes", name, len(v), info.size)
			}
		}
		if total > int64(len(file)) {
			t.Fatalf("%d bytes of tensors in a file of %d", total, len(file))
		}
	})
}

func TestCheckpointSharded(t *testing.T) {
	shard := func(name string, v float32) *fstest.MapFile {
		return &fstest.MapFile{Data: safetensorsFile(fmt.Sprintf(`{%q:{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, name),
			binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))}
	}
	index := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	const indexName = "model.safetensors.index.json"
	good := index(`{"metadata":{"total_size":8},"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}`)
	fsys := fstest.MapFS{indexName: good, "m-1.safetensors": shard("a", 1), "m-2.safetensors": shard("b", 2)}
	for kind, fsys := range map[string]fs.FS{"in place": fsys, "read whole": noReaderAt{fsys}} {
		c, err := OpenCheckpoint(fsys)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		for name, want := range map[string]float32{"a": 1, "b": 2} {
			if v, err := c.Tensor(name, 1); err != nil || v[0] != want {
				t.Errorf("%s: %s: %v %v", kind, name, v, err)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, tc := range map[string]struct {
		fsys fstest.MapFS
		err  error
	}{
		"nothing":      {fstest.MapFS{}, fs.ErrNotExist},
		"shard absent": {fstest.MapFS{indexName: good, "m-1.safetensors": shard("a", 1)}, fs.ErrNotExist},
		"wrong shard":  {fstest.MapFS{indexName: good, "m-1.safetensors": shard("b", 1), "m-2.safetensors": shard("a", 1)}, ErrWeights},
		"outside":      {fstest.MapFS{indexName: index(`{"weight_map":{"a":"../secret"}}`)}, ErrWeights},
		"no map":       {fstest.MapFS{indexName: index(`{}`)}, ErrWeights},
		"no JSON":      {fstest.MapFS{indexName: index(`x`)}, ErrWeights},
		"folder":       {fstest.MapFS{"model.safetensors": &fstest.MapFile{Mode: fs.ModeDir}}, ErrWeights},
	} {
		if _, err := OpenCheckpoint(tc.fsys); !errors.Is(err, tc.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// noReaderAt hides io.ReaderAt and io.Seeker.
type noReaderAt struct{ fs.FS }

func (n noReaderAt) Open(name string) (fs.File, error) {
	f, err := n.FS.Open(name)
	return struct{ fs.File }{f}, err
}

// countingReader shows what is read of a file.
type countingReader struct {
	io.ReaderAt
	bytes int
}

func (c *countingReader) ReadAt(b []byte, at int64) (int, error) {
	c.bytes += len(b)
	return c.ReaderAt.ReadAt(b, at)
}

func TestSafetensorsReadsOnlyWhatIsAsked(t *testing.T) {
	file := safetensorsFile(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"big":{"dtype":"U8","shape":[1000000],"data_offsets":[8,1000008]}}`, make([]byte, 1000008))
	r := &countingReader{ReaderAt: bytes.NewReader(file)}
	s, err := OpenSafetensors("f", r, int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tensor("a", 2); err != nil {
		t.Fatal(err)
	}
	if r.bytes > 200 {
		t.Errorf("%d bytes read", r.bytes)
	}
}

// A file that shrinks after its header was read is an error, not a panic.
func TestSafetensorsShrinkingFile(t *testing.T) {
	file := safetensorsFile(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, make([]byte, 8))
	s, err := OpenSafetensors("f", bytes.NewReader(file[:len(file)-3]), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tensor("a", 2); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if err := s.Row(make([]float32, 2), "a", 0, 1); !errors.Is(err, ErrWeights) {
		t.Error(err)
	}
}
