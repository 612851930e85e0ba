package replayer

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"dpfpl/schemas"
)

// Result is what a replay found.
type Result struct {
	Plan *schemas.Plan
	Tally
	Agreed uint64 // the newest version that the replay gives bit for bit
	Final  bool   // of it
	Last   uint64 // the log sequence up to which all was read
	// Beyond counts versions that the log completes but that are not recorded: the aggregator had not
	// got there yet.
	Beyond int
	// Divergence is where replay and record part; nil if they do not.
	Divergence *Divergence
}

// Divergence names the first version that a replay does not give, and the log message that made the
// difference, as far as it shows.
type Divergence struct {
	Version uint64
	Seq     uint64 // log sequence
	Client  string // empty if no single client is to blame
	What    string
}

func (d *Divergence) String() string {
	s := fmt.Sprintf("version %d at log sequence %d", d.Version, d.Seq)
	if d.Client != "" {
		s += ", client " + d.Client
	}
	return s + ": " + d.What
}

// Replay runs the fold over the log of a run and compares every version with the recorded one:
// parameters, contributors, place in the log, signature and parent; and every checkpoint with the log
// that was read. It stops at the first divergence, and after version until, unless that is 0. Errors:
// ErrSource, and those of the source and of newFold; the result then says how far it came.
func Replay(src Source, newFold NewFold, until uint64) (Result, error) {
	r, err := begin(src)
	if err != nil {
		return Result{}, err
	}
	defer r.stop()
	fold, err := newFold(r.plan, r.first.Params.Floats(nil))
	if err != nil {
		return Result{}, err
	}
	c := comparison{
		run: r, parent: r.digest, result: Result{Plan: r.plan, Final: r.first.Final},
		subjects: map[string]uint64{}, fates: map[uint64]string{},
	}
	for it, err := range ahead(r.rest, fold.Examine) {
		if err != nil {
			return c.end(), err
		}
		if it.log() {
			c.read(it, fold)
		} else {
			c.compare(it.Message)
		}
		if c.result.Divergence != nil || until > 0 && c.result.Agreed >= until && c.checkpointed {
			break
		}
	}
	return c.end(), nil
}

// comparison is the state of a replay beside the record.
type comparison struct {
	*run
	result       Result
	chain        [32]byte          // over the log so far
	subjects     map[string]uint64 // of the log so far, with their sequence
	gap          string            // the first hole in the log
	fates        map[uint64]string // of the log messages since the newest recorded model
	parent       [32]byte          // digest of the newest recorded model
	checkpointed bool              // the newest recorded model's checkpoint was compared
	ours         []*schemas.Model  // completed, not compared yet
}

// accepted is the fate of an update that was folded in.
const accepted = "accepted"

// read takes in a log message.
func (c *comparison) read(it *item, fold Fold) {
	last := c.result.Last
	first, twice := c.subjects[it.Subject]
	_, _, client, _, _ := schemas.ParseSubject(it.Subject)
	d := &Divergence{Version: c.result.Agreed + uint64(len(c.ours)) + 1, Seq: it.Seq, Client: client}
	switch {
	case it.Seq <= last:
		d.What = fmt.Sprintf("it comes after sequence %d", last)
	case twice:
		d.What = fmt.Sprintf("%s is there twice, first at sequence %d", it.Subject, first)
	case it.Seq > last+1 && c.gap == "":
		c.gap = fmt.Sprintf("; no message from sequence %d to %d", last+1, it.Seq-1)
	}
	if d.What != "" {
		c.result.Divergence = d
		return
	}
	c.subjects[it.Subject], c.result.Last = it.Seq, it.Seq
	c.chain = schemas.Chain(c.chain, it.digest)
	followed := fold.Apply(it.Message, it.checked)
	for _, b := range followed {
		switch b := b.(type) {
		case *schemas.Note:
			c.fates[it.Seq] = strings.TrimSuffix(fmt.Sprintf("%s: %s", b.Verdict, b.Reason), ": ")
		case *schemas.Dead:
			c.fates[it.Seq] = fmt.Sprintf("refused: %s: %s", b.Reason, b.Detail)
		}
	}
	c.ours = append(c.ours, c.result.take(it.Message, followed)...)
}

func (c *comparison) end() Result {
	c.result.Beyond = len(c.ours)
	return c.result
}

// compare holds a recorded model or checkpoint against ours.
func (c *comparison) compare(m schemas.Message) {
	if m.Err == nil {
		m.Err = schemas.Verify(m.Raw, c.plan.Aggregator)
	}
	next := &Divergence{Version: c.result.Agreed + 1, Seq: c.result.Last}
	switch b := m.Body.(type) {
	case *schemas.Model:
		switch {
		case m.Err != nil:
			next.What = m.Err.Error()
		case len(c.ours) == 0:
			next.What = fmt.Sprintf("the record completes version %d here, the replay does not", b.Version)
			c.explain(next, b.Folded)
		case b.Parent != c.parent:
			next.What = "the recorded model does not descend from the version before it"
		default:
			c.parts(next, c.ours[0], b)
		}
		if next.What == "" {
			clear(c.fates)
			c.ours, c.parent, c.checkpointed = c.ours[1:], schemas.Digest(m.Raw), false
			c.result.Agreed, c.result.Final = b.Version, b.Final
			return
		}
	case *schemas.Checkpoint:
		next.Version = b.Version
		switch {
		case m.Err != nil:
			next.What = m.Err.Error()
		case b.Version != c.result.Agreed || b.Model != c.parent:
			next.What = "the checkpoint is not that of the recorded model"
		case b.Chain != c.chain:
			next.What = fmt.Sprintf("the log up to sequence %d is not the one that the aggregator read%s", b.Applied, c.gap)
		default:
			c.checkpointed = true
			return
		}
	default:
		next.What = fmt.Sprintf("unreadable record %s: %v", m.Subject, m.Err)
	}
	c.result.Divergence = next
}

// parts fills in how our version and the recorded one differ, if they do.
func (c *comparison) parts(d *Divergence, ours, record *schemas.Model) {
	switch {
	case ours.Version != record.Version:
		d.What = fmt.Sprintf("the record has version %d here, the replay version %d", record.Version, ours.Version)
	case c.explain(d, record.Folded):
	case !slices.Equal(ours.Folded, record.Folded):
		d.addition(record.Folded, ours.Folded)
	case ours.Applied != record.Applied:
		d.Seq = ours.Applied
		d.What = fmt.Sprintf("the replay completes it at sequence %d, the record at %d", ours.Applied, record.Applied)
	case ours.Final != record.Final:
		d.What = fmt.Sprintf("final is %v in the replay, %v in the record", ours.Final, record.Final)
	case !bytes.Equal(ours.Params.Data, record.Params.Data):
		d.Seq = ours.Applied
		d.What = "of the same updates the replay makes other parameters: " + firstDifference(ours.Params, record.Params)
	}
}

// explain names the first update that the record folds in and the replay does not accept; it reports
// false if there is none.
func (c *comparison) explain(d *Divergence, record []schemas.Folded) bool {
	for _, f := range record {
		fate, there := c.fates[f.Seq]
		if !there {
			fate = "it is not in the log" + c.gap
		}
		if fate != accepted {
			d.Seq, d.Client = f.Seq, f.Client
			d.What = fmt.Sprintf("the record folds in update %d, the replay does not: %s", f.K, fate)
			return true
		}
	}
	return false
}

// addition names the first update that the replay folds in and the record does not, or not so.
func (d *Divergence) addition(record, ours []schemas.Folded) {
	for i, f := range ours {
		if i < len(record) && record[i] == f {
			continue
		}
		d.Seq, d.Client = f.Seq, f.Client
		d.What = fmt.Sprintf("the replay folds in update %d with staleness %d and weight %d, the record does not", f.K, f.Staleness, f.Weight)
		return
	}
	d.What = fmt.Sprintf("the record folds in %d updates, the replay %d of them", len(record), len(ours))
}

func firstDifference(ours, record schemas.Params) string {
	if ours.Rows != record.Rows || ours.Cols != record.Cols {
		return fmt.Sprintf("%d×%d, recorded %d×%d", ours.Rows, ours.Cols, record.Rows, record.Cols)
	}
	a, b := ours.Floats(nil), record.Floats(nil)
	for j := range a {
		if math.Float32bits(a[j]) != math.Float32bits(b[j]) {
			return fmt.Sprintf("number %d is %v, recorded %v", j, a[j], b[j])
		}
	}
	return "none"
}
