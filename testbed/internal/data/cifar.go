package data

import (
	"fmt"
	"image"
	"io/fs"
	"strings"
)

// CIFAR100 reads the binary version of CIFAR-100: train.bin, test.bin and fine_label_names.txt. A record is a coarse label, a fine
// label, and a 32×32 picture as planes of red, green and blue. Expected errors: ErrDamaged, ErrOptions, fs.ErrNotExist.
func CIFAR100(fsys fs.FS) (*Pool, error) {
	names, err := ClassNames(fsys, "fine_label_names.txt")
	if err != nil {
		return nil, err
	}
	p := &Pool{Name: "cifar-100", Classes: names, Ending: "."}
	if p.Train, err = cifarFile(fsys, "train.bin", len(names)); err != nil {
		return nil, err
	}
	if p.Test, err = cifarFile(fsys, "test.bin", len(names)); err != nil {
		return nil, err
	}
	return p, p.validate()
}

const (
	cifarSide   = 32
	cifarPlane  = cifarSide * cifarSide
	cifarRecord = 2 + 3*cifarPlane
)

func cifarFile(fsys fs.FS, file string, classes int) ([]Picture, error) {
	raw, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if len(raw) == 0 || len(raw)%cifarRecord != 0 {
		return nil, damaged(file, "%d bytes are not a whole number of %d-byte records", len(raw), cifarRecord)
	}
	pictures := make([]Picture, len(raw)/cifarRecord)
	for i := range pictures {
		record := raw[i*cifarRecord : (i+1)*cifarRecord]
		label := int(record[1])
		if label >= classes {
			return nil, damaged(file, "picture %d has label %d, there are %d classes", i, label, classes)
		}
		pictures[i] = NewPicture(fmt.Sprintf("cifar-100/%s/%d", strings.TrimSuffix(file, ".bin"), i), label, func() (image.Image, error) {
			return planar(record[2:]), nil
		})
	}
	return pictures, nil
}

// planar makes an image of three planes.
func planar(planes []byte) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, cifarSide, cifarSide))
	for i := range cifarPlane {
		img.Pix[4*i], img.Pix[4*i+1], img.Pix[4*i+2], img.Pix[4*i+3] = planes[i], planes[cifarPlane+i], planes[2*cifarPlane+i], 255
	}
	return img
}
