package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"dpfpl/roles/backbone"
	"dpfpl/roles/predictor"
)

// pictureFile is a picture to classify, and what became of it.
type pictureFile struct {
	file string
	predictor.Prediction
	err error
}

// listPictures lists files, and the pictures in folders and below, in lexical order.
func listPictures(args []string) (all []*pictureFile) {
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil || !info.IsDir() {
			all = append(all, &pictureFile{file: arg, err: cause(err)})
			continue
		}
		filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error { //nolint:errcheck // the function returns none
			hidden := path != arg && entry.Name()[0] == '.'
			switch {
			case err != nil:
				all = append(all, &pictureFile{file: path, err: cause(err)})
			case hidden && entry.IsDir():
				return fs.SkipDir
			case !entry.IsDir() && backbone.IsImageName(entry.Name()):
				all = append(all, &pictureFile{file: path})
			}
			return nil
		})
	}
	return all
}

// cause is err without the path that is said anyway.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

var errIrregular = errors.New("not a regular file")

// predict errors, in x: the file system's, errIrregular for a pipe or a device, and those of predictor.Picture.
func (x *pictureFile) predict(p *predictor.Predictor, top int) {
	info, err := os.Stat(x.file)
	if err == nil && !info.Mode().IsRegular() {
		err = errIrregular // before opening it, which may wait for ever
	}
	if err != nil {
		x.err = cause(err)
		return
	}
	file, err := os.Open(x.file)
	if err != nil {
		x.err = cause(err)
		return
	}
	defer file.Close()
	x.Prediction, x.err = p.Picture(file, top)
}

// predictions writes answers in one format.
type predictions interface {
	write(file string, p predictor.Prediction) error
	flush() error
}

// formats by their names; each begins with w and how many classes are named for a picture.
var formats = map[string]func(w io.Writer, top int) predictions{
	"text":  func(w io.Writer, _ int) predictions { return textLines{w} },
	"csv":   func(w io.Writer, top int) predictions { return &csvLines{csv: csv.NewWriter(w), top: top} },
	"jsonl": func(w io.Writer, _ int) predictions { return jsonLines{json.NewEncoder(w)} },
}

type textLines struct{ w io.Writer }

func (t textLines) write(file string, p predictor.Prediction) error {
	line := file + ": "
	if p.Answer == predictor.Unsure {
		line += predictor.Unsure + ": "
	}
	for i, c := range p.Classes {
		if i > 0 {
			line += ", "
		}
		line += fmt.Sprintf("%s %.1f %%", c.Class, 100*c.Probability)
	}
	_, err := fmt.Fprintln(t.w, line)
	return err
}

func (t textLines) flush() error { return nil }

type csvLines struct {
	csv   *csv.Writer
	top   int
	begun bool
}

// begin writes the names of the columns, once.
func (c *csvLines) begin() error {
	if c.begun {
		return nil
	}
	c.begun = true
	head := []string{"file", "answer"}
	for i := range c.top {
		head = append(head, fmt.Sprintf("class_%d", i+1), fmt.Sprintf("probability_%d", i+1))
	}
	return c.csv.Write(head)
}

func (c *csvLines) write(file string, p predictor.Prediction) error {
	if err := c.begin(); err != nil {
		return err
	}
	line := []string{file, p.Answer}
	for _, k := range p.Classes {
		line = append(line, k.Class, strconv.FormatFloat(k.Probability, 'g', -1, 64))
	}
	return c.csv.Write(line)
}

func (c *csvLines) flush() error {
	err := c.begin()
	c.csv.Flush()
	return errors.Join(err, c.csv.Error())
}

type jsonLines struct{ encoder *json.Encoder }

func (j jsonLines) write(file string, p predictor.Prediction) error {
	return j.encoder.Encode(struct {
		File string `json:"file"`
		predictor.Prediction
	}{file, p})
}

func (j jsonLines) flush() error { return nil }
