package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// natsContext is what we read of a context that the nats command line tool keeps.
type natsContext struct {
	URL   string `json:"url"`
	Creds string `json:"creds"`
	NKey  string `json:"nkey"`
	CA    string `json:"ca"`
}

// readContext reads a context by name from the folder where the nats tool keeps them. Errors: inputError.
func readContext(name string) (c natsContext, err error) {
	if name != filepath.Base(name) || name == "." || name == ".." {
		return c, input(fmt.Errorf("--nats-context %q is no name", name))
	}
	config := os.Getenv("XDG_CONFIG_HOME")
	if config == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return c, input(fmt.Errorf("--nats-context: %w", err))
		}
		config = filepath.Join(home, ".config")
	}
	path := filepath.Join(config, "nats", "context", name+".json")
	b, err := os.ReadFile(path)
	if err != nil {
		return c, input(fmt.Errorf("--nats-context: %w", err))
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, input(fmt.Errorf("%s: %w", path, err))
	}
	return c, nil
}

// fill takes from the context what no flag says. A key given as a flag stands for the context's of either kind.
// Errors: inputError.
func (s *serverFlags) fill() error {
	if s.context == "" {
		return nil
	}
	c, err := readContext(s.context)
	if err != nil {
		return err
	}
	s.url, s.ca = cmp.Or(s.url, c.URL), cmp.Or(s.ca, c.CA)
	if s.creds == "" && s.nkey == "" {
		s.creds, s.nkey = c.Creds, c.NKey
	}
	return nil
}
