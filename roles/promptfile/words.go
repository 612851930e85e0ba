package promptfile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// Words says what the file is, in sentences for a person.
func (f *File) Words() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("Personal prompt of client %s in run %s, by %s.", f.Client, f.Run, f.method())
	say("%d vectors of width %d in front of a class name and %q; learned with %d classes: %s.", f.Rows, f.Width, f.Ending, len(f.Classes), f.some())
	say("For backbone %s, with version %d of the global prompt.", f.Backbone, f.Version)
	say("Plan %s.", f.Plan)
	say("Exported %s and signed by %s.", f.Time.UTC().Format(time.DateTime+" UTC"), f.Signer)
	say("")
	b.WriteString(f.Privacy.words())
	return b.String()
}

func (f *File) method() string {
	if f.Rank > 0 {
		return fmt.Sprintf("%s of rank %d", f.Method, f.Rank)
	}
	return f.Method
}

func (f *File) some() string {
	const most = 10
	if len(f.Classes) <= most {
		return strings.Join(f.Classes, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(f.Classes[:most], ", "), len(f.Classes)-most)
}

func (p *Privacy) words() string {
	if !p.Protected {
		return "NOT PROTECTED: exported on demand from a run without a guarantee. This prompt may hold any record of the client.\n" + p.Statement
	}
	return fmt.Sprintf("%sOver all runs on the same records: epsilon = %s by Rényi divergence, %s by the privacy-loss distribution.\n",
		p.Statement, round(p.AllRDP), round(p.AllPLD))
}

func round(v float64) string {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return epsilonText(v)
	}
	return fmt.Sprintf("%.4f", v)
}

// JSON returns the file's metadata as an object with the shape of the context and the digest of raw, the file's bytes.
func (f *File) JSON(raw []byte) ([]byte, error) {
	digest := sha256.Sum256(raw)
	out := map[string]any{"shape": []int{f.Rows, f.Width}, "sha256": hex.EncodeToString(digest[:])}
	for k, v := range f.metadata() {
		out[k] = v
	}
	p := &f.Privacy
	for k, v := range map[string]float64{
		"epsilon_rdp": p.RDP, "epsilon_pld": p.PLD, "epsilon_rdp_all_runs": p.AllRDP, "epsilon_pld_all_runs": p.AllPLD, "delta": p.Delta,
	} {
		if out[k] = v; math.IsInf(v, 0) || math.IsNaN(v) {
			out[k] = epsilonText(v)
		}
	}
	out["classes"], out["rank"], out["steps"], out["model_version"] = f.Classes, f.Rank, p.Steps, f.Version
	return json.MarshalIndent(out, "", "  ")
}
