// Package slurm submits job arrays to Slurm, asks how they fare, and says in words what Slurm answers.
//
// It runs Slurm's own commands and needs no library, no accounting database and no JSON of theirs; it holds for Slurm 20.11
// and newer. What it knows of a job is what squeue tells: jobs that ended are known for a while (slurm.conf's MinJobAge,
// five minutes where nothing else is said), then they are gone. It knows nothing of runs.
//
// The commands are started with an environment of which the variables are gone that a surrounding job, or a user's
// profile, leaves for other purposes and that would change what a command means or prints.
package slurm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Client talks to Slurm through its commands. Its methods may be called from several goroutines at once.
type Client struct {
	// Patience is for how long Limits, Submit, Cancel and Requeue try again while Slurm can't be reached. Find sets it to
	// DefaultPatience. The questions (Jobs, Named, Accounting) are asked once: who asks again and again anyway
	// goes on where Temporary(err).
	Patience time.Duration
	// OnWait, where it is set, is told each time before a command is tried again: why, and how long is waited.
	OnWait func(err error, wait time.Duration)

	commands  map[string]string // by name: the path
	environ   []string          // of this process
	uid       int
	firstWait time.Duration // before a second try; each further one is twice as long, up to 30 s
}

// DefaultPatience outlasts a restart of the controller, and its move to another machine.
const DefaultPatience = 15 * time.Minute

// commandTimeout is how long a command may take. sbatch tries fifteen times by itself, two minutes in all, where the
// controller has too much to do; what takes longer hangs.
const commandTimeout = 4 * time.Minute

// Find looks for Slurm's commands in PATH.
func Find() (*Client, error) {
	c := &Client{Patience: DefaultPatience, commands: map[string]string{}, environ: os.Environ(), uid: os.Getuid(), firstWait: time.Second}
	var missing []string
	for _, name := range []string{"sbatch", "squeue", "scontrol", "scancel"} {
		path, err := exec.LookPath(name)
		if err != nil {
			missing = append(missing, name)
			continue
		}
		c.commands[name] = path
	}
	switch {
	case len(missing) == 4:
		return nil, errors.New("there is no sbatch in PATH: Slurm's commands are on the login nodes of a cluster, some after " +
			"`module load slurm`; call ftrun there, or with -launcher local on this machine")
	case len(missing) > 0:
		return nil, fmt.Errorf("there is no %s in PATH, beside %s: this installation of Slurm's commands is not whole",
			strings.Join(missing, ", "), c.somePath())
	}
	if path := c.variable("SLURM_CONF"); path != "" {
		// Slurm's commands look for it for a minute each, without a word.
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("SLURM_CONF in the environment names no file that can be read: %w; mend it, or unset it where the cluster has a place for it", err)
		}
	}
	for _, name := range []string{"sacct", "sinfo"} { // ftrun can do without
		if path, err := exec.LookPath(name); err == nil {
			c.commands[name] = path
		}
	}
	return c, nil
}

func (c *Client) somePath() string {
	for _, path := range c.commands {
		return path
	}
	return ""
}
