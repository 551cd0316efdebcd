package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/ref"
)

// winogradErrors bound the distance from the reference, relative to its root mean square, by the outputs of a tile.
var winogradErrors = map[int]float64{2: 3e-6, 4: 1e-5}

// TestWinograd takes each way of computing tiles to shapes for which the rule would not choose it, and holds it to the
// reference, to guard values round every buffer, and to the same bits for any threads and any batch.
func TestWinograd(t *testing.T) {
	const shapes = 60
	for p := generic; p <= bestPath(); p++ {
		t.Run(p.String(), func(t *testing.T) {
			t.Setenv(pathVariable, p.String())
			one, several := forcedDevice(t, 1), forcedDevice(t, 3)
			r := rand.New(rand.NewPCG(5, uint64(p)))
			for i := range shapes {
				how := winogradChoice{m: 2 + i%2*2, deep: i/2%2 == 1}
				how.weights = how.m
				one.how, several.how = how, how
				c := kernels.Conv{N: 2 + r.IntN(2), H: 1 + r.IntN(20), W: 1 + r.IntN(20), C: 1 + r.IntN(70), K: 1 + r.IntN(70),
					R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: r.IntN(4), PadW: r.IntN(4), Groups: 1, Numerics: kernels.Fast}
				if i%10 == 9 {
					c.N = 9 // several blocks of tiles for a thread
				}
				if c.H+2*c.PadH < 3 || c.W+2*c.PadW < 3 {
					continue
				}
				checkWinograd(t, one, several, r, c)
			}
			// More tiles than are transformed together.
			how := winogradChoice{m: 4, deep: true, weights: 4}
			one.how, several.how = how, how
			checkWinograd(t, one, several, r, kernels.Conv{N: 30, H: 8, W: 8, C: 512, K: 5, R: 3, S: 3, StrideH: 1, StrideW: 1,
				PadH: 1, PadW: 1, Groups: 1, Numerics: kernels.Fast})
		})
	}
}

// forced is a device that computes all 3×3 convolutions in one way.
type forced struct {
	*Device
	how winogradChoice
}

func forcedDevice(t *testing.T, threads int) *forced {
	t.Helper()
	d, err := New(threads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	f := &forced{Device: d}
	d.choose = func(correlation, kernels.Numerics) winogradChoice { return f.how }
	return f
}

// guarded returns n elements in the middle of NaNs, and a function that fails the test where one of those was changed.
func guarded(t *testing.T, n int, value func() float32) (kernels.Host, func(what string)) {
	const guard = 67
	whole := make([]float32, n+2*guard)
	for i := range whole {
		whole[i] = nan
		if i >= guard && i < guard+n {
			whole[i] = value()
		}
	}
	return kernels.Host(whole[guard : guard+n : guard+n]), func(what string) {
		t.Helper()
		for i, v := range whole {
			if (i < guard || i >= guard+n) && v == v {
				t.Fatalf("%s: element %d of %d was written", what, i-guard, n)
			}
		}
	}
}

func checkWinograd(t *testing.T, one, several *forced, r *rand.Rand, c kernels.Conv) {
	t.Helper()
	normal := func() float32 { return float32(r.NormFloat64()) }
	undefined := func() float32 { return nan }
	x, _ := guarded(t, c.LenX(), normal)
	w, _ := guarded(t, c.LenW(), normal)
	bias, _ := guarded(t, c.K, normal)
	dy, _ := guarded(t, c.LenY(), normal)
	act := kernels.Activation(r.IntN(3))
	for _, direction := range []struct {
		name  string
		each  int // elements of a picture of the result
		terms int // that an element sums
		run   func(d kernels.Device, c kernels.Conv, from, n int, out kernels.Buffer) error
	}{
		{name: "forward", each: c.LenY() / c.N, terms: 9 * c.C,
			run: func(d kernels.Device, c kernels.Conv, from, n int, out kernels.Buffer) error {
				each := c.LenX() / c.N
				c.N = n
				return d.ConvForward(c, x.Slice(from*each, (from+n)*each), w, bias, out, act)
			}},
		{name: "backward data", each: c.LenX() / c.N, terms: 9 * c.K,
			run: func(d kernels.Device, c kernels.Conv, from, n int, out kernels.Buffer) error {
				each := c.LenY() / c.N
				c.N = n
				return d.ConvBackwardData(c, w, dy.Slice(from*each, (from+n)*each), out)
			}},
	} {
		what := fmt.Sprintf("%v, %+v, %s", c, one.how, direction.name)
		compute := func(d kernels.Device, from, n int) kernels.Host {
			out, unchanged := guarded(t, n*direction.each, undefined)
			if err := direction.run(d, c, from, n, out); err != nil {
				t.Fatal(err)
			}
			unchanged(what)
			return out
		}
		want, got := compute(ref.New(), 0, c.N), compute(several, 0, c.N)
		near(t, what, want, got, direction.terms, winogradErrors[one.how.m])
		same(t, what+", one thread", got, compute(one, 0, c.N))
		last := c.N - 1
		same(t, what+", the last picture alone", got[last*direction.each:], compute(several, last, 1))
	}
	what := fmt.Sprintf("%v, %+v, backward weights", c, one.how)
	compute := func(d kernels.Device) kernels.Host {
		dw, unchanged := guarded(t, c.LenW(), undefined)
		if err := d.ConvBackwardWeights(c, x, dy, dw); err != nil {
			t.Fatal(err)
		}
		unchanged(what)
		return dw
	}
	got := compute(several)
	near(t, what, compute(ref.New()), got, c.N*c.P()*c.Q(), winogradErrors[one.how.m])
	same(t, what+", one thread", got, compute(one))
}

// near fails where got is further from want than bound, as the root of the mean square relative to that of sums of so many
// products of normally distributed numbers.
func near(t *testing.T, what string, want, got kernels.Host, terms int, bound float64) {
	t.Helper()
	var sum float64
	for i, v := range want {
		e := float64(v) - float64(got[i])
		sum += e * e
	}
	if e := math.Sqrt(sum / float64(len(want)*terms)); !(e <= bound) {
		t.Fatalf("%s: relative error %.2g, want at most %.2g", what, e, bound)
	}
}

// TestChooseWinograd pins the rule for layers of torchvision's networks, and that only 3×3 convolutions of stride 1 and one
// group are concerned.
func TestChooseWinograd(t *testing.T) {
	d, err := New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tests := []struct {
		name      string
		conv      kernels.Conv
		def, fast winogradChoice
	}{
		{name: "resnet, 64 at 56", conv: benchConv(64, 64, 3, 1, 1, 56, 1), def: winogradChoice{2, false, 2}, fast: winogradChoice{4, false, 4}},
		{name: "resnet, 256 at 14", conv: benchConv(256, 256, 3, 1, 1, 14, 1), def: winogradChoice{2, false, 2}, fast: winogradChoice{2, false, 2}},
		{name: "resnet, 512 at 7", conv: benchConv(512, 512, 3, 1, 1, 7, 1), def: winogradChoice{2, true, 2}, fast: winogradChoice{2, true, 2}},
		{name: "densenet, 128 to 32 at 7", conv: benchConv(128, 32, 3, 1, 1, 7, 1), def: winogradChoice{2, false, 0}, fast: winogradChoice{2, false, 0}},
		{name: "vgg, 3 to 64", conv: benchConv(3, 64, 3, 1, 1, 224, 1)},
		{name: "512 at 2", conv: benchConv(512, 512, 3, 1, 1, 2, 1)},
		{name: "stride 2", conv: benchConv(64, 64, 3, 2, 1, 56, 1)},
		{name: "5x5", conv: benchConv(64, 64, 5, 1, 2, 56, 1)},
		{name: "grouped", conv: benchConv(256, 256, 3, 1, 1, 28, 2)},
		{name: "depthwise", conv: benchConv(64, 64, 3, 1, 1, 56, 64)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := forwardOf(test.conv, d.micro)
			for numerics, want := range []winogradChoice{{}, test.def, test.fast} {
				if got := d.winogradFor(&f, kernels.Numerics(numerics)); got != want {
					t.Errorf("%v: %+v, want %+v", kernels.Numerics(numerics), got, want)
				}
			}
		})
	}
}
