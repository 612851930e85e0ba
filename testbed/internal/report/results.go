package report

import (
	"encoding/json"

	"dpfpl/mathx/metrics"
)

// The values of Results.Noise.
const (
	NoiseClient = "client" // cryptographic noise at every client
	NoiseSeeded = "seeded" // repeatable noise of virtual time: the same arithmetic, but it protects nothing
	NoiseNone   = "none"   // no noise, no privacy
)

// Results are what results.json holds.
type Results struct {
	Run     string `json:"run"`
	Seed    uint64 `json:"seed"`
	Virtual bool   `json:"virtual_time"`

	Data      string `json:"data"`
	Classes   int    `json:"classes"`    // names among which every client classifies
	LocalTest string `json:"local_test"` // what local accuracy is measured on
	// NeighbourTest is what neighbour accuracy is measured on.
	NeighbourTest string `json:"neighbour_test"`
	Record        string `json:"record"` // the unit of the privacy guarantee

	Method   string `json:"method"`
	Rank     int    `json:"rank"`
	Rule     string `json:"rule"`
	Versions int    `json:"versions"`

	Noise         string  `json:"noise"`
	EpsilonBudget Number  `json:"epsilon_budget"` // null without noise
	Delta         float64 `json:"delta"`
	Adjacency     string  `json:"adjacency"`

	PlanDigest     string   `json:"plan_digest"`
	BackboneDigest string   `json:"backbone_digest"`
	LogDigest      string   `json:"log_digest"`
	ModelDigests   []string `json:"model_digests"` // hex, of version 0, 1, …

	Mean      Means  `json:"mean"`       // over clients, unweighted; Write computes it
	NoiseOnly *Means `json:"noise_only"` // the control run, zero gradients: only noise moves the prompts

	VirtualSeconds *Number           `json:"virtual_seconds,omitempty"`
	WallSeconds    *Number           `json:"wall_seconds,omitempty"` // left out under virtual time
	Software       map[string]string `json:"software"`               // module or tool: version

	Clients []Client `json:"clients"`
}

// Means are accuracies averaged over clients, as shares of 1.
type Means struct {
	ZeroShotLocal     Number `json:"zero_shot_local"`
	ZeroShotNeighbour Number `json:"zero_shot_neighbour"`
	Local             Number `json:"local_accuracy"`
	Neighbour         Number `json:"neighbour_accuracy"`
	HarmonicMean      Number `json:"harmonic_mean"` // of Local and Neighbour
}

// Client is one client's outcome. Accuracies are shares of 1, Unknown where there is nothing to test on.
type Client struct {
	ID      string   `json:"id"`
	Style   string   `json:"style"`
	Classes []string `json:"classes"` // names it holds

	TrainPictures     int `json:"train_pictures"`
	TestPictures      int `json:"test_pictures"`
	NeighbourPictures int `json:"neighbour_pictures"`

	ZeroShotLocal     Number `json:"zero_shot_local"`
	ZeroShotNeighbour Number `json:"zero_shot_neighbour"`
	Local             Number `json:"local_accuracy"`
	Neighbour         Number `json:"neighbour_accuracy"`

	EpsilonRDP Number `json:"epsilon_rdp"` // spent; the official figure. Infinite without noise
	EpsilonPLD Number `json:"epsilon_pld"`

	Accepted     int    `json:"updates_accepted"`
	Stale        int    `json:"updates_stale"`
	Refused      int    `json:"updates_refused"`
	StalenessMax int    `json:"staleness_max"`
	Fate         string `json:"fate"` // what happened to it, in words; empty for nothing
}

// FillMeans computes Mean from Clients. A client whose value is unknown is left out of that mean.
func (r *Results) FillMeans() {
	r.Mean = Means{
		ZeroShotLocal:     r.mean(func(c *Client) Number { return c.ZeroShotLocal }),
		ZeroShotNeighbour: r.mean(func(c *Client) Number { return c.ZeroShotNeighbour }),
		Local:             r.mean(func(c *Client) Number { return c.Local }),
		Neighbour:         r.mean(func(c *Client) Number { return c.Neighbour }),
	}
	r.Mean.fillHarmonic()
	if r.NoiseOnly != nil {
		r.NoiseOnly.fillHarmonic()
	}
}

func (r *Results) mean(of func(*Client) Number) Number {
	var known []float64
	for i := range r.Clients {
		if v := of(&r.Clients[i]); v.Known() {
			known = append(known, float64(v))
		}
	}
	mean, _ := metrics.MeanStd(known)
	return Number(mean)
}

func (m *Means) fillHarmonic() {
	m.HarmonicMean = Unknown
	if m.Local.Known() && m.Neighbour.Known() {
		m.HarmonicMean = Number(metrics.HarmonicMean(float64(m.Local), float64(m.Neighbour)))
	}
}

// encode returns the bytes of results.json: the same for equal results.
func (r Results) encode() ([]byte, error) {
	if r.Virtual {
		r.WallSeconds = nil
	}
	r.FillMeans()
	raw, err := json.MarshalIndent(r, "", "  ")
	return append(raw, '\n'), err
}
