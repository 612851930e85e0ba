package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dpfpl/mathx/clip"
	"dpfpl/testbed/internal/data"
	"dpfpl/testbed/internal/federation"
	"dpfpl/testbed/internal/mia"
)

// newMIACommand attacks trained prompts by membership inference.
func newMIACommand(stdout io.Writer) *cobra.Command {
	var o miaOptions
	cmd := &cobra.Command{
		Use:   "mia",
		Short: "membership inference: can one tell from a prompt which pictures it was trained on?",
		Long: `mia trains many prompts, each on a random half of one client's pictures, and attacks each of them with the others as
shadows: by the paper's attack models on softmax vectors, and by LiRA, a likelihood ratio for each picture. It does so
for a list of privacy budgets and prints how often the attacks are right, with confidence intervals, beside the best
that any attack could do under the accounted guarantee. All pictures are genuine; the frozen model is the built-in one
unless another is given. Everything follows from the seed but the noise, which is fresh.`,
		Example: `  go run ./testbed mia
  go run ./testbed mia --epsilon none,10,1 --shadows 64
  go run ./testbed mia --records 20 --json`,
		Args: func(cmd *cobra.Command, args []string) error { return input(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), stdout) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&o.epsilons, "epsilon", []string{"none", "16", "4", "1"}, "privacy budgets, none being no noise")
	f.Float64Var(&o.Delta, "delta", 1e-5, "delta of every epsilon")
	f.IntVar(&o.Shadows, "shadows", 32, "prompts to train for each budget")
	f.DurationVar(&o.Limit, "limit", 15*time.Minute, "time after which no further budget is attacked")
	f.StringVar(&o.model, "model", "", "folder of a frozen CLIP in the Hugging Face layout (default: the built-in tinyclip)")
	f.StringVar(&o.dataDir, "data-dir", "", "folder with the fashion data set (default: the built-in one)")
	f.IntVar(&o.client, "client", 7, "client whose pictures are attacked, 1 to 10; the default's camera is new to the frozen model, so there is much to learn")
	f.IntVar(&o.records, "records", 192, "pictures of that client to use; fewer are remembered better")
	f.IntVar(&o.Training.Context, "context", 8, "context vectors of the prompt")
	f.IntVar(&o.Training.Rank, "rank", 4, "rank of the local prompt's factors")
	f.IntVar(&o.Training.Steps, "steps", 150, "training steps of a prompt")
	f.Float64Var(&o.Training.Rate, "rate", 0.5, "sampling rate q of a step")
	f.Float64Var(&o.Training.LocalRate, "local-rate", 2, "learning rate of the local prompt")
	f.Float64Var(&o.Training.GlobalRate, "global-rate", 2, "learning rate of the global prompt")
	f.Float64Var(&o.Training.Clip, "clip", 1, "clip norm of one picture's gradients")
	f.Float64Var(&o.Confidence, "confidence", 0.95, "confidence of the intervals")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of membership, first prompts and attack models")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// miaOptions are the attack's flags.
type miaOptions struct {
	mia.Options
	epsilons        []string
	model, dataDir  string
	client, records int
	json            bool
}

func (o *miaOptions) run(ctx context.Context, stdout io.Writer) error {
	model, set, names, err := o.prepare()
	if err != nil {
		return input(err)
	}
	defer model.Close()
	if !o.json {
		c := set.Clients[0]
		fmt.Fprintf(stdout, "membership inference on %s's %d pictures (%s), %d classes among %d names\n",
			c.ID, len(c.Train), c.Style, len(c.Classes), len(set.Classes))
		o.Progress = func(r *mia.Row) { fmt.Fprintf(stdout, "epsilon %s: done\n", epsilonName(float64(r.Epsilon))) }
	}
	pool, err := makePool(ctx, model, set, names)
	if err != nil {
		return cause(ctx, err)
	}
	r, err := mia.Run(ctx, pool, o.Options)
	switch {
	case errors.Is(err, mia.ErrOptions):
		return input(err)
	case err != nil:
		return cause(ctx, err)
	}
	if o.json {
		err = printJSON(stdout, r)
	} else {
		err = r.Write(stdout)
	}
	for _, row := range r.Rows {
		if err == nil && row.Exceeded {
			err = fmt.Errorf("mia: an attack at epsilon %v does better than the guarantee allows", row.Epsilon)
		}
	}
	return err
}

// prepare reads and checks everything that is given. The set it returns has one client, with the chosen pictures as its
// training pictures; names are the tokens of the class names.
func (o *miaOptions) prepare() (model *clip.Model, set *data.Set, names [][]int, err error) {
	if o.Epsilons, err = parseEpsilons(o.epsilons); err != nil {
		return nil, nil, nil, err
	}
	if err := o.Check(); err != nil {
		return nil, nil, nil, err
	}
	if set, err = data.Open("fashion", openData(o.dataDir), data.Options{Seed: o.Seed}); err != nil {
		return nil, nil, nil, fmt.Errorf("data: %w", err)
	}
	if err := o.choose(set); err != nil {
		return nil, nil, nil, err
	}
	if model, err = openModel(o.model); err != nil {
		return nil, nil, nil, fmt.Errorf("model: %w", err)
	}
	if names, err = o.fit(model, set); err != nil {
		model.Close()
	}
	return model, set, names, err
}

// fit checks that the model can learn such prompts.
func (o *miaOptions) fit(model *clip.Model, set *data.Set) (names [][]int, err error) {
	if model.Text == nil || model.Images() == nil || model.Tokenizer == nil {
		return nil, fmt.Errorf("model %s: needs a text tower, an image tower and a tokenizer", o.model)
	}
	if names, err = federation.Tokens(model, set); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if _, err := model.Text.NewEncoder(names, o.Training.Context); err != nil {
		return nil, fmt.Errorf("--context %d: %w", o.Training.Context, err)
	}
	return names, nil
}

// choose cuts the set to the chosen client and its pictures, evenly spread over all genuine ones it has.
func (o *miaOptions) choose(set *data.Set) error {
	if o.client < 1 || o.client > len(set.Clients) {
		return fmt.Errorf("--client %d: want 1 to %d", o.client, len(set.Clients))
	}
	c := set.Clients[o.client-1]
	all := append(c.Train[:len(c.Train):len(c.Train)], c.Test...)
	if o.records < 10 || o.records > len(all) {
		return fmt.Errorf("--records %d: want 10 to %d", o.records, len(all))
	}
	c.Train, c.Test, c.Neighbour = nil, nil, nil
	for i := range o.records {
		c.Train = append(c.Train, all[i*len(all)/o.records])
	}
	set.Clients = []data.Client{c}
	return nil
}

// makePool embeds the pictures.
func makePool(ctx context.Context, model *clip.Model, set *data.Set, names [][]int) (*mia.Pool, error) {
	features, err := federation.ComputeFeatures(ctx, model, set, nil)
	if err != nil {
		return nil, err
	}
	return &mia.Pool{
		Records: features.Examples(set.Clients[0].Train), Classes: len(set.Classes), LogitScale: model.LogitScale,
		NewEncoder: func(l int) (mia.Encoder, error) { return model.Text.NewEncoder(names, l) },
	}, nil
}

const noNoise = "none"

func parseEpsilons(texts []string) ([]float64, error) {
	out := make([]float64, len(texts))
	for i, text := range texts {
		if text == noNoise {
			out[i] = math.Inf(1)
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || math.IsInf(v, 0) {
			return nil, fmt.Errorf("--epsilon %q: want numbers above 0, or none", text)
		}
		out[i] = v
	}
	return out, nil
}

func epsilonName(e float64) string {
	if math.IsInf(e, 1) {
		return noNoise
	}
	return strconv.FormatFloat(e, 'g', -1, 64)
}
