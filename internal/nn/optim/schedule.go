package optim

import (
	"fmt"
	"math"
)

// ScheduleKind names a schedule.
type ScheduleKind string

const (
	ConstantLR  ScheduleKind = "constant"
	StepLR      ScheduleKind = "step"      // torch's StepLR: base · gamma^⌊epoch/StepSize⌋
	MultiStepLR ScheduleKind = "multistep" // MultiStepLR: base · gamma^(milestones reached)
	CosineLR    ScheduleKind = "cosine"    // CosineAnnealingLR, down to MinLR at the end of the last epoch
	PlateauLR   ScheduleKind = "plateau"   // ReduceLROnPlateau; Plateau counts the reductions
	OneCycleLR  ScheduleKind = "onecycle"  // OneCycleLR by step, cosine in two phases, momentum left alone
)

// Schedule makes a learning rate of a group's own and the time. Rates are torch's, by epoch and, for one-cycle, by step;
// a linear rise over the first epochs may come before.
type Schedule struct {
	Kind          ScheduleKind
	Epochs        int // of the whole run
	StepsPerEpoch int

	// Warmup is a number of epochs in which the rate rises by step in a straight line, to the base at its last step; the
	// schedule's own time starts after them.
	Warmup int

	StepSize   int     // step: epochs
	Milestones []int   // multistep: epochs, ascending
	Gamma      float64 // step, multistep
	MinLR      float64 // cosine, plateau
	Factor     float64 // plateau
	PctStart   float64 // onecycle: the share of the steps in which the rate rises
	MaxLR      float64 // onecycle: the highest rate; 0: the group's own
}

// OneCycleLR's defaults: the rate starts at the highest over divFactor and ends at that over finalDivFactor.
const (
	divFactor      = 25
	finalDivFactor = 1e4
)

// LR is the learning rate of a step, counted from 0 over the whole run, in a group whose own rate is base. reductions is
// Plateau's and means nothing to other schedules.
func (s Schedule) LR(base float64, step, reductions int) float64 {
	warmup := s.Warmup * s.StepsPerEpoch
	if step < warmup {
		return base * float64(step+1) / float64(warmup)
	}
	step -= warmup
	epoch := step / s.StepsPerEpoch
	switch s.Kind {
	case ConstantLR:
		return base
	case StepLR:
		return base * math.Pow(s.Gamma, float64(epoch/s.StepSize))
	case MultiStepLR:
		reached := 0
		for _, m := range s.Milestones {
			if m <= epoch {
				reached++
			}
		}
		return base * math.Pow(s.Gamma, float64(reached))
	case CosineLR:
		return anneal(base, s.MinLR, float64(epoch)/float64(s.Epochs-s.Warmup))
	case PlateauLR:
		return s.reduced(base, reductions)
	case OneCycleLR:
		return s.oneCycle(base, step)
	}
	panic(fmt.Sprintf("optim: there is no schedule %q", s.Kind))
}

// anneal goes from start to end on a half cosine as pct goes from 0 to 1.
func anneal(start, end, pct float64) float64 {
	return end + (start-end)*(1+math.Cos(math.Pi*pct))/2
}

// reduced is what ReduceLROnPlateau makes of base by so many reductions; it leaves out those that are smaller than its
// eps of 1e-8.
func (s Schedule) reduced(base float64, reductions int) float64 {
	const eps = 1e-8
	lr := base
	for range reductions {
		if next := max(lr*s.Factor, s.MinLR); lr-next > eps {
			lr = next
		}
	}
	return lr
}

func (s Schedule) oneCycle(base float64, step int) float64 {
	highest := base
	if s.MaxLR > 0 {
		highest = s.MaxLR
	}
	first := highest / divFactor
	last := first / finalDivFactor
	total := float64((s.Epochs - s.Warmup) * s.StepsPerEpoch)
	top, end, at := s.PctStart*total-1, total-1, float64(step)
	if top > 0 && at <= top {
		return anneal(first, highest, at/top)
	}
	return anneal(highest, last, (at-top)/(end-top))
}

// Plateau watches a metric for the plateau schedule: after more than Patience epochs without an improvement the rate is
// reduced. An improvement is one by more than a ten-thousandth, torch's default threshold. Its exported fields are its
// state.
type Plateau struct {
	Patience int
	Higher   bool // better; for a loss, false

	Started    bool // a value has been seen
	Best       float64
	Bad        int // epochs since the last improvement or reduction
	Reductions int
}

// Observe takes the metric of an epoch.
func (p *Plateau) Observe(value float64) {
	const threshold = 1e-4
	better := value < p.Best*(1-threshold)
	switch {
	case !p.Started:
		better = !math.IsNaN(value)
	case p.Higher:
		better = value > p.Best*(1+threshold)
	}
	if better {
		p.Started, p.Best, p.Bad = true, value, 0
		return
	}
	p.Bad++
	if p.Bad > p.Patience {
		p.Reductions++
		p.Bad = 0
	}
}
