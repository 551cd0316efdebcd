package cli

import (
	"errors"
	"slices"
	"testing"

	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
	"github.com/ftrun/ftrun/spec"
)

// What the language knows of metrics and tests is what comparisons know: neither package sees the other.
func TestGatesSpeakTheLanguageOfComparisons(t *testing.T) {
	for _, m := range reports.Metrics {
		g, ok := spec.GateMetrics[m.Name]
		if !ok || g.MoreIsBetter != m.MoreIsBetter || g.Exact != m.Exact {
			t.Errorf("the language takes %s for %+v, known: %v", m.Name, g, ok)
		}
	}
	if len(spec.GateMetrics) != len(reports.Metrics) {
		t.Errorf("the language knows %d metrics, comparisons %d", len(spec.GateMetrics), len(reports.Metrics))
	}
	var tests []string
	for _, test := range reports.Tests {
		tests = append(tests, string(test))
	}
	if !slices.Equal(spec.GateTests, tests) {
		t.Errorf("the language has the tests %q, comparisons %q", spec.GateTests, tests)
	}
	if bounds := []string{string(reports.MaxDrop), string(reports.MaxRise), string(reports.Min), string(reports.Max)}; !slices.Equal(spec.GateBounds, bounds) {
		t.Errorf("the language has the bounds %q, comparisons %q", spec.GateBounds, bounds)
	}
}

func TestCodeOfGates(t *testing.T) {
	compared := func(fails bool, verdicts ...reports.Verdict) gateResult {
		c := &reports.Comparison{Criterion: reports.Criterion{FailInconclusive: fails, FailMissing: fails}}
		for _, v := range verdicts {
			c.Judged = append(c.Judged, reports.Judgement{Verdict: v})
		}
		return gateResult{gate: &planner.Gate{Baseline: "base.json"}, baseline: "base.json", comparison: c}
	}
	lacking := func(fails bool) gateResult {
		r := compared(fails, reports.Same)
		r.comparison.OnlyNew = make([]reports.Unmatched, 2)
		return r
	}
	for _, test := range []struct {
		name            string
		results         []gateResult
		code            exit
		verdict, reason string // of the last
	}{
		{"none", nil, exitOK, "", ""},
		{"same and better", []gateResult{compared(true, reports.Same, reports.Better)}, exitOK, "pass", ""},
		{"inconclusive, and it may be", []gateResult{compared(false, reports.Same, reports.Inconclusive)}, exitOK, "pass", ""},
		{"inconclusive, and it may not be", []gateResult{compared(true, reports.Same, reports.Inconclusive)}, exitInconclusive, "fail", "1 of 2 configurations is inconclusive"},
		{"worse before inconclusive", []gateResult{compared(true, reports.Worse, reports.Inconclusive)}, exitRegression, "fail", "1 of 2 configurations is worse"},
		{"the only one", []gateResult{compared(true, reports.Worse)}, exitRegression, "fail", "worse"},
		{"several", []gateResult{compared(true, reports.Worse, reports.Worse, reports.Same)}, exitRegression, "fail", "2 of 3 configurations are worse"},
		{"the worst of several gates", []gateResult{compared(true, reports.Inconclusive), compared(true, reports.Worse), compared(true, reports.Same)}, exitRegression, "pass", ""},
		{"skipped", []gateResult{{skipped: "there is no baseline"}}, exitOK, "skipped", "there is no baseline"},
		{"an error first", []gateResult{compared(true, reports.Worse), {err: errors.New("edited")}}, exitError, "fail", "edited"},
		{"a configuration that the baseline lacks", []gateResult{lacking(false)}, exitOK, "pass", ""},
		{"one that it must not lack", []gateResult{lacking(true)}, exitError, "fail", "base.json lacks 2 configurations"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := codeOf(test.results); got != test.code {
				t.Errorf("exit code %d, want %d", got, test.code)
			}
			if n := len(test.results); n > 0 {
				if verdict, reason := test.results[n-1].verdict(); verdict != test.verdict || reason != test.reason {
					t.Errorf("%s: %q, want %s: %q", verdict, reason, test.verdict, test.reason)
				}
			}
		})
	}
}

func TestBoundText(t *testing.T) {
	for want, g := range map[string]planner.Gate{
		"val_acc may drop by 0.01 from base.json":           {Metric: "val_acc", Bound: "max_drop", Limit: 0.01, Baseline: "base.json"},
		"val_loss may rise by 2.5 % from base.json":         {Metric: "val_loss", Bound: "max_rise", Limit: 0.025, Relative: true, Baseline: "base.json"},
		"val_acc must reach 0.9":                            {Metric: "val_acc", Bound: "min", Limit: 0.9},
		"params_trainable must not exceed 1,000,000":        {Metric: "params_trainable", Bound: "max", Limit: 1e6},
		"peak_memory_bytes must not exceed 2.0 GiB":         {Metric: "peak_memory_bytes", Bound: "max", Limit: 2 << 30},
		"images_per_second may drop by 5 from base.json":    {Metric: "images_per_second", Bound: "max_drop", Limit: 5, Baseline: "base.json"},
		"val_acc may drop by 0 from a folder/baseline.json": {Metric: "val_acc", Bound: "max_drop", Baseline: "a folder/baseline.json"},
	} {
		if got := boundText(&g, g.Baseline); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
