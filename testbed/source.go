package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"dpfpl/mathx/clip"
	"dpfpl/testbed/internal/data"
)

// own are the flags that say how a data set of one's own is read and divided; the built-in ones have a division of their own.
type own struct {
	Partition string
	Shots     int
	Truncate  bool
	TestShare float64
	Classes   string
	SkipBad   bool
}

// ownFlags names them.
var ownFlags = []string{"partition", "shots", "truncate", "test-share", "classes", "skip-bad"}

func (o *own) register(f *pflag.FlagSet) {
	f.StringVar(&o.Partition, "partition", data.RulePathological, "how a data set of your own is divided: pathological (the paper's class lists), dirichlet:ALPHA, style")
	f.IntVar(&o.Shots, "shots", 0, "training pictures that are kept of each class; 0: all")
	f.BoolVar(&o.Truncate, "truncate", false, "cut every client's training pictures to the smallest client's number, as the paper's code does")
	f.Float64Var(&o.TestShare, "test-share", 0.3, "share of every class that is held out, for a folder without train/ and test/")
	f.StringVar(&o.Classes, "classes", "", "file with the class names, for features and idx (default: one that lies beside them)")
	f.BoolVar(&o.SkipBad, "skip-bad", false, "leave out pictures that are missing or cannot be read")
}

// builtinData tells whether the data set comes with the testbed.
func (o *options) builtinData() bool { return slices.Contains(data.Names(), o.Data) }

// dataHelp explains --data.
func dataHelp() string {
	return fmt.Sprintf("data set: %s, or one of your own as KIND:FOLDER, of the kinds %s", strings.Join(data.Names(), ", "), strings.Join(data.Kinds(), ", "))
}

// checkData reports what is wrong with the flags about data by themselves.
func (o *options) checkData(set func(flag string) bool) error {
	if o.builtinData() {
		for _, flag := range ownFlags {
			if set(flag) {
				return fmt.Errorf("--%s is for data sets of your own: %s is divided in its own way", flag, o.Data)
			}
		}
		return nil
	}
	var errs []error
	if _, err := data.ParseSource(o.Data); err != nil {
		errs = append(errs, fmt.Errorf("--data %q: want %s or KIND:FOLDER, with one of the kinds %s", o.Data, strings.Join(data.Names(), ", "), strings.Join(data.Kinds(), ", ")))
	}
	if set("data-dir") {
		errs = append(errs, errors.New("--data-dir is for the built-in data sets"))
	}
	if _, err := o.division(); err != nil {
		errs = append(errs, err)
	}
	if o.Shots < 0 {
		errs = append(errs, fmt.Errorf("--shots %d: want at least 0", o.Shots))
	}
	if !(o.TestShare > 0 && o.TestShare < 1) {
		errs = append(errs, fmt.Errorf("--test-share %v: want more than 0, less than 1", o.TestShare))
	}
	return errors.Join(errs...)
}

// division is what --partition and its like ask for.
func (o *options) division() (data.Division, error) {
	d := data.Division{Clients: o.Clients, Shots: o.Shots, Truncate: o.Truncate}
	rule, alpha, given := strings.Cut(o.Partition, ":")
	wrong := fmt.Errorf("--partition %q: want pathological, dirichlet:ALPHA with ALPHA above 0, or style", o.Partition)
	switch d.Rule = rule; {
	case rule == data.RuleDirichlet && given:
		a, err := strconv.ParseFloat(alpha, 64)
		if err != nil || !(a > 0 && a < 1e6) {
			return d, wrong
		}
		d.Alpha = a
	case given || rule != data.RulePathological && rule != data.RuleDirichlet && rule != data.RuleStyle:
		return d, wrong
	}
	return d, nil
}

// openSet opens and divides the data set, and lists the pictures that were left out.
func (o *options) openSet(seed uint64) (set *data.Set, skipped []string, err error) {
	if o.builtinData() {
		set, err = data.Open(o.Data, openData(o.DataDir), data.Options{Clients: o.Clients, Seed: seed})
		if err != nil && o.DataDir != "" {
			err = fmt.Errorf("--data-dir %s: %w", o.DataDir, err)
		}
		return set, nil, err
	}
	source, err := data.ParseSource(o.Data)
	if err != nil {
		return nil, nil, err
	}
	division, err := o.division()
	if err != nil {
		return nil, nil, err
	}
	division.Seed = seed
	pool, err := source.Open(data.SourceOptions{Classes: o.Classes, TestShare: o.TestShare, Styles: division.Rule == data.RuleStyle, Skip: o.SkipBad, Seed: seed})
	if err != nil {
		return nil, nil, err
	}
	set, err = pool.Divide(division)
	return set, pool.Skipped, err
}

// needs reports a model that lacks a tower, before the data are read.
func (o *options) needs(model *clip.Model) error {
	if model.Text == nil || model.Tokenizer == nil {
		return errors.New("needs a text tower and a tokenizer")
	}
	if source, err := data.ParseSource(o.Data); model.Images() == nil && (err != nil || source.Kind != data.KindFeatures) {
		return errors.New("needs a vision tower to see pictures")
	}
	return nil
}

// fits reports features that are not of the model's kind.
func fits(set *data.Set, model *clip.Model) error {
	if n := len(set.Clients[0].Train[0].Feature); n != 0 && n != model.Dim() {
		return fmt.Errorf("has %d dimensions, the features of %s have %d", model.Dim(), set.Name, n)
	}
	return nil
}

// typicalBatch is what the sampling rate draws on average from the median client: a public figure.
func typicalBatch(set *data.Set, rate float64) float64 {
	return max(1, rate*float64(set.MedianRecords()))
}
