package data

import (
	"fmt"
	"io/fs"
	"math"
)

// Features reads image features that were computed elsewhere: <train>_x.npy and <test>_x.npy hold a row of unit norm for each picture, in
// half, single or double precision, and <train>_y.npy and <test>_y.npy their labels. The pictures have a Feature and no
// pixels. Rows whose norm is not 1 or whose label is of no class are listed, and refused unless skip is set.
// Expected errors: ErrDamaged, ErrOptions, fs.ErrNotExist.
func Features(fsys fs.FS, name, train, test string, classes []string, skip bool) (*Pool, error) {
	p := &Pool{Name: name, Classes: classes, Ending: "."}
	for _, part := range []struct {
		stem string
		into *[]Picture
	}{{train, &p.Train}, {test, &p.Test}} {
		pictures, bad, err := featurePictures(fsys, part.stem, len(classes))
		switch {
		case err != nil:
			return nil, err
		case len(bad) > 0 && !skip:
			return nil, damaged(part.stem+"_x.npy", "%d of %d rows cannot be used: %s", len(bad), len(bad)+len(pictures), few(bad))
		case len(pictures) == 0:
			return nil, damaged(part.stem+"_x.npy", "it holds no row that can be used")
		}
		for _, row := range bad {
			p.Skipped = append(p.Skipped, part.stem+"_x.npy "+row)
		}
		*part.into = pictures
	}
	if a, b := len(p.Train[0].Feature), len(p.Test[0].Feature); a != b {
		return nil, damaged(test+"_x.npy", "its features are %d wide, those of %s_x.npy %d", b, train, a)
	}
	return p, p.validate()
}

// featurePictures reads one part; bad says what is wrong with which rows.
func featurePictures(fsys fs.FS, stem string, classes int) (pictures []Picture, bad []string, err error) {
	x, shape, err := npyFile(fsys, stem+"_x.npy", 2, (*array).floats)
	if err != nil {
		return nil, nil, err
	}
	y, count, err := npyFile(fsys, stem+"_y.npy", 1, (*array).ints)
	if err != nil {
		return nil, nil, err
	}
	if count[0] != shape[0] {
		return nil, nil, damaged(stem+"_y.npy", "%d labels for %d features", count[0], shape[0])
	}
	width := shape[1]
	for i, label := range y {
		feature := x[i*width : (i+1)*width : (i+1)*width]
		switch norm := squaredNorm(feature); {
		case !(math.Abs(norm-1) < 0.02):
			bad = append(bad, fmt.Sprintf("row %d has norm %.4g, not 1", i, math.Sqrt(norm)))
		case label < 0 || label >= classes:
			bad = append(bad, fmt.Sprintf("row %d has label %d, there are %d classes", i, label, classes))
		default:
			pictures = append(pictures, Picture{Key: fmt.Sprintf("%s/%d", stem, i), Label: label, Feature: feature})
		}
	}
	return pictures, bad, nil
}

// npyFile reads an array with the given number of dimensions.
func npyFile[T any](fsys fs.FS, file string, dims int, values func(*array) ([]T, error)) ([]T, []int, error) {
	raw, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, nil, fmt.Errorf("data: %w", err)
	}
	a, err := decodeNPY(raw)
	if err != nil {
		return nil, nil, damaged(file, "%v", err)
	}
	if len(a.shape) != dims {
		return nil, nil, damaged(file, "it has %d dimensions, not %d", len(a.shape), dims)
	}
	v, err := values(a)
	if err != nil {
		return nil, nil, damaged(file, "%v", err)
	}
	return v, a.shape, nil
}

func squaredNorm(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return sum
}
