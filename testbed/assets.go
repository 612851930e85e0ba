package main

import (
	"embed"
	"io/fs"
	"os"

	"dpfpl/mathx/clip"
	"dpfpl/roles/backbone"
)

// The built-in pictures and the built-in frozen model, so that the testbed needs nothing but itself.
//
//go:embed data/NOTICE data/emoji data/fashion
//go:embed tinyclip/config.json tinyclip/preprocessor_config.json tinyclip/model.safetensors tinyclip/vocab.json tinyclip/merges.txt
var assets embed.FS

// builtin returns a folder of the built-in assets.
func builtin(name string) fs.FS {
	sub, err := fs.Sub(assets, name)
	if err != nil {
		panic(err) // the name is one of ours
	}
	return sub
}

// openModel opens the model folder, or the built-in model if there is none.
func openModel(dir string) (*clip.Model, error) {
	if dir == "" {
		return backbone.FromFS(builtin("tinyclip"))
	}
	return backbone.Open(dir)
}

// openData returns the folder that holds the data sets, or the built-in one if there is none.
func openData(dir string) fs.FS {
	if dir == "" {
		return builtin("data")
	}
	return os.DirFS(dir)
}
