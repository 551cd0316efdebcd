package slurm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// State is a job's state in Slurm's word (JOB STATE CODES of squeue's manual): "PENDING". Waits, Runs, Ended and Explain know what it means.
type State string

// Job is one task of an array, or a job that is none.
type Job struct {
	ID        string // of the array as Submit returned it: "12", on another cluster than the default "12;name"
	Task      int    // in the array; -1: no array
	JobName   string // as its Script says
	State     State
	Reason    string        // Slurm's word for why it waits or ended; "" where Slurm says None
	Node      string        // where it runs or ran; "": nowhere yet
	Restarts  int           // how often Slurm has started it again
	ExitCode  int           // of its command
	Signal    int           // that ended it; 0: none
	Submitted time.Time     // this and the next are zero where they are not known
	Start     time.Time     // may be Slurm's guess where it waits
	TimeLimit time.Duration // 0: none
	Elapsed   time.Duration // since it was last started

	// Known to Accounting alone.
	MaxMemory   int64  // bytes, where Slurm has measured it
	CancelledBy string // the number of the user who did
}

// column is one of squeue's, with its width. Columns are as wide as they are told to be in all versions, and none of
// these but the last holds what users write, so a line is cut at fixed places; a separator can't be mistaken.
type column struct {
	name  string
	width int
}

var columns = []column{
	{"ArrayJobID", 16}, {"ArrayTaskID", 16}, {"State", 20}, {"exit_code", 16}, {"RestartCnt", 12},
	{"SubmitTime", 24}, {"StartTime", 24}, {"TimeLimit", 24}, {"TimeUsed", 24}, {"BatchHost", 128}, {"Reason", 256},
	{"Name", 64},
}

// jobsAtOnce bounds what one command line names.
const jobsAtOnce = 500

// Jobs tells how the jobs fare, each task of an array by itself, those that wait too, in the order of ids and tasks. What
// Slurm does not know (any more) is absent. It is one question to the controller for each cluster and 500 ids.
func (c *Client) Jobs(ctx context.Context, ids []string) ([]Job, error) {
	var format []string
	for _, col := range columns {
		format = append(format, fmt.Sprintf("%s:%d", col.name, col.width))
	}
	var jobs []Job
	err := c.each(ids, func(cluster string, numbers []string) error {
		out, err := c.query(ctx, "squeue", onCluster(cluster, "--noheader", "--array", "--states=all", "--jobs="+strings.Join(numbers, ","),
			"--Format="+strings.Join(format, ","))...)
		if isUnknownJob(err) {
			return nil
		}
		if err != nil {
			return err
		}
		found, err := parseQueue(out)
		if err != nil {
			return err
		}
		for i := range found {
			found[i].ID = withCluster(found[i].ID, cluster)
		}
		jobs = append(jobs, found...)
		return nil
	})
	sortJobs(jobs)
	return jobs, err
}

// sortJobs sorts by ids, as numbers, and tasks.
func sortJobs(jobs []Job) {
	slices.SortFunc(jobs, func(a, b Job) int {
		return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Task, b.Task))
	})
}

// Named returns the ids of the user's jobs with a name, arrays once, of those that Slurm still knows, ended ones too. It
// looks on these clusters, or where jobs go when nothing else is said.
func (c *Client) Named(ctx context.Context, clusters, name string) ([]string, error) {
	clusters = c.target(clusters)
	// By number: a name would have to be looked up, which a program without the C library can't where users are in LDAP.
	out, err := c.query(ctx, "squeue", onCluster(clusters, "--noheader", "--states=all", "--user="+strconv.Itoa(c.uid), "--name="+name,
		"--Format=ArrayJobID:16")...)
	if err != nil {
		return nil, err
	}
	var ids []string
	cluster := clusters
	for line := range strings.Lines(out) {
		id := strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(id, "CLUSTER:"); ok {
			cluster = strings.TrimSpace(name)
			continue
		}
		if id == "" {
			continue
		}
		if !isNumber(id) {
			return nil, unreadable("squeue", line)
		}
		if id = withCluster(id, cluster); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// byCluster parts ids, without their cluster, by it, in the order in which the clusters come.
func byCluster(ids []string) (order []string, numbers map[string][]string, err error) {
	numbers = map[string][]string{}
	for _, id := range ids {
		number, cluster, err := splitID(id)
		if err != nil {
			return nil, nil, err
		}
		if _, ok := numbers[cluster]; !ok {
			order = append(order, cluster)
		}
		numbers[cluster] = append(numbers[cluster], number)
	}
	return order, numbers, nil
}

// each calls do for the ids of each cluster, without their cluster, in lists of bounded length.
func (c *Client) each(ids []string, do func(cluster string, numbers []string) error) error {
	order, clusters, err := byCluster(ids)
	if err != nil {
		return err
	}
	for _, cluster := range order {
		for numbers := range slices.Chunk(clusters[cluster], jobsAtOnce) {
			if err := do(cluster, numbers); err != nil {
				return err
			}
		}
	}
	return nil
}

// parseQueue reads what squeue prints in columns.
func parseQueue(out string) ([]Job, error) {
	var jobs []Job
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "CLUSTER:") {
			continue
		}
		fields := map[string]string{}
		rest := line
		for _, col := range columns {
			n := min(col.width, len(rest))
			fields[col.name], rest = strings.TrimSpace(rest[:n]), rest[n:]
		}
		j, ok := Job{ID: fields["ArrayJobID"], Task: -1, JobName: fields["Name"], State: State(fields["State"]), Reason: fields["Reason"]}, true
		number := func(name string) int {
			n, err := strconv.Atoi(fields[name])
			ok = ok && err == nil && n >= 0
			return n
		}
		if !isNumber(j.ID) || j.State == "" {
			return nil, unreadable("squeue", line)
		}
		tasks, err := parseTasks(fields["ArrayTaskID"])
		j.Restarts = number("RestartCnt")
		j.ExitCode, j.Signal = parseExit(fields["exit_code"])
		j.Submitted, j.Start = parseTime(fields["SubmitTime"]), parseTime(fields["StartTime"])
		j.TimeLimit, j.Elapsed = parseSpan(fields["TimeLimit"]), parseSpan(fields["TimeUsed"])
		if node := fields["BatchHost"]; node != "n/a" && node != "(null)" {
			j.Node = node
		}
		if j.Reason == "None" {
			j.Reason = ""
		}
		if !ok || err != nil {
			return nil, unreadable("squeue", line)
		}
		for _, j.Task = range tasks {
			jobs = append(jobs, j)
		}
	}
	return jobs, nil
}

// maxListed bounds the tasks of a list, so that a line that is not understood takes no memory.
const maxListed = 100_000

// parseTasks reads a task's number, -1 for N/A. Tasks that wait together are told one by one (--array), but where they
// are not after all, they are a list: 0-6:2,9%3.
func parseTasks(s string) ([]int, error) {
	if s == "N/A" {
		return []int{-1}, nil
	}
	s, _, _ = strings.Cut(strings.Trim(s, "[]"), "%")
	var tasks []int
	for _, part := range strings.Split(s, ",") {
		part, by, stepped := strings.Cut(part, ":")
		first, last, ranged := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		to, step := from, 1
		if ranged && err == nil {
			to, err = strconv.Atoi(last)
		}
		if stepped && err == nil {
			step, err = strconv.Atoi(by)
		}
		if err != nil || from < 0 || to < from || step < 1 || len(tasks)+(to-from)/step >= maxListed {
			return nil, fmt.Errorf("%q is no list of tasks", s)
		}
		for task := from; task <= to; task += step {
			tasks = append(tasks, task)
		}
	}
	return tasks, nil
}

// jobID is a job's id, or a task's, as Client's methods take it: "12", "12_3", "12;cluster".
var jobID = regexp.MustCompile(`^([0-9]+(?:_[0-9]+)?)(?:;([^\s;]+))?$`)

// TaskID is how Client's methods call a task of an array: "12_3", "12_3;cluster".
func TaskID(id string, task int) string {
	number, cluster, _ := strings.Cut(id, ";")
	return withCluster(fmt.Sprintf("%s_%d", number, task), cluster)
}

// InWords is how a sentence calls a job: "12", "12_3 on cluster big".
func InWords(id string) string {
	number, cluster, _ := strings.Cut(id, ";")
	if cluster == "" {
		return number
	}
	return number + " on cluster " + cluster
}

func splitID(id string) (number, cluster string, err error) {
	m := jobID.FindStringSubmatch(id)
	if m == nil {
		return "", "", fmt.Errorf("%q is no id of a Slurm job", id)
	}
	return m[1], m[2], nil
}

func unreadable(command, line string) error {
	return fmt.Errorf("%s printed a line that is not understood: %q", command, strings.TrimSpace(line))
}

// parseExit reads an exit code as squeue prints it, as wait(2) returns it: 768 is exit code 3, 9 signal 9; or as sacct and
// scontrol do: 3:0 and 0:9.
func parseExit(s string) (code, signal int) {
	if a, b, ok := strings.Cut(s, ":"); ok {
		code, _ = strconv.Atoi(a)
		signal, _ = strconv.Atoi(b)
		return code, signal
	}
	status, err := strconv.Atoi(s)
	if err != nil || status < 0 {
		return 0, 0
	}
	if signal = status & 0x7f; signal > 0 {
		return 0, signal
	}
	return status >> 8 & 0xff, 0
}

// parseTime reads a local time, zero where Slurm says N/A, Unknown or NONE.
func parseTime(s string) time.Time {
	t, err := time.ParseInLocation("2006-01-02T15:04:05", s, time.Local)
	if err != nil {
		return time.Time{}
	}
	return t
}

// parseSpan reads [days-][[hours:]minutes:]seconds, 0 for UNLIMITED, Partition_Limit, INVALID and the like.
func parseSpan(s string) time.Duration {
	var total time.Duration
	if days, rest, ok := strings.Cut(s, "-"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0
		}
		total, s = time.Duration(n)*24*time.Hour, rest
	}
	parts := strings.Split(s, ":")
	if len(parts) > 3 {
		return 0
	}
	unit := time.Second
	for _, part := range slices.Backward(parts) {
		part, _, _ = strings.Cut(part, ".")
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return 0
		}
		total += time.Duration(n) * unit
		unit *= 60
	}
	return total
}

func isNumber(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// onCluster puts the option for another cluster than the default before args.
func onCluster(cluster string, args ...string) []string {
	if cluster == "" {
		return args
	}
	return append([]string{"--clusters=" + cluster}, args...)
}

func withCluster(id, cluster string) string {
	if cluster == "" {
		return id
	}
	return id + ";" + cluster
}

func isUnknownJob(err error) bool {
	var e *CommandError
	return errors.As(err, &e) && strings.Contains(e.Text, "Invalid job id specified")
}
