//go:build gpu

package cuda_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cuda"
)

// timings keeps what a device finds, in memory.
type timings map[string]int

func (k timings) Fastest(on, what string) (int, bool) {
	a, known := k[on+": "+what]
	return a, known
}
func (k timings) Keep(on, what string, algorithm int) { k[on+": "+what] = algorithm }

// layers are some whose fastest algorithms differ, on the fakes.
var layers = []kernels.Conv{
	{N: 2, H: 6, W: 6, C: 3, K: 8, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 1},
	{N: 2, H: 6, W: 6, C: 8, K: 5, R: 1, S: 1, StrideH: 1, StrideW: 1, Groups: 1},
	{N: 2, H: 7, W: 6, C: 4, K: 6, R: 3, S: 3, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1, Groups: 1},
	{N: 2, H: 5, W: 5, C: 4, K: 9, R: 5, S: 5, StrideH: 1, StrideW: 1, PadH: 2, PadW: 2, Groups: 1},
	{N: 2, H: 8, W: 8, C: 2, K: 3, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 1},
}

// convolve computes the layers in all three directions on a device, at another batch where n is not 0, and returns what comes
// of it.
func convolve(t *testing.T, d kernels.Device, numerics kernels.Numerics, n int) (all [][]float32) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	for _, c := range layers {
		c.Numerics = numerics
		if n > 0 {
			c.N = n
		}
		up := func(n int) kernels.Buffer {
			values := make([]float32, n)
			for i := range values {
				values[i] = float32(r.NormFloat64())
			}
			b, err := d.Alloc(n)
			must(err)
			must(d.Upload(b, values))
			return b
		}
		x, w, y, dy, dx, dw := up(c.LenX()), up(c.LenW()), up(c.LenY()), up(c.LenY()), up(c.LenX()), up(c.LenW())
		must(d.ConvForward(c, x, w, nil, y, kernels.Identity))
		must(d.ConvBackwardData(c, w, dy, dx))
		must(d.ConvBackwardWeights(c, x, dy, dw))
		for _, b := range []kernels.Buffer{y, dx, dw} {
			values := make([]float32, b.Len())
			must(d.Download(values, b))
			all = append(all, values)
		}
		for _, b := range []kernels.Buffer{x, w, y, dy, dx, dw} {
			d.Free(b)
		}
	}
	return all
}

func tuned(t *testing.T, how kernels.Tuning) *cuda.Device {
	t.Helper()
	d, err := cuda.New(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := d.Tune(how); err != nil {
		t.Fatal(err)
	}
	return d
}

func same(a, b [][]float32) bool { return slices.EqualFunc(a, b, slices.Equal) }

// TestAlgorithmsAreMeasured: what is chosen by measuring is kept, is taken again by whoever has it, and gives the same bits
// then; without Timings nothing is measured.
func TestAlgorithmsAreMeasured(t *testing.T) {
	plain := tuned(t, kernels.Tuning{})
	fixed := convolve(t, plain, kernels.Default, 0)
	if len(plain.Algorithms()) > 0 {
		t.Error("algorithms are chosen though nothing is to be measured")
	}

	kept := timings{}
	first := tuned(t, kernels.Tuning{Timings: kept})
	results := convolve(t, first, kernels.Default, 0)
	chosen := first.Algorithms()
	// Forward: the gradients have one that sums products in order. Which layers have a choice is for NVIDIA's cuDNN to say.
	if want := len(layers); len(chosen) != len(kept) || len(kept) > want || fakes != "" && len(kept) < want {
		t.Fatalf("chosen are %v, kept %v", chosen, kept)
	}
	for i := range results {
		if off := distance(fixed[i], results[i]); !(off < 2e-6) {
			t.Errorf("result %d is %.2g of itself away from that of the fixed algorithm", i, off)
		}
	}
	if fakes != "" {
		kinds := slices.Sorted(maps.Values(chosen))
		if kinds = slices.Compact(kinds); len(kinds) < 2 {
			t.Errorf("all layers have algorithm %v, whatever the shape", kinds)
		}
		if same(fixed, results) {
			t.Error("the algorithms that were chosen give the bits of the fixed ones")
		}
	}

	// Another run finds what is kept, and one that adopts these needs nothing kept.
	before := maps.Clone(kept)
	second := tuned(t, kernels.Tuning{Timings: kept})
	if !same(convolve(t, second, kernels.Default, 0), results) || !maps.Equal(kept, before) {
		t.Error("a second run measures anew, or has other bits")
	}
	third := tuned(t, kernels.Tuning{})
	third.Adopt(chosen)
	if !same(convolve(t, third, kernels.Default, 0), results) {
		t.Error("a device that adopts the algorithms has other bits")
	}
	third.Adopt(nil)
	if !same(convolve(t, third, kernels.Default, 0), fixed) {
		t.Error("a device that adopts none does not go back to the fixed ones")
	}

	// A layer has one algorithm, at whatever batch it is first computed.
	convolve(t, first, kernels.Default, 1)
	if !maps.Equal(first.Algorithms(), chosen) || !maps.Equal(kept, before) {
		t.Error("a smaller batch is measured by itself")
	}

	// What is no algorithm at all is not taken.
	fourth := tuned(t, kernels.Tuning{})
	wrong := maps.Clone(chosen)
	for layer := range wrong {
		wrong[layer] = 99
	}
	fourth.Adopt(wrong)
	if !same(convolve(t, fourth, kernels.Default, 0), fixed) {
		t.Error("an algorithm that there is not is not replaced by the fixed one")
	}
}

// TestAlgorithmsThatAreAllowed: transforms are candidates for fast numerics in float32 alone, those that add in any order
// where that is allowed alone; the candidates of each have their own timings.
func TestAlgorithmsThatAreAllowed(t *testing.T) {
	for _, test := range []struct {
		name     string
		how      kernels.Tuning
		numerics kernels.Numerics
		passes   []string // that have a choice
		note     string   // on what is kept
		repeats  bool     // the same bits
	}{
		{"default", kernels.Tuning{}, kernels.Default, []string{"convolution"}, "fp32", true},
		{"exact", kernels.Tuning{}, kernels.Exact, []string{"convolution"}, "fp32", true},
		{"fast", kernels.Tuning{}, kernels.Fast, []string{"convolution", "gradient of the input", "gradient of the weights"},
			"fp32, fast numerics", true},
		{"fast, TF32", kernels.Tuning{Precision: kernels.TF32}, kernels.Fast, []string{"convolution"}, "tf32, fast numerics", true},
		{"bfloat16", kernels.Tuning{Precision: kernels.BF16}, kernels.Default, []string{"convolution"}, "bf16", true},
		{"nondeterministic", kernels.Tuning{Nondeterministic: true}, kernels.Default,
			[]string{"convolution", "gradient of the input", "gradient of the weights"}, "fp32, nondeterministic", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			kept := timings{}
			test.how.Timings = kept
			d := tuned(t, test.how)
			first := convolve(t, d, test.numerics, 0)
			for what := range kept {
				if !strings.HasSuffix(what, ", batch 2, "+test.note) {
					t.Errorf("%q is kept, want a note of %q", what, test.note)
				}
			}
			if fakes == "" {
				return // which layers have a choice is cuDNN's to say
			}
			for _, pass := range []string{"convolution", "gradient of the input", "gradient of the weights"} {
				found := false
				for layer := range d.Algorithms() {
					found = found || strings.HasPrefix(layer, pass)
				}
				if found != slices.Contains(test.passes, pass) {
					t.Errorf("that the %s has a choice is %v: %v", pass, found, d.Algorithms())
				}
			}
			if same(convolve(t, d, test.numerics, 0), first) != test.repeats {
				t.Errorf("that the bits are the same again is %v, want %v", !test.repeats, test.repeats)
			}
		})
	}
}

// TestAlgorithmsThatAreLacking: where cuDNN has not the algorithm that is taken without measuring, another one of its own
// does.
func TestAlgorithmsThatAreLacking(t *testing.T) {
	if fakes == "" {
		t.Skip("only the fake cuDNN lacks what is asked of it")
	}
	t.Setenv("FAKE_CUDNN_LACKS", "1")
	d := tuned(t, kernels.Tuning{})
	convolve(t, d, kernels.Default, 0)
	told := d.Unsupported()
	if len(told) != 2*len(layers) { // the gradients, which have no other
		t.Errorf("the device tells %q", told)
	}
	for _, what := range told {
		if !strings.HasPrefix(what, "gradient") {
			t.Errorf("%s is computed without cuDNN", what)
		}
	}
}
