package reports

import (
	"math"
	"strings"
	"testing"
)

func TestAsks(t *testing.T) {
	for want, by := range map[string]Criterion{
		"val_acc may drop by 0.01 from base.json":          {Metric: "val_acc", Bound: MaxDrop, Limit: 0.01},
		"val_loss may rise by 2.5% from base.json":         {Metric: "val_loss", Bound: MaxRise, Limit: 0.025, Relative: true},
		"val_acc may not drop from base.json":              {Metric: "val_acc", Bound: MaxDrop},
		"val_acc must reach 0.9":                           {Metric: "val_acc", Bound: Min, Limit: 0.9},
		"params_trainable must not exceed 1,000,000":       {Metric: "params_trainable", Bound: Max, Limit: 1e6},
		"peak_memory_bytes must not exceed 2.0 GiB":        {Metric: "peak_memory_bytes", Bound: Max, Limit: 2 << 30},
		"images_per_second may drop by 5.0 from base.json": {Metric: "images_per_second", Bound: MaxDrop, Limit: 5},
	} {
		if got := by.Asks("base.json"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Of several that are equally good, none is the best one.
func TestLeadOfEquals(t *testing.T) {
	var runs []Run
	for i, acc := range []float64{0.9, 0.9, 0.8} {
		runs = append(runs, finished("s", 0, acc, Label{Axis: "augment", Text: []string{"none", "flip", "crop"}[i], Value: []byte([]string{`"none"`, `"flip"`, `"crop"`}[i])}))
	}
	if got, want := lead(Tabulate(runs)[0]), "Best: 2 configurations with a validation accuracy of 0.900: augment none, flip."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := lead(Tabulate(runs[1:])[0]); !strings.HasPrefix(got, "Best: flip with a validation accuracy of 0.900, training ") {
		t.Errorf("got %q", got)
	}
}

// A text that tells a verdict is one of a few: the same words and figures wherever it stands.
func TestSentence(t *testing.T) {
	c := mixed(t)
	for i, want := range map[int]string{
		1: "same: val_acc 0.901 → 0.901, 0.000 (90% interval −0.001 to +0.001, p 0.047)",
		2: "worse: val_acc 0.901 → 0.701, −0.200 (90% interval −0.201 to −0.199, p 0.047)",
	} {
		if got := c.Sentence(&c.Judged[i]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	failed := mustCompare(t, baseOf(configOf("s", noisy[:1])), newerOf(configOf("s", []float64{math.NaN()})), criterionOf(t, "val_acc", nil))
	if got, want := failed.Sentence(&failed.Judged[0]), "inconclusive: seed 0 failed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	within := mustCompare(t, nil, newerOf(configOf("s", noisy)), criterionOf(t, "val_acc", func(c *Criterion) {
		c.Bound, c.Limit, c.Test = Min, 0.5, NoTest
	}))
	if got := within.Sentence(&within.Judged[0]); got != "within: val_acc 0.901, min 0.5, +0.401" || within.Summary() != "1 within of 1 configuration." {
		t.Errorf("against a limit: %q, %q", got, within.Summary())
	}
}
