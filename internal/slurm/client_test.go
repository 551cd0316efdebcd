//go:build unix

package slurm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakes puts commands into a folder that is all of PATH for Find, but for a shell's own, and returns it. Each is a shell
// script; what it is given lands in NAME.args, and for sbatch in sbatch.script and sbatch.env.
func fakes(t *testing.T, scripts map[string]string) (*Client, string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"sbatch", "squeue", "scontrol", "scancel", "sacct", "sinfo"} {
		body, ok := scripts[name]
		if !ok && (name == "sacct" || name == "sinfo") {
			continue
		}
		record := fmt.Sprintf("#!/bin/sh\nPATH=%s\ncd %s\necho \"$*\" >>%s.args\n", os.Getenv("PATH"), QuoteShell(dir), name)
		if name == "sbatch" {
			record += "cat >sbatch.script; env >sbatch.env\n"
		} else {
			record += "env >query.env\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(record+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	c, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	c.Patience, c.firstWait = 0, time.Millisecond
	return c, dir
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if _, err := Find(); err == nil || !strings.Contains(err.Error(), "there is no sbatch in PATH") {
		t.Errorf("without commands: %v", err)
	}
	for _, name := range []string{"sbatch", "squeue", "scontrol"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Find(); err == nil || !strings.Contains(err.Error(), "there is no scancel in PATH") {
		t.Errorf("without scancel: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "scancel"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLURM_CONF", filepath.Join(dir, "slurm.conf"))
	if _, err := Find(); err == nil || !strings.Contains(err.Error(), "SLURM_CONF in the environment names no file") {
		t.Errorf("with a SLURM_CONF that is not there: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "slurm.conf"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(); err != nil {
		t.Errorf("with all that is needed: %v", err)
	}
}

func TestSubmit(t *testing.T) {
	for _, test := range []struct{ name, out, want string }{
		{"the default cluster", "echo 4711", "4711"},
		{"another cluster", "echo '4711;big'", "4711;big"},
		{"a cluster that greets", "echo 'Welcome, ann'; echo 'charging vision'; echo 4711; echo 'sbatch: info: done' >&2", "4711"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, dir := fakes(t, map[string]string{"sbatch": test.out})
			s := plainScript()
			job, err := c.Submit(t.Context(), s)
			if err != nil || job != test.want {
				t.Fatalf("got %q, %v", job, err)
			}
			if got := read(t, dir, "sbatch.script"); got != text(t, s) {
				t.Errorf("sbatch was given\n%s", got)
			}
			if got := read(t, dir, "sbatch.args"); got != "--parsable\n" {
				t.Errorf("with %q", got)
			}
		})
	}
}

func TestSubmitRejected(t *testing.T) {
	for _, test := range []struct {
		name, complaint, text, advice string
		later                         bool
	}{
		// These were seen of Slurm 22.05.8.
		{"partition", "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified",
			"invalid partition specified: nope; Invalid partition name specified", "set partition", false},
		{"memory", "sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: Requested node configuration is not available",
			"Memory specification can not be satisfied; Requested node configuration is not available", "lower memory", false},
		{"constraint", "sbatch: error: Batch job submission failed: Invalid feature specification", "Invalid feature specification", "constraint", false},
		{"GPUs", "sbatch: error: Batch job submission failed: Invalid generic resource (gres) specification",
			"Invalid generic resource (gres) specification", "set gpus", false},
		{"array", "sbatch: error: Batch job submission failed: Invalid job array specification", "Invalid job array specification", "MaxArraySize", false},
		{"time", "sbatch: error: Invalid --time specification", "Invalid --time specification", "launcher block", false},
		{"unknown option", "sbatch: unrecognized option '--bogus'\nTry \"sbatch --help\" for more information",
			`unrecognized option '--bogus'; Try "sbatch --help" for more information`, "extra", false},
		{"reservation", "sbatch: error: Batch job submission failed: Requested reservation is invalid", "Requested reservation is invalid", "--reservation", false},
		// These are after the texts of the versions 20.11 to 24.11.
		{"account", "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
			"Invalid account or account/partition combination specified", "set account", false},
		{"qos", "sbatch: error: Batch job submission failed: Invalid qos specification", "Invalid qos specification", "set qos", false},
		{"time of the partition", "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
			"Requested time limit is invalid (missing or exceeds some limit)", "set time", false},
		{"submit limit", "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy " +
			"(job submit limit, user's size and/or time limits)",
			"QOSMaxSubmitJobPerUserLimit; Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", "when others have ended", true},
		{"some limit", "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
			"Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", "ask for less", false},
		{"maintenance", "sbatch: error: Batch job submission failed: System submissions disabled", "System submissions disabled", "maintenance", true},
		{"a rule of the cluster", "sbatch: error: Please name a project with --comment.\nsbatch: error: Batch job submission failed: Unspecified error",
			"Please name a project with --comment.; Unspecified error", "rules of its own", false},
		{"words that are not known", "sbatch: error: Batch job submission failed: The moon is full", "The moon is full", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _ := fakes(t, map[string]string{"sbatch": "cat >&2 <<'END'\n" + test.complaint + "\nEND\nexit 1"})
			_, err := c.Submit(t.Context(), plainScript())
			var r *RejectedError
			if !errors.As(err, &r) || r.Text != test.text || r.Later != test.later || !strings.Contains(r.Advice, test.advice) || (test.advice == "") != (r.Advice == "") {
				t.Errorf("got %#v (%v)", r, err)
			}
			if Temporary(err) {
				t.Error("a refusal is told to be temporary")
			}
		})
	}
}

const down = "echo 'sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)' >&2; exit 1"

func TestSubmitWhileSlurmIsDown(t *testing.T) {
	c, dir := fakes(t, map[string]string{"sbatch": "if [ -e tried ]; then echo 12; else touch tried; " + down + "; fi"})
	c.Patience = time.Minute
	var told []error
	c.OnWait = func(err error, wait time.Duration) { told = append(told, err) }
	job, err := c.Submit(t.Context(), plainScript())
	if err != nil || job != "12" || len(told) != 1 || !Temporary(told[0]) {
		t.Errorf("got %q, %v, told %v", job, err, told)
	}
	if n := strings.Count(read(t, dir, "sbatch.args"), "\n"); n != 2 {
		t.Errorf("sbatch was called %d times", n)
	}
}

// The controller took the job, but could not say so any more.
func TestSubmitTwiceIsNotDone(t *testing.T) {
	c, dir := fakes(t, map[string]string{
		"sbatch": "touch taken; echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1",
		"squeue": "echo 11; echo 11; if [ -e taken ]; then echo 12; fi",
	})
	c.Patience = time.Minute
	if job, err := c.Submit(t.Context(), plainScript()); err != nil || job != "12" {
		t.Errorf("got %q, %v", job, err)
	}
	if n := strings.Count(read(t, dir, "sbatch.args"), "\n"); n != 1 {
		t.Errorf("sbatch was called %d times", n)
	}
	if args := read(t, dir, "squeue.args"); !strings.Contains(args, "--name=ftrun-0123456789ab-0") || !strings.Contains(args, fmt.Sprintf("--user=%d", os.Getuid())) {
		t.Errorf("squeue was called with %s", args)
	}
}

func TestPatienceEnds(t *testing.T) {
	c, _ := fakes(t, map[string]string{"sbatch": down})
	_, err := c.Submit(t.Context(), plainScript())
	if !Temporary(err) || err.Error() != "sbatch: Unable to contact slurm controller (connect failure)" {
		t.Errorf("got %v", err)
	}
	c.Patience = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	c.OnWait = func(error, time.Duration) { cancel() }
	if _, err := c.Submit(ctx, plainScript()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNoClusterIsNoRefusal(t *testing.T) {
	// Seen of Slurm 22.05.8.
	c, _ := fakes(t, map[string]string{"squeue": "echo 'squeue: error: fetch_config: DNS SRV lookup failed\nsqueue: fatal: Could not establish a configuration source' >&2; exit 1"})
	_, err := c.Submit(t.Context(), plainScript())
	var r *RejectedError
	if err == nil || errors.As(err, &r) || Temporary(err) || !strings.Contains(err.Error(), "SLURM_CONF") {
		t.Errorf("got %v", err)
	}
}

func TestKilledIsNoRefusal(t *testing.T) {
	c, dir := fakes(t, map[string]string{"sbatch": "kill -9 $$"})
	_, err := c.Submit(t.Context(), plainScript())
	if !Temporary(err) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "sbatch")); err != nil {
		t.Fatal(err)
	}
	_, err = c.Submit(t.Context(), plainScript())
	var r *RejectedError
	if err == nil || Temporary(err) || errors.As(err, &r) {
		t.Errorf("without sbatch: %v", err)
	}
}

func TestBrokenIDs(t *testing.T) {
	c, dir := fakes(t, nil)
	for _, id := range []string{"", "x", "-1", "12;", "1 2", "--all", "12_", "_3"} {
		if _, err := c.Jobs(t.Context(), []string{id}); err == nil {
			t.Errorf("Jobs took %q", id)
		}
		if err := c.Cancel(t.Context(), id); err == nil {
			t.Errorf("Cancel took %q", id)
		}
		if err := c.Requeue(t.Context(), id, 0); err == nil {
			t.Errorf("Requeue took %q", id)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.args")); err != nil || len(left) > 0 {
		t.Errorf("commands were called: %v, %v", left, err)
	}
}

func TestEnvironment(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "slurm.conf")
	if err := os.WriteFile(conf, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, dir := fakes(t, map[string]string{"sbatch": "echo 1"})
	for name, value := range map[string]string{
		"FTRUN_CPU": "generic", "SLURM_CONF": conf, "SLURM_JOB_ID": "5", "SLURM_MEM_PER_CPU": "3", "SLURM_NTASKS": "8",
		"SLURM_TIME_FORMAT": "relative", "SQUEUE_FORMAT": "%i", "SQUEUE_STATES": "R", "SBATCH_ARRAY_INX": "0-3", "SBATCH_EXPORT": "NONE",
		"SBATCH_PARTITION": "slow", "SBATCH_ACCOUNT": "mine", "SBATCH_RESERVATION": "course", "TMPDIR": "/tmp/slurm.5", "CUDA_VISIBLE_DEVICES": "3",
		"LD_LIBRARY_PATH": "/opt/cuda",
	} {
		t.Setenv(name, value)
	}
	c, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	s := plainScript()
	s.Partition, s.Extra = "fast", []string{"--reservation=ours"}
	if _, err := c.Submit(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	has := func(file string) map[string]string {
		env := map[string]string{}
		for line := range strings.Lines(read(t, dir, file)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			env[name] = value
		}
		return env
	}
	check := func(env map[string]string, want map[string]string) {
		t.Helper()
		for name, value := range want {
			if env[name] != value {
				t.Errorf("%s=%q, want %q", name, env[name], value)
			}
		}
	}
	gone := map[string]string{"SLURM_JOB_ID": "", "SLURM_MEM_PER_CPU": "", "SLURM_NTASKS": "", "SQUEUE_FORMAT": "", "SQUEUE_STATES": "", "SBATCH_ARRAY_INX": "", "SBATCH_EXPORT": ""}
	submit := has("sbatch.env")
	check(submit, gone)
	check(submit, map[string]string{"FTRUN_CPU": "generic", "SLURM_CONF": conf, "LD_LIBRARY_PATH": "/opt/cuda",
		"SBATCH_PARTITION": "", "SBATCH_RESERVATION": "", "SBATCH_ACCOUNT": "mine", "TMPDIR": "", "CUDA_VISIBLE_DEVICES": "",
		"SLURM_TIME_FORMAT": "", "SLURM_BITSTR_LEN": ""})
	query := has("query.env")
	check(query, gone)
	check(query, map[string]string{"SLURM_CONF": conf, "SLURM_TIME_FORMAT": "standard", "SLURM_BITSTR_LEN": "0", "LC_ALL": "C"})

	// Outside a job these are the user's own.
	if err := os.Unsetenv("SLURM_JOB_ID"); err != nil {
		t.Fatal(err)
	}
	if c, err = Find(); err != nil {
		t.Fatal(err)
	}
	if env := c.submitEnv(nil); !slices.Contains(env, "CUDA_VISIBLE_DEVICES=3") || !slices.Contains(env, "TMPDIR=/tmp/slurm.5") || !slices.Contains(env, "SBATCH_PARTITION=slow") {
		t.Errorf("got %q", env)
	}
}

func TestJobs(t *testing.T) {
	out := "cat <<'END'\n" + line("100", "1", "RUNNING", "0", "0") + line("100", "0", "COMPLETED", "0", "0") + line("99", "0", "PENDING", "0", "0") + "END"
	c, dir := fakes(t, map[string]string{"squeue": out})
	jobs, err := c.Jobs(t.Context(), []string{"100", "99", "98"})
	want := []Job{{ID: "99", State: "PENDING"}, {ID: "100", State: "COMPLETED"}, {ID: "100", Task: 1, State: "RUNNING"}}
	if err != nil || !reflect.DeepEqual(jobs, want) {
		t.Errorf("got %+v, %v", jobs, err)
	}
	args := read(t, dir, "squeue.args")
	for _, arg := range []string{"--jobs=100,99,98 ", "--array ", "--states=all ", "--noheader "} {
		if !strings.Contains(args, arg) {
			t.Errorf("no %s among %s", arg, args)
		}
	}
	if strings.Count(args, "\n") != 1 {
		t.Errorf("squeue was called more than once: %s", args)
	}
	if jobs, err := c.Jobs(t.Context(), nil); err != nil || len(jobs) != 0 || read(t, dir, "squeue.args") != args {
		t.Errorf("nothing asked for: %+v, %v", jobs, err)
	}
}

func TestJobsOfClusters(t *testing.T) {
	c, dir := fakes(t, map[string]string{"squeue": "echo CLUSTER: big; cat <<'END'\n" + line("7", "0", "RUNNING", "0", "0") + "END"})
	jobs, err := c.Jobs(t.Context(), []string{"7;big"})
	if err != nil || len(jobs) != 1 || jobs[0].ID != "7;big" || jobs[0].Name() != "7_0" {
		t.Errorf("got %+v, %v", jobs, err)
	}
	if args := read(t, dir, "squeue.args"); !strings.HasPrefix(args, "--clusters=big ") || !strings.Contains(args, "--jobs=7 ") {
		t.Errorf("squeue was called with %s", args)
	}
}

func TestJobsUnknown(t *testing.T) {
	c, _ := fakes(t, map[string]string{"squeue": "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"})
	if jobs, err := c.Jobs(t.Context(), []string{"9"}); err != nil || len(jobs) != 0 {
		t.Errorf("got %+v, %v", jobs, err)
	}
	c, _ = fakes(t, map[string]string{"squeue": "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"})
	if _, err := c.Jobs(t.Context(), []string{"9"}); !Temporary(err) {
		t.Errorf("got %v", err)
	}
}

func TestNamed(t *testing.T) {
	c, _ := fakes(t, map[string]string{"squeue": "echo '12   '; echo '12   '; echo '13   '"})
	if ids, err := c.Named(t.Context(), "", "x"); err != nil || !slices.Equal(ids, []string{"12", "13"}) {
		t.Errorf("got %v, %v", ids, err)
	}
}

func TestNamedOnTheUsersCluster(t *testing.T) {
	_, dir := fakes(t, map[string]string{"squeue": "echo CLUSTER: big; echo 12"})
	t.Setenv("SBATCH_CLUSTERS", "big")
	c, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := c.Named(t.Context(), "", "x"); err != nil || !slices.Equal(ids, []string{"12;big"}) {
		t.Errorf("got %v, %v", ids, err)
	}
	if args := read(t, dir, "squeue.args"); !strings.HasPrefix(args, "--clusters=big ") {
		t.Errorf("squeue was called with %s", args)
	}
}

func TestNamedOnSeveralClusters(t *testing.T) {
	c, dir := fakes(t, map[string]string{"squeue": "echo CLUSTER: big; echo 12; echo CLUSTER: small; echo 3; echo 3"})
	if ids, err := c.Named(t.Context(), Clusters([]string{"-p x", "--clusters=big,small"}), "x"); err != nil || !slices.Equal(ids, []string{"12;big", "3;small"}) {
		t.Errorf("got %v, %v", ids, err)
	}
	if args := read(t, dir, "squeue.args"); !strings.HasPrefix(args, "--clusters=big,small ") {
		t.Errorf("squeue was called with %s", args)
	}
}

func TestCancelAndRequeue(t *testing.T) {
	c, dir := fakes(t, map[string]string{"scontrol": "case $* in *12_0*) echo '12_0-3: Job is pending execution' >&2; exit 1;; *9_9*) echo 'Invalid job id specified for job 9_9' >&2; exit 1;; esac"})
	if err := c.Cancel(t.Context(), TaskID("12", 3), "13", "5;big", TaskID("6;big", 0)); err != nil {
		t.Error(err)
	}
	if args := read(t, dir, "scancel.args"); args != "--quiet 12_3 13\n--clusters=big --quiet 5 6_0\n" {
		t.Errorf("scancel was called with %s", args)
	}
	for _, task := range []int{0, 1} {
		if err := c.Requeue(t.Context(), "12", task); err != nil {
			t.Error(err)
		}
	}
	if err := c.Requeue(t.Context(), "9", 9); err == nil || Temporary(err) {
		t.Errorf("got %v", err)
	}
	if args := read(t, dir, "scontrol.args"); args != "requeue 12_0\nrequeue 12_1\nrequeue 9_9\n" {
		t.Errorf("scontrol was called with %s", args)
	}
}

func TestAccountingWithoutDatabase(t *testing.T) {
	c, _ := fakes(t, nil)
	if jobs, there, err := c.Accounting(t.Context(), []string{"9"}); err != nil || there || jobs != nil {
		t.Errorf("without sacct: %v, %v, %v", jobs, there, err)
	}
	c, _ = fakes(t, map[string]string{"sacct": "echo 'Slurm accounting storage is disabled' >&2; exit 1"})
	if jobs, there, err := c.Accounting(t.Context(), []string{"9"}); err != nil || there || jobs != nil {
		t.Errorf("without a database: %v, %v, %v", jobs, there, err)
	}
	c, _ = fakes(t, map[string]string{"sacct": "echo '9_0|TIMEOUT|0:0||||||n1|ftrun-1'"})
	if jobs, there, err := c.Accounting(t.Context(), []string{"9"}); err != nil || !there || len(jobs) != 1 || jobs[0].State != "TIMEOUT" {
		t.Errorf("with one: %v, %v, %v", jobs, there, err)
	}
}

func TestWhoIsToSubmitWaitsForTheController(t *testing.T) {
	c, _ := fakes(t, map[string]string{"scontrol": "if [ -e tried ]; then echo 'MaxArraySize = 1001'; else touch tried; " + down + "; fi"})
	c.Patience = time.Minute
	waits := 0
	c.OnWait = func(error, time.Duration) { waits++ }
	if l, err := c.Limits(t.Context()); err != nil || l.Tasks() != 1001 || waits != 1 {
		t.Errorf("got %+v, %v after %d waits", l, err, waits)
	}
}

func TestInWords(t *testing.T) {
	for id, want := range map[string]string{"12": "12", "12_3": "12_3", "12;big": "12 on cluster big", TaskID("12;big", 3): "12_3 on cluster big"} {
		if got := InWords(id); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

func TestCancelLine(t *testing.T) {
	for want, ids := range map[string][]string{
		"scancel 12":                               {"12"},
		"scancel 12 13_2":                          {"12", "13_2"},
		"scancel 12 14; scancel -M east 13":        {"12", "13;east", "14"},
		"scancel -M east 12; scancel -M 'a*b' 7_1": {"12;east", "7_1;a*b"},
	} {
		if got := CancelLine(ids); got != want {
			t.Errorf("%q for %v, not %q", got, ids, want)
		}
	}
}
