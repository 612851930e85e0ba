package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // what was asked for failed, or something was found
	exitInput   = 2 // something given was wrong
)

// errFound ends a command that has already said what it found: exit code 1, and not another word.
var errFound = errors.New("found")

// inputError marks an error as the caller's: a wrong flag, file or name.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

// input marks err as the caller's; nil stays nil.
func input(err error) error {
	if err == nil {
		return nil
	}
	return &inputError{err}
}

// inputIf marks err as the caller's if it is one of targets.
func inputIf(err error, targets ...error) error {
	for _, target := range targets {
		if errors.Is(err, target) {
			return input(err)
		}
	}
	return err
}

// inputArgs marks a complaint about arguments as the caller's.
func inputArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		err := check(c, args)
		if err == nil || c.HasSubCommands() {
			return input(err)
		}
		return input(fmt.Errorf("%w; usage: %s", err, c.UseLine()))
	}
}

func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if _, bad := errors.AsType[*inputError](err); bad {
		return exitInput
	}
	return exitFailure
}

// listenable errors: inputError for what is no address to listen on.
func listenable(flag, address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return flagError(flag, address, "HOST:PORT")
	}
	return nil
}

// replaceable errors: inputError if a file exists that force does not give up, or a folder.
func replaceable(path string, force bool) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && info.IsDir():
		return input(fmt.Errorf("%s is a folder", path))
	case !force:
		return input(fmt.Errorf("%s exists; give --force to replace it", path))
	}
	return nil
}
