//go:build gpu

package cuda_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cuda"
)

// TestUnsupportedConvolutions: where cuDNN refuses a convolution, when it is asked for the workspace or at the call itself,
// kernels of ours compute it, to rounding and with the same bits each time, and the device tells which those are.
func TestUnsupportedConvolutions(t *testing.T) {
	if fakes == "" {
		t.Skip("only the fake cuDNN refuses what it can do")
	}
	conv := kernels.Conv{N: 3, H: 9, W: 8, C: 5, K: 7, R: 3, S: 2, StrideH: 2, StrideW: 1, PadH: 1, PadW: 1, Groups: 1}
	wide := conv
	wide.StepY = 11
	r := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	x, w, bias, y := noise(conv.LenX()), noise(conv.LenW()), noise(conv.K), noise(conv.LenY())
	others := noise(wide.LenY())

	// results are what each operation makes of these operands.
	results := func() (all [][]float32, told []string) {
		d, err := cuda.New(0)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		up := func(values []float32) kernels.Buffer {
			b, err := d.Alloc(len(values))
			must(err)
			must(d.Upload(b, values))
			return b
		}
		down := func(b kernels.Buffer) {
			values := make([]float32, b.Len())
			must(d.Download(values, b))
			all = append(all, values)
			d.Free(b)
		}
		xs, ws, bs, ys, packed := up(x), up(w), up(bias), up(y), up(w)
		plain, over, among, dx, dw := up(y), up(y), up(others), up(x), up(w)
		must(d.PackWeights(conv, ws, packed))
		must(d.ConvForward(conv, xs, ws, bs, plain, kernels.ReLU))
		must(d.ConvForwardPacked(conv, xs, packed, bs, over, over, kernels.ReLU6))
		must(d.ConvForwardPacked(wide, xs, packed, nil, nil, among, kernels.Identity))
		must(d.ConvBackwardData(conv, ws, ys, dx))
		must(d.ConvBackwardWeights(conv, xs, ys, dw))
		for _, b := range []kernels.Buffer{plain, over, among, dx, dw} {
			down(b)
		}
		for _, b := range []kernels.Buffer{xs, ws, bs, ys, packed} {
			d.Free(b)
		}
		return all, d.Unsupported()
	}

	want, told := results()
	if len(told) > 0 {
		t.Fatalf("cuDNN supports all of them, yet the device tells %q", told)
	}
	for _, where := range []string{"queries", "calls"} {
		t.Run(where, func(t *testing.T) {
			t.Setenv("FAKE_CUDNN_REFUSES", where)
			got, told := results()
			if len(told) != 3 {
				t.Errorf("the device tells %q, want the three directions", told)
			}
			for i := range want {
				if off := distance(want[i], got[i]); !(off < 1e-6) {
					t.Errorf("result %d is %.2g of itself away", i, off)
				}
			}
			again, _ := results()
			if !slices.EqualFunc(got, again, slices.Equal) {
				t.Error("other bits when it is computed again")
			}
		})
	}
}

// TestRefusedWithinACapture: what cuDNN computes when it is asked, and refuses while operations are captured, is not captured
// as a kernel of ours, whose bits are others; what it refuses always is.
func TestRefusedWithinACapture(t *testing.T) {
	if fakes == "" {
		t.Skip("only the fake cuDNN refuses what it can do")
	}
	conv := kernels.Conv{N: 2, H: 6, W: 6, C: 3, K: 8, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 1}
	for _, always := range []bool{false, true} {
		d, err := cuda.New(0)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		var b []kernels.Buffer
		for _, n := range []int{conv.LenX(), conv.LenW(), conv.LenY()} {
			memory, err := d.Alloc(n)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Free(memory)
			b = append(b, memory)
		}
		convolve := func() error { return d.ConvForward(conv, b[0], b[1], nil, b[2], kernels.Identity) }
		if always {
			t.Setenv("FAKE_CUDNN_REFUSES", "calls")
		}
		if err := convolve(); err != nil {
			t.Fatal(err)
		}
		t.Setenv("FAKE_CUDNN_REFUSES", "calls")
		c, err := d.Capture(convolve)
		if (err == nil) != always {
			t.Errorf("refused always: %v; capturing: %v", always, err)
		}
		if err == nil {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if told := d.Unsupported(); (len(told) > 0) != always {
			t.Errorf("refused always: %v; the device tells %q", always, told)
		}
	}
}
