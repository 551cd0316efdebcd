package cluster

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/runlog/runlogtest"
)

// experiment is a folder with a sweep.
type experiment struct {
	t     *testing.T
	dir   string
	ftrun string
	env   []string
}

// study makes an experiment on a cluster, or without one where s is nil. The sweep's file is "sweep.hcl", and its store the
// one beside it, as is usual.
func study(t *testing.T, s *slurm, sweep string) *experiment {
	t.Helper()
	e := &experiment{t: t, dir: t.TempDir(), ftrun: program(t), env: os.Environ()}
	if s != nil {
		e.env = s.environ()
	}
	write(t, filepath.Join(e.dir, "sweep.hcl"), sweep)
	return e
}

func (e *experiment) store() *runlog.Store { return runlog.Open(filepath.Join(e.dir, ".ftrun")) }

// apply is an `ftrun apply` of the sweep.
type apply struct {
	output
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}
	err   error
}

// applies begins their command lines. Runs of seconds are saved often, so that there is something to go on from.
var applies = []string{"apply", "-auto-approve", "-checkpoint-every", "200ms"}

func (e *experiment) start(args ...string) *apply {
	e.t.Helper()
	a := &apply{t: e.t, ended: make(chan struct{})}
	a.cmd = exec.CommandContext(e.t.Context(), e.ftrun, append(slices.Clone(applies), args...)...)
	a.cmd.Dir, a.cmd.Env, a.cmd.Stdout, a.cmd.Stderr, a.cmd.WaitDelay = e.dir, e.env, &a.output, &a.output, time.Second
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := a.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	go func() {
		a.err = a.cmd.Wait()
		close(a.ended)
	}()
	return a
}

// startAtTerminal is start at a terminal of its own, on which keys types.
func (e *experiment) startAtTerminal(args ...string) (a *apply, keys func(string)) {
	e.t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		e.t.Skip(err)
	}
	e.t.Cleanup(func() { _ = screen.Close() })
	number, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		e.t.Skip(err)
	}
	line, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		e.t.Skip(err)
	}
	defer line.Close()
	a = &apply{t: e.t, ended: make(chan struct{})}
	a.cmd = exec.CommandContext(e.t.Context(), e.ftrun, append(slices.Clone(applies), args...)...)
	a.cmd.Dir, a.cmd.Env, a.cmd.Stdin, a.cmd.Stdout, a.cmd.Stderr = e.dir, e.env, line, line, line
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := a.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		_, _ = io.Copy(&a.output, screen) // it fails when the last one has closed the line
		close(read)
	}()
	go func() {
		a.err = a.cmd.Wait()
		<-read
		close(a.ended)
	}()
	return a, func(text string) {
		if _, err := screen.WriteString(text); err != nil {
			e.t.Error(err)
		}
	}
}

// exits waits for the end and wants an exit code.
func (a *apply) exits(code int) string {
	a.t.Helper()
	select {
	case <-a.ended:
	case <-time.After(15 * time.Minute):
		_ = a.cmd.Process.Kill()
		a.t.Fatalf("it did not end in time\n%s", a)
	}
	if got := a.cmd.ProcessState.ExitCode(); got != code {
		a.t.Fatalf("exit code %d, want %d\n%s", got, code, a)
	}
	return a.String()
}

// says waits until it has printed all of these.
func (a *apply) says(texts ...string) {
	a.t.Helper()
	for _, text := range texts {
		for start := time.Now(); !strings.Contains(a.String(), text); time.Sleep(20 * time.Millisecond) {
			select {
			case <-a.ended:
				if !strings.Contains(a.String(), text) {
					a.t.Fatalf("it ended and did not say %q\n%s", text, a)
				}
			default:
			}
			if time.Since(start) > 2*time.Minute {
				a.t.Fatalf("it does not say %q\n%s", text, a)
			}
		}
	}
}

// signal sends a signal, and waits for the end where it is SIGKILL.
func (a *apply) signal(s syscall.Signal) {
	a.t.Helper()
	if err := a.cmd.Process.Signal(s); err != nil {
		a.t.Fatal(err)
	}
	if s == syscall.SIGKILL {
		<-a.ended
	}
}

// known are the outcomes of sweeps that one process has trained, by the sweep: *trained.
var known sync.Map

type trained struct {
	once sync.Once
	runs map[string]runlogtest.Trained
}

// alone is what the sweep leaves where one process trains it here, without Slurm.
func alone(t *testing.T, sweep string, flags ...string) map[string]runlogtest.Trained {
	t.Helper()
	entry, _ := known.LoadOrStore(sweep, new(trained))
	of := entry.(*trained)
	of.once.Do(func() {
		e := study(t, nil, sweep)
		e.start(append(flags, "-launcher", "local", "-parallelism", "1", "sweep.hcl")...).exits(0)
		of.runs = runlogtest.Outcome(t, e.store().Dir)
	})
	if len(of.runs) == 0 {
		t.Fatal("one process has left nothing")
	}
	return of.runs
}

// same wants that the store holds what was trained alone, and nothing else, each run in so many attempts (1 where it is not
// named).
func (e *experiment) same(want map[string]runlogtest.Trained, attempts map[string]int) {
	e.t.Helper()
	if d := cmp.Diff(want, runlogtest.Outcome(e.t, e.store().Dir)); d != "" {
		e.t.Errorf("the results differ from those of one process: %s", d)
	}
	statuses, err := e.store().Statuses()
	if err != nil {
		e.t.Fatal(err)
	}
	for id, st := range statuses {
		if n := max(attempts[id], 1); st.Attempts != n {
			e.t.Errorf("run %s took %d attempts, and not %d", id, st.Attempts, n)
		}
	}
}

// running waits until a run is being trained that has a checkpoint, and names it.
func (e *experiment) running() (id string) {
	e.t.Helper()
	eventually(e.t, 2*time.Minute, "no run is under way", func() bool {
		statuses, err := e.store().Statuses()
		if err != nil {
			return false
		}
		for run, st := range statuses {
			if st.State == runlog.Running && e.store().Run(run).HasCheckpoint() {
				id = run
				return true
			}
		}
		return false
	})
	return id
}

// submitted counts the tasks that Slurm was ever given.
func submitted(s *slurm) (tasks int) {
	return len(strings.Fields(s.must("squeue", "-h", "-r", "-t", "all", "-o", "%i")))
}

const small = `
dataset "shapes" {
  kind     = "synthetic"
  task     = "shapes"
  classes  = 2
  pictures = { train = 40, val = 8 }
  size     = 32
}
launcher "slurm" "cluster" {
  memory       = "500MiB"
  time         = "10m"
  max_parallel = 2
}
`

// run is a sweep over networks that are trained for so many epochs.
func run(name, seeds, epochs string) string {
	return `
sweep "` + name + `" {
  dataset  = dataset.shapes
  launcher = launcher.slurm.cluster
  seeds    = range(` + seeds + `)
  run {
    arch       = "squeezenet1_1"
    mode       = "scratch"
    epochs     = ` + epochs + `
    batch_size = 4
    image { crop = 32 }
    augment { ops = ["hflip"] }
    optimizer {
      kind = "adam"
      lr   = 0.0003
    }
  }
}
`
}

// long is a sweep whose three runs take some seconds each, so that something can happen in the middle.
var long = strings.Replace(small, "train = 40,", "train = 120,", 1) + run("long", "3", "120")

// scenario is something that happens on a cluster.
type scenario struct {
	name string
	test func(*testing.T, *slurm)
}

// clusters are what TestSlurm goes through: scenarios that need a Slurm of the same configuration, one after the other. Most
// of them wait for Slurm most of the time, so several Slurms share the machine.
var clusters = []struct {
	name      string
	conf      []string // of slurm.conf, beside conf
	scenarios []scenario
}{
	{"runs", nil, []scenario{
		{"the quickstart gives the same bits", quickstart},
		{"runs that share features", sharing},
		{"many short runs", many},
	}},
	{"people", nil, []scenario{
		{"jobs are cancelled by hand", cancelled},
		{"the submitting process is killed", submitterDies},
		{"detached", detached},
		{"interrupted", interrupted},
		{"interrupted at a terminal", asked},
		{"a launcher that Slurm refuses", refused},
		{"a job that can't start", unfit},
	}},
	{"faults", []string{"MaxArraySize=10"}, []scenario{
		{"a time limit in the middle of a run", limited},
		{"a slurmd dies and comes back", daemonDies},
		{"a slurmd stays away", daemonStaysAway},
		{"a node dies", nodeDies},
		{"more runs than an array may have", longerThanArrays},
		{"memory runs out", overMemory},
		{"Slurm forgets its jobs", forgotten},
	}},
}

// TestSlurm starts a Slurm for each list of scenarios.
func TestSlurm(t *testing.T) {
	wanted(t)
	slurmAllowed(t)
	for _, c := range clusters {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startSlurm(t, c.conf...)
			for _, scenario := range c.scenarios {
				t.Run(scenario.name, func(t *testing.T) {
					s.t = t
					scenario.test(t, s)
				})
			}
		})
	}
}
