package spec

import (
	"fmt"

	"github.com/zclconf/go-cty/cty"
)

var imageType = &blockType[Image]{
	name: "image",
	fields: []field[Image]{
		boundedField("resize", 1, 1<<14, "pixels", func(i *Image) **int { return &i.Resize }),
		boundedField("crop", 1, 1<<12, "pixels", func(i *Image) **int { return &i.Crop }),
	},
}

var optimizerType = &blockType[Optimizer]{
	name: "optimizer",
	key:  "kind",
	fields: []field[Optimizer]{
		kindField("kind", "optimizer", []string{"sgd", "adam", "adamw"}, func(o *Optimizer) *string { return &o.Kind }),
		floatField("lr", positive, func(o *Optimizer) **float64 { return &o.LR }),
		floatField("momentum", fraction, func(o *Optimizer) **float64 { return &o.Momentum }),
		boolField("nesterov", func(o *Optimizer) **bool { return &o.Nesterov }),
		floatField("weight_decay", notNegative, func(o *Optimizer) **float64 { return &o.WeightDecay }),
		{"betas", func(_ *module, o *Optimizer, v cty.Value) *problem {
			values, p := asList("betas", " of two numbers", v)
			if p != nil {
				return p
			}
			if len(values) != 2 || values[0].IsNull() || values[1].IsNull() {
				return problemf(wrongType, "betas must be a list of two numbers; this is %s.", describe(v))
			}
			b1, p := fraction.convert("each of betas", values[0])
			if p != nil {
				return p
			}
			b2, p := fraction.convert("each of betas", values[1])
			o.Beta1, o.Beta2 = &b1, &b2
			return p
		}},
		floatField("eps", positive, func(o *Optimizer) **float64 { return &o.Eps }),
	},
	check: func(o *Optimizer, report func(string, *problem)) {
		unused := func(attr string, given bool, kinds string) {
			if given {
				report(attr, ineffective("The optimizer %s has no %s, so it would have no effect; %s has. Take it out, or make it "+
					"null for this optimizer.", o.Kind, attr, kinds))
			}
		}
		if o.Kind == "sgd" {
			unused("betas", o.Beta1 != nil, "adam or adamw")
			unused("eps", o.Eps != nil, "adam or adamw")
			if o.Nesterov != nil && *o.Nesterov && o.Momentum != nil && *o.Momentum == 0 {
				report("nesterov", ineffective("Nesterov's rule changes how momentum is applied; with a momentum of 0 it would have "+
					"no effect. Give a momentum greater than 0, such as 0.9, or take nesterov out."))
			}
			return
		}
		unused("momentum", o.Momentum != nil, "sgd")
		unused("nesterov", o.Nesterov != nil, "sgd")
	},
}

var scheduleType = &blockType[Schedule]{
	name: "schedule",
	key:  "kind",
	fields: []field[Schedule]{
		kindField("kind", "schedule", []string{"step", "multistep", "cosine", "plateau", "onecycle", "constant"},
			func(s *Schedule) *string { return &s.Kind }),
		intField("step_size", 1, func(s *Schedule) **int { return &s.StepSize }),
		{"milestones", setMilestones},
		floatField("gamma", positive, func(s *Schedule) **float64 { return &s.Gamma }),
		floatField("min_lr", notNegative, func(s *Schedule) **float64 { return &s.MinLR }),
		floatField("factor", share, func(s *Schedule) **float64 { return &s.Factor }),
		intField("patience", 0, func(s *Schedule) **int { return &s.Patience }),
		floatField("max_lr", positive, func(s *Schedule) **float64 { return &s.MaxLR }),
		floatField("pct_start", share, func(s *Schedule) **float64 { return &s.PctStart }),
		intField("warmup", 0, func(s *Schedule) **int { return &s.Warmup }),
	},
	check: checkSchedule,
}

// scheduleSettings lists, for each kind of schedule, the attributes that govern it.
var scheduleSettings = map[string]map[string]bool{
	"step":      {"step_size": true, "gamma": true, "warmup": true},
	"multistep": {"milestones": true, "gamma": true, "warmup": true},
	"cosine":    {"min_lr": true, "warmup": true},
	"plateau":   {"factor": true, "patience": true, "min_lr": true, "warmup": true},
	"onecycle":  {"max_lr": true, "pct_start": true},
	"constant":  {"warmup": true},
}

func checkSchedule(s *Schedule, report func(string, *problem)) {
	given := []struct {
		attr string
		is   bool
	}{
		{"step_size", s.StepSize != nil}, {"milestones", s.Milestones != nil}, {"gamma", s.Gamma != nil},
		{"min_lr", s.MinLR != nil}, {"factor", s.Factor != nil}, {"patience", s.Patience != nil},
		{"max_lr", s.MaxLR != nil}, {"pct_start", s.PctStart != nil}, {"warmup", s.Warmup != nil},
	}
	governs := scheduleSettings[s.Kind]
	for _, g := range given {
		if g.is && !governs[g.attr] {
			report(g.attr, ineffective("A schedule of kind %q has no %s, so it would have no effect. It has: %s.", s.Kind, g.attr,
				list(mapKeys(governs))))
		}
	}
	if s.Kind == "step" && s.StepSize == nil {
		report("", problemf(missing, "A schedule of kind \"step\" needs step_size, the epochs between two steps."))
	}
	if s.Kind == "multistep" && s.Milestones == nil {
		report("", problemf(missing, "A schedule of kind \"multistep\" needs milestones, the epochs at which the rate falls."))
	}
}

func setMilestones(_ *module, s *Schedule, v cty.Value) *problem {
	values, p := asList("milestones", " of epochs, such as [30, 60]", v)
	if p != nil {
		return p
	}
	if len(values) == 0 {
		return problemf(outOfRange, "milestones must have at least one epoch.")
	}
	epochs := make([]int, len(values))
	for i, v := range values {
		n, p := asCount("each of milestones", v, 1)
		if p != nil {
			return p.in(i)
		}
		if i > 0 && n <= epochs[i-1] {
			return problemf(outOfRange, "milestones must grow; %d comes after %d.", n, epochs[i-1]).in(i)
		}
		epochs[i] = n
	}
	s.Milestones = epochs
	return nil
}

var paramGroupType = &blockType[ParamGroup]{
	name: "param_group",
	fields: []field[ParamGroup]{
		floatField("lr", positive, func(g *ParamGroup) **float64 { return &g.LR }),
		floatField("weight_decay", notNegative, func(g *ParamGroup) **float64 { return &g.WeightDecay }),
	},
}

var earlyStopType = &blockType[EarlyStop]{
	name: "early_stop",
	key:  "patience",
	fields: []field[EarlyStop]{
		kindField("monitor", "metric", Monitors, func(e *EarlyStop) *string { return &e.Monitor }),
		{"patience", func(_ *module, e *EarlyStop, v cty.Value) (p *problem) {
			e.Patience, p = asCount("patience", v, 1)
			return p
		}},
		{"min_delta", func(_ *module, e *EarlyStop, v cty.Value) (p *problem) {
			e.MinDelta, p = notNegative.convert("min_delta", v)
			return p
		}},
	},
}

// list writes names for a sentence: "a, b and c".
func list(names []string) string {
	switch n := len(names); n {
	case 0:
		return "none"
	case 1:
		return names[0]
	default:
		s := names[0]
		for _, name := range names[1 : n-1] {
			s += ", " + name
		}
		return fmt.Sprintf("%s and %s", s, names[n-1])
	}
}
