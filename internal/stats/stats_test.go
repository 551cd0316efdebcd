package stats

import (
	"math"
	"testing"
)

func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []float64
		want Summary
	}{
		{"empty", nil, Summary{}},
		{"one value has no spread", []float64{0.5}, Summary{1, 0.5, 0}},
		{"divides by N-1", []float64{2, 4, 4, 4, 5, 5, 7, 9}, Summary{8, 5, math.Sqrt(32.0 / 7)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Summarize(c.in)
			if got.N != c.want.N || math.Abs(got.Mean-c.want.Mean) > 1e-15 || math.Abs(got.Std-c.want.Std) > 1e-15 {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
