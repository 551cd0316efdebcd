//go:build !unix

package cli

import "syscall"

// timeLimitSignal stands for what Slurm, which runs on Unix alone, sends a task before its time limit.
const timeLimitSignal = syscall.Signal(-1)
