package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// darwin holds the differences of 15 pairs of maize plants, in eighths of an inch (Fisher 1935, § 17).
var darwin = []float64{49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48}

// The p values are those of scipy 1.17.1: scipy.stats.permutation_test((d − margin,), numpy.mean,
// permutation_type="samples", n_resamples=inf, alternative="greater" and "less"). Fisher gives 0.0263 for the first.
func TestSignFlip(t *testing.T) {
	seeds := []float64{0.02, 0.013, -0.004, 0.021, 0.009, 0.017}
	ties := []float64{1, 1, -1, 2, 0, 0, 3}
	for _, c := range []struct {
		name                  string
		d                     []float64
		margin, greater, less float64
	}{
		{"Darwin's maize", darwin, 0, 0.026336669921875, 0.974517822265625},
		{"Darwin's maize, margin", darwin, 10, 0.141448974609375, 0.862030029296875},
		{"accuracies of six seeds", seeds, 0, 0.03125, 0.984375},
		{"accuracies of six seeds, margin", seeds, 0.01, 0.28125, 0.75},
		{"ties and zeros", ties, 0, 0.125, 0.96875},
		{"ties and zeros, margin", ties, 1, 0.71875, 0.5},
		{"one value", []float64{2}, 0, 0.5, 1},
		{"all zero", []float64{0, 0, 0, 0, 0}, 0, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := made(t)(SignFlip(c.d, 1)).At(c.margin)
			near(t, "greater", r.Greater, c.greater, 1e-15)
			near(t, "less", r.Less, c.less, 1e-15)
			near(t, "least", r.Least, math.Ldexp(1, -len(c.d)), 0)
			near(t, "difference", r.Diff, Mean(c.d), 1e-12)
			if !r.Exact {
				t.Error("it is not exact")
			}
		})
	}
}

// Differences of accuracies are multiples of 1/pictures that rounding has moved: they tie all the same.
func TestTiesAreSeenDespiteRounding(t *testing.T) {
	var d []float64
	for _, right := range [][2]float64{{71, 70}, {72, 70}, {73, 70}, {70, 73}, {75, 70}} {
		d = append(d, right[0]/153-right[1]/153)
	}
	r := made(t)(SignFlip(d, 1)).At(1.0/153 + 1.0/153)
	whole := made(t)(SignFlip([]float64{1, 2, 3, -3, 5}, 1)).At(2)
	near(t, "greater", r.Greater, whole.Greater, 0)
	near(t, "less", r.Less, whole.Less, 0)
}

// The ends are order statistics of the means of subsets, enumerated in Python: the third of 63 from each end for six
// differences at 0.05, since 3/64 is the largest p value below it, and the 819th of 32,767 for Darwin's fifteen at
// 0.025.
func TestSignFlipInterval(t *testing.T) {
	seeds := []float64{0.02, 0.013, -0.004, 0.021, 0.009, 0.017}
	for _, c := range []struct {
		name  string
		d     []float64
		level float64
		want  Interval
	}{
		{"six seeds", seeds, 0.90, Interval{0.0045, 0.02}},
		{"Darwin's maize", darwin, 0.95, Interval{-1.0 / 6, 41}},
		{"five seeds can't give 95 %", seeds[:5], 0.95, Interval{math.Inf(-1), math.Inf(1)}},
		{"five seeds give 90 %", seeds[:5], 0.90, Interval{-0.004, 0.021}},
		{"all the same", []float64{0.5, 0.5, 0.5, 0.5, 0.5, 0.5}, 0.9, Interval{0.5, 0.5}},
		{"all zero", make([]float64, 7), 0.9, Interval{0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := made(t)(SignFlip(c.d, 1)).Interval(c.level)
			if math.IsInf(c.want.Low, -1) {
				if got != c.want {
					t.Errorf("got %v, want %v", got, c.want)
				}
				return
			}
			near(t, "low", got.Low, c.want.Low, 1e-9)
			near(t, "high", got.High, c.want.High, 1e-9)
		})
	}
}

func TestDrawnSignFlipsAgreeWithCountedOnes(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	d := make([]float64, 20)
	for i := range d {
		d[i] = 0.4 + random.NormFloat64()
	}
	counted := made(t)(SignFlip(d, 1))
	drawn := &inversion{diff: Mean(d), low: slices.Min(d), high: slices.Max(d), tolerance: 1e-12}
	drawn.byDrawn(drawSubsetMeans(d, 1))
	// Four standard errors of a share of 99,999 drawn patterns.
	for _, margin := range []float64{-0.5, 0, 0.2, 0.4, 1} {
		want, got := counted.At(margin), drawn.At(margin)
		near(t, "greater", got.Greater, want.Greater, 4*math.Sqrt(want.Greater*(1-want.Greater)/draws)+2.0/draws)
		near(t, "less", got.Less, want.Less, 4*math.Sqrt(want.Less*(1-want.Less)/draws)+2.0/draws)
	}
	want, got := counted.Interval(0.9), drawn.Interval(0.9)
	near(t, "low", got.Low, want.Low, 0.02)
	near(t, "high", got.High, want.High, 0.02)
}

func TestManySignFlipsComeFromTheSeed(t *testing.T) {
	d := make([]float64, 50)
	for i := range d {
		d[i] = math.Sin(float64(i)) + 0.2
	}
	first, again, other := made(t)(SignFlip(d, 3)), made(t)(SignFlip(d, 3)), made(t)(SignFlip(d, 4))
	if r := first.At(0); r.Exact || r.Least != 1.0/(draws+1) {
		t.Errorf("drawn, and yet: %+v", r)
	}
	if first.At(0) != again.At(0) || first.Interval(0.9) != again.Interval(0.9) {
		t.Error("the same seed draws differently")
	}
	if first.At(0) == other.At(0) {
		t.Error("another seed draws the same")
	}
}

func TestSignFlipRefuses(t *testing.T) {
	for name, d := range map[string][]float64{"nothing": nil, "NaN": {1, math.NaN()}, "infinity": {math.Inf(1), 0}} {
		if _, err := SignFlip(d, 1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
