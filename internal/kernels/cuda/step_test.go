//go:build gpu

package cuda_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/internal/kernels/cuda"
	"github.com/ftrun/ftrun/internal/kernels/ref"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/models"
)

// TestStep compares one training step of whole networks, which have most operations between them, with the reference
// device: the loss, and each parameter's gradient. How far rounding carries a gradient depends on the network, and is a
// matter of a few 1e-6 or of all its digits where batch norm sees next to nothing; the CPU device shows how far. Over the
// fakes, which sum in float64, the GPU must not go further than twice that; NVIDIA's libraries sum in float32, in the order
// of their tiles.
func TestStep(t *testing.T) {
	for _, arch := range []string{"squeezenet1_1", "resnet18", "mobilenet_v2", "densenet121"} {
		t.Run(arch, func(t *testing.T) {
			host, err := cpu.New(1)
			if err != nil {
				t.Fatal(err)
			}
			defer host.Close()
			gpu, err := cuda.New(0)
			if err != nil {
				t.Fatal(err)
			}
			defer gpu.Close()
			net := build(t, arch)
			loss, gradients := step(t, ref.New(), net)
			distances := func(d kernels.Device) (ofLoss, ofGradients float64) {
				l, g := step(t, d, net)
				for i, want := range gradients {
					ofGradients += distance(want, g[i]) / float64(len(gradients))
				}
				return math.Abs(l - loss), ofGradients
			}
			hostLoss, hostGradients := distances(host)
			gpuLoss, gpuGradients := distances(gpu)
			for _, c := range gpu.Unsupported() {
				t.Log("not of cuDNN: ", c)
			}
			t.Logf("from the reference: loss %.2g (CPU %.2g), gradients %.2g of themselves (CPU %.2g)", gpuLoss, hostLoss, gpuGradients,
				hostGradients)
			times := 2.0
			if fakes == "" {
				times = 8
			}
			if !(gpuLoss <= times*hostLoss+1e-6 && gpuGradients <= times*hostGradients+1e-6) {
				t.Error("further than the CPU")
			}
		})
	}
}

// build is a network for small pictures of two classes.
func build(t *testing.T, arch string) *nn.Net {
	t.Helper()
	net, err := models.Build(arch, 2, 32)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// step takes a training step on noise, and returns the loss and the gradients in torch's order.
func step(t *testing.T, d kernels.Device, net *nn.Net) (float64, [][]float32) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store, err := nn.NewParamStore(d, net)
	must(err)
	defer store.Close()
	must(store.Init(1, func(nn.Param) bool { return true }))
	trainable, err := models.Match(net, []string{"**"})
	must(err)
	p, err := nn.Compile(net, store, nn.Settings{Batch: 8, Training: true, Trainable: trainable,
		BatchStats: models.BatchStats(net, trainable, models.BatchNormAuto)})
	must(err)
	defer p.Close()
	r := rand.New(rand.NewPCG(1, 1))
	x := make([]float32, 8*net.Input.Len())
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	result, err := p.Run(x, []int{0, 1, 1, 0, 1, 0, 0, 1}, 1)
	must(err)
	gradients := make([][]float32, len(net.Params))
	for i, par := range net.Params {
		if par.Kind != nn.Counter {
			gradients[i], err = p.GradientTorch(i)
			must(err)
		}
	}
	return result.Loss, gradients
}

// distance is the root mean square of the difference relative to that of want.
func distance(want, got []float32) float64 {
	var sum, off float64
	for i, w := range want {
		sum += float64(w) * float64(w)
		off += (float64(got[i]) - float64(w)) * (float64(got[i]) - float64(w))
	}
	if off == 0 {
		return 0
	}
	return math.Sqrt(off / sum)
}
