package report

import (
	"math"
	"math/rand/v2"
	"slices"
)

// madeUp is a sweep as the runner would record it: three data sets of which the paper knows two, both modes, three seeds,
// noise-only controls, variants at equal ε, and three rules under three casts.
func madeUp() *Sweep {
	rng := rand.New(rand.NewPCG(3, 4))
	s := &Sweep{
		Title: "The paper's grid on cached CLIP features", Command: "go run ./testbed sweep --grid paper",
		Grid:  "methods: [promptfl, fedotp, fedpgp, dpfpl]\nepsilon: [none, 0.4, 0.2, 0.1]\nrank: [8]\nseeds: [1, 2, 3]\n",
		Notes: []string{"Backbone: ViT-B/32 image features with a stand-in text tower (paper: ViT-B/16, CLIP's own).", "16 pictures a class (paper: all)."},
	}
	worth := map[string]float64{"promptfl": 0, "fedotp": 0.05, "fedpgp": 0.03, "dpfpl": 0.045, "dplora": 0.02}
	for _, data := range []string{"oxford_pets", "caltech101", "emoji"} {
		zero := map[string]float64{"oxford_pets": 0.85, "caltech101": 0.91, "emoji": 0.5}[data]
		trial := func(method, mode string, epsilon float64, seed uint64) Trial {
			t := Trial{Data: data, Partition: "pathological", Clients: 10, Shots: 16, Method: method, Mode: mode, Rank: 8, Rule: "sync", Versions: 100,
				Nominal: Number(epsilon), EpsilonRDP: Number(epsilon * 0.99), EpsilonPLD: Number(epsilon * 0.93), Delta: 1e-5, Seed: seed,
				ZeroShotLocal: Number(zero + 0.002*float64(seed)), ZeroShotNeighbour: Number(zero - 0.01), Seconds: Number(rng.Float64())}
			if mode == "paper" {
				t.EpsilonRDP, t.EpsilonPLD = Number(epsilon*1.9), Number(epsilon*1.85)
			}
			noise := 0.0
			if math.IsNaN(epsilon) {
				t.EpsilonRDP, t.EpsilonPLD = Unknown, Unknown
			} else {
				noise = 0.02 / math.Sqrt(epsilon) * (1.2 - 10*worth[method])
				if method == "dpfpl" {
					noise /= 2
				}
			}
			local, neighbour := zero+worth[method]-noise, zero-0.7*worth[method]-noise
			for range 10 {
				t.Local = append(t.Local, Number(min(1, local+0.004*rng.NormFloat64())))
				t.Neighbour = append(t.Neighbour, Number(min(1, neighbour+0.004*rng.NormFloat64())))
			}
			return t
		}
		for seed := uint64(1); seed <= 3; seed++ {
			for _, epsilon := range []float64{math.NaN(), 0.4, 0.2, 0.1} {
				for _, method := range []string{"promptfl", "fedotp", "fedpgp", "dpfpl"} {
					s.Trials = append(s.Trials, trial(method, "corrected", epsilon, seed))
					if epsilon > 0 {
						s.Trials = append(s.Trials, trial(method, "paper", epsilon, seed))
						only := trial(method, "corrected", epsilon, seed)
						only.NoiseOnly = true
						for i := range only.Local {
							only.Local[i] -= 0.03
							only.Neighbour[i] -= 0.03
						}
						if method == "dpfpl" {
							s.Trials = append(s.Trials, only)
						}
					}
				}
				if data == "caltech101" {
					for _, rank := range []int{1, 4} {
						t := trial("dpfpl", "corrected", epsilon, seed)
						t.Rank = rank
						s.Trials = append(s.Trials, t)
					}
					s.Trials = append(s.Trials, trial("dplora", "corrected", epsilon, seed))
				}
			}
			if data == "emoji" {
				for i, variant := range []string{"clip 1", "clip 1, batch 64", "clip 1, batch 64, words", "left factor"} {
					for _, epsilon := range []float64{8, 1} {
						t := trial("dpfpl", "corrected", epsilon, seed)
						t.Variant = variant
						for j := range t.Local {
							t.Local[j] += Number(0.02 * float64(i))
						}
						s.Trials = append(s.Trials, t)
					}
				}
				for r, rule := range []string{"sync", "fedbuff", "fedasync"} {
					for c, cast := range []string{"", "a quarter straggle tenfold", "a third drop out"} {
						t := trial("dpfpl", "corrected", 8, seed)
						t.Rule, t.Cast, t.Variant = rule, cast, "timed"
						pace := float64(1+9*c*(2-r)) / float64(1+r)
						t.Course = course(t.Local[9], t.ZeroShotLocal, pace, rng)
						s.Trials = append(s.Trials, t)
					}
				}
			}
			s.Trials = append(s.Trials, Trial{Data: data, Partition: "pathological", Clients: 10, Shots: 16, Method: ControlZeroShot, Mode: "corrected", Nominal: Unknown,
				EpsilonRDP: Unknown, EpsilonPLD: Unknown, Seed: seed, ZeroShotLocal: Number(zero + 0.002*float64(seed)), ZeroShotNeighbour: Number(zero - 0.01)})
		}
	}
	return s
}

func course(end, zero Number, pace float64, rng *rand.Rand) []Moment {
	var c []Moment
	for v := range 51 {
		rise := Number(1 - math.Exp(-float64(v)/12))
		c = append(c, Moment{Version: v, Seconds: Number(pace * float64(v)), Local: min(1, zero-0.1+(end-zero+0.1)*rise+Number(0.002*rng.NormFloat64())), Neighbour: 0.4})
	}
	return c
}

// without leaves out the trials that the condition holds for.
func (s *Sweep) without(drop func(*Trial) bool) *Sweep {
	c := *s
	c.Trials = slices.DeleteFunc(slices.Clone(s.Trials), func(t Trial) bool { return drop(&t) })
	return &c
}
