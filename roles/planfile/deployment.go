package planfile

import (
	"cmp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"dpfpl/schemas"
)

// Deployment is a whole plan: what the operator edits, checks and publishes.
type Deployment struct {
	Run      string   `yaml:"run"`
	Classes  []string `yaml:"classes"`
	Backbone string   `yaml:"backbone"`
	File     `yaml:",inline"`
	Roster   `yaml:",inline"`
}

// Roster says who takes part, by public keys.
type Roster struct {
	Aggregator string           `yaml:"aggregator"`
	Operator   string           `yaml:"operator"`
	Members    []schemas.Member `yaml:"members"`
}

// Read lays a YAML file over r. Errors name the file and the place in it.
func (r *Roster) Read(path string) error { return read(path, r) }

// Read lays a YAML file over d. Errors name the file and the place in it.
func (d *Deployment) Read(path string) error { return read(path, d) }

// Plan settles the file and returns the plan that it stands for. Errors: schemas.ErrInvalid with every fault by
// the field's path, and those of Settle.
func (d *Deployment) Plan() (*schemas.Plan, error) {
	file := d.File
	if err := file.Settle(max(1, len(d.Members)), int(d.Prompt.Width)); err != nil {
		// A field that is wrong by itself says more than that no noise was found for it.
		file.Privacy.ZU, file.Privacy.ZV, file.Privacy.ZG = 1, 1, 1
		return nil, cmp.Or(d.with(file).Validate(), err)
	}
	plan := d.with(file)
	return plan, plan.Validate()
}

// with joins the settled file with the rest.
func (d *Deployment) with(f File) *schemas.Plan {
	members := slices.Clone(d.Members)
	slices.SortFunc(members, func(a, b schemas.Member) int { return cmp.Compare(a.ID, b.ID) })
	return &schemas.Plan{
		Header: schemas.Header{Version: schemas.Version, Run: d.Run, Sender: "operator"},
		Method: f.Method, Prompt: f.Prompt, Rule: f.Rule, Server: f.Server, Privacy: f.Privacy, Presence: f.Presence,
		Classes: d.Classes, Backbone: d.Backbone, Versions: f.Versions, Updates: f.Updates, Seed: f.Seed,
		Members: members, Aggregator: d.Aggregator, Operator: d.Operator,
	}
}

// Of returns the file of a plan: Plan gives it back.
func Of(p *schemas.Plan) *Deployment {
	return &Deployment{
		Run: p.Run, Classes: p.Classes, Backbone: p.Backbone,
		File: File{
			Method: p.Method, Prompt: p.Prompt, Rule: p.Rule, Server: p.Server, Privacy: p.Privacy, Presence: p.Presence,
			Versions: p.Versions, Updates: p.Updates, Seed: p.Seed,
		},
		Roster: Roster{Aggregator: p.Aggregator, Operator: p.Operator, Members: p.Members},
	}
}

// YAML returns the plan as a file that Read accepts, with a comment at every field.
func (d *Deployment) YAML() string {
	b, err := yaml.MarshalWithOptions(d, yaml.WithComment(commentMap()), yaml.IndentSequence(true))
	if err != nil {
		panic("planfile: plan does not marshal: " + err.Error())
	}
	return string(b)
}

func commentMap() yaml.CommentMap {
	m := yaml.CommentMap{}
	for path, text := range comments {
		var lines []string
		for line := range strings.SplitSeq(text, "\n") {
			lines = append(lines, " "+line)
		}
		m["$."+path] = []*yaml.Comment{yaml.HeadComment(lines...)}
	}
	return m
}

// comments explains every field of the file, by its path.
var comments = map[string]string{
	"run":      "Name of the run: letters, digits, _ and -.",
	"classes":  "Class names, in index order; every client uses all of them, so that its own stay unknown.",
	"backbone": "SHA-256 digest of the frozen CLIP that every client must hold.",

	"method":           "How clients learn.",
	"method.name":      "dpfpl, promptfl, fedotp, fedpgp or dplora.",
	"method.mode":      "corrected clips every record: the guarantee below holds. paper clips the batch: no guarantee.",
	"method.rank":      "Rank k of the local prompt's factors.",
	"method.left_only": "Release the left factor's gradient only: less noise, less freedom.",
	"method.rate":      "Step size of the local prompt.",
	"method.momentum":  "Momentum of the local prompt, from 0 up to but without 1.",

	"prompt":         "The global prompt.",
	"prompt.context": "Number of context vectors l.",
	"prompt.width":   "Their width d, that of the model.",
	"prompt.init":    "random: N(0, std²). words: the embeddings of the words below.",
	"prompt.std":     "Standard deviation of a random start, and of the local prompts'.",
	"prompt.words":   `For init: words, for example "a photo of a".`,

	"rule": "How updates become versions of the global prompt.",
	"rule.name": "sync waits for everybody; fedbuff for the first few (buffer); fedasync for one;\n" +
		"trimmed and median are sync with a mean that a liar cannot pull far.",
	"rule.buffer":        "fedbuff: updates that make a version.",
	"rule.quorum":        "Fewest updates with which the deadline may make a version.",
	"rule.deadline":      "How long a version waits for more than its quorum; 0s: for ever.",
	"rule.max_staleness": "Oldest base of an update that still counts, in versions.",
	"rule.trim":          "trimmed: updates dropped at each end of each coordinate.",

	"server":          "The aggregator's optimiser.",
	"server.rate":     "Step size of the global prompt.",
	"server.momentum": "Its momentum, from 0 up to but without 1.",

	"privacy":           "What every client must do to its gradients, and what it gets for it.",
	"privacy.noise":     "client: each client noises before bytes exist. none: no privacy at all.",
	"privacy.adjacency": "What one record may change: zero-out (its contribution becomes nothing), add-remove or replace-one.",
	"privacy.epsilon":   "Budget of one record over the whole run.",
	"privacy.delta":     "Must be well below 1 / records of a client.",
	"privacy.rate":      "Poisson sampling rate q: the share of its records that a client uses in a step.",
	"privacy.batch":     "Public divisor of a batch's sum; about q × records of a typical client.",
	"privacy.clip_u":    "Clip norms of one record's gradients: left factor,",
	"privacy.clip_v":    "right factor,",
	"privacy.clip_g":    "global prompt.",
	"privacy.z_u":       "Noise over clip norm: left factor, (all three 0: the least noise that keeps the budget over all updates)",
	"privacy.z_v":       "right factor,",
	"privacy.z_g":       "global prompt.",

	"presence":           "Who is there.",
	"presence.heartbeat": "How often a client shows itself.",
	"presence.silence":   "How long without it until versions no longer wait for the client.",

	"versions": "T: the run is over after so many versions of the global prompt.",
	"updates":  "N: most updates of one client, kept by the broker itself. 0: as many as the rule can use.",
	"seed":     "Makes version 0 of the global prompt, and nothing secret.",

	"aggregator": "Public key that signs models; see dpfpl enroll.",
	"operator":   "Public key that signs this plan; clients pin it.",
	"members":    "Who may take part, with public keys.",
}
