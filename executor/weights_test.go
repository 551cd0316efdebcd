package executor

import (
	"errors"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/planner"
)

// from makes a run that shows what it started from: it learns nothing.
func from(arch string, w planner.Weights) func(*planner.Settings) {
	return func(s *planner.Settings) {
		s.Arch, s.Mode, s.Epochs, s.BatchNorm, s.Optimizer.LR, s.Weights = arch, "finetune", 1, "frozen", 0, w
	}
}

// wantBody wants a run to have started from these weights, but for the head.
func (l *lab) wantBody(id string, start map[string]weights.Tensor) {
	l.t.Helper()
	compared := 0
	for name, is := range l.best(id) {
		if strings.HasPrefix(name, "classifier.1.") {
			if slices.Equal(is.Float, start[name].Float) {
				l.t.Errorf("%s: %s was taken over, and should be new", id, name)
			}
			continue
		}
		compared++
		if !slices.Equal(is.Float, start[name].Float) {
			l.t.Errorf("%s: %s is not what the run should have started from", id, name)
			return
		}
	}
	if compared == 0 {
		l.t.Errorf("%s: nothing to compare", id)
	}
}

func TestWeightsFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "start.safetensors")
	sum := writeWeights(t, file, "squeezenet1_1", nil)
	l := newLab(t)
	id := l.run(from("squeezenet1_1", planner.Weights{Kind: "file", Path: file, SHA256: sum}))
	l.apply(1, 0, 0, 0)
	l.wantBody(id, tensorsOf(t, file))
}

func TestWeightsFromRuns(t *testing.T) {
	l := newLab(t)
	for id, acc := range map[string]float64{"up1": 0.5, "up2": 0.75, "up3": 0.75, "up4": 0.25} {
		var best []weights.Tensor
		writeWeights(t, filepath.Join(t.TempDir(), "up.safetensors"), "squeezenet1_1", func(ts []weights.Tensor) []weights.Tensor {
			ts[0].Float[0] = float32(acc) + float32(id[2])
			best = ts
			return ts
		})
		l.pretend(id, runlog.Status{Result: &runlog.Result{Metrics: runlog.Metrics{ValAcc: acc}}}, best)
	}
	one := l.run(from("squeezenet1_1", planner.Weights{Kind: "run", Runs: []string{"up1"}}))
	best := l.run(from("squeezenet1_1", planner.Weights{Kind: "best", Runs: []string{"up4", "up3", "up2", "up1"}}))
	for i := range l.plan.Runs {
		l.plan.Runs[i].Needs = l.plan.Settings[i].Weights.Runs
	}
	l.apply(2, 0, 0, 0)
	l.wantBody(one, tensorsOf(t, l.store.Run("up1").BestPath()))
	l.wantBody(best, tensorsOf(t, l.store.Run("up2").BestPath())) // the best, and of two equals the lower id
}

// A run that starts from another of the same plan waits for it, and has a head of its own although the classes agree.
func TestRunsWaitForThoseTheyStartFrom(t *testing.T) {
	l := newLab(t)
	up := l.run(func(s *planner.Settings) { s.Epochs = 3 })
	down := l.run(from("squeezenet1_1", planner.Weights{Kind: "best", Runs: []string{up}}))
	l.plan.Runs[1].Needs = []string{up}
	l.opt.Parallelism, l.opt.Threads = 2, 2
	l.apply(2, 0, 0, 0)
	l.wantBody(down, l.best(up))
}

func TestWeightsThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name+".safetensors") }
	good := writeWeights(t, path("good"), "squeezenet1_1", nil)
	edited := func(name string, edit func([]weights.Tensor) []weights.Tensor) planner.Weights {
		return planner.Weights{Kind: "file", Path: path(name), SHA256: writeWeights(t, path(name), "squeezenet1_1", edit)}
	}
	truncated := func() planner.Weights {
		raw, err := os.ReadFile(path("good"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path("truncated"), raw[:len(raw)/2], 0o666); err != nil {
			t.Fatal(err)
		}
		return planner.Weights{Kind: "file", Path: path("truncated")}
	}
	set := func(v float32) func([]weights.Tensor) []weights.Tensor {
		return func(ts []weights.Tensor) []weights.Tensor {
			ts[2].Float[5] = v
			return ts
		}
	}
	tests := []struct {
		name    string
		arch    string
		weights planner.Weights
		want    []string
		later   bool // a plan can't tell: it shows in the numbers, or changed since
	}{
		{"altered since the plan", "squeezenet1_1", planner.Weights{Kind: "file", Path: path("good"), SHA256: "0123456789abcdef"},
			[]string{path("good"), good[:12], "0123456789ab", "plan again"}, true},
		{"of another architecture", "squeezenet1_0", planner.Weights{Kind: "file", Path: path("good"), SHA256: good},
			[]string{path("good"), "does not hold weights of squeezenet1_0", "features.0.weight is [64 3 3 3], not [96 3 7 7]"}, false},
		{"of another family", "resnet18", planner.Weights{Kind: "file", Path: path("good"), SHA256: good},
			[]string{"does not hold weights of resnet18", "it lacks conv1.weight", "instead"}, false},
		{"truncated", "squeezenet1_1", truncated(), []string{path("truncated"), "truncated"}, false},
		{"not there", "squeezenet1_1", planner.Weights{Kind: "file", Path: path("none")}, []string{path("none"), "no such file"}, false},
		{"incomplete", "squeezenet1_1", edited("incomplete", func(ts []weights.Tensor) []weights.Tensor { return ts[1:] }),
			[]string{"is incomplete for squeezenet1_1: it lacks features.0.weight"}, false},
		{"with more", "squeezenet1_1", edited("more", func(ts []weights.Tensor) []weights.Tensor {
			return append(ts, weights.Tensor{Name: "extra", Shape: []int{1}, Float: []float32{1}})
		}), []string{"holds more than squeezenet1_1 has: extra"}, false},
		{"NaN inside", "squeezenet1_1", edited("nan", set(float32(math.NaN()))), []string{"features.3.squeeze.weight[5] is NaN"}, true},
		{"infinite", "squeezenet1_1", edited("inf", set(float32(math.Inf(1)))), []string{"features.3.squeeze.weight[5] is +Inf"}, true},
		{"numbers without sense", "squeezenet1_1", edited("wild", func(ts []weights.Tensor) []weights.Tensor {
			for i := range ts {
				for j := range ts[i].Float {
					ts[i].Float[j] = 1e30
				}
			}
			return ts
		}), []string{"epoch 1, step 1", "before anything was learnt"}, true},
		{"of an unfinished run", "squeezenet1_1", planner.Weights{Kind: "run", Runs: []string{"nowhere"}}, []string{"run nowhere", "is not finished"}, true},
		{"of a kind that is not known", "squeezenet1_1", planner.Weights{Kind: "dream"}, []string{"dream", "newer ftrun"}, true},
	}
	l := newLab(t)
	for _, test := range tests {
		l.run(from(test.arch, test.weights))
	}
	l.apply(0, 0, len(tests), 0)
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			st := l.status(l.plan.Runs[i].ID)
			wantText(t, []string{st.Error}, test.want...)
			wantText(t, l.log.texts(), append(test.want, l.plan.Runs[i].ID+" failed")...)
			if _, err := os.Stat(l.store.Run(st.ID).BestPath()); err == nil {
				t.Error("a failed run left best.safetensors")
			}
			if test.weights.Kind != "file" {
				return
			}
			switch err := CheckWeights(test.weights.Path, test.arch); {
			case test.later && err != nil:
				t.Errorf("a plan would refuse it: %v", err)
			case !test.later && err == nil:
				t.Error("a plan would take it")
			case err != nil:
				wantText(t, []string{err.Error()}, test.want...)
			}
		})
	}
}

func TestWeightsOfTheCatalogue(t *testing.T) {
	entry, ok := weights.Find("squeezenet1_1", "IMAGENET1K_V1")
	if !ok {
		t.Fatal("not in the catalogue")
	}
	catalogue := planner.Weights{Kind: "catalogue", Name: "IMAGENET1K_V1"}
	noNetwork := &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) { return nil, errors.New("no network here") })}

	t.Run("missing", func(t *testing.T) {
		l := newLab(t)
		dir := t.TempDir()
		l.opt.Weights = &weights.Cache{Download: dir, Client: noNetwork}
		l.run(from("squeezenet1_1", catalogue))
		l.apply(0, 0, 1, 0)
		wantText(t, l.log.texts(), entry.File, dir, "no network here", "To bring it by hand")
	})
	t.Run("altered", func(t *testing.T) {
		l := newLab(t)
		dir := t.TempDir()
		writeWeights(t, filepath.Join(dir, entry.File), "squeezenet1_1", nil)
		l.opt.Weights = &weights.Cache{Dirs: []string{dir}, Download: dir, Client: noNetwork}
		l.run(from("squeezenet1_1", catalogue))
		l.apply(0, 0, 1, 0)
		wantText(t, l.log.texts(), filepath.Join(dir, entry.File), "truncated or altered", entry.HashPrefix)
	})
	t.Run("unknown", func(t *testing.T) {
		l := newLab(t)
		l.run(from("squeezenet1_1", planner.Weights{Kind: "catalogue", Name: "MOON_V1"}))
		l.apply(0, 0, 1, 0)
		wantText(t, l.log.texts(), `no weights "MOON_V1" for squeezenet1_1`)
	})
	t.Run("there, pinned", func(t *testing.T) {
		file, found, err := weights.DefaultCache().Locate(entry)
		if !found {
			t.Skipf("%s is not on this machine (%v)", entry.File, err)
		}
		l := newLab(t)
		l.opt.Weights = &weights.Cache{Dirs: []string{filepath.Dir(file)}, Download: t.TempDir(), Client: noNetwork}
		pinned := map[string]string{}
		refuse := error(nil)
		l.opt.Pin = func(file, sum string) error {
			pinned[file] = sum
			return refuse
		}
		id := l.run(from("squeezenet1_1", catalogue))
		l.apply(1, 0, 0, 0)
		l.wantBody(id, tensorsOf(t, file))
		if pinned[entry.File] != fileHash(t, file) {
			t.Errorf("pinned %v", pinned)
		}
		refuse = errors.New("not the pinned one")
		l.run(from("squeezenet1_1", catalogue))
		l.apply(0, 1, 1, 0)
		wantText(t, l.log.texts(), "run1 failed", "not the pinned one")
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
