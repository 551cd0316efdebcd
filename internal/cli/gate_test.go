package cli

import (
	"errors"
	"slices"
	"strings"
	"testing"

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
	compared := func(fails bool, verdicts ...reports.Verdict) reports.Outcome {
		c := &reports.Comparison{Criterion: reports.Criterion{FailInconclusive: fails, FailMissing: fails}}
		for _, v := range verdicts {
			c.Judged = append(c.Judged, reports.Judgement{Verdict: v})
		}
		return reports.Outcome{Baseline: "base.json", Comparison: c}
	}
	lacking := func(fails bool) reports.Outcome {
		r := compared(fails, reports.Same)
		r.Comparison.OnlyNew = make([]reports.Unmatched, 2)
		return r
	}
	for _, test := range []struct {
		name     string
		outcomes []reports.Outcome
		code     exit
		is       reports.Passing // of the last
		reason   string
	}{
		{"none", nil, exitOK, "", ""},
		{"same and better", []reports.Outcome{compared(true, reports.Same, reports.Better)}, exitOK, "pass", ""},
		{"inconclusive, and it may be", []reports.Outcome{compared(false, reports.Same, reports.Inconclusive)}, exitOK, "pass", ""},
		{"nothing but inconclusive, and it may be", []reports.Outcome{compared(false, reports.Inconclusive, reports.Inconclusive)}, exitOK, "inconclusive", "2 of 2 configurations are inconclusive"},
		{"inconclusive, and it may not be", []reports.Outcome{compared(true, reports.Same, reports.Inconclusive)}, exitInconclusive, "fail", "1 of 2 configurations is inconclusive"},
		{"worse before inconclusive", []reports.Outcome{compared(true, reports.Worse, reports.Inconclusive)}, exitRegression, "fail", "1 of 2 configurations is worse"},
		{"the only one", []reports.Outcome{compared(true, reports.Worse)}, exitRegression, "fail", "worse"},
		{"several", []reports.Outcome{compared(true, reports.Worse, reports.Worse, reports.Same)}, exitRegression, "fail", "2 of 3 configurations are worse"},
		{"the worst of several gates", []reports.Outcome{compared(true, reports.Inconclusive), compared(true, reports.Worse), compared(true, reports.Same)}, exitRegression, "pass", ""},
		{"skipped", []reports.Outcome{{Skipped: "there is no baseline"}}, exitOK, "skipped", "there is no baseline"},
		{"an error first", []reports.Outcome{compared(true, reports.Worse), {Err: errors.New("edited")}}, exitError, "fail", "edited"},
		{"a configuration that the baseline lacks", []reports.Outcome{lacking(false)}, exitOK, "pass", ""},
		{"one that it must not lack", []reports.Outcome{lacking(true)}, exitError, "fail", "base.json lacks 2 configurations"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := codeOf(test.outcomes); got != test.code {
				t.Errorf("exit code %d, want %d", got, test.code)
			}
			if n := len(test.outcomes); n > 0 {
				if is, reason := test.outcomes[n-1].Passing(); is != test.is || reason != test.reason {
					t.Errorf("%s: %q, want %s: %q", is, reason, test.is, test.reason)
				}
			}
		})
	}
}

// What users have named, and what a file says, stays on its line of a terminal.
func TestGatesKeepTheirLines(t *testing.T) {
	const hostile = "a\x1b[2J\nPASS"
	drop, why := -0.5, "seed 3 failed"+hostile
	judged := reports.Judgement{Sweep: "s", Labels: reports.Labels{{Axis: "x", Value: []byte(`"a\u001b[2J\nPASS"`)}}, Verdict: reports.Worse,
		Base: &reports.Value{Mean: 1, N: 1}, New: reports.Value{Mean: 0.5, N: 1}, Difference: &drop}
	unsure := judged
	unsure.Verdict, unsure.Difference, unsure.Why = reports.Inconclusive, nil, why
	by := reports.Criterion{Name: "g", Metric: "val_acc", Bound: reports.MaxDrop, Test: reports.NoTest}
	outcomes := []reports.Outcome{
		{Criterion: by, Baseline: hostile, Comparison: &reports.Comparison{Criterion: by, Base: &reports.Side{Origin: hostile},
			Judged: []reports.Judgement{judged, unsure}, OnlyNew: []reports.Unmatched{{Sweep: "s", Labels: judged.Labels}}, Warnings: []string{hostile + "."}}},
		{Criterion: by, Baseline: hostile, Err: errors.New(hostile)},
		{Criterion: by, Baseline: hostile, Skipped: hostile},
	}
	a, out, errs := newApp()
	for i := range outcomes {
		a.showGate(&outcomes[i], true)
	}
	a.complain(outcomes, true)
	for _, text := range []string{out.String(), errs.String()} {
		if text == "" || strings.Contains(text, "\x1b") || strings.Contains(text, "\nPASS") {
			t.Errorf("a name moves what stands there, or nothing does: %q", text)
		}
	}
	if want := "Inconclusive, since seed 3 faileda"; !strings.Contains(out.String(), want) {
		t.Errorf("the reason is not told: %q", out)
	}
}
