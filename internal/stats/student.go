package stats

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/mathext"
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

// studentQuantile is the p quantile of Student's t with nu degrees of freedom, for p from 1/2, by the incomplete beta
// function: P(|T| > t) = I_x(nu/2, 1/2) with x = nu/(nu + t²) (NIST Handbook of Mathematical Functions, 8.17; Abramowitz
// and Stegun, 26.7.1).
func studentQuantile(p, nu float64) float64 {
	x := mathext.InvRegIncBeta(nu/2, 0.5, 2*(1-p))
	return math.Sqrt(nu * (1 - x) / x)
}
