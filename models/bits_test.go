package models_test

import (
	"math"
	"slices"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/models"
)

// bitArchs has one architecture of each kind of layer, and the picture's size at which it is run.
var bitArchs = map[string]int{
	"alexnet": 63, "resnet18": 49, "resnet50": 32, "squeezenet1_1": 51, "densenet121": 32, "mobilenet_v2": 48,
}

// eachBitArch runs a test on each of bitArchs, for three classes.
func eachBitArch(t *testing.T, test func(t *testing.T, net *nn.Net, size int)) {
	for arch, size := range bitArchs {
		t.Run(arch, func(t *testing.T) {
			if testing.Short() && arch != "mobilenet_v2" {
				t.Skip("one architecture is enough for -short")
			}
			t.Parallel()
			net, err := models.Build(arch, 3, size)
			if err != nil {
				t.Fatal(err)
			}
			test(t, net, size)
		})
	}
}

// TestSameBitsForAnyBatch: what a network says of a picture does not depend on the batch that it is in, nor on threads.
func TestSameBitsForAnyBatch(t *testing.T) {
	const pictures = 32
	eachBitArch(t, func(t *testing.T, net *nn.Net, size int) {
		x := formulaPictures(99, pictures, size)
		var want []float32
		first := started(t, net, nil, 1)
		for _, threads := range []int{1, 2, 4} {
			s := started(t, net, first, threads)
			for _, batch := range []int{1, 4, 8, 32} {
				if threads > 1 && batch < 32 {
					continue // each threads is held against the same answers once
				}
				p, err := nn.Compile(net, s, nn.Settings{Batch: batch, Numerics: kernels.Default})
				if err != nil {
					t.Fatal(err)
				}
				var got []float32
				for lo := 0; lo < pictures; lo += batch {
					n := net.Input.Len()
					out, err := p.Run(x[lo*n:(lo+batch)*n], nil, 0)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, out.Logits...)
				}
				if want == nil {
					want = got
				}
				if !sameBits(got, want) {
					t.Errorf("%d threads, batches of %d: the logits are not those of single pictures with one thread", threads, batch)
				}
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// TestSameBitsForAnyThreads: a training step's loss, gradients and moved statistics do not depend on threads.
func TestSameBitsForAnyThreads(t *testing.T) {
	const batch = 6
	eachBitArch(t, func(t *testing.T, net *nn.Net, size int) {
		x, labels := formulaPictures(7, batch, size), []int{0, 1, 2, 0, 1, 2}
		trainable, err := models.Match(net, []string{"**"})
		if err != nil {
			t.Fatal(err)
		}
		var want []float32
		first := started(t, net, nil, 1)
		for _, threads := range []int{1, 2, 4} {
			s := started(t, net, first, threads)
			p, err := nn.Compile(net, s, nn.Settings{Batch: batch, Numerics: kernels.Default, Training: true, Trainable: trainable,
				BatchStats: models.BatchStats(net, trainable, models.BatchNormTrain), DropoutSeed: 5})
			if err != nil {
				t.Fatal(err)
			}
			out, err := p.Run(x, labels, 3)
			if err != nil {
				t.Fatal(err)
			}
			got := append([]float32{float32(out.Loss)}, out.Logits...)
			for i, param := range net.Params {
				var values []float32
				switch param.Kind {
				case nn.Weight:
					values, err = p.GradientTorch(i)
				case nn.Buffer:
					values, err = s.Get(i)
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, values...)
			}
			if want == nil {
				want = got
			}
			if !sameBits(got, want) {
				t.Errorf("%d threads give another step than one", threads)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// started gives a network initial values on a device with that many threads: those of from, or drawn where that is nil.
func started(t *testing.T, net *nn.Net, from *nn.ParamStore, threads int) *nn.ParamStore {
	t.Helper()
	dev, err := cpu.New(threads)
	if err != nil {
		t.Fatal(err)
	}
	s, err := nn.NewParamStore(dev, net)
	if err != nil {
		t.Fatal(err)
	}
	if from == nil {
		if err := s.Init(1, nil); err != nil {
			t.Fatal(err)
		}
	} else {
		for i, p := range net.Params {
			if p.Kind == nn.Counter {
				continue
			}
			values := make([]float32, p.Len())
			if err := dev.Download(values, from.Buffer(i)); err != nil {
				t.Fatal(err)
			}
			if err := dev.Upload(s.Buffer(i), values); err != nil {
				t.Fatal(err)
			}
			s.Changed(i)
		}
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}
