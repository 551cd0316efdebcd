package slurm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Submit hands the script to sbatch and returns the array's id. A *RejectedError says that Slurm refuses it. Where the
// controller can't be reached, it tries again while Patience lasts. A controller may have taken a job and have been too
// busy to say so: before each other try Submit looks whether there is a new job of the script's name. Who ends ctx, or this
// process, in the midst of it can look with Named.
func (c *Client) Submit(ctx context.Context, s *Script) (job string, err error) {
	options, err := s.options()
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	if err := s.Write(&text); err != nil {
		return "", err
	}
	if err := c.fits(ctx, s, options, text.String()); err != nil {
		return "", err
	}
	clusters := Clusters(options)
	var before []string
	if err := c.patiently(ctx, func() error {
		before, err = c.Named(ctx, clusters, s.Name)
		return err
	}); err != nil {
		return "", err
	}
	tried := false
	err = c.patiently(ctx, func() error {
		if tried {
			now, err := c.Named(ctx, clusters, s.Name)
			if err != nil {
				return err
			}
			for _, id := range now {
				if !slices.Contains(before, id) {
					job = id
					return nil
				}
			}
		}
		tried = true
		out, err := c.run(ctx, bytes.NewReader(text.Bytes()), c.submitEnv(options), "sbatch", "--parsable")
		if err != nil {
			return err
		}
		job, err = parseSubmitted(out)
		return err
	})
	var complaint *CommandError
	if errors.As(err, &complaint) && complaint.Command == "sbatch" && complaint.exited && !complaint.temporary && !containsAny(complaint.Text, noCluster) {
		return "", rejected(complaint.Text)
	}
	return job, err
}

// parseSubmitted reads what sbatch --parsable prints: "12" or "12;cluster", after whatever a cluster's own plugins print.
func parseSubmitted(out string) (string, error) {
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		number, _, _ := strings.Cut(line, ";")
		if isNumber(number) {
			return line, nil
		}
	}
	return "", fmt.Errorf("sbatch did not print the job's id, but %q", strings.TrimSpace(out))
}

// Clusters are those that options of sbatch name (--clusters), parted by commas; "" where they name none.
func Clusters(options []string) string {
	for _, o := range slices.Backward(options) {
		for _, prefix := range []string{"--clusters=", "--clusters ", "--cluster=", "-M"} {
			if name, ok := strings.CutPrefix(o, prefix); ok {
				return strings.Trim(name, " =")
			}
		}
	}
	return ""
}

// target is where sbatch sends jobs; Slurm's other commands don't look at that variable.
func (c *Client) target(clusters string) string {
	return cmp.Or(clusters, c.variable("SBATCH_CLUSTERS"))
}

// Cancel cancels jobs: an id all of an array, a TaskID one task of it. Those that ended or that Slurm does not know are no error.
func (c *Client) Cancel(ctx context.Context, ids ...string) error {
	return c.each(ids, func(cluster string, numbers []string) error {
		return c.patiently(ctx, func() error {
			// Without --quiet a job that is not known would be a complaint, among which others could not be told.
			_, err := c.query(ctx, "scancel", onCluster(cluster, append([]string{"--quiet"}, numbers...)...)...)
			if isUnknownJob(err) || isEnded(err) {
				return nil
			}
			return err
		})
	})
}

// CancelLine is what a person types to cancel jobs: "scancel 12 13", and one more for each cluster beside the default. It
// panics where an id is none that Submit gave.
func CancelLine(ids []string) string {
	order, clusters, err := byCluster(ids)
	if err != nil {
		panic("slurm: " + err.Error())
	}
	var lines []string
	for _, cluster := range order {
		words := append([]string{"scancel"}, clusters[cluster]...)
		if cluster != "" {
			words = slices.Insert(words, 1, "-M", QuoteShell(cluster))
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return strings.Join(lines, "; ")
}

// Requeue has Slurm end a running job and start it again, from a task of it or from outside. One that waits is left so.
func (c *Client) Requeue(ctx context.Context, id string, task int) error {
	number, cluster, err := splitID(id)
	if err != nil {
		return err
	}
	if task >= 0 {
		number = fmt.Sprintf("%s_%d", number, task)
	}
	return c.patiently(ctx, func() error {
		_, err := c.query(ctx, "scontrol", onCluster(cluster, "requeue", number)...)
		var e *CommandError
		if errors.As(err, &e) && strings.Contains(e.Text, "Job is pending execution") {
			return nil
		}
		return err
	})
}

func isEnded(err error) bool {
	var e *CommandError
	return errors.As(err, &e) && strings.Contains(e.Text, "already completing or completed")
}

// patiently calls do until it succeeds, fails for good, or c.Patience is at its end.
func (c *Client) patiently(ctx context.Context, do func() error) error {
	begun, wait := time.Now(), c.firstWait
	for {
		err := do()
		if err == nil || !Temporary(err) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(begun)+wait > c.Patience {
			if c.Patience > 0 {
				err = fmt.Errorf("no answer from Slurm for %v: %w", time.Since(begun).Round(time.Second), err)
			}
			return err
		}
		if c.OnWait != nil {
			c.OnWait(err, wait)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		wait = min(2*wait, 30*time.Second)
	}
}

// query starts a command that is not to start a job.
func (c *Client) query(ctx context.Context, name string, args ...string) (string, error) {
	return c.run(ctx, nil, c.queryEnv(), name, args...)
}

// run starts a command and returns what it prints. An error is a *CommandError, or the context's.
func (c *Client) run(ctx context.Context, in io.Reader, env []string, name string, args ...string) (string, error) {
	limit, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(limit, c.commands[name], args...)
	var out, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = in, &out, &complaint, env
	cmd.WaitDelay = time.Second
	apart(cmd)
	err := cmd.Run()
	switch {
	case err == nil:
		return out.String(), nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case limit.Err() != nil:
		return "", &CommandError{Command: name, Text: fmt.Sprintf("no answer within %v", commandTimeout), temporary: true}
	}
	text := clean(name, complaint.String())
	if text == "" {
		text = clean(name, out.String())
	}
	if text == "" {
		text = err.Error()
	}
	var exit *exec.ExitError
	ran := errors.As(err, &exit)
	killed := ran && !exit.Exited()
	return "", &CommandError{Command: name, Text: text, exited: ran && !killed, temporary: killed || isTemporary(text)}
}
