package roletest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// T is what a test and a rapid check have in common.
type T interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// Command is a line of a script: plain words, and options that are key=value.
type Command struct {
	Words []string

	t       T
	options map[string]string // those that were not asked for yet
}

// Parse splits the words of a line.
func Parse(t T, words []string) *Command {
	c := &Command{t: t, options: map[string]string{}}
	for _, word := range words {
		if key, value, ok := strings.Cut(word, "="); ok {
			c.options[key] = value
		} else {
			c.Words = append(c.Words, word)
		}
	}
	return c
}

// Spent fails the test if there are options that nobody asked for.
func (c *Command) Spent() {
	c.t.Helper()
	if len(c.options) > 0 {
		c.t.Fatalf("%v: options %v mean nothing", c.Words, c.options)
	}
}

// Text returns an option.
func (c *Command) Text(key, otherwise string) string {
	v, ok := c.options[key]
	delete(c.options, key)
	if !ok {
		return otherwise
	}
	return v
}

// Number returns an option.
func (c *Command) Number(key string, otherwise uint64) uint64 {
	c.t.Helper()
	return Number(c.t, c.Text(key, strconv.FormatUint(otherwise, 10)))
}

// Float returns an option.
func (c *Command) Float(key string, otherwise float64) float64 {
	c.t.Helper()
	v, err := strconv.ParseFloat(c.Text(key, fmt.Sprint(otherwise)), 64)
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

// Duration returns an option.
func (c *Command) Duration(key string, otherwise time.Duration) time.Duration {
	c.t.Helper()
	return Duration(c.t, c.Text(key, otherwise.String()))
}

// Count returns a plain word.
func (c *Command) Count(word int) uint64 {
	c.t.Helper()
	return Number(c.t, c.Words[word])
}

// Number reads a word.
func Number(t T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Duration reads a word.
func Duration(t T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
