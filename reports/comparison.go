package reports

import (
	"cmp"
	"slices"

	"github.com/ftrun/ftrun/internal/stats"
)

// Verdict is what a comparison says of a configuration. With d, how much worse the newer side is, and the margin that is
// borne: Worse where d ≤ margin is rejected, Same where d ≥ margin is rejected, Better where d ≥ 0 is rejected as well, else
// Inconclusive. Against a limit (min, max) there is no Same.
type Verdict string

const (
	Worse        Verdict = "worse"
	Inconclusive Verdict = "inconclusive"
	Same         Verdict = "same"
	Better       Verdict = "better"
)

// Comparison holds one side against another by one criterion.
type Comparison struct {
	Criterion Criterion   `json:"criterion"`
	Base      *Side       `json:"base"` // nil where the criterion needs no baseline
	New       Side        `json:"new"`
	Judged    []Judgement `json:"configurations"` // in the newer side's order
	OnlyBase  []Unmatched `json:"only_base"`      // configurations that only the baseline has
	OnlyNew   []Unmatched `json:"only_new"`       // and those that it does not have
	Warnings  []string    `json:"warnings"`       // what else differs between the sides: sentences
}

// Side says what one side was.
type Side struct {
	Origin   string `json:"origin"`
	Version  string `json:"ftrun_version,omitempty"`
	Numerics int    `json:"numerics_version,omitempty"`
}

// Unmatched is a configuration that one side lacks.
type Unmatched struct {
	Sweep  string `json:"sweep"`
	Labels Labels `json:"labels"`
}

// Name is how people see it.
func (u *Unmatched) Name() string { return configName(u.Sweep, u.Labels) }

// Judgement is what a comparison says of one configuration.
type Judgement struct {
	Sweep   string  `json:"sweep"`
	Labels  Labels  `json:"labels"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"` // of an inconclusive verdict: a clause, "seed 3 failed"

	// Base and New summarise the metric over the seeds that were compared. Against a limit, Base is nil. Without a value,
	// as of a failed run, N is 0.
	Base *Value `json:"base"`
	New  Value  `json:"new"`
	// Difference is New's mean minus Base's, or minus the limit; nil where one of them is missing.
	Difference *float64  `json:"difference"`
	Interval   *Interval `json:"interval"` // of the difference; nil where the test gives none
	Margin     float64   `json:"margin"`   // that is borne, in the metric's unit

	Method string  `json:"method,omitempty"` // the test as it was done: "sign flips, 6 pairs"; "" where none was
	P      *PValue `json:"p"`                // nil where no test was done

	Seeds    []int64  `json:"seeds"`              // that were compared: the common ones, or, Unpaired, those of both sides
	Unpaired bool     `json:"unpaired,omitempty"` // seeds did not meet
	Pictures int      `json:"pictures,omitempty"` // that were compared, where single pictures were
	Changed  []string `json:"changed,omitempty"`  // settings that differ: "optimizer.lr: 0.01 → 0.1"
}

// Name is how people see the configuration.
func (j *Judgement) Name() string { return configName(j.Sweep, j.Labels) }

// Value is a metric over seeds.
type Value struct {
	Mean float64 `json:"mean"`
	Std  float64 `json:"std"` // of the sample; 0 for one seed
	N    int     `json:"n"`   // seeds
}

// Interval is a confidence interval; an end that is nil is open.
type Interval struct {
	Level float64  `json:"level"` // 0.9 for alpha = 0.05: both one-sided tests at alpha
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
}

// PValue holds p values of the three hypotheses that are to be rejected, corrected for the number of configurations.
type PValue struct {
	Worse  float64 `json:"worse"`  // of d ≤ margin
	Same   float64 `json:"same"`   // of d ≥ margin
	Better float64 `json:"better"` // of d ≥ 0
	Raw    *PValue `json:"uncorrected,omitempty"`
}

// Count counts the configurations with a verdict.
func (c *Comparison) Count(v Verdict) int {
	n := 0
	for i := range c.Judged {
		if c.Judged[i].Verdict == v {
			n++
		}
	}
	return n
}

// Regressed tells whether a configuration is worse.
func (c *Comparison) Regressed() bool { return c.Count(Worse) > 0 }

// Undecided tells whether a configuration is inconclusive and the criterion wants that to fail.
func (c *Comparison) Undecided() bool {
	return c.Criterion.FailInconclusive && c.Count(Inconclusive) > 0
}

// Lacks tells whether the baseline lacks a configuration and the criterion wants that to fail.
func (c *Comparison) Lacks() bool { return c.Criterion.FailMissing && len(c.OnlyNew) > 0 }

// urgency is the order in which verdicts are told: what needs a look comes first.
var urgency = []Verdict{Worse, Inconclusive, Better, Same}

// SweepTable is the configurations of one sweep as they stand in a table.
type SweepTable struct {
	Sweep string
	Axes  []string // that vary, in the sweep's order: the columns
	Fixed []string // that do not: "arch=resnet18"
	Rows  []*Judgement
}

// Tables groups the judged configurations by sweep, in the order in which the sweeps first occur; the rows by
// urgency.
func (c *Comparison) Tables() []SweepTable {
	var tables []SweepTable
	index := map[string]int{}
	for i := range c.Judged {
		j := &c.Judged[i]
		at, ok := index[j.Sweep]
		if !ok {
			at = len(tables)
			index[j.Sweep] = at
			tables = append(tables, SweepTable{Sweep: j.Sweep})
		}
		tables[at].Rows = append(tables[at].Rows, j)
	}
	for i := range tables {
		t := &tables[i]
		all := make([]Labels, len(t.Rows))
		for k, j := range t.Rows {
			all[k] = j.Labels
		}
		t.Axes, t.Fixed, _ = axes(all)
		slices.SortStableFunc(t.Rows, func(a, b *Judgement) int {
			return cmp.Compare(slices.Index(urgency, a.Verdict), slices.Index(urgency, b.Verdict))
		})
	}
	return tables
}

func value(x []float64) Value {
	s := stats.Summarize(x)
	return Value{Mean: s.Mean, Std: s.Std, N: s.N}
}
