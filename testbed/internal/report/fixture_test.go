package report

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
)

// synthetic makes up a run as the testbed would tell it: ten clients, sixty versions, one that joins late, one that is cut off
// and returns, one that leaves for good, one that is slow.
func synthetic() *Run {
	rng := rand.New(rand.NewPCG(1, 2))
	styles := []string{"openmoji", "emojione v1", "fxemoji", "fluent high contrast"}
	fates := map[int]string{2: "joined at version 20", 4: "ten times slower than the others", 6: "cut off from version 25 to 40", 8: "left for good at version 35"}
	r := &Run{Results: Results{
		Run: "demo-7", Seed: 7, Data: "emoji", Classes: 100, Virtual: true,
		LocalTest:     "other views of the client's own drawings, from augmentation ranges never trained on",
		NeighbourTest: "the other clients' classes in the client's own style",
		Record:        "one training view; views of one drawing count as separate records",
		Method:        "dpfpl", Rank: 4, Rule: "fedbuff", Versions: 60,
		Noise: NoiseSeeded, EpsilonBudget: 8, Delta: 1e-5, Adjacency: "zero-out",
		PlanDigest: "9f2b", BackboneDigest: "77aa", LogDigest: "c0ff", ModelDigests: []string{"00", "01", "02"},
		NoiseOnly: &Means{ZeroShotLocal: Unknown, ZeroShotNeighbour: Unknown, Local: 0.487, Neighbour: 0.491},
		Software:  map[string]string{"go": "go1.26.8", "nats-server": "2.15.2"},
	}}
	wall, virtual := Number(123.4), Number(660)
	r.WallSeconds, r.VirtualSeconds = &wall, &virtual
	for i := range 10 {
		r.Clients = append(r.Clients, Client{
			ID: fmt.Sprintf("client-%02d", i+1), Style: styles[i%4], Classes: []string{"rose", "hibiscus", "sunflower", "four leaf clover", "mushroom"},
			TrainPictures: 100 + 20*i, TestPictures: 40, NeighbourPictures: 180, Fate: fates[i],
			ZeroShotLocal: Number(math.Round(40*(0.35+0.04*float64(i))) / 40), ZeroShotNeighbour: 0.5,
			EpsilonRDP: Number(7.5 + 0.05*float64(i)), EpsilonPLD: Number(6.9 + 0.05*float64(i)), Accepted: 58 - i, Stale: i % 3, StalenessMax: 2 + i,
		})
	}
	r.Clients[3].Refused = 1
	fill(r, rng)
	r.Messages = []Traffic{
		{"plan", "operator", "all", 1, 4210}, {"update.<client>.<k>", "client", "aggregator", 541, 541 * 8300}, {"model", "aggregator", "all", 61, 61 * 4200},
	}
	r.Events = []Event{{66, "", "version 6 closed by its deadline"}, {220, "client-03", "joined"}, {275, "client-07", "evicted: silent for 10 s"}}
	for i := range 12 {
		s := Specimen{Client: r.Clients[i%10].ID, Image: picture(i), Truth: "rose", Before: "hibiscus", After: "rose"}
		if i%4 == 3 {
			s.Before, s.After = "rose", "four leaf clover"
		}
		r.Gallery = append(r.Gallery, s)
	}
	r.Plan = "method:\n  name: dpfpl\n  rank: 4\n"
	r.Notes = []string{"The frozen model is tinyclip, not CLIP: figures are not comparable with the paper's."}
	return r
}

// fill makes up the series.
func fill(r *Run, rng *rand.Rand) {
	for v := range 61 {
		p := Point{Version: uint64(v), Seconds: 11 * float64(v), Epsilon: make([]float64, 10)}
		share := 1 - math.Exp(-float64(v)/15)
		for i := range 10 {
			p.Epsilon[i] = float64(r.Clients[i].EpsilonRDP) * math.Sqrt(float64(v)/60)
		}
		if v%2 == 0 {
			p.Local, p.Neighbour = make([]float64, 10), make([]float64, 10)
			for i := range 10 {
				p.Local[i] = float64(r.Clients[i].ZeroShotLocal) + 0.2*share + 0.02*rng.NormFloat64()
				p.Neighbour[i] = 0.5 - 0.05*share + 0.01*rng.NormFloat64()
				if i == 2 && v < 20 {
					p.Local[i], p.Neighbour[i] = math.NaN(), math.NaN()
				}
			}
		}
		r.Series = append(r.Series, p)
	}
	last := r.Series[60]
	for i := range r.Clients {
		c := &r.Clients[i]
		c.Local, c.Neighbour = Number(math.Round(40*last.Local[i])/40), Number(math.Round(180*last.Neighbour[i])/180)
		spans := map[int][]Span{2: {{c.ID, 220, 660}}, 6: {{c.ID, 0, 275}, {c.ID, 440, 660}}, 8: {{c.ID, 0, 385}}}[i]
		if spans == nil {
			spans = []Span{{c.ID, 0, 660}}
		}
		r.Spans = append(r.Spans, spans...)
		for _, s := range spans {
			step := 11.0
			if i == 4 {
				step = 70
			}
			for at := s.From + 3 + rng.Float64()*4; at < s.To; at += step {
				u := Update{Client: c.ID, Seconds: at, Staleness: int(rng.ExpFloat64() * 1.3), Verdict: "accepted"}
				if i == 4 {
					u.Staleness += 4
				}
				if u.Staleness > 7 {
					u.Verdict = "stale"
				}
				r.Updates = append(r.Updates, u)
			}
		}
	}
}

// picture draws something.
func picture(n int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, 32, 32))
	for y := range 32 {
		for x := range 32 {
			img.SetRGBA(x, y, color.RGBA{uint8(8 * x), uint8(8 * y), uint8(20 * n), 255})
		}
	}
	return img
}
