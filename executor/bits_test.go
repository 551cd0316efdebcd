package executor

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/planner"
)

// Three families, so that dropout, batch norm, residual sums and depthwise convolutions all take part.
func addFamilies(l *lab) {
	for _, f := range []struct {
		arch   string
		pixels int
	}{{"squeezenet1_1", size}, {"resnet18", 2 * size}, {"mobilenet_v2", 3 * size}} {
		// Not smaller: on a plane of one position batch norm would divide by the deviation of two to four values, and
		// gradients grow without bound.
		l.run(func(s *planner.Settings) {
			s.Arch, s.Optimizer.LR, s.Image.Resize, s.Image.Crop = f.arch, 1e-4, f.pixels, f.pixels
		})
	}
	l.run(func(s *planner.Settings) {
		s.Optimizer = planner.Optimizer{Kind: "adamw", LR: 0.001, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01}
		s.GradClip = 1
		s.LabelSmoothing = 0.1
	})
}

func TestSameBitsWhateverThreadsAndParallelism(t *testing.T) {
	var want []result
	for _, test := range []struct{ threads, parallelism int }{{1, 1}, {2, 1}, {4, 1}, {4, 2}} {
		l := newLab(t)
		addFamilies(l)
		l.opt.Threads, l.opt.Parallelism = test.threads, test.parallelism
		l.apply(4, 0, 0, 0)
		var got []result
		for _, run := range l.plan.Runs {
			got = append(got, l.result(run.ID))
		}
		if want == nil {
			want = got
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d threads, %d runs at once, differ from one thread: %s", test.threads, test.parallelism, d)
		}
	}
}

// A learning rate of zero and frozen statistics leave the weights as they were, so that runs with other batch sizes must
// say the same of every picture.
func TestSameAnswersWhateverTheBatch(t *testing.T) {
	for _, arch := range []string{"squeezenet1_1", "resnet18", "mobilenet_v2"} {
		t.Run(arch, func(t *testing.T) {
			l := newLab(t)
			l.dataset(planner.Synthetic{Task: "shapes", Classes: 2, Pictures: map[string]int{"train": 32, "val": 33}, Size: size})
			sizes := []int{1, 4, 8, 32}
			for _, n := range sizes {
				l.run(func(s *planner.Settings) {
					s.Arch, s.Epochs, s.BatchSize, s.BatchNorm, s.Trainable = arch, 1, n, "frozen", []string{"head"}
					s.Optimizer = planner.Optimizer{Kind: "sgd", LR: 0}
				})
			}
			l.apply(4, 0, 0, 0)
			want := l.result("run0")
			for i := 1; i < 4; i++ {
				got := l.result(fmt.Sprintf("run%d", i))
				if got.Predictions != want.Predictions {
					t.Errorf("batches of %d: predictions differ from those of batches of 1", sizes[i])
				}
				if got.Metrics.ValLoss != want.Metrics.ValLoss {
					t.Errorf("batches of %d: validation loss %v, with batches of 1 %v", sizes[i], got.Metrics.ValLoss, want.Metrics.ValLoss)
				}
			}

			// The predictor says the same again, of any number of pictures at a time.
			var paths []string
			for i := range 9 {
				paths = append(paths, writePicture(t, filepath.Join(t.TempDir(), fmt.Sprintf("%d.png", i)), i))
			}
			var alone []Answer
			for threads := 1; threads <= 4; threads *= 2 {
				device, err := cpu.New(threads)
				if err != nil {
					t.Fatal(err)
				}
				p, err := NewPredictor(device, l.network("run0", arch, []string{"a", "b"}))
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range []int{1, 4, 9} {
					var got []Answer
					for lo := 0; lo < len(paths); lo += n {
						answers, err := p.Predict(t.Context(), paths[lo:min(lo+n, len(paths))], 2)
						if err != nil {
							t.Fatal(err)
						}
						got = append(got, answers...)
					}
					if alone == nil {
						alone = got
					} else if d := cmp.Diff(alone, got); d != "" {
						t.Errorf("%d threads, %d pictures at a time: %s", threads, n, d)
					}
				}
				if err := p.Close(); err != nil {
					t.Error(err)
				}
				if err := device.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestRunsRepeatWithASeedAndDifferWithout(t *testing.T) {
	l := newLab(t)
	for range 3 {
		l.run(nil)
	}
	l.plan.Runs[2].Seed = 2
	l.apply(3, 0, 0, 0)
	a, b, c := l.result("run0"), l.result("run1"), l.result("run2")
	if d := cmp.Diff(a.Epochs, b.Epochs); d != "" || a.Predictions != b.Predictions {
		t.Errorf("two runs of the same settings and seed differ: %s", d)
	}
	if a.Predictions == c.Predictions {
		t.Error("another seed gives the same predictions")
	}
}

func TestPredictor(t *testing.T) {
	l := newLab(t)
	id := l.run(func(s *planner.Settings) { s.Epochs = 1 })
	l.apply(1, 0, 0, 0)
	device, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	p, err := NewPredictor(device, l.network(id, "squeezenet1_1", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if d := cmp.Diff([]string{"0", "1", "2"}, p.Classes); d != "" {
		t.Errorf("classes without names: %s", d)
	}
	dir := t.TempDir()
	text := filepath.Join(dir, "text.png")
	if err := os.WriteFile(text, []byte("no picture"), 0o666); err != nil {
		t.Fatal(err)
	}
	good := writePicture(t, filepath.Join(dir, "good.png"), 3)
	answers, err := p.Predict(t.Context(), []string{text, good, filepath.Join(dir, "none.png")}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if answers[0].Err == nil || answers[2].Err == nil || answers[1].Err != nil {
		t.Errorf("errors %v, %v, %v: want them of the first and the last picture only", answers[0].Err, answers[1].Err, answers[2].Err)
	}
	top := answers[1].Top
	if len(top) != 2 || top[0].Probability < top[1].Probability || len(answers[1].Logits) != 3 {
		t.Errorf("answer %+v", answers[1])
	}
	sum := 0.0
	for _, v := range answers[1].Logits {
		sum += math.Exp(float64(v))
	}
	if want := math.Exp(float64(answers[1].Logits[top[0].Index])) / sum; math.Abs(top[0].Probability-want) > 1e-6 {
		t.Errorf("probability %v, softmax says %v", top[0].Probability, want)
	}

	for name, test := range map[string]struct {
		arch    string
		classes []string
		want    string
	}{
		"other number of names": {"squeezenet1_1", []string{"a"}, "has 3 classes, but 1 names"},
		"other architecture":    {"resnet18", nil, "does not hold weights of resnet18"},
		"unknown architecture":  {"resnet19", nil, `no architecture "resnet19"`},
	} {
		if _, err := NewPredictor(device, l.network(id, test.arch, test.classes)); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			wantText(t, []string{err.Error()}, test.want)
		}
	}
}

// The predictor and a run's validation are two ways to the same answer.
func TestPredictorAgreesWithValidation(t *testing.T) {
	root := t.TempDir()
	for i := range 12 {
		split := "train"
		if i >= 8 {
			split = "val"
		}
		writePicture(t, filepath.Join(root, split, []string{"dark", "light"}[i%2], fmt.Sprintf("%d.png", i)), i)
	}
	l := newLab(t)
	l.describe(planner.Dataset{Name: "files", Kind: "imagefolder", Path: root, Splits: map[string]string{"train": "train", "val": "val"}})
	id := l.run(func(s *planner.Settings) { s.Epochs = 1 })
	l.apply(1, 0, 0, 0)
	predictions, err := l.store.Run(id).Predictions(l.status(id))
	if err != nil {
		t.Fatal(err)
	}
	device, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	p, err := NewPredictor(device, l.network(id, "squeezenet1_1", l.status(id).Classes))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var paths []string
	for _, pred := range predictions {
		paths = append(paths, filepath.Join(root, filepath.FromSlash(pred.Path)))
	}
	answers, err := p.Predict(t.Context(), paths, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(answers) != 4 {
		t.Fatalf("%d predictions, want 4", len(answers))
	}
	for i, a := range answers {
		if a.Err != nil {
			t.Fatal(a.Err)
		}
		probs, _ := softmax(a.Logits, 0)
		if d := cmp.Diff(predictions[i].Probs, probs); d != "" {
			t.Errorf("%s: %s", a.Path, d)
		}
		if a.Top[0].Index != predictions[i].Predicted() {
			t.Errorf("%s: class %d, validation said %d", a.Path, a.Top[0].Index, predictions[i].Predicted())
		}
	}
}

// writePicture draws picture number i: a pattern that no other number has.
func writePicture(t *testing.T, path string, i int) string {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 40+i, 36))
	for y := range 36 {
		for x := range 40 + i {
			m.Set(x, y, color.RGBA{uint8(x * (3 + i)), uint8(y*5 + 40*i), uint8(x*y + i), 255})
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, m); err != nil {
		t.Fatal(err)
	}
	return path
}
