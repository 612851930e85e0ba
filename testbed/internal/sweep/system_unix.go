//go:build linux || darwin

package sweep

import (
	"os/exec"
	"syscall"
)

// detach keeps a terminal's interrupt from the child: its parent ends it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
