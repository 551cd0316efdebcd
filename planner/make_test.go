package planner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDefaults(t *testing.T) {
	imageNet := Image{Resize: 256, Crop: 224, Mean: imageNetMean, Std: imageNetStd}
	base := Settings{
		Arch: "resnet18", Mode: "finetune", Weights: Weights{Kind: "catalogue", Name: "IMAGENET1K_V1"},
		Trainable: []string{"**"}, BatchNorm: "train", Epochs: 15, BatchSize: 8, Image: imageNet,
		Optimizer: Optimizer{Kind: "sgd", LR: 0.001, Momentum: 0.9}, Monitor: "val_acc",
		Numerics: "default", Precision: "fp32", Deterministic: true,
	}
	for _, test := range []struct {
		name, run string
		change    func(s *Settings)
	}{
		{"finetune", `arch = "resnet18"
			mode = "finetune"`, func(*Settings) {}},
		{"extract trains the head and freezes statistics", `arch = "resnet18"
			mode = "extract"`, func(s *Settings) {
			s.Mode, s.Trainable, s.BatchNorm = "extract", []string{"head"}, "frozen"
		}},
		{"scratch has no weights", `arch = "resnet18"
			mode = "scratch"`, func(s *Settings) { s.Mode, s.Weights = "scratch", Weights{Kind: "none"} }},
		{"weights by another name", `arch = "resnet18"
			mode = "finetune"
			weights = "DEFAULT"`, func(s *Settings) { s.Weights.Name = "IMAGENET1K_V2" }},
		{"the weights' own transform", `arch = "inception_v3"
			mode = "finetune"`, func(s *Settings) {
			s.Arch, s.Image = "inception_v3", Image{342, 299, [3]float32{0.5, 0.5, 0.5}, [3]float32{0.5, 0.5, 0.5}}
		}},
		{"the architecture's transform without catalogue weights", `arch = "inception_v3"
			mode = "scratch"`, func(s *Settings) {
			s.Arch, s.Mode, s.Weights = "inception_v3", "scratch", Weights{Kind: "none"}
			s.Image = Image{342, 299, imageNetMean, imageNetStd}
		}},
		{"a file of weights", `arch = "resnet18"
			mode = "finetune"
			weights = "w/mine.pth"`, func(s *Settings) {
			s.Weights = Weights{Kind: "file", Path: "w/mine.pth", SHA256: "sum of mine.pth"}
		}},
		{"trainable goes by layer, sorted", `arch = "resnet18"
			mode = "finetune"
			trainable = ["layer4.**", "head"]`, func(s *Settings) { s.Trainable, s.BatchNorm = []string{"head", "layer4.**"}, "auto" }},
		{"trainable that names all is all", `arch = "resnet18"
			mode = "finetune"
			trainable = ["head", "**"]`, func(*Settings) {}},
		{"a crop alone is resized in proportion", `arch = "resnet18"
			mode = "finetune"
			image { crop = 64 }`, func(s *Settings) { s.Image.Resize, s.Image.Crop = 73, 64 }},
		{"a resize alone keeps the crop", `arch = "resnet18"
			mode = "finetune"
			image { resize = 300 }`, func(s *Settings) { s.Image.Resize = 300 }},
		{"adamw", `arch = "resnet18"
			mode = "finetune"
			optimizer { kind = "adamw" }`, func(s *Settings) {
			s.Optimizer = Optimizer{Kind: "adamw", LR: 0.001, WeightDecay: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}
		}},
		{"adam", `arch = "resnet18"
			mode = "finetune"
			optimizer {
				kind = "adam"
				lr   = 0.1
			}`, func(s *Settings) {
			s.Optimizer = Optimizer{Kind: "adam", LR: 0.1, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}
		}},
		{"a constant schedule is none", `arch = "resnet18"
			mode = "finetune"
			schedule { kind = "constant" }`, func(*Settings) {}},
		{"step", `arch = "resnet18"
			mode = "finetune"
			schedule {
				kind      = "step"
				step_size = 7
			}`, func(s *Settings) { s.Schedule = &Schedule{Kind: "step", StepSize: 7, Gamma: 0.1} }},
		{"plateau", `arch = "resnet18"
			mode = "finetune"
			schedule { kind = "plateau" }`, func(s *Settings) { s.Schedule = &Schedule{Kind: "plateau", Factor: 0.1, Patience: 10} }},
		{"one cycle peaks at the learning rate", `arch = "resnet18"
			mode = "finetune"
			optimizer {
				kind = "sgd"
				lr   = 0.2
			}
			schedule { kind = "onecycle" }`, func(s *Settings) {
			s.Optimizer.LR = 0.2
			s.Schedule = &Schedule{Kind: "onecycle", MaxLR: 0.2, PctStart: 0.3}
		}},
		{"early stopping watches the monitor", `arch = "resnet18"
			mode = "finetune"
			monitor = "val_loss"
			early_stop { patience = 3 }`, func(s *Settings) {
			s.Monitor, s.EarlyStop = "val_loss", &EarlyStop{Monitor: "val_loss", Patience: 3}
		}},
		{"augmentation in full", `arch = "resnet18"
			mode = "finetune"
			augment { ops = ["random_resized_crop", { kind = "random_rotation", degrees = 10 }, { kind = "color_jitter", brightness = 0.25 }] }`,
			func(s *Settings) {
				s.Augment = &Augment{Ops: []AugmentOp{
					{"random_resized_crop", map[string][]float64{"scale": {0.08, 1}, "ratio": {3. / 4, 4. / 3}}},
					{"random_rotation", map[string][]float64{"degrees": {-10, 10}}},
					{"color_jitter", map[string][]float64{"brightness": {0.75, 1.25}, "contrast": {1, 1}, "saturation": {1, 1}, "hue": {0, 0}}},
				}}
			}},
		{"augmentation that doesn't size pictures follows resize and crop", `arch = "resnet18"
			mode = "finetune"
			augment { ops = ["hflip"] }`, func(s *Settings) {
			s.Augment = &Augment{Ops: []AugmentOp{
				{"resize", map[string][]float64{"size": {256}}}, {"center_crop", nil}, {"hflip", map[string][]float64{"p": {0.5}}},
			}}
		}},
		{"a random crop follows the resize", `arch = "resnet18"
			mode = "finetune"
			image { crop = 64 }
			augment { ops = ["random_crop"] }`, func(s *Settings) {
			s.Image.Resize, s.Image.Crop = 73, 64
			s.Augment = &Augment{Ops: []AugmentOp{
				{"resize", map[string][]float64{"size": {73}}}, {"random_crop", map[string][]float64{"padding": {0}}},
			}}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := base
			test.change(&want)
			got := plan(t, newFakeWorld(), sweepOf(test.run), Options{})
			if diff := cmp.Diff(want, got.Settings[0]); diff != "" {
				t.Errorf("settings differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParamsAreThoseOfTheNetwork(t *testing.T) {
	w := newFakeWorld()
	p := plan(t, w, `
sweep "s" {
  dataset = dataset.ants
  seeds   = range(5)
  matrix { mode = ["finetune", "extract"] }
  run {
    arch = "resnet18"
    mode = matrix.mode
  }
}`, Options{})
	want := []Params{{Total: 188, Trainable: 188, Moving: 16}, {Total: 188, Trainable: 12, Moving: 0}}
	if got := []Params{p.Runs[0].Params, p.Runs[5].Params}; !slices.Equal(got, want) {
		t.Errorf("params %v, want %v", got, want)
	}
	if w.models.inspections != 2 || w.data.described != 1 {
		t.Errorf("%d networks inspected and %d data sets described for ten runs; want 2 and 1", w.models.inspections, w.data.described)
	}
}

func TestErrors(t *testing.T) {
	fine := newFakeWorld
	for _, test := range []struct {
		name  string
		world func() *fakeWorld
		src   string
		want  []string // each a "line: summary: detail", detail cut to what matters
	}{
		{"unknown architecture, told once", fine, `sweep "s" {
  dataset = dataset.ants
  seeds   = range(3)
  matrix { lr = [0.1, 0.2] }
  run {
    arch = "resnet81"
    mode = "finetune"
    optimizer {
      kind = "sgd"
      lr   = matrix.lr
    }
  }
}`, []string{`6: Unknown architecture: There is no architecture "resnet81". Did you mean "resnet18"? This concerns 2 configurations, the first is s[lr=0.1].`}},
		{"unknown weights", fine, sweepOf(`arch = "resnet18"
  mode = "finetune"
  weights = "IMAGENET_V1"`), []string{`6: Unknown weights: There are no weights "IMAGENET_V1" for resnet18, which has "IMAGENET1K_V1" or "IMAGENET1K_V2". Did you mean "IMAGENET1K_V1"?`}},
		{"no weights file", fine, sweepOf(`arch = "resnet18"
  mode = "finetune"
  weights = "absent.pth"`), []string{`6: Weights can't be read: The file of weights absent.pth can't be read:`}},
		{"weights of another architecture in a file", fine, sweepOf(`arch = "resnet18"
  mode = "finetune"
  weights = "only_alexnet.pth"`), []string{`6: Weights of no use: No run of resnet18 can start from this file: only_alexnet.pth does not hold weights of resnet18.`}},
		{"extract with trainable", fine, sweepOf(`arch = "resnet18"
  mode = "extract"
  trainable = ["fc.**"]`), []string{`6: Trainable contradicts the mode:`}},
		{"trainable of nothing", fine, sweepOf(`arch = "resnet18"
  mode = "finetune"
  trainable = [null]`), []string{`6: Nothing to train:`}},
		{"pattern without a match", fine, sweepOf(`arch = "alexnet"
  mode = "finetune"
  trainable = ["layer4.**", "head"]`), []string{`6: Pattern without a match: No parameter of alexnet is named by the pattern "layer4.**", so it would train nothing.`}},
		{"pattern that can't be read", fine, sweepOf(`arch = "resnet18"
  mode = "finetune"
  trainable = ["["]`), []string{`6: Pattern can't be read: the pattern "[" has no closing bracket.`}},
		{"group without a match", fine, sweepOf(`arch = "alexnet"
  mode = "finetune"
  param_group "layer4.**" { lr = 0.1 }`), []string{`6: Pattern without a match: No parameter of alexnet is named by the pattern "layer4.**", so it would set nothing.`}},
		{"group of frozen parameters", fine, sweepOf(`arch = "resnet18"
  mode = "extract"
  param_group "layer4.**" { lr = 0.1 }`), []string{`6: Parameter group without effect:`}},
		{"crop larger than the given resize", fine, sweepOf(`arch = "resnet18"
  mode = "finetune"
  image { resize = 100 }`), []string{`6: Crop larger than the picture: The shorter side is resized to 100 pixels, of which a centre crop of 224`}},
		{"pictures too small", fine, sweepOf(`arch = "inception_v3"
  mode = "finetune"
  image { crop = 64 }`), []string{`6: Pictures too small: inception_v3 needs pictures of at least 75 by 75 pixels; the crop is 64.`}},
		{"batch larger than the data set", fine, sweepOf(`arch = "alexnet"
  mode = "finetune"
  batch_size = 245`), []string{`6: Batch larger than the data set: batch_size is 245, but the data set "ants" has 244 pictures for training. Give at most 244.`}},
		{"last batch of one with batch norm in training mode", fine, sweepOf(`arch = "resnet18"
  mode = "finetune"
  batch_size = 9`), []string{`6: Batch of one picture: The 244 training pictures of "ants" in batches of 9 leave a last batch of one, and batch norm in training mode has no statistics over one picture. Another batch_size, such as 10,`}},
		{"batches of one with batch norm in training mode", fine, sweepOf(`arch = "resnet18"
  mode = "finetune"
  batch_size = 1`), []string{`6: Batch of one picture: With batch_size = 1 each batch is a single picture`}},
		{"warmup as long as the default run", fine, sweepOf(`arch = "alexnet"
  mode = "finetune"
  schedule {
    kind   = "cosine"
    warmup = 15
  }`), []string{`8: Warmup as long as the run:`}},
		{"a data set that is not there, told at its block", fine, `dataset "gone" {
  kind   = "imagefolder"
  path   = "absent"
  splits = { train = "train", val = "val" }
}
sweep "s" {
  dataset = dataset.gone
  seeds   = range(4)
  run {
    arch = "alexnet"
    mode = "finetune"
  }
}`, []string{`3: Data set can't be read: The data set "gone" can't be read:`}},
		{"one class", func() *fakeWorld {
			w := newFakeWorld()
			w.data.classes = []string{"ants"}
			return w
		}, sweepOf(`arch = "alexnet"
  mode = "finetune"`), []string{`11: Too few classes: The data set "ants" has 1 class.`}},
		{"no validation pictures", func() *fakeWorld {
			w := newFakeWorld()
			w.data.val = 0
			return w
		}, sweepOf(`arch = "alexnet"
  mode = "finetune"`), []string{`12: Empty split: The split "val" of the data set "ants" has no pictures.`}},
		{"all errors at once", fine, sweepOf(`arch = "alexnet"
  mode = "finetune"
  weights = "NONE_SUCH"
  trainable = ["none"]
}
}
sweep "t" {
  dataset = dataset.ants
  run {
  arch = "vgg"
  mode = "scratch"`), []string{`6: Unknown weights:`, `13: Unknown architecture:`}},
		{"values that are wrong in the same way are counted", fine, `sweep "s" {
  dataset = dataset.ants
  matrix { batch = range(300, 310) }
  run {
    arch       = "alexnet"
    mode       = "finetune"
    batch_size = matrix.batch
  }
}`, []string{
			`7: Batch larger than the data set: batch_size is 300,`, `7: Batch larger than the data set: batch_size is 301,`,
			`7: Batch larger than the data set: batch_size is 302, but the data set "ants" has 244 pictures for training. Give at most 244. This concerns s[batch=302]. There are 7 more runs with other values that are wrong in the same way.`,
		}},
		{"best of no run of the architecture", fine, `sweep "pre" {
  dataset = dataset.ants
  run {
    arch = "alexnet"
    mode = "scratch"
  }
}
sweep "s" {
  dataset = dataset.ants
  run {
    arch    = "resnet18"
    mode    = "finetune"
    weights = sweep.pre.best
  }
}`, []string{`13: No run to start from: sweep.pre has no run of resnet18, from which this run could start. It trains alexnet.`}},
		{"best of runs on pictures of two sizes", fine, `sweep "pre" {
  dataset = dataset.ants
  matrix { crop = [64, 96] }
  run {
    arch = "alexnet"
    mode = "scratch"
    image { crop = matrix.crop }
  }
}
sweep "s" {
  dataset = dataset.ants
  run {
    arch    = "alexnet"
    mode    = "finetune"
    weights = sweep.pre.best
  }
}`, []string{`10: Size of pictures not clear:`}},
		{"errors upstream are told once, upstream", fine, `sweep "pre" {
  dataset = dataset.ants
  run {
    arch = "alxnet"
    mode = "scratch"
  }
}
sweep "s" {
  dataset = dataset.ants
  run {
    arch    = "alexnet"
    mode    = "finetune"
    weights = sweep.pre.best
  }
}`, []string{`4: Unknown architecture: There is no architecture "alxnet". Did you mean "alexnet"?`}},
		{"unknown run", fine, sweepOf(`arch = "alexnet"
  mode = "finetune"
  weights = "run:0123456789abcdee"`), []string{`6: Unknown run: There is no run "0123456789abcdee", neither in this plan nor in the store.`}},
		{"unknown run, near ids", func() *fakeWorld {
			w := newFakeWorld()
			w.store["0123456789abcdef"] = RunState{Finished: true, Arch: "alexnet"}
			return w
		}, sweepOf(`arch = "alexnet"
  mode = "finetune"
  weights = "run:0123456789abcdee"`), []string{`Did you mean "run:0123456789abcdef"?`}},
		{"too short an id", fine, sweepOf(`arch = "alexnet"
  mode = "finetune"
  weights = "run:012"`), []string{`6: Id not clear: "012" is too short`}},
		{"an id that begins two", func() *fakeWorld {
			w := newFakeWorld()
			w.store["0123456789abcdef"] = RunState{Finished: true, Arch: "alexnet"}
			w.store["0123556789abcdef"] = RunState{Finished: true, Arch: "alexnet"}
			return w
		}, sweepOf(`arch = "alexnet"
  mode = "finetune"
  weights = "run:0123"`), []string{`6: Id not clear: "0123" is the beginning of 2 ids`}},
		{"a run of another architecture", func() *fakeWorld {
			w := newFakeWorld()
			w.store["0123456789abcdef"] = RunState{Finished: true, Arch: "alexnet"}
			return w
		}, sweepOf(`arch = "resnet18"
  mode = "finetune"
  weights = "run:01234567"`), []string{`6: Weights of another architecture: Run 0123456789abcdef trained alexnet; this run trains resnet18.`}},
		{"a run that has not finished", func() *fakeWorld {
			w := newFakeWorld()
			w.store["0123456789abcdef"] = RunState{Failed: true, Arch: "alexnet"}
			return w
		}, sweepOf(`arch = "alexnet"
  mode = "finetune"
  weights = "run:01234567"`), []string{`6: Run not finished:`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, diags := Make(context.Background(), load(t, test.src), test.world().World, Options{})
			if p != nil {
				t.Error("there is a plan in spite of errors")
			}
			got := strings.Split(texts(diags), "\n")
			if len(got) != len(test.want) {
				t.Fatalf("%d errors, want %d:\n%s", len(got), len(test.want), texts(diags))
			}
			for i, want := range test.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("got  %s\nwant %s", got[i], want)
				}
			}
		})
	}
}

func TestTooManyRuns(t *testing.T) {
	s := load(t, `sweep "s" {
  dataset = dataset.ants
  seeds   = range(1000)
  matrix {
    a = range(1000)
    b = range(1000)
    c = range(1000)
  }
  run {
    arch = "alexnet"
    mode = "finetune"
  }
}`)
	_, diags := Make(context.Background(), s, newFakeWorld().World, Options{MaxRuns: 2000})
	if got := texts(diags); !strings.Contains(got, `1: Too many runs: There are more runs than 2000: sweep "s" alone has up to 1000000000000.`) {
		t.Errorf("got %s", got)
	}
}

// What starts from other runs comes after them, whichever comes first in the file.
const chain = `
sweep "last" {
  dataset = dataset.ants
  run {
    arch    = "alexnet"
    mode    = "extract"
    weights = sweep.middle.best
  }
}
sweep "middle" {
  dataset = dataset.ants
  seeds   = range(2)
  matrix { arch = ["alexnet", "resnet18"] }
  run {
    arch    = matrix.arch
    mode    = "finetune"
    weights = sweep.first.best
  }
}
sweep "first" {
  dataset = dataset.ants
  matrix {
    arch = ["resnet18", "alexnet"]
    lr   = [0.1, 0.01]
  }
  run {
    arch = matrix.arch
    mode = "scratch"
    image { crop = 64 }
    optimizer {
      kind = "sgd"
      lr   = matrix.lr
    }
  }
}`

func TestOrder(t *testing.T) {
	p := plan(t, newFakeWorld(), chain, Options{})
	var names []string
	place := map[string]int{}
	for i := range p.Runs {
		r := &p.Runs[i]
		names = append(names, p.Name(r))
		place[r.ID] = i
		for _, need := range r.Needs {
			if at, ok := place[need]; !ok || at >= i {
				t.Errorf("%s comes before what it starts from", p.Name(r))
			}
		}
		if p.Settings[r.Settings].Image.Crop != 64 {
			t.Errorf("%s: a run takes over the transform of those that it starts from", p.Name(r))
		}
	}
	want := []string{
		"first[arch=resnet18, lr=0.1] seed 0", "first[arch=resnet18, lr=0.01] seed 0",
		"first[arch=alexnet, lr=0.1] seed 0", "first[arch=alexnet, lr=0.01] seed 0",
		"middle[arch=alexnet] seed 0", "middle[arch=alexnet] seed 1", "middle[arch=resnet18] seed 0", "middle[arch=resnet18] seed 1",
		"last seed 0",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	upstream := []string{p.Runs[2].ID, p.Runs[3].ID}
	slices.Sort(upstream)
	if diff := cmp.Diff(upstream, p.Runs[4].Needs); diff != "" {
		t.Errorf("a run of alexnet needs those of alexnet (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Weights{Kind: "best", Runs: upstream}, p.Settings[p.Runs[4].Settings].Weights); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
	if p.Configs[0].Sweep != "last" {
		t.Errorf("configurations keep the file's order, the first is of %s", p.Configs[0].Sweep)
	}
}

func TestStartFromARun(t *testing.T) {
	w := newFakeWorld()
	w.store["0123456789abcdef"] = RunState{Finished: true, Arch: "resnet18", Image: Image{Resize: 80, Crop: 64}}
	p := plan(t, w, sweepOf(`arch = "resnet18"
  mode = "finetune"
  weights = "run:0123"`), Options{})
	if got := p.Settings[0]; got.Weights.Runs[0] != "0123456789abcdef" || got.Image.Crop != 64 || p.Runs[0].Needs != nil {
		t.Errorf("got %+v, needs %v", got, p.Runs[0].Needs)
	}

	// A run of this plan by the beginning of its id, which is only known when it has been planned itself.
	first := sweepOf("arch = \"alexnet\"\n mode = \"scratch\"")
	id := plan(t, w, first, Options{}).Runs[0].ID
	p = plan(t, w, fmt.Sprintf(`sweep "t" {
  dataset = dataset.ants
  run {
    arch    = "alexnet"
    mode    = "finetune"
    weights = "run:%s"
  }
}
%s`, id[:6], first), Options{})
	if len(p.Runs) != 2 || !slices.Equal(p.Runs[1].Needs, []string{id}) {
		t.Errorf("runs %+v", p.Runs)
	}
}

// unreadable is a store whose runs can't be read.
type unreadable struct{ fakeStore }

func (unreadable) Status(id string) (RunState, error) {
	return RunState{}, errors.New("permission denied")
}

func TestARunThatCannotBeRead(t *testing.T) {
	w := newFakeWorld()
	scratch := sweepOf("arch = \"alexnet\"\n mode = \"scratch\"")
	id := plan(t, w, scratch, Options{}).Runs[0].ID
	w.store[id], w.store["0123456789abcdef"] = RunState{}, RunState{}
	w.Store = unreadable{w.store}
	for src, want := range map[string]string{
		scratch: fmt.Sprintf("-: Run can't be read: What the store holds of run %s can't be read: permission denied.", id),
		sweepOf("arch = \"resnet18\"\n mode = \"finetune\"\n weights = \"run:0123\""): "6: Run can't be read: What the store holds of run 0123456789abcdef can't be read: permission denied.",
	} {
		_, diags := Make(t.Context(), load(t, src), w.World, Options{})
		if got := texts(diags); !strings.Contains(got+"\n", want+"\n") {
			t.Errorf("%s\nis told:\n%s\nwant\n%s", src, got, want)
		}
	}
}

func TestRepeatedCombinationsAreLeftOut(t *testing.T) {
	p := plan(t, newFakeWorld(), `sweep "s" {
  dataset = dataset.ants
  seeds   = range(2)
  matrix {
    arch = ["alexnet", "resnet18"]
    lr   = [0.1, 0.2, 0.3]
  }
  run {
    arch = matrix.arch
    mode = "finetune"
    optimizer {
      kind = "sgd"
      lr   = matrix.arch == "alexnet" ? 0.5 : matrix.lr
    }
  }
}`, Options{})
	if len(p.Runs) != 8 || len(p.Configs) != 4 {
		t.Errorf("%d runs of %d configurations, want 8 of 4", len(p.Runs), len(p.Configs))
	}
	want := `2 of 6 combinations of sweep "s" come to the settings of an earlier one and are left out: s[arch=alexnet, lr=0.2] is the same as s[arch=alexnet, lr=0.1].`
	if len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], want) {
		t.Errorf("warnings %q", p.Warnings)
	}
}

func TestTheSameRunInTwoSweepsIsOneTraining(t *testing.T) {
	run := `
  dataset = dataset.ants
  run {
    arch = "alexnet"
    mode = "finetune"
  }
}
`
	p := plan(t, newFakeWorld(), `sweep "a" {`+run+`sweep "b" {`+run, Options{})
	if len(p.Runs) != 2 || p.Runs[0].ID != p.Runs[1].ID || len(p.Settings) != 1 || len(p.Configs) != 2 {
		t.Errorf("runs %+v", p.Runs)
	}
	if s := p.Summarize(); s.Trainings != 1 || s.Runs != 2 || s.Create != 1 || s.Epochs != 15 {
		t.Errorf("summary %+v", s)
	}
}

func TestPlanHoldsOnlyWhatItsRunsReferTo(t *testing.T) {
	p := plan(t, newFakeWorld(), chain, Options{Targets: []string{"sweep.first[arch=alexnet]"}})
	if len(p.Runs) != 2 || len(p.Configs) != 2 || len(p.Settings) != 2 {
		t.Errorf("%d runs, %d configurations, %d settings; want 2 each", len(p.Runs), len(p.Configs), len(p.Settings))
	}
}

func TestVariablesAndSourcesAreKept(t *testing.T) {
	p := plan(t, newFakeWorld(), `variable "n" {
  type    = number
  default = 3
}
`+sweepOf(`arch = "alexnet"
  mode = "scratch"
  epochs = var.n`), Options{Target: "test.hcl"})
	if string(p.Variables["n"]) != "3" || p.Target != "test.hcl" || len(p.Sources) != 1 || p.Sources[0].Path != "test.hcl" {
		t.Errorf("variables %s, target %q, sources %v", mustJSON(p.Variables), p.Target, p.Sources)
	}
	var value any
	if err := json.Unmarshal(p.Variables["n"], &value); err != nil {
		t.Error(err)
	}
}
