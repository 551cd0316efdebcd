package slurm

import (
	"io"
	"time"
)

// Script is a job array to be submitted. Each of its tasks runs on one node.
type Script struct {
	Name, Comment string // Name must be new for each array, since Submit and Named find jobs by it
	Chdir         string // where the tasks run: an absolute path that the nodes see
	// Output is the file that a task's output is appended to: sbatch's pattern (%a is the task), relative to Chdir.
	Output             string
	Tasks, MaxParallel int // the tasks are 0 … Tasks-1; at most MaxParallel at a time, 0: no bound

	After   []string // jobs that must have ended, however
	AfterOK []string // jobs that must have succeeded; where one did not, Slurm cancels this array

	Partition, Account, QOS, Constraint string // "": the cluster's default

	CPUs         int           // of a task, at least 1
	GPUs         int           // of a task
	Memory       int64         // of a task, bytes; 0: the cluster's default
	Time         time.Duration // the limit of a task; 0: the partition's default
	SignalBefore time.Duration // before the limit, when the command gets SIGUSR1; 0: none. Slurm may be up to 60 s early

	Extra   []string // options of sbatch, as they are
	Setup   string   // shell lines before the command
	Command []string // takes the place of the shell, so that it gets signals itself
}

// Write writes the script as sbatch takes it. The same Script gives the same bytes.
func (s *Script) Write(w io.Writer) error { return nil }

// Dependency is the value of sbatch's --dependency, "" where the array waits for nothing. After and AfterOK may hold shell
// variables here ("$array0"), for scripts that are printed for people.
func (s *Script) Dependency() string { return "" }
