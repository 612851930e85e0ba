package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"

	"dpfpl/broker"
	"dpfpl/mathx/dp"
	"dpfpl/roles/client"
	"dpfpl/roles/client/ledger"
	"dpfpl/roles/client/retrace"
	"dpfpl/roles/promptfile"
	"dpfpl/schemas"
)

// promptExportFlags are those of dpfpl prompt export.
type promptExportFlags struct {
	source      sourceFlags
	memberFlags // of the client that exports
	operator    string
	limits      ledger.Limits
	adjacency   string
	ledger      string
	ending      string
	at          int64
	unprotected bool
	out         string
	force       bool

	now func() time.Time
}

func newPromptExportCommand() *cobra.Command { return newPromptExportCommandAt(time.Now) }

func newPromptExportCommandAt(now func() time.Time) *cobra.Command {
	f := promptExportFlags{now: now}
	c := &cobra.Command{
		Use:   "export",
		Short: "write this client's personal prompt to a file that may be given away",
		Long: `Writes the personal prompt of this client, signed with its key, to a file that others may hold. All that training
moved are noised values, so the prompt tells no more of a record than the run's messages do: the file says how much,
epsilon with everything around it, and that holds for whoever has the prompt, the log and both together.

Nothing is written, with exit code 1, unless the ledger has paid for all that is in it: it must be there, whole and not in use;
its steps must be of the plan's mechanism, as many as moved the prompt, within the plan's budget and within this client's
own (--max-epsilon, over all runs); and with --log, it must be the one that the published updates came from. A run without a
guarantee needs --unprotected-anyway, and the file then says so.

The global part comes from --log, or from the server with this client's --creds. --creds or --nkey signs.`,
		Example: `  dpfpl prompt export --log run.dpfpl --operator UABC… --creds north.creds --ledger north.ledger --max-epsilon 8 --out north.safetensors
  dpfpl prompt export --nats tls://broker:4222 --run clinics --operator UABC… --creds north.creds --ledger north.ledger \
      --max-epsilon 8 --out north.safetensors`,
		Args: inputArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.source.chained = true
	f.source.register(c, true)
	c.Flags().StringVar(&f.operator, "operator", "", "public `key` of the operator who must have signed the plan")
	c.Flags().StringVar(&f.id, "id", "", "this member's `name`; default: the one in --creds")
	c.Flags().StringVar(&f.ledger, "ledger", "", "this client's ledger `file`")
	c.Flags().Float64Var(&f.limits.MaxEpsilon, "max-epsilon", 0, "largest epsilon at --delta of one record over all runs; must be given")
	c.Flags().Float64Var(&f.limits.Delta, "delta", 1e-5, "delta of --max-epsilon")
	c.Flags().StringVar(&f.adjacency, "adjacency", dp.ZeroOut.String(), "adjacency of --max-epsilon: zero-out, add-remove or replace-one")
	c.Flags().StringVar(&f.ending, "ending", ".", "`text` that followed the class names in the run's prompts")
	c.Flags().Int64Var(&f.at, "at", -1, "`version` of the global prompt in --log; default: the newest")
	c.Flags().BoolVar(&f.unprotected, "unprotected-anyway", false, "export from a run that protects nobody")
	c.Flags().StringVar(&f.out, "out", "", "`file` to write")
	c.Flags().BoolVar(&f.force, "force", false, "replace the file if it exists")
	return c
}

func (f *promptExportFlags) run(c *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	key, err := f.source.key()
	if err != nil {
		return err
	}
	if err := f.name(f.source.creds); err != nil {
		return err
	}
	book, err := ledger.Freeze(f.ledger)
	if err != nil {
		return inputIf(fmt.Errorf("--ledger %s: %w", f.ledger, err), fs.ErrNotExist, fs.ErrPermission, syscall.EISDIR)
	}
	known, err := f.known(c.Context(), key, book)
	if err != nil {
		return err
	}
	file, err := f.publish(known, book)
	if err != nil {
		return err
	}
	raw, err := f.seal(file, known.plan, key)
	if err != nil {
		return err
	}
	if err := writePrompt(f.out, raw, f.force); err != nil {
		return err
	}
	_, err = io.WriteString(c.OutOrStdout(), file.Words())
	return err
}

// check errors: inputError.
func (f *promptExportFlags) check() (err error) {
	if f.limits.Adjacency, err = dp.ParseAdjacency(f.adjacency); err != nil {
		return flagError("adjacency", f.adjacency, "zero-out, add-remove or replace-one")
	}
	switch {
	case f.out == "":
		return input(errors.New("no place for it: give --out"))
	case f.ledger == "":
		return input(errors.New("no ledger: give --ledger"))
	case !nkeys.IsValidPublicKey(f.operator):
		return input(fmt.Errorf("--operator %q: want the operator's public key", f.operator))
	case f.limits.MaxEpsilon == 0 && !f.unprotected:
		return input(errors.New("no budget: give --max-epsilon, what one record may spend over all runs"))
	case !(f.limits.MaxEpsilon >= 0):
		return flagError("max-epsilon", f.limits.MaxEpsilon, ">= 0")
	case !(f.limits.Delta > 0 && f.limits.Delta < 1):
		return flagError("delta", f.limits.Delta, "in (0, 1)")
	case f.at >= 0 && f.source.file == "":
		return input(errors.New("--at is for --log: the server's newest version is the only one that a client may read"))
	}
	return nil
}

// knownRun is what a client knows of a run: authentic plan and global prompt.
type knownRun struct {
	plan    *schemas.Plan
	digest  [32]byte // of the sealed plan
	global  []float32
	version uint64
}

// errLedger means that the ledger is not the one that the run's messages came from.
var errLedger = errors.New("the ledger does not match the run")

// known errors: errOperator, errLedger, inputError for no member or version, and those of the source.
func (f *promptExportFlags) known(ctx context.Context, key nkeys.KeyPair, book *ledger.Snapshot) (*knownRun, error) {
	if f.source.file != "" {
		return f.recorded(ctx, book)
	}
	return f.served(ctx, key, book)
}

// recorded reads the run from a log file.
func (f *promptExportFlags) recorded(ctx context.Context, book *ledger.Snapshot) (*knownRun, error) {
	src, done, err := f.source.open(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	log, err := readClientHistory(src, f.id, true)
	if err != nil {
		return nil, inputIf(err, errNoMember)
	}
	if log.plan.Operator != f.operator {
		return nil, fmt.Errorf("%w %s: it names %s", errOperator, f.operator, log.plan.Operator)
	}
	for _, s := range retrace.Compare(log.plan.Run, book.Spent, log.published) {
		if s.Finding.Bad() && s.Finding != retrace.Forged { // somebody else's message says nothing of this ledger
			return nil, fmt.Errorf("%w: update %d: %v", errLedger, s.K, s.Finding)
		}
	}
	k := &knownRun{plan: log.plan, digest: log.digest}
	for version := range log.globals {
		k.version = max(k.version, version)
	}
	if f.at >= 0 {
		k.version = uint64(f.at)
	}
	if k.global = log.globals[k.version]; k.global == nil {
		return nil, input(fmt.Errorf("--at %d: the log has no such version", k.version))
	}
	return k, nil
}

// served asks the server, as the client.
func (f *promptExportFlags) served(ctx context.Context, key nkeys.KeyPair, book *ledger.Snapshot) (*knownRun, error) {
	if f.source.run == "" {
		return nil, input(errors.New("no run: give --log, or --nats and --run"))
	}
	o, err := f.source.options()
	if err != nil {
		return nil, err
	}
	conn, err := broker.Connect(ctx, broker.ClientOptions(o, f.id, key))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	m, err := conn.Plan(ctx, f.source.run)
	if err != nil {
		return nil, err
	}
	k := &knownRun{digest: schemas.Digest(m.Raw)}
	if k.plan, err = verifiedPlan(m, f.source.run, f.operator); err != nil {
		return nil, err
	}
	m, ok, err := conn.Model(ctx, f.source.run)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, fmt.Errorf("run %s has no global prompt yet", f.source.run)
	}
	return k, k.take(m, f.id, book)
}

// take makes m the global prompt, if the aggregator has signed it and the ledger knows this client's part in it.
func (k *knownRun) take(m schemas.Message, id string, book *ledger.Snapshot) error {
	model, ok := m.Body.(*schemas.Model)
	switch {
	case m.Err != nil:
		return m.Err
	case !ok || model.Run != k.plan.Run:
		return fmt.Errorf("%s holds no model of run %s", m.Subject, k.plan.Run)
	}
	if err := schemas.Verify(m.Raw, k.plan.Aggregator); err != nil {
		return err
	}
	spent := map[uint64]bool{}
	for _, s := range book.Spent {
		if s.Run == k.plan.Run && s.Committed {
			spent[s.K] = true
		}
	}
	for _, u := range model.Folded {
		if u.Client == id && !spent[u.K] {
			return fmt.Errorf("%w: version %d holds update %d, which the ledger has not paid for", errLedger, model.Version, u.K)
		}
	}
	k.version, k.global = model.Version, model.Params.Floats(nil)
	return nil
}

// publish asks the ledger, and fills the file but for the time. Errors: client.ErrWithheld.
func (f *promptExportFlags) publish(k *knownRun, book *ledger.Snapshot) (*promptfile.File, error) {
	out, err := client.Publish(client.PublishConfig{
		ID: f.id, Plan: k.plan, Global: k.global, Ledger: book, Limits: f.limits, Unprotected: f.unprotected,
	})
	if err != nil {
		return nil, err
	}
	p := k.plan
	file := &promptfile.File{
		Run: p.Run, Client: f.id, Plan: fmt.Sprintf("%x", k.digest), Version: k.version, Backbone: p.Backbone, Classes: p.Classes, Ending: f.ending,
		Method: p.Method.Name, Rank: int(p.Method.Rank), Rows: int(p.Prompt.Context), Width: int(p.Prompt.Width), Context: out.Context,
		Time: f.now().UTC().Truncate(time.Second),
		Privacy: promptfile.Privacy{
			Protected: out.Guaranteed, RDP: out.Run.Renyi.Epsilon, PLD: out.Run.PLD, AllRDP: out.All.Renyi.Epsilon, AllPLD: out.All.PLD,
			Delta: out.Run.Delta, Adjacency: out.Run.Adjacency.String(), Steps: out.Steps, Statement: out.Run.String(),
		},
	}
	if out.Guaranteed {
		file.Privacy.Steps = 0
		for _, s := range out.Run.Spent {
			file.Privacy.Steps += s.Count
		}
	}
	return file, nil
}

// seal signs the file with the key of the member whom it names. Errors: inputError for another key.
func (f *promptExportFlags) seal(file *promptfile.File, plan *schemas.Plan, key nkeys.KeyPair) ([]byte, error) {
	public, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	for _, m := range plan.Members {
		if m.ID == f.id && m.Key != public {
			return nil, input(fmt.Errorf("the plan names key %s for %s, --creds or --nkey holds %s", m.Key, m.ID, public))
		}
	}
	return file.Seal(key)
}
