package slurm

import (
	"context"
	"time"
)

// State is a job's state in Slurm's word (JOB STATE CODES of squeue's manual): "PENDING". Words of newer versions stay as
// they are, and are taken for ends only where they are known to be.
type State string

// The states in which a job is, or may be, again.
const (
	Pending   State = "PENDING"
	Running   State = "RUNNING"
	Completed State = "COMPLETED"
)

// Job is one task of an array, or a job that is none.
type Job struct {
	ID        string        // of the array as Submit returned it: "12", on another cluster than the default "12;name"
	Task      int           // in the array; -1: no array
	State     State         //
	Reason    string        // Slurm's word for why it waits or ended; "" where Slurm says None
	Node      string        // where it runs or ran; "": nowhere yet
	Restarts  int           // how often Slurm has started it again
	ExitCode  int           // of its command
	Signal    int           // that ended it; 0: none
	Submitted time.Time     // this and the next are zero where they are not known
	Start     time.Time     // may be Slurm's guess where it waits
	TimeLimit time.Duration // 0: none
	Elapsed   time.Duration // since it was last started
	MaxMemory int64         // bytes; from Accounting, where Slurm has measured it
}

// Waits tells whether it is still, or again, to be started.
func (j Job) Waits() bool { return false }

// Ended tells whether Slurm is done with it, and will not start it again by itself. A job that is ending (COMPLETING) has not.
func (j Job) Ended() bool { return false }

// Jobs tells how the jobs fare, each task of an array by itself, those that wait too, in the order of ids and tasks. What
// Slurm does not know (any more) is absent. It is one question to the controller for each cluster.
func (c *Client) Jobs(ctx context.Context, ids []string) ([]Job, error) { return nil, nil }

// Named returns the ids of the user's jobs with a name, arrays once, of those that Slurm still knows, ended ones too.
func (c *Client) Named(ctx context.Context, name string) ([]string, error) { return nil, nil }
