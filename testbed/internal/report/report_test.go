package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run with -update and look at the difference\n%s", name, got)
	}
}

func TestResultsGolden(t *testing.T) {
	raw, err := synthetic().Results.encode()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "results.json", raw)
	var back Results
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	again, err := back.encode()
	if err != nil || !bytes.Equal(raw, again) {
		t.Errorf("results do not survive reading and writing: %v\n%s", err, again)
	}
}

// TestWallClock checks that only a run on real time tells how long it took.
func TestWallClock(t *testing.T) {
	for _, virtual := range []bool{true, false} {
		r := synthetic()
		r.Virtual = virtual
		raw, err := r.Results.encode()
		if err != nil {
			t.Fatal(err)
		}
		page, err := r.page()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte(`"wall_seconds": 123.4`)) == virtual || bytes.Contains(page, []byte("2.1 min")) == virtual {
			t.Errorf("virtual time %v: wall time in the wrong place", virtual)
		}
	}
}

func TestNoPrivacy(t *testing.T) {
	r := synthetic()
	r.Noise, r.EpsilonBudget = NoiseNone, Number(math.Inf(1))
	for i := range r.Clients {
		r.Clients[i].EpsilonRDP, r.Clients[i].EpsilonPLD = Number(math.Inf(1)), Number(math.Inf(1))
	}
	raw, err := r.Results.encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"epsilon_rdp": null`, `"epsilon_pld": null`, `"epsilon_budget": null`} {
		if !bytes.Contains(raw, []byte(want)) {
			t.Errorf("no %s", want)
		}
	}
	page, err := r.page()
	if err != nil || !bytes.Contains(page, []byte("no privacy")) || bytes.Contains(page, []byte("Privacy spent")) {
		t.Errorf("the page of a run without noise: %v", err)
	}
	var table bytes.Buffer
	if err := Table(&table, &r.Results); err != nil || !strings.Contains(table.String(), "Privacy: none") || !strings.Contains(table.String(), "∞") {
		t.Errorf("%v\n%s", err, &table)
	}
}

func TestTableGolden(t *testing.T) {
	var b bytes.Buffer
	if err := Table(&b, &synthetic().Results); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", b.Bytes())
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// TestPage checks that the page is well formed, complete, the same each time, and refers to nothing outside itself.
func TestPage(t *testing.T) {
	page, err := synthetic().page()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := synthetic().page(); err != nil || !bytes.Equal(page, again) {
		t.Error("two pages of one run differ", err)
	}
	count := wellFormed(t, page)
	if count["figure"] != 6 || count["img"] != 12 || count["td"] < 130 {
		t.Errorf("elements: %v", count)
	}
	for _, want := range []string{"client-05", "ten times slower than the others", "four leaf clover", "update.&lt;client&gt;.&lt;k&gt;", "not comparable with the paper", "never trained on", "no privacy follows"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if bytes.Contains(page, []byte("ZgotmplZ")) || showsNaN(page) {
		t.Error("the template refused a value, or NaN is shown")
	}
}

// showsNaN tells whether NaN stands anywhere but in the script.
func showsNaN(page []byte) bool { return bytes.Contains(script.ReplaceAll(page, nil), []byte("NaN")) }

var script = regexp.MustCompile(`(?s)<script>.*</script>`)

// wellFormed parses the page, counts elements and fails on whatever would be fetched from elsewhere.
func wellFormed(t *testing.T, page []byte) map[string]int {
	t.Helper()
	if m := regexp.MustCompile(`(?i)https?://|url\(|@import|//[a-z]+\.`).Find(page); m != nil {
		t.Errorf("the page refers to %q", m)
	}
	page = script.ReplaceAll(page, nil)
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	count, open := map[string]int{}, []string{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			count[e.Name.Local]++
			open = append(open, e.Name.Local)
			for _, a := range e.Attr {
				if n := a.Name.Local; (n == "src" || n == "href") && !strings.HasPrefix(a.Value, "data:image/png;base64,") && !strings.HasPrefix(a.Value, "#") {
					t.Errorf("<%s %s=%q>", e.Name.Local, n, a.Value)
				}
			}
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != e.Name.Local {
				t.Fatalf("</%s> closes %v", e.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) != 0 {
		t.Errorf("not closed: %v", open)
	}
	return count
}

// TestHostileText checks that names from a data set or plan cannot break out of the page.
func TestHostileText(t *testing.T) {
	const hostile = `<script>alert("x")</script>'"&`
	r := synthetic()
	r.Data, r.Plan, r.LocalTest = hostile, hostile, hostile
	r.Clients[0].ID, r.Clients[0].Style, r.Clients[0].Fate = hostile, hostile, hostile
	r.Clients[0].Classes = []string{hostile}
	r.Gallery[0].Truth, r.Gallery[0].After = hostile, hostile
	r.Spans, r.Updates, r.Notes = []Span{{hostile, 0, 5}}, []Update{{hostile, 1, 0, "accepted"}}, []string{hostile}
	page, err := r.page()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(page, []byte("<script>alert")) {
		t.Error("a name became a script")
	}
	wellFormed(t, page)
}

// TestSparse checks that a page comes of a run that was cut off before anything was measured.
func TestSparse(t *testing.T) {
	full := synthetic()
	for name, r := range map[string]*Run{
		"nothing":      {},
		"only clients": {Results: Results{Noise: NoiseClient, Clients: full.Clients[:1]}},
		"one point":    {Results: full.Results, Series: full.Series[:1]},
		"unknown": {Results: Results{Clients: []Client{{ID: "a", Local: Unknown, Neighbour: Unknown}}},
			Series: []Point{{Local: []float64{math.NaN()}, Epsilon: []float64{math.Inf(1)}}}, Gallery: []Specimen{{}}},
		"one moment": {Results: full.Results, Spans: []Span{{"client-01", 0, 0}}, Updates: []Update{{"client-01", 0, 300, "stale"}}},
	} {
		page, err := r.page()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wellFormed(t, page)
		if showsNaN(page) {
			t.Errorf("%s: NaN is shown", name)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*Run){
		"short series":      func(r *Run) { r.Series[3].Epsilon = r.Series[3].Epsilon[:9] },
		"span of a ghost":   func(r *Run) { r.Spans[0].Client = "ghost" },
		"update of a ghost": func(r *Run) { r.Updates[0].Client = "ghost" },
	} {
		r := synthetic()
		change(r)
		dir := t.TempDir()
		if err := r.Write(dir); err == nil {
			t.Errorf("%s: accepted", name)
		}
		empty(t, dir)
	}
}

func empty(t *testing.T, dir string, but ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if strings.Join(names, " ") != strings.Join(but, " ") {
		t.Errorf("%s holds %q, want %q", dir, names, but)
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "out")
	if err := Prepare(dir); err != nil {
		t.Fatal(err)
	}
	empty(t, dir)
	for range 2 { // the second time over the first
		if err := synthetic().Write(dir); err != nil {
			t.Fatal(err)
		}
		empty(t, dir, PageFile, ResultsFile)
	}
	if err := WriteFile(dir, "run.dpfpl", []byte("log")); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "run.dpfpl")); err != nil || string(raw) != "log" {
		t.Error(string(raw), err)
	}
}

func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if err := Prepare(path); !errors.Is(err, ErrFolder) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", path, err)
		}
	}
	gone := filepath.Join(dir, "gone")
	if err := synthetic().Write(gone); !errors.Is(err, ErrFolder) || !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	taken := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(taken, ResultsFile, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Prepare(taken); !errors.Is(err, ErrFolder) {
		t.Error(err)
	}
	if err := synthetic().Write(taken); !errors.Is(err, ErrFolder) {
		t.Error(err)
	}
	empty(t, taken, ResultsFile) // nothing half-written beside the folder that was there
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{percent(0.4567), "45.7"}, {percent(Unknown), "–"},
		{points(0.1), "+10.0"}, {points(-0.1), "-10.0"}, {points(-0.0001), "+0.0"},
		{epsilon(7.991), "8.00"}, {epsilon(8), "8.00"}, {epsilon(8.0001), "8.01"}, {epsilon(Number(math.Inf(1))), "∞"}, {epsilon(Unknown), "–"},
		{bytesize(1000), "1000 B"}, {bytesize(2048), "2.0 KiB"}, {bytesize(3 << 20), "3.0 MiB"},
		{duration(90), "90.0 s"}, {duration(300), "5.0 min"}, {duration(36000), "10.0 h"},
		{wrap("aa bb cc", 5), "aa bb\n  cc"}, {clip("abcdef", 4), "abc…"}, {list([]string{"a", "b"}), "a, b"},
		{interval(0.8, 10), "49–94"}, {interval(Unknown, 10), ""},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
