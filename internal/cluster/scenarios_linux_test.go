package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ftrun/ftrun/internal/runlog"
)

// quickstart trains examples/quickstart as it is. The launcher is in a second file beside it.
func quickstart(t *testing.T, s *slurm) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "examples", "quickstart", "quickstart.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	const seldom = "-checkpoint-every=10m" // these runs are long enough for that to cost
	want := alone(t, string(raw), seldom)
	e := study(t, s, string(raw))
	write(t, filepath.Join(e.dir, "cluster.hcl"), `
launcher "slurm" "cluster" {
  cpus = 2
  time = "40m"
}
`)
	text := e.start(seldom, "-launcher", "cluster", ".").exits(0)
	e.same(want, nil)
	// What is trained from scratch waits for nothing, the others for the first run, and some of these for features as well.
	for _, said := range []string{": 4 runs, submitted\n", ": features of 1 frozen part, submitted; it waits for job ", ": 3 runs, submitted; it waits for job ", ": 3 runs, submitted; it waits for jobs "} {
		if !strings.Contains(text, said) {
			t.Errorf("it does not say %q:\n%s", said, text)
		}
	}
	if text := e.start("-launcher", "cluster", ".").exits(0); strings.Contains(text, "submitted") {
		t.Errorf("what is done is submitted again:\n%s", text)
	}
}

// sharing trains runs that share features, which are a job of their own, after the run that they start from.
func sharing(t *testing.T, s *slurm) {
	sweep := strings.Replace(small, `memory       = "500MiB"`, "", 1) + run("pretrain", "1", "2") + strings.NewReplacer(
		`"scratch"`, `"extract"`, "batch_size", "weights = sweep.pretrain.best\n    batch_size", `augment { ops = ["hflip"] }`, "").Replace(run("shared", "2", "2"))
	want := alone(t, sweep)
	e := study(t, s, sweep)
	text := e.start("sweep.hcl").exits(0)
	e.same(want, nil)
	for _, said := range []string{": 1 run, submitted\n", ": features of 1 frozen part, submitted; it waits for job ", ": 2 runs, submitted; it waits for jobs "} {
		if !strings.Contains(text, said) {
			t.Errorf("it does not say %q:\n%s", said, text)
		}
	}
}

// many trains two hundred runs of one epoch, two at a time.
func many(t *testing.T, s *slurm) {
	const runs = 200
	before := submitted(s)
	e := study(t, s, strings.Replace(small, "train = 40, val = 8", "train = 8, val = 4", 1)+run("many", "200", "1"))
	a := e.start("-json", "sweep.hcl")
	most := 0
	eventually(t, 10*time.Minute, "not all are done", func() bool {
		n := 0
		for _, line := range s.queue() {
			if strings.HasSuffix(line, " RUNNING") {
				n++
			}
		}
		most = max(most, n)
		select {
		case <-a.ended:
			return true
		case <-time.After(200 * time.Millisecond):
			return false
		}
	})
	a.exits(0)
	if n := submitted(s) - before; n != runs {
		t.Errorf("%d tasks were submitted", n)
	}
	if most > 2 {
		t.Errorf("%d were running at a time", most)
	}
	if n := len(a.events(t, "job_submitted")); n != 1 {
		t.Errorf("%d jobs were submitted", n)
	}
	for _, kind := range []string{"run_started", "run_finished"} {
		times := map[string]int{}
		for _, event := range a.events(t, kind) {
			times[event.Run]++
		}
		if len(times) != runs {
			t.Errorf("%s: told of %d runs", kind, len(times))
		}
		for id, n := range times {
			if n != 1 {
				t.Errorf("%s: told %d times of run %s", kind, n, id)
			}
		}
	}
	statuses, err := e.store().Statuses()
	if err != nil || len(statuses) != runs {
		t.Fatalf("%d runs, %v", len(statuses), err)
	}
	for id, st := range statuses {
		if st.State != runlog.Finished || st.Attempts != 1 {
			t.Errorf("run %s is %s after %d attempts", id, st.State, st.Attempts)
		}
	}
}

// nodeOf is the node on which a task runs: the first of those that do.
func nodeOf(t *testing.T, s *slurm) (n *node, task string) {
	t.Helper()
	eventually(t, time.Minute, "no task is running", func() bool {
		for line := range strings.Lines(s.ask("squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i %N")) {
			id, name, _ := strings.Cut(strings.TrimSpace(line), " ")
			if i := slices.IndexFunc(s.nodes, func(n *node) bool { return n.name == name }); i >= 0 {
				n, task = s.nodes[i], id
				return true
			}
		}
		return false
	})
	return n, task
}

// daemonDies kills the slurmd of a node alone, and starts it again: the tasks go on meanwhile.
func daemonDies(t *testing.T, s *slurm) {
	want := alone(t, long)
	e := study(t, s, long)
	a := e.start("sweep.hcl")
	e.running()
	n, _ := nodeOf(t, s)
	restart := n.killDaemon()
	time.Sleep(2 * time.Second)
	restart()
	text := a.exits(0)
	e.same(want, nil)
	if strings.Count(text, ": finished: ") != 3 || strings.Contains(text, "failed") {
		t.Errorf("it says\n%s", text)
	}
}

// daemonStaysAway kills the slurmd of a node alone, and its administrator takes the node for dead. Slurm starts the task again
// elsewhere while the first goes on: two processes have one run, and its lease is all that keeps them apart.
func daemonStaysAway(t *testing.T, s *slurm) {
	sweep := small + run("longer", "1", "1500")
	want := alone(t, sweep)
	e := study(t, s, sweep)
	a := e.start("sweep.hcl")
	id := e.running()
	n, task := nodeOf(t, s)
	restart := n.killDaemon()
	t.Cleanup(func() {
		restart()
		eventually(t, time.Minute, n.name+" does not come back", func() bool {
			s.ask("scontrol", "update", "NodeName="+n.name, "State=RESUME")
			return strings.Contains(s.ask("sinfo", "-h", "-n", n.name, "-o", "%T"), "idle")
		})
	})
	s.must("scontrol", "update", "NodeName="+n.name, "State=DOWN", "Reason=silent")
	a.says("back in the queue", "its node failed")
	eventually(t, time.Minute, "the task is not started elsewhere", func() bool {
		now := strings.TrimSpace(s.ask("squeue", "-h", "-r", "-t", "RUNNING", "-j", task, "-o", "%N"))
		return now != "" && now != n.name
	})
	if st, _, err := e.store().Run(id).Status(); err != nil || st.State != runlog.Running {
		t.Errorf("the run is %s, %v: it should still be trained on %s", st.State, err, n.name)
	}
	text := a.exits(0)
	e.same(want, nil)
	if strings.Count(text, ": finished: ") != 1 {
		t.Errorf("it says\n%s", text)
	}
}

// nodeDies ends a node with the tasks on it.
func nodeDies(t *testing.T, s *slurm) {
	want := alone(t, long)
	e := study(t, s, long)
	a := e.start("sweep.hcl")
	e.running()
	n, _ := nodeOf(t, s)
	statuses, err := e.store().Statuses()
	if err != nil {
		t.Fatal(err)
	}
	on := s.ask("squeue", "-h", "-r", "-w", n.name, "-o", "%i")
	n.die()
	attempts := map[string]int{}
	for id, st := range statuses {
		if st.State == runlog.Running {
			attempts[id] = 2
		}
	}
	if tasks := len(strings.Fields(on)); tasks != len(attempts) {
		t.Logf("%d tasks on the node, %d runs under way", tasks, len(attempts))
	}
	a.says("back in the queue", "its node failed")
	n.start()
	text := a.exits(0)
	e.same(want, attempts)
	if strings.Count(text, ": finished: ") != 3 {
		t.Errorf("it says\n%s", text)
	}
}

// cancelled cancels a task that runs, one that waits, and then all of an array.
func cancelled(t *testing.T, s *slurm) {
	want := alone(t, long)
	e := study(t, s, long)
	a := e.start("sweep.hcl")
	e.running()
	_, task := nodeOf(t, s)
	job, _, _ := strings.Cut(task, "_")
	s.must("scancel", task)
	s.must("scancel", job+"_2")
	text := a.exits(3)
	// One that waited is known to have been cancelled, or to have left the queue before it started, as cancelled ones do.
	for _, said := range []string{"job " + task + " was cancelled", "job " + job + "_2 "} {
		if !strings.Contains(text, said) || strings.Count(text, "(scancel)") != 2 {
			t.Errorf("it does not say %q:\n%s", said, text)
		}
	}

	b := e.start("sweep.hcl")
	e.running()
	eventually(t, time.Minute, "no job of its own", func() bool { return len(s.queue()) > 0 })
	_, task = nodeOf(t, s)
	again, _, _ := strings.Cut(task, "_")
	if again == job {
		t.Error("what was cancelled is not submitted again")
	}
	s.must("scancel", again)
	b.exits(3)

	c := e.start("sweep.hcl")
	c.exits(0)
	attempts := map[string]int{}
	statuses, err := e.store().Statuses()
	if err != nil {
		t.Fatal(err)
	}
	more := 0
	for id, st := range statuses {
		attempts[id] = st.Attempts
		more += st.Attempts - 1
	}
	if more < 1 || more > 3 {
		t.Errorf("attempts: %v", attempts)
	}
	e.same(want, attempts)
}

// wrap puts a program before a command of Slurm's in PATH: a shell script, to which "$real" is the command.
func (e *experiment) wrap(command, script string) {
	e.t.Helper()
	real, err := exec.LookPath(command)
	if err != nil {
		e.t.Fatal(err)
	}
	dir := e.t.TempDir()
	path := filepath.Join(dir, command)
	write(e.t, path, "#!/bin/sh\nreal="+real+"\n"+script)
	if err := os.Chmod(path, 0o777); err != nil {
		e.t.Fatal(err)
	}
	e.env = append(e.env, "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// submitterDies kills the apply that submits and watches, at several moments, and starts it again.
func submitterDies(t *testing.T, s *slurm) {
	want := alone(t, long)
	for name, script := range map[string]string{
		"before Slurm takes the job": `kill -KILL $PPID`,
		"before it knows the job":    `"$real" "$@" >/dev/null; kill -KILL $PPID`,
		"after it was told the job":  `"$real" "$@"; sleep 0.3; kill -KILL $PPID`,
		"while it watches":           "",
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			before := submitted(s)
			e := study(t, s, long)
			plain := e.env
			if script != "" {
				e.wrap("sbatch", `case "$*" in *--version*|*--help*) exec "$real" "$@";; esac`+"\n"+script)
			}
			killed := e.start("sweep.hcl")
			if script == "" {
				e.running()
				killed.signal(syscall.SIGKILL)
			}
			<-killed.ended
			if killed.cmd.ProcessState.ExitCode() != -1 {
				t.Fatalf("it was not killed: %s", killed)
			}
			e.env = plain
			a := e.start("sweep.hcl")
			text := a.exits(0)
			e.same(want, nil)
			if n := submitted(s) - before; n != 3 {
				t.Errorf("%d tasks were submitted", n)
			}
			if strings.Contains(text, "submitted before") == strings.HasPrefix(name, "before Slurm") {
				t.Errorf("it says\n%s", text)
			}
		})
	}
}

// detached submits only. Another apply watches.
func detached(t *testing.T, s *slurm) {
	want := alone(t, long)
	before := submitted(s)
	e := study(t, s, long)
	text := e.start("-detach", "sweep.hcl").exits(0)
	if !strings.Contains(text, "3 runs, submitted") || !strings.Contains(text, "left to Slurm") {
		t.Errorf("it says\n%s", text)
	}
	two := []*apply{e.start("sweep.hcl"), e.start("sweep.hcl")}
	for _, a := range two {
		if text := a.exits(0); !strings.Contains(text, "submitted before") {
			t.Errorf("it says\n%s", text)
		}
	}
	e.same(want, nil)
	if n := submitted(s) - before; n != 3 {
		t.Errorf("%d tasks were submitted", n)
	}
}

// interrupted is Ctrl-C without a terminal, where nobody can be asked: the jobs are left.
func interrupted(t *testing.T, s *slurm) {
	want := alone(t, long)
	before := submitted(s)
	e := study(t, s, long)
	a := e.start("sweep.hcl")
	e.running()
	a.signal(syscall.SIGINT)
	if text := a.exits(130); !strings.Contains(text, "left to Slurm") || !strings.Contains(text, "scancel") {
		t.Errorf("it says\n%s", text)
	}
	e.start("sweep.hcl").exits(0)
	e.same(want, nil)
	if n := submitted(s) - before; n != 3 {
		t.Errorf("%d tasks were submitted", n)
	}
}

// asked is Ctrl-C at a terminal: what is to become of the jobs is asked.
func asked(t *testing.T, s *slurm) {
	want := alone(t, long)
	e := study(t, s, long)
	a, keys := e.startAtTerminal("sweep.hcl")
	e.running()
	keys("\x03")
	a.says(`"leave" to Slurm`)
	keys("watch\n")
	// A terminal forgets at Ctrl-C what was typed and not read.
	eventually(t, time.Minute, "it does not watch on", func() bool {
		_, since, _ := strings.Cut(a.String(), `or go on to "watch"? `)
		return strings.Contains(since, "seed ")
	})
	keys("\x03")
	eventually(t, time.Minute, "it does not ask again", func() bool { return strings.Count(a.String(), `"leave" to Slurm`) >= 2 })
	keys("cancel\n")
	if text := a.exits(130); !strings.Contains(text, "The jobs were cancelled") {
		t.Errorf("it says\n%s", text)
	}
	eventually(t, time.Minute, "the jobs are still there", func() bool { return len(s.queue()) == 0 })
	statuses, err := e.store().Statuses()
	if err != nil {
		t.Fatal(err)
	}
	attempts := map[string]int{}
	for id, st := range statuses {
		switch st.State {
		case runlog.Interrupted: // what was under way was saved
			attempts[id] = 2
		case runlog.Finished:
		default:
			t.Errorf("run %s is %s after cancelling", id, st.State)
		}
	}
	e.start("sweep.hcl").exits(0)
	e.same(want, attempts)
}

// refused is about launchers that Slurm can't do with.
func refused(t *testing.T, s *slurm) {
	for name, test := range map[string]struct{ attribute, said string }{
		"a partition that isn't there":   {`partition = "nowhere"`, "partition"},
		"a feature that no node has":     {`constraint = "a100"`, "constraint"},
		"GPUs where there are none":      {`gpus = 1`, "gpus"},
		"more processors than there are": {`cpus = 8`, "n1, has 2: lower cpus"},
		"an option that sbatch has not":  {`extra = ["--nonsense"]`, "extra"},
	} {
		t.Run(name, func(t *testing.T) {
			e := study(t, s, strings.Replace(long, `memory       = "500MiB"`, test.attribute, 1))
			text := e.start("sweep.hcl").exits(1)
			if !strings.Contains(text, test.said) || !strings.Contains(text, "launcher block") {
				t.Errorf("it says\n%s", text)
			}
		})
	}
}

// unfit is about a job that Slurm takes and never starts: it says why, and goes on to watch.
func unfit(t *testing.T, s *slurm) {
	e := study(t, s, strings.Replace(long, `"10m"`, `"2h"`, 1)) // the partition's limit is an hour
	a := e.start("sweep.hcl")
	a.says("3 runs: job ", "time")
	line := a.String()
	job := strings.Fields(line[strings.Index(line, "3 runs: job "):])[3]
	s.must("scancel", job)
	if text := a.exits(3); strings.Count(text, "was cancelled (scancel)") != 3 {
		t.Errorf("it says\n%s", text)
	}
}

// limited lets a time limit hit in the middle of a run. The run is held up for that, as Slurm counts in minutes; a signal of
// Slurm's lets it go on.
func limited(t *testing.T, s *slurm) {
	sweep := strings.Replace(small+run("limited", "1", "300"), `"10m"`, `"1m"`, 1)
	want := alone(t, sweep)
	e := study(t, s, sweep)
	a := e.start("sweep.hcl")
	id := e.running()
	_, task := nodeOf(t, s)
	s.must("scancel", "--batch", "--signal=STOP", task)
	a.says("back in the queue", "before its time limit")
	text := a.exits(0)
	e.same(want, map[string]int{id: 2})
	if !strings.Contains(text, "going on after epoch ") {
		t.Errorf("it says\n%s", text)
	}
}

// longerThanArrays trains more runs than an array of this cluster may have.
func longerThanArrays(t *testing.T, s *slurm) {
	const runs = 25
	before := submitted(s)
	e := study(t, s, strings.Replace(small, "train = 40, val = 8", "train = 8, val = 4", 1)+run("many", strconv.Itoa(runs), "1"))
	a := e.start("-json", "sweep.hcl")
	a.exits(0)
	if n := submitted(s) - before; n != runs {
		t.Errorf("%d tasks were submitted", n)
	}
	if n := len(a.events(t, "job_submitted")); n != 3 {
		t.Errorf("%d jobs were submitted", n)
	}
	if n := len(a.events(t, "run_finished")); n != runs {
		t.Errorf("%d runs finished", n)
	}
}

// overMemory lets a task take more memory than it asked for, which ftrun does not by itself: it is told that there is more.
func overMemory(t *testing.T, s *slurm) {
	e := study(t, s, strings.Replace(small, `memory       = "500MiB"`, "memory = \"30MiB\"\n  setup = \"export SLURM_MEM_PER_NODE=500\"", 1)+run("long", "1", "2000"))
	text := e.start("sweep.hcl").exits(3)
	// Slurm writes several lines at the end of the task's log, and the last may come after it says that the task has ended.
	for _, said := range []string{"memory runs out", "it asked for 30 MiB, and the run was estimated to hold ", "its log ends with: slurmstepd"} {
		if !strings.Contains(text, said) {
			t.Errorf("it does not say %q:\n%s", said, text)
		}
	}
}

// forgotten starts a controller anew that knows nothing of what was submitted before, and counts its jobs from 1 on again.
func forgotten(t *testing.T, s *slurm) {
	want := alone(t, long)
	e := study(t, s, long)
	a := e.start("sweep.hcl")
	e.running()
	s.killController()
	if err := os.RemoveAll(s.state()); err != nil {
		t.Fatal(err)
	}
	s.startController()
	if text := a.exits(3); !strings.Contains(text, "has vanished from Slurm's queue") {
		t.Errorf("it says\n%s", text)
	}
	s.ready()
	statuses, err := e.store().Statuses()
	if err != nil {
		t.Fatal(err)
	}
	attempts := map[string]int{}
	for id, st := range statuses {
		if attempts[id] = st.Attempts; st.State != runlog.Finished {
			attempts[id]++
		}
	}
	e.start("sweep.hcl").exits(0)
	e.same(want, attempts)
}
