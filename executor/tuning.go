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

// checkPrecisions refuses runs whose precision the device has not, before any of them starts.
func (e *execution) checkPrecisions() (err error) {
	var device kernels.Device // opened where it is needed
	refused := map[string]error{"fp32": nil}
	var first *planner.Run
	others := 0
	for _, run := range e.runs {
		set := &e.Plan.Settings[run.Settings]
		if _, asked := refused[set.Precision]; !asked {
			if device == nil {
				if device, err = e.Device(1); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, device.Close()) }()
			}
			how, err := tuning(set)
			if err == nil {
				err = kernels.Tune(device, how)
			}
			refused[set.Precision] = err
		}
		switch {
		case refused[set.Precision] == nil:
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
