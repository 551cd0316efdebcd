//go:build unix

package slurm

import (
	"os/exec"
	"syscall"
)

// apart keeps Ctrl-C on a terminal from the command: it is for ftrun, which asks what is to become of the jobs.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
