//go:build unix

package cli

import "syscall"

// timeLimitSignal is what Slurm sends a task before its time limit.
const timeLimitSignal = syscall.SIGUSR1
