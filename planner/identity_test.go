package planner

import (
	"fmt"
	"testing"
)

func idOf(t *testing.T, w *fakeWorld, src string) (id, trajectory string) {
	t.Helper()
	p := plan(t, w, src, Options{})
	return p.Runs[len(p.Runs)-1].ID, p.Runs[len(p.Runs)-1].Trajectory
}

// The ids of settings that once were planned must stay, or finished runs are trained again.
func TestIdsStay(t *testing.T) {
	full := Settings{
		Arch: "resnet18", Mode: "finetune", Weights: Weights{Kind: "file", Path: "w.pth", SHA256: "abc"}, Trainable: []string{"**"},
		BatchNorm: "train", Epochs: 15, BatchSize: 8, Image: Image{256, 224, imageNetMean, imageNetStd},
		Augment: &Augment{Ops: []AugmentOp{{"random_resized_crop", map[string][]float64{"scale": {0.08, 1}, "ratio": {0.75, 4. / 3}}},
			{"hflip", map[string][]float64{"p": {0.5}}}}, Views: 2, ViewSeed: 1},
		Optimizer:   Optimizer{Kind: "sgd", LR: 0.001, Momentum: 0.9, WeightDecay: 1e-4, Nesterov: true},
		ParamGroups: []ParamGroup{{Pattern: "layer1.**", LR: new(float64)}},
		Schedule:    &Schedule{Kind: "step", StepSize: 7, Gamma: 0.1, Warmup: 1},
		EarlyStop:   &EarlyStop{Monitor: "val_loss", Patience: 3, MinDelta: 0.01}, Monitor: "val_acc",
		LabelSmoothing: 0.1, ClassWeights: "balanced", GradClip: 1, Numerics: "default", Precision: "fp32", Deterministic: true,
	}
	var e encoder
	var ids identifier
	hash := hashSettings(&e, &full)
	id, trajectory := ids.identify(1, "data", &hash, full.Epochs, full.EarlyStop, 3)
	const wantID, wantTrajectory = "1f00a4544272731a", "415a7c232dd74fc6"
	if id != wantID || trajectory != wantTrajectory {
		t.Errorf("id %s, trajectory %s; want %s and %s.\nThe canonical form of settings has changed, so that all stores lose their runs. "+
			"If that is meant, raise the numerics version with it, and put the new ids here.", id, trajectory, wantID, wantTrajectory)
	}
}

func TestWhatAnIdDependsOn(t *testing.T) {
	const base = `arch = "resnet18"
  mode = "finetune"`
	baseID, baseTrajectory := idOf(t, newFakeWorld(), sweepOf(base))
	if len(baseID) != idLen || !isID(baseID) {
		t.Errorf("the id %q has not the form of one", baseID)
	}
	world := func(change func(w *fakeWorld)) func() *fakeWorld {
		return func() *fakeWorld { w := newFakeWorld(); change(w); return w }
	}
	same := func(*fakeWorld) {}
	for _, test := range []struct {
		name             string
		world            func() *fakeWorld
		src              string
		id, trajectories bool // whether they are those of base
	}{
		{"defaults written out", world(same), sweepOf(base + `
  weights = "IMAGENET1K_V1"
  epochs = 15
  batch_size = 8
  monitor = "val_acc"
  precision = "fp32"
  numerics = "default"
  deterministic = true
  label_smoothing = 0
  batch_norm = "train"
  trainable = ["**"]
  image {
    resize = 256
    crop = 224
  }
  optimizer {
    kind = "sgd"
    lr = 0.001
    momentum = 0.9
    nesterov = false
  }`), true, true},
		{"labels and the sweep's name", world(same), `sweep "other" {
  dataset = dataset.ants
  matrix { a = [{ x = "resnet18" }] }
  run {
    arch = matrix.a.x
    mode = "finetune"
  }
}`, true, true},
		{"the data set's path and name, with the same content", world(func(w *fakeWorld) { w.data.changed = "" }), `dataset "copy" {
  kind   = "imagefolder"
  path   = "data/../data/ants"
  splits = { train = "train", val = "val" }
}
sweep "s" {
  dataset = dataset.copy
  run {
    arch = "resnet18"
    mode = "finetune"
  }
}`, true, true},
		{"epochs", world(same), sweepOf(base + "\nepochs = 16"), false, true},
		{"early stopping", world(same), sweepOf(base + "\nearly_stop { patience = 2 }"), false, true},
		{"epochs, with a schedule that depends on them", world(same), sweepOf(base + "\nepochs = 16\nschedule { kind = \"cosine\" }"), false, false},
		{"batch size", world(same), sweepOf(base + "\nbatch_size = 16"), false, false},
		{"a mode of the same trained parameters", world(same), sweepOf(`arch = "resnet18"
  mode = "scratch"`), false, false},
		{"data", world(func(w *fakeWorld) { w.data.changed = "!" }), sweepOf(base), false, false},
		{"numerics version", world(func(w *fakeWorld) { w.Numerics = 2 }), sweepOf(base), false, false},
		{"version of ftrun", world(func(w *fakeWorld) { w.Version = "9" }), sweepOf(base), true, true},
		{"seed", world(same), `sweep "s" {
  dataset = dataset.ants
  seeds = [1]
  run {
    arch = "resnet18"
    mode = "finetune"
  }
}`, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			id, trajectory := idOf(t, test.world(), test.src)
			if (id == baseID) != test.id {
				t.Errorf("id is the same: %v, want %v", id == baseID, test.id)
			}
			if (trajectory == baseTrajectory) != test.trajectories {
				t.Errorf("trajectory is the same: %v, want %v", trajectory == baseTrajectory, test.trajectories)
			}
		})
	}

	cosine := func(epochs int) string {
		_, trajectory := idOf(t, newFakeWorld(), sweepOf(base+fmt.Sprintf("\nepochs = %d\nschedule { kind = \"cosine\" }", epochs)))
		return trajectory
	}
	if cosine(10) == cosine(20) {
		t.Error("cosine schedules over 10 and 20 epochs have one trajectory; they differ from the first step")
	}
}

func TestWeightsCountByContent(t *testing.T) {
	file := func(path, changed string) string {
		w := newFakeWorld()
		w.weights.changed = changed
		id, _ := idOf(t, w, sweepOf(`arch = "resnet18"
  mode = "finetune"
  weights = "`+path+`"`))
		return id
	}
	if file("a/w.pth", "") != file("b/w.pth", "") {
		t.Error("the path of weights changes the id")
	}
	if file("a/w.pth", "") == file("a/w.pth", "!") {
		t.Error("the content of weights doesn't change the id")
	}
}

func TestUpstreamCounts(t *testing.T) {
	last := func(lr string) string {
		id, _ := idOf(t, newFakeWorld(), `sweep "pre" {
  dataset = dataset.ants
  run {
    arch = "alexnet"
    mode = "scratch"
    optimizer {
      kind = "sgd"
      lr   = `+lr+`
    }
  }
}
sweep "s" {
  dataset = dataset.ants
  run {
    arch    = "alexnet"
    mode    = "finetune"
    weights = sweep.pre.best
  }
}`)
		return id
	}
	if last("0.1") == last("0.2") {
		t.Error("a change upstream doesn't change the id downstream")
	}
}
