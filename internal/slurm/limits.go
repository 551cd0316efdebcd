package slurm

import (
	"context"
	"time"
)

// Limits are what a cluster's configuration says.
type Limits struct {
	MaxArraySize int           // the largest index of an array is one less; 0: the cluster takes no arrays
	Cluster      string        // its name
	Version      string        // of Slurm: "22.05.8"
	MinJobAge    time.Duration // for how long jobs that ended stay known
	KillWait     time.Duration // between SIGTERM and SIGKILL
}

// Limits asks the controller.
func (c *Client) Limits(ctx context.Context) (Limits, error) { return Limits{}, nil }

// Accounting asks the accounting database for what it knows of the jobs, each task by itself, as it was started last. It
// is false where the cluster has no database.
func (c *Client) Accounting(ctx context.Context, ids []string) ([]Job, bool, error) {
	return nil, false, nil
}
