//go:build !(linux || darwin)

package process

import (
	"errors"
	"os"
)

// Supported says whether processes can be paused and refused room on disk here.
const Supported = false

// Terminate ends the child; this system has no gentler way.
func (c *Child) Terminate() { c.Kill() }

// Pause does nothing here.
func (c *Child) Pause() {}

// Resume does nothing here.
func (c *Child) Resume() {}

// KillSelf ends this process.
func KillSelf() { panic("process: killed") }

// PauseSelf does nothing here.
func PauseSelf() {}

// Full is not supported here.
func Full(int64) error { return errors.New("process: this system cannot limit the size of files") }

// Lock does nothing here.
func Lock(*os.File) error { return nil }
