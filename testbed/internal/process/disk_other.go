//go:build !linux

package process

import (
	"errors"
	"os"
	"os/exec"
)

var errNotLinux = errors.New("it takes the namespaces of Linux")

func detach(*exec.Cmd) error { return errNotLinux }

func mount(string, int64) error { return errNotLinux }

func take(*os.File, int64) error { return errNotLinux }
