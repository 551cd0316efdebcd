package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The p values are those of scipy 1.17.1: scipy.stats.permutation_test((x − margin, y), difference of means,
// permutation_type="independent", n_resamples=inf, alternative="greater" and "less"). The second row is counted in
// whole per cents: in floating point scipy takes some of its ties for less extreme.
func TestPermutation(t *testing.T) {
	x, y := []float64{0.91, 0.93, 0.90, 0.95, 0.92}, []float64{0.89, 0.91, 0.92, 0.88, 0.87}
	x2, y2 := []float64{12.1, 14.3, 11.8}, []float64{10.2, 11.9, 12.4, 9.8, 13.0, 11.1}
	for _, c := range []struct {
		name                         string
		x, y                         []float64
		margin, greater, less, least float64
	}{
		{"five seeds each", x, y, 0, 0.04365079365079365, 0.9801587301587301, 1.0 / 252},
		{"five seeds each, margin", x, y, 0.03, 0.626984126984127, 0.5, 1.0 / 252},
		{"three and six", x2, y2, 0, 0.11904761904761904, 0.8928571428571429, 1.0 / 84},
		{"three and six, negative margin", x2, y2, -1, 0.023809523809523808, 0.9880952380952381, 1.0 / 84},
		{"one and one", x[:1], y[:1], 0, 0.5, 1, 0.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := made(t)(Permutation(c.x, c.y, 1)).At(c.margin)
			near(t, "greater", r.Greater, c.greater, 1e-15)
			near(t, "less", r.Less, c.less, 1e-15)
			near(t, "least", r.Least, c.least, 1e-17)
			near(t, "difference", r.Diff, Mean(c.x)-Mean(c.y), 1e-12)
			if !r.Exact {
				t.Error("it is not exact")
			}
		})
	}
}

func TestDrawnPermutationsAgreeWithCountedOnes(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 1))
	x, y := make([]float64, 8), make([]float64, 11)
	for i := range x {
		x[i] = 0.5 + random.NormFloat64()
	}
	for i := range y {
		y[i] = random.NormFloat64()
	}
	counted := made(t)(Permutation(x, y, 1))
	drawn := &inversion{
		diff: counted.Diff(), low: slices.Min(x) - slices.Max(y), high: slices.Max(x) - slices.Min(y), tolerance: 1e-12,
	}
	drawn.byDrawn(drawExchanges(x, y, 1))
	for _, margin := range []float64{-0.5, 0, 0.3, 1} {
		want, got := counted.At(margin), drawn.At(margin)
		near(t, "greater", got.Greater, want.Greater, 4*math.Sqrt(want.Greater*(1-want.Greater)/draws)+2.0/draws)
		near(t, "less", got.Less, want.Less, 4*math.Sqrt(want.Less*(1-want.Less)/draws)+2.0/draws)
	}
	want, got := counted.Interval(0.9), drawn.Interval(0.9)
	near(t, "low", got.Low, want.Low, 0.02)
	near(t, "high", got.High, want.High, 0.02)
	if large := made(t)(Permutation(make([]float64, 17), y, 1)).At(0); large.Exact {
		t.Error("17 values a side are counted")
	}
}

func TestPermutationRefuses(t *testing.T) {
	one := []float64{1}
	for name, sides := range map[string][2][]float64{
		"nothing first": {nil, one}, "nothing second": {one, nil}, "NaN": {{math.NaN()}, one}, "infinity": {one, {math.Inf(-1)}},
	} {
		if _, err := Permutation(sides[0], sides[1], 1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
