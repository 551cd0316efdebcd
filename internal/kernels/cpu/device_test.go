package cpu

import (
	"runtime"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

func TestPaths(t *testing.T) {
	for _, want := range pathNames[:bestPath()+1] {
		t.Setenv(pathVariable, want)
		d, err := New(1)
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if got := d.Path(); got != want {
			t.Errorf("%s=%s gives path %s", pathVariable, want, got)
		}
		d.Close()
	}
	for _, wrong := range []string{"AVX2", "sse", " "} {
		t.Setenv(pathVariable, wrong)
		if d, err := New(1); err == nil {
			t.Errorf("%s=%q is accepted as %s", pathVariable, wrong, d.Path())
		}
	}
	t.Setenv(pathVariable, "")
	if _, err := New(-1); err == nil {
		t.Error("a device with -1 threads is made")
	}
}

// TestSteadyState holds the device to its promise that calls after the first do not allocate buffers.
func TestSteadyState(t *testing.T) {
	d, err := New(2)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	strided := kernels.Conv{N: 2, H: 12, W: 12, C: 20, K: 40, R: 3, S: 3, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1, Groups: 1}
	small := kernels.Conv{N: 2, H: 12, W: 12, C: 20, K: 40, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 1,
		Numerics: kernels.Default}
	large, deep := small, small
	large.H, large.W, large.Numerics = 24, 24, kernels.Fast
	deep.H, deep.W, deep.C, deep.K = 5, 5, 512, 272
	var calls []func()
	for _, c := range []kernels.Conv{strided, small, large, deep} {
		x, w, y := make(kernels.Host, c.LenX()), make(kernels.Host, c.LenW()), make(kernels.Host, c.LenY())
		calls = append(calls, func() {
			d.ConvForward(c, x, w, nil, y, kernels.ReLU)
			d.ConvBackwardData(c, w, y, x)
			d.ConvBackwardWeights(c, x, y, w)
		})
	}
	step := func() {
		for _, call := range calls {
			call()
		}
	}
	step()
	const steps = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range steps {
		step()
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / steps; got > 16<<10 {
		t.Errorf("a step allocates %d bytes", got)
	}
}
