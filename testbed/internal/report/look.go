package report

import (
	_ "embed"
	"html/template"
)

// Both pages share their looks and the script that sorts tables.
var (
	//go:embed style.css
	styleSource string
	//go:embed sort.js
	sortSource string
	//go:embed figures.html
	figuresSource string
)

func style() template.CSS { return template.CSS(styleSource) }
func sorter() template.JS { return template.JS(sortSource) }
