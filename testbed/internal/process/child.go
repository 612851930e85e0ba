package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// Child is a running process.
type Child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string

	mu     sync.Mutex // writes to stdin
	exited chan struct{}
	err    error // of the exit; read after exited is closed
}

// ErrSilent reports a child that ended before it said what was waited for.
var ErrSilent = errors.New("process: ended without a word")

// Start starts cmd. What it writes to standard error is appended to the file at log.
func Start(cmd *exec.Cmd, log string) (*Child, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer file.Close() // the child has its own handle
	cmd.Stderr = file
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &Child{cmd: cmd, stdin: stdin, lines: make(chan string, 64), exited: make(chan struct{})}
	go c.listen(stdout)
	return c, nil
}

// listen hands on what the child says, until it has ended.
func (c *Child) listen(stdout io.Reader) {
	s := bufio.NewScanner(stdout)
	for s.Scan() {
		c.lines <- s.Text()
	}
	close(c.lines)
	c.err = c.cmd.Wait()
	close(c.exited)
}

// Lines are what the child says, line by line; they must be read, and end with it.
func (c *Child) Lines() <-chan string { return c.lines }

// Await reads lines up to one that begins with word, and returns the rest of it. Error: ErrSilent.
func (c *Child) Await(word string) (string, error) {
	for line := range c.lines {
		if rest, ok := strings.CutPrefix(line, word); ok {
			return strings.TrimSpace(rest), nil
		}
	}
	<-c.exited
	return "", fmt.Errorf("%w: %q was awaited: %w", ErrSilent, word, errors.Join(c.err))
}

// Tell sends a line to the child. One that has ended does not hear it.
func (c *Child) Tell(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	io.WriteString(c.stdin, line+"\n") //nolint:errcheck // who is gone need not be told
}

// Exited is closed when the child has ended.
func (c *Child) Exited() <-chan struct{} { return c.exited }

// Err says, after Exited, how the child ended: nil for exit code 0.
func (c *Child) Err() error { return c.err }

// Signaled says, after Exited, whether a signal ended the child.
func (c *Child) Signaled() bool { return c.cmd.ProcessState.ExitCode() < 0 }

// Kill ends the child at once, as a power cut would.
func (c *Child) Kill() {
	c.cmd.Process.Kill() //nolint:errcheck // it has ended already
}

// Obey reads, in a child, what its parent tells it, and hands each line's first word and the rest to do. It returns
// when the parent is gone.
func Obey(stdin io.Reader, do func(word, rest string)) {
	s := bufio.NewScanner(stdin)
	for s.Scan() {
		word, rest, _ := strings.Cut(s.Text(), " ")
		do(word, rest)
	}
}
