package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dpfpl/broker"
	"dpfpl/roles/backbone"
	"dpfpl/roles/planfile"
	"dpfpl/schemas"
)

func newPlanCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plan",
		Short: "the plan of a run: init, check, publish, show",
		Long: `A plan is a run's constitution: the operator publishes it once, signed, and everybody keeps to it. It is
written as a YAML file with a comment at every field.`,
		Example: `  dpfpl plan init --run clinics --model clip --classes cat,dog --roster keys/roster.yaml > plan.yaml
  dpfpl plan check plan.yaml --step 5s
  dpfpl plan publish plan.yaml --nats tls://broker:4222 --creds keys/operator.creds --system keys/system.creds
  dpfpl plan show --run clinics --nats tls://broker:4222 --creds keys/operator.creds`,
		Args: inputArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newPlanInitCommand(), newPlanCheckCommand(), newPlanPublishCommand(), newPlanShowCommand())
	return c
}

// planInitFlags are those of dpfpl plan init.
type planInitFlags struct {
	run, model, roster string
	classes            []string
	classesFrom        string
	pace               time.Duration
	records            int
	start              string
	out                string
	force              bool
}

func newPlanInitCommand() *cobra.Command {
	var f planInitFlags
	c := &cobra.Command{
		Use:   "init",
		Short: "write a commented plan, for you to edit",
		Long: `Writes a plan with the defaults of this project, for a model, a list of classes and the members that
"dpfpl enroll" made keys for. Noise multipliers are left at 0: then the least noise is used that keeps the budget.

With --start words the prompt begins as "a photo of a" and takes five synchronous steps of all records: what did best on
CLIP features at every epsilon from 8 to 1. The aggregator then needs --model. With --start random it begins with noise and
takes sixty asynchronous steps of small batches: better where such words make a bad prompt, as for the testbed's own model.`,
		Example: "  dpfpl plan init --run clinics --model clip --classes-from pictures --records 400 --roster keys/roster.yaml --out plan.yaml",
		Args:    inputArgs(cobra.NoArgs),
		RunE:    func(c *cobra.Command, _ []string) error { return f.write(c.OutOrStdout()) },
	}
	c.Flags().StringVar(&f.run, "run", "", "`name` of the run")
	c.Flags().StringVar(&f.model, "model", "", "`folder` of the CLIP model that every client holds")
	c.Flags().StringVar(&f.roster, "roster", "", "YAML `file` of members, aggregator and operator (see dpfpl enroll)")
	c.Flags().StringSliceVar(&f.classes, "classes", nil, "class `names`, separated by commas")
	c.Flags().StringVar(&f.classesFrom, "classes-from", "", "`folder` whose sub-folders are the classes")
	c.Flags().DurationVar(&f.pace, "step", 5*time.Second, "how long a client's step takes, for deadlines and heartbeats")
	c.Flags().IntVar(&f.records, "records", 128, "records of a typical client; with the sampling rate they make the public divisor of a batch")
	c.Flags().StringVar(&f.start, "start", "words", "what the prompt begins as: words or random")
	c.Flags().StringVar(&f.out, "out", "", "write to a `file` instead of standard output")
	c.Flags().BoolVar(&f.force, "force", false, "replace the file if it exists")
	return c
}

// write errors: inputError for what the flags name.
func (f *planInitFlags) write(stdout io.Writer) error {
	d, err := f.deployment()
	if err != nil {
		return input(err)
	}
	if _, err := d.Plan(); err != nil {
		return input(err)
	}
	if f.out == "" {
		_, err := io.WriteString(stdout, d.YAML())
		return err
	}
	if err := replaceable(f.out, f.force); err != nil {
		return err
	}
	return input(os.WriteFile(f.out, []byte(d.YAML()), 0o644))
}

func (f *planInitFlags) deployment() (*planfile.Deployment, error) {
	d := &planfile.Deployment{Run: f.run, Classes: f.classes}
	switch {
	case !schemas.ValidName(f.run):
		return nil, fmt.Errorf("--run %q: want 1 to %d of A-Z a-z 0-9 _ -", f.run, schemas.MaxName)
	case f.roster == "":
		return nil, errors.New("no members: give --roster")
	case f.pace <= 0:
		return nil, fmt.Errorf("--step %v: want more than 0", f.pace)
	case f.start != "words" && f.start != "random":
		return nil, fmt.Errorf("--start %q: want words or random", f.start)
	case f.records < 4 || f.records > 1<<30:
		return nil, fmt.Errorf("--records %d: want 4 to 2^30", f.records)
	case (len(f.classes) == 0) == (f.classesFrom == ""):
		return nil, errors.New("give either --classes or --classes-from")
	}
	if err := d.Roster.Read(f.roster); err != nil {
		return nil, err
	}
	if f.classesFrom != "" {
		folder, err := backbone.Folder(f.classesFrom)
		if err != nil {
			return nil, err
		}
		images, err := backbone.ScanImages(folder)
		if err != nil {
			return nil, about(f.classesFrom, err)
		}
		for _, class := range images.Classes {
			d.Classes = append(d.Classes, backbone.Name(class))
		}
	}
	model, err := openModel(f.model)
	if err != nil {
		return nil, err
	}
	defer model.Close()
	if f.start == "words" {
		d.File = planfile.FromWords(len(d.Members), f.pace, f.records)
	} else {
		d.File = planfile.FromRandom(len(d.Members), f.pace)
		d.Privacy.Batch = d.Privacy.Rate * float64(f.records)
	}
	d.Backbone, d.Prompt.Width = model.Digest, uint16(model.Text.Config().Width)
	return d, nil
}

func newPlanCheckCommand() *cobra.Command {
	var step time.Duration
	c := &cobra.Command{
		Use:   "check FILE",
		Short: "say in words what a plan promises, and refuse contradictions",
		Long: `Says what a plan promises: who is protected against whom, epsilon at the end, bytes for each client, and how
long it takes. A plan that contradicts itself, for example one whose noise does not pay for its updates, is
refused with the fields in question and exit code 2.`,
		Example: "  dpfpl plan check plan.yaml --step 5s",
		Args:    inputArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			promise, err := readPlan(args[0], step)
			if err != nil {
				return err
			}
			return promise.Write(c.OutOrStdout())
		},
	}
	stepFlag(c, &step)
	return c
}

func stepFlag(c *cobra.Command, step *time.Duration) {
	c.Flags().DurationVar(step, "step", 5*time.Second, "how long a client's step takes, to tell how long the run does")
}

// examine errors: a step of no length, and those of planfile.Examine.
func examine(plan *schemas.Plan, step time.Duration) (*planfile.Promise, error) {
	if step <= 0 {
		return nil, flagError("step", step, "> 0")
	}
	return planfile.Examine(plan, step)
}

// readPlan reads a plan file and works out what it promises. Errors: inputError.
func readPlan(path string, step time.Duration) (*planfile.Promise, error) {
	var d planfile.Deployment
	if err := d.Read(path); err != nil {
		return nil, input(err)
	}
	plan, err := d.Plan()
	if err != nil {
		return nil, input(fmt.Errorf("%s: %w", path, err))
	}
	promise, err := examine(plan, step)
	if err != nil {
		return nil, input(fmt.Errorf("%s: %w", path, err))
	}
	return promise, nil
}

// planPublishFlags are those of dpfpl plan publish.
type planPublishFlags struct {
	serverFlags
	sign    string
	system  string
	streams broker.StreamOptions
}

func newPlanPublishCommand() *cobra.Command {
	var f planPublishFlags
	c := &cobra.Command{
		Use:   "publish FILE",
		Short: "make a run's streams on a server and store its plan there, signed",
		Long: `Checks the plan, makes the run's streams and stores the plan, signed with the operator's key, which is that of
--creds or --nkey unless --sign names another. The same plan may be published again; another one for the same run is
refused, for ever.

The server must sync its files always, else an acknowledged update may be lost with the power although the
client has spent its budget for it. Only the server's system account can tell: give its credentials with --system,
or accept the risk with --allow-lax.`,
		Example: "  dpfpl plan publish plan.yaml --nats tls://broker:4222 --ca ca.pem --creds keys/operator.creds --system keys/system.creds",
		Args:    inputArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			promise, err := readPlan(args[0], time.Second)
			if err != nil {
				return err
			}
			if err := f.publish(c.Context(), promise.Plan); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "run %s: published for %d members\n", promise.Plan.Run, len(promise.Plan.Members))
			return err
		},
	}
	f.register(c)
	c.Flags().StringVar(&f.sign, "sign", "", "credentials or seed `file` of the operator, if it is not the one that connects")
	c.Flags().StringVar(&f.system, "system", "", "credentials `file` for the server's system account")
	c.Flags().BoolVar(&f.streams.AllowLax, "allow-lax", false, "accept a server that does not sync always")
	c.Flags().BoolVar(&f.streams.Memory, "memory", false, "keep the streams in memory")
	c.Flags().IntVar(&f.streams.Replicas, "replicas", 1, "replicas of the streams")
	return c
}

func (f *planPublishFlags) publish(ctx context.Context, plan *schemas.Plan) error {
	if f.streams.Replicas < 1 {
		return flagError("replicas", f.streams.Replicas, ">= 1")
	}
	raw, err := f.seal(plan)
	if err != nil {
		return err
	}
	conn, err := f.connect(ctx, "dpfpl plan")
	if err != nil {
		return err
	}
	defer conn.Close()
	if f.system != "" {
		system := serverFlags{url: f.url, ca: f.ca, creds: f.system}
		if f.streams.System, err = system.connect(ctx, "dpfpl plan"); err != nil {
			return fmt.Errorf("--system: %w", err)
		}
		defer f.streams.System.Close()
	}
	if err := conn.Provision(ctx, plan, f.streams); err != nil {
		if errors.Is(err, broker.ErrLaxSync) {
			err = fmt.Errorf("%w: see --system and --allow-lax", err)
		}
		return inputIf(err, broker.ErrPlanExists)
	}
	if stored, err := conn.Plan(ctx, plan.Run); err == nil && schemas.Verify(stored.Raw, plan.Operator) == nil {
		return nil // Provision has compared them
	}
	return inputIf(conn.PublishPlan(ctx, raw), broker.ErrPlanExists)
}

// seal signs the plan with the operator's key, which the plan must name.
func (f *planPublishFlags) seal(plan *schemas.Plan) ([]byte, error) {
	key, err := f.key()
	if f.sign != "" {
		key, err = readKey(f.sign)
	}
	if err != nil {
		return nil, err
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	if public != plan.Operator {
		return nil, input(fmt.Errorf("the plan names operator %s, the key is of %s", plan.Operator, public))
	}
	return schemas.Seal(plan, key)
}

func newPlanShowCommand() *cobra.Command {
	var server serverFlags
	var run string
	var step time.Duration
	var words bool
	c := &cobra.Command{
		Use:   "show",
		Short: "print the plan of a run on a server, as the file that it came from",
		Example: `  dpfpl plan show --run clinics --nats tls://broker:4222 --creds keys/operator.creds
  dpfpl plan show --run clinics --nats tls://broker:4222 --creds keys/operator.creds --words`,
		Args: inputArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			conn, err := server.connect(c.Context(), "dpfpl plan")
			if err != nil {
				return err
			}
			defer conn.Close()
			plan, err := openPlan(c.Context(), conn, run, "")
			if err != nil {
				return err
			}
			if words {
				promise, err := examine(plan, step)
				if err != nil {
					return err
				}
				return promise.Write(c.OutOrStdout())
			}
			_, err = io.WriteString(c.OutOrStdout(), planfile.Of(plan).YAML())
			return err
		},
	}
	server.register(c)
	c.Flags().StringVar(&run, "run", "", "`name` of the run on the server")
	c.Flags().BoolVar(&words, "words", false, "say what it promises, as dpfpl plan check does")
	stepFlag(c, &step)
	return c
}

// errOperator means that a plan was signed by someone else than the operator who counts.
var errOperator = errors.New("the plan is not signed by the operator")

// openPlan reads a run's plan and checks that operator has signed it, if that is not empty, else that whom it
// names has. Errors: inputError for a missing run, errOperator, and those of broker.Conn.Plan.
func openPlan(ctx context.Context, conn *broker.Conn, run, operator string) (*schemas.Plan, error) {
	if run == "" {
		return nil, input(errors.New("no run: give --run"))
	}
	m, err := conn.Plan(ctx, run)
	if err != nil {
		return nil, err
	}
	return verifiedPlan(m, run, operator)
}

// verifiedPlan is the plan in m, if it is of the run and signed by operator, or if that is empty by whom it names.
// Errors: errOperator, and others for what is no plan.
func verifiedPlan(m schemas.Message, run, operator string) (*schemas.Plan, error) {
	if m.Err != nil {
		return nil, fmt.Errorf("plan of run %s: %w", run, m.Err)
	}
	plan, ok := m.Body.(*schemas.Plan)
	if !ok || plan.Run != run {
		return nil, fmt.Errorf("plan of run %s: another message is there", run)
	}
	if operator == "" {
		operator = plan.Operator
	}
	if err := schemas.Verify(m.Raw, operator); err != nil || plan.Operator != operator {
		return nil, fmt.Errorf("%w %s: it names %s", errOperator, operator, strings.TrimSpace(plan.Operator))
	}
	return plan, nil
}
