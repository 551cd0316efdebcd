package executor

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/models"
)

func TestBenchCountsTheStepsArithmetic(t *testing.T) {
	// squeezenet1_1 with two classes: torchvision's 0.349 · 10⁹ multiply-adds less 998 of 1000 filters of the last
	// 1×1 convolution on 13×13×512. Training does them three times, but for the gradient by the picture.
	const (
		forward = 349151936 - 998*512*13*13
		first   = 111 * 111 * 64 * 27
		last    = 2 * 512 * 13 * 13
	)
	for mode, macs := range map[string]float64{
		"finetune": 3*forward - first,
		"extract":  forward + last,
		"infer":    forward,
	} {
		t.Run(mode, func(t *testing.T) {
			r, err := Bench(context.Background(), BenchOptions{Arch: "squeezenet1_1", Mode: mode, Batch: 2, Steps: 1, Device: benchDevice(t)})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := r.GFLOPS*1e9*r.Seconds, 2*2*macs; math.Abs(got/want-1) > 1e-9 {
				t.Errorf("%.0f operations a step, want %.0f", got, want)
			}
			if got := r.ImagesPerSecond * r.Seconds; math.Abs(got-2) > 1e-9 {
				t.Errorf("%v pictures a step, want 2", got)
			}
		})
	}
}

func TestBenchTrainsWhatItsModeSays(t *testing.T) {
	for _, mode := range BenchModes {
		t.Run(mode, func(t *testing.T) {
			b, err := newBench(BenchOptions{Arch: "squeezenet1_1", Mode: mode, Batch: 2, Device: benchDevice(t)})
			if err != nil {
				t.Fatal(err)
			}
			defer b.close()
			before := parameters(t, b)
			x, labels := b.pictures()
			for i := range 2 {
				if err := b.step(x, labels, i); err != nil {
					t.Fatal(err)
				}
			}
			for i, after := range parameters(t, b) {
				p := b.net.Params[i]
				want := mode == "finetune" || mode == "extract" && p.Head
				if got := !slices.Equal(before[i], after); got != want {
					t.Errorf("%s changed: %v, want %v", p.Name, got, want)
				}
			}
		})
	}
}

func TestBenchLeavesTheAuxiliaryHeadOut(t *testing.T) {
	b, err := newBench(BenchOptions{Arch: "inception_v3", Mode: "finetune", Batch: 1, Device: benchDevice(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	for i, p := range b.net.Params {
		if want := p.Kind == nn.Weight && !strings.HasPrefix(p.Name, "AuxLogits."); b.trainable[i] != want {
			t.Errorf("%s trained: %v, want %v", p.Name, b.trainable[i], want)
		}
	}
}

func TestBenchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Bench(ctx, BenchOptions{Arch: "squeezenet1_1", Mode: "infer", Batch: 1, Steps: 1, Device: benchDevice(t)})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v, want %v", err, context.Canceled)
	}
}

func benchDevice(t *testing.T) *cpu.Device {
	t.Helper()
	d, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func parameters(t *testing.T, b *bench) [][]float32 {
	t.Helper()
	all := make([][]float32, len(b.net.Params))
	for i, p := range b.net.Params {
		if p.Kind == nn.Counter {
			continue
		}
		var err error
		if all[i], err = b.params.Get(i); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// BenchmarkStep is the step that Bench times, for profiles: -bench Step/resnet18/finetune -cpuprofile FILE.
func BenchmarkStep(b *testing.B) {
	d, err := cpu.New(2)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	for _, arch := range models.Names() {
		for _, mode := range BenchModes {
			b.Run(arch+"/"+mode, func(b *testing.B) {
				s, err := newBench(BenchOptions{Arch: arch, Mode: mode, Batch: 8, Device: d})
				if err != nil {
					b.Fatal(err)
				}
				defer s.close()
				x, labels := s.pictures()
				if err := s.step(x, labels, 0); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for i := 1; b.Loop(); i++ {
					if err := s.step(x, labels, i); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
