package spec

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// one evaluates the only run of a sweep.
func one(t *testing.T, src string) *Run {
	t.Helper()
	s := load(t, src)
	all := combinations(t, s, s.Sweeps[0])
	if len(all) != 1 {
		t.Fatalf("%d combinations, want 1", len(all))
	}
	r, diags := s.Sweeps[0].Run(all[0], 7)
	if len(diags) > 0 {
		t.Fatalf("unexpected diagnostics:\n%s", text(t, s, diags))
	}
	return r
}

func ptr[T any](x T) *T { return &x }

func TestRunSettings(t *testing.T) {
	got := one(t, sweepOf(`run {
  arch            = "resnet18"
  mode            = "finetune"
  weights         = "weights/mine.pth"
  trainable       = ["head", null, "layer4.**"]
  batch_norm      = "frozen"
  epochs          = 20
  batch_size      = 4
  monitor         = "val_loss"
  label_smoothing = 0.1
  class_weights   = "balanced"
  grad_clip       = 1
  numerics        = "exact"
  precision       = "fp32"
  deterministic   = false
  image {
    resize = 72
    crop   = 64
  }
  augment {
    ops       = ["hflip", { kind = "random_rotation", degrees = 10 }]
    views     = 4
    view_seed = run.seed
  }
  optimizer {
    kind         = "adamw"
    lr           = 1e-3
    weight_decay = 0.01
    betas        = [0.8, 0.99]
    eps          = 1e-6
  }
  schedule {
    kind       = "multistep"
    milestones = [5, 10]
    gamma      = 0.5
    warmup     = 2
  }
  param_group "layer1.**" { lr = 0.1 }
  param_group "layer2.**" { lr = null }
  param_group "layer3.**" { weight_decay = 0 }
  early_stop {
    monitor   = "val_acc"
    patience  = 3
    min_delta = 0.001
  }
}`))
	op := got.Augment.Ops[1]
	if diff := cmp.Diff(map[string][]float64{"degrees": {10}}, op.Values()); op.Kind != "random_rotation" || diff != "" {
		t.Errorf("second operation is %s, values (-want +got):\n%s", op.Kind, diff)
	}
	if diff := cmp.Diff(map[string][]float64{"p": {0.5}}, got.Augment.Ops[0].Values()); diff != "" {
		t.Errorf("values of hflip (-want +got):\n%s", diff)
	}
	got.Augment.Ops, got.Dataset = nil, nil
	want := &Run{
		Arch: "resnet18", Mode: "finetune", Weights: &Weights{File: "weights/mine.pth"},
		Trainable: []string{"head", "layer4.**"}, BatchNorm: ptr("frozen"), Epochs: ptr(20), BatchSize: ptr(4),
		Monitor: ptr("val_loss"), LabelSmooth: ptr(0.1), ClassWeights: ptr("balanced"), GradClip: ptr(1.),
		Numerics: ptr("exact"), Precision: ptr("fp32"), Deterministic: ptr(false),
		Image:   &Image{Resize: ptr(72), Crop: ptr(64)},
		Augment: &Augment{Views: ptr(4), ViewSeed: ptr(int64(7))},
		Optimizer: &Optimizer{Kind: "adamw", LR: ptr(1e-3), WeightDecay: ptr(0.01), Beta1: ptr(0.8), Beta2: ptr(0.99),
			Eps: ptr(1e-6)},
		Schedule:    &Schedule{Kind: "multistep", Milestones: []int{5, 10}, Gamma: ptr(0.5), Warmup: ptr(2)},
		ParamGroups: []ParamGroup{{Pattern: "layer1.**", LR: ptr(0.1)}, {Pattern: "layer3.**", WeightDecay: ptr(0.)}},
		EarlyStop:   &EarlyStop{Monitor: "val_acc", Patience: 3, MinDelta: 0.001},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
}

func TestWeights(t *testing.T) {
	for _, test := range []struct {
		name, expr string
		want       *Weights
	}{
		{"catalogue", `"IMAGENET1K_V1"`, &Weights{Catalogue: "IMAGENET1K_V1"}},
		{"file by its ending", `"mine.safetensors"`, &Weights{File: "mine.safetensors"}},
		{"file by its folder", `"./mine"`, &Weights{File: "mine"}},
		{"absolute file", `"/data/mine.pt"`, &Weights{File: "/data/mine.pt"}},
		{"run", `"run:0123abcd"`, &Weights{Run: "0123abcd"}},
		{"sweep's best", `sweep.before.best`, &Weights{SweepBest: "before"}},
		{"sweep's best by condition", `1 > 0 ? sweep.before.best : null`, &Weights{SweepBest: "before"}},
		{"sweep's best by index", `sweep["before"].best`, &Weights{SweepBest: "before"}},
		{"sweep's best through a local", `local.start`, &Weights{SweepBest: "before"}},
		{"null is left out", `null`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := one(t, sweepOf("run {\n arch = \"a\"\n mode = \"finetune\"\n weights = "+test.expr+"\n}")+`
locals { start = sweep.before.best }
sweep "before" {
  dataset = dataset.d
  run {
    arch = "a"
    mode = "scratch"
  }
}`)
			if diff := cmp.Diff(test.want, got.Weights); diff != "" {
				t.Errorf("weights (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNull: a null attribute is an omitted one, a block whose key is null is absent.
func TestNull(t *testing.T) {
	r := one(t, sweepOf(`matrix { nothing = [null] }
run {
  arch       = "a"
  mode       = "finetune"
  epochs     = null
  batch_size = matrix.nothing
  optimizer {
    kind     = matrix.nothing
    momentum = 0.5
  }
  schedule { kind = null }
  augment { ops = matrix.nothing }
  early_stop { patience = matrix.nothing }
  image { crop = matrix.nothing }
}`))
	r.Dataset = nil
	if diff := cmp.Diff(&Run{Arch: "a", Mode: "finetune", Image: &Image{}}, r); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
}
