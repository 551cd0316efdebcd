package stats

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/stat"
)

// All 5^5 resamples of five values, so that nothing is drawn. The figures are numpy 2's and scipy 1.17.1's for the
// formulas of scipy.stats.bootstrap(method="BCa") over the same resamples.
func TestBCaOverAllResamples(t *testing.T) {
	values := []float64{0.9, 1.4, 3.2, 7.7, 2.0}
	var all []float64
	for pattern := range 3125 {
		sample := make([]float64, 5)
		for i := range sample {
			sample[i] = values[pattern%5]
			pattern /= 5
		}
		all = append(all, math.Round(Mean(sample)*1e12)/1e12) // in any order of summing
	}
	leftOut := make([]float64, 5)
	for i, v := range values {
		leftOut[i] = (15.2 - v) / 4
	}
	b, err := newBootstrap(3.04, leftOut, all)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "bias", b.bias, 0.11293763345878785, 1e-12)
	near(t, "acceleration", b.acceleration, 0.08669147802327762, 1e-12)
	i := b.Interval(0.9)
	near(t, "low", i.Low, 1.68, 1e-9)
	near(t, "high", i.High, 5.66, 1e-9)
}

// The ends are scipy 1.17.1's, scipy.stats.bootstrap(method="BCa", n_resamples=99999), between those of numpy's
// default_rng(0), (1) and (2), which differ by less than the tolerance.
func TestBCa(t *testing.T) {
	values := []float64{
		1.668, 1.337, 1.146, 1.746, 1.109, 2.382, 1.806, 1.629, 0.464, 0.24, 0.507, 1.877, 1.605, 0.369, 1.863, 0.825, 0.826,
		3.089, 1.527, 1.75, 1.767, 0.361, 1.826, 5.813, 0.548, 2.528, 2.713, 2.685, 0.938, 1.137,
	}
	for _, c := range []struct {
		name      string
		statistic func([]float64) float64
		level     float64
		want      Interval
		within    float64
	}{
		{"mean", Mean, 0.95, Interval{1.296, 2.111}, 0.006},
		{"variance", func(x []float64) float64 { _, v := stat.PopMeanVariance(x, nil); return v }, 0.9, Interval{0.5328, 2.918}, 0.03},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := made(t)(BCa(values, c.statistic, 99_999, 1)).Interval(c.level)
			near(t, "low", got.Low, c.want.Low, c.within)
			near(t, "high", got.High, c.want.High, c.within)
		})
	}
}

func TestBCaOfEqualValues(t *testing.T) {
	if got := made(t)(BCa([]float64{0.25, 0.25}, Mean, 100, 1)).Interval(0.9); !math.IsInf(got.Low, -1) || !math.IsInf(got.High, 1) {
		t.Errorf("two values: interval %v", got)
	}
	test := made(t)(BCa([]float64{0.25, 0.25, 0.25, 0.25, 0.25}, Mean, 100, 1))
	if got := test.Interval(0.9); got != (Interval{0.25, 0.25}) {
		t.Errorf("interval %v", got)
	}
	if r := test.At(0.25); r.Greater != 1 || r.Less != 1 {
		t.Errorf("at the value: %+v", r)
	}
	if r := test.At(0); r.Greater != r.Least || r.Least != 1.0/32 || r.Less != 1 {
		t.Errorf("below the value: %+v", r)
	}
}

func TestBCaRefuses(t *testing.T) {
	nan := func([]float64) float64 { return math.NaN() }
	for name, c := range map[string]struct {
		values    []float64
		statistic func([]float64) float64
		resamples int
	}{
		"one value": {[]float64{1}, Mean, 100}, "NaN": {[]float64{1, math.NaN()}, Mean, 100}, "one resample": {darwin, Mean, 1},
		"statistic without a value": {darwin, nan, 100}, "all on one side": {darwin, func(x []float64) float64 {
			if &x[0] == &darwin[0] {
				return 1
			}
			return 0
		}, 100},
	} {
		if _, err := BCa(c.values, c.statistic, c.resamples, 1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
