package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/slurm"
	"github.com/ftrun/ftrun/planner"
)

// cluster is a Slurm in memory.
type cluster struct {
	mu        sync.Mutex
	scripts   map[string]*slurm.Script // by job
	order     []string
	jobs      map[taskKey]slurm.Job
	room      int                      // tasks that it takes; 0: any number
	refuses   error                    // each script,
	only      func(*slurm.Script) bool // or these alone
	crash     error                    // told after a script was taken
	silent    error                    // instead of an answer
	limits    slurm.Limits
	cancelled []string
}

func newCluster() *cluster {
	return &cluster{scripts: map[string]*slurm.Script{}, jobs: map[taskKey]slurm.Job{}, limits: slurm.Limits{MaxArraySize: 1001, Cluster: "test"}}
}

func (c *cluster) Submit(_ context.Context, s *slurm.Script) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuses != nil && (c.only == nil || c.only(s)) {
		return "", c.refuses
	}
	live := 0
	for _, j := range c.jobs {
		if !j.Ended() {
			live++
		}
	}
	if c.room > 0 && live+s.Tasks > c.room {
		return "", &slurm.RejectedError{Text: "too many", Later: true}
	}
	job := fmt.Sprint(100 + len(c.order))
	c.order = append(c.order, job)
	c.scripts[job] = s
	for i := range s.Tasks {
		c.jobs[taskKey{job, i}] = slurm.Job{ID: job, Task: i, State: "PENDING", Reason: "Priority"}
	}
	return job, c.crash
}

func (c *cluster) Jobs(_ context.Context, ids []string) (jobs []slurm.Job, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, j := range c.jobs {
		if slices.Contains(ids, k.job) {
			j.JobName = c.scripts[k.job].Name
			jobs = append(jobs, j)
		}
	}
	return jobs, c.silent
}

func (c *cluster) Named(_ context.Context, _, name string) (ids []string, err error) {
	for job, s := range c.scripts {
		if s.Name == name {
			ids = append(ids, job)
		}
	}
	return ids, nil
}

func (c *cluster) Accounting(context.Context, []string) ([]slurm.Job, bool, error) {
	return nil, false, nil
}

func (c *cluster) Cancel(_ context.Context, ids ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancelled = append(c.cancelled, ids...)
	for k, j := range c.jobs {
		if slices.Contains(ids, k.job) || slices.Contains(ids, j.Name()) {
			if j.State == "PENDING" {
				delete(c.jobs, k)
			} else if !j.Ended() {
				j.State = "CANCELLED"
				c.jobs[k] = j
			}
		}
	}
	return nil
}

func (c *cluster) Limits(context.Context) (slurm.Limits, error) {
	return c.limits, nil
}

// set changes a task; state "" makes Slurm forget it.
func (c *cluster) set(job string, task int, state slurm.State, change func(*slurm.Job)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := taskKey{job, task}
	if state == "" {
		delete(c.jobs, k)
		return
	}
	j := c.jobs[k]
	j.State, j.Reason = state, ""
	if change != nil {
		change(&j)
	}
	c.jobs[k] = j
}

// rename gives a job another name: that of one that has its number now.
func (c *cluster) rename(job, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scripts[job] = &slurm.Script{Name: name}
}

// heard keeps what was told, in the words of what follows below.
type heard struct {
	mu    sync.Mutex
	lines []string
}

func (h *heard) Emit(e runlog.Event) {
	line := ""
	switch e := e.(type) {
	case runlog.Note:
		line = "note " + e.Text
	case runlog.JobSubmitted:
		line = fmt.Sprintf("job %s of %d", e.Job, e.Tasks)
		if e.Before != nil {
			line = fmt.Sprintf("found %s of %d", e.Job, e.Tasks)
		}
		if len(e.After) > 0 {
			line += " after " + strings.Join(e.After, " ")
		}
	case runlog.RunsWaiting:
		line = fmt.Sprintf("%d wait: %s", len(e.Runs), e.Text)
	case runlog.RunStarted:
		line = fmt.Sprintf("%.1s started at %d (%s)", e.Run, e.Epoch, e.Job)
	case runlog.EpochDone:
		line = fmt.Sprintf("%.1s epoch %d %v", e.Run, e.Metrics.Epoch, e.Best)
	case runlog.RunFinished:
		line = fmt.Sprintf("%.1s finished", e.Run)
	case runlog.RunFailed:
		line = fmt.Sprintf("%.1s failed: %s", e.Run, e.Error)
	case runlog.RunSkipped:
		line = fmt.Sprintf("%.1s skipped: %s", e.Run, e.Reason)
	case runlog.RunRequeued:
		line = fmt.Sprintf("%.1s requeued: %s", e.Run, e.Reason)
	default:
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, line)
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.lines)
}

// count says how many of the lines hold a text.
func (h *heard) count(text string) (n int) {
	for _, l := range h.all() {
		if strings.Contains(l, text) {
			n++
		}
	}
	return n
}

// bench is a store, a cluster and a plan of runs.
type bench struct {
	*testing.T
	store   *runlog.Store
	cluster *cluster
	plan    *planner.Plan
	heard   *heard
	grace   time.Duration
}

func newBench(t *testing.T, letters ...string) *bench {
	b := &bench{T: t, store: runlog.Open(filepath.Join(t.TempDir(), "a store")), cluster: newCluster(), heard: &heard{}, grace: 40 * time.Millisecond}
	var runs []planner.Run
	for _, l := range letters {
		runs = append(runs, planner.Run{ID: id(l), Action: planner.Create})
	}
	b.plan = testPlan([]planner.Launch{{Kind: planner.Slurm, Name: "gpu", CPUs: 1, Memory: 64 << 20, Seconds: 3600}}, runs...)
	for i := range b.plan.Settings {
		b.plan.Settings[i].Monitor, b.plan.Settings[i].BatchSize = "val_acc", 8
	}
	b.plan.Datasets[0].Pictures = map[string]int{"train": 20}
	return b
}

func (b *bench) options() Options {
	return Options{
		Plan: b.plan, Store: b.store, Slurm: b.cluster, Events: b.heard,
		Worker: Worker{Program: "/opt/ftrun", Chdir: "/work", Store: b.store.Dir}, Version: "0.1.0",
		Look: time.Millisecond, Ask: 2 * time.Millisecond, Grace: b.grace,
	}
}

func (b *bench) begin() *Session {
	b.Helper()
	s, err := Begin(b.Context(), b.options())
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// watch watches to the end, in the background.
func (b *bench) watch(s *Session) (done chan Summary) {
	done = make(chan Summary, 1)
	ctx, cancel := context.WithTimeout(b.Context(), 20*time.Second)
	b.Cleanup(cancel)
	go func() { done <- s.Watch(ctx) }()
	return done
}

// until waits for something to be told.
func (b *bench) until(text string) {
	b.Helper()
	for range 5000 {
		if b.heard.count(text) > 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	b.Fatalf("%q was never told:\n%s", text, strings.Join(b.heard.all(), "\n"))
}

var clock = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// write leaves in the store what a task would.
func (b *bench) write(letter string, state runlog.State, attempts, epochs int) {
	b.Helper()
	run := b.store.Run(id(letter))
	clock = clock.Add(time.Second)
	st := runlog.Status{State: state, Attempts: attempts, Updated: clock, Epoch: epochs}
	switch state {
	case runlog.Finished:
		st.Result = &runlog.Result{}
	case runlog.Failed:
		st.Error = "the loss is NaN"
	}
	var list []runlog.Epoch
	for i := range epochs {
		list = append(list, runlog.Epoch{Epoch: i + 1, ValAcc: []float64{0.5, 0.4, 0.6, 0.6}[i]})
	}
	if _, err := run.WriteEpochs(list); err != nil {
		b.Fatal(err)
	}
	if err := run.WriteStatus(st); err != nil {
		b.Fatal(err)
	}
}

func TestARunIsWatchedFromTheQueueToItsResult(t *testing.T) {
	b := newBench(t, "a")
	s := b.begin()
	done := b.watch(s)
	b.until("1 wait: ")
	b.cluster.set("100", 0, "RUNNING", nil)
	b.write("a", runlog.Running, 1, 0)
	b.until("a started at 0 (100_0)")
	b.write("a", runlog.Running, 1, 2)
	b.until("a epoch 2 false")
	b.write("a", runlog.Running, 1, 3)
	b.until("a epoch 3 true")
	b.write("a", runlog.Finished, 1, 4)
	if sum := <-done; sum != (Summary{Finished: 1}) {
		t.Fatalf("summary %+v", sum)
	}
	want := []string{"job 100 of 1", "1 wait", "a started", "a epoch 1 true", "a epoch 2 false", "a epoch 3 true", "a epoch 4 false", "a finished"}
	got := b.heard.all()
	if len(got) != len(want) {
		t.Fatalf("told:\n%s", strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("line %d is %q, not %q …", i, got[i], want[i])
		}
	}
	script := b.cluster.scripts["100"]
	if script.Command[0] != "/opt/ftrun" || !strings.HasSuffix(script.Command[len(script.Command)-1], "1.plan.json") || script.SignalBefore != time.Minute {
		t.Errorf("script %+v", script)
	}
}

func TestTheNextApplyTakesUpWhatIsLive(t *testing.T) {
	b := newBench(t, "a", "b", "c")
	b.begin()
	b.cluster.set("100", 0, "", nil) // a was cancelled
	s := b.begin()
	if got := len(b.cluster.order); got != 2 {
		t.Fatalf("%d jobs were submitted, not one for three runs and one for that which was cancelled", got)
	}
	if b.cluster.scripts["101"].Tasks != 1 || b.heard.count("found 100 of 2") != 1 {
		t.Errorf("told:\n%s", strings.Join(b.heard.all(), "\n"))
	}
	if got := s.Jobs(); !slices.Equal(got, []string{"100", "101"}) {
		t.Errorf("jobs %v", got)
	}
}

func TestWhatHasFinishedSinceThePlanIsNotSubmitted(t *testing.T) {
	b := newBench(t, "a", "b")
	b.begin()
	b.write("a", runlog.Finished, 1, 1)
	b.cluster.set("100", 0, "COMPLETED", nil)
	s := b.begin()
	if len(b.cluster.order) != 1 || b.heard.count("a finished") != 1 {
		t.Errorf("%d jobs; told:\n%s", len(b.cluster.order), strings.Join(b.heard.all(), "\n"))
	}
	if sum := s.Summary(); sum != (Summary{Finished: 1, Left: 1}) {
		t.Errorf("summary %+v", sum)
	}
}

func TestAJobWhoseIDWasLostIsFoundByItsName(t *testing.T) {
	b := newBench(t, "a", "b")
	b.cluster.crash = errors.New("killed")
	if _, err := Begin(t.Context(), b.options()); err == nil {
		t.Fatal("no error of a submission that was cut short")
	}
	b.cluster.crash = nil
	b.begin()
	if len(b.cluster.order) != 1 || b.heard.count("found 100 of 2") != 1 {
		t.Errorf("%d jobs; told:\n%s", len(b.cluster.order), strings.Join(b.heard.all(), "\n"))
	}
}

func TestAnotherStoreHasOtherNames(t *testing.T) {
	b, other := newBench(t, "a"), newBench(t, "a")
	other.cluster = b.cluster
	b.begin()
	other.begin()
	if one, two := b.cluster.scripts["100"].Name, b.cluster.scripts["101"].Name; one == two {
		t.Errorf("two stores have jobs named %s", one)
	}
}

func TestALaunchOfWhichNothingIsLeftIsClosed(t *testing.T) {
	b := newBench(t, "a")
	b.begin()
	b.cluster.set("100", 0, "", nil)
	b.begin()
	all, err := b.store.LaunchIDs()
	if err != nil {
		t.Fatal(err)
	}
	closed := 0
	for _, id := range all {
		r, err := openFolder(b.store, id).read()
		if err != nil {
			t.Fatal(err)
		}
		if r.Closed {
			closed++
		}
	}
	if len(all) != 2 || closed != 1 {
		t.Errorf("%d launches, %d closed: the first should be, and the second be another one", len(all), closed)
	}
}

func TestTwoAppliesAtOnceSubmitOnce(t *testing.T) {
	b := newBench(t, "a", "b")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			o := b.options()
			o.Store = runlog.Open(b.store.Dir)
			if _, err := Begin(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(b.cluster.order) != 1 {
		t.Errorf("%d jobs were submitted", len(b.cluster.order))
	}
}

func TestEndsAreToldInWords(t *testing.T) {
	for _, c := range []struct {
		name   string
		before slurm.State // as it was seen before
		state  slurm.State
		log    string
		want   []string
	}{
		{"out of memory", "RUNNING", "OUT_OF_MEMORY", "", []string{"more memory than it was given", "it asked for 64 MiB"}},
		{"killed", "RUNNING", "KILLED", "slurmstepd: error: Exceeded job memory limit", []string{"signal 9 (SIGKILL)", "as where memory runs out", "it asked for 64 MiB", "its log ends with: slurmstepd: error: Exceeded"}},
		{"time limit", "RUNNING", "TIMEOUT", "", []string{"time limit", "larger time"}},
		{"cancelled", "RUNNING", "CANCELLED", "the log", []string{"was cancelled (scancel)"}},
		{"vanished", "RUNNING", "", "", []string{"vanished", "apply again"}},
		{"cancelled while it waited", "PENDING", "", "", []string{"before it started", "scancel"}},
		{"no result", "RUNNING", "COMPLETED", "", []string{"left no result", "same file system"}},
		{"failed without a word", "RUNNING", "FAILED", "", []string{"ended with exit code 1", "it printed nothing into its log, /", "logs/1_0.out"}},
		{"failed", "RUNNING", "FAILED", "a\nslurm_script: /opt/ftrun: not found\n", []string{"its log ends with: slurm_script: /opt/ftrun: not found"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, "a")
			s := b.begin()
			if c.log != "" {
				if err := os.WriteFile(s.tasks[0].in.LogPath(0, "0"), []byte(c.log), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if c.before == "RUNNING" {
				b.cluster.set("100", 0, "RUNNING", nil)
			}
			done := b.watch(s)
			time.Sleep(15 * time.Millisecond) // so that it was asked for
			b.cluster.set("100", 0, c.state, func(j *slurm.Job) {
				switch c.state {
				case "FAILED":
					j.ExitCode = 1
				case "KILLED":
					j.State, j.Signal = "FAILED", 9
				}
			})
			if sum := <-done; sum != (Summary{Failed: 1}) {
				t.Errorf("summary %+v", sum)
			}
			lines := b.heard.all()
			for _, want := range c.want {
				if last := lines[len(lines)-1]; !strings.Contains(last, want) {
					t.Errorf("%q lacks %q", last, want)
				}
			}
		})
	}
}

func TestTheStoreKnowsOfAStartBeforeSlurmSaysSo(t *testing.T) {
	b := newBench(t, "a")
	s := b.begin()
	task, asked := s.tasks[0], time.Now()
	waits := slurm.Job{ID: "100", State: "PENDING", Reason: "Priority"}
	s.hear(task, waits, true, asked)
	s.started(task, 0)
	s.hear(task, waits, true, asked) // an answer that was long in coming
	if !task.running || b.heard.count("requeued") > 0 {
		t.Errorf("told:\n%s", strings.Join(b.heard.all(), "\n"))
	}
	if why := s.why(task); !strings.Contains(why, "vanished") {
		t.Errorf("gone now, it %s", why)
	}
	s.hear(task, waits, true, time.Now())
	if task.running || b.heard.count("requeued") != 1 {
		t.Errorf("told:\n%s", strings.Join(b.heard.all(), "\n"))
	}
}

func TestAnArrayAsksForTheMostOfItsRuns(t *testing.T) {
	b := newBench(t, "a", "b")
	small := planner.Launch{Kind: planner.Slurm, Name: "gpu", CPUs: 1, MaxParallel: 1, Memory: 64 << 20, EstimatedMemory: true}
	large := small
	large.Memory = 512 << 20
	b.plan.Launches = []planner.Launch{small, large}
	b.plan.Runs[1].Launch = 1
	s := b.begin()
	b.cluster.set("100", 0, "OUT_OF_MEMORY", nil)
	b.write("b", runlog.Finished, 1, 1)
	if sum := <-b.watch(s); sum != (Summary{Finished: 1, Failed: 1}) || b.heard.count("a failed: job 100_0 was killed") != 1 || b.heard.count("it asked for 512 MiB") != 1 {
		t.Errorf("summary %+v; told:\n%s", sum, strings.Join(b.heard.all(), "\n"))
	}
}

func TestANumberMayBeThatOfAnotherJob(t *testing.T) {
	b := newBench(t, "a", "b")
	s := b.begin()
	done := b.watch(s)
	b.until("2 wait: ")
	b.cluster.rename("100", "another job")
	if sum := <-done; sum != (Summary{Failed: 2}) || b.heard.count("left Slurm's queue before it started") != 2 {
		t.Errorf("summary %+v; told:\n%s", sum, strings.Join(b.heard.all(), "\n"))
	}
	b.begin()
	if len(b.cluster.order) != 2 || b.heard.count("found") != 0 {
		t.Errorf("%d jobs were submitted; told:\n%s", len(b.cluster.order), strings.Join(b.heard.all(), "\n"))
	}
}

func TestAResultMayComeLaterThanTheEndOfItsJob(t *testing.T) {
	b := newBench(t, "a")
	b.grace = 10 * time.Second
	s := b.begin()
	b.cluster.set("100", 0, "", nil)
	done := b.watch(s)
	time.Sleep(10 * time.Millisecond)
	b.write("a", runlog.Finished, 1, 1)
	if sum := <-done; sum != (Summary{Finished: 1}) {
		t.Errorf("summary %+v; told:\n%s", sum, strings.Join(b.heard.all(), "\n"))
	}
}

func TestARequeueIsToldOnce(t *testing.T) {
	b := newBench(t, "a")
	s := b.begin()
	b.cluster.set("100", 0, "RUNNING", nil)
	b.write("a", runlog.Running, 1, 1)
	done := b.watch(s)
	b.until("a epoch 1")
	time.Sleep(10 * time.Millisecond)
	b.cluster.set("100", 0, "COMPLETING", func(j *slurm.Job) { j.Restarts = 1 })
	time.Sleep(20 * time.Millisecond)
	b.write("a", runlog.Interrupted, 1, 1)
	b.cluster.set("100", 0, "PENDING", func(j *slurm.Job) { j.Restarts, j.Reason = 1, "BeginTime" })
	b.until("a requeued")
	time.Sleep(20 * time.Millisecond)
	b.cluster.set("100", 0, "RUNNING", nil)
	time.Sleep(10 * time.Millisecond)
	b.write("a", runlog.Running, 2, 1)
	b.until("a started at 1")
	b.write("a", runlog.Finished, 2, 2)
	<-done
	if n := b.heard.count("a started"); n != 2 || b.heard.count("requeued") != 1 || b.heard.count("requeued: it was saved") != 1 {
		t.Errorf("told:\n%s", strings.Join(b.heard.all(), "\n"))
	}
}

func TestTheStoreIsWatchedWhileSlurmIsSilent(t *testing.T) {
	b := newBench(t, "a")
	s := b.begin()
	b.cluster.set("100", 0, "RUNNING", nil)
	b.cluster.mu.Lock()
	b.cluster.silent = errors.New("unable to contact slurm controller")
	b.cluster.mu.Unlock()
	done := b.watch(s)
	b.write("a", runlog.Running, 1, 1)
	b.until("a epoch 1")
	b.until("Slurm does not answer")
	b.cluster.mu.Lock()
	b.cluster.silent = nil
	b.cluster.mu.Unlock()
	b.until("Slurm answers again")
	b.write("a", runlog.Finished, 1, 2)
	if sum := <-done; sum != (Summary{Finished: 1}) {
		t.Errorf("summary %+v", sum)
	}
}

func TestWhatSlurmRefusesIsAnError(t *testing.T) {
	b := newBench(t, "a")
	b.cluster.refuses = &slurm.RejectedError{Text: "invalid partition", Advice: "say another"}
	_, err := Begin(t.Context(), b.options())
	var rejected *slurm.RejectedError
	if !errors.As(err, &rejected) {
		t.Fatalf("error %v", err)
	}
	b.cluster.refuses = nil
	b.begin()
	if len(b.cluster.order) != 1 {
		t.Error("it can't be submitted when the cause is mended")
	}
}

func TestWhatDependsOnARefusedRunIsNotSubmitted(t *testing.T) {
	b := newBench(t, "a", "b", "c", "d")
	closed := b.plan.Launches[0]
	closed.Partition = "closed"
	b.plan.Launches = append(b.plan.Launches, closed)
	b.plan.Runs[0].Launch, b.plan.Runs[1].Needs, b.plan.Runs[2].Needs = 1, ids("a"), ids("b")
	b.cluster.refuses = &slurm.RejectedError{Text: "invalid partition"}
	b.cluster.only = func(s *slurm.Script) bool { return s.Partition == "closed" }
	s := b.begin()
	b.write("d", runlog.Finished, 1, 1)
	sum := <-b.watch(s)
	if len(b.cluster.order) != 1 || b.cluster.scripts["100"].Tasks != 1 || len(b.cluster.scripts["100"].After) > 0 {
		t.Errorf("%d jobs were submitted, the first of %d tasks", len(b.cluster.order), b.cluster.scripts["100"].Tasks)
	}
	if sum != (Summary{Finished: 1, Failed: 1, Skipped: 2}) || b.heard.count("a failed: Slurm refuses the job") != 1 || b.heard.count("b skipped: it starts from the weights of run aaaa") != 1 {
		t.Errorf("summary %+v; told:\n%s", sum, strings.Join(b.heard.all(), "\n"))
	}
}

func TestWhatSlurmTakesLaterIsSubmittedLater(t *testing.T) {
	b := newBench(t, "a", "b", "c", "d", "e")
	b.cluster.room, b.grace = 3, 10*time.Second
	s := b.begin()
	if got := s.Summary(); got.Left != 5 {
		t.Fatalf("summary %+v", got)
	}
	done := b.watch(s)
	for {
		select {
		case sum := <-done:
			if sum != (Summary{Finished: 5}) || len(b.cluster.order) < 3 {
				t.Errorf("summary %+v after %d jobs", sum, len(b.cluster.order))
			}
			return
		case <-time.After(time.Millisecond):
			for job, script := range b.cluster.taken() {
				for i := range script.Tasks {
					b.cluster.set(job, i, "COMPLETED", nil)
				}
			}
			for letter, t := range map[string]int{"a": 0, "b": 1, "c": 2, "d": 3, "e": 4} {
				if t < b.cluster.tasks() {
					b.write(letter, runlog.Finished, 1, 1)
				}
			}
		}
	}
}

// tasks counts those of all scripts so far.
func (c *cluster) tasks() (n int) {
	for _, s := range c.taken() {
		n += s.Tasks
	}
	return n
}

// taken are the scripts so far.
func (c *cluster) taken() map[string]*slurm.Script {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]*slurm.Script{}
	for job, s := range c.scripts {
		all[job] = s
	}
	return all
}

func TestFailFastCancelsTheOthers(t *testing.T) {
	b := newBench(t, "a", "b", "c")
	o := b.options()
	o.FailFast = true
	s, err := Begin(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	b.cluster.set("100", 0, "RUNNING", nil)
	b.cluster.set("100", 1, "RUNNING", nil)
	done := b.watch(s)
	b.write("a", runlog.Failed, 1, 0)
	if sum := <-done; sum != (Summary{Failed: 1, Skipped: 2}) {
		t.Errorf("summary %+v; told:\n%s", sum, strings.Join(b.heard.all(), "\n"))
	}
	if got := b.cluster.cancelled; !slices.Equal(got, []string{"100_1", "100_2"}) {
		t.Errorf("cancelled %v", got)
	}
}

func TestALongerTrainingWaitsForTheShorterOneOfAnotherLaunch(t *testing.T) {
	b := newBench(t, "a")
	b.begin()
	b.plan.Runs = append(b.plan.Runs, planner.Run{ID: id("b"), From: id("a"), Action: planner.Create})
	b.begin()
	if got := b.cluster.scripts["101"].After; !slices.Equal(got, []string{"100"}) {
		t.Errorf("it waits for %v", got)
	}
}

func TestARunOfWhichAnotherIsNeededIsSkippedWhereThatFails(t *testing.T) {
	b := newBench(t, "a", "b")
	b.plan.Runs[1].Needs = []string{id("a")}
	s := b.begin()
	done := b.watch(s)
	b.write("a", runlog.Failed, 1, 0)
	b.cluster.set("100", 0, "FAILED", nil)
	b.cluster.set("101", 0, "FAILED", func(j *slurm.Job) { j.ExitCode = 3 })
	if sum := <-done; sum != (Summary{Failed: 1, Skipped: 1}) {
		t.Errorf("summary %+v; told:\n%s", sum, strings.Join(b.heard.all(), "\n"))
	}
}

func TestALaunchIsOverWhenItsJobsHaveBeenSeenToEnd(t *testing.T) {
	b := newBench(t, "a")
	s := b.begin()
	launchID := s.folders[0].ID
	if Over(b.store, launchID) {
		t.Error("it is over while its job waits")
	}
	// Both before the watching begins: what ends between its last two looks is closed by the next apply.
	b.write("a", runlog.Finished, 1, 1)
	b.cluster.set("100", 0, "COMPLETED", nil)
	<-b.watch(s)
	if !Over(b.store, launchID) {
		t.Error("it is not over although its job was seen to end")
	}
}

func TestFailFastSubmitsNoMore(t *testing.T) {
	b := newBench(t, "a", "b", "c")
	b.cluster.room = 1
	o := b.options()
	o.FailFast = true
	s, err := Begin(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	// It fails, and makes room for another one, before anybody looks.
	b.write("a", runlog.Failed, 1, 0)
	b.cluster.set("100", 0, "FAILED", nil)
	time.Sleep(12 * o.Ask)
	if sum := <-b.watch(s); sum != (Summary{Failed: 1, Skipped: 2}) || b.heard.count("skipped: another run failed") != 2 {
		t.Errorf("summary %+v; told:\n%s", sum, strings.Join(b.heard.all(), "\n"))
	}
	if len(b.cluster.order) != 1 {
		t.Errorf("%d jobs were submitted", len(b.cluster.order))
	}
}

func TestWhoIsNotAskedIsNotSilent(t *testing.T) {
	b := newBench(t, "a")
	s := b.begin()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	s.Watch(ctx)
	time.Sleep(2 * patience * s.Ask) // a person thinks about what is to become of the jobs
	done := b.watch(s)
	b.write("a", runlog.Finished, 1, 1)
	<-done
	if n := b.heard.count("Slurm does not answer"); n != 0 {
		t.Errorf("told:\n%s", strings.Join(b.heard.all(), "\n"))
	}
}

func TestArraysAreAsLongAsTheClusterTakes(t *testing.T) {
	b := newBench(t, "a", "b", "c")
	b.cluster.limits.MaxTasks = 2
	b.begin()
	for job, script := range b.cluster.taken() {
		if script.Tasks > 2 {
			t.Errorf("job %s has %d tasks", job, script.Tasks)
		}
	}
}

func TestClosingKeepsWhatAnotherApplyHasWritten(t *testing.T) {
	b := newBench(t, "a")
	s := b.begin()
	f := s.folders[0].Folder
	record, err := f.read()
	if err != nil {
		t.Fatal(err)
	}
	// As one that was submitted and could not be written down before its ftrun ended.
	record.Arrays = append(record.Arrays, Batch{Name: "ftrun-other-2", Tried: true, Tasks: []string{id("b")}})
	if err := f.write(record); err != nil {
		t.Fatal(err)
	}
	b.write("a", runlog.Finished, 1, 1)
	b.cluster.set("100", 0, "COMPLETED", nil)
	<-b.watch(s)
	if record, err = f.read(); err != nil || record.Closed || len(record.Arrays) != 2 {
		t.Errorf("the record is %+v, %v", record, err)
	}
}

func TestNothingIsSubmittedWithoutTheLease(t *testing.T) {
	b := newBench(t, "a")
	o := b.options()
	lease := filepath.Join(b.store.Launches().Dir, "lease")
	o.Slurm = lost{b.cluster, lease}
	if _, err := Begin(t.Context(), o); !errors.Is(err, errLeaseLost) {
		t.Errorf("error %v", err)
	}
	if len(b.cluster.order) != 0 {
		t.Error("a job was submitted")
	}
}

// lost is a cluster that takes so long to tell its limits that the lease is taken over meanwhile.
type lost struct {
	*cluster
	lease string
}

func (l lost) Limits(ctx context.Context) (slurm.Limits, error) {
	if err := os.WriteFile(l.lease, []byte("somebody else\n"), 0o666); err != nil {
		return slurm.Limits{}, err
	}
	return l.cluster.Limits(ctx)
}
