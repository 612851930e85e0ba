//go:build !linux

package process

import "errors"

var errAnyProcessor = errors.New("process: this system does not let us choose processors")

// Processors is not supported here.
func Processors() ([]int, error) { return nil, errAnyProcessor }

// On is not supported here.
func On([]int, func() error) error { return errAnyProcessor }

// Keep is not supported here.
func Keep([]int) error { return errAnyProcessor }
