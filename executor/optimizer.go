package executor

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/nn/optim"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/models"
	"github.com/ftrun/ftrun/planner"
)

// prepareOptimizer makes an optimizer that has taken no step. It sorts the trained parameters into groups: the first param_group whose pattern names a parameter gives
// its settings, the optimizer block those of the rest.
func (t *training) prepareOptimizer() error {
	o := &t.set.Optimizer
	groups := make([]optim.Group, 0, len(t.set.ParamGroups)+1)
	taken := make([]bool, len(t.net.Params))
	for _, g := range t.set.ParamGroups {
		picked, err := models.Match(t.net, []string{g.Pattern})
		if err != nil {
			return fmt.Errorf("param_group: %w", err)
		}
		group := optim.Group{LR: o.LR, WeightDecay: o.WeightDecay}
		if g.LR != nil {
			group.LR = *g.LR
		}
		if g.WeightDecay != nil {
			group.WeightDecay = *g.WeightDecay
		}
		for i := range picked {
			if picked[i] && t.trainable[i] && !taken[i] {
				taken[i] = true
				group.Params = append(group.Params, i)
			}
		}
		groups = append(groups, group)
	}
	rest := optim.Group{LR: o.LR, WeightDecay: o.WeightDecay}
	for i := range t.trainable {
		if t.trainable[i] && !taken[i] {
			rest.Params = append(rest.Params, i)
		}
	}
	groups = append(groups, rest)

	if t.optimizer != nil { // of an attempt to go on from a checkpoint
		if err := t.optimizer.Close(); err != nil {
			return err
		}
	}
	var err error
	t.optimizer, err = optim.New(optim.Config{
		Kind: optim.Kind(o.Kind), Momentum: o.Momentum, Nesterov: o.Nesterov, Beta1: o.Beta1, Beta2: o.Beta2, Eps: o.Eps,
		Clip: t.set.GradClip,
	}, t.params, groups)
	return err
}

// newSchedule makes the schedule of a run of so many steps an epoch.
func newSchedule(set *planner.Settings, steps int) optim.Schedule {
	s := optim.Schedule{Kind: optim.ConstantLR, Epochs: set.Epochs, StepsPerEpoch: steps}
	if given := set.Schedule; given != nil {
		s.Kind = optim.ScheduleKind(given.Kind)
		s.Warmup, s.StepSize, s.Milestones, s.Gamma = given.Warmup, given.StepSize, given.Milestones, given.Gamma
		s.MinLR, s.Factor, s.PctStart, s.MaxLR = given.MinLR, given.Factor, given.PctStart, given.MaxLR
	}
	return s
}

// lr is the learning rate, at the step that comes next, of a group whose own rate is base.
func (t *training) lr(base float64) float64 {
	return t.schedule.LR(base, t.next(), t.progress.Plateau.Reductions)
}

// observe shows an epoch's figures to a plateau schedule, which watches what the run monitors.
func (t *training) observe(e runlog.Epoch) {
	if t.schedule.Kind == optim.PlateauLR {
		t.progress.Plateau.Observe(e.Value(t.set.Monitor))
	}
}
