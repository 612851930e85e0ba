package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"dpfpl/mathx/clip"
	"dpfpl/roles/backbone"
	"dpfpl/roles/predictor"
)

// zeroshotFlags are those of dpfpl zeroshot.
type zeroshotFlags struct {
	model            string
	names            []string
	namesFile        string
	templates        []string
	features, labels string
	list             bool
}

func newZeroshotCommand() *cobra.Command {
	var f zeroshotFlags
	c := &cobra.Command{
		Use:   "zeroshot [PICTURE...]",
		Short: "classify pictures by class names alone",
		Long: `Classifies pictures by the names of classes in one or more templates, whose features are averaged.
Pictures are given as files, and their five best names are printed; or as cached features (--features, a folder
made by "dpfpl features" or an npy file with --labels), and the accuracy is printed.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	c.Flags().StringVar(&f.model, "model", "", "`folder` of the CLIP model")
	c.Flags().StringSliceVar(&f.names, "names", nil, "class `names`, separated by commas")
	c.Flags().StringVar(&f.namesFile, "names-file", "", "`file` with a class name on each line")
	c.Flags().StringArrayVar(&f.templates, "template", []string{"a photo of a {}."}, "`text` with {} for the name; may be given several times")
	c.Flags().StringVar(&f.features, "features", "", "feature cache `folder`, or npy file")
	c.Flags().StringVar(&f.labels, "labels", "", "npy `file` of labels, if --features is an npy file")
	c.Flags().BoolVar(&f.list, "list", false, "also print the five best names for each cached picture")
	return c
}

func (f *zeroshotFlags) run(c *cobra.Command, pictures []string) error {
	if (f.features == "") == (len(pictures) == 0) {
		return input(errors.New("give either pictures or --features"))
	}
	parts := []clip.Part{clip.TextTower, clip.ImageTower}
	if len(pictures) == 0 {
		parts = parts[:1]
	}
	model, err := openModel(f.model, parts...)
	if err != nil {
		return err
	}
	defer model.Close()
	set, err := f.set(model, pictures)
	if err != nil {
		return input(err)
	}
	names, err := f.classNames(set)
	if err != nil {
		return input(err)
	}
	classifier, err := predictor.Templated(model, names, f.templates)
	if err != nil {
		return input(err)
	}
	if set.Dim != classifier.Dim {
		return input(fmt.Errorf("features of dimension %d, the model has %d", set.Dim, classifier.Dim))
	}
	return f.print(c.OutOrStdout(), classifier, set, len(pictures) > 0)
}

// set returns the pictures' features; labels are those of the cache.
func (f *zeroshotFlags) set(model *clip.Model, pictures []string) (*backbone.Features, error) {
	switch {
	case len(pictures) > 0:
		return pictureFeatures(model, pictures)
	case f.labels != "":
		x, err := os.Open(f.features)
		if err != nil {
			return nil, err
		}
		defer x.Close()
		y, err := os.Open(f.labels)
		if err != nil {
			return nil, err
		}
		defer y.Close()
		set, err := backbone.ReadArrays(x, y)
		return set, about(f.features+", "+f.labels, err)
	}
	folder, err := backbone.Folder(f.features)
	if err != nil {
		return nil, err
	}
	set, err := backbone.ReadFeatures(folder, model.Digest)
	return set, about(f.features, err)
}

func pictureFeatures(model *clip.Model, pictures []string) (*backbone.Features, error) {
	if model.Images() == nil {
		return nil, errors.New("the model has no image tower")
	}
	set := &backbone.Features{Dim: model.Dim()}
	for _, picture := range pictures {
		pixels, err := backbone.ReadPixels(os.DirFS(filepath.Dir(picture)), filepath.Base(picture), model.Preprocess)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", picture, err)
		}
		set.X = append(set.X, model.Images().Features(nil, pixels, 1)...)
		set.Labels = append(set.Labels, 0)
		set.Meta.Files = append(set.Meta.Files, picture)
	}
	return set, nil
}

// classNames are those given, else the cache's.
func (f *zeroshotFlags) classNames(set *backbone.Features) ([]string, error) {
	names := slices.Clone(f.names)
	if f.namesFile != "" {
		more, err := scanNames(f.namesFile)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	if len(names) == 0 {
		for _, class := range set.Meta.Classes {
			names = append(names, backbone.Name(class))
		}
	} else if err := relabel(set, names); err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("no class names: give --names or --names-file")
	}
	if len(set.Labels) > 0 {
		if top := slices.Max(set.Labels); top >= len(names) {
			return nil, fmt.Errorf("%d class names, but a picture has label %d", len(names), top)
		}
	}
	return names, nil
}

// relabel gives the pictures of a cache that has class names of its own the places of those in names.
func relabel(set *backbone.Features, names []string) error {
	place := make([]int, len(set.Meta.Classes))
	for i, class := range set.Meta.Classes {
		if place[i] = slices.Index(names, backbone.Name(class)); place[i] < 0 {
			return fmt.Errorf("the pictures are of a class %q, which is not among the names", backbone.Name(class))
		}
	}
	if len(place) > 0 {
		for i, label := range set.Labels {
			set.Labels[i] = place[label]
		}
	}
	return nil
}

func (f *zeroshotFlags) print(w io.Writer, k *predictor.Classifier, set *backbone.Features, pictures bool) error {
	top1, top5 := 0, 0
	for i := range set.Len() {
		best := k.Best(set.Row(i), 5)
		if best[0].Class == set.Labels[i] {
			top1++
		}
		if slices.ContainsFunc(best, func(g predictor.Guess) bool { return g.Class == set.Labels[i] }) {
			top5++
		}
		if pictures || f.list {
			printGuesses(w, k, set, i, best, !pictures)
		}
	}
	if !pictures && set.Len() > 0 {
		n := float64(set.Len())
		fmt.Fprintf(w, "%d pictures, %d classes: accuracy %.2f %%, within the best five %.2f %%\n",
			set.Len(), len(k.Names), 100*float64(top1)/n, 100*float64(top5)/n)
	}
	return nil
}

func printGuesses(w io.Writer, k *predictor.Classifier, set *backbone.Features, i int, best []predictor.Guess, labelled bool) {
	file := fmt.Sprintf("row %d", i)
	if i < len(set.Meta.Files) {
		file = set.Meta.Files[i]
	}
	fmt.Fprint(w, file)
	if labelled {
		fmt.Fprintf(w, " (%s)", k.Names[set.Labels[i]])
	}
	for n, g := range best {
		separator := ", "
		if n == 0 {
			separator = ": "
		}
		fmt.Fprintf(w, "%s%s %.1f %%", separator, k.Names[g.Class], 100*g.Probability)
	}
	fmt.Fprintln(w)
}
