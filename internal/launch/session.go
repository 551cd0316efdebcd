// Package launch carries a plan out elsewhere: it arranges what is left to be done in job arrays, hands these to a scheduler,
// and watches what becomes of them.
//
// The store, on a file system that all machines share, is the meeting place. A task is `ftrun worker` with a run of a plan
// that lies there; it takes the run's lease, trains and leaves the results as any apply does. Whoever watches reads the
// store and asks the scheduler, and may end and come back at any time: what was submitted stands in the launch's folder.
package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/slurm"
	"github.com/ftrun/ftrun/planner"
)

// Scheduler is what is asked of Slurm: a *slurm.Client.
type Scheduler interface {
	Submit(ctx context.Context, s *slurm.Script) (job string, err error)
	Jobs(ctx context.Context, ids []string) ([]slurm.Job, error)
	Named(ctx context.Context, clusters, name string) ([]string, error)
	Accounting(ctx context.Context, ids []string) ([]slurm.Job, bool, error)
	Cancel(ctx context.Context, ids ...string) error
	Limits(ctx context.Context) (slurm.Limits, error)
}

// Options says what to launch, and how.
type Options struct {
	Plan   *planner.Plan
	Store  *runlog.Store // its Dir is absolute: the nodes see it under the same path
	Slurm  Scheduler
	Events runlog.Sink

	Worker  Worker
	NoShare bool // no features are made beforehand
	// FailFast cancels the others when a run fails.
	FailFast bool
	Version  string

	// Look is how often the store is looked at, Ask how often Slurm is asked at most, and Grace how long a run whose job has
	// ended may still turn out to have finished: what a node wrote last may come late over a network. 0 stands for 1 s,
	// 5 s and 20 s.
	Look, Ask, Grace time.Duration
}

// Worker is how a task calls ftrun.
type Worker struct {
	Program string   // absolute
	Chdir   string   // where the plan's paths begin: absolute
	Store   string   // absolute
	Device  string   // as -device of apply says; "auto" or "" is a GPU where the launch asks for one
	Flags   []string // others of `ftrun worker`
}

// Command is the command line of an array's tasks.
func (w *Worker) Command(f *Folder, array int, a *Array) []string {
	line := []string{w.Program, "worker"}
	if a.Features {
		line = append(line, "-features")
	}
	switch {
	case w.Device != "" && w.Device != "auto":
		line = append(line, "-device", w.Device)
	case a.Launch.GPUs > 0:
		line = append(line, "-device", "cuda:0") // a task sees its own alone
	}
	line = append(line, w.Flags...)
	return append(line, "-store", w.Store, f.PlanPath(array))
}

// Script is the job of an array, by its index, but for what it waits for.
func (w *Worker) Script(f *Folder, array int, a *Array) *slurm.Script {
	l := &a.Launch
	limit := time.Duration(l.Seconds) * time.Second
	return &slurm.Script{
		Name: f.JobName(array), Comment: "ftrun, launch " + f.ID + " of " + w.Store,
		Chdir: w.Chdir, Output: f.LogPath(array, "%a"),
		Tasks: len(a.Tasks), MaxParallel: l.MaxParallel,
		Partition: l.Partition, Account: l.Account, QOS: l.QOS, Constraint: l.Constraint,
		CPUs: max(l.CPUs, 1), GPUs: l.GPUs, Memory: l.Memory, Time: limit, SignalBefore: signalBefore(limit),
		Extra: l.Extra, Setup: l.Setup, Command: w.Command(f, array, a),
	}
}

// signalBefore is how long before its time limit a task is told to save itself: a minute, which Slurm makes up to two of,
// and less where that would be much of its time. Where none is asked for, the limit is the partition's.
func signalBefore(limit time.Duration) time.Duration {
	if limit == 0 {
		return time.Minute
	}
	return min(time.Minute, limit/10).Truncate(time.Second)
}

// Session is the view of one apply on the tasks that carry out its plan.
type Session struct {
	Options
	tasks    []*task
	byRun    map[string]*task
	followed map[taskKey]bool
	views    map[string]view   // of the runs that are to be trained
	names    map[string]string // of jobs, by id
	folders  []*launched       // that have tasks of ours
	told     map[string]bool
	asked    inquiry
	again    time.Time // when to submit what Slurm would not take before; zero: there is no such thing
	stopping bool      // -fail-fast has cancelled the others
}

// view is what is seen of a run in the store.
type view struct {
	follow *runlog.Follower
	before runlog.Status // as it was when this began to look
}

// launched is a launch with its folder.
type launched struct {
	*Folder
	record *Record
}

// task is a run, or features, that Slurm is to carry out.
type task struct {
	run    *planner.Run // nil: features
	name   string
	launch *planner.Launch
	in     *launched
	array  int // in the launch
	index  int // in the array
	job    string
	added  time.Time // what was asked of Slurm before does not count

	view
	status  runlog.Status // as it is
	running bool          // told
	since   time.Time     // when that was told
	best    float64
	hasBest bool

	known    slurm.Job // as Slurm said last
	seen     bool      // Slurm has known it
	restarts int       // of it, as far as they were told
	gone     time.Time // when it was found to have ended, or to be unknown
	settled  outcome
	canceled bool // by us
}

type outcome uint8

const (
	waiting outcome = iota
	finished
	failed
	skipped
)

// owner names this process in the lease.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "a machine without a name"
	}
	return fmt.Sprintf("process %d on %s", os.Getpid(), host)
}

// Begin finds the jobs that carry out runs of the plan already, and submits the others. Of two that do so at once on a store
// one waits for the other. An error is about all of it: nothing was submitted then, or what was is found by the next Begin.
func Begin(ctx context.Context, o Options) (*Session, error) {
	o.Look, o.Ask, o.Grace = orDefault(o.Look, time.Second), orDefault(o.Ask, 5*time.Second), orDefault(o.Grace, 20*time.Second)
	s := &Session{Options: o, byRun: map[string]*task{}, followed: map[taskKey]bool{}, views: map[string]view{}, names: map[string]string{}, told: map[string]bool{}, asked: inquiry{waiting: map[string]bool{}}}
	if err := o.Store.Writable(); err != nil {
		return nil, err
	}
	// What is there is looked at before any task can start: what changes from then on is new.
	runs, _ := s.todo()
	for _, r := range runs {
		v := view{follow: o.Store.Run(r.ID).Follow()}
		if st, _, _ := v.follow.Look(); st != nil {
			v.before = *st
		}
		s.views[r.ID] = v
	}
	if err := s.submitAll(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// acquire takes the lease on all launches of the store.
func (s *Session) acquire(ctx context.Context) (*runlog.Lease, error) {
	told := false
	for {
		lease, err := s.Store.Launches().Acquire(owner())
		var busy *runlog.BusyError
		if err == nil {
			return lease, nil
		}
		if !errors.As(err, &busy) {
			return nil, fmt.Errorf("the store can't be written: %w", err)
		}
		if !told {
			told = true
			s.note("%s is submitting jobs for this store: waiting for it", busy.Owner)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(s.Look / 2):
		}
	}
}

func (s *Session) note(format string, args ...any) {
	s.Events.Emit(runlog.Note{Text: fmt.Sprintf(format, args...)})
}

// noteOnce tells what would be said again and again.
func (s *Session) noteOnce(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !s.told[text] {
		s.told[text] = true
		s.note("%s", text)
	}
}

// todo lists the runs of the plan that are to be trained, each id once.
func (s *Session) todo() (runs []*planner.Run, byID map[string]*planner.Run) {
	byID = map[string]*planner.Run{}
	for i := range s.Plan.Runs {
		r := &s.Plan.Runs[i]
		if r.Action != planner.Done && byID[r.ID] == nil {
			byID[r.ID] = r
			runs = append(runs, r)
		}
	}
	return runs, byID
}

// attach looks through the launches that are not closed, closes those of which nothing is left, and takes up the tasks of
// the others that carry out runs of the plan, or make features for them.
func (s *Session) attach(ctx context.Context) error {
	all, err := s.Store.LaunchIDs()
	if err != nil {
		return err
	}
	var open []*launched
	var ids []string
	for _, id := range all {
		f := openFolder(s.Store, id)
		record, err := f.read()
		if errors.Is(err, fs.ErrNotExist) {
			continue // printed, and not submitted by apply
		}
		if err != nil {
			s.note("%v; what was submitted with it is not known any more: `squeue --me -o '%%i %%j %%T'` lists jobs named ftrun-%s", err, f.ID)
			continue
		}
		if record.Closed {
			continue
		}
		l := &launched{Folder: f, record: record}
		if err := s.recover(ctx, l); err != nil {
			return err
		}
		open = append(open, l)
		ids = append(ids, record.jobs()...)
		for _, b := range record.Arrays {
			s.names[b.Job] = b.Name
		}
	}
	if len(open) == 0 {
		return nil
	}
	jobs, err := s.Slurm.Jobs(ctx, ids)
	if err != nil {
		return fmt.Errorf("what became of the jobs that were submitted before can't be told: %w", err)
	}
	live := map[taskKey]slurm.Job{}
	for _, j := range s.ours(jobs) {
		if !j.Ended() {
			live[taskKey{j.ID, max(j.Task, 0)}] = j
		}
	}
	_, todo := s.todo()
	for _, l := range open {
		left, taken := false, false
		for i, b := range l.record.Arrays {
			of := 0
			for index, id := range b.Tasks {
				j, lives := live[taskKey{b.Job, index}]
				if !lives || b.Job == "" {
					continue
				}
				left = true
				run := todo[id]
				if run == nil || s.followed[taskKey{b.Job, index}] || !b.Features && s.byRun[id] != nil {
					continue
				}
				t := s.add(l, i, index, run)
				t.known, t.seen, t.restarts = j, true, j.Restarts
				of++
			}
			if of > 0 {
				taken = true
				s.Events.Emit(runlog.JobSubmitted{Job: b.Job, Name: b.Name, Tasks: of, Features: b.Features, Before: &l.record.Arrays[i].Submitted})
			}
		}
		if !left {
			l.record.Closed = true
			if err := l.write(l.record); err != nil {
				return err
			}
		}
		if taken && !slices.ContainsFunc(s.folders, func(f *launched) bool { return f.ID == l.ID }) {
			s.folders = append(s.folders, l)
		}
	}
	return nil
}

// ours leaves out the jobs that only have a number of ours. A controller that has lost what it knew counts from the first
// one on again.
func (s *Session) ours(jobs []slurm.Job) []slurm.Job {
	return slices.DeleteFunc(jobs, func(j slurm.Job) bool { return j.JobName != s.names[j.ID] })
}

// taskKey names a task as Slurm does.
type taskKey struct {
	job  string
	task int
}

// recover looks for the jobs of arrays that were about to be submitted when their ftrun ended.
func (s *Session) recover(ctx context.Context, l *launched) error {
	found := false
	for i := range l.record.Arrays {
		b := &l.record.Arrays[i]
		if !b.unknown() {
			continue
		}
		ids, err := s.Slurm.Named(ctx, b.Clusters, b.Name)
		if err != nil {
			return fmt.Errorf("whether job %s was submitted can't be told: %w", b.Name, err)
		}
		if len(ids) > 0 {
			b.Job, b.Submitted, found = newest(ids), l.record.Begun, true
		}
	}
	if !found {
		return nil
	}
	return l.write(l.record)
}

// newest is the job that was submitted last: their numbers rise.
func newest(ids []string) string {
	return slices.MaxFunc(ids, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
}

// track begins to look at a run, which no job carries out so far.
func (s *Session) track(run *planner.Run) *task {
	t := &task{run: run, name: s.Plan.Name(run), launch: s.Plan.LaunchOf(run), view: s.views[run.ID]}
	t.status = t.before
	t.recall(s.Plan, s.Store.Run(run.ID))
	s.tasks = append(s.tasks, t)
	s.byRun[run.ID] = t
	return t
}

// add begins to follow a task of a job.
func (s *Session) add(l *launched, array, index int, run *planner.Run) *task {
	b := &l.record.Arrays[array]
	var t *task
	if b.Features {
		t = &task{name: "features for " + s.Plan.Name(run), launch: s.Plan.LaunchOf(run)}
		s.tasks = append(s.tasks, t)
	} else {
		t = s.track(run)
	}
	t.in, t.array, t.index, t.job, t.added = l, array, index, b.Job, time.Now()
	s.followed[taskKey{t.job, t.index}] = true
	return t
}

// submitRest submits what no job carries out yet. Where Slurm takes no more of the user's jobs for now, smaller arrays are
// tried, and in the end what is left is kept for later. Where it refuses all that there is, that is the error.
func (s *Session) submitRest(ctx context.Context, lease *runlog.Lease, limits slurm.Limits) error {
	if limits.Tasks() < 1 {
		return errors.New("the cluster takes no job arrays (its MaxArraySize is 0), which ftrun submits its runs as")
	}
	var refused refusals
	for most := limits.Tasks(); ; {
		ended, err := s.submitMissing(ctx, lease, limits, most, &refused)
		if err != nil {
			return err
		}
		switch {
		case ended.again:
			continue
		case ended.later == nil:
		case ended.tasks > 1:
			most = ended.tasks / 2
			continue
		default:
			s.again = time.Now().Add(12 * s.Ask)
			s.noteOnce("%v: %s submitted when others have ended", ended.later, counted(len(s.missing()), "run is", "runs are"))
		}
		if refused.first != nil && len(s.tasks) == len(refused.events) && s.again.IsZero() {
			return refused.first
		}
		for _, e := range refused.events {
			s.Events.Emit(e)
		}
		return nil
	}
}

// refusals are the runs that Slurm refused, and those that depend on them: one event each, told when all has been tried.
type refusals struct {
	first  error
	events []runlog.Event
}

// refuse gives up the runs of an array that Slurm did not take, and those that start from their weights. It tells whether there
// are such: the arrays that follow hold them.
func (s *Session) refuse(refused *refusals, ids []string, err error) (dependants bool) {
	refused.first = cmp.Or(refused.first, err)
	runs, byID := s.todo()
	for _, id := range ids {
		t := s.track(byID[id])
		t.settled = failed
		refused.events = append(refused.events, runlog.RunFailed{Head: t.head(), Name: t.name, Error: err.Error()})
	}
	for found := true; found; {
		found = false
		for _, r := range runs {
			if s.byRun[r.ID] != nil {
				continue
			}
			if need := s.lacks(r); need != "" {
				t := s.track(r)
				t.settled = skipped
				refused.events = append(refused.events, runlog.RunSkipped{Head: t.head(), Name: t.name,
					Reason: fmt.Sprintf("it starts from the weights of run %s, which is not trained", need)})
				found, dependants = true, true
			}
		}
	}
	return dependants
}

// missing lists the runs that are to be trained and that no job carries out yet.
func (s *Session) missing() map[string]bool {
	runs, _ := s.todo()
	missing := map[string]bool{}
	for _, r := range runs {
		if s.byRun[r.ID] == nil {
			missing[r.ID] = true
		}
	}
	return missing
}

// submission is how far submitMissing came.
type submission struct {
	again bool // it was not ended, for what is missing has changed
	// later is set where Slurm did not take an array of so many tasks for now, and says so in its words.
	later error
	tasks int
}

// submitMissing submits what no job carries out yet in arrays of so many tasks at most, up to one that Slurm will take later.
func (s *Session) submitMissing(ctx context.Context, lease *runlog.Lease, limits slurm.Limits, most int, refused *refusals) (ended submission, err error) {
	missing := s.missing()
	p := s.Plan.Only(func(r *planner.Run) bool { return missing[r.ID] })
	arrays := Arrange(p, most, !s.NoShare)
	if len(arrays) == 0 {
		return ended, nil
	}
	f, err := Prepare(s.Store, p, arrays)
	if err != nil {
		return ended, err
	}
	l := &launched{Folder: f, record: &Record{ID: f.ID, Launcher: planner.Slurm, Cluster: limits.Cluster, Version: s.Version, Begun: time.Now()}}
	for i := range arrays {
		b := Batch{Name: f.JobName(i), Features: arrays[i].Features, Memory: arrays[i].Launch.Memory, Clusters: slurm.Clusters(arrays[i].Launch.Extra)}
		for _, t := range arrays[i].Tasks {
			b.Tasks = append(b.Tasks, p.Runs[t.Index].ID)
		}
		l.record.Arrays = append(l.record.Arrays, b)
	}
	if err := l.write(l.record); err != nil {
		return ended, err
	}
	_, byID := s.todo()
	took := false
	for i := 0; i < len(arrays) && !ended.again && ended.later == nil; i++ {
		err := s.submit(ctx, lease, l, p, arrays, i)
		var rejected *slurm.RejectedError
		switch {
		case err == nil:
			took = true
			for index, id := range l.record.Arrays[i].Tasks {
				s.add(l, i, index, byID[id])
			}
		case !errors.As(err, &rejected):
			return ended, err
		case rejected.Later:
			ended.later, ended.tasks = rejected, len(arrays[i].Tasks)
		case arrays[i].Features: // those that would have waited for it are refused alike, or compute them themselves
		default: // another array may ask for less
			ended.again = s.refuse(refused, l.record.Arrays[i].Tasks, rejected)
		}
	}
	if took {
		s.folders = append(s.folders, l)
		return ended, nil
	}
	l.record.Closed = true
	return ended, l.write(l.record)
}

// submitLater tries again what Slurm would not take for now. Meanwhile another apply may have submitted it.
func (s *Session) submitLater(ctx context.Context) {
	if s.again.IsZero() || time.Now().Before(s.again) || s.stopping || s.asked.silent {
		return // sbatch would be tried for long where Slurm is silent, and the store not be looked at meanwhile
	}
	s.again = time.Time{}
	err := s.submitAll(ctx)
	if err != nil && ctx.Err() == nil {
		s.again = time.Now().Add(12 * s.Ask)
		s.noteOnce("the other runs can't be submitted now: %v", err)
	}
}

// submitAll finds the jobs that carry out runs of the plan already, and submits the others.
func (s *Session) submitAll(ctx context.Context) error {
	lease, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer lease.Release()
	limits, err := s.Slurm.Limits(ctx)
	if err != nil {
		return err
	}
	if err := s.attach(ctx); err != nil {
		return err
	}
	s.skipFinished()
	return s.submitRest(ctx, lease, limits)
}

// skipFinished settles the runs that have finished since the plan was made. It comes after Slurm was asked: what is not live
// by then and has finished has done so before.
func (s *Session) skipFinished() {
	runs, _ := s.todo()
	for _, r := range runs {
		if s.byRun[r.ID] != nil {
			continue
		}
		st, known, err := s.Store.Run(r.ID).Status()
		if err != nil || !known || st.State != runlog.Finished || st.Result == nil || replaced(r, st) {
			continue
		}
		t := s.track(r)
		t.status = st
		s.look(t)
	}
}

// errLeaseLost is told where this process was halted in the midst of submitting, and another one has gone on with it.
var errLeaseLost = errors.New("another ftrun has taken over submitting jobs for this store, since this one stood still for too long; " +
	"what was submitted is kept, and apply again takes it up")

// submit submits array i of a launch. What it waits for and has ended already is waited for no more.
func (s *Session) submit(ctx context.Context, lease *runlog.Lease, l *launched, p *planner.Plan, arrays []Array, i int) error {
	a, b := &arrays[i], &l.record.Arrays[i]
	script := s.Worker.Script(l.Folder, i, a)
	for _, at := range a.After {
		if job := l.record.Arrays[at].Job; job != "" {
			script.After = append(script.After, job)
		}
	}
	for _, at := range a.AfterOK {
		if job := l.record.Arrays[at].Job; job != "" {
			script.AfterOK = append(script.AfterOK, job)
		}
	}
	script.After = append(script.After, s.elsewhere(p, a, l)...)
	if err := s.stillThere(ctx, script); err != nil {
		return err
	}
	// A process that stood still for a minute may find another one at this, which knows nothing of what comes now.
	if !lease.Held() {
		return errLeaseLost
	}
	b.Tried = true
	if err := l.write(l.record); err != nil {
		return err
	}
	job, err := s.Slurm.Submit(ctx, script)
	var rejected *slurm.RejectedError
	if errors.As(err, &rejected) {
		b.Tried = false
		return errors.Join(err, l.write(l.record))
	}
	if err != nil {
		return err // it may have been submitted all the same: the next apply looks
	}
	b.Job, b.Submitted = job, time.Now()
	s.names[job] = b.Name
	if err := l.write(l.record); err != nil {
		return err
	}
	s.Events.Emit(runlog.JobSubmitted{Job: job, Name: b.Name, Tasks: len(b.Tasks), Features: b.Features, Launcher: a.Launch.Name,
		After: slices.Concat(script.AfterOK, script.After)})
	return nil
}

// elsewhere lists the jobs of other launches that carry out runs which those of an array start or go on from, and, where
// so many may go on at a time, of those of the same launcher.
func (s *Session) elsewhere(p *planner.Plan, a *Array, l *launched) (jobs []string) {
	if a.Launch.MaxParallel > 0 {
		for _, t := range s.tasks {
			if t.in != nil && t.in != l && t.settled == waiting && t.launch.MaxParallel > 0 && launcherOf(t.launch) == launcherOf(&a.Launch) && !slices.Contains(jobs, t.job) {
				jobs = append(jobs, t.job)
			}
		}
	}
	for _, task := range a.Tasks {
		r := &p.Runs[task.Index]
		needs := r.Needs
		if r.From != "" {
			needs = append(slices.Clone(needs), r.From)
		}
		for _, id := range needs {
			if t := s.byRun[id]; t != nil && t.in != l && t.job != "" && !slices.Contains(jobs, t.job) {
				jobs = append(jobs, t.job)
			}
		}
	}
	return jobs
}

// stillThere takes from what a script waits for the jobs that Slurm has forgotten: it would refuse the script for them.
func (s *Session) stillThere(ctx context.Context, script *slurm.Script) error {
	all := slices.Concat(script.After, script.AfterOK)
	if len(all) == 0 {
		return nil
	}
	jobs, err := s.Slurm.Jobs(ctx, all)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, j := range s.ours(jobs) {
		known[j.ID] = true
	}
	unknown := func(id string) bool { return !known[id] }
	script.After = slices.DeleteFunc(script.After, unknown)
	script.AfterOK = slices.DeleteFunc(script.AfterOK, unknown)
	return nil
}

// Unsubmitted is how many runs Slurm has not taken yet.
func (s *Session) Unsubmitted() int {
	if s.again.IsZero() {
		return 0
	}
	return len(s.missing())
}

// Jobs lists the jobs that have tasks which are not settled, in the order in which they were taken up.
func (s *Session) Jobs() (ids []string) {
	listed := map[string]bool{}
	for _, t := range s.tasks {
		if t.settled == waiting && t.job != "" && !listed[t.job] {
			listed[t.job] = true
			ids = append(ids, t.job)
		}
	}
	return ids
}

// Cancel ends all tasks that are not settled. What is under way is saved; Watch then sees them end.
func (s *Session) Cancel(ctx context.Context) error {
	var ids []string
	for job, tasks := range s.open() {
		ours := len(tasks)
		if of := len(tasks[0].in.record.Arrays[tasks[0].array].Tasks); ours == of {
			ids = append(ids, job)
			continue
		}
		for _, t := range tasks {
			ids = append(ids, slurm.TaskID(job, t.index))
		}
	}
	slices.Sort(ids)
	if err := s.Slurm.Cancel(ctx, ids...); err != nil {
		return err
	}
	for _, t := range s.tasks {
		t.canceled = t.canceled || t.settled == waiting
	}
	return nil
}

// open lists the tasks that are not settled by their job.
func (s *Session) open() map[string][]*task {
	open := map[string][]*task{}
	for _, t := range s.tasks {
		if t.settled == waiting {
			open[t.job] = append(open[t.job], t)
		}
	}
	return open
}

// close notes which launches have nothing left. Where that can't be told now, or another process submits, the next apply
// does it.
func (s *Session) close(ctx context.Context) {
	lease, err := s.Store.Launches().Acquire(owner())
	if err != nil {
		return
	}
	defer lease.Release()
	var open []*launched
	var ids []string
	for _, l := range s.folders {
		// Another apply may have written it since this one read it.
		record, err := l.read()
		if err != nil || record.Closed || slices.ContainsFunc(record.Arrays, Batch.unknown) {
			continue
		}
		open = append(open, &launched{Folder: l.Folder, record: record})
		ids = append(ids, record.jobs()...)
	}
	if len(open) == 0 {
		return
	}
	jobs, err := s.Slurm.Jobs(ctx, ids)
	if err != nil {
		return
	}
	live := map[string]bool{}
	for _, j := range s.ours(jobs) {
		// What is being cleared away reads nothing any more.
		live[j.ID] = live[j.ID] || !j.Ended() && j.State != "COMPLETING"
	}
	for _, l := range open {
		if slices.ContainsFunc(l.record.jobs(), func(id string) bool { return live[id] }) {
			continue
		}
		l.record.Closed = true
		if err := l.write(l.record); err != nil {
			s.noteOnce("%v", err)
		}
	}
}
