package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"dpfpl/mathx/clip"
	"dpfpl/roles/backbone"
)

// featuresFlags are those of dpfpl features.
type featuresFlags struct {
	model, out  string
	split, part string
	workers     int
	full        bool
}

func newFeaturesCommand() *cobra.Command {
	var f featuresFlags
	c := &cobra.Command{
		Use:   "features FOLDER",
		Short: "compute image features once, for clients to learn from",
		Long: `Computes the features of a folder of images, one sub-folder for each class, or with --split of the images
that a CoOp split file lists, and stores them with their labels and the model's digest.
Files that are no readable image are listed and left out. An interrupted run goes on where it was when it is
started again; a cache that is complete is left alone.`,
		Args: inputArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	c.Flags().StringVar(&f.model, "model", "", "`folder` of the CLIP model")
	c.Flags().StringVar(&f.out, "out", "", "`folder` for the cache")
	c.Flags().StringVar(&f.split, "split", "", "CoOp split `file`; FOLDER is what its paths are below")
	c.Flags().StringVar(&f.part, "part", "train", "which `part` of the split: train, val or test")
	c.Flags().IntVar(&f.workers, "workers", 0, "images worked on at a time; 0 is one a processor")
	c.Flags().BoolVar(&f.full, "float32", false, "store float32 instead of float16")
	return c
}

func (f *featuresFlags) run(c *cobra.Command, folder string) error {
	if f.out == "" {
		return input(errors.New("no place for the cache: give --out"))
	}
	if f.workers < 0 {
		return flagError("workers", f.workers, ">= 0")
	}
	if c.Flags().Changed("part") && f.split == "" {
		return input(errors.New("--part is for --split"))
	}
	images, err := f.images(folder)
	if err != nil {
		return input(err)
	}
	model, err := openModel(f.model, clip.ImageTower)
	if err != nil {
		return err
	}
	defer model.Close()
	x := &backbone.Extraction{Model: model, Images: images, Dir: f.out, Workers: f.workers, Half: !f.full,
		Progress: func(done, total int) { fmt.Fprintf(c.ErrOrStderr(), "\r%d of %d images", done, total) }}
	features, skipped, err := x.Run(c.Context())
	fmt.Fprintln(c.ErrOrStderr())
	for _, s := range skipped {
		fmt.Fprintf(c.ErrOrStderr(), "skipped %s: %s\n", s.File, s.Reason)
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; the same command goes on from here")
	}
	if err != nil {
		return inputIf(err, backbone.ErrImages, fs.ErrNotExist, fs.ErrPermission, syscall.ENOTDIR)
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: %d features of dimension %d, %d classes, %d images skipped\nmodel %s\n",
		f.out, features.Len(), features.Dim, len(features.Meta.Classes), len(skipped), model.Digest)
	return nil
}

func (f *featuresFlags) images(folder string) (backbone.Images, error) {
	root, err := backbone.Folder(folder)
	if err != nil {
		return backbone.Images{}, err
	}
	if f.split == "" {
		images, err := backbone.ScanImages(root)
		return images, about(folder, err)
	}
	data, err := os.ReadFile(f.split)
	if err != nil {
		return backbone.Images{}, fmt.Errorf("--split: %w", err)
	}
	images, err := backbone.ReadSplit(root, data, f.part)
	return images, about(f.split, err)
}

// about says which file or folder err is about; nil stays nil.
func about(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", path, err)
}

// openModel opens a model folder; every error is the caller's.
func openModel(dir string, parts ...clip.Part) (*clip.Model, error) {
	if dir == "" {
		return nil, input(errors.New("no model: give --model"))
	}
	model, err := backbone.Open(dir, parts...)
	return model, input(err)
}
