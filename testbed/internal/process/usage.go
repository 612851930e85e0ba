package process

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"
)

// Usage is what a process holds in main memory, in bytes, and the processor time it has used.
type Usage struct {
	Memory, Peak int64
	CPU          time.Duration
}

// tick is the unit of processor times in /proc, the same on every Linux that Go runs on.
const tick = time.Second / 100

// Usage reads what the child uses. It needs Linux's /proc; elsewhere, and after the child has ended, it is zero.
func (c *Child) Usage() Usage {
	folder := fmt.Sprintf("/proc/%d/", c.cmd.Process.Pid)
	status, err := os.ReadFile(folder + "status")
	if err != nil {
		return Usage{}
	}
	stat, err := os.ReadFile(folder + "stat")
	if err != nil {
		return Usage{}
	}
	u := parseStatus(status)
	u.CPU = parseStat(stat)
	return u
}

// OwnCPU is the processor time that this process has used; zero where there is no /proc.
func OwnCPU() time.Duration {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0
	}
	return parseStat(stat)
}

func parseStatus(status []byte) (u Usage) {
	for s := bufio.NewScanner(bytes.NewReader(status)); s.Scan(); {
		name, rest, _ := strings.Cut(s.Text(), ":")
		var kib int64
		if _, err := fmt.Sscanf(strings.TrimSpace(rest), "%d kB", &kib); err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			u.Memory = kib << 10
		case "VmHWM":
			u.Peak = kib << 10
		}
	}
	return u
}

// parseStat adds up user and system time, the 12th and 13th fields behind the name in brackets.
func parseStat(stat []byte) time.Duration {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var user, system int64
	if len(fields) > 12 {
		fmt.Sscan(fields[11]+" "+fields[12], &user, &system) //nolint:errcheck // what does not read as a number is 0
	}
	return time.Duration(user+system) * tick
}
