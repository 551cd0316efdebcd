package executor

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/planner"
)

func TestModesChangeWhatTheySayAndNothingElse(t *testing.T) {
	// Trained a little, so that the running statistics fit and no layer is dead.
	before := newLab(t)
	before.dataset(planner.Synthetic{Task: "shapes", Classes: 5, Pictures: map[string]int{"train": 32, "val": 5}, Size: size})
	file := before.store.Run(before.run(func(s *planner.Settings) {
		s.Arch, s.BatchSize, s.Epochs, s.Optimizer.LR, s.Monitor = "mobilenet_v2", 8, 3, 1e-6, "val_loss"
	})).BestPath()
	before.apply(1, 0, 0, 0)
	start, sum := tensorsOf(t, file), fileHash(t, file)

	head := func(name string) bool { return strings.HasPrefix(name, "classifier.1.") }
	last := func(name string) bool { return strings.HasPrefix(name, "features.18.") }
	all := func(string) bool { return true }
	none := func(string) bool { return false }
	either := func(f, g func(string) bool) func(string) bool {
		return func(name string) bool { return f(name) || g(name) }
	}
	tests := []struct {
		name      string
		trainable []string
		batchNorm string
		weights   func(string) bool // that change
		buffers   func(string) bool // running statistics and counters that move
	}{
		{"finetune", []string{"**"}, "train", all, all},
		{"finetune, statistics frozen", []string{"**"}, "frozen", all, none},
		{"extract", []string{"head"}, "frozen", head, none},
		{"extract as in the tutorial", []string{"head"}, "train", head, all},
		{"some layers", []string{"features.18.**", "head"}, "auto", either(head, last), last},
		{"some layers, all statistics", []string{"features.18.**", "head"}, "train", either(head, last), all},
		{"batch norm alone", []string{"features.18.1.*"}, "auto", func(name string) bool { return strings.HasPrefix(name, "features.18.1.") }, last},
	}
	l := newLab(t)
	for _, test := range tests {
		l.run(func(s *planner.Settings) {
			s.Arch, s.Mode, s.Epochs, s.Trainable, s.BatchNorm = "mobilenet_v2", "finetune", 1, test.trainable, test.batchNorm
			s.Weights = planner.Weights{Kind: "file", Path: file, SHA256: sum}
			// Adam moves whatever has a gradient, however small: where frozen statistics do not fit, most are.
			s.Optimizer = planner.Optimizer{Kind: "adam", LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-18}
		})
	}
	l.apply(len(tests), 0, 0, 0)
	fresh := l.best("run2") // a new head, for those that don't train it
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := l.best(l.plan.Runs[i].ID)
			if len(got) != len(start) {
				t.Fatalf("%d tensors, want %d", len(got), len(start))
			}
			for name, was := range start {
				is := got[name]
				if len(was.Int) > 0 { // num_batches_tracked
					want := was.Int[0]
					if test.buffers(name) {
						want += 4
					}
					if !slices.Equal(is.Int, []int64{want}) {
						t.Errorf("%s is %v, want %d", name, is.Int, want)
					}
					continue
				}
				if head(name) {
					if !slices.Equal(is.Shape, fresh[name].Shape) {
						t.Errorf("%s is %v: it was not made anew for 3 classes", name, is.Shape)
					}
					continue
				}
				want := test.weights(name)
				if strings.Contains(name, "running_") {
					want = test.buffers(name)
				}
				if changed := !slices.Equal(is.Float, was.Float); changed != want {
					t.Errorf("%s changed: %v, want %v", name, changed, want)
				}
			}
		})
	}
	// The head: the same new values in all runs of a seed, and learnt where it is trained.
	untouched, learnt := l.best("run6"), l.best("run2")
	if slices.Equal(untouched["classifier.1.weight"].Float, learnt["classifier.1.weight"].Float) {
		t.Error("the head did not learn")
	}
}

func TestScratchTrainsEverything(t *testing.T) {
	l := newLab(t)
	l.run(func(s *planner.Settings) {
		s.Arch, s.Epochs, s.Optimizer.LR, s.BatchNorm = "mobilenet_v2", 1, 0, "frozen"
	})
	l.run(func(s *planner.Settings) { s.Arch, s.Epochs = "mobilenet_v2", 1 })
	l.apply(2, 0, 0, 0)
	start, got := l.best("run0"), l.best("run1")
	for name, was := range start {
		if len(was.Int) > 0 {
			if was.Int[0] != 0 || got[name].Int[0] != 4 {
				t.Errorf("%s is %v and %v, want 0 and, after 4 steps, 4", name, was.Int, got[name].Int)
			}
		} else if slices.Equal(was.Float, got[name].Float) {
			t.Errorf("%s did not change", name)
		}
	}
	if v := start["features.0.1.running_var"].Float[0]; v != 1 {
		t.Errorf("a running variance starts at %v, want 1", v)
	}
}

// oneStep is a run of a single step over all pictures, from the same weights each time, without dropout.
func oneStep(s *planner.Settings) {
	s.Arch, s.Epochs, s.BatchSize, s.BatchNorm = "resnet18", 1, 14, "frozen"
	s.Optimizer = planner.Optimizer{Kind: "sgd", LR: 0.01}
}

// moved is how far a parameter went from the first tensors to the others.
func moved(from, to map[string]weights.Tensor, name string) []float64 {
	d := make([]float64, len(from[name].Float))
	for i, v := range to[name].Float {
		d[i] = float64(v) - float64(from[name].Float[i])
	}
	return d
}

func norm(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x * x
	}
	return math.Sqrt(sum)
}

func TestParameterGroups(t *testing.T) {
	l := newLab(t)
	ptr := func(v float64) *float64 { return &v }
	start := l.run(func(s *planner.Settings) { oneStep(s); s.Optimizer.LR = 0 })
	plain := l.run(oneStep)
	grouped := l.run(func(s *planner.Settings) {
		oneStep(s)
		s.ParamGroups = []planner.ParamGroup{
			{Pattern: "layer1.**", LR: ptr(0)},
			{Pattern: "layer*.**", LR: ptr(0.03)}, // layer1 is taken
			{Pattern: "fc", WeightDecay: ptr(0.5)},
		}
	})
	l.apply(3, 0, 0, 0)
	s, p, g := l.best(start), l.best(plain), l.best(grouped)
	for name := range s {
		if strings.Contains(name, "running_") || strings.HasSuffix(name, "tracked") {
			continue
		}
		factor, decay := 1.0, 0.0
		switch {
		case strings.HasPrefix(name, "layer1."):
			factor = 0
		case strings.HasPrefix(name, "layer"):
			factor = 3
		case strings.HasPrefix(name, "fc."):
			decay = 0.5
		}
		want, got := moved(s, p, name), moved(s, g, name)
		for i := range want {
			want[i] = factor*want[i] - 0.01*decay*float64(s[name].Float[i])
			if math.Abs(want[i]-got[i]) > 2e-7+1e-4*math.Abs(want[i]) {
				t.Errorf("%s[%d] moved by %g, want %g", name, i, got[i], want[i])
				break
			}
		}
	}
}

func TestGradientsAreClipped(t *testing.T) {
	l := newLab(t)
	start := l.run(func(s *planner.Settings) { oneStep(s); s.Optimizer.LR = 0 })
	for _, clip := range []float64{0, 0.5, 1e6} {
		l.run(func(s *planner.Settings) { oneStep(s); s.GradClip = clip; s.Optimizer.LR = 1 })
	}
	l.apply(4, 0, 0, 0)
	length := func(id string) float64 {
		from, to := l.best(start), l.best(id)
		var all []float64
		for name := range from {
			if len(from[name].Float) > 0 {
				all = append(all, norm(moved(from, to, name)))
			}
		}
		return norm(all)
	}
	free, clipped, loose := length("run1"), length("run2"), length("run3")
	if free < 0.6 {
		t.Fatalf("the gradient's norm is %g: too small for this test", free)
	}
	if math.Abs(clipped-0.5) > 1e-3 {
		t.Errorf("clipped to 0.5, the gradient's norm is %g", clipped)
	}
	if math.Abs(loose-free) > 1e-12 {
		t.Errorf("a limit above the norm changed it from %g to %g", free, loose)
	}
}

// still makes a data set whose training and validation pictures are the same, and runs whose weights do not move, so that
// the training figures must be those that follow from the predictions.
func still(t *testing.T, l *lab) (train func(batch int, edit func(*planner.Settings)) (e runlog.Epoch, predictions []runlog.Prediction)) {
	root := t.TempDir()
	for i := range 11 {
		class := []string{"a", "b", "c"}[min(i/2, 2)] // 2, 2 and 7 pictures
		for _, split := range []string{"train", "val"} {
			writePicture(t, filepath.Join(root, split, class, fmt.Sprintf("%d.png", i)), i)
		}
	}
	l.describe(planner.Dataset{Name: "files", Kind: "imagefolder", Path: root, Splits: map[string]string{"train": "train", "val": "val"}})
	return func(batch int, edit func(*planner.Settings)) (runlog.Epoch, []runlog.Prediction) {
		t.Helper()
		id := l.run(func(s *planner.Settings) {
			oneStep(s)
			s.BatchSize, s.Augment, s.Optimizer.LR = batch, nil, 0
			edit(s)
		})
		l.apply(1, len(l.plan.Runs)-1, 0, 0)
		predictions, err := l.store.Run(id).Predictions(l.status(id))
		if err != nil {
			t.Fatal(err)
		}
		return l.epochs(id)[0], predictions
	}
}

func TestTrainingFiguresFollowFromThePredictions(t *testing.T) {
	l := newLab(t)
	train := still(t, l)
	counts := []float64{2, 2, 7}
	for _, test := range []struct {
		name      string
		batch     int
		smoothing float64
		balanced  bool
	}{
		{"plain, uneven batches", 4, 0, false},
		{"label smoothing", 4, 0.2, false},
		{"class weights", 11, 0, true},
		{"both", 11, 0.2, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, predictions := train(test.batch, func(s *planner.Settings) {
				s.LabelSmoothing = test.smoothing
				if test.balanced {
					s.ClassWeights = "balanced"
				}
			})
			weight := func(class int) float64 {
				if !test.balanced {
					return 1
				}
				return 11 / (3 * counts[class])
			}
			loss, weights, correct, plain := 0.0, 0.0, 0, 0.0
			for _, p := range predictions {
				smooth := 0.0
				for k, prob := range p.Probs {
					smooth -= weight(k) * math.Log(float64(prob)) / 3
				}
				own := -math.Log(float64(p.Probs[p.Class]))
				loss += (1-test.smoothing)*weight(p.Class)*own + test.smoothing*smooth
				weights += weight(p.Class)
				plain += own / 11
				if p.Predicted() == p.Class {
					correct++
				}
			}
			if want := loss / weights; math.Abs(e.TrainLoss-want) > 1e-5 {
				t.Errorf("training loss %.7f, from the predictions %.7f", e.TrainLoss, want)
			}
			if math.Abs(e.ValLoss-plain) > 1e-5 {
				t.Errorf("validation loss %.7f, from the predictions %.7f", e.ValLoss, plain)
			}
			if want := float64(correct) / 11; e.TrainAcc != want || e.ValAcc != want {
				t.Errorf("accuracies %v and %v, from the predictions %v", e.TrainAcc, e.ValAcc, want)
			}
		})
	}
}

func TestValidationFiguresFollowFromThePredictions(t *testing.T) {
	l := newLab(t)
	l.dataset(planner.Synthetic{Task: "shapes", Classes: 7, Pictures: map[string]int{"train": 14, "val": 30}, Size: size})
	id := l.run(func(s *planner.Settings) { s.Epochs = 1 })
	l.apply(1, 0, 0, 0)
	e := l.epochs(id)[0]
	predictions, err := l.store.Run(id).Predictions(l.status(id))
	if err != nil {
		t.Fatal(err)
	}
	confusion := make([][]int, 7)
	for i := range confusion {
		confusion[i] = make([]int, 7)
	}
	correct, top5, loss := 0, 0, 0.0
	for _, p := range predictions {
		if p.SHA256 == "" || p.Path == "" || len(p.Probs) != 7 {
			t.Fatalf("incomplete: %+v", p)
		}
		confusion[p.Class][p.Predicted()]++
		if p.Predicted() == p.Class {
			correct++
		}
		better := 0
		for k, v := range p.Probs {
			if v > p.Probs[p.Class] || v == p.Probs[p.Class] && k < p.Class {
				better++
			}
		}
		if better < 5 {
			top5++
		}
		loss -= math.Log(float64(p.Probs[p.Class])) / 30
	}
	if len(predictions) != 30 || e.ValAcc != float64(correct)/30 || e.ValTop5 != float64(top5)/30 || math.Abs(e.ValLoss-loss) > 1e-5 {
		t.Errorf("%d predictions; accuracy %v, top 5 %v, loss %v; want 30, %v, %v, %v", len(predictions),
			e.ValAcc, e.ValTop5, e.ValLoss, float64(correct)/30, float64(top5)/30, loss)
	}
	if d := cmp.Diff(confusion, e.Confusion); d != "" {
		t.Error(d)
	}
	for i, row := range confusion {
		sum := 0
		for _, v := range row {
			sum += v
		}
		if want := float64(row[i]) / float64(sum); e.PerClass[i] != want {
			t.Errorf("accuracy of class %d is %v, want %v", i, e.PerClass[i], want)
		}
	}
}

func TestTally(t *testing.T) {
	t.Run("two classes have no top 5", func(t *testing.T) {
		c := newTally(2)
		c.add([]float32{1, 2}, 1)
		c.add([]float32{3, 2}, 1)
		var e runlog.Epoch
		c.into(&e)
		if e.ValTop5 != 0 || e.ValAcc != 0.5 {
			t.Errorf("%+v", e)
		}
		if d := cmp.Diff([][]int{{0, 0}, {1, 1}}, e.Confusion); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]float64{0, 0.5}, e.PerClass); d != "" { // no picture of class 0
			t.Error(d)
		}
	})
	t.Run("more classes than a matrix is kept for", func(t *testing.T) {
		c := newTally(runlog.MaxConfusion + 1)
		c.add(make([]float32, runlog.MaxConfusion+1), 4)
		var e runlog.Epoch
		c.into(&e)
		if e.Confusion != nil || len(e.PerClass) != runlog.MaxConfusion+1 || e.ValTop5 != 1 || e.ValAcc != 0 {
			t.Errorf("%+v", e)
		}
	})
	t.Run("great logits", func(t *testing.T) {
		probs, nll := softmax([]float32{1000, -1000}, 1)
		if probs[0] != 1 || probs[1] != 0 || nll != 2000 {
			t.Errorf("probabilities %v, loss %v", probs, nll)
		}
	})
}

func TestSchedules(t *testing.T) {
	const lr, epochs, steps = 0.001, 5, 4
	tests := []struct {
		name string
		s    planner.Schedule
		want func(epoch int) float64 // from 0, at the epoch's last step; by torch's documentation
	}{
		{"step", planner.Schedule{Kind: "step", StepSize: 2, Gamma: 0.1}, func(e int) float64 { return lr * math.Pow(0.1, float64(e/2)) }},
		{"multistep", planner.Schedule{Kind: "multistep", Milestones: []int{1, 3}, Gamma: 0.5}, func(e int) float64 {
			return lr * []float64{1, 0.5, 0.5, 0.25, 0.25}[e]
		}},
		{"cosine", planner.Schedule{Kind: "cosine", MinLR: 1e-4}, func(e int) float64 {
			return 1e-4 + (lr-1e-4)*(1+math.Cos(math.Pi*float64(e)/epochs))/2
		}},
		{"constant after warmup", planner.Schedule{Kind: "constant", Warmup: 2}, func(e int) float64 { return lr * []float64{0.5, 1, 1, 1, 1}[e] }},
		{"step after warmup", planner.Schedule{Kind: "step", StepSize: 2, Gamma: 0.1, Warmup: 1}, func(e int) float64 {
			return lr * []float64{1, 1, 1, 0.1, 0.1}[e]
		}},
		{"onecycle", planner.Schedule{Kind: "onecycle", MaxLR: lr, PctStart: 0.3}, func(e int) float64 {
			at, top, end := float64(steps*e+steps-1), 0.3*epochs*steps-1, float64(epochs*steps-1)
			cosine := func(from, to, part float64) float64 { return to + (from-to)/2*(math.Cos(math.Pi*part)+1) }
			if at <= top {
				return cosine(lr/25, lr, at/top)
			}
			return cosine(lr, lr/25/1e4, (at-top)/(end-top))
		}},
	}
	l := newLab(t)
	for _, test := range tests {
		l.run(func(s *planner.Settings) {
			s.Epochs, s.Schedule, s.Optimizer.LR, s.Trainable = epochs, &test.s, lr, []string{"head"}
		})
	}
	l.apply(len(tests), 0, 0, 0)
	for i, test := range tests {
		for e, got := range l.epochs(l.plan.Runs[i].ID) {
			if want := test.want(e); math.Abs(got.LR-want) > 1e-12 {
				t.Errorf("%s: learning rate %g in epoch %d, want %g", test.name, got.LR, e+1, want)
			}
		}
	}
}

func TestScheduleReachesTheOptimizer(t *testing.T) {
	l := newLab(t)
	id := l.run(func(s *planner.Settings) {
		s.Epochs, s.Optimizer = 3, planner.Optimizer{Kind: "sgd", LR: 0.01}
		s.Schedule = &planner.Schedule{Kind: "multistep", Milestones: []int{2}, Gamma: 0}
	})
	l.apply(1, 0, 0, 0)
	e := l.epochs(id)
	if e[0].ValLoss == e[1].ValLoss || e[1].ValLoss != e[2].ValLoss {
		t.Errorf("validation losses %v, %v, %v: want learning in epoch 2 and none in epoch 3", e[0].ValLoss, e[1].ValLoss, e[2].ValLoss)
	}
}

func TestPlateauFollowsTheMonitor(t *testing.T) {
	l := newLab(t)
	// Nothing is learnt at a rate of 1e-20, so that no epoch is better than the first.
	id := l.run(func(s *planner.Settings) {
		s.Epochs, s.Optimizer.LR, s.Monitor = 6, 1e-20, "val_loss"
		s.Schedule = &planner.Schedule{Kind: "plateau", Factor: 0.1, Patience: 1}
	})
	faster := l.run(func(s *planner.Settings) {
		s.Epochs, s.Optimizer.LR, s.Trainable, s.BatchSize = 6, 1e-5, []string{"head"}, 14
		s.Schedule = &planner.Schedule{Kind: "plateau", Factor: 0.1, Patience: 1}
	})
	l.apply(2, 0, 0, 0)
	for _, e := range l.epochs(id) {
		if e.LR != 1e-20 { // reductions of less than 1e-8 are left out, as torch does
			t.Errorf("learning rate %g in epoch %d", e.LR, e.Epoch)
		}
	}
	// Two bad epochs in a row reduce the rate of those that follow.
	lr, best, bad := 1e-5, 0.0, 0
	for _, e := range l.epochs(faster) {
		if math.Abs(e.LR-lr) > 1e-15 {
			t.Errorf("learning rate %g in epoch %d, want %g", e.LR, e.Epoch, lr)
		}
		switch {
		case e.Epoch == 1 || e.ValAcc > best*(1+1e-4):
			best, bad = e.ValAcc, 0
		case bad == 1:
			lr, bad = lr/10, 0
		default:
			bad++
		}
	}
	if lr == 1e-5 {
		t.Error("the rate was never reduced: the test shows nothing")
	}
}

func TestStalled(t *testing.T) {
	for _, test := range []struct {
		name   string
		stop   *planner.EarlyStop
		values []float64
		want   bool
	}{
		{"no early stopping", nil, []float64{0.5, 0.5, 0.5}, false},
		{"still rising", &planner.EarlyStop{Monitor: "val_acc", Patience: 1}, []float64{0.5, 0.6}, false},
		{"equal is no improvement", &planner.EarlyStop{Monitor: "val_acc", Patience: 1}, []float64{0.5, 0.5}, true},
		{"patience not over", &planner.EarlyStop{Monitor: "val_acc", Patience: 2}, []float64{0.5, 0.4}, false},
		{"patience over", &planner.EarlyStop{Monitor: "val_acc", Patience: 2}, []float64{0.5, 0.4, 0.45}, true},
		{"better in between", &planner.EarlyStop{Monitor: "val_acc", Patience: 2}, []float64{0.5, 0.4, 0.55, 0.5}, false},
		{"by less than min_delta", &planner.EarlyStop{Monitor: "val_acc", Patience: 2, MinDelta: 0.1}, []float64{0.5, 0.55, 0.58}, true},
		{"small steps add up to min_delta", &planner.EarlyStop{Monitor: "val_acc", Patience: 2, MinDelta: 0.1}, []float64{0.5, 0.55, 0.65}, false},
		{"a loss falls", &planner.EarlyStop{Monitor: "val_loss", Patience: 1}, []float64{0.5, 0.4}, false},
		{"a loss rises", &planner.EarlyStop{Monitor: "val_loss", Patience: 1}, []float64{0.5, 0.6}, true},
		{"before the first epoch", &planner.EarlyStop{Monitor: "val_loss", Patience: 1}, nil, false},
	} {
		var history []runlog.Epoch
		for _, v := range test.values {
			history = append(history, runlog.Epoch{ValAcc: v, ValLoss: v})
		}
		if got := stalled(test.stop, history); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestEarlyStopEndsTheRunAndTheBestIsKept(t *testing.T) {
	l := newLab(t)
	id := l.run(func(s *planner.Settings) {
		s.Epochs, s.Optimizer.LR = 10, 0 // squeezenet has no statistics that move: every epoch is like the first
		s.EarlyStop = &planner.EarlyStop{Monitor: "val_loss", Patience: 3}
	})
	l.apply(1, 0, 0, 0)
	if m := l.status(id).Result.Metrics; m.Epochs != 4 || m.BestEpoch != 1 {
		t.Errorf("%d epochs, the best is %d; want 4 and the earliest of equals", m.Epochs, m.BestEpoch)
	}
	l.apply(0, 1, 0, 0)
}

func TestMonitorChoosesTheBest(t *testing.T) {
	l := newLab(t)
	monitors := []string{"val_acc", "val_loss"}
	for _, monitor := range monitors {
		l.run(func(s *planner.Settings) { s.Epochs, s.Monitor, s.Optimizer.LR = 5, monitor, 0.02 })
	}
	l.apply(2, 0, 0, 0)
	chosen := map[int]bool{}
	for i, monitor := range monitors {
		id := l.plan.Runs[i].ID
		epochs, m := l.epochs(id), l.status(id).Result.Metrics
		best := 0
		for j, e := range epochs {
			d := e.Value(monitor) - epochs[best].Value(monitor)
			if strings.HasSuffix(monitor, "loss") {
				d = -d
			}
			if d > 0 {
				best = j
			}
		}
		if m.BestEpoch != best+1 {
			t.Errorf("monitor %s chose epoch %d, the best is %d", monitor, m.BestEpoch, best+1)
		}
		last := epochs[len(epochs)-1]
		if e := epochs[best]; m.ValAcc != e.ValAcc || m.ValLoss != e.ValLoss || m.TrainAcc != e.TrainAcc || m.TrainLoss != e.TrainLoss {
			t.Errorf("monitor %s: metrics %+v are not those of epoch %+v", monitor, m, e)
		}
		if m.LastValAcc != last.ValAcc || m.LastValLoss != last.ValLoss || m.Epochs != 5 {
			t.Errorf("monitor %s: the last are not those of the last epoch: %+v", monitor, m)
		}
		chosen[m.BestEpoch] = true
	}
	if len(chosen) < 2 {
		t.Error("all monitors chose the same epoch: the test shows nothing")
	}
}

func TestTestSplitIsEvaluatedOnTheBest(t *testing.T) {
	root := t.TempDir()
	for i := range 16 {
		splits := []string{"train"}
		if i >= 8 { // the test pictures are those of validation, so that the best epoch's figures must come out again
			splits = []string{"val", "test"}
		}
		for _, split := range splits {
			writePicture(t, filepath.Join(root, split, []string{"a", "b"}[i%2], fmt.Sprintf("%d.png", i)), i)
		}
	}
	l := newLab(t)
	l.describe(planner.Dataset{Name: "files", Kind: "imagefolder", Path: root, Splits: map[string]string{"train": "train", "val": "val", "test": "test"}})
	id := l.run(func(s *planner.Settings) { s.Epochs, s.Optimizer.LR, s.Monitor = 4, 0.05, "val_loss" })
	l.dataset(planner.Synthetic{Task: "textures", Classes: 2, Pictures: map[string]int{"train": 8, "val": 4}, Size: size})
	without := l.run(func(s *planner.Settings) { s.Epochs = 1 })
	l.apply(2, 0, 0, 0)
	m := l.status(id).Result.Metrics
	if m.TestAcc == nil || *m.TestAcc != m.ValAcc || *m.TestLoss != m.ValLoss {
		t.Errorf("test figures of %+v are not those of the best epoch", m)
	}
	if m.BestEpoch == m.Epochs {
		t.Error("the best epoch is the last: the test shows nothing")
	}
	if m := l.status(without).Result.Metrics; m.TestAcc != nil || m.TestLoss != nil {
		t.Error("figures of a test split that is not there")
	}
}

func TestResultRecordsHowItCameAbout(t *testing.T) {
	l := newLab(t)
	id := l.run(nil)
	l.opt.Threads, l.opt.Parallelism = 4, 2
	l.run(func(s *planner.Settings) { s.Optimizer.LR = 0.02 })
	l.apply(2, 0, 0, 0)
	st := l.status(id)
	r := st.Result
	if r.Device != "cpu" || r.Path == "" || r.Threads != 2 || r.Version != "test" {
		t.Errorf("device %q, path %q, threads %d, version %q", r.Device, r.Path, r.Threads, r.Version)
	}
	if r.Timing.Seconds <= 0 || r.Timing.TrainSeconds <= 0 || r.Timing.ValSeconds <= 0 || r.Timing.ImagesPerSecond <= 0 {
		t.Errorf("timing %+v", r.Timing)
	}
	if low := 2 * 4 * r.Params.Total; r.Timing.PeakMemory < low { // parameters and momentum at least
		t.Errorf("peak memory %d, want more than %d", r.Timing.PeakMemory, low)
	}
	if st.Arch != "squeezenet1_1" || len(st.Classes) != 3 || st.Name != "sweep0 seed 1" || st.Started.IsZero() || st.Epoch != 2 {
		t.Errorf("status %+v", st)
	}
	var config planner.Description
	if err := l.store.Run(id).ReadConfig(&config); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(l.plan.Describe(&l.plan.Runs[0]), config); d != "" {
		t.Errorf("config.json: %s", d)
	}
}

func TestBatchNormOverOneValueIsRefused(t *testing.T) {
	l := newLab(t)
	l.dataset(planner.Synthetic{Task: "textures", Classes: 2, Pictures: map[string]int{"train": 5, "val": 4}, Size: size})
	id := l.run(func(s *planner.Settings) { s.Arch = "resnet18" }) // whose last layers are 1×1 on such pictures
	l.run(func(s *planner.Settings) { s.Arch, s.BatchNorm, s.Epochs = "resnet18", "frozen", 1 })
	l.run(func(s *planner.Settings) { s.Arch, s.BatchSize, s.Epochs = "resnet18", 3, 1 })
	l.apply(2, 0, 1, 0)
	wantText(t, l.log.texts(), id, "one value a channel", "layer4.0.bn1", "batch_size", "frozen")
}
