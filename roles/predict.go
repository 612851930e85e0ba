package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"dpfpl/mathx/clip"
	"dpfpl/roles/predictor"
	"dpfpl/roles/promptfile"
)

// predictFlags are those of dpfpl predict.
type predictFlags struct {
	prompt, signer, model, classes string
	top, workers, pixels           int
	least                          float64
	format                         string
	endpointFlags
}

func newPredictCommand() *cobra.Command { return newPredictCommandOn(func(net.Addr) {}) }

// newPredictCommandOn tells where it listens once it does.
func newPredictCommandOn(listening func(net.Addr)) *cobra.Command {
	f := predictFlags{endpointFlags: endpointFlags{listening: listening}}
	c := &cobra.Command{
		Use:   "predict [PICTURE or FOLDER...]",
		Short: "say what is on pictures, with somebody's personal prompt",
		Long: `Classifies pictures with a prompt that "dpfpl prompt export" wrote, on the model that it was learned for. Pictures are files;
of a folder all pictures in it and below, by their suffixes, hidden ones and linked folders left out. What cannot be read is
listed on standard error and counted, and the exit code is then 1.

With --listen it answers over HTTP instead, until it is interrupted; then it drains:

  POST /v1/predict   a picture as the body, or several as multipart/form-data; ?top=K
  GET  /v1/prompt    what the prompt is
  GET  /metrics      for Prometheus
  GET  /healthz      200 while it lives; dpfpl health asks
  GET  /readyz       503 once it is going down

An address that other machines can reach needs --tls-cert, --tls-key and --token-file; callers then send
"Authorization: Bearer TOKEN". No picture, file name, address or answer is logged or kept.`,
		Example: `  dpfpl predict --prompt north.safetensors --model clip photo.jpg
  dpfpl predict --prompt north.safetensors --model clip --format csv --top 1 pictures > answers.csv
  dpfpl predict --prompt north.safetensors --model clip --listen 127.0.0.1:8099 --min-probability 0.6
  curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8099/v1/predict
  curl -F a=@one.jpg -F b=@two.jpg 'http://127.0.0.1:8099/v1/predict?top=1'`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	c.Flags().StringVar(&f.prompt, "prompt", "", "prompt `file`")
	c.Flags().StringVar(&f.signer, "signer", "", "public `key` that must have signed it")
	c.Flags().StringVar(&f.model, "model", "", "`folder` of the CLIP model")
	c.Flags().StringVar(&f.classes, "classes", "", "`file` with a class name on each line, instead of those in the prompt")
	c.Flags().IntVar(&f.top, "top", 5, "most classes to name for a picture")
	c.Flags().Float64Var(&f.least, "min-probability", 0, "answer \"unsure\" if the likeliest class is below this")
	c.Flags().StringVar(&f.format, "format", "text", "text, csv or jsonl")
	c.Flags().IntVar(&f.workers, "workers", 0, "pictures worked on at a time; 0 is one a processor")
	c.Flags().IntVar(&f.pixels, "max-pixels", 16<<20, "most pixels of a picture")
	f.endpointFlags.register(c)
	return c
}

func (f *predictFlags) run(c *cobra.Command, args []string) error {
	if err := f.check(args); err != nil {
		return err
	}
	file, raw, err := readPrompt(f.prompt, f.signer)
	if err != nil {
		return err
	}
	model, err := openModel(f.model, clip.TextTower, clip.ImageTower)
	if err != nil {
		return err
	}
	defer model.Close()
	p, err := f.predictor(model, file, c.ErrOrStderr())
	if err != nil {
		return err
	}
	if f.listen != "" {
		about, err := file.JSON(raw)
		if err != nil {
			return err
		}
		return f.serve(c.Context(), p, about, f.workers, c.ErrOrStderr())
	}
	return f.predict(c.Context(), p, args, c.OutOrStdout(), c.ErrOrStderr())
}

// check errors: inputError.
func (f *predictFlags) check(args []string) error {
	switch {
	case f.prompt == "":
		return input(errors.New("no prompt: give --prompt"))
	case (f.listen == "") == (len(args) == 0):
		return input(errors.New("give either pictures, or --listen"))
	case f.top < 1:
		return flagError("top", f.top, ">= 1")
	case !(f.least >= 0 && f.least <= 1):
		return flagError("min-probability", f.least, "from 0 to 1")
	case formats[f.format] == nil:
		return flagError("format", f.format, "text, csv or jsonl")
	case f.workers < 0:
		return flagError("workers", f.workers, ">= 0")
	case f.pixels < 1:
		return flagError("max-pixels", f.pixels, ">= 1")
	}
	if f.workers == 0 {
		f.workers = runtime.GOMAXPROCS(0)
	}
	return f.endpointFlags.check()
}

// predictor puts prompt and model together, and says on warnings what one should know. Errors: inputError.
func (f *predictFlags) predictor(model *clip.Model, file *promptfile.File, warnings io.Writer) (*predictor.Predictor, error) {
	if err := fits(model, file); err != nil {
		return nil, input(fmt.Errorf("%s: %w", f.prompt, err))
	}
	if model.Images() == nil {
		return nil, input(fmt.Errorf("%s: the model has no image tower", f.model))
	}
	names := file.Classes
	if f.classes != "" {
		var err error
		if names, err = readNames(f.classes); err != nil {
			return nil, input(err)
		}
		if foreign := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(file.Classes, n) }); len(foreign) > 0 {
			fmt.Fprintf(warnings, "warning: %d of %d classes are not among those that the prompt was learned with, the first is %q: nobody has measured it on them\n",
				len(foreign), len(names), foreign[0])
		}
	}
	if f.signer == "" {
		fmt.Fprintf(warnings, "warning: the prompt is signed by %s; only you know whether you trust that: give --signer\n", file.Signer)
	}
	if !file.Privacy.Protected {
		fmt.Fprintln(warnings, "warning: this prompt is NOT PROTECTED: it may hold any record of its client")
	}
	k, err := predictor.Prompted(model, file.Context, file.Rows, names, file.Ending)
	if err != nil {
		return nil, input(fmt.Errorf("%s: %w", f.prompt, err))
	}
	return &predictor.Predictor{Classifier: k, Model: model, Pixels: f.pixels, MinProbability: f.least}, nil
}

// fits says whether a prompt is for a model.
func fits(model *clip.Model, file *promptfile.File) error {
	switch {
	case file.Backbone != model.Digest:
		return fmt.Errorf("the prompt is for backbone %s, the model is %s", file.Backbone, model.Digest)
	case model.Text == nil:
		return errors.New("the model has no text tower")
	case file.Width != model.Text.Config().Width:
		return fmt.Errorf("the prompt is of width %d, the model's text tower of %d", file.Width, model.Text.Config().Width)
	}
	return nil
}

// readNames reads class names as scanNames does. None, or one that is there twice, is an error.
func readNames(path string) ([]string, error) {
	names, err := scanNames(path)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("%s: %q is there twice", path, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: no class names", path)
	}
	return names, nil
}

// scanNames reads a class name from each line that is not blank.
func scanNames(path string) (names []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	scan := bufio.NewScanner(file)
	for scan.Scan() {
		if name := strings.TrimSpace(scan.Text()); name != "" {
			names = append(names, name)
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: no class names", path)
	}
	return names, nil
}

// predict classifies the pictures in order. It returns errFound if one could not be read.
func (f *predictFlags) predict(ctx context.Context, p *predictor.Predictor, args []string, stdout, stderr io.Writer) error {
	top := min(f.top, len(p.Names))
	out := formats[f.format](stdout, top)
	pictures, unreadable := 0, 0
	for chunk := range slices.Chunk(listPictures(args), 8*f.workers) {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		f.classify(p, chunk, top)
		for _, x := range chunk {
			if x.err != nil {
				unreadable++
				fmt.Fprintf(stderr, "not read %s: %v\n", x.file, x.err)
				continue
			}
			pictures++
			if err := out.write(x.file, x.Prediction); err != nil {
				return err
			}
		}
	}
	if err := out.flush(); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%d pictures, %d not read\n", pictures, unreadable)
	if unreadable > 0 || pictures == 0 {
		return errFound
	}
	return nil
}

// classify works on some pictures, several at a time.
func (f *predictFlags) classify(p *predictor.Predictor, some []*pictureFile, top int) {
	slots := make(chan struct{}, f.workers)
	var group sync.WaitGroup
	for _, x := range some {
		if x.err != nil {
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			x.predict(p, top)
		})
	}
	group.Wait()
}
