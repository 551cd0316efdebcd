package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

// ComputeFeatures makes the features that a sharing of the plan, by its index, is about, so that the runs that share them
// find them in the store; those that are there already are left. It trains nothing, and touches no run. Where features
// can't be kept, or no run is left that wants them, that is told and no error: runs compute what they don't find. When ctx
// is done it stops, and the next call goes on from there; the error is then ctx's.
func ComputeFeatures(ctx context.Context, o Options, sharing int) (err error) {
	defer boundGarbage()()
	if sharing < 0 || sharing >= len(o.Plan.Sharing) {
		panic(fmt.Sprintf("executor: no sharing %d among %d", sharing, len(o.Plan.Sharing)))
	}
	// The sharing stays where it is; the runs of others are done with, as far as this is concerned.
	p := *o.Plan
	p.Runs = slices.DeleteFunc(slices.Clone(p.Runs), func(r planner.Run) bool { return r.Sharing != sharing })
	o.Plan = &p
	e, err := newExecution(o)
	if err != nil {
		return err
	}
	if len(e.runs) == 0 {
		e.emit(runlog.Note{Text: "all runs that would share these features are done"})
		return nil
	}
	e.runs = e.runs[:1]
	room, told, err := e.findRoom()
	if err != nil {
		return err
	}
	e.datasets = newDatasets(o.Plan, o.Store.HashCachePath(), e.CacheBytes)
	if err := e.verify(ctx); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	for _, text := range told {
		e.emit(runlog.Note{Text: text})
	}
	// What the run waits for elsewhere is looked for when its weights are.
	e.queue, _ = newQueue(e.Plan, e.runs, e.wants, room, e.placeRooms(1), e.has)
	defer func() { err = errors.Join(err, e.library.close()) }()

	run := e.runs[0]
	at := e.largestPlace(e.precision(run))
	device, err := at.Open(o.Threads)
	if err != nil {
		return err
	}
	t := &training{execution: e, run: run, set: &p.Settings[run.Settings], dir: o.Store.Run(run.ID), place: at, device: device, threads: o.Threads, progress: new(progress), begun: time.Now()}
	defer func() { err = errors.Join(err, t.close()) }()
	for _, step := range []func(context.Context) error{t.build, t.begin, t.share} {
		err := step(ctx)
		switch {
		case errors.Is(err, errUnshared): // told
			return nil
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		}
	}
	return nil
}
