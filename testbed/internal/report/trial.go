package report

// Trial is one cell of a sweep, run: one configuration with one seed. A sweep's record is one line of JSON for each.
type Trial struct {
	Data       string  `json:"data"`
	Method     string  `json:"method"` // or ControlZeroShot
	Mode       string  `json:"mode"`   // prompt.Corrected or prompt.Paper; what the noise and the accounting are
	Rank       int     `json:"rank"`
	Nominal    Number  `json:"epsilon"`     // asked for, or claimed by the authors; null without noise
	EpsilonRDP Number  `json:"epsilon_rdp"` // true, of one record over the whole run; null without a guarantee
	EpsilonPLD Number  `json:"epsilon_pld"`
	Delta      float64 `json:"delta"`
	Seed       uint64  `json:"seed"`
	NoiseOnly  bool    `json:"noise_only"`        // the control: zero in place of every gradient
	Variant    string  `json:"variant,omitempty"` // what else differs from the grid's base, in words; empty for the base

	Clients   int    `json:"clients"`
	Partition string `json:"partition"`
	Shots     int    `json:"shots"` // training pictures a class; 0 for all
	Rule      string `json:"rule"`
	Cast      string `json:"cast,omitempty"` // how clients misbehave, in words; empty if they don't
	Versions  int    `json:"versions"`

	// Accuracies, as shares of 1, means over clients. Local and Neighbour hold the last versions (ten, as in the
	// paper, or fewer), oldest first.
	Local             []Number `json:"local"`
	Neighbour         []Number `json:"neighbour"`
	ZeroShotLocal     Number   `json:"zero_shot_local"`
	ZeroShotNeighbour Number   `json:"zero_shot_neighbour"`

	Course []Moment `json:"course,omitempty"` // accuracy over virtual time, where the sweep asks for it

	Seconds Number `json:"seconds"` // wall time, for the progress line; differs from run to run
}

// Moment is the mean accuracy over clients at one version of a trial.
type Moment struct {
	Version   int    `json:"version"`
	Seconds   Number `json:"seconds"` // virtual, since the start
	Local     Number `json:"local"`
	Neighbour Number `json:"neighbour"`
}

// ControlZeroShot is the Method of the control that learns nothing: the hand-written context.
const ControlZeroShot = "zero-shot"
