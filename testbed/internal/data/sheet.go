package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io/fs"
	"path"
)

// The largest tile and sheet that are read at all.
const (
	maxTile  = 1024
	maxTiles = 1 << 16
	maxPixel = 1 << 26
)

// grid is the part that the index files of all sets share: square tiles, row by row.
type grid struct {
	Tile    int `json:"tile"`
	Columns int `json:"columns"`
}

func (g grid) validate(file string) error {
	if g.Tile < 1 || g.Tile > maxTile {
		return damaged(file, "tile must be from 1 to %d pixels, not %d", maxTile, g.Tile)
	}
	if g.Columns < 1 || g.Columns > maxTiles {
		return damaged(file, "columns must be from 1 to %d, not %d", maxTiles, g.Columns)
	}
	return nil
}

// readIndex decodes an index file. Unknown fields are allowed: they are notes for people.
func readIndex(fsys fs.FS, file string, into any) error {
	raw, err := fs.ReadFile(fsys, file)
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return damaged(file, "%v", err)
	}
	return nil
}

// sheet is a decoded picture of n tiles.
type sheet struct {
	grid
	pixels image.Image
	n      int
}

// readSheet reads a PNG that must hold exactly the rows that n tiles need.
func readSheet(fsys fs.FS, folder, file string, g grid, n int) (*sheet, error) {
	if !fs.ValidPath(file) || file == "." {
		return nil, damaged(path.Join(folder, "index.json"), "%q is not a file name within its folder", file)
	}
	name := path.Join(folder, file)
	raw, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	config, err := png.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return nil, damaged(name, "%v", err)
	}
	width, height := g.Columns*g.Tile, (n+g.Columns-1)/g.Columns*g.Tile
	if config.Width != width || config.Height != height || width*height > maxPixel {
		return nil, damaged(name, "%d tiles of %d pixels in %d columns take %dx%d pixels, the picture has %dx%d",
			n, g.Tile, g.Columns, width, height, config.Width, config.Height)
	}
	pixels, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, damaged(name, "%v", err)
	}
	return &sheet{grid: g, pixels: pixels, n: n}, nil
}

// tile copies tile i, with its corner at the origin.
func (s *sheet) tile(i int) *image.RGBA {
	if i < 0 || i >= s.n {
		panic(fmt.Sprintf("data: tile %d of %d", i, s.n))
	}
	dst := image.NewRGBA(image.Rect(0, 0, s.Tile, s.Tile))
	corner := s.pixels.Bounds().Min.Add(image.Pt(i%s.Columns*s.Tile, i/s.Columns*s.Tile))
	draw.Draw(dst, dst.Bounds(), s.pixels, corner, draw.Src)
	return dst
}
