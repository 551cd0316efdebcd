package cli

import (
	"testing"

	"github.com/ftrun/ftrun/reports"
	"github.com/ftrun/ftrun/spec"
)

// A gate that says nothing else asks what `ftrun compare` does.
func TestGatesHaveTheDefaultsOfComparisons(t *testing.T) {
	for _, metric := range []string{"val_acc", "params_total"} {
		m, _ := reports.LookupMetric(metric)
		want := reports.DefaultCriterion(m)
		s, diags := spec.LoadSources(map[string][]byte{"main.hcl": []byte(`
dataset "d" { kind = "synthetic" }
sweep "s" {
  dataset = dataset.d
  run {
    arch = "resnet18"
    mode = "scratch"
  }
}
gate "g" {
  sweep    = sweep.s
  metric   = "` + metric + `"
  baseline = "b.json"
  ` + string(want.Bound) + ` = 0.01
}
`)}, spec.Options{})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		g := s.Gates[0]
		if string(g.Test) != string(want.Test) || g.Alpha != want.Alpha || string(g.Correction) != string(want.Correction) || g.MinSeeds != want.MinSeeds ||
			(g.Inconclusive == spec.Fail) != want.FailInconclusive || (g.Missing == spec.Fail) != want.FailMissing {
			t.Errorf("%s: a gate asks %+v, a comparison %+v", metric, *g, want)
		}
	}
}
