package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"dpfpl/mathx/clip"
	"dpfpl/roles/client"
	"dpfpl/roles/client/blackbox"
	"dpfpl/roles/client/ledger"
	"dpfpl/roles/client/retrace"
	"dpfpl/roles/replayer"
	"dpfpl/schemas"
)

// replayClientFlags are those of dpfpl replay client.
type replayClientFlags struct {
	source         sourceFlags
	client, ledger string

	box, key            string // with all that follows
	model, data, ending string
	prune               float64
}

func newReplayClientCommand() *cobra.Command {
	var f replayClientFlags
	c := &cobra.Command{
		Use:   "client",
		Short: "hold a client's own ledger against the log, on that client's machine",
		Long: `Compares each update of a client in the log with the client's ledger: that its step was paid for, and that the
bytes are the ones that the ledger committed. Exits with 1 if one is not.

If the client kept a black box, which it does not by default, --black-box computes every step again from what it
began with and compares: the norm of the gradients before the noise with the one noted then ("norm then", "norm
now"); and the published update less the recomputed sum with the noise of the mechanism. "noise" is its size, 1 in
units of what the mechanism should have added (0 in a run without noise); "excess" and "along" say in standard
deviations how far its size is from that and how far it leans towards the sum.
A black box undoes the protection of the run for whoever can read it: it must not leave the client.`,
		Args: inputArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.source.chained = true
	f.source.register(c, true)
	c.Flags().StringVar(&f.client, "client", "", "`id` of the client")
	c.Flags().StringVar(&f.ledger, "ledger", "", "the client's ledger `file`")
	c.Flags().StringVar(&f.box, "black-box", "", "the client's black box `file`: compute its steps again")
	c.Flags().StringVar(&f.key, "black-box-key", "", "`file` with the key of the black box")
	c.Flags().StringVar(&f.model, "model", "", "`folder` of the CLIP model")
	c.Flags().StringVar(&f.data, "data", "", "the client's own pictures: a `folder` with one sub-folder for each class, or a feature cache")
	c.Flags().StringVar(&f.ending, "ending", ".", "`text` that followed the class names in the run's prompts")
	c.Flags().Float64Var(&f.prune, "prune", 0, "the client's pruning of classes")
	return c
}

func (f *replayClientFlags) run(c *cobra.Command) error {
	switch {
	case f.client == "" || f.ledger == "":
		return input(errors.New("give --client and --ledger"))
	case f.box == "" && (f.key != "" || f.model != "" || f.data != ""):
		return input(errors.New("--black-box-key, --model and --data are for --black-box"))
	case f.box != "" && (f.key == "" || f.data == ""):
		return input(errors.New("--black-box needs --black-box-key, --model and --data"))
	}
	paid, err := ledger.Read(f.ledger)
	if err != nil {
		return inputIf(fmt.Errorf("--ledger: %w", err), fs.ErrNotExist, fs.ErrPermission, syscall.EISDIR)
	}
	src, done, err := f.source.open(c.Context())
	if err != nil {
		return err
	}
	defer done()
	log, err := readClientHistory(src, f.client, f.box != "")
	if err != nil {
		return inputIf(err, errNoMember)
	}
	steps := retrace.Compare(log.plan.Run, paid, log.published)
	err = printSteps(c.OutOrStdout(), log.plan.Run, f.client, steps)
	if f.box == "" {
		return err
	}
	return cmp.Or(f.recompute(c.OutOrStdout(), log), err)
}

// clientHistory is the part of a run's log that concerns one client.
type clientHistory struct {
	plan      *schemas.Plan
	digest    [32]byte // of the sealed plan
	published []retrace.Published
	globals   map[uint64][]float32 // the global prompts by version, if wanted
}

var errNoMember = errors.New("not a member of the run")

// readClientHistory errors: errNoMember, a damaged plan or model, and those of the source.
func readClientHistory(src replayer.Source, id string, prompts bool) (*clientHistory, error) {
	l := &clientHistory{globals: map[uint64][]float32{}}
	key := ""
	for m, err := range src {
		if err != nil {
			return nil, err
		}
		kind, _, sender, k, _ := schemas.ParseSubject(m.Subject)
		switch {
		case kind == schemas.KindPlan:
			if key, err = l.begin(m, id); err != nil {
				return nil, err
			}
		case l.plan == nil:
			return nil, fmt.Errorf("%w: it begins with %s", replayer.ErrSource, m.Subject)
		case kind == schemas.KindUpdate && sender == id:
			l.published = append(l.published, publication(m, k, key))
		case kind == schemas.KindModel && prompts:
			if err := l.prompt(m); err != nil {
				return nil, err
			}
		}
	}
	if l.plan == nil {
		return nil, fmt.Errorf("%w: it is empty", replayer.ErrSource)
	}
	return l, nil
}

// begin takes the plan, and returns the client's key.
func (l *clientHistory) begin(m schemas.Message, id string) (key string, err error) {
	body, err := schemas.Open(m.Raw)
	if err != nil {
		return "", err
	}
	plan, ok := body.(*schemas.Plan)
	if !ok {
		return "", fmt.Errorf("%w: %s holds no plan", replayer.ErrSource, m.Subject)
	}
	l.plan, l.digest = plan, schemas.Digest(m.Raw)
	i := slices.IndexFunc(plan.Members, func(m schemas.Member) bool { return m.ID == id })
	if i < 0 {
		return "", fmt.Errorf("%w: %q", errNoMember, id)
	}
	return plan.Members[i].Key, schemas.Verify(m.Raw, plan.Operator)
}

// publication is a message on a client's subject.
func publication(m schemas.Message, k uint64, key string) retrace.Published {
	sealed := schemas.Hash(m.Raw)
	p := retrace.Published{Seq: m.Seq, K: k, Digest: sealed.Digest()}
	if body, err := schemas.Open(m.Raw); err == nil && sealed.Verify(key) == nil {
		p.Update, _ = body.(*schemas.Update)
	}
	return p
}

func (l *clientHistory) prompt(m schemas.Message) error {
	body, err := schemas.Open(m.Raw)
	if err == nil {
		err = schemas.Verify(m.Raw, l.plan.Aggregator)
	}
	if model, ok := body.(*schemas.Model); err == nil && ok {
		l.globals[model.Version] = model.Params.Floats(nil)
	}
	return err
}

// printSteps says in a line how ledger and log agree, and lists the steps that leave something to say. It
// returns errFound if one of them must not be.
func printSteps(w io.Writer, run, id string, steps []retrace.Step) (err error) {
	counts := map[retrace.Finding]int{}
	for _, s := range steps {
		counts[s.Finding]++
	}
	fmt.Fprintf(w, "run %s, %s: %d of %d steps are in the log as the bytes that the ledger committed\n", run, id, counts[retrace.Same], len(steps))
	table(w, "update\tsequence\tfinding", func(row func(...any)) {
		for _, s := range steps {
			if s.Finding != retrace.Same {
				row(s.K, sequence(s.Seq), s.Finding)
			}
			if s.Finding.Bad() {
				err = errFound
			}
		}
	})
	return err
}

func sequence(seq uint64) string {
	if seq == 0 {
		return "–"
	}
	return fmt.Sprint(seq)
}

// recompute computes the recorded steps again, and returns errFound if one does not agree.
func (f *replayClientFlags) recompute(w io.Writer, log *clientHistory) error {
	key, err := blackbox.ReadKey(f.key)
	if err != nil {
		return input(err)
	}
	records, err := blackbox.Read(f.box, key)
	if err != nil {
		return input(err)
	}
	model, err := openModel(f.model, clip.TextTower, clip.ImageTower)
	if err != nil {
		return err
	}
	defer model.Close()
	cfg := client.Config{ID: f.client, Plan: log.plan, LogitScale: model.LogitScale, Prune: f.prune}
	if cfg.Encoder, err = planEncoder(model, log.plan, f.ending); err != nil {
		return input(err)
	}
	if cfg.Data, err = planExamples(model, log.plan, f.data); err != nil {
		return input(err)
	}
	return printTraces(w, cfg, records, log)
}

// printTraces prints a row for each record of the run; the error of a step that cannot be computed ends it.
func printTraces(w io.Writer, cfg client.Config, records []blackbox.Record, log *clientHistory) (err error) {
	table(w, "update\tsequence\tnorm then\tnorm now\tnoise\texcess\talong\t", func(row func(...any)) {
		for _, p := range log.published {
			i := slices.IndexFunc(records, func(r blackbox.Record) bool { return r.Run == log.plan.Run && r.K == p.K })
			if i < 0 || p.Update == nil {
				row(p.K, p.Seq, "–", "–", "–", "–", "–", "not in the black box")
				continue
			}
			t, failed := retrace.Recompute(cfg, records[i], log.globals[records[i].Base], p)
			if failed != nil {
				err = failed
				return
			}
			mark := "agrees"
			if !t.Agrees() {
				mark, err = "DOES NOT AGREE", errFound
			}
			row(p.K, p.Seq, short(t.Then), short(t.Now), short(t.Noise), short(t.Excess), short(t.Along), mark)
		}
	})
	return err
}
