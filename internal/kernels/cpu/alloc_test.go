package cpu

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// TestNothingIsAllocated holds every operation to allocating nothing once it has run: a training step leaves no work for
// the garbage collector.
func TestNothingIsAllocated(t *testing.T) {
	const n, h, w, c = 2, 12, 12, 20
	const m = n * h * w
	buffer := func(n int) kernels.Buffer { return kernels.Host(aligned(n)) }
	x, y, z, dx := buffer(m*c), buffer(m*c), buffer(m*c), buffer(m*c)
	mean, invstd, gamma, beta, dgamma, dbeta := buffer(c), buffer(c), buffer(c), buffer(c), buffer(c), buffer(c)
	some := buffer(m * 8)
	terms := []kernels.Buffer{x, y, z}
	pool := kernels.Pool{N: n, H: h, W: w, C: c, P: 6, Q: 6, R: 3, S: 3, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}
	adaptive := kernels.Adaptive{N: n, H: h, W: w, C: c, P: 5, Q: 5}
	pooled, dpooled, averaged := buffer(pool.LenY()), buffer(pool.LenY()), buffer(n*5*5*c)
	entropy := kernels.CrossEntropy{N: 8, Classes: 10, Smoothing: 0.1}
	logits, prob, dlogits, labels, weights, loss := buffer(80), buffer(80), buffer(80), buffer(8), buffer(10), buffer(1)
	host := make([]float32, m*c)
	adam := kernels.Adam{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 2}

	type operation struct {
		name string
		run  func(d *Device) error
	}
	operations := []operation{
		{"Upload", func(d *Device) error { return d.Upload(x, host) }},
		{"Download", func(d *Device) error { return d.Download(host, x) }},
		{"SumRows", func(d *Device) error { return d.SumRows(m, c, x, dbeta) }},
		{"BatchNormStats", func(d *Device) error { return d.BatchNormStats(m, c, x, mean, invstd, gamma, beta, 0.1, 1e-5) }},
		{"BatchNormInvStd", func(d *Device) error { return d.BatchNormInvStd(c, gamma, invstd, 1e-5) }},
		{"BatchNormApply", func(d *Device) error {
			return d.BatchNormApply(m, c, x, mean, invstd, gamma, beta, nil, y, kernels.ReLU)
		}},
		{"BatchNormApply with residual", func(d *Device) error {
			return d.BatchNormApply(m, c, x, mean, invstd, gamma, beta, z, y, kernels.ReLU6)
		}},
		{"BatchNormReduce", func(d *Device) error {
			return d.BatchNormReduce(m, c, y, x, mean, invstd, gamma, beta, dgamma, dbeta, kernels.Identity)
		}},
		{"BatchNormBackwardData", func(d *Device) error {
			return d.BatchNormBackwardData(m, c, y, x, mean, invstd, gamma, beta, dgamma, dbeta, dx, kernels.Identity)
		}},
		{"BatchNormReduce with ReLU", func(d *Device) error {
			return d.BatchNormReduce(m, c, y, x, mean, invstd, gamma, beta, dgamma, dbeta, kernels.ReLU)
		}},
		{"BatchNormBackwardData with ReLU", func(d *Device) error {
			return d.BatchNormBackwardData(m, c, y, x, mean, invstd, gamma, beta, dgamma, dbeta, dx, kernels.ReLU)
		}},
		{"BatchNormBackwardData of frozen statistics", func(d *Device) error {
			return d.BatchNormBackwardData(m, c, y, nil, nil, invstd, gamma, nil, nil, nil, dx, kernels.Identity)
		}},
		{"Activate", func(d *Device) error { return d.Activate(kernels.ReLU, x, y) }},
		{"ActivateBackward", func(d *Device) error { return d.ActivateBackward(kernels.ReLU, y, z, dx) }},
		{"ActivateBackwardChannels", func(d *Device) error {
			return d.ActivateBackwardChannels(kernels.ReLU, m, 8, y, z, c, 3, some)
		}},
		{"Add", func(d *Device) error { return d.Add(terms, dx, kernels.ReLU) }},
		{"Dropout", func(d *Device) error { return d.Dropout(0.5, kernels.DropoutKey{}, x, y) }},
		{"MaxPoolForward", func(d *Device) error { return d.MaxPoolForward(pool, x, pooled) }},
		{"MaxPoolBackward", func(d *Device) error { return d.MaxPoolBackward(pool, x, pooled, dpooled, dx) }},
		{"AvgPoolForward", func(d *Device) error { return d.AvgPoolForward(pool, x, pooled) }},
		{"AvgPoolBackward", func(d *Device) error { return d.AvgPoolBackward(pool, dpooled, dx) }},
		{"AdaptiveAvgPoolForward", func(d *Device) error { return d.AdaptiveAvgPoolForward(adaptive, x, averaged) }},
		{"AdaptiveAvgPoolBackward", func(d *Device) error { return d.AdaptiveAvgPoolBackward(adaptive, averaged, dx) }},
		{"CopyChannels", func(d *Device) error { return d.CopyChannels(m, 8, x, c, 3, y, c, 5) }},
		{"ToNCHW", func(d *Device) error { return d.ToNCHW(n, h, w, c, x, y) }},
		{"FromNCHW", func(d *Device) error { return d.FromNCHW(n, h, w, c, x, y) }},
		{"CrossEntropyForward", func(d *Device) error {
			return d.CrossEntropyForward(entropy, logits, labels, weights, loss, prob)
		}},
		{"CrossEntropyBackward", func(d *Device) error {
			return d.CrossEntropyBackward(entropy, prob, labels, weights, 1, dlogits)
		}},
		{"SGD", func(d *Device) error { return d.SGD(kernels.SGD{LR: 1e-3}, x, y, nil) }},
		{"SGD with momentum", func(d *Device) error { return d.SGD(kernels.SGD{LR: 1e-3, Momentum: 0.9}, x, y, z) }},
		{"Adam", func(d *Device) error { return d.Adam(adam, x, y, z, dx) }},
		{"SumSquares", func(d *Device) error { _, err := d.SumSquares(x); return err }},
		{"Scale", func(d *Device) error { return d.Scale(0.5, x) }},
	}
	small := kernels.Conv{N: n, H: 12, W: 12, C: 20, K: 40, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 1}
	like := func(change func(c *kernels.Conv)) kernels.Conv {
		c := small
		change(&c)
		return c
	}
	for _, conv := range []struct {
		name string
		kernels.Conv
	}{
		{"direct", small},
		{"strided", like(func(c *kernels.Conv) { c.StrideH, c.StrideW = 2, 2 })},
		{"strided 1x1", like(func(c *kernels.Conv) { c.R, c.S, c.PadH, c.PadW, c.StrideH, c.StrideW = 1, 1, 0, 0, 2, 2 })},
		{"of few channels", like(func(c *kernels.Conv) { c.C = 3 })},
		{"in groups", like(func(c *kernels.Conv) { c.Groups = 4 })},
		{"depthwise", like(func(c *kernels.Conv) { c.K, c.Groups = c.C, c.C })},
		{"by F(2,3)", like(func(c *kernels.Conv) { c.Numerics = kernels.Default })},
		{"by F(4,3)", like(func(c *kernels.Conv) { c.H, c.W, c.Numerics = 24, 24, kernels.Fast })},
		{"by F(2,3), deep", like(func(c *kernels.Conv) { c.H, c.W, c.C, c.K, c.Numerics = 5, 5, 512, 272, kernels.Default })},
	} {
		shape := conv.name
		name := func(method string) string { return method + " " + shape }
		conv, x, w, y, bias := conv.Conv, buffer(conv.LenX()), buffer(conv.LenW()), buffer(conv.LenY()), buffer(conv.K)
		var packed kernels.Buffer // whose length depends on the path
		fit := func(d *Device) kernels.Buffer {
			if n := d.PackedLen(conv); packed == nil || packed.Len() != n {
				packed = buffer(n)
			}
			return packed
		}
		operations = append(operations,
			operation{name("PackWeights"), func(d *Device) error { return d.PackWeights(conv, w, fit(d)) }},
			operation{name("ConvForward"), func(d *Device) error { return d.ConvForward(conv, x, w, bias, y, kernels.ReLU) }},
			operation{name("ConvForwardPacked"), func(d *Device) error {
				return d.ConvForwardPacked(conv, x, fit(d), bias, y, y, kernels.ReLU)
			}},
			operation{name("ConvBackwardData"), func(d *Device) error { return d.ConvBackwardData(conv, w, y, x) }},
			operation{name("ConvBackwardWeights"), func(d *Device) error { return d.ConvBackwardWeights(conv, x, y, w) }})
	}
	{
		l := kernels.Linear{N: 5, I: 300, O: 70}
		x, w, y, bias := buffer(l.N*l.I), buffer(l.O*l.I), buffer(l.N*l.O), buffer(l.O)
		operations = append(operations,
			operation{"LinearForward", func(d *Device) error { return d.LinearForward(l, x, w, bias, y, kernels.ReLU) }},
			operation{"LinearBackwardData", func(d *Device) error { return d.LinearBackwardData(l, w, y, x) }},
			operation{"LinearBackwardWeights", func(d *Device) error { return d.LinearBackwardWeights(l, x, y, w) }})
	}

	covered := map[string]bool{"Name": true, "Path": true, "Alloc": true, "Free": true, "Close": true, "PackedLen": true, "Meter": true}
	for _, o := range operations {
		method, _, _ := strings.Cut(o.name, " ")
		covered[method] = true
	}
	device := reflect.TypeFor[kernels.Device]()
	for i := range device.NumMethod() {
		if name := device.Method(i).Name; !covered[name] {
			t.Errorf("%s is not among the operations", name)
		}
	}

	for p := generic; p <= bestPath(); p++ {
		t.Setenv(pathVariable, p.String())
		for _, threads := range []int{1, 2} {
			d, err := New(threads)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			for _, o := range operations {
				t.Run(fmt.Sprintf("%s/%d/%s", p, threads, o.name), func(t *testing.T) {
					run := func() {
						if err := o.run(d); err != nil {
							t.Fatal(err)
						}
					}
					run()
					if got := testing.AllocsPerRun(3, run); got > 0 { // which begins with one more call
						t.Errorf("allocates %v times a call", got)
					}
				})
			}
		}
	}
}
