package executor

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

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

// TestSharedRunsHaveTheSameBits: losses, predictions and weights are those of runs that share nothing.
func TestSharedRunsHaveTheSameBits(t *testing.T) {
	tests := []struct {
		arch      string
		pixels    int
		trainable []string
		edit      func(*planner.Settings)
		files     int
	}{
		{"squeezenet1_1", 64, []string{"head"}, nil, 3},
		{"resnet18", 64, []string{"head"}, func(s *planner.Settings) {
			s.Optimizer = planner.Optimizer{Kind: "adam", LR: 0.001, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}
			s.LabelSmoothing, s.GradClip, s.BatchSize = 0.1, 1, 5
		}, 3},
		{"resnet18", 64, []string{"layer4.**", "head"}, nil, 3}, // batch norm moves behind the cut
		{"resnet18", 64, []string{"layer4.1.bn2.*"}, nil, 3},
		{"alexnet", 63, []string{"head"}, nil, 3}, // dropout before the head: two cuts
		{"densenet121", 32, []string{"head"}, nil, 3},
		{"mobilenet_v2", 64, []string{"features.18.**", "head"}, nil, 3},
		{"squeezenet1_1", 64, []string{"head"}, func(s *planner.Settings) {
			s.Augment = &planner.Augment{Ops: []planner.AugmentOp{{Kind: "random_resized_crop"}, {Kind: "hflip"}}, Views: 2, ViewSeed: 5}
		}, 4},
		{"squeezenet1_1", 64, []string{"head"}, func(s *planner.Settings) { // drawn anew: validation alone is shared
			s.Augment = &planner.Augment{Ops: []planner.AugmentOp{{Kind: "random_resized_crop"}}}
		}, 2},
		{"squeezenet1_1", 64, []string{"head"}, func(s *planner.Settings) { // weights that are drawn
			s.Mode, s.Weights = "scratch", planner.Weights{Kind: "none"}
		}, 3},
		{"resnet18", 64, []string{"**"}, func(s *planner.Settings) { s.Optimizer.LR = 1e-4 }, 0},
	}
	dir := t.TempDir()
	for i, test := range tests {
		t.Run(fmt.Sprintf("%d %s %s", i, test.arch, strings.Join(test.trainable, " ")), func(t *testing.T) {
			if testing.Short() && i > 1 {
				t.Skip("two are enough for -short")
			}
			t.Parallel()
			path := filepath.Join(dir, fmt.Sprint(i))
			sum := writeWeights(t, path, test.arch, nil)
			make := func() *lab {
				l := newLab(t)
				l.dataset(planner.Synthetic{Task: "shapes", Classes: 3, Pictures: map[string]int{"train": 35, "val": 34, "test": 9}, Size: 64, Seed: 7})
				for range 2 {
					l.run(func(s *planner.Settings) {
						frozen(path, sum, test.arch, test.trainable...)(s)
						s.Image.Resize, s.Image.Crop, s.BatchSize = test.pixels, test.pixels, 8
						if test.edit != nil {
							test.edit(s)
						}
					})
				}
				l.plan.Settings[1].Optimizer.LR /= 2
				l.sharing()
				return l
			}
			alone, together := make(), make()
			alone.opt.NoShare = true
			alone.apply(2, 0, 0, 0)
			together.opt.Threads, together.opt.Parallelism = 2, 2
			together.apply(2, 0, 0, 0)
			for _, id := range []string{"run0", "run1"} {
				if d := cmp.Diff(alone.result(id), together.result(id)); d != "" {
					t.Errorf("%s differs: %s", id, d)
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
