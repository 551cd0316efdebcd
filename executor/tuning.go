package executor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/planner"
)

// tuning is how a run's device is to compute. What is chosen by measuring is kept with the run's checkpoints, so that it goes
// on with the same bits; features are computed by what the shapes decide, so that theirs do not depend on who computes them.
func tuning(s *planner.Settings) (kernels.Tuning, error) {
	precision, err := kernels.ParsePrecision(s.Precision)
	return kernels.Tuning{Precision: precision, Nondeterministic: !s.Deterministic}, err
}

// tune tells the run's device how to compute.
func (t *training) tune() error {
	how, err := tuning(t.set)
	if err != nil {
		return err
	}
	how.Timings = t.Timings
	return kernels.Tune(t.device, how)
}

// tuneMeter tells a meter how its device would compute. One of a device that has not the precision tells what that holds all
// the same: a plan knows no device. timings as those of the device; nil: it measures nothing.
func tuneMeter(meter kernels.Meter, s *planner.Settings, timings kernels.Timings) error {
	how, err := tuning(s)
	if err != nil {
		return err
	}
	how.Timings = timings
	if t, ok := meter.(kernels.Tunable); ok {
		return t.Tune(how)
	}
	return nil
}

// precision is what a run multiplies in, which precisions has looked at.
func (e *execution) precision(run *planner.Run) kernels.Precision {
	how, _ := tuning(&e.Plan.Settings[run.Settings])
	return how.Precision
}

// precisions are those of the runs, but for fp32, which every device has.
func (e *execution) precisions() (all []kernels.Precision, err error) {
	for _, run := range e.runs {
		how, err := tuning(&e.Plan.Settings[run.Settings])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Plan.Name(run), err)
		}
		if how.Precision != kernels.FP32 && !slices.Contains(all, how.Precision) {
			all = append(all, how.Precision)
		}
	}
	return all, nil
}

// refusals say of those precisions that a device has not why.
func refusals(device kernels.Device, precisions []kernels.Precision) map[kernels.Precision]error {
	why := map[kernels.Precision]error{}
	for _, p := range precisions {
		if err := kernels.Tune(device, kernels.Tuning{Precision: p}); err != nil {
			why[p] = err
		}
	}
	return why
}

// unmeasured are Timings of a training that is rehearsed: which algorithm is the fastest is yet to be found out.
type unmeasured struct{}

func (unmeasured) Fastest(string, string) (int, bool) { return 0, false }
func (unmeasured) Keep(string, string, int)           {}

// checkPrecisions refuses runs whose precision no place has, before any of them starts. told says which places are not for
// all runs.
func (e *execution) checkPrecisions() (told []string, err error) {
	precisions, err := e.precisions()
	if err != nil {
		return nil, err
	}
	for _, p := range precisions {
		var with, without []string
		for i := range e.places {
			if at := &e.places[i]; at.refusals[p] == nil {
				with = append(with, at.name)
			} else {
				without = append(without, at.name)
			}
		}
		if len(with) == 0 {
			return nil, e.refuse(p)
		}
		if len(without) > 0 {
			told = append(told, fmt.Sprintf("runs in %s are trained on %s only: there is no %s on %s",
				p, strings.Join(with, ", "), p, strings.Join(without, ", ")))
		}
	}
	return told, nil
}

// refuse says which runs can't be trained for want of a precision, and why.
func (e *execution) refuse(p kernels.Precision) error {
	var name string
	n := 0
	for _, run := range e.runs {
		if e.precision(run) != p {
			continue
		}
		if n++; n == 1 {
			name = e.Plan.Name(run)
		}
	}
	if n > 1 {
		name += fmt.Sprintf(" and %d more", n-1)
	}
	err := e.places[0].refusals[p]
	if len(e.places) == 1 {
		return fmt.Errorf("%s: %w", name, err)
	}
	return fmt.Errorf("%s: none of the %d devices has its precision: %w", name, len(e.places), err)
}

// CheckPrecisions refuses, as Apply does, runs whose precision none of the places has. It opens devices only where a run asks
// for another than fp32.
func CheckPrecisions(p *planner.Plan, places []Place) error {
	e := &execution{Options: Options{Plan: p, Places: places}}
	known := make(map[string]bool, len(p.Runs))
	for i := range p.Runs {
		if run := &p.Runs[i]; run.Action != planner.Done && !known[run.ID] {
			known[run.ID] = true
			e.runs = append(e.runs, run)
		}
	}
	precisions, err := e.precisions()
	if err != nil || len(precisions) == 0 {
		return err
	}
	if err := e.lookAtPlaces(); err != nil {
		return err
	}
	_, err = e.checkPrecisions()
	return err
}

// algorithms are those that the run's device has chosen by measuring.
func (t *training) algorithms() kernels.Algorithms {
	if c, ok := t.device.(kernels.Chooser); ok {
		return c.Algorithms()
	}
	return nil
}

// adopt has the run's device take what was chosen before.
func (t *training) adopt(algorithms kernels.Algorithms) {
	if c, ok := t.device.(kernels.Chooser); ok {
		c.Adopt(algorithms)
	}
}

// fixedBatch is how many pictures features are computed with on a device like this one whatever its memory; 0: as many as fit.
func fixedBatch(device any) int {
	if b, ok := device.(kernels.BatchBound); ok {
		return b.FixedBatch()
	}
	return 0
}
