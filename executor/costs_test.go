package executor

import (
	"context"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/internal/kernels/speed"
	"github.com/ftrun/ftrun/models"
	"github.com/ftrun/ftrun/planner"
)

// costed is a training of an architecture that is to be estimated, in one of BenchModes, on 100 pictures of two classes.
func costed(arch, mode string, batch int) (*planner.Settings, *planner.Dataset) {
	info, _ := models.Lookup(arch)
	trainable := map[string]string{"finetune": "**", "extract": models.Head}[mode]
	return &planner.Settings{
			Arch: arch, Trainable: []string{trainable}, BatchNorm: models.BatchNormAuto, Epochs: 10, BatchSize: batch,
			Image: planner.Image{Crop: info.Crop}, Optimizer: planner.Optimizer{Kind: "sgd", LR: 1, Momentum: 0.9},
			Weights: planner.Weights{Kind: "none"}, Numerics: kernels.Default.String(), Precision: "fp32",
		}, &planner.Dataset{
			Classes: []string{"a", "b"}, Pictures: map[string]int{data.Train: 100, data.Val: 40},
		}
}

// onlyMacs is a machine on which nothing takes time but multiply-adds: a nanosecond each.
func onlyMacs() *speed.Profile {
	var p speed.Profile
	for i := range p.Macs {
		for j := range p.Macs[i] {
			p.Macs[i][j] = 1e-9
		}
	}
	return &p
}

func newCosts(t *testing.T, p *speed.Profile) *Costs {
	t.Helper()
	return &Costs{Device: benchDevice(t), Threads: 2, Speeds: p, CacheBytes: 1 << 30, FeatureMemory: 512 << 20, SaveAfter: 2}
}

// What is rehearsed is what the shapes say: the multiply-adds of nn.Net.Work, of the whole network and of its parts.
func TestRehearsedWork(t *testing.T) {
	const batch = 4
	for _, arch := range []string{"resnet18", "squeezenet1_1", "mobilenet_v2", "alexnet", "densenet121", "vgg11_bn"} {
		for _, mode := range []string{"finetune", "extract"} {
			t.Run(arch+" "+mode, func(t *testing.T) {
				c := newCosts(t, onlyMacs())
				set, of := costed(arch, mode, batch)
				net, err := models.Build(arch, 2, set.Image.Crop)
				if err != nil {
					t.Fatal(err)
				}
				trainable, err := models.Match(net, set.Trainable)
				if err != nil {
					t.Fatal(err)
				}
				k, err := c.rehearse(set, of, &planner.Sharing{})
				if err != nil {
					t.Fatal(err)
				}
				train, eval := net.Work(trainable), net.Work(nil)
				nodes := 3000 * nodeSeconds // at most
				for _, part := range []struct {
					name      string
					got, want float64
				}{
					{"training", k.step, 1e-9 * batch * float64(train.Forward+train.Backward)},
					{"evaluation", k.evaluation, 1e-9 * batch * float64(eval.Forward)},
				} {
					if part.got < part.want || part.got > part.want+nodes {
						t.Errorf("%s: %v s a batch, want %v and up to %v for the nodes", part.name, part.got, part.want, nodes)
					}
				}
				if mode == "finetune" {
					return
				}
				cut, ok := net.Cut(false, trainable, models.BatchStats(net, trainable, set.BatchNorm))
				if !ok {
					t.Fatal("no cut")
				}
				features := &planner.Features{Layer: net.Name(cut.At), Shape: [3]int{1, 1, 1}, Pictures: 40, Views: 1}
				shared, err := c.rehearse(set, of, &planner.Sharing{Val: features})
				if err != nil {
					t.Fatal(err)
				}
				want := 1e-9 * batch * float64(eval.Forward-cut.Work)
				if shared.evaluation < want || shared.evaluation > want+nodes {
					t.Errorf("evaluation on features: %v s a batch, want %v", shared.evaluation, want)
				}
				before := c.Features(set, of, &planner.Sharing{Val: features}).Seconds
				if want := 1e-9 * 40 * float64(cut.Work); before < want || before > want+1 {
					t.Errorf("the features of 40 pictures: %v s, want %v and something for decoding", before, want)
				}
			})
		}
	}
}

func TestTrainingCosts(t *testing.T) {
	c := newCosts(t, onlyMacs())
	set, of := costed("squeezenet1_1", "finetune", 8)
	nothing := &planner.Sharing{}
	whole, half, last := c.Training(set, of, nothing, 0), c.Training(set, of, nothing, 5), c.Training(set, of, nothing, 9)
	epoch := (half.Seconds - last.Seconds) / 4
	if got, want := whole.Seconds-half.Seconds, 5*epoch; math.Abs(got/want-1) > 0.02 {
		t.Errorf("five epochs of ten take %v s, want %v", got, want)
	}
	if whole.Memory != half.Memory || whole.Disk != half.Disk {
		t.Errorf("memory and disk depend on what is done: %+v, %+v", whole, half)
	}

	// What was measured goes before what is worked out, for that sort alone.
	sort := SortOf(set, of, nothing, c.CacheBytes)
	c.Paces = func(s Sort) (Pace, bool) { return Pace{Train: 50, Val: 25}, s == sort }
	if got := c.Training(set, of, nothing, 9).Seconds; got < 50*100+25*40 || got > 50*100+25*40+2 {
		t.Errorf("an epoch at the pace of before takes %v s, want 6000", got)
	}
	other := *set
	other.BatchSize = 16
	if got := c.Training(&other, of, nothing, 9).Seconds; got > 1000 {
		t.Errorf("an epoch of another batch size takes %v s, as the one that was measured", got)
	}

	// Settings that make no difference to the arithmetic are rehearsed once.
	before := len(c.courses)
	for _, lr := range []float64{0.1, 0.2} {
		other.Optimizer.LR, other.Epochs = lr, 3
		c.Training(&other, of, nothing, 0)
	}
	if len(c.courses) != before {
		t.Errorf("%d networks were rehearsed for two learning rates", len(c.courses)-before)
	}
}

// What decoding takes is counted in every epoch where memory does not hold the pictures, and once where it is in the pace of
// such epochs.
func TestDecodingIsCountedOnce(t *testing.T) {
	set, of := costed("squeezenet1_1", "finetune", 8)
	of.Pictures = map[string]int{data.Train: 1e6, data.Val: 1e6}
	nothing := &planner.Sharing{}
	decode := 2e6 * decodePixel * decodedPixels / 2 // of all of them, on two threads
	paced := func(Sort) (Pace, bool) { return Pace{Train: 1e-3, Val: 1e-3}, true }
	for _, test := range []struct {
		name  string
		cache int64
		want  [2]float64 // decodings in the first and in each later epoch
		paces func(Sort) (Pace, bool)
	}{
		{"held by memory", math.MaxInt64, [2]float64{1, 0}, nil},
		{"not held", 0, [2]float64{1, 1}, nil},
		{"held, at a pace", math.MaxInt64, [2]float64{1, 0}, paced},
		{"not held, at a pace", 0, [2]float64{0, 0}, paced},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCosts(t, onlyMacs())
			c.Paces, c.CacheBytes, c.SaveAfter = test.paces, test.cache, math.MaxFloat64
			k, err := c.rehearse(set, of, nothing)
			if err != nil {
				t.Fatal(err)
			}
			epoch := 2e6 * 1e-3
			if test.paces == nil {
				epoch = 1e6*(k.step/8+k.evaluation/8) + 2e6*c.fetch(set, nil)
			}
			for i, done := range []int{9, 8} {
				got, epochs := c.Training(set, of, nothing, done).Seconds, float64(1+i)
				want := epochs*epoch + decode*(test.want[0]+float64(i)*test.want[1])
				if math.Abs(got-want) > 10 {
					t.Errorf("%v epochs take %v s, want %v", epochs, got, want)
				}
			}
		})
	}
	if SortOf(set, of, nothing, 0) == SortOf(set, of, nothing, math.MaxInt64) {
		t.Error("trainings that decode in each epoch are of the same sort as others")
	}
}

// Memory and disk are known of a machine whose speed is not.
func TestCostsWithoutSpeeds(t *testing.T) {
	set, of := costed("squeezenet1_1", "extract", 8)
	sharing := &planner.Sharing{Val: &planner.Features{Layer: "x", Shape: [3]int{1, 1, 1}, Pictures: 40, Views: 1, Bytes: 160}}
	for _, ask := range []func(*Costs) planner.Estimate{
		func(c *Costs) planner.Estimate { return c.Training(set, of, &planner.Sharing{}, 0) },
		func(c *Costs) planner.Estimate { return c.Features(set, of, sharing) },
	} {
		want := ask(newCosts(t, onlyMacs()))
		if want.Seconds == 0 || want.Memory == 0 || want.Disk == 0 {
			t.Errorf("with speeds: %+v", want)
		}
		want.Seconds = 0
		if got := ask(newCosts(t, nil)); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// TestEstimatedDisk holds the estimate to what runs leave, within 10 %.
func TestEstimatedDisk(t *testing.T) {
	l := newLab(t)
	l.dataset(planner.Synthetic{Task: "shapes", Classes: 3, Pictures: map[string]int{"train": 12, "val": 40}, Size: 32, Seed: 1})
	c := newCosts(t, onlyMacs())
	for name, edit := range map[string]func(*planner.Settings){
		"head": func(s *planner.Settings) { s.Trainable, s.Epochs = []string{models.Head}, 12 },
		"all":  func(s *planner.Settings) { s.Epochs = 1 },
		"adam": func(s *planner.Settings) {
			s.Epochs, s.Optimizer = 1, planner.Optimizer{Kind: "adam", LR: 1e-4, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := l.run(edit)
			l.apply(1, len(l.plan.Runs)-1, 0, 0)
			run := &l.plan.Runs[len(l.plan.Runs)-1]
			want := c.Training(&l.plan.Settings[run.Settings], &l.plan.Datasets[run.Dataset], &l.plan.Sharing[run.Sharing], 0).Disk
			var got int64
			err := filepath.WalkDir(l.store.Run(id).Dir, func(_ string, e fs.DirEntry, err error) error {
				if err != nil || e.IsDir() {
					return err
				}
				info, err := e.Info()
				got += info.Size()
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if ratio := float64(want) / float64(got); ratio < 0.9 || ratio > 1.1 {
				t.Errorf("%d bytes, estimated %d", got, want)
			}
		})
	}
}

func TestCalibrationStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := speed.Calibrate(ctx, benchDevice(t), time.Hour); err != context.Canceled {
		t.Errorf("a calibration that was called off gave %v", err)
	}
}

// TestEstimatesAgainstSteps holds estimates of a step to real ones, within 25 %. It wants a machine that does nothing else,
// so it has to be asked for: FTRUN_ESTIMATES=8 go test -run EstimatesAgainstSteps -v ./executor, with the batch size, and
// FTRUN_ARCHS=resnet18,alexnet for some architectures.
func TestEstimatesAgainstSteps(t *testing.T) {
	batch, err := strconv.Atoi(os.Getenv("FTRUN_ESTIMATES"))
	if err != nil {
		t.Skip("FTRUN_ESTIMATES is not set to a batch size")
	}
	archs := models.Names()
	if some := os.Getenv("FTRUN_ARCHS"); some != "" {
		archs = strings.Split(some, ",")
	}
	device, err := cpu.New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	p, err := speed.Calibrate(t.Context(), device, 2500*time.Millisecond)
	if err == nil {
		err = CalibrateSteps(t.Context(), device, runtime.NumCPU(), &p)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range archs {
		for _, mode := range []string{"finetune", "extract"} {
			t.Run(arch+" "+mode, func(t *testing.T) {
				if arch == "inception_v3" && mode == "finetune" {
					t.Skip("a benchmark leaves its auxiliary head out")
				}
				set, of := costed(arch, mode, batch)
				k, err := newCosts(t, &p).rehearse(set, of, &planner.Sharing{})
				if err != nil {
					t.Fatal(err)
				}
				r, err := Bench(t.Context(), BenchOptions{Arch: arch, Mode: mode, Batch: batch, Steps: 5, Device: device, Numerics: kernels.Default})
				if err != nil {
					t.Fatal(err)
				}
				ratio := k.step / r.Seconds
				t.Logf("%.4f s a step, estimated %.4f: %.2f", r.Seconds, k.step, ratio)
				if ratio < 0.75 || ratio > 1.25 {
					t.Errorf("the estimate is %.2f of what a step takes", ratio)
				}
			})
		}
	}
}
