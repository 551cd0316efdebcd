// Package executor carries a plan out: it queues the runs, trains each with the parameters that its mode leaves free,
// keeps what they give in the store, and goes on where it was interrupted. It knows no HCL: what the plan says is done.
package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
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

	Weights *weights.Cache
	// Pin is called with the name and the whole SHA-256 of every catalogue file before it is used; an error refuses it.
	Pin func(file, sha256 string) error

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
	waiting outcome = iota
	finished
	failed
	skipped
	interrupted
)

// Apply trains the runs of the plan that are not done. A run that fails is told and kept as failed, and the others go
// on; when ctx is done, each run finishes its step, saves itself and stops. The error is about what concerns all runs: a
// broken picture, a store that can't be written.
func Apply(ctx context.Context, o Options) (Summary, error) {
	start := time.Now()
	e, err := newExecution(ctx, o)
	if err != nil {
		return Summary{}, err
	}
	if err := e.verify(ctx); err != nil {
		return Summary{}, err
	}
	workers := min(max(o.Parallelism, 1), max(len(e.queue), 1))
	threads := max(o.Threads/workers, 1)
	device, path, err := describe(o.Device)
	if err != nil {
		return Summary{}, err
	}
	e.emit(runlog.ApplyStarted{Runs: len(e.queue), Done: e.summary.Done, Device: device, Path: path, Threads: o.Threads})

	ctx, stop := context.WithCancel(ctx)
	defer stop()
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

	for _, result := range e.outcomes {
		switch result {
		case finished:
			e.summary.Finished++
		case failed:
			e.summary.Failed++
		case skipped:
			e.summary.Skipped++
		case interrupted, waiting:
			e.summary.Interrupted = true
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
	owner    string

	mu       sync.Mutex
	changed  *sync.Cond // an outcome came in
	queue    []*planner.Run
	outcomes map[string]outcome
	summary  Summary
}

func newExecution(ctx context.Context, o Options) (*execution, error) {
	host, _ := os.Hostname()
	e := &execution{
		Options:  o,
		datasets: newDatasets(o.Plan, o.Store.HashCachePath(), o.CacheBytes),
		owner:    fmt.Sprintf("process %d on %s", os.Getpid(), host),
		outcomes: map[string]outcome{},
	}
	e.changed = sync.NewCond(&e.mu)
	context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.changed.Broadcast()
	})
	statuses, err := o.Store.Statuses()
	if err != nil {
		return nil, err
	}
	done := map[string]bool{}
	for i := range o.Plan.Runs {
		run := &o.Plan.Runs[i]
		if _, queued := e.outcomes[run.ID]; queued || done[run.ID] {
			continue // asked for by two sweeps: trained once
		}
		// The store knows better than the plan what has been finished since.
		if statuses[run.ID].State == runlog.Finished && run.Action != planner.Replace {
			done[run.ID] = true
			e.summary.Done++
			continue
		}
		e.outcomes[run.ID] = waiting
		e.queue = append(e.queue, run)
	}
	return e, nil
}

func (e *execution) emit(ev runlog.Event) { e.Events.Emit(ev) }

// verify looks at every data set that is going to be used before the first run starts, so that a broken picture is told
// now and not in the night.
func (e *execution) verify(ctx context.Context) error {
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
			if st, ok, err := e.Store.Run(id).Status(); err != nil || !ok || st.State != runlog.Finished {
				return false, id
			}
		}
	}
	return ready, ""
}

// carryOut trains one run and settles its outcome.
func (e *execution) carryOut(ctx context.Context, run *planner.Run, threads int) outcome {
	result := e.attempt(ctx, run, threads)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.outcomes[run.ID] = result
	e.changed.Broadcast()
	return result
}

func (e *execution) attempt(ctx context.Context, run *planner.Run, threads int) outcome {
	head, name := runlog.Head{Run: run.ID}, e.Plan.Name(run)
	dir := e.Store.Run(run.ID)
	fail := func(err error) outcome {
		e.emit(runlog.RunFailed{Head: head, Name: name, Error: err.Error()})
		return failed
	}
	lease, err := dir.Acquire(e.owner)
	var busy *runlog.BusyError
	if errors.As(err, &busy) {
		e.emit(runlog.RunSkipped{Head: head, Name: name, Reason: busy.Error()})
		return skipped
	}
	if err != nil {
		return fail(fmt.Errorf("the store can't be written: %w", err))
	}
	defer lease.Release()

	// Another process may have finished it while this one waited.
	before, known, err := dir.Status()
	if err == nil && known && before.State == runlog.Finished && run.Action != planner.Replace {
		return finished
	}
	if run.Action == planner.Replace {
		if err := dir.Clear(); err != nil {
			return fail(err)
		}
		before = runlog.Status{}
	}
	set := &e.Plan.Datasets[run.Dataset]
	status := runlog.Status{State: runlog.Running, Arch: e.Plan.Settings[run.Settings].Arch, Name: name, Classes: set.Classes,
		Started: before.Started, Updated: time.Now(), Epoch: before.Epoch, Attempts: before.Attempts + 1}
	if status.Started.IsZero() {
		status.Started = status.Updated
	}
	if err := errors.Join(dir.WriteConfig(e.Plan.Describe(run)), dir.WriteStatus(status)); err != nil {
		return fail(err)
	}

	result, progress, err := e.train(ctx, run, dir, lease, threads)
	status.Updated = time.Now()
	status.Epoch = progress.Epoch
	switch {
	case err == nil:
		status.State, status.Result = runlog.Finished, result
		if !lease.Held() {
			e.emit(runlog.RunSkipped{Head: head, Name: name, Reason: "this process stalled, and another one took the run over"})
			return skipped
		}
		if err := dir.WriteStatus(status); err != nil {
			return fail(err)
		}
		e.emit(runlog.RunFinished{Head: head, Result: *result})
		return finished
	case errors.Is(err, errInterrupted):
		status.State = runlog.Interrupted
		if err := dir.WriteStatus(status); err != nil {
			return fail(err)
		}
		e.emit(runlog.RunInterrupted{Head: head, Epoch: progress.Epoch, Step: progress.Step})
		return interrupted
	default:
		status.State, status.Error = runlog.Failed, err.Error()
		// Where even this can't be written the failure is still told, and the run is found unfinished next time.
		return fail(errors.Join(err, dir.WriteStatus(status)))
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
