package spec

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const gated = `
dataset "d" { kind = "synthetic" }
sweep "s" {
  dataset = dataset.d
  seeds   = range(5)
  matrix {
    mode = ["finetune", "extract"]
    size = [32, null]
  }
  run {
    arch = "resnet18"
    mode = matrix.mode
  }
}
gate "g" {
  sweep = sweep.s
`

func TestGates(t *testing.T) {
	compared := Gate{Name: "g", Sweep: "s", Baseline: "base.json", Metric: "val_acc", Bound: "max_drop", Limit: 0.01, Test: "paired_permutation",
		Alpha: 0.05, Correction: "holm", MinSeeds: 1, Inconclusive: "pass", Missing: "warn"}
	bounded := Gate{Name: "g", Sweep: "s", Metric: "val_acc", Bound: "min", Limit: 0.5, Test: "none", MinSeeds: 1, Inconclusive: "pass"}
	for _, test := range []struct {
		name, attributes string
		base             Gate
		change           func(*Gate)
	}{
		{"against a baseline", "max_drop = 0.01\n baseline = \"base.json\"", compared, func(*Gate) {}},
		{"null is not given", "max_drop = 0.01\n baseline = \"base.json\"\n min = null\n alpha = null\n test = null", compared, func(*Gate) {}},
		{"a path of another folder", "max_drop = 0.01\n baseline = \"../base.json\"", compared, func(g *Gate) { g.Baseline = "../base.json" }},
		{"all of it", `metric = "val_loss"
			max_rise     = 0.01
			baseline     = "base.json"
			relative     = true
			test         = "bootstrap"
			alpha        = 0.1
			correction   = "none"
			min_seeds    = 3
			inconclusive = "fail"
			missing      = "fail"`, compared, func(g *Gate) {
			g.Metric, g.Bound, g.Relative = "val_loss", "max_rise", true
			g.Test, g.Alpha, g.Correction, g.MinSeeds, g.Inconclusive, g.Missing = "bootstrap", 0.1, "none", 3, "fail", "fail"
		}},
		{"a figure is held against the mean", "min = 0.5", bounded, func(*Gate) {}},
		{"a figure with a test", "min = 0.5\n test = \"paired_permutation\"", bounded, func(g *Gate) {
			g.Test, g.Alpha, g.Correction = "paired_permutation", 0.05, "holm"
		}},
		{"what seeds don't change is not tested", "metric = \"params_total\"\n max_rise = 0.01\n baseline = \"base.json\"", compared, func(g *Gate) {
			g.Metric, g.Bound, g.Test, g.Alpha, g.Correction = "params_total", "max_rise", "none", 0, ""
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := load(t, gated+test.attributes+"\n}\n")
			want := test.base
			test.change(&want)
			if diff := cmp.Diff(want, *s.Gates[0], cmpopts.IgnoreUnexported(Gate{}), cmpopts.IgnoreFields(Gate{}, "Range", "Ranges")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestGateJudges(t *testing.T) {
	for _, test := range []struct{ name, when, want string }{
		{"without a condition", "", "finetune 32, finetune, extract 32, extract"},
		{"an axis", `when = matrix.mode == "extract"`, "extract 32, extract"},
		{"an inactive axis is null", `when = matrix.size != null`, "finetune 32, extract 32"},
		{"never", `when = false`, ""},
		{"null is as if it were left out", `when = null`, "finetune 32, finetune, extract 32, extract"},
		{"null for some", `when = matrix.size == null ? null : matrix.mode == "extract"`, "finetune, extract 32, extract"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := load(t, gated+"min = 0.5\n"+test.when+"\n}\n")
			var got []string
			for _, c := range combinations(t, s, s.Sweeps[0]) {
				judged, diags := s.Gates[0].Judges(c)
				if diags.HasErrors() {
					t.Fatal(diags)
				}
				if judged {
					var texts []string
					for _, l := range c.Labels {
						texts = append(texts, strings.Trim(describe(l.Value), `"`))
					}
					got = append(got, strings.Join(texts, " "))
				}
			}
			if strings.Join(got, ", ") != test.want {
				t.Errorf("judges %q, want %q", got, test.want)
			}
		})
	}
}

func TestIdle(t *testing.T) {
	for when, want := range map[string]bool{`matrix.mode == "extrac"`: true, `false`: false, `null`: false} {
		s := load(t, gated+"min = 0.5\nwhen = "+when+"\n}\n")
		if got := s.Gates[0].Idle().HasErrors(); got != want {
			t.Errorf("when = %s is an error where it never holds: %v, want %v", when, got, want)
		}
	}
}

func TestJudgesPanicsWhereLoadFailed(t *testing.T) {
	s, diags := LoadSources(map[string][]byte{"main.hcl": []byte(gated + "min = 2\n}\n")}, Options{})
	if !diags.HasErrors() {
		t.Fatal("the test's own file is right")
	}
	defer func() {
		if recover() == nil {
			t.Error("a broken gate judges")
		}
	}()
	_, _ = s.Gates[0].Judges(Combination{})
}
