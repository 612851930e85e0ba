package sweep

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"dpfpl/testbed/internal/process"
)

// spec is what a child is told at its start.
type spec struct {
	Grid    string // the file's text
	Folders Folders
}

// What is said between parent and child.
const (
	wordCell  = "cell"  // parent: run the cell of this number
	wordTrial = "trial" // child: its trial, in JSON
	wordError = "error" // child: it failed, and the child ends
)

// Child is the hidden command that runs cells in a process of its own: it is told the spec as its argument and the cells'
// numbers on its standard input, and says each trial on its standard output.
func Child(ctx context.Context, text string, stdin io.Reader, stdout io.Writer, builtin Builtin) error {
	var s spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	g, err := Parse([]byte(s.Grid))
	if err != nil {
		return err
	}
	b, err := newBench(g, s.Folders, builtin)
	if err != nil {
		return err
	}
	defer b.close()
	cells := g.Cells()
	process.Obey(stdin, func(word, rest string) {
		n, e := strconv.Atoi(rest)
		if err != nil || word != wordCell || e != nil || n < 0 || n >= len(cells) {
			return
		}
		var raw []byte
		t, e := b.run(ctx, &cells[n])
		if e == nil {
			raw, e = json.Marshal(t)
		}
		if e != nil {
			err = e
			fmt.Fprintf(stdout, "%s %q\n", wordError, e.Error())
			return
		}
		fmt.Fprintf(stdout, "%s %s\n", wordTrial, raw)
	})
	return err
}
