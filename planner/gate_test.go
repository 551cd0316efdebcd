package planner

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// gated has a sweep of four configurations with two seeds, and one that no gate is about.
const gated = `
sweep "other" {
  dataset = dataset.ants
  run {
    arch = "alexnet"
    mode = "scratch"
  }
}
sweep "s" {
  dataset = dataset.ants
  seeds   = range(2)
  matrix {
    arch = ["resnet18", "alexnet"]
    mode = ["finetune", "extract"]
  }
  run {
    arch = matrix.arch
    mode = matrix.mode
  }
}
`

func gate(attributes string) string { return "gate \"g\" {\n sweep = sweep.s\n" + attributes + "\n}\n" }

func TestGates(t *testing.T) {
	bounded := Gate{Name: "g", Sweep: "s", Metric: "val_acc", Bound: "min", Limit: 0.5, Test: "none", MinSeeds: 1, Inconclusive: "pass"}
	for _, test := range []struct {
		name, attributes string
		opt              Options
		want             []Gate
		judged           string
	}{
		{"all of a sweep", "min = 0.5", Options{}, []Gate{bounded},
			"s[arch=resnet18, mode=finetune] s[arch=resnet18, mode=extract] s[arch=alexnet, mode=finetune] s[arch=alexnet, mode=extract]"},
		{"as the file says", `baseline     = "base.json"
			max_rise     = 0.1
			metric       = "val_loss"
			relative     = true
			test         = "bootstrap"
			alpha        = 0.1
			correction   = "none"
			min_seeds    = 2
			inconclusive = "fail"
			missing      = "fail"`, Options{Targets: []string{"sweep.s[arch=alexnet, mode=extract]"}},
			[]Gate{{Name: "g", Sweep: "s", Baseline: "base.json", Metric: "val_loss", Bound: "max_rise", Limit: 0.1, Relative: true,
				Test: "bootstrap", Alpha: 0.1, Correction: "none", MinSeeds: 2, Inconclusive: "fail", Missing: "fail"}},
			"s[arch=alexnet, mode=extract]"},
		{"some", `min = 0.5
			when = matrix.mode == "extract"`, Options{}, []Gate{func() Gate { g := bounded; g.Configs = []int{2, 4}; return g }()},
			"s[arch=resnet18, mode=extract] s[arch=alexnet, mode=extract]"},
		{"what a selection leaves of all is all", "min = 0.5", Options{Targets: []string{"sweep.s[arch=alexnet]"}}, []Gate{bounded},
			"s[arch=alexnet, mode=finetune] s[arch=alexnet, mode=extract]"},
		{"what a selection leaves of some", `min = 0.5
			when = matrix.mode == "extract"`, Options{Excludes: []string{"sweep.s[arch=resnet18]", "sweep.other"}},
			[]Gate{func() Gate { g := bounded; g.Configs = []int{1}; return g }()}, "s[arch=alexnet, mode=extract]"},
		{"nothing of the plan", "min = 0.5", Options{Targets: []string{"sweep.other"}}, nil, ""},
		{"switched off", "min = 0.5\n when = false", Options{}, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := plan(t, newFakeWorld(), gated+gate(test.attributes), test.opt)
			if diff := cmp.Diff(test.want, p.Gates); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			var judged []string
			for i := range p.Gates {
				for _, c := range p.Judged(&p.Gates[i]) {
					judged = append(judged, p.Configs[c].Name())
				}
			}
			if got := strings.Join(judged, " "); got != test.judged {
				t.Errorf("judges %s, want %s", got, test.judged)
			}
		})
	}
}

// A gate that judges some of many doesn't change what is trained.
func TestGatesLeaveRunsAlone(t *testing.T) {
	with, without := plan(t, newFakeWorld(), gated+gate("min = 0.5"), Options{}), plan(t, newFakeWorld(), gated, Options{})
	if diff := cmp.Diff(without.Runs, with.Runs); diff != "" {
		t.Errorf("-without +with:\n%s", diff)
	}
}

func TestGateErrors(t *testing.T) {
	for _, test := range []struct{ name, attributes, want string }{
		{"a condition that never holds", "min = 0.5\n when = matrix.mode == \"extrac\"",
			`24: Setting without effect: This condition holds for no configuration of sweep "s", so the gate would judge nothing. Mend the condition, or take the gate out.`},
		{"a condition that can't be evaluated", "min = 0.5\n when = matrix.mode.x",
			"24: Unsupported attribute: Can't access attributes on a primitive-typed value (string)."},
		{"no test split", "min = 0.5\n metric = \"test_acc\"",
			`24: Metric that runs lack: The gate "g" bounds test_acc, but the data set "ants" has no test split.`},
		{"few classes", "min = 0.5\n metric = \"val_top5\"",
			`24: Metric that runs lack: The gate "g" bounds val_top5, but the data set "ants" has 2 classes, and the best five of them are told from six classes on.`},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, diags := Make(context.Background(), load(t, gated+gate(test.attributes)), newFakeWorld().World, Options{})
			if p != nil || texts(diags) != test.want {
				t.Errorf("got a plan: %v, and\n%s\nwant\n%s", p != nil, texts(diags), test.want)
			}
		})
	}
}

func TestVerifyGates(t *testing.T) {
	for _, test := range []struct {
		name, want string
		change     func(*Plan)
	}{
		{"nothing", "", func(*Plan) {}},
		{"the same name twice", `there are two gates "g"`, func(p *Plan) { p.Gates = append(p.Gates, p.Gates[0]) }},
		{"an unknown metric", "there is no such metric", func(p *Plan) { p.Gates[0].Metric = "val" }},
		{"an unknown test", "there is no such test", func(p *Plan) { p.Gates[0].Test = "t" }},
		{"an unknown bound", "there is no such bound", func(p *Plan) { p.Gates[0].Bound = "least" }},
		{"an unknown reaction", "there is no such inconclusive", func(p *Plan) { p.Gates[0].Inconclusive = "warn" }},
		{"a test that can't be done", "so its metric is val_acc", func(p *Plan) {
			g := &p.Gates[0]
			g.Baseline, g.Missing, g.Metric, g.Bound, g.Test, g.Alpha, g.Correction = "b.json", "warn", "val_loss", "max_rise", "mcnemar", 0.05, "holm"
		}},
		{"a bound of the wrong direction", "Give min", func(p *Plan) { p.Gates[0].Bound = "max" }},
		{"a negative limit", "min is -5, and it must be greater than 0", func(p *Plan) { p.Gates[0].Limit = -5 }},
		{"an endless limit", "at most 1e+15", func(p *Plan) { p.Gates[0].Metric, p.Gates[0].Limit = "images_per_second", math.Inf(1) }},
		{"a limit that is no number", "it must be greater than 0", func(p *Plan) { p.Gates[0].Limit = math.NaN() }},
		{"no alpha", "alpha 0 does not go with", func(p *Plan) { p.Gates[0].Test, p.Gates[0].Correction = "bootstrap", "none" }},
		{"a large alpha", "alpha 0.5 does not go with", func(p *Plan) {
			p.Gates[0].Test, p.Gates[0].Alpha, p.Gates[0].Correction = "bootstrap", 0.5, "none"
		}},
		{"alpha without a test", "alpha 0.05 does not go with", func(p *Plan) { p.Gates[0].Alpha = 0.05 }},
		{"no correction", "correction \"\" does not go with", func(p *Plan) { p.Gates[0].Test, p.Gates[0].Alpha = "bootstrap", 0.05 }},
		{"relative to nothing", "relative to no baseline", func(p *Plan) { p.Gates[0].Relative = true }},
		{"missing without a baseline", "does not go with its baseline", func(p *Plan) { p.Gates[0].Missing = "warn" }},
		{"no seeds", "min_seeds is 0", func(p *Plan) { p.Gates[0].MinSeeds = 0 }},
		{"no baseline", "or lacks one", func(p *Plan) { p.Gates[0].Bound = "max_drop" }},
		{"a baseline too many", "no use for", func(p *Plan) { p.Gates[0].Baseline = "b.json" }},
		{"an unknown sweep", "judges no configuration", func(p *Plan) { p.Gates[0].Configs, p.Gates[0].Sweep = nil, "x" }},
		{"a wrong index", "doesn't have", func(p *Plan) { p.Gates[0].Configs = []int{2, 5} }},
		{"another sweep's configuration", "doesn't have", func(p *Plan) { p.Gates[0].Configs = []int{0, 2} }},
		{"out of order", "doesn't have", func(p *Plan) { slices.Reverse(p.Gates[0].Configs) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := plan(t, newFakeWorld(), gated+gate("min = 0.5\n when = matrix.mode == \"extract\""), Options{})
			test.change(p)
			switch err := p.verify(); {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
