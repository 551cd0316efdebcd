// Package executor carries a plan out: it queues the runs, trains each with the parameters that its mode leaves free,
// keeps what they give in the store, and goes on where it was interrupted. It knows no HCL: what the plan says is done.
package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/planner"
)

// Options says what to carry out and with what.
type Options struct {
	Plan   *planner.Plan
	Store  *runlog.Store
	Events runlog.Sink

	Places  []Place // where runs are computed
	Threads int     // in all, divided between the runs that go on at once; each has one at least
	// Parallelism is the number of runs that go on at once, where memory has room for them; 0 means 1.
	Parallelism int
	FailFast    bool // the first failure interrupts the others
	NoShare     bool // each run computes all of its network in each step
	// CheckpointEvery is the time after which a run is saved within an epoch, too; 0: at the ends of epochs only.
	CheckpointEvery time.Duration

	Weights *weights.Cache
	// Pin is called with the name and the whole SHA-256 of every catalogue file before it is used; an error refuses it.
	Pin func(file, sha256 string) error

	// SaveAfter is how much training, in whole epochs, may go unsaved; 0 saves after each epoch.
	SaveAfter time.Duration
	// Memory bounds, in bytes, what all of them hold by the plan's estimates, with decoded pictures and features; 0: what
	// the machine has available.
	Memory int64
	// FeatureMemory bounds the memory, in bytes, for the results of a frozen part while features are computed, beside what
	// runs hold. Where memory is short they get less; where it is too little for one picture, it is one picture's.
	FeatureMemory int64
	// CacheBytes bounds the memory for decoded pictures of all runs together, which is less where runs need it.
	CacheBytes int64
	// Timings has devices that have a choice of algorithms measure them, and keeps what they find; nil: nothing is measured.
	Timings kernels.Timings
	Version string // of ftrun, kept with results
}

// Place is where runs are computed: the CPU, or a GPU.
type Place struct {
	// Open opens a device with that many threads; each run has its own.
	Open func(threads int) (kernels.Device, error)
}

// Summary counts what became of the plan's runs, each distinct id once.
type Summary struct {
	Finished, Done, Failed, Skipped int
	Interrupted                     bool
}

// outcome is what became of one run.
type outcome uint8

const (
	waiting outcome = iota // in the queue, under way, or with another process
	finished
	failed
	skipped
	interrupted
	unshared // its features can't be kept: it is to be started again and to share none
	stranded // failed, and its place is lost
)

// retryBusy is how often a run that another process has is looked at again.
const retryBusy = 500 * time.Millisecond

// Apply trains the runs of the plan that are not done. A run that fails is told and kept as failed, and the others go
// on; one that another process is training is left to it and waited for. When ctx is done, each run finishes its step,
// saves itself and stops. The error is about what concerns all runs: a broken picture, a store that can't be written.
func Apply(ctx context.Context, o Options) (Summary, error) {
	start := time.Now()
	defer boundGarbage()()
	e, err := newExecution(o)
	if err != nil {
		return Summary{}, err
	}
	room, told, err := e.findRoom()
	if err != nil {
		return Summary{}, err
	}
	e.datasets = newDatasets(o.Plan, o.Store.HashCachePath(), e.CacheBytes)
	if err := e.verify(ctx); err != nil {
		if ctx.Err() != nil {
			return Summary{Done: e.summary.Done, Interrupted: true}, nil
		}
		return Summary{}, err
	}
	device, path := e.describePlaces()
	e.emit(runlog.ApplyStarted{Runs: len(e.runs), Done: e.summary.Done, Device: device, Path: path, Threads: o.Threads})
	for _, text := range told {
		e.emit(runlog.Note{Text: text})
	}
	e.carryOutAll(ctx, room)
	if err := e.library.close(); err != nil {
		return Summary{}, err
	}

	for i := range e.queue.jobs {
		switch e.queue.jobs[i].outcome {
		case finished:
			e.summary.Finished++
		case failed:
			e.summary.Failed++
		case skipped:
			e.summary.Skipped++
		case interrupted, waiting:
			if ctx.Err() != nil {
				e.summary.Interrupted = true
			} else {
				e.summary.Skipped++
			}
		}
	}
	e.emit(runlog.ApplyFinished{Finished: e.summary.Finished, Failed: e.summary.Failed, Skipped: e.summary.Skipped, Seconds: time.Since(start).Seconds()})
	return e.summary, nil
}

// execution is one Apply under way.
type execution struct {
	Options
	datasets *datasets
	files    weightFiles
	library  *library
	owner    string

	places []place

	runs []*planner.Run       // to be trained, each id once
	seen map[string]time.Time // when the runs of the plan that are in the store were last written, at the start

	queue   *queue // of carryOutAll alone, but for its index
	news    chan news
	wants   []want       // of each run; that of one under way is its goroutine's
	left    atomic.Int64 // runs that have not been started
	leaves  []int64      // bytes that each run is estimated to add to the store
	toLeave atomic.Int64 // the same, of all that are not settled
	// runMemory is what all runs together may hold, in bytes.
	runMemory int64
	summary   Summary
}

// news is what carryOutAll is told of a run under way: what became of it, or that it has the features that it shares.
type news struct {
	job     int32
	outcome outcome
	shared  bool
}

func newExecution(o Options) (*execution, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "a machine without a name"
	}
	e := &execution{
		Options: o,
		library: newLibrary(),
		owner:   fmt.Sprintf("process %d on %s", os.Getpid(), host),
		seen:    map[string]time.Time{},
		news:    make(chan news),
	}
	ids, err := o.Store.IDs()
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(o.Plan.Runs))
	for i := range o.Plan.Runs {
		run := &o.Plan.Runs[i]
		if known[run.ID] {
			continue // asked for by two sweeps: trained once
		}
		known[run.ID] = true
		if _, there := slices.BinarySearch(ids, run.ID); there {
			// The store knows better than the plan what has been finished since.
			status, _, damage := readStatus(o.Store.Run(run.ID))
			if damage == nil && status.State == runlog.Finished && run.Action != planner.Replace {
				e.summary.Done++
				continue
			}
			e.seen[run.ID] = status.Updated
		}
		e.runs = append(e.runs, run)
	}
	if len(e.runs) > 0 {
		if err := o.Store.Writable(); err != nil {
			return nil, err
		}
	}
	return e, e.lookAtPlaces()
}

// readStatus reads a run's status, and looks whether the files of a finished one are those that were written.
func readStatus(dir *runlog.Run) (status runlog.Status, known bool, damage error) {
	status, known, damage = dir.Status()
	if damage == nil && status.State == runlog.Finished {
		damage = dir.Damage(status)
	}
	return status, known, damage
}

func (e *execution) emit(ev runlog.Event) { e.Events.Emit(ev) }

// verify looks at every data set that is going to be used before the first run starts, so that a broken picture is told
// now and not in the night. Damage in the middle of a JPEG or PNG shows only when a run decodes it.
func (e *execution) verify(ctx context.Context) error {
	// What could not be remembered costs time and nothing else.
	defer func() { _ = e.datasets.index.Save() }()
	seen := map[int]bool{}
	for _, run := range e.runs {
		if seen[run.Dataset] {
			continue
		}
		seen[run.Dataset] = true
		set, err := e.datasets.open(ctx, run.Dataset)
		if err != nil {
			return err
		}
		if err := set.Verify(ctx, e.datasets.index); err != nil {
			d := &e.Plan.Datasets[run.Dataset]
			return fmt.Errorf("data set %q in %s: %w", d.Name, d.Path, err)
		}
	}
	return nil
}

// carryOutAll starts the runs as the queue says, and returns when the last one has come back.
func (e *execution) carryOutAll(ctx context.Context, r room) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var skips []skip
	e.queue, skips = newQueue(e.Plan, e.runs, e.wants, r, e.placeRooms(r.runs), e.has)
	e.skip(skips)
	done := ctx.Done()
	for {
		var again <-chan time.Time
		if ctx.Err() == nil {
			starts := e.queue.take(time.Now())
			e.left.Store(int64(e.queue.left))
			for _, s := range starts {
				go func() { e.news <- news{job: s.job, outcome: e.attempt(ctx, s.run, &e.places[s.place], s.threads)} }()
			}
			if len(e.queue.later) > 0 {
				again = time.After(time.Until(e.queue.later[0].at))
			}
		}
		if e.queue.running == 0 && again == nil {
			return
		}
		select {
		case n := <-e.news:
			switch {
			case n.shared:
				e.queue.shared(n.job)
			case n.outcome == unshared:
				e.queue.changeWant(n.job, e.wants[n.job])
			case n.outcome == waiting:
				e.queue.putBack(n.job, time.Now().Add(retryBusy))
			default:
				if n.outcome == stranded {
					n.outcome = failed
					e.losePlace(n.job)
				}
				e.toLeave.Add(-e.leaves[n.job])
				e.skip(e.queue.settle(n.job, n.outcome))
				if n.outcome == failed && e.FailFast {
					stop()
				}
			}
		case <-again:
		case <-done:
			done = nil
		}
	}
}

// has tells whether the store holds a run that has finished.
func (e *execution) has(id string) bool {
	status, _, err := e.Store.Run(id).Status()
	return err == nil && status.State == runlog.Finished
}

// skip tells of runs that can't start any more.
func (e *execution) skip(skips []skip) {
	for _, s := range skips {
		e.emit(runlog.RunSkipped{Head: runlog.Head{Run: s.run.ID}, Name: e.Plan.Name(s.run),
			Reason: fmt.Sprintf("it starts from the weights of run %s, which did not finish", s.missing)})
	}
}

// attempt trains one run at a place, or finds out what another process made of it.
func (e *execution) attempt(ctx context.Context, run *planner.Run, at *place, threads int) outcome {
	dir := e.Store.Run(run.ID)
	lease, err := dir.Acquire(e.owner)
	var busy *runlog.BusyError
	if errors.As(err, &busy) {
		e.leave(run, busy.Owner)
		return waiting
	}
	if err != nil {
		return e.fail(run, fmt.Errorf("the store can't be written: %w", err))
	}
	defer lease.Release()

	before, settled, err := e.found(run, dir)
	if err != nil {
		return e.unwritten(run, lease, err)
	}
	if settled != waiting {
		return settled
	}
	status := runlog.Status{
		State: runlog.Running, Arch: e.Plan.Settings[run.Settings].Arch, Name: e.Plan.Name(run), Classes: e.Plan.Datasets[run.Dataset].Classes,
		Started: before.Started, Updated: time.Now(), Epoch: before.Epoch, Checkpoint: before.Checkpoint, Attempts: before.Attempts + 1,
	}
	if status.Started.IsZero() {
		status.Started = status.Updated
	}
	if err := errors.Join(dir.WriteStatus(status), dir.Enrol(run.Trajectory)); err != nil {
		return e.unwritten(run, lease, err)
	}

	var reached progress
	result, err := e.train(ctx, run, dir, lease, at, threads, &status, &reached)
	if errors.Is(err, kernels.ErrMemory) {
		err = e.adviseBatch(err, run, at, threads)
	}
	if !lease.Held() {
		return e.lost(run) // what this process has to say of the run does not count any more
	}
	status.Updated = time.Now()
	switch {
	case err == nil:
		status.State, status.Result, status.Files = runlog.Finished, result, &reached.Files
		if err := dir.WriteStatus(status); err != nil {
			return e.unwritten(run, lease, err)
		}
		dir.DropPrevious()
		e.emit(runlog.RunFinished{Head: runlog.Head{Run: run.ID}, Result: *result})
		return finished
	case errors.Is(err, errInterrupted):
		status.State = runlog.Interrupted
		if err := dir.WriteStatus(status); err != nil {
			return e.unwritten(run, lease, err)
		}
		return interrupted
	case errors.Is(err, errUnshared): // nothing was trained: the next attempt is this one
		status.State, status.Attempts = runlog.Interrupted, before.Attempts
		if err := dir.WriteStatus(status); err != nil {
			return e.unwritten(run, lease, err)
		}
		return unshared
	default:
		status.State, status.Error = runlog.Failed, err.Error()
		// Where even this can't be written the failure is still told, and the run is found unfinished next time.
		failed := e.fail(run, errors.Join(err, dir.WriteStatus(status)))
		if isPlaceLost(err) {
			return stranded
		}
		return failed
	}
}

// found looks at what is there of a run, and clears away what must not stay. before is the status that the attempt goes on
// from; settled is what became of the run where nothing is left to do, else waiting. It wants the run's lease.
func (e *execution) found(run *planner.Run, dir *runlog.Run) (before runlog.Status, settled outcome, err error) {
	aside, err := dir.SetAside()
	if err != nil {
		return before, waiting, err
	}
	for _, name := range aside {
		e.emit(runlog.Note{Text: fmt.Sprintf("%s: something that is no file was in the place of %s; it is kept beside it as %s.damaged", e.Plan.Name(run), name, name)})
	}

	// Another process may have carried it out while this one waited.
	before, known, damage := readStatus(dir)
	changed := known && !before.Updated.Equal(e.seen[run.ID])
	switch {
	case before.State == runlog.Finished && damage == nil && (changed || run.Action != planner.Replace):
		e.emit(runlog.Note{Text: e.Plan.Name(run) + ": finished by another process"})
		return before, finished, nil
	case before.State == runlog.Failed && changed:
		return before, e.fail(run, fmt.Errorf("in another process: %s", before.Error)), nil
	case run.Action == planner.Replace && !changed:
		if err := dir.Clear(); err != nil {
			return before, waiting, err
		}
		before = runlog.Status{}
	case damage != nil:
		e.emit(runlog.Note{Text: fmt.Sprintf("%s: %v; what it held is made again", e.Plan.Name(run), damage)})
	}
	if err := dir.WriteConfig(e.Plan.Describe(run)); err != nil {
		return before, waiting, err
	}
	if before.State == runlog.Finished && dir.Damage(before) == nil {
		return before, finished, nil // only its config was damaged
	}
	return before, waiting, nil
}

// fail tells that a run failed.
func (e *execution) fail(run *planner.Run, err error) outcome {
	e.emit(runlog.RunFailed{Head: runlog.Head{Run: run.ID}, Name: e.Plan.Name(run), Error: err.Error()})
	return failed
}

// unwritten settles a run whose files can't be written: that is no failure of the run where another process has it now.
func (e *execution) unwritten(run *planner.Run, lease *runlog.Lease, err error) outcome {
	if !lease.Held() {
		return e.lost(run)
	}
	return e.fail(run, err)
}

// lost leaves a run to the process that took it over.
func (e *execution) lost(run *planner.Run) outcome {
	e.leave(run, "another process, for this one stalled")
	return waiting
}

// leave tells, once, that another process has a run.
func (e *execution) leave(run *planner.Run, owner string) {
	e.noteOnce("%s: left to %s, which is training it", e.Plan.Name(run), owner)
}
