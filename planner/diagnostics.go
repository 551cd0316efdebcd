package planner

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/ftrun/ftrun/spec"
)

// One mistake in a run block fails every combination that it concerns. It is told once, with the number of
// configurations; and of mistakes that differ only in their values, at one place, a few are shown and the rest counted.

const shownPerPlace = 3

type reportKey struct {
	place   string // range, or the place's path where there is none
	summary string
}

// report gathers what is wrong at one place in one way.
type report struct {
	diags  []*hcl.Diagnostic // with different details
	counts []int             // configurations that each concerns
	last   []configKey       // that was counted
	first  []*candidate
	more   int // details beyond those shown
}

type configKey struct {
	sweep       *sweepState
	combination int
}

type reports struct {
	at    map[reportKey]*report
	order []*report
}

func (r *reports) add(d *hcl.Diagnostic, c *candidate) {
	key := reportKey{summary: d.Summary}
	if d.Subject != nil {
		key.place = d.Subject.String()
	}
	at := r.at[key]
	if at == nil {
		at = &report{}
		r.at[key] = at
		r.order = append(r.order, at)
	}
	i := slices.IndexFunc(at.diags, func(other *hcl.Diagnostic) bool { return other.Detail == d.Detail })
	if i < 0 {
		if c != nil && len(at.diags) == shownPerPlace {
			at.more++
			return
		}
		i = len(at.diags)
		at.diags = append(at.diags, d)
		at.counts, at.last, at.first = append(at.counts, 0), append(at.last, configKey{}), append(at.first, c)
	}
	if c == nil {
		return
	}
	if config := (configKey{c.sweep, c.combination}); at.last[i] != config {
		at.last[i] = config
		at.counts[i]++
	}
}

// diagnostics lists what was found, in the order in which it was found.
func (p *planning) diagnostics() spec.Diagnostics {
	var all spec.Diagnostics
	for _, at := range p.reported.order {
		for i, d := range at.diags {
			said := *d
			if c := at.first[i]; c != nil && len(c.sweep.combinations) > 1 {
				config := p.config(c)
				if at.counts[i] == 1 {
					said.Detail += fmt.Sprintf(" This concerns %s.", config.Name())
				} else {
					said.Detail += fmt.Sprintf(" This concerns %d configurations, the first is %s.", at.counts[i], config.Name())
				}
			}
			switch last := i == len(at.diags)-1; {
			case last && at.more == 1:
				said.Detail += " There is 1 more run with another value that is wrong in the same way."
			case last && at.more > 1:
				said.Detail += fmt.Sprintf(" There are %d more runs with other values that are wrong in the same way.", at.more)
			}
			all = append(all, &said)
		}
	}
	return all
}

// fault reports an error of a candidate at the setting that path names: "optimizer.lr".
func (p *planning) fault(c *candidate, path, summary, format string, args ...any) {
	p.faults++
	p.reported.add(&hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: rangeOf(c.sweep.Sweep, path),
	}, c)
}

// sentence begins an error's text as a sentence begins.
func sentence(err error) string {
	first, rest := utf8.DecodeRuneInString(err.Error())
	return string(unicode.ToUpper(first)) + err.Error()[rest:]
}

// complain reports an error that is no single run's; rng may be nil.
func (p *planning) complain(rng *hcl.Range, summary, format string, args ...any) {
	p.faults++
	p.reported.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: rng}, nil)
}

// warn reports what may be a slip; the plan keeps it; rng may be nil.
func (p *planning) warn(rng *hcl.Range, summary, format string, args ...any) {
	p.reported.add(&hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: rng}, nil)
}

// pass hands on what spec found; c is nil where that was not in evaluating one candidate.
func (p *planning) pass(c *candidate, diags spec.Diagnostics) {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			p.faults++
		}
		p.reported.add(d, c)
	}
}

// rangeOf is the place of a setting: its attribute, else its block, else the sweep.
func rangeOf(sw *spec.Sweep, path string) *hcl.Range {
	for {
		if r, ok := sw.Ranges[path]; ok {
			return &r
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return &sw.Range
		}
		path = path[:i]
	}
}

// datasetRange is the place of an attribute of a data set, or its block.
func datasetRange(d *spec.Dataset, attr string) *hcl.Range {
	if r, ok := d.Ranges[attr]; ok {
		return &r
	}
	return &d.Range
}

// didYouMean is the sentence that names the nearest of the known names, or lists them where they are few.
func didYouMean(name string, known []string) string {
	if best := spec.Nearest(name, known); best != "" {
		return fmt.Sprintf(" Did you mean %q?", best)
	}
	if len(known) == 0 || len(known) > 12 {
		return ""
	}
	return " Known: " + strings.Join(known, ", ") + "."
}
