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
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Client talks to Slurm through its commands. Its methods may be called from several goroutines at once.
type Client struct {
	// Patience is for how long Submit, Cancel and Requeue try again while Slurm can't be reached. Find sets it to
	// DefaultPatience. The questions (Jobs, Named, Accounting, Limits) are asked once: who asks again and again anyway
	// goes on where Temporary(err).
	Patience time.Duration
	// OnWait, where it is set, is told each time before a command is tried again: why, and how long is waited.
	OnWait func(err error, wait time.Duration)

	commands map[string]string // by name: the path
	environ  []string          // of this process
	uid      int
}

// DefaultPatience outlasts a restart of the controller, and its move to another machine.
const DefaultPatience = 15 * time.Minute

// queries is how long a command may take. Slurm's own limit for one message is MessageTimeout, 10 s where nothing else is
// said, and commands try a few times; what takes longer hangs.
const commandTimeout = 2 * time.Minute

// Find looks for Slurm's commands in PATH.
func Find() (*Client, error) {
	c := &Client{Patience: DefaultPatience, commands: map[string]string{}, environ: os.Environ(), uid: os.Getuid()}
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
	if path, err := exec.LookPath("sacct"); err == nil {
		c.commands["sacct"] = path
	}
	return c, nil
}

func (c *Client) somePath() string {
	for _, path := range c.commands {
		return path
	}
	return ""
}

// run starts a command and returns what it prints. An error is a *CommandError, or the context's.
func (c *Client) run(ctx context.Context, in io.Reader, env []string, name string, args ...string) (string, error) {
	limit, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(limit, c.commands[name], args...)
	var out, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = in, &out, &complaint, env
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case err == nil:
		return out.String(), nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case limit.Err() != nil:
		return out.String(), &CommandError{Command: name, Text: fmt.Sprintf("no answer within %v", commandTimeout), temporary: true}
	}
	text := strings.TrimSpace(complaint.String())
	if text == "" {
		text = strings.TrimSpace(out.String())
	}
	if text == "" {
		text = err.Error()
	}
	return out.String(), &CommandError{Command: name, Text: text, temporary: isTemporary(text)}
}
