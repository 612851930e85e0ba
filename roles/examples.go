package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"dpfpl/mathx/clip"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/backbone"
	"dpfpl/schemas"
)

// planEncoder returns the text tower for a plan's classes, each of which the ending follows in a prompt.
func planEncoder(model *clip.Model, plan *schemas.Plan, ending string) (prompt.TextEncoder, error) {
	if plan.Backbone != model.Digest {
		return nil, fmt.Errorf("the run is of model %.12s…, this one is %.12s…", plan.Backbone, model.Digest)
	}
	names := make([][]int, len(plan.Classes))
	for i, class := range plan.Classes {
		ids, err := model.Tokens(class + ending)
		if err != nil {
			return nil, fmt.Errorf("class %q: %w", class, err)
		}
		names[i] = ids
	}
	return model.Text.NewEncoder(names, int(plan.Prompt.Context))
}

// planExamples returns the pictures of a feature cache, or of a folder with one sub-folder for each class, as
// examples of the plan's classes, which are found by name.
func planExamples(model *clip.Model, plan *schemas.Plan, path string) ([]prompt.Example, error) {
	set, err := openFeatures(model, path)
	if err != nil {
		return nil, err
	}
	labels := make([]int, len(set.Meta.Classes))
	for i, class := range set.Meta.Classes {
		if labels[i] = slices.Index(plan.Classes, backbone.Name(class)); labels[i] < 0 {
			return nil, fmt.Errorf("%s: the run has no class %q", path, backbone.Name(class))
		}
	}
	examples := make([]prompt.Example, set.Len())
	for i := range examples {
		examples[i] = prompt.Example{Feature: set.Row(i), Label: labels[set.Labels[i]]}
	}
	return examples, nil
}

// openFeatures reads a feature cache, or computes the features of a folder of pictures, all of which must be
// readable.
func openFeatures(model *clip.Model, path string) (*backbone.Features, error) {
	folder, err := backbone.Folder(path)
	if err != nil {
		return nil, err
	}
	if backbone.IsCache(folder) {
		set, err := backbone.ReadFeatures(folder, model.Digest)
		return set, about(path, err)
	}
	images, err := backbone.ScanImages(folder)
	if err != nil {
		return nil, about(path, err)
	}
	files := make([]string, len(images.List))
	for i, image := range images.List {
		files[i] = filepath.Join(path, filepath.FromSlash(image.File))
	}
	set, err := pictureFeatures(model, files)
	if err != nil {
		return nil, err
	}
	set.Meta.Classes = images.Classes
	for i, image := range images.List {
		set.Labels[i] = image.Label
	}
	return set, nil
}
