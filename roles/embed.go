package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"dpfpl/mathx/clip"
	"dpfpl/roles/backbone"
)

func newEmbedCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "embed",
		Short: "print features of texts or pictures",
		Args:  inputArgs(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newEmbedTextCommand(), newEmbedImageCommand())
	return c
}

// embedFlags are those of both sub-commands.
type embedFlags struct{ model, npy string }

func (f *embedFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.model, "model", "", "`folder` of the CLIP model")
	c.Flags().StringVar(&f.npy, "npy", "", "write the features to an npy `file` instead of printing them")
}

// embedded is a line of output.
type embedded struct {
	Text    string    `json:"text,omitempty"`
	Tokens  []int     `json:"tokens,omitempty"`
	File    string    `json:"file,omitempty"`
	Feature []float32 `json:"feature"`
}

func newEmbedTextCommand() *cobra.Command {
	var f embedFlags
	c := &cobra.Command{
		Use:   "text [TEXT...]",
		Short: "print the unit features of texts, one JSON line each; without arguments, of the lines of standard input",
		Args:  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, texts []string) error {
			model, err := openModel(f.model, clip.TextTower)
			if err != nil {
				return err
			}
			defer model.Close()
			if len(texts) == 0 {
				scan := bufio.NewScanner(c.InOrStdin())
				for scan.Scan() {
					texts = append(texts, scan.Text())
				}
				if err := scan.Err(); err != nil {
					return err
				}
			}
			lines, err := embedTexts(model, texts)
			if err != nil {
				return input(err)
			}
			return f.write(c, lines)
		},
	}
	f.register(c)
	return c
}

func embedTexts(model *clip.Model, texts []string) ([]embedded, error) {
	var ids [][]int
	for _, text := range texts {
		tokens, err := model.Tokens(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, tokens)
	}
	features, err := model.Text.Features(nil, ids)
	if err != nil {
		return nil, err
	}
	lines := make([]embedded, len(texts))
	for i, text := range texts {
		dim := len(features) / len(texts)
		lines[i] = embedded{Text: text, Tokens: ids[i], Feature: features[i*dim : (i+1)*dim]}
	}
	return lines, nil
}

func newEmbedImageCommand() *cobra.Command {
	var f embedFlags
	c := &cobra.Command{
		Use:   "image PICTURE...",
		Short: "print the unit features of pictures, one JSON line each",
		Args:  inputArgs(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, pictures []string) error {
			model, err := openModel(f.model, clip.ImageTower)
			if err != nil {
				return err
			}
			defer model.Close()
			set, err := pictureFeatures(model, pictures)
			if err != nil {
				return input(err)
			}
			lines := make([]embedded, set.Len())
			for i := range lines {
				lines[i] = embedded{File: pictures[i], Feature: set.Row(i)}
			}
			return f.write(c, lines)
		},
	}
	f.register(c)
	return c
}

func (f *embedFlags) write(c *cobra.Command, lines []embedded) error {
	if f.npy == "" {
		encode := json.NewEncoder(c.OutOrStdout())
		encode.SetEscapeHTML(false)
		for _, line := range lines {
			if err := encode.Encode(line); err != nil {
				return err
			}
		}
		return nil
	}
	if len(lines) == 0 {
		return input(errors.New("nothing to embed"))
	}
	a := &backbone.Array{Shape: []int{len(lines), len(lines[0].Feature)}}
	for _, line := range lines {
		a.Floats = append(a.Floats, line.Feature...)
	}
	var b bytes.Buffer
	if err := a.WriteNPY(&b, false); err != nil {
		return err
	}
	if err := os.WriteFile(f.npy, b.Bytes(), 0o644); err != nil {
		return input(err)
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: %d features of dimension %d\n", f.npy, a.Shape[0], a.Shape[1])
	return nil
}
