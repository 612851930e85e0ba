package process

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Processors lists those that this process may use.
func Processors() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("process: processors: %w", err)
	}
	var list []int
	for i := 0; len(list) < set.Count(); i++ {
		if set.IsSet(i) {
			list = append(list, i)
		}
	}
	return list, nil
}

func setOf(processors []int) *unix.CPUSet {
	var set unix.CPUSet
	for _, p := range processors {
		set.Set(p)
	}
	return &set
}

// On runs f on a thread that may use only these processors. So may the processes that f starts, for good.
func On(processors []int, f func() error) error {
	runtime.LockOSThread() // and never unlocked where its processors cannot be given back
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, setOf(processors)); err != nil {
		return err
	}
	failed := f()
	if err := unix.SchedSetaffinity(0, &before); err != nil {
		return err
	}
	runtime.UnlockOSThread()
	return failed
}

// Keep lets this process use only these processors from now on.
func Keep(processors []int) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, setOf(processors)); err != nil && err != unix.ESRCH {
			return err
		}
	}
	runtime.GOMAXPROCS(len(processors))
	return nil
}
