//go:build gpu

package cuda_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cuda"
	"github.com/ftrun/ftrun/internal/kernels/ref"
)

// TestPrecision: convolutions and products err as far as the precision has it, and no further, in each direction; packed
// weights give the same bits.
func TestPrecision(t *testing.T) {
	conv := kernels.Conv{N: 3, H: 9, W: 8, C: 5, K: 7, R: 3, S: 2, StrideH: 2, StrideW: 1, PadH: 1, PadW: 1, Groups: 1}
	linear := kernels.Linear{N: 5, I: 19, O: 3}
	r := rand.New(rand.NewPCG(3, 4))
	noise := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	x, w, bias, y := noise(conv.LenX()), noise(conv.LenW()), noise(conv.K), noise(conv.LenY())
	wide := conv
	wide.StepY = 11
	others := noise(wide.LenY())
	lx, lw, ly := noise(linear.N*linear.I), noise(linear.O*linear.I), noise(linear.N*linear.O)

	names := []string{"forward", "packed", "packed over a residual", "among other channels", "gradient of x", "gradient of w", "linear",
		"linear, gradient of x", "linear, gradient of w"}
	compute := func(t *testing.T, d kernels.Device) (all [][]float32) {
		t.Helper()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		var buffers []kernels.Buffer
		up := func(values []float32) kernels.Buffer {
			b, err := d.Alloc(len(values))
			must(err)
			must(d.Upload(b, values))
			buffers = append(buffers, b)
			return b
		}
		xs, ws, bs, ys := up(x), up(w), up(bias), up(y)
		packed := up(make([]float32, d.PackedLen(conv)))
		plain, again, over, among, dx, dw := up(y), up(y), up(y), up(others), up(x), up(w)
		lxs, lws, lys, out, ldx, ldw := up(lx), up(lw), up(ly), up(ly), up(lx), up(lw)
		must(d.PackWeights(conv, ws, packed))
		must(d.ConvForward(conv, xs, ws, bs, plain, kernels.ReLU))
		must(d.ConvForwardPacked(conv, xs, packed, bs, nil, again, kernels.ReLU))
		must(d.ConvForwardPacked(conv, xs, packed, bs, over, over, kernels.ReLU6))
		must(d.ConvForward(wide, xs, ws, nil, among, kernels.Identity))
		must(d.ConvBackwardData(conv, ws, ys, dx))
		must(d.ConvBackwardWeights(conv, xs, ys, dw))
		must(d.LinearForward(linear, lxs, lws, nil, out, kernels.Identity))
		must(d.LinearBackwardData(linear, lws, lys, ldx))
		must(d.LinearBackwardWeights(linear, lxs, lys, ldw))
		for _, b := range []kernels.Buffer{plain, again, over, among, dx, dw, out, ldx, ldw} {
			values := make([]float32, b.Len())
			must(d.Download(values, b))
			all = append(all, values)
		}
		for _, b := range buffers {
			d.Free(b)
		}
		return all
	}
	want := compute(t, ref.New())
	for _, test := range []struct {
		precision   kernels.Precision
		least, most float64
	}{
		{kernels.FP32, 0, 2e-6},
		{kernels.TF32, 3e-5, 1e-3}, // an operand is off by 2⁻¹² of itself or so
		{kernels.BF16, 3e-4, 1e-2}, // by 2⁻⁹
	} {
		t.Run(test.precision.String(), func(t *testing.T) {
			d, err := cuda.New(0)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if err := d.Tune(kernels.Tuning{Precision: test.precision}); err != nil {
				t.Skip(err)
			}
			got := compute(t, d)
			if fakes == "" && test.precision == kernels.TF32 { // which a library may use, and need not
				test.least = 0
			}
			for i, name := range names {
				if off := distance(want[i], got[i]); !(off >= test.least && off <= test.most) {
					t.Errorf("%s is %.2g of itself away, want %.2g to %.2g", name, off, test.least, test.most)
				}
			}
			if told := d.Unsupported(); len(told) == 0 && !slices.Equal(got[0], got[1]) {
				t.Error("packed weights give other bits")
			}
			for i, v := range got[3] {
				if i%wide.StepY >= wide.K && v != others[i] {
					t.Fatal("a convolution wrote into other channels")
				}
			}
		})
	}
}

// TestStepPrecision: what a training step of a whole network computes in the coarser precisions is near what it computes in
// float32.
func TestStepPrecision(t *testing.T) {
	net := build(t, "resnet18")
	loss, gradients := step(t, ref.New(), net)
	for _, test := range []struct {
		precision     kernels.Precision
		loss, scatter float64
	}{{kernels.TF32, 1e-2, 0.1}, {kernels.BF16, 5e-2, 0.6}} {
		t.Run(test.precision.String(), func(t *testing.T) {
			d, err := cuda.New(0)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if err := d.Tune(kernels.Tuning{Precision: test.precision}); err != nil {
				t.Skip(err)
			}
			l, g := step(t, d, net)
			var off float64
			for i, want := range gradients {
				off += distance(want, g[i]) / float64(len(gradients))
			}
			t.Logf("loss %.4g, %.2g from the reference; gradients %.2g of themselves", l, l-loss, off)
			if !(l-loss <= test.loss && loss-l <= test.loss && off <= test.scatter && off > 1e-4) {
				t.Error("too far, or not in this precision at all")
			}
		})
	}
}

// TestPrecisionOfOldGPUs: one without arithmetic for a precision refuses it.
func TestPrecisionOfOldGPUs(t *testing.T) {
	if fakes == "" {
		t.Skip("only the fake driver has any GPU")
	}
	t.Setenv("FAKE_CAPABILITY", "75")
	d, err := cuda.New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, p := range []kernels.Precision{kernels.FP32, kernels.TF32, kernels.BF16} {
		err := d.Tune(kernels.Tuning{Precision: p})
		if p == kernels.FP32 {
			if err != nil {
				t.Errorf("fp32 is refused: %v", err)
			}
			continue
		}
		want := fmt.Sprintf("compute capability 7.5) has no %s", p)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `precision to "fp32"`) {
			t.Errorf("the error is %v", err)
		}
	}
}
