package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dpfpl/schemas"
)

// printer prints messages, one a line.
type printer struct {
	json  bool
	kinds []string
}

func (p *printer) register(c *cobra.Command) {
	c.Flags().BoolVar(&p.json, "json", false, "one JSON object a line, with everything the message says")
	c.Flags().StringSliceVar(&p.kinds, "kind", nil, "only these `kinds`: plan, update, control, model, checkpoint")
}

func (p *printer) check() error {
	for _, k := range p.kinds {
		if !slices.Contains([]string{"plan", "update", "control", "model", "checkpoint"}, k) {
			return input(fmt.Errorf("--kind: no message of kind %q is kept", k))
		}
	}
	return nil
}

func (p *printer) print(w io.Writer, m schemas.Message) error {
	kind, _, _, _, _ := schemas.ParseSubject(m.Subject)
	if len(p.kinds) > 0 && !slices.Contains(p.kinds, kind.String()) {
		return nil
	}
	if m.Body == nil && m.Err == nil {
		m.Body, m.Err = schemas.Open(m.Raw)
	}
	if p.json {
		return printJSON(w, kind, m)
	}
	_, err := fmt.Fprintf(w, "%6d  %s  %s\n", m.Seq, m.Time.UTC().Format("2006-01-02 15:04:05.000"), describe(m))
	return err
}

// describe says in a line what a message says.
func describe(m schemas.Message) string {
	if m.Err != nil {
		return fmt.Sprintf("unreadable, %d bytes on %s: %v", len(m.Raw), m.Subject, m.Err)
	}
	switch b := m.Body.(type) {
	case *schemas.Plan:
		return fmt.Sprintf("plan of run %s: %s by %s, prompt %d×%d, %d classes, %d members, %d versions, %s",
			b.Run, b.Method.Name, b.Rule.Name, b.Prompt.Context, b.Prompt.Width, len(b.Classes), len(b.Members), b.Versions, guarantee(b.Privacy))
	case *schemas.Update:
		return fmt.Sprintf("update %d of %s, base %d, norm %s, q %v, z %v", b.K, b.Sender, b.Base, short(latticeNorm(b.Sum)), b.Mechanism.Rate, b.Mechanism.Z)
	case *schemas.Control:
		words := fmt.Sprintf("control %d: %s %s %s, collecting version %d", b.N, b.Event, b.Client, b.Reason, b.Version)
		return strings.ReplaceAll(strings.Join(strings.Fields(words), " "), " ,", ",")
	case *schemas.Model:
		return fmt.Sprintf("model %d of %d updates, norm %s, log sequence %d%s", b.Version, len(b.Folded), short(paramsNorm(b.Params)), b.Applied, final(b.Final))
	case *schemas.Checkpoint:
		active := 0
		for _, member := range b.Members {
			if member.Active {
				active++
			}
		}
		return fmt.Sprintf("checkpoint %d, log sequence %d, %d of %d members count%s", b.Version, b.Applied, active, len(b.Members), final(b.Final))
	}
	return fmt.Sprintf("%v message", m.Body.Kind())
}

func guarantee(p schemas.PrivacyPlan) string {
	if p.Noise == schemas.NoiseNone {
		return "no privacy"
	}
	return fmt.Sprintf("ε %v at δ %v (%s, one record)", p.Epsilon, p.Delta, p.Adjacency)
}

func final(yes bool) string {
	if yes {
		return ", final"
	}
	return ""
}

func latticeNorm(l schemas.Lattice) float64 {
	total := 0.0
	for _, x := range l.Ints(nil) {
		total += float64(x) * float64(x)
	}
	return math.Sqrt(total) * l.Step
}

func paramsNorm(p schemas.Params) float64 {
	total := 0.0
	for _, x := range p.Floats(nil) {
		total += float64(x) * float64(x)
	}
	return math.Sqrt(total)
}

func printJSON(w io.Writer, kind schemas.Kind, m schemas.Message) error {
	digest := schemas.Digest(m.Raw)
	object := map[string]any{
		"seq": m.Seq, "time": m.Time.UTC().Format(time.RFC3339Nano), "subject": m.Subject, "kind": kind.String(),
		"bytes": len(m.Raw), "digest": hex.EncodeToString(digest[:]),
	}
	if m.Err != nil {
		object["error"], object["raw"] = m.Err.Error(), base64.StdEncoding.EncodeToString(m.Raw)
	} else {
		object["body"] = plain(reflect.ValueOf(m.Body).Elem())
	}
	line, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", line)
	return err
}

// plain turns a body into what JSON can say: fields under their wire names, the header under "header",
// digests in hex and other bytes in base64.
func plain(v reflect.Value) any {
	bytes := (v.Kind() == reflect.Array || v.Kind() == reflect.Slice) && v.Type().Elem().Kind() == reflect.Uint8
	switch {
	case v.Kind() == reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("msgpack")
			if v.Type().Field(i).Anonymous {
				name = "header"
			}
			fields[name] = plain(v.Field(i))
		}
		return fields
	case bytes && v.Kind() == reflect.Array:
		digest := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(digest), v)
		return hex.EncodeToString(digest)
	case bytes:
		return base64.StdEncoding.EncodeToString(v.Bytes())
	case v.Kind() == reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	}
	return v.Interface()
}
