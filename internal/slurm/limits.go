package slurm

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits are what a cluster's configuration says.
type Limits struct {
	MaxArraySize int           // the largest index of an array is one less; 0: the cluster takes no arrays
	MaxTasks     int           // of an array (SchedulerParameters=max_array_tasks); 0: as many as MaxArraySize says
	Cluster      string        // its name
	Version      string        // of Slurm: "22.05.8"
	MinJobAge    time.Duration // for how long jobs that ended stay known
	KillWait     time.Duration // between SIGTERM and SIGKILL
}

// Tasks is how many tasks one array may have whose indices begin at 0.
func (l Limits) Tasks() int {
	if l.MaxTasks > 0 {
		return min(l.MaxTasks, l.MaxArraySize)
	}
	return l.MaxArraySize
}

// Limits asks the controller, which is what comes before anything is submitted: where it can't be reached, it is asked again
// while Patience lasts.
func (c *Client) Limits(ctx context.Context) (Limits, error) {
	var out string
	err := c.patiently(ctx, func() (err error) {
		out, err = c.query(ctx, "scontrol", "show", "config")
		return err
	})
	if err != nil {
		return Limits{}, err
	}
	return parseConfig(out)
}

// parseConfig reads lines "Name = value", some with a unit.
func parseConfig(out string) (Limits, error) {
	var l Limits
	found := false
	for line := range strings.Lines(out) {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		first, _, _ := strings.Cut(value, " ")
		n, err := strconv.Atoi(first)
		switch strings.TrimSpace(name) {
		case "MaxArraySize":
			if err != nil || n < 0 {
				return Limits{}, unreadable("scontrol show config", line)
			}
			l.MaxArraySize, found = n, true
		case "MinJobAge":
			if err == nil {
				l.MinJobAge = time.Duration(n) * time.Second
			}
		case "KillWait":
			if err == nil {
				l.KillWait = time.Duration(n) * time.Second
			}
		case "ClusterName":
			l.Cluster = value
		case "SLURM_VERSION":
			l.Version = value
		case "SchedulerParameters":
			for _, p := range strings.Split(value, ",") {
				if s, ok := strings.CutPrefix(p, "max_array_tasks="); ok {
					l.MaxTasks, _ = strconv.Atoi(s)
				}
			}
		}
	}
	if !found {
		return Limits{}, errors.New("scontrol show config says nothing of MaxArraySize")
	}
	return l, nil
}

// accountFields are what sacct is asked for. The last is what users write, and may hold what parts fields.
var accountFields = []string{"JobID", "State", "ExitCode", "Submit", "Start", "Elapsed", "Timelimit", "MaxRSS", "NodeList", "JobName"}

// Accounting asks the accounting database for what it knows of the jobs, each task by itself, as it was started last. It
// is false where the cluster has no database.
func (c *Client) Accounting(ctx context.Context, ids []string) ([]Job, bool, error) {
	if c.commands["sacct"] == "" {
		return nil, false, nil
	}
	var jobs []Job
	err := c.each(ids, func(cluster string, numbers []string) error {
		out, err := c.query(ctx, "sacct", onCluster(cluster, "--noheader", "--parsable2", "--jobs="+strings.Join(numbers, ","),
			"--format="+strings.Join(accountFields, ","))...)
		if err != nil {
			return err
		}
		found, err := parseAccounts(out)
		for i := range found {
			found[i].ID = withCluster(found[i].ID, cluster)
		}
		jobs = append(jobs, found...)
		return err
	})
	if err != nil {
		var e *CommandError
		if errors.As(err, &e) && containsAny(e.Text, []string{"accounting storage is disabled", "Problem talking to the database", "Unable to connect to database"}) {
			return nil, false, nil
		}
		return nil, false, err
	}
	sortJobs(jobs)
	return jobs, true, nil
}

// parseAccounts reads what sacct prints: a line for a job, then one for each of its steps ("12_3.batch"), of which the
// memory counts. Tasks that were never started are one line ("12_[4-7]") and left out; the queue knows them.
func parseAccounts(out string) ([]Job, error) {
	var jobs []Job
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		f := strings.SplitN(line, "|", len(accountFields))
		if len(f) != len(accountFields) {
			return nil, unreadable("sacct", line)
		}
		field := func(name string) string { return f[slices.Index(accountFields, name)] }
		whole, step, isStep := strings.Cut(field("JobID"), ".")
		id, task, isTask := strings.Cut(whole, "_")
		j := Job{ID: id, Task: -1}
		if isTask {
			if strings.HasPrefix(task, "[") {
				continue
			}
			n, err := strconv.Atoi(task)
			if err != nil || n < 0 {
				return nil, unreadable("sacct", line)
			}
			j.Task = n
		}
		id, _, _ = strings.Cut(id, "+") // a part of a heterogeneous job
		if !isNumber(id) {
			return nil, unreadable("sacct", line)
		}
		if isStep {
			if i := len(jobs) - 1; i >= 0 && jobs[i].ID == j.ID && jobs[i].Task == j.Task && step != "extern" {
				jobs[i].MaxMemory = max(jobs[i].MaxMemory, parseMemory(field("MaxRSS")))
			}
			continue
		}
		j.JobName = field("JobName")
		// "CANCELLED by 1000" names who did it.
		state, who, _ := strings.Cut(field("State"), " ")
		j.State = State(strings.TrimSuffix(state, "+"))
		if j.State == "" {
			return nil, unreadable("sacct", line)
		}
		if by, ok := strings.CutPrefix(who, "by "); ok && isNumber(by) {
			j.CancelledBy = by
		}
		j.ExitCode, j.Signal = parseExit(field("ExitCode"))
		j.Submitted, j.Start = parseTime(field("Submit")), parseTime(field("Start"))
		j.TimeLimit, j.Elapsed = parseSpan(field("Timelimit")), parseSpan(field("Elapsed"))
		if node := field("NodeList"); node != "None assigned" {
			j.Node = node
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// parseMemory reads bytes as sacct prints them: "1234K", "1.50G"; 0 where nothing was measured.
func parseMemory(s string) int64 {
	shift := 0
	if i := strings.IndexAny(s, "KMGTP"); i >= 0 {
		shift = 10 * (1 + strings.IndexByte("KMGTP", s[i]))
		s = s[:i]
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0) || n > float64(int64(1)<<(62-shift)) {
		return 0
	}
	return int64(n * float64(int64(1)<<shift))
}
