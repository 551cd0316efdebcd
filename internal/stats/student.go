package stats

import (
	"errors"
	"math"
)

// StudentInterval is Student's t interval of the mean of x, for comparison with the others: it needs values that are
// normally distributed, not only symmetrically.
func StudentInterval(x []float64, level float64) (Interval, error) {
	if len(x) < 2 {
		return Interval{}, errors.New("an interval by Student's t needs at least two values")
	}
	if err := checkValues(x); err != nil {
		return Interval{}, err
	}
	s := Summarize(x)
	half := studentQuantile(1-tail(level), float64(s.N-1)) * s.Std / math.Sqrt(float64(s.N))
	return Interval{s.Mean - half, s.Mean + half}, nil
}
