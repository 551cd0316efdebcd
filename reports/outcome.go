package reports

import (
	"fmt"
	"strconv"
	"strings"
)

// Outcome is what came of one thing that was asked for: of a gate, whose name its criterion has, or of a metric that a person
// compares.
type Outcome struct {
	Criterion  Criterion
	Baseline   string      // that it was held against, or was to be; "" where it needs none
	Comparison *Comparison // nil where it was skipped or could not be evaluated
	Skipped    string      // why there is nothing to judge: a clause
	Err        error       // why it could not be evaluated
}

// Compared are the outcomes of comparisons that were done.
func Compared(all ...*Comparison) []Outcome {
	outcomes := make([]Outcome, len(all))
	for i, c := range all {
		outcomes[i] = Outcome{Criterion: c.Criterion, Comparison: c}
		if c.Base != nil {
			outcomes[i].Baseline = c.Base.Origin
		}
	}
	return outcomes
}

// Passing is what an outcome says of a gate as a whole.
type Passing string

const (
	Pass    Passing = "pass"
	Fail    Passing = "fail"
	Unknown Passing = "inconclusive" // all configurations are, and the gate bears that
	Skipped Passing = "skipped"
)

// Passing is what is said of the gate as a whole, and the reason, of one that did not pass: a clause.
func (o *Outcome) Passing() (is Passing, reason string) {
	c := o.Comparison
	switch {
	case o.Err != nil:
		return Fail, o.Err.Error()
	case o.Skipped != "":
		return Skipped, o.Skipped
	case c.Regressed():
		return Fail, c.share(Worse)
	case c.Lacks():
		return Fail, fmt.Sprintf("%s lacks %s", o.Baseline, Plural(len(c.OnlyNew), "configuration", "configurations"))
	case c.Undecided():
		return Fail, c.share(Inconclusive)
	case c.Count(Inconclusive) == len(c.Judged):
		return Unknown, c.share(Inconclusive)
	}
	return Pass, ""
}

// unevaluated says why there is no comparison: "skipped: 2 runs have not ended yet".
func (o *Outcome) unevaluated() string {
	if o.Err != nil {
		return "not evaluated: " + o.Err.Error()
	}
	return "skipped: " + o.Skipped
}

// share says how many of the configurations have a verdict: "1 of 3 configurations is worse".
func (c *Comparison) share(v Verdict) string {
	if len(c.Judged) == 1 {
		return string(v)
	}
	n, verb := c.Count(v), "are"
	if n == 1 {
		verb = "is"
	}
	return fmt.Sprintf("%s of %s %s %s", Count(int64(n)), Plural(len(c.Judged), "configuration", "configurations"), verb, v)
}

// Title says what was asked for, and by which gate: "no_worse: val_acc may drop by 0.01 from baseline.json".
func (o *Outcome) Title() string {
	asks := o.Criterion.Asks(o.Baseline)
	if o.Criterion.Name == "" {
		return asks
	}
	return o.Criterion.Name + ": " + asks
}

// Asks says what the criterion asks for: "val_acc may drop by 0.01 from baseline.json".
func (c *Criterion) Asks(baseline string) string {
	limit := c.limit()
	switch change := map[Bound]string{MaxDrop: "drop", MaxRise: "rise"}[c.Bound]; {
	case change != "" && c.Limit == 0:
		return fmt.Sprintf("%s may not %s from %s", c.Metric, change, baseline)
	case change != "":
		return fmt.Sprintf("%s may %s by %s from %s", c.Metric, change, limit, baseline)
	case c.Bound == Min:
		return fmt.Sprintf("%s must reach %s", c.Metric, limit)
	}
	return fmt.Sprintf("%s must not exceed %s", c.Metric, limit)
}

// limit writes the criterion's limit for people: 0.01, 2.5% or 2.0 GiB.
func (c *Criterion) limit() string {
	if c.Relative && c.NeedsBaseline() {
		return strconv.FormatFloat(100*c.Limit, 'g', 6, 64) + "%"
	}
	m, ok := LookupMetric(c.Metric)
	if !ok {
		panic("reports: no metric " + c.Metric)
	}
	return m.limit(c.Limit)
}

// Tally counts the configurations by verdict: "1 worse, 2 inconclusive, 5 same".
func (c *Comparison) Tally() string {
	var parts []string
	for _, v := range urgency {
		if n := c.Count(v); n > 0 {
			parts = append(parts, Count(int64(n))+" "+c.word(v))
		}
	}
	return strings.Join(parts, ", ")
}

// word is a verdict for people. What keeps to a limit is better than nothing: it is within.
func (c *Comparison) word(v Verdict) string {
	if v == Better && c.Base == nil {
		return "within"
	}
	return string(v)
}

// Sentence says of a configuration what a row of the table does: "worse: val_acc 0.901 → 0.701, −0.200 (90% interval −0.201
// to −0.199, p 0.047)".
func (c *Comparison) Sentence(j *Judgement) string {
	if j.Difference == nil && j.Why != "" {
		return c.word(j.Verdict) + ": " + j.Why
	}
	m := c.metric()
	text := c.word(j.Verdict) + ": " + m.Name + " "
	if j.Base == nil {
		text += valueText(m, &j.New) + ", " + string(c.Criterion.Bound) + " " + c.reference(m, j)
	} else {
		text += valueText(m, j.Base) + " → " + valueText(m, &j.New)
	}
	if j.Difference != nil {
		text += ", " + m.Change(*j.Difference)
	}
	var figures []string
	if j.Interval != nil {
		figures = append(figures, fmt.Sprintf("%.4g%% interval %s", 100*j.Interval.Level, intervalText(m, j.Interval)))
	}
	if p := j.pText(); p != "" {
		figures = append(figures, "p "+p)
	}
	if figures != nil {
		text += " (" + strings.Join(figures, ", ") + ")"
	}
	if j.Why != "" {
		text += "; " + j.Why
	}
	return text
}

// Reasons say why configurations are inconclusive, where more than noise is to blame: "Inconclusive, since seed 3 failed: lr=0.1."
func (c *Comparison) Reasons() []string {
	var of grouping
	tables := c.Tables()
	for i := range tables {
		for _, j := range tables[i].Rows {
			if j.Why != "" {
				of.add(j.Why, tables[i].name(j, len(tables) > 1))
			}
		}
	}
	var reasons []string
	for i, why := range of.keys {
		if i == listed {
			return append(reasons, fmt.Sprintf("… and for %s.", Plural(len(of.keys)-i, "more reason", "more reasons")))
		}
		reasons = append(reasons, fmt.Sprintf("Inconclusive, since %s: %s.", why, some(of.names[i])))
	}
	return reasons
}
