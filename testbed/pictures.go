package main

import (
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"dpfpl/testbed/internal/data"
	"dpfpl/testbed/internal/report"
)

// picturesOptions are the flags of testbed pictures.
type picturesOptions struct {
	out     string
	clients []string
	held    int
	most    int
	seed    uint64
}

func newPicturesCommand(stdout io.Writer) *cobra.Command {
	var o picturesOptions
	cmd := &cobra.Command{
		Use:   "pictures",
		Short: "write built-in pictures as folders, to try the deployable binary on",
		Long: `pictures writes Fashion-MNIST pictures as a party in a federation would have them, in files:

  OUT/<client>/train/<class>/*.png   what it learns from
  OUT/<client>/test/<class>/*.png    what it never learns from
  OUT/classes/<class>/*.png          one public picture of every class, for dpfpl plan init --classes-from

Every client holds other pictures and sees them through another camera. No two clients have the same picture.`,
		Example: "  go run ./testbed pictures --out pictures --clients north,south,east",
		Args:    func(cmd *cobra.Command, args []string) error { return input(cobra.NoArgs(cmd, args)) },
		RunE:    func(*cobra.Command, []string) error { return o.run(stdout) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.out, "out", "pictures", "folder to write, which must not exist yet")
	f.StringSliceVar(&o.clients, "clients", []string{"north", "south", "east"}, "names of the clients")
	f.IntVar(&o.held, "held", 5, "classes that each client holds, of 10")
	f.IntVar(&o.most, "most", 80, "pictures of a class in train and in test, at most; 0 for all there are")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the division")
	return cmd
}

func (o *picturesOptions) run(stdout io.Writer) error {
	if err := o.check(); err != nil {
		return input(err)
	}
	set, err := data.Open("fashion", openData(""), data.Options{Clients: len(o.clients), Held: o.held, Seed: o.seed})
	if err != nil {
		return input(err)
	}
	if err := report.Prepare(o.out); err != nil {
		return input(err)
	}
	for i, c := range set.Clients {
		written, err := o.write(set, filepath.Join(o.clients[i], "train"), c.Train, o.most)
		if err != nil {
			return err
		}
		if _, err := o.write(set, filepath.Join(o.clients[i], "test"), c.Test, o.most); err != nil {
			return err
		}
		if _, err := o.write(set, "classes", c.Test, 1); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s: %d pictures to learn from, %s, by a camera that is %s\n", o.clients[i], written, strings.Join(names(set, c.Classes), ", "), c.Style)
	}
	return nil
}

func (o *picturesOptions) check() error {
	entries, _ := os.ReadDir(o.out)
	seen := slices.Compact(slices.Sorted(slices.Values(o.clients)))
	switch {
	case len(entries) > 0:
		return fmt.Errorf("--out %s is not empty", o.out)
	case len(o.clients) == 0 || len(seen) < len(o.clients):
		return fmt.Errorf("--clients %s: want names, each once", strings.Join(o.clients, ","))
	case slices.ContainsFunc(seen, func(name string) bool {
		return !filepath.IsLocal(name) || name == "classes" || filepath.Base(name) != name
	}):
		return fmt.Errorf("--clients %s: want names of folders, other than classes", strings.Join(o.clients, ","))
	case o.held < 1 || o.held > 5:
		return fmt.Errorf("--held %d: want 1 to 5", o.held)
	case o.most < 0:
		return errors.New("--most is negative")
	}
	return nil
}

// write stores the first pictures of each class, at most so many, and returns how many there are in all.
func (o *picturesOptions) write(set *data.Set, folder string, pictures []data.Picture, most int) (written int, err error) {
	count := make([]int, len(set.Classes))
	for _, p := range pictures {
		if most > 0 && count[p.Label] == most {
			continue
		}
		count[p.Label]++
		class := filepath.Join(o.out, folder, set.Classes[p.Label])
		if err := os.MkdirAll(class, 0o755); err != nil {
			return written, err
		}
		if err := writePicture(filepath.Join(class, fmt.Sprintf("%04d.png", count[p.Label])), p); err != nil {
			return written, err
		}
		written++
	}
	return written, nil
}

func writePicture(path string, p data.Picture) error {
	img, err := p.Image()
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(png.Encode(file, img), file.Close())
}

func names(set *data.Set, labels []int) []string {
	out := make([]string, len(labels))
	for i, label := range labels {
		out[i] = set.Classes[label]
	}
	return out
}
