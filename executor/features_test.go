package executor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

// sharing lets all runs of the lab share what they can.
func (l *lab) sharing() {
	for i := range l.plan.Sharing {
		l.plan.Sharing[i] = planner.Sharing{Train: &planner.Features{}, Val: &planner.Features{}, Test: &planner.Features{}}
		if l.plan.Settings[i].FixedViews() == 0 {
			l.plan.Sharing[i].Train = nil
		}
	}
}

// frozen edits a run: weights of a file, of which the patterns are trained, without augmentation.
func frozen(path, sum, arch string, trainable ...string) func(*planner.Settings) {
	return func(s *planner.Settings) {
		s.Arch, s.Mode, s.Trainable, s.BatchNorm = arch, "finetune", trainable, "auto"
		s.Weights = planner.Weights{Kind: "file", Path: path, SHA256: sum}
		s.Epochs, s.Augment = 3, nil
	}
}

// featureFiles lists the whole files of features.
func (l *lab) featureFiles() []string {
	l.t.Helper()
	files, err := filepath.Glob(l.store.FeaturesPath("*"))
	if err != nil {
		l.t.Fatal(err)
	}
	return files
}

// computed counts the pictures whose features were computed.
func (l *lab) computed() (n int) {
	for _, e := range l.log.all {
		if e, ok := e.(runlog.ComputingFeatures); ok && e.Done == e.Total {
			n += e.Total
		}
	}
	return n
}

// trainedHeads is a lab whose heads were trained in one go.
func trainedHeads(t *testing.T) *lab {
	t.Helper()
	l := newLab(t)
	heads(l, nil)
	l.apply(2, 0, 0, 0)
	return l
}

// heads adds two runs of squeezenet1_1's head, from weights that are made, with dropout and moments.
func heads(l *lab, edit func(*planner.Settings)) {
	path := filepath.Join(l.t.TempDir(), "start.safetensors")
	sum := writeWeights(l.t, path, "squeezenet1_1", nil)
	for i := range 2 {
		l.run(func(s *planner.Settings) {
			frozen(path, sum, "squeezenet1_1", "head")(s)
			s.Optimizer.LR /= float64(1 + i)
			if edit != nil {
				edit(s)
			}
		})
	}
	l.sharing()
}

// TestSharedRunsHaveTheSameBits: losses, predictions and weights are those of runs that share nothing.
func TestSharedRunsHaveTheSameBits(t *testing.T) {
	tests := []struct {
		name, arch string
		pixels     int
		trainable  []string
		edit       func(*planner.Settings)
		files      int
	}{
		{"head", "squeezenet1_1", 64, []string{"head"}, nil, 3},
		{"adam, smoothing, clipping", "resnet18", 64, []string{"head"}, func(s *planner.Settings) {
			s.Optimizer = planner.Optimizer{Kind: "adam", LR: 0.001, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}
			s.LabelSmoothing, s.GradClip, s.BatchSize, s.Numerics = 0.1, 1, 5, "exact"
		}, 3},
		{"batch norm that moves behind the cut", "resnet18", 64, []string{"layer4.1.**", "head"}, nil, 3},
		{"batch norm in a block", "resnet18", 64, []string{"layer4.1.bn2.*"}, nil, 3},
		{"dropout between two cuts", "alexnet", 63, []string{"head"}, nil, 3},
		{"dense blocks", "densenet121", 32, []string{"head"}, nil, 3},
		{"depthwise convolutions", "mobilenet_v2", 64, []string{"features.18.**", "head"}, nil, 3},
		{"fixed views", "squeezenet1_1", 64, []string{"head"}, func(s *planner.Settings) {
			s.Augment = &planner.Augment{Ops: []planner.AugmentOp{{Kind: "random_resized_crop"}, {Kind: "hflip"}}, Views: 2, ViewSeed: 5}
		}, 4},
		{"views that are drawn anew: validation alone", "squeezenet1_1", 64, []string{"head"}, func(s *planner.Settings) {
			s.Augment = &planner.Augment{Ops: []planner.AugmentOp{{Kind: "random_resized_crop"}}}
		}, 2},
		{"weights that are drawn", "squeezenet1_1", 64, []string{"head"}, func(s *planner.Settings) {
			s.Mode, s.Weights = "scratch", planner.Weights{Kind: "none"}
		}, 3},
		{"nothing frozen", "squeezenet1_1", 64, []string{"**"}, func(s *planner.Settings) { s.Optimizer.LR = 1e-4 }, 0},
	}
	dir := t.TempDir()
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if testing.Short() && i > 1 {
				t.Skip("two are enough for -short")
			}
			t.Parallel()
			path := filepath.Join(dir, fmt.Sprint(i))
			sum := writeWeights(t, path, test.arch, nil)
			runs := func(noShare bool) *lab {
				l := newLab(t)
				l.dataset(planner.Synthetic{Task: "shapes", Classes: 3, Pictures: map[string]int{"train": 35, "val": 34, "test": 3}, Size: 32, Seed: 7})
				small := test.arch == "squeezenet1_1"
				for range map[bool]int{true: 2, false: 1}[small] {
					l.run(func(s *planner.Settings) {
						frozen(path, sum, test.arch, test.trainable...)(s)
						s.Image.Resize, s.Image.Crop, s.BatchSize = test.pixels, test.pixels, 8
						if !small { // each file of weights takes its time
							s.Epochs = 2
						}
						if test.edit != nil {
							test.edit(s)
						}
					})
				}
				if small {
					l.plan.Settings[1].Optimizer.LR /= 2
					if test.name != "weights that are drawn" {
						l.plan.Runs[1].Seed = 2
					}
				}
				l.sharing()
				l.opt.NoShare = noShare
				if !noShare {
					l.opt.Threads, l.opt.Parallelism, l.opt.SaveAfter = 2, 2, time.Hour
					l.opt.FeatureMemory = 1 << 20 // for parts of a block
				}
				l.apply(len(l.plan.Runs), 0, 0, 0)
				return l
			}
			alone, together := runs(true), runs(false)
			for _, run := range alone.plan.Runs {
				if d := cmp.Diff(alone.result(run.ID), together.result(run.ID)); d != "" {
					t.Errorf("%s differs: %s", run.ID, d)
				}
			}
			if n := len(alone.featureFiles()); n != 0 {
				t.Errorf("%d files of features without sharing", n)
			}
			if n := len(together.featureFiles()); n != test.files {
				t.Errorf("%d files of features, want %d", n, test.files)
			}
			if texts := together.log.texts(); len(texts) > 0 {
				t.Errorf("told: %q", texts)
			}
		})
	}
}

// TestResumedAcrossTheBorder: a run that was interrupted goes on with features or without, whichever way it began.
func TestResumedAcrossTheBorder(t *testing.T) {
	straight := trainedHeads(t)
	for name, first := range map[string]bool{"from shared to alone": false, "from alone to shared": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			heads(l, nil)
			l.opt.NoShare = first
			l.interruptAt(step(2, 2))
			l.opt.NoShare = !first
			l.apply(2, 0, 0, 0)
			for _, id := range []string{"run0", "run1"} {
				if d := cmp.Diff(straight.result(id), l.result(id)); d != "" {
					t.Errorf("%s differs from the run that was not interrupted: %s", id, d)
				}
			}
		})
	}
}

// TestInterruptedFeaturesGoOn: what was computed before the interruption is not computed again.
func TestInterruptedFeaturesGoOn(t *testing.T) {
	l := newLab(t)
	l.dataset(planner.Synthetic{Task: "shapes", Classes: 3, Pictures: map[string]int{"train": 200, "val": 9}, Size: size})
	heads(l, nil)
	l.interruptAt(func(e runlog.Event) bool {
		_, ok := e.(runlog.ComputingFeatures)
		return ok
	})
	parts, err := filepath.Glob(l.store.FeaturesPath("*.making/part"))
	if err != nil || len(parts) != 1 {
		t.Fatalf("%v in the making, %v", parts, err)
	}
	before, err := os.ReadFile(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	if whole := l.featureFiles(); len(whole) != 1 { // the workshop
		t.Errorf("there are %v", whole)
	}
	l.apply(2, 0, 0, 0)
	if _, err := os.Stat(parts[0]); err == nil {
		t.Error("the part is still there")
	}
	after, err := os.ReadFile(strings.TrimSuffix(filepath.Dir(parts[0]), ".making"))
	if err != nil || len(after) != len(before) {
		t.Errorf("%d bytes in the making, %d in the end, %v", len(before), len(after), err)
	}
}

// TestDamagedFeaturesAreComputedAgain, as far as they are damaged, and the runs that use them are none the worse.
func TestDamagedFeaturesAreComputedAgain(t *testing.T) {
	straight := trainedHeads(t)

	l := newLab(t)
	heads(l, nil)
	l.plan.Runs = l.plan.Runs[:1]
	l.apply(1, 0, 0, 0)
	for _, path := range l.featureFiles() {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		raw[len(raw)-100] ^= 1
		if err := os.WriteFile(path, raw, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	l.plan.Runs = append(l.plan.Runs, straight.plan.Runs[1])
	l.apply(1, 1, 0, 0)
	wantText(t, l.log.texts(), "the features in ", "are damaged: 1 of their blocks", "computed again")
	if d := cmp.Diff(straight.result("run1"), l.result("run1")); d != "" {
		t.Errorf("differs from the run on undamaged features: %s", d)
	}
	l.plan.Runs[1].Action = planner.Replace
	told := len(l.log.texts())
	l.apply(1, 1, 0, 0)
	if texts := l.log.texts(); len(texts) != told {
		t.Errorf("told of features that are mended: %q", texts[told:])
	}
}

// TestTwoProcessesShareFeatures: each file is made by one of them, and both read it.
func TestTwoProcessesShareFeatures(t *testing.T) {
	straight := trainedHeads(t)

	l := newLab(t)
	heads(l, nil)
	var wg sync.WaitGroup
	for i := range 2 {
		opt := l.opt
		plan := *l.plan
		plan.Runs = l.plan.Runs[i : i+1]
		opt.Plan, opt.Store = &plan, runlog.Open(l.store.Dir)
		wg.Go(func() {
			if got, err := Apply(t.Context(), opt); err != nil || got.Finished != 1 {
				t.Errorf("apply %d: %+v, %v", i, got, err)
			}
		})
	}
	wg.Wait()
	for _, id := range []string{"run0", "run1"} {
		if d := cmp.Diff(straight.result(id), l.result(id)); d != "" {
			t.Errorf("%s differs from that of one process: %s", id, d)
		}
	}
	if n := l.computed(); n != 14+9 {
		t.Errorf("features of %d pictures were computed, want each once", n)
	}
}

// TestFeaturesThatCannotBeKept: the run computes them itself.
func TestFeaturesThatCannotBeKept(t *testing.T) {
	straight := trainedHeads(t)

	l := newLab(t)
	heads(l, nil)
	if err := os.MkdirAll(l.store.Dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.store.FeaturesDir(), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	l.apply(2, 0, 0, 0)
	wantText(t, l.log.texts(), "the features of squeezenet1_1 at features.12.cat are not shared", "not a directory")
	if d := cmp.Diff(straight.result("run0"), l.result("run0")); d != "" {
		t.Error(d)
	}
	if n := l.status("run0").Attempts; n != 1 {
		t.Errorf("%d attempts are told", n)
	}
}

// TestRunsWithoutTheirFeaturesStayWithinMemory: where these can't be kept, runs that would fit side by side with them go on one
// after the other, and one that does not fit without them fails.
func TestRunsWithoutTheirFeaturesStayWithinMemory(t *testing.T) {
	l := newLab(t)
	heads(l, func(s *planner.Settings) { s.Image.Resize, s.Image.Crop, s.BatchSize, s.Epochs = 160, 160, 14, 1 })
	if err := os.MkdirAll(l.store.Dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.store.FeaturesDir(), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	device, err := l.opt.Places[0].Open(1)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	l.opt.Threads, l.opt.Parallelism, l.opt.CacheBytes, l.opt.FeatureMemory = 2, 2, 0, 0
	set, of, sharing := &l.plan.Settings[0], &l.plan.Datasets[0], &l.plan.Sharing[0]
	with, err := RunMemory(device, 2, set, of, sharing)
	if err != nil {
		t.Fatal(err)
	}
	without, err := RunMemory(device, 2, set, of, &planner.Sharing{})
	if err != nil {
		t.Fatal(err)
	}
	making, _, err := FeatureMemory(device, 2, set, of, sharing, FeatureLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if with.Peak()+making >= without.Peak() {
		t.Fatalf("%d bytes with features, %d without, %d to make them: there is no memory for the one and not for the other", with.Peak(), without.Peak(), making)
	}
	l.plan.Estimates = []planner.Estimate{{Memory: with.Peak()}}
	l.opt.Memory = BaseMemory + 4*l.plan.Runs[0].Params.Total + 2*without.Peak() - 1
	on, most := 0, 0
	l.log.on = func(e runlog.Event) {
		switch e.(type) {
		case runlog.RunStarted:
			on++
			most = max(most, on)
		case runlog.RunFinished:
			on--
		}
	}
	l.apply(2, 0, 0, 0)
	if most != 1 {
		t.Errorf("%d runs went on at once that compute their frozen parts themselves", most)
	}

	for i := range l.plan.Runs {
		l.plan.Runs[i].Action = planner.Replace
	}
	l.log.on = nil
	l.opt.Parallelism, l.opt.Memory = 1, BaseMemory+4*l.plan.Runs[0].Params.Total+without.Peak()-1
	l.apply(0, 0, 2, 0)
	wantText(t, l.log.texts(), "run0 failed", "its features can't be kept, and without them it needs", "not a directory")
}
