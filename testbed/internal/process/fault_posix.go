//go:build linux || darwin

package process

import (
	"os"
	"os/signal"
	"syscall"
)

// Supported says whether processes can be paused and refused room on disk here.
const Supported = true

// Terminate asks the child to end in good order.
func (c *Child) Terminate() { c.signal(syscall.SIGTERM) }

// Pause stops the child until Resume: it keeps its connections and its locks, and does nothing.
func (c *Child) Pause() { c.signal(syscall.SIGSTOP) }

// Resume lets a paused child go on.
func (c *Child) Resume() { c.signal(syscall.SIGCONT) }

func (c *Child) signal(s syscall.Signal) {
	c.cmd.Process.Signal(s) //nolint:errcheck // it has ended already
}

// KillSelf ends this process at once, without a deferred call, a flush or an exit code.
func KillSelf() {
	syscall.Kill(syscall.Getpid(), syscall.SIGKILL) //nolint:errcheck // nothing is left to do about it
	select {}
}

// PauseSelf stops this process until its parent lets it go on.
func PauseSelf() {
	syscall.Kill(syscall.Getpid(), syscall.SIGSTOP) //nolint:errcheck // then it is not stopped
}

// Full makes this process's disk full: no file can grow beyond size bytes, and a write that would ends short, with
// an error.
func Full(size int64) error {
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = uint64(max(size, 0))
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

// Lock keeps other processes from a file until it is closed, or fails at once.
func Lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
