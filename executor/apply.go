// Package executor carries a plan out: it queues the runs, trains each with the parameters that its mode leaves free,
// keeps what they give in the store, and goes on where it was interrupted. It knows no HCL: what the plan says is done.
package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
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

	// Device opens a device with that many threads; each run has its own.
	Device  func(threads int) (kernels.Device, error)
	Threads int // in all, divided between the runs that go on at once
	// Parallelism is the number of runs that go on at once; 0 means 1.
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
	// FeatureMemory bounds the memory, in bytes, for the results of a frozen part while features are computed, beside what
	// runs hold; where it is too little for one picture, it is one picture's.
	FeatureMemory int64
	// CacheBytes bounds the memory for decoded pictures of all runs together.
	CacheBytes int64
	Version    string // of ftrun, kept with results
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
	if err := e.verify(ctx); err != nil {
		if ctx.Err() != nil {
			return Summary{Done: e.summary.Done, Interrupted: true}, nil
		}
		return Summary{}, err
	}
	workers := min(max(o.Parallelism, 1), max(len(e.queue), 1))
	threads := max(o.Threads/workers, 1)
	device, path, err := describe(o.Device)
	if err != nil {
		return Summary{}, err
	}
	e.emit(runlog.ApplyStarted{Runs: len(e.queue), Done: e.summary.Done, Device: device, Path: path, Threads: o.Threads})

	asked := ctx // to stop from outside, which is not the same as a failure with FailFast
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(ctx, e.wake)()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				run, ok := e.next(ctx)
				if !ok {
					return
				}
				if e.carryOut(ctx, run, threads) == failed && o.FailFast {
					stop()
				}
			}
		})
	}
	wg.Wait()
	if err := e.library.close(); err != nil {
		return Summary{}, err
	}

	for _, result := range e.outcomes {
		switch result {
		case finished:
			e.summary.Finished++
		case failed:
			e.summary.Failed++
		case skipped:
			e.summary.Skipped++
		case interrupted, waiting:
			if asked.Err() != nil {
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

	seen map[string]time.Time // when the runs of the plan that are in the store were last written, at the start

	mu       sync.Mutex
	changed  *sync.Cond // an outcome came in, or it is time to look at a busy run again
	queue    []*planner.Run
	busy     map[string]time.Time // runs of the queue that another process has: when to look again
	outcomes map[string]outcome
	summary  Summary
}

func newExecution(o Options) (*execution, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "a machine without a name"
	}
	e := &execution{
		Options:  o,
		datasets: newDatasets(o.Plan, o.Store.HashCachePath(), o.CacheBytes),
		library:  newLibrary(),
		owner:    fmt.Sprintf("process %d on %s", os.Getpid(), host),
		seen:     map[string]time.Time{},
		busy:     map[string]time.Time{},
		outcomes: map[string]outcome{},
	}
	e.changed = sync.NewCond(&e.mu)
	ids, err := o.Store.IDs()
	if err != nil {
		return nil, err
	}
	done := map[string]bool{}
	for i := range o.Plan.Runs {
		run := &o.Plan.Runs[i]
		if _, queued := e.outcomes[run.ID]; queued || done[run.ID] {
			continue // asked for by two sweeps: trained once
		}
		if _, there := slices.BinarySearch(ids, run.ID); there {
			// The store knows better than the plan what has been finished since.
			status, _, damage := readStatus(o.Store.Run(run.ID))
			if damage == nil && status.State == runlog.Finished && run.Action != planner.Replace {
				done[run.ID] = true
				e.summary.Done++
				continue
			}
			e.seen[run.ID] = status.Updated
		}
		e.outcomes[run.ID] = waiting
		e.queue = append(e.queue, run)
	}
	if len(e.queue) > 0 {
		if err := o.Store.Writable(); err != nil {
			return nil, err
		}
	}
	return e, nil
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

// wake lets those that wait look again.
func (e *execution) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changed.Broadcast()
}

// verify looks at every data set that is going to be used before the first run starts, so that a broken picture is told
// now and not in the night. Damage in the middle of a JPEG or PNG shows only when a run decodes it.
func (e *execution) verify(ctx context.Context) error {
	// What could not be remembered costs time and nothing else.
	defer func() { _ = e.datasets.index.Save() }()
	seen := map[int]bool{}
	for _, run := range e.queue {
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

// next takes the first run of the queue whose needs have been met, waiting for one where runs under way may meet them.
// It settles those whose needs can't be met any more.
func (e *execution) next(ctx context.Context) (*planner.Run, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return nil, false
		}
		for i := 0; i < len(e.queue); i++ {
			run := e.queue[i]
			if time.Now().Before(e.busy[run.ID]) {
				continue
			}
			ready, missing := e.ready(run)
			if missing != "" {
				e.queue = append(e.queue[:i], e.queue[i+1:]...)
				e.outcomes[run.ID] = skipped
				e.emit(runlog.RunSkipped{Head: runlog.Head{Run: run.ID}, Name: e.Plan.Name(run),
					Reason: fmt.Sprintf("it starts from the weights of run %s, which did not finish", missing)})
				e.changed.Broadcast()
				i = -1
				continue
			}
			if ready {
				e.queue = append(e.queue[:i], e.queue[i+1:]...)
				return run, true
			}
		}
		if len(e.queue) == 0 {
			return nil, false
		}
		e.changed.Wait()
	}
}

// ready tells whether everything that run needs is there, or names a run that it needs and will not get.
func (e *execution) ready(run *planner.Run) (ready bool, missing string) {
	ready = true
	for _, id := range run.Needs {
		switch result, ours := e.outcomes[id]; {
		case ours && result == waiting:
			ready = false
		case ours && result != finished:
			return false, id
		case !ours:
			if st, _, err := e.Store.Run(id).Status(); err != nil || st.State != runlog.Finished {
				return false, id
			}
		}
	}
	if result, ours := e.outcomes[run.From]; ours && result == waiting {
		ready = false // a checkpoint to go on from is in the making
	}
	return ready, ""
}

// carryOut trains one run and settles its outcome. A run that another process has goes back to the queue's end.
func (e *execution) carryOut(ctx context.Context, run *planner.Run, threads int) outcome {
	result := e.attempt(ctx, run, threads)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.outcomes[run.ID] = result
	if result == waiting {
		e.queue = append(e.queue, run)
		e.busy[run.ID] = time.Now().Add(retryBusy)
		time.AfterFunc(retryBusy, e.wake)
	}
	e.changed.Broadcast()
	return result
}

// attempt trains one run, or finds out what another process made of it.
func (e *execution) attempt(ctx context.Context, run *planner.Run, threads int) outcome {
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

	aside, err := dir.SetAside()
	if err != nil {
		return e.unwritten(run, lease, err)
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
		return finished
	case before.State == runlog.Failed && changed:
		return e.fail(run, fmt.Errorf("in another process: %s", before.Error))
	case run.Action == planner.Replace && !changed:
		if err := dir.Clear(); err != nil {
			return e.unwritten(run, lease, err)
		}
		before = runlog.Status{}
	case damage != nil:
		e.emit(runlog.Note{Text: fmt.Sprintf("%s: %v; what it held is made again", e.Plan.Name(run), damage)})
	}
	status := runlog.Status{
		State: runlog.Running, Arch: e.Plan.Settings[run.Settings].Arch, Name: e.Plan.Name(run), Classes: e.Plan.Datasets[run.Dataset].Classes,
		Started: before.Started, Updated: time.Now(), Epoch: before.Epoch, Attempts: before.Attempts + 1,
	}
	if status.Started.IsZero() {
		status.Started = status.Updated
	}
	if err := dir.WriteConfig(e.Plan.Describe(run)); err != nil {
		return e.unwritten(run, lease, err)
	}
	if before.State == runlog.Finished && dir.Damage(before) == nil {
		return finished // only its config was damaged
	}
	if err := errors.Join(dir.WriteStatus(status), dir.Enrol(run.Trajectory)); err != nil {
		return e.unwritten(run, lease, err)
	}

	at := progress{Epoch: before.Epoch}
	result, err := e.train(ctx, run, dir, lease, threads, &at)
	if !lease.Held() {
		return e.lost(run) // what this process has to say of the run does not count any more
	}
	status.Updated, status.Epoch = time.Now(), at.Epoch
	switch {
	case err == nil:
		status.State, status.Result, status.Files = runlog.Finished, result, &at.Files
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
	default:
		status.State, status.Error = runlog.Failed, err.Error()
		// Where even this can't be written the failure is still told, and the run is found unfinished next time.
		return e.fail(run, errors.Join(err, dir.WriteStatus(status)))
	}
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

// leave tells, once for a run, that another process has it.
func (e *execution) leave(run *planner.Run, owner string) {
	e.mu.Lock()
	_, told := e.busy[run.ID]
	e.mu.Unlock()
	if !told {
		e.emit(runlog.Note{Text: fmt.Sprintf("%s: left to %s, which is training it", e.Plan.Name(run), owner)})
	}
}

// describe opens a device for a moment to learn what it calls itself.
func describe(open func(int) (kernels.Device, error)) (name, path string, err error) {
	d, err := open(1)
	if err != nil {
		return "", "", err
	}
	return d.Name(), d.Path(), d.Close()
}
