package promptfile

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nkeys"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/schemas"
)

// Errors of this package.
var (
	// ErrFile reports bytes that are no prompt file, or fields that make none; the message names the field.
	ErrFile = errors.New("promptfile: not a prompt file")
	// ErrSignature reports a file that its signer did not sign as it is.
	ErrSignature = errors.New("promptfile: wrong signature")
)

// format is the version of the file.
const format = "dpfpl prompt 1"

// position says where in a prompt the context stands.
const position = "front"

// Bounds of a file.
const (
	maxHeader    = 1 << 20
	maxText      = 256
	maxStatement = 4096
	maxValue     = 1e6 // of a number of the context, far beyond any that a model makes sense of
	// MaxSize is the most bytes of a file.
	MaxSize = 8 + maxHeader + 4*schemas.MaxValues
)

// File is a personal prompt with what must be known of it.
type File struct {
	Run, Client string
	Plan        string // hex SHA-256 of the sealed plan
	Version     uint64 // of the global prompt in it
	Backbone    string // hex digest of the frozen model
	Classes     []string
	Ending      string // follows a class name
	Method      string
	Rank        int
	Privacy     Privacy

	Rows, Width int       // l, d
	Context     []float32 // l×d

	Signer string // public nkey; set by Seal
	Time   time.Time
}

// Privacy is what the prompt tells of one record.
type Privacy struct {
	// Protected is false for a run without a guarantee: every epsilon is +Inf.
	Protected bool
	// Epsilons of the run when the file was made, and of all runs on the same records; PLD is NaN where none is known.
	RDP, PLD       float64
	AllRDP, AllPLD float64
	Delta          float64
	Adjacency      string
	Steps          uint64 // spent in the run
	Statement      string
}

// validate reports what is wrong with the file by itself. Errors: ErrFile.
func (f *File) validate() error {
	var errs []error
	must := func(ok bool, field, format string, args ...any) {
		if !ok {
			errs = append(errs, bad(field, format, args...))
		}
	}
	must(schemas.ValidName(f.Run), "run", "%.80q is no name", f.Run)
	must(schemas.ValidName(f.Client), "client", "%.80q is no name", f.Client)
	must(isDigest(f.Plan), "plan", "%.80q is no digest", f.Plan)
	must(isDigest(f.Backbone), "backbone", "%.80q is no digest", f.Backbone)
	must(len(f.Ending) <= maxText && printable(f.Ending), "ending", "%.80q is no text", f.Ending)
	must(slices.Contains(prompt.Methods(), f.Method), "method", "%.80q is unknown", f.Method)
	must(f.Rank >= 0 && f.Rank <= schemas.MaxContext, "rank", "%d", f.Rank)
	must(nkeys.IsValidPublicKey(f.Signer), "signer", "%.80q is no public nkey", f.Signer)
	must(f.Time.Equal(f.Time.Truncate(time.Second)) && f.Time.Year() >= 2000 && f.Time.Year() < 10000, "time", "%v", f.Time)
	return errors.Join(append(errs, f.checkClasses(), f.checkContext(), f.Privacy.check())...)
}

func (f *File) checkClasses() error {
	if len(f.Classes) < 2 {
		return bad("classes", "%d leave nothing to tell apart", len(f.Classes))
	}
	seen := make(map[string]bool, len(f.Classes))
	for i, c := range f.Classes {
		if strings.TrimSpace(c) == "" || len(c) > maxText || !printable(c) || seen[c] {
			return bad("classes", "entry %d, %.80q, is no name or there twice", i, c)
		}
		seen[c] = true
	}
	return nil
}

func (f *File) checkContext() error {
	if err := checkShape(f.Rows, f.Width); err != nil {
		return err
	}
	if len(f.Context) != f.Rows*f.Width {
		return bad("context", "%d numbers, want %d×%d", len(f.Context), f.Rows, f.Width)
	}
	for i, v := range f.Context {
		if !(math.Abs(float64(v)) <= maxValue) { // also catches NaN
			return bad("context", "number %d is %v", i, v)
		}
	}
	return nil
}

func checkShape(rows, width int) error {
	if rows < 1 || rows > schemas.MaxContext || width < 1 || width > schemas.MaxValues/rows {
		return bad("context", "shape %d×%d, at most %d rows and %d numbers fit", rows, width, schemas.MaxContext, schemas.MaxValues)
	}
	return nil
}

func (p *Privacy) check() error {
	_, err := dp.ParseAdjacency(p.Adjacency)
	epsilons := []float64{p.RDP, p.AllRDP}
	for _, pld := range []float64{p.PLD, p.AllPLD} {
		if !math.IsNaN(pld) {
			epsilons = append(epsilons, pld)
		}
	}
	for _, epsilon := range epsilons {
		if !(epsilon >= 0) || math.IsInf(epsilon, 1) == p.Protected {
			return bad("epsilon", "%v with protection %q", epsilon, protection(p.Protected))
		}
	}
	switch {
	case err != nil:
		return bad("adjacency", "%.80q is unknown", p.Adjacency)
	case !(p.Delta > 0 && p.Delta < 1):
		return bad("delta", "%v is not in (0, 1)", p.Delta)
	case p.AllRDP < p.RDP:
		return bad("epsilon_rdp_all_runs", "%v is less than the %v of this run", p.AllRDP, p.RDP)
	case len(p.Statement) > maxStatement || !printable(strings.ReplaceAll(p.Statement, "\n", "")):
		return bad("statement", "is no text of at most %d bytes", maxStatement)
	}
	return nil
}

func bad(field, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrFile, field, fmt.Sprintf(format, args...))
}

func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// printable keeps out of what is printed what a terminal would act on, or what would turn a line's direction.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) })
}
