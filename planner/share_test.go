package planner

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSharing: 244 pictures to train on, 153 for validation, 15 epochs unless said otherwise.
func TestSharing(t *testing.T) {
	vector := func(pictures, views int, passes int64) *Features {
		return &Features{Layer: "flatten", Shape: [3]int{1, 1, 5}, Pictures: pictures, Views: views, Bytes: int64(20 * pictures * views), Passes: passes}
	}
	const random = "random augmentation without views = K"
	extract := func(more string) string { return "arch = \"resnet18\"\nmode = \"extract\"\n" + more }
	augment := func(views string) string {
		return extract("augment {\nops = [\"random_resized_crop\"]\n" + views + "\n}")
	}
	tests := []struct {
		name, sweep, run string
		want             []Sharing
	}{
		{"learning rates and seeds share all", "seeds = range(3)\nmatrix {\nlr = [0.1, 0.2]\n}", extract("optimizer {\nkind = \"sgd\"\nlr = matrix.lr\n}"),
			[]Sharing{{Train: vector(244, 1, 90), Val: vector(153, 1, 90), Runs: 6}}},
		{"a run alone shares between its epochs", "", extract(""),
			[]Sharing{{Train: vector(244, 1, 15), Val: vector(153, 1, 15), Runs: 1}}},
		{"a run alone of one epoch", "", extract("epochs = 1"),
			[]Sharing{{Why: "no picture goes through the frozen part twice", Runs: 1}}},
		{"two of one epoch", "seeds = range(2)", extract("epochs = 1"),
			[]Sharing{{Train: vector(244, 1, 2), Val: vector(153, 1, 2), Runs: 2}}},
		{"random augmentation", "seeds = range(2)", augment(""),
			[]Sharing{{Val: vector(153, 1, 30), Why: random, Runs: 2}}},
		{"fixed views", "seeds = range(2)", augment("views = 10"),
			[]Sharing{{Train: vector(244, 10, 30), Val: vector(153, 1, 30), Runs: 2}}},
		{"as many views as epochs, alone", "", augment("views = 20"),
			[]Sharing{{Val: vector(153, 1, 15), Why: "no picture goes through the frozen part twice", Runs: 1}}},
		{"other numbers of views are the same views", "matrix {\nviews = [3, 5]\n}", augment("views = matrix.views"),
			[]Sharing{{Train: vector(244, 5, 30), Val: vector(153, 1, 30), Runs: 2}}},
		{"other views", "matrix {\nseed = [1, 2]\n}", augment("views = 2\nview_seed = matrix.seed"),
			[]Sharing{{Train: vector(244, 2, 15), Val: vector(153, 1, 15), Runs: 1}, {Train: vector(244, 2, 15), Val: vector(153, 1, 15), Runs: 1}}},
		{"statistics that move", "", extract("batch_norm = \"train\""), []Sharing{{Why: "too little is frozen", Runs: 1}}},
		{"the same reason in other networks", "matrix {\narch = [\"resnet18\", \"resnet34\"]\n}", "arch = matrix.arch\nmode = \"finetune\"",
			[]Sharing{{Why: "too little is frozen", Runs: 2}}},
		{"other weights", "matrix {\nw = [\"IMAGENET1K_V1\", \"IMAGENET1K_V2\"]\n}", extract("weights = matrix.w"),
			[]Sharing{{Train: vector(244, 1, 15), Val: vector(153, 1, 15), Runs: 1}, {Train: vector(244, 1, 15), Val: vector(153, 1, 15), Runs: 1}}},
		{"other pictures", "matrix {\ncrop = [64, 96]\n}", extract("image {\ncrop = matrix.crop\n}"),
			[]Sharing{{Train: vector(244, 1, 15), Val: vector(153, 1, 15), Runs: 1}, {Train: vector(244, 1, 15), Val: vector(153, 1, 15), Runs: 1}}},
		{"other arithmetic", "matrix {\nn = [\"exact\", \"fast\"]\n}", extract("numerics = matrix.n"),
			[]Sharing{{Train: vector(244, 1, 15), Val: vector(153, 1, 15), Runs: 1}, {Train: vector(244, 1, 15), Val: vector(153, 1, 15), Runs: 1}}},
		{"weights that are drawn go by seed", "seeds = range(2)", "arch = \"resnet18\"\nmode = \"scratch\"\ntrainable = [\"head\"]\nbatch_norm = \"frozen\"",
			[]Sharing{{Train: vector(244, 1, 15), Val: vector(153, 1, 15), Runs: 1}, {Train: vector(244, 1, 15), Val: vector(153, 1, 15), Runs: 1}}},
		{"dropout between two cuts", "", "arch = \"alexnet\"\nmode = \"extract\"", []Sharing{{
			Train: &Features{"flatten", [3]int{1, 1, 9}, 244, 1, 36 * 244, 15}, Val: &Features{"classifier.5", [3]int{1, 1, 4}, 153, 1, 16 * 153, 15}, Runs: 1,
		}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := plan(t, newFakeWorld(), fmt.Sprintf("sweep \"s\" {\ndataset = dataset.ants\n%s\nrun {\n%s\n}\n}", test.sweep, test.run), Options{})
			if d := cmp.Diff(test.want, p.Sharing); d != "" {
				t.Error(d)
			}
			runs := make([]int, len(p.Sharing))
			for _, r := range p.Runs {
				runs[r.Sharing]++
			}
			for i, s := range p.Sharing {
				if runs[i] != s.Runs {
					t.Errorf("%d runs refer to sharing %d, which counts %d", runs[i], i, s.Runs)
				}
			}
		})
	}
}

// TestSharingFromTheBestOfASweep: all runs that start from the same candidates start from the same of them.
func TestSharingFromTheBestOfASweep(t *testing.T) {
	p := plan(t, newFakeWorld(), `sweep "pretrain" {
  dataset = dataset.ants
  seeds   = range(3)
  run {
    arch = "resnet18"
    mode = "scratch"
  }
}
sweep "heads" {
  dataset = dataset.ants
  matrix {
    lr = [0.1, 0.2]
  }
  run {
    arch    = "resnet18"
    mode    = "extract"
    weights = sweep.pretrain.best
    optimizer {
      kind = "sgd"
      lr   = matrix.lr
    }
  }
}
`, Options{})
	if len(p.Sharing) != 2 || p.Sharing[1].Runs != 2 || p.Sharing[1].Train == nil {
		t.Errorf("%+v, want the three apart and the two together", p.Sharing)
	}
}

// TestSharingCountsWhatIsToBeDone: a run that is done, or asked for twice, saves nothing more.
func TestSharingCountsWhatIsToBeDone(t *testing.T) {
	src := `sweep "a" {
  dataset = dataset.ants
  seeds   = range(3)
  run {
    arch = "resnet18"
    mode = "extract"
  }
}
`
	w := newFakeWorld()
	src += strings.Replace(src, `"a"`, `"b"`, 1)
	id := plan(t, w, src, Options{}).Runs[1].ID
	w.store[id] = RunState{Finished: true, Arch: "resnet18"}
	p := plan(t, w, src, Options{})
	if len(p.Sharing) != 1 || p.Sharing[0].Runs != 2 || p.Sharing[0].Val.Passes != 30 {
		t.Errorf("%+v of 6 runs, 3 of them distinct, one done", p.Sharing)
	}
}
