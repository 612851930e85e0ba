package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"dpfpl/broker"
	"dpfpl/broker/logkey"
	"dpfpl/mathx/clip"
	"dpfpl/mathx/dp"
	"dpfpl/roles/backbone"
	"dpfpl/roles/client"
	"dpfpl/roles/client/blackbox"
	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"
)

// clientFlags are those of dpfpl client.
type clientFlags struct {
	roleFlags
	memberFlags
	model, data, ending string
	ledger              string
	limits              ledger.Limits
	adjacency           string
	rate                float64
	hold                time.Duration
	prune               float64
	unprotected         bool
	box, boxKey         string
}

func newClientCommand() *cobra.Command {
	var f clientFlags
	c := &cobra.Command{
		Use:   "client",
		Short: "learn from private records and send noised updates",
		Long: `Takes part in a run: answers each new version of the global prompt with one noised update, until the run is over
or the budget is spent. Nothing else about the data leaves this machine.

The limits are this client's own and hold over all runs on its records: a plan that asks for more is refused
before anything is computed. The ledger, one file for one set of records, keeps count of what was spent;
a client without its old ledger would spend its budget twice, so keep it, and never restore it from a backup.

Every flag may be given as an environment variable, --max-epsilon as DPFPL_MAX_EPSILON. An interruption (SIGINT,
SIGTERM) ends it with exit code 0; it goes on where it was when it is started again. Exit code 1 is a failure or a refused plan,
2 a wrong flag or file.`,
		Example: `  dpfpl client --nats tls://broker:4222 --creds north.creds --run clinics --operator UABC… \
      --model clip --data pictures --ledger north.ledger --max-epsilon 8 --delta 1e-5`,
		Args: inputArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.serve(c) },
	}
	f.register(c)
	c.Flags().StringVar(&f.id, "id", "", "this member's `name`; default: the one in --creds")
	c.Flags().StringVar(&f.model, "model", "", "`folder` of the CLIP model")
	c.Flags().StringVar(&f.data, "data", "", "private records: a `folder` of pictures with a sub-folder for each class, or a cache by dpfpl features")
	c.Flags().StringVar(&f.ending, "ending", ".", "`text` that follows a class name in a prompt, the same for all clients")
	c.Flags().StringVar(&f.ledger, "ledger", "", "`file` that keeps count of the privacy spent on these records")
	c.Flags().Float64Var(&f.limits.MaxEpsilon, "max-epsilon", 0, "largest epsilon at --delta of one record over all runs; must be given")
	c.Flags().Float64Var(&f.limits.Delta, "delta", 1e-5, "delta of --max-epsilon, well below one over the number of records")
	c.Flags().StringVar(&f.adjacency, "adjacency", dp.ZeroOut.String(), "adjacency of --max-epsilon: zero-out, add-remove or replace-one")
	c.Flags().Float64Var(&f.limits.MinZ, "min-z", 0, "smallest joint noise multiplier of a step; 0 is any")
	c.Flags().Float64Var(&f.limits.MaxQ, "max-q", 0, "largest sampling rate; 0 is any")
	c.Flags().Uint64Var(&f.limits.MaxSteps, "max-steps", 0, "most steps over all runs; 0 is any number")
	c.Flags().Float64Var(&f.rate, "rate", 0, "own sampling rate, at most the plan's; 0 is the plan's")
	c.Flags().DurationVar(&f.hold, "hold", 0, "send no update earlier than this after its model came, to hide how long it took")
	c.Flags().Float64Var(&f.prune, "prune", 0, "share of a record's gradient that may be left out for speed; 0 is exact")
	c.Flags().BoolVar(&f.unprotected, "allow-unprotected", false, "take part in a run without privacy")
	c.Flags().StringVar(&f.box, "black-box", "", "for debugging only: `file` to keep, encrypted, what each step began with; see dpfpl replay client")
	c.Flags().StringVar(&f.boxKey, "black-box-key", "", "`file` with the key of --black-box, 64 hexadecimal digits")
	return c
}

func (f *clientFlags) serve(c *cobra.Command) error {
	ctx := c.Context()
	if err := f.checkOwn(); err != nil {
		return err
	}
	log, err := f.logger(c.ErrOrStderr(), "client")
	if err != nil {
		return err
	}
	o, err := f.options()
	if err != nil {
		return err
	}
	key, err := f.key()
	if err != nil {
		return err
	}
	if err := f.name(f.creds); err != nil {
		return err
	}
	log = log.With().Str(logkey.Client, f.id).Logger()
	o.Logger = &log
	towers := []clip.Part{clip.TextTower}
	if !backbone.IsCache(os.DirFS(f.data)) {
		towers = append(towers, clip.ImageTower)
	}
	model, err := openModel(f.model, towers...)
	if err != nil {
		return err
	}
	defer model.Close()
	store, err := f.openLedger()
	if err != nil {
		return err
	}
	defer store.Close()
	box, err := f.openBox()
	if err != nil {
		return err
	}
	if box != nil {
		defer box.Close()
		log.Warn().Str(logkey.File, f.box).Msg("keeps a black box, which whoever holds its key can read")
	}
	f.telemetry, f.instance = f.show(), f.id
	run, err := f.join(ctx, broker.ClientOptions(o, f.id, key))
	if err != nil {
		return ended(ctx, log, err)
	}
	defer run.Close()
	role, err := f.role(run.plan, model, store, box, key, log)
	if err != nil {
		return err
	}
	err = f.follow(ctx, run, key, role, store, log)
	f.sum(log, store, role)
	return ended(ctx, log, err)
}

// openLedger errors: inputError for a file that is none or is damaged, and those of ledger.Open.
func (f *clientFlags) openLedger() (*ledger.Ledger, error) {
	if info, err := os.Stat(f.ledger); err == nil && !info.Mode().IsRegular() {
		return nil, input(fmt.Errorf("--ledger %s: not a file", f.ledger))
	}
	store, err := ledger.Open(f.ledger, f.limits)
	switch {
	case err == nil:
		return store, nil
	case errors.Is(err, ledger.ErrDamaged):
		return nil, input(fmt.Errorf("--ledger: %w; what its records have spent is not known any more, and neither a new file nor a backup tells: see \"Back up\" in roles/README.md", err))
	}
	return nil, inputIf(fmt.Errorf("--ledger %s: %w", f.ledger, err), ledger.ErrInvalid, os.ErrNotExist, os.ErrPermission)
}

// checkOwn reports what is wrong with the flags by themselves. Errors: inputError.
func (f *clientFlags) checkOwn() (err error) {
	if err := f.check(); err != nil {
		return err
	}
	if f.limits.Adjacency, err = dp.ParseAdjacency(f.adjacency); err != nil {
		return flagError("adjacency", f.adjacency, "zero-out, add-remove or replace-one")
	}
	switch {
	case f.ledger == "":
		return input(errors.New("no ledger: give --ledger"))
	case f.data == "":
		return input(errors.New("no records: give --data"))
	case f.limits.MaxEpsilon == 0 && !f.unprotected:
		return input(errors.New("no budget: give --max-epsilon, what one record may spend over all runs"))
	case !(f.limits.MaxEpsilon >= 0) || math.IsInf(f.limits.MaxEpsilon, 1):
		return flagError("max-epsilon", f.limits.MaxEpsilon, "a finite number >= 0")
	case !(f.limits.Delta > 0 && f.limits.Delta < 1):
		return flagError("delta", f.limits.Delta, "in (0, 1)")
	case !(f.limits.MinZ >= 0) || math.IsInf(f.limits.MinZ, 1):
		return flagError("min-z", f.limits.MinZ, "a finite number >= 0")
	case !(f.limits.MaxQ >= 0 && f.limits.MaxQ <= 1):
		return flagError("max-q", f.limits.MaxQ, "from 0 to 1")
	case !(f.prune >= 0 && f.prune < 1):
		return flagError("prune", f.prune, "from 0 up to but without 1")
	case f.hold < 0:
		return flagError("hold", f.hold, ">= 0")
	case (f.box == "") != (f.boxKey == ""):
		return input(errors.New("--black-box and --black-box-key belong together"))
	case !(f.rate >= 0 && f.rate <= 1):
		return flagError("rate", f.rate, "from 0 to 1")
	}
	return nil
}

// memberFlags name a member of a run.
type memberFlags struct{ id string }

// name takes the member's name from its credentials unless it was given. Errors: inputError.
func (f *memberFlags) name(creds string) error {
	if f.id != "" && !schemas.ValidName(f.id) {
		return input(badName("id", f.id))
	}
	if f.id != "" {
		return nil
	}
	if creds == "" {
		return input(errors.New("no name: give --id"))
	}
	var err error
	f.id, err = credentialsName(creds)
	return err
}

// openBox opens the black box, nil if none is to be kept. Errors: inputError.
func (f *clientFlags) openBox() (*blackbox.Box, error) {
	if f.box == "" {
		return nil, nil
	}
	key, err := blackbox.ReadKey(f.boxKey)
	if err != nil {
		return nil, input(fmt.Errorf("--black-box-key: %w", err))
	}
	box, err := blackbox.Open(f.box, key)
	if err != nil {
		return nil, input(fmt.Errorf("--black-box: %w", err))
	}
	return box, nil
}

// role errors: inputError for the data, and those of client.New.
func (f *clientFlags) role(plan *schemas.Plan, model *clip.Model, store *ledger.Ledger, box *blackbox.Box, key nkeys.KeyPair, log zerolog.Logger) (*client.Client, error) {
	encoder, err := planEncoder(model, plan, f.ending)
	if err != nil {
		return nil, input(fmt.Errorf("--model: %w", err))
	}
	examples, err := planExamples(model, plan, f.data)
	if err != nil {
		return nil, input(fmt.Errorf("--data: %w", err))
	}
	role, err := client.New(client.Config{
		ID: f.id, Key: key, Plan: plan,
		Backbone: model.Digest, Encoder: encoder, LogitScale: model.LogitScale, Data: examples,
		Rate: f.rate, Store: store, BlackBox: box, AllowUnprotected: f.unprotected, Hold: f.hold, Prune: f.prune,
		Software: "dpfpl", Events: clientLog(log),
	})
	return role, inputIf(err, client.ErrConfig)
}

// clientLog turns events into lines.
func clientLog(log zerolog.Logger) client.Events {
	return client.Events{
		OnModel: func(version uint64, final bool) {
			log.Debug().Uint64(logkey.Version, version).Bool(logkey.Final, final).Msg("model taken up")
		},
		OnStep: func(s client.Step) {
			log.Info().Uint64(logkey.K, s.K).Uint64(logkey.Base, s.Base).Float64(logkey.Epsilon, s.Epsilon).Msg("update made")
		},
		OnSpent: func(reason error) { log.Warn().Err(reason).Msg("makes no further update") },
		OnNote: func(n *schemas.Note) {
			log.Debug().Uint64(logkey.K, n.K).Str(logkey.Verdict, string(n.Verdict)).Str(logkey.Reason, string(n.Reason)).Msg("update judged")
		},
		OnRefused: func(kind schemas.Kind, err error) {
			log.Warn().Stringer(logkey.Kind, kind).Err(err).Msg("message refused")
		},
	}
}

// sum says what was spent, in this run and over all runs on these records.
func (f *clientFlags) sum(log zerolog.Logger, store *ledger.Ledger, role *client.Client) {
	line := log.Info().Uint64(logkey.Updates, store.Next(f.run)-1)
	if account := role.Account(); account != nil {
		if cost, err := account.EpsilonRDP(f.limits.Delta); err == nil {
			line = line.Float64(logkey.Epsilon, cost.Epsilon)
		}
	}
	if rdp, _, err := store.Spent(f.limits.Delta); err == nil {
		line = line.Float64(logkey.EpsilonAll, rdp.Epsilon)
	}
	line.Msg("spent")
}
