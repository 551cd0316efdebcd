package planner

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Selector picks runs of a plan. See ParseSelector.
type Selector struct {
	text  string
	sweep string
	conds []condition
	id    string // the beginning of one
}

// condition wants an axis, or "seed", to have a value.
type condition struct{ axis, value string }

// ParseSelector reads what -target, -exclude and -replace take:
//
//	sweep.NAME                      all runs of a sweep
//	sweep.NAME[arch=resnet18]       those whose axis has that value; several conditions stand with commas and must all
//	                                hold; the axis "seed" is the seed
//	3f9c2b7a                        the run whose id starts so, at least 4 hexadecimal digits
//
// A value is compared as text: a string without quotes, an object by its name, anything else as JSON. Values that hold a
// comma or a bracket can't be selected by; the run's id can.
func ParseSelector(text string) (Selector, error) {
	s := Selector{text: text}
	rest, isSweep := strings.CutPrefix(text, "sweep.")
	if !isSweep {
		if id := strings.TrimPrefix(text, "run:"); isID(id) && len(id) >= minPrefix && len(id) <= idLen {
			s.id = id
			return s, nil
		}
		if strings.HasSuffix(text, "]") {
			return s, fmt.Errorf("%q selects nothing: did you mean %q?", text, "sweep."+text)
		}
		return s, fmt.Errorf("%q selects nothing: write sweep.NAME, sweep.NAME[axis=value] or at least %d digits of a run's id", text, minPrefix)
	}
	name, conds, has := strings.Cut(rest, "[")
	s.sweep = name
	if !has {
		return s, nil
	}
	conds, closed := strings.CutSuffix(conds, "]")
	if !closed {
		return s, fmt.Errorf("%q lacks the closing bracket", text)
	}
	for _, cond := range strings.Split(conds, ",") {
		axis, value, ok := strings.Cut(cond, "=")
		axis, value = strings.TrimSpace(axis), strings.TrimSpace(value)
		if !ok || axis == "" {
			return s, fmt.Errorf("%q: a condition reads axis=value, not %q", text, cond)
		}
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
		s.conds = append(s.conds, condition{axis, value})
	}
	return s, nil
}

// matches tells whether a run is selected.
func (s *Selector) matches(config *Config, id string, seed int64) bool {
	if s.id != "" {
		return strings.HasPrefix(id, s.id)
	}
	if s.sweep != config.Sweep {
		return false
	}
	for _, cond := range s.conds {
		i := slices.IndexFunc(config.Labels, func(l Label) bool { return l.Axis == cond.axis })
		switch {
		case i >= 0 && config.Labels[i].Text() != cond.value:
			return false
		case i < 0 && (cond.axis != "seed" || strconv.FormatInt(seed, 10) != cond.value):
			return false
		}
	}
	return true
}

// selection is the runs that selectors are held against.
type selection struct {
	configs []Config
	runs    []selectable
}

type selectable struct {
	config int
	id     string
	seed   int64
}

// pick marks the runs that any of the selectors picks. A selector that picks none is an error with what it may have
// meant.
func (sel *selection) pick(texts []string) (picked []bool, errs []error) {
	picked = make([]bool, len(sel.runs))
	for _, text := range texts {
		s, err := ParseSelector(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		any := false
		for i, r := range sel.runs {
			if s.matches(&sel.configs[r.config], r.id, r.seed) {
				picked[i], any = true, true
			}
		}
		if !any {
			errs = append(errs, fmt.Errorf("%q selects no run%s", text, sel.hint(&s)))
		}
	}
	return picked, errs
}

// hint says what a selector without a run may have meant.
func (sel *selection) hint(s *Selector) string {
	if s.id != "" {
		return ": no id of this plan starts so"
	}
	var sweeps, axes []string
	for _, c := range sel.configs {
		if !slices.Contains(sweeps, c.Sweep) {
			sweeps = append(sweeps, c.Sweep)
		}
		if c.Sweep != s.sweep {
			continue
		}
		for _, l := range c.Labels {
			if !slices.Contains(axes, l.Axis) {
				axes = append(axes, l.Axis)
			}
		}
	}
	if !slices.Contains(sweeps, s.sweep) {
		return ": there is no such sweep." + didYouMean(s.sweep, sweeps)
	}
	for _, cond := range s.conds {
		if cond.axis != "seed" && !slices.Contains(axes, cond.axis) {
			return fmt.Sprintf(": sweep.%s has no axis %q.%s", s.sweep, cond.axis, didYouMean(cond.axis, append(axes, "seed")))
		}
	}
	return ": no combination has these values"
}

func isID(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !('0' <= r && r <= '9' || 'a' <= r && r <= 'f') })
}

// choose keeps what -target and -exclude leave.
func (p *planning) choose() {
	all := p.kept()
	var targeted, excluded []bool
	if len(p.opt.Targets)+len(p.opt.Excludes) > 0 {
		sel := p.selection(all)
		targeted, excluded = p.pick(&sel, "-target", p.opt.Targets), p.pick(&sel, "-exclude", p.opt.Excludes)
	}
	for i, c := range all {
		c.chosen = len(p.opt.Targets) == 0 || targeted[i]
	}
	if len(p.opt.Targets) > 0 {
		for _, c := range slices.Backward(all) { // backward, so that what an upstream run starts from is chosen too
			if c.chosen {
				for _, u := range c.upstream {
					u.chosen = !u.repeat
				}
			}
		}
	}
	dropped := 0
	for i, c := range all {
		if len(p.opt.Excludes) > 0 && c.chosen {
			if c.chosen = !excluded[i]; c.chosen && !p.canStart(c) {
				c.chosen = false
				dropped++
			}
		}
		if c.chosen {
			p.planned[c.id] = true
		}
	}
	if dropped > 0 {
		p.warn(nil, "Runs left out", "%s left out because they start from excluded runs that have not finished.", count(dropped, "run is", "runs are"))
	}
}

// canStart tells whether all runs that c starts from are planned, or have finished before.
func (p *planning) canStart(c *candidate) bool {
	return !slices.ContainsFunc(c.upstream, func(u *candidate) bool { return !p.planned[u.id] && !p.finished(u.id) })
}

func (p *planning) finished(id string) bool {
	state, _, err := p.shelf.state(id)
	return err == nil && state.Finished
}

// kept lists the candidates that are no repeats, in an order of execution.
func (p *planning) kept() []*candidate {
	return slices.DeleteFunc(slices.Clone(p.settled), func(c *candidate) bool { return c.repeat })
}

func (p *planning) selection(all []*candidate) selection {
	sel := selection{runs: make([]selectable, len(all))}
	index := map[configKey]int{}
	for i, c := range all {
		key := configKey{c.sweep, c.combination}
		if _, ok := index[key]; !ok {
			index[key] = len(sel.configs)
			sel.configs = append(sel.configs, p.config(c))
		}
		sel.runs[i] = selectable{index[key], c.id, c.seed}
	}
	return sel
}

func (p *planning) pick(sel *selection, flag string, texts []string) []bool {
	picked, errs := sel.pick(texts)
	for _, err := range errs {
		p.complain(nil, "Selector without a run", "%s: %v", flag, err)
	}
	return picked
}
