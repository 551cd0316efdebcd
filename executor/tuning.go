package executor

import (
	"errors"
	"fmt"

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
// the same: a plan knows no device.
func tuneMeter(meter kernels.Meter, s *planner.Settings) error {
	how, err := tuning(s)
	if err != nil {
		return err
	}
	if t, ok := meter.(kernels.Tunable); ok {
		return t.Tune(how)
	}
	return nil
}

// checkPrecisions refuses runs whose precision a place has not, before any of them starts: each may come to any place.
func (e *execution) checkPrecisions() error {
	refused := map[string]error{}
	for _, run := range e.runs {
		if set := &e.Plan.Settings[run.Settings]; set.Precision != "fp32" {
			refused[set.Precision] = nil
		}
	}
	for i := range e.places {
		if len(refused) > 0 && e.places[i].kind == i { // others are like one before
			if err := e.places[i].tryPrecisions(refused); err != nil {
				return err
			}
		}
	}
	var first *planner.Run
	others := 0
	for _, run := range e.runs {
		switch {
		case refused[e.Plan.Settings[run.Settings].Precision] == nil:
		case first == nil:
			first = run
		default:
			others++
		}
	}
	if first == nil {
		return nil
	}
	name := e.Plan.Name(first)
	if others > 0 {
		name += fmt.Sprintf(" and %d more", others)
	}
	return fmt.Errorf("%s: %w", name, refused[e.Plan.Settings[first.Settings].Precision])
}

// tryPrecisions finds out which of some precisions the place has not, and why; those that another place refused stay so.
func (p *place) tryPrecisions(refused map[string]error) (err error) {
	device, err := p.Open(1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, device.Close()) }()
	for name, before := range refused {
		if before != nil {
			continue
		}
		precision, err := kernels.ParsePrecision(name)
		if err == nil {
			err = kernels.Tune(device, kernels.Tuning{Precision: precision})
		}
		refused[name] = err
	}
	return nil
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
