package launch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/slurm"
	"github.com/ftrun/ftrun/planner"
)

// Summary counts what became of the runs that were watched.
type Summary struct {
	Finished, Failed, Skipped int
	// Left is how many are not settled: the watching was ended.
	Left int
}

// Retell lets the next Watch tell anew what is under way.
func (s *Session) Retell() {
	for _, t := range s.tasks {
		t.running = false
	}
	s.asked.waiting = map[string]bool{}
}

// Watch tells what becomes of the runs, until none is left or ctx is done. It may be called again.
func (s *Session) Watch(ctx context.Context) Summary {
	look := time.NewTicker(s.Look)
	defer look.Stop()
	for n := 0; ; n++ {
		s.ask(ctx)
		for _, t := range s.tasks {
			// Of thousands that wait, little can be new: of each two hundred, one more look is left out.
			if queued := t.seen && t.known.Waits() && t.gone.IsZero(); !queued || n%(1+len(s.tasks)/200) == 0 {
				s.look(t)
			}
		}
		s.end(ctx)
		if s.FailFast && !s.stopping && s.Summary().Failed > 0 {
			s.stop(ctx)
		}
		s.submitLater(ctx)
		sum := s.Summary()
		if sum.Left == 0 {
			s.close(ctx)
		}
		if sum.Left == 0 || ctx.Err() != nil {
			return sum
		}
		select {
		case <-ctx.Done():
		case <-look.C:
		}
	}
}

// stop cancels what is left after a failure, and submits no more.
func (s *Session) stop(ctx context.Context) {
	s.stopping, s.again = true, time.Time{}
	if err := s.Cancel(ctx); err != nil {
		s.note("the other jobs can't be cancelled: %v", err)
	}
	runs, _ := s.todo()
	for _, r := range runs {
		if s.byRun[r.ID] == nil {
			t := s.track(r)
			t.settled = skipped
			s.Events.Emit(runlog.RunSkipped{Head: t.head(), Name: t.name, Reason: "another run failed before it was submitted"})
		}
	}
}

// Summary counts as of the last look.
func (s *Session) Summary() (sum Summary) {
	for _, t := range s.tasks {
		switch {
		case t.run == nil:
		case t.settled == finished:
			sum.Finished++
		case t.settled == failed:
			sum.Failed++
		case t.settled == skipped:
			sum.Skipped++
		default:
			sum.Left++
		}
	}
	sum.Left += s.Unsubmitted()
	return sum
}

// inquiry is what was asked of Slurm last.
type inquiry struct {
	at      time.Time       // of the last question
	heard   time.Time       // of the last question that was answered
	without time.Time       // of the first question since then, which was not; zero: there is none
	pending chan answer     // nil: no question is open
	silent  bool            // told that there is no answer
	waiting map[string]bool // jobs with reasons that were told
}

type answer struct {
	jobs []slurm.Job
	err  error
}

// ask asks Slurm how the jobs fare, at most each Ask, and less often where they are many, and takes up an answer that has
// come. Where there is none, that is told once, and the store is watched on meanwhile.
func (s *Session) ask(ctx context.Context) {
	q := &s.asked
	every := s.Ask * time.Duration(1+len(s.tasks)/1000)
	if q.pending == nil && time.Since(q.at) >= every {
		if ids := s.Jobs(); len(ids) > 0 {
			pending := make(chan answer, 1)
			q.at, q.pending = time.Now(), pending
			if q.without.IsZero() {
				q.without = q.at
			}
			go func() {
				jobs, err := s.Slurm.Jobs(ctx, ids)
				pending <- answer{jobs, err}
			}()
		}
	}
	select {
	case a := <-q.pending:
		q.pending = nil
		s.answered(ctx, a)
	default:
	}
	if !q.silent && !q.without.IsZero() && time.Since(q.without) > patience*every {
		q.silent = true
		s.note("Slurm does not answer: what runs leave in the store is shown on, and Slurm is asked again")
	}
}

// patience is for how many questions Slurm may be silent before that is told.
const patience = 6

func (s *Session) answered(ctx context.Context, a answer) {
	q := &s.asked
	switch {
	case a.err == nil:
	case ctx.Err() != nil || errors.Is(a.err, context.Canceled): // it was this that went away
		q.without = time.Time{}
		return
	case slurm.Temporary(a.err): // it is asked again
		return
	default:
		s.noteOnce("%v", a.err)
		return
	}
	if q.silent {
		s.note("Slurm answers again")
	}
	q.silent, q.heard, q.without = false, q.at, time.Time{}
	jobs := make(map[taskKey]slurm.Job, len(a.jobs))
	for _, j := range s.ours(a.jobs) {
		jobs[taskKey{j.ID, max(j.Task, 0)}] = j
	}
	for _, t := range s.tasks {
		if t.settled == waiting && t.added.Before(q.at) {
			j, known := jobs[taskKey{t.job, t.index}]
			s.hear(t, j, known, q.at)
		}
	}
	s.tellWaiting()
}

// hear takes up what Slurm says of a task, and when it was asked: the store may have told of a start since.
func (s *Session) hear(t *task, j slurm.Job, known bool, asked time.Time) {
	if !known || j.Ended() {
		if known {
			t.known, t.seen = j, true
		}
		if t.gone.IsZero() {
			t.gone = time.Now()
		}
		return
	}
	if t.run == nil && j.State == "RUNNING" && t.known.State != j.State {
		s.note("%s: being computed on %s (job %s)", t.name, j.Node, t.id())
	}
	// One that is being cleared away is counted as restarted already; what it saves is told when that is done.
	again := t.seen && j.State != "COMPLETING" && (j.Restarts > t.restarts || j.Waits() && (t.running && t.since.Before(asked) || !t.known.Waits()))
	if again && t.run != nil {
		s.look(t)
		if t.settled != waiting {
			return
		}
	}
	t.gone = time.Time{}
	was := t.known
	if again || !t.seen {
		t.restarts = j.Restarts
	}
	t.known, t.seen = j, true
	if !again || t.run == nil {
		return
	}
	t.running = false
	t.before = t.status // which is that of the attempt that has ended
	why := "it was saved before its time limit, or before other jobs took its place"
	if t.status.State != runlog.Interrupted {
		why = cmp.Or(slurm.Explain(was), "its node failed, or other jobs took its place")
		if !was.Ended() {
			why = "its node failed, or other jobs took its place"
		}
	}
	s.Events.Emit(runlog.RunRequeued{Head: runlog.Head{Run: t.run.ID}, Name: t.name, Job: t.id(), Reason: why + "; it goes on from its last checkpoint"})
}

// id is the task as Slurm writes it.
func (t *task) id() string { return slurm.Job{ID: t.job, Task: t.index}.Name() }

// tellWaiting tells why runs wait, each reason once for a job.
func (s *Session) tellWaiting() {
	var events []runlog.RunsWaiting
	at := map[string]int{}
	for _, t := range s.tasks {
		if t.settled != waiting || !t.seen || !t.gone.IsZero() || !t.known.Waits() {
			continue
		}
		if t.known.Reason == "" {
			continue // it was submitted just now
		}
		key := t.job + " " + t.known.Reason
		i, there := at[key]
		if !there {
			if s.asked.waiting[key] {
				continue
			}
			i = len(events)
			at[key] = i
			events = append(events, runlog.RunsWaiting{Job: t.job, Name: t.name, Runs: []string{}, Reason: t.known.Reason, Text: slurm.Explain(t.known)})
		}
		if t.run != nil {
			events[i].Runs = append(events[i].Runs, t.run.ID)
		}
	}
	for key := range at {
		s.asked.waiting[key] = true
	}
	for _, e := range events {
		s.Events.Emit(e)
	}
}

// recall takes from the store what the best of the epochs so far is.
func (t *task) recall(p *planner.Plan, dir *runlog.Run) {
	epochs, err := dir.Epochs(runlog.Status{})
	if err != nil {
		return
	}
	for _, e := range epochs[:min(len(epochs), t.follow.Known())] {
		t.judge(p, e)
	}
}

// judge tells whether an epoch is the best so far.
func (t *task) judge(p *planner.Plan, e runlog.Epoch) bool {
	monitor := p.Settings[t.run.Settings].Monitor
	v := e.Value(monitor)
	if e.Epoch > 1 && t.hasBest && (v == t.best || (v > t.best) != runlog.Monitors[monitor]) {
		return false
	}
	t.best, t.hasBest = v, true
	return true
}

// look looks at what a run has left since the last time, and tells it.
func (s *Session) look(t *task) {
	if t.run == nil || t.settled != waiting || t.follow == nil {
		return
	}
	status, epochs, err := t.follow.Look()
	if err != nil {
		s.noteOnce("the store can't be read just now: %v", err)
		return
	}
	if status != nil {
		t.status = *status
	}
	changed := !t.status.Updated.Equal(t.before.Updated) || t.status.Attempts != t.before.Attempts
	trained := changed && t.status.State == runlog.Running && (t.status.Attempts > t.before.Attempts || t.known.State == "RUNNING")
	if !t.running && (trained || len(epochs) > 0) {
		s.started(t, t.follow.Known()-len(epochs))
	}
	for _, e := range epochs {
		best := t.judge(s.Plan, e)
		steps := s.steps(t.run)
		s.Events.Emit(runlog.Step{Head: t.head(), Epoch: e.Epoch, Step: steps, Of: steps, Loss: e.TrainLoss, Acc: e.TrainAcc})
		s.Events.Emit(runlog.EpochDone{Head: t.head(), Metrics: e, Best: best})
	}
	switch {
	case t.status.State == runlog.Finished && t.status.Result != nil && !replaced(t.run, t.status):
		if !t.running {
			s.started(t, t.follow.Known())
		}
		t.settled = finished
		s.Events.Emit(runlog.RunFinished{Head: t.head(), Result: *t.status.Result})
	case t.status.State == runlog.Failed && changed:
		s.fail(t, t.status.Error)
	}
}

// replaced tells whether a status is still that of the training which the plan replaces.
func replaced(r *planner.Run, st runlog.Status) bool {
	return r.Action == planner.Replace && r.Replaces == st.Started.UTC().Format(time.RFC3339Nano)
}

func (t *task) head() runlog.Head { return runlog.Head{Run: t.run.ID} }

// steps of an epoch.
func (s *Session) steps(r *planner.Run) int {
	batch := max(s.Plan.Settings[r.Settings].BatchSize, 1)
	return (s.Plan.Datasets[r.Dataset].Pictures["train"] + batch - 1) / batch
}

// started tells that a run goes on after so many epochs.
func (s *Session) started(t *task, epochs int) {
	t.running, t.since = true, time.Now()
	r, job := t.run, ""
	if t.job != "" {
		job = t.id()
	}
	s.Events.Emit(runlog.RunStarted{Head: t.head(), Name: t.name, Seed: r.Seed, Epochs: s.Plan.Settings[r.Settings].Epochs, Steps: s.steps(r),
		Epoch: epochs, Params: runlog.Params{Total: r.Params.Total, Trainable: r.Params.Trainable}, Job: job, Node: t.known.Node})
}

func (s *Session) fail(t *task, text string) {
	t.settled = failed
	s.Events.Emit(runlog.RunFailed{Head: t.head(), Name: t.name, Error: text})
}

// end settles the tasks that have ended without leaving a result, once what they wrote last had time to arrive.
func (s *Session) end(ctx context.Context) {
	var ended []*task
	for _, t := range s.tasks {
		if t.settled == waiting && !t.gone.IsZero() && time.Since(t.gone) >= s.grace(t) && !s.asked.heard.Before(t.gone) {
			ended = append(ended, t)
		}
	}
	if len(ended) > 0 {
		s.consult(ctx, ended)
		for _, t := range ended {
			s.lose(t)
		}
	}
}

// grace is how long a task that has ended may still turn out to have finished. One that Slurm saw fail has nothing more to
// write but a failure.
func (s *Session) grace(t *task) time.Duration {
	if t.canceled || t.run == nil || t.seen && t.known.Ended() && t.known.State != "COMPLETED" {
		return s.Grace / 4
	}
	return s.Grace
}

// consult asks the accounting database, where there is one, how tasks ended of which squeue knows nothing.
func (s *Session) consult(ctx context.Context, tasks []*task) {
	var ids []string
	for _, t := range tasks {
		if !slices.Contains(ids, t.job) {
			ids = append(ids, t.job)
		}
	}
	jobs, there, err := s.Slurm.Accounting(ctx, ids)
	if err != nil || !there {
		return
	}
	of := map[taskKey]slurm.Job{}
	for _, j := range s.ours(jobs) {
		of[taskKey{j.ID, max(j.Task, 0)}] = j
	}
	for _, t := range tasks {
		if j, known := of[taskKey{t.job, t.index}]; known && j.Ended() {
			t.known, t.seen = j, true
		}
	}
}

// lose settles a task whose job has ended, or vanished, and left no result.
func (s *Session) lose(t *task) {
	why := s.why(t)
	if t.run == nil {
		t.settled = finished
		if !t.known.Ended() || t.known.State != "COMPLETED" {
			t.settled = failed
			if !t.canceled {
				s.note("%s: %s", t.name, why)
			}
		}
		return
	}
	missing := s.lacks(t.run)
	switch {
	case t.canceled:
		t.settled = skipped
		s.Events.Emit(runlog.RunSkipped{Head: t.head(), Name: t.name, Reason: "its job was cancelled"})
	case missing != "":
		t.settled = skipped
		s.Events.Emit(runlog.RunSkipped{Head: t.head(), Name: t.name, Reason: fmt.Sprintf("it starts from the weights of run %s, which did not finish", missing)})
	default:
		s.fail(t, why)
	}
}

// lacks is a run that a run starts from and that did not finish.
func (s *Session) lacks(r *planner.Run) string {
	for _, id := range r.Needs {
		if t := s.byRun[id]; t != nil && (t.settled == failed || t.settled == skipped) {
			return id
		}
	}
	return ""
}

// why says in words how a task ended that left no result, and what to do.
func (s *Session) why(t *task) string {
	j := t.known
	var text string
	switch {
	case t.seen && j.Waits() && !t.running: // of tasks that never started Slurm forgets at once that they were cancelled
		return fmt.Sprintf("job %s left Slurm's queue before it started, as one that is cancelled (scancel); apply again trains what is left", t.id())
	case !t.seen || !j.Ended():
		text = fmt.Sprintf("job %s has vanished from Slurm's queue, and left no result; apply again trains what is left", t.id())
	case j.State == "COMPLETED" && t.run != nil:
		return fmt.Sprintf("job %s ended well, as Slurm says, and left no result in %s: does its node see the same file system?", t.id(), s.Store.Dir)
	default:
		text = fmt.Sprintf("job %s %s", t.id(), cmp.Or(slurm.Explain(j), "ended"))
	}
	// An array asks for the most of its tasks.
	if asked := t.in.record.Arrays[t.array].Memory; j.LackedMemory() && asked > 0 {
		text += fmt.Sprintf(" (it asked for %s", amount(asked))
		if t.run != nil && s.Plan.Estimate(t.run).Memory > 0 {
			text += fmt.Sprintf(", and the run was estimated to hold %s", amount(s.Plan.Estimate(t.run).Memory))
		}
		text += ")"
	}
	if j.State == "CANCELLED" {
		return text
	}
	log := t.in.LogPath(t.array, strconv.Itoa(t.index))
	if line := lastLine(log); line != "" {
		return text + "; its log ends with: " + line
	}
	return text + "; it printed nothing into its log, " + log
}

// lastLine is the last line of a log that says something; "" where there is none.
func lastLine(path string) string {
	f, err := durable.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	const most = 4096
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return ""
		}
	}
	tail, err := io.ReadAll(f)
	if err != nil {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(tail), []byte("\n"))
	return string(bytes.TrimSpace(lines[len(lines)-1]))
}

// amount writes a number of bytes.
func amount(n int64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%d MiB", (n+1<<19)>>20)
}

// Logs names the folders in which the tasks print.
func (s *Session) Logs() (dirs []string) {
	for _, l := range s.folders {
		dirs = append(dirs, filepath.Join(l.Dir, "logs"))
	}
	return dirs
}
