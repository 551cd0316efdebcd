package slurm

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// line is one of squeue's with our columns.
func line(values ...string) string {
	var b strings.Builder
	for i, c := range columns {
		v := ""
		if i < len(values) {
			v = values[i]
		}
		fmt.Fprintf(&b, "%-*.*s", c.width, c.width, v)
	}
	return b.String() + "\n"
}

func local(hour, minute, second int) time.Time {
	return time.Date(2026, 11, 23, hour, minute, second, 0, time.Local)
}

func TestParseQueue(t *testing.T) {
	for _, test := range []struct {
		name string
		line string
		want Job
	}{
		// These were seen of Slurm 22.05.8.
		{"a task that runs", line("55", "0", "RUNNING", "0", "0", "2026-11-23T21:03:25", "2026-11-23T21:03:26", "2:00", "0:01", "localhost", "None", "ftrun-0123456789ab-1"),
			Job{ID: "55", Task: 0, JobName: "ftrun-0123456789ab-1", State: "RUNNING", Node: "localhost", Submitted: local(21, 3, 25), Start: local(21, 3, 26),
				TimeLimit: 2 * time.Minute, Elapsed: time.Second}},
		{"a task that waits", line("55", "3", "PENDING", "0", "0", "2026-11-23T21:03:25", "N/A", "UNLIMITED", "0:00", "n/a", "JobArrayTaskLimit"),
			Job{ID: "55", Task: 3, State: "PENDING", Reason: "JobArrayTaskLimit", Submitted: local(21, 3, 25)}},
		{"a job that is no array", line("42", "N/A", "PENDING", "0", "0", "2026-11-23T20:50:31", "N/A", "UNLIMITED", "0:00", "n/a", "DependencyNeverSatisfied"),
			Job{ID: "42", Task: -1, State: "PENDING", Reason: "DependencyNeverSatisfied", Submitted: local(20, 50, 31)}},
		{"an exit code", line("36", "0", "FAILED", "768", "0", "2026-11-23T20:50:21", "2026-11-23T20:50:21", "UNLIMITED", "0:00", "localhost", "NonZeroExitCode"),
			Job{ID: "36", State: "FAILED", Reason: "NonZeroExitCode", ExitCode: 3, Node: "localhost", Submitted: local(20, 50, 21), Start: local(20, 50, 21)}},
		{"a signal", line("37", "N/A", "FAILED", "9", "0", "2026-11-23T20:50:21", "2026-11-23T20:50:21", "365-00:00:00", "0:02", "localhost", "JobLaunchFailure"),
			Job{ID: "37", Task: -1, State: "FAILED", Reason: "JobLaunchFailure", Signal: 9, Node: "localhost", Submitted: local(20, 50, 21),
				Start: local(20, 50, 21), TimeLimit: 365 * 24 * time.Hour, Elapsed: 2 * time.Second}},
		{"no folder on the node", line("1", "2", "FAILED", "4021", "0", "2026-11-23T20:45:51", "2026-11-23T20:45:52", "UNLIMITED", "0:00", "localhost", "JobLaunchFailure"),
			Job{ID: "1", Task: 2, State: "FAILED", Reason: "JobLaunchFailure", Signal: 53, Node: "localhost",
				Submitted: local(20, 45, 51), Start: local(20, 45, 52)}},
		{"a reason with spaces, after a restart", line("44", "0", "PENDING", "0", "1", "2026-11-23T20:50:35", "2026-11-23T20:52:36", "UNLIMITED", "0:00", "n/a", "job requeued in held state"),
			Job{ID: "44", State: "PENDING", Reason: "job requeued in held state", Restarts: 1, Submitted: local(20, 50, 35), Start: local(20, 52, 36)}},
		// These are after the documentation of other versions.
		{"exit code with a colon", line("36", "0", "FAILED", "3:0", "0"), Job{ID: "36", State: "FAILED", ExitCode: 3}},
		{"days and a day's limit", line("5", "1", "TIMEOUT", "0", "2", "N/A", "N/A", "1-12:00:00", "1-12:00:01", "gpu-a100-017.cluster.example.org", "TimeLimit"),
			Job{ID: "5", Task: 1, State: "TIMEOUT", Reason: "TimeLimit", Restarts: 2, Node: "gpu-a100-017.cluster.example.org",
				TimeLimit: 36 * time.Hour, Elapsed: 36*time.Hour + time.Second}},
		{"a state of another version", line("5", "1", "SOMETHING_NEW", "0", "0"), Job{ID: "5", Task: 1, State: "SOMETHING_NEW"}},
		{"nodes that are not there", line("5", "1", "PENDING", "0", "0", "N/A", "N/A", "INVALID", "INVALID", "(null)", "ReqNodeNotAvail, UnavailableNodes:n[1-3]"),
			Job{ID: "5", Task: 1, State: "PENDING", Reason: "ReqNodeNotAvail, UnavailableNodes:n[1-3]"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseQueue("CLUSTER: big\n" + test.line)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, []Job{test.want}) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestParseQueueErrors(t *testing.T) {
	for _, test := range []struct{ name, out string }{
		{"no id", line("", "0", "RUNNING", "0", "0")},
		{"no state", line("5", "0", "", "0", "0")},
		{"a list of tasks that was cut", line("5", "3-9,...", "PENDING", "0", "0")},
		{"no task", line("5", "", "PENDING", "0", "0")},
		{"no number of restarts", line("5", "1", "PENDING", "0", "x")},
		{"something else", "slurm: welcome to the cluster\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if jobs, err := parseQueue(test.out); err == nil || !strings.Contains(err.Error(), "squeue") {
				t.Errorf("got %+v, %v", jobs, err)
			}
		})
	}
}

func TestParseTasks(t *testing.T) {
	for s, want := range map[string][]int{
		"N/A": {-1}, "0": {0}, "17": {17}, "3-5%2": {3, 4, 5}, "[0-6:2,9]": {0, 2, 4, 6, 9}, "1,3-4%1": {1, 3, 4},
		"": nil, "x": nil, "3-": nil, "5-3": nil, "-1": nil, "1:0": nil, "1-9999999999": nil, "1,...": nil,
	} {
		if got, err := parseTasks(s); !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

func TestParseSpan(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0:00": 0, "1:00": time.Minute, "59": 59 * time.Second, "2:03:04": 2*time.Hour + 3*time.Minute + 4*time.Second,
		"10-00:00:00": 240 * time.Hour, "00:03.521": 3 * time.Second, "UNLIMITED": 0, "NOT_SET": 0, "Partition_Limit": 0, "": 0, "1:2:3:4": 0, "-1": 0,
	} {
		if got := parseSpan(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

// The lines of job 5 were seen of Slurm 22.05.8, those of the others are after sacct's documentation.
func TestParseAccounts(t *testing.T) {
	out := strings.Join([]string{
		"12_0|OUT_OF_MEMORY|0:125|2026-11-23T20:45:51|2026-11-23T20:46:00|00:10:00|02:00:00||node7|ftrun-1",
		"12_0.batch|OUT_OF_MEMORY|0:125||2026-11-23T20:46:00|00:10:00||16000.50M|node7|batch",
		"12_0.extern|COMPLETED|0:0||2026-11-23T20:46:00|00:10:00||99G|node7|extern",
		"12_1|CANCELLED by 1000|0:0|2026-11-23T20:45:51|None|00:00:00|02:00:00||None assigned|ftrun-1",
		"12_[2-9%4]|PENDING|0:0|2026-11-23T20:45:51|Unknown|00:00:00|02:00:00||None assigned|ftrun-1",
		"5_0|FAILED|0:9|2026-11-23T20:45:51|2026-11-23T20:45:51|00:00:06|00:10:00||n1|ftrun-1",
		"5_0.batch|CANCELLED by 0|0:9|2026-11-23T20:45:51|2026-11-23T20:45:51|00:00:06||233800K|n1|batch",
		"5_2|CANCELLED by 0|0:0|2026-11-23T20:45:51|None|00:00:00|00:10:00||None assigned|ftrun-1",
		"13|FAILED|3:0|2026-11-23T20:45:51|2026-11-23T20:46:00|1-00:00:01|UNLIMITED||node8|a|b",
		"13.batch|FAILED|3:0||2026-11-23T20:46:00|1-00:00:01||2048K|node8|batch",
	}, "\n") + "\n"
	got, err := parseAccounts(out)
	if err != nil {
		t.Fatal(err)
	}
	want := []Job{
		{ID: "12", Task: 0, JobName: "ftrun-1", State: "OUT_OF_MEMORY", Signal: 125, Node: "node7", Submitted: local(20, 45, 51), Start: local(20, 46, 0),
			TimeLimit: 2 * time.Hour, Elapsed: 10 * time.Minute, MaxMemory: 16000<<20 + 1<<19},
		{ID: "12", Task: 1, JobName: "ftrun-1", State: "CANCELLED", CancelledBy: "1000", Submitted: local(20, 45, 51), TimeLimit: 2 * time.Hour},
		{ID: "5", Task: 0, JobName: "ftrun-1", State: "FAILED", Signal: 9, Node: "n1", Submitted: local(20, 45, 51), Start: local(20, 45, 51),
			TimeLimit: 10 * time.Minute, Elapsed: 6 * time.Second, MaxMemory: 233800 << 10},
		{ID: "5", Task: 2, JobName: "ftrun-1", State: "CANCELLED", CancelledBy: "0", Submitted: local(20, 45, 51), TimeLimit: 10 * time.Minute},
		{ID: "13", Task: -1, JobName: "a|b", State: "FAILED", ExitCode: 3, Node: "node8", Submitted: local(20, 45, 51), Start: local(20, 46, 0),
			Elapsed: 24*time.Hour + time.Second, MaxMemory: 2 << 20},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, bad := range []string{"12|x\n", "a|FAILED|3:0|||||||\n", "12_x|FAILED|3:0|||||||\n", "12_1||3:0|||||||\n"} {
		if jobs, err := parseAccounts(bad); err == nil {
			t.Errorf("%q: %+v", bad, jobs)
		}
	}
}

func TestParseConfig(t *testing.T) {
	// Lines of Slurm 22.05.8.
	const seen = "Configuration data as of 2026-11-23T20:47:20\nClusterName             = test\nKillWait                = 30 sec\n" +
		"MaxArraySize            = 1001\nMinJobAge               = 300 sec\nSchedulerParameters     = sched_interval=1,max_array_tasks=500\n" +
		"SLURM_VERSION           = 22.05.8\n\nSlurmctld(primary) at localhost is UP\n"
	got, err := parseConfig(seen)
	want := Limits{MaxArraySize: 1001, MaxTasks: 500, Cluster: "test", Version: "22.05.8", MinJobAge: 5 * time.Minute, KillWait: 30 * time.Second}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got.Tasks() != 500 || (Limits{MaxArraySize: 1001}).Tasks() != 1001 {
		t.Error("the number of tasks of an array is wrong")
	}
	for _, bad := range []string{"", "MaxArraySize = many\n", "MaxArraySize = -1\n"} {
		if l, err := parseConfig(bad); err == nil {
			t.Errorf("%q: %+v", bad, l)
		}
	}
}

// Whatever commands print, it is read or refused, and what is read can be told of.
func FuzzParse(f *testing.F) {
	f.Add(line("55", "0", "RUNNING", "0", "0", "2026-11-23T21:03:25", "2026-11-23T21:03:26", "2:00", "0:01", "localhost", "None"))
	f.Add("12_0.batch|FAILED|0:125||2026-11-23T20:46:00|00:10:00||16000.50M|node7|batch\n")
	f.Add("12_0|CANCELLED by 5|0:9||2026-11-23T20:46:00|00:10:00||16000.50T|node7|ftrun-1\n")
	f.Add("MaxArraySize = 1001\nSchedulerParameters = max_array_tasks=5\n")
	f.Add("12;big\n")
	f.Fuzz(func(t *testing.T, out string) {
		queue, _ := parseQueue(out)
		accounts, _ := parseAccounts(out)
		for _, j := range append(queue, accounts...) {
			if j.Task < -1 || j.MaxMemory < 0 || j.Elapsed < 0 || j.TimeLimit < 0 || j.ExitCode < 0 {
				t.Errorf("%+v", j)
			}
			_ = Explain(j)
			if j.Waits() && j.Ended() || j.Stuck() && !j.Waits() {
				t.Errorf("%+v is in two phases", j)
			}
		}
		_, _ = parseConfig(out)
		if id, err := parseSubmitted(out); err == nil && !isNumber(strings.Split(id, ";")[0]) {
			t.Errorf("the id %q", id)
		}
		_ = clean("sbatch", out)
	})
}
