package mia

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/testbed/internal/seeded"
)

// Encoder is a text tower that gives back its workspace.
type Encoder interface {
	prompt.TextEncoder
	Release()
}

// Pool is one client's pictures, of which each shadow prompt learns a random half.
type Pool struct {
	Records    []prompt.Example
	Classes    int
	LogitScale float64
	// NewEncoder makes a text tower for the pool's class names behind a context of l vectors.
	NewEncoder func(l int) (Encoder, error)
}

// Training is how a prompt is learned, without its noise.
type Training struct {
	Context, Rank int
	Steps         int
	Rate          float64 // q
	LocalRate     float64 // of the local prompt
	GlobalRate    float64 // of the global prompt
	Clip          float64 // of every group
}

// shadow is one prompt: who was in, and what it says of every record.
type shadow struct {
	in      []bool
	softmax [][]float64 // of each record, over all classes
}

// trainer makes shadow prompts of one privacy budget.
type trainer struct {
	Training
	pool *Pool
	seed uint64
	// z is the joint noise multiplier; 0 trains without noise.
	z float64
	// noise returns the secret source of a step of a shadow.
	noise func(shadow, step int) rand.Source
}

// train makes so many shadow prompts on all cores.
func (t *trainer) train(ctx context.Context, n int) ([]shadow, error) {
	shadows, errs := make([]shadow, n), make([]error, n)
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := range next {
				shadows[i], errs[i] = t.shadow(ctx, i)
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	for _, err := range append(errs, ctx.Err()) {
		if err != nil {
			return nil, err
		}
	}
	return shadows, nil
}

func (t *trainer) shadow(ctx context.Context, i int) (shadow, error) {
	encoder, err := t.pool.NewEncoder(t.Context)
	if err != nil {
		return shadow{}, err
	}
	defer encoder.Release()
	s := shadow{in: halves(t.seed, i, len(t.pool.Records))}
	var members []prompt.Example
	for j, in := range s.in {
		if in {
			members = append(members, t.pool.Records[j])
		}
	}
	personal, err := t.learn(ctx, i, encoder, members)
	if err != nil {
		return shadow{}, err
	}
	s.softmax = softmax(encoder, t.pool.LogitScale, personal, t.pool.Records)
	return s, nil
}

// halves draws who is in, each record by a fair coin of its own, as a guarantee for single records compares. Shadows 2i
// and 2i+1 complement each other, so that every record is in exactly half of an even number of shadows.
func halves(seed uint64, i, n int) []bool {
	coins := seeded.Source(seed, "membership", "", uint64(i/2))
	in := make([]bool, n)
	for j := range in {
		in[j] = coins.Uint64()&1 == uint64(i%2)
	}
	return in
}

// learn trains a client alone in its federation and returns its personal prompt: the client's own learner, Poisson
// batches, and a server that moves the global prompt by what is released.
func (t *trainer) learn(ctx context.Context, i int, encoder prompt.TextEncoder, members []prompt.Example) ([]float32, error) {
	_, l, d, _ := encoder.Shape()
	config := t.config(l, d)
	learner, err := prompt.NewLearner(config, l, d, std, t.public(0))
	if err != nil {
		return nil, err
	}
	global := prompt.RandomContext(l, d, std, seeded.Source(t.seed, "global prompt", "", 0))
	gradient := make([]float64, l*d)
	for step := range t.Steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		secret := t.noise(i, step)
		batch := poisson(members, t.Rate, secret)
		n, err := learner.Step(encoder, t.pool.LogitScale, global, batch, secret, t.public(step+1))
		if err != nil {
			return nil, err
		}
		n.Float(gradient, learner.GlobalGroup())
		for j, g := range gradient {
			global[j] -= float32(t.GlobalRate * g / config.Batch)
		}
	}
	return learner.Context(nil, global), nil
}

const std = 0.02 // of the first prompts

// public is the public randomness of a step, 0 being the start. A plan fixes it and the first global prompt before
// anything is learned, so an attacker's shadows have the same.
func (t *trainer) public(step int) rand.Source {
	return seeded.Source(t.seed, "public", "", uint64(step))
}

func (t *trainer) config(l, d int) prompt.Config {
	c := prompt.Config{
		Method: prompt.DPFPL, Mode: prompt.Corrected, Rank: t.Rank, LocalRate: t.LocalRate,
		Batch: max(1, t.Rate*float64(len(t.pool.Records))/2),
		Clip:  prompt.Norms{U: t.Clip, V: t.Clip, G: t.Clip},
	}
	if c.Unprotected = t.z == 0; !c.Unprotected {
		c.Z = c.EqualSplit(t.z, l, d)
	}
	return c
}

// poisson takes each record with probability q.
func poisson(records []prompt.Example, q float64, secret rand.Source) []prompt.Example {
	coins := rand.New(secret)
	var batch []prompt.Example
	for _, x := range records {
		if coins.Float64() < q {
			batch = append(batch, x)
		}
	}
	return batch
}

// cryptographic is the noise of a real client. Without a budget there is no noise, and batches follow from the seed.
func cryptographic(seed uint64, private bool) func(shadow, step int) rand.Source {
	if private {
		return func(int, int) rand.Source { return dp.CryptoSource() }
	}
	return fromSeed(seed)
}

func fromSeed(seed uint64) func(shadow, step int) rand.Source {
	return func(shadow, step int) rand.Source {
		return seeded.Source(seed, "noise", strconv.Itoa(shadow), uint64(step))
	}
}

// softmax is a prompt's class probabilities for each record.
func softmax(encoder prompt.TextEncoder, scale float64, ctx []float32, records []prompt.Example) [][]float64 {
	classes, _, _, e := encoder.Shape()
	text := encoder.Forward(ctx)
	out := make([][]float64, len(records))
	for i, x := range records {
		p := make([]float64, classes)
		highest := math.Inf(-1)
		for c := range p {
			for j, v := range text[c*e : (c+1)*e] {
				p[c] += scale * float64(v) * float64(x.Feature[j])
			}
			highest = max(highest, p[c])
		}
		sum := 0.0
		for c := range p {
			p[c] = math.Exp(p[c] - highest)
			sum += p[c]
		}
		for c := range p {
			p[c] /= sum
		}
		out[i] = p
	}
	return out
}
