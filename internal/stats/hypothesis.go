package stats

import (
	"fmt"
	"math"
)

// Test compares two sides by a difference d: SignFlip, Permutation, Pictures and BCa make one.
type Test interface {
	// Diff is the estimate of d, in the unit of the data.
	Diff() float64

	// At tests d against a margin, in the same unit, one-sided both ways. A margin that is no finite number panics.
	At(margin float64) Result

	// Interval holds the margins that neither hypothesis of At rejects at (1 − level)/2: interval and test come from one
	// computation and don't contradict each other. For a one-sided alpha the level that fits is 1 − 2·alpha. An end is
	// infinite where so few data can't exclude anything on that side. A level outside of (0, 1) panics.
	Interval(level float64) Interval
}

// Result is a test of d against a margin.
type Result struct {
	Diff   float64 // the estimate of d
	Margin float64

	// Greater is the p value of d ≤ margin: the probability, if that were so, of data that speak for d > margin at least
	// as much as these do. Where it is at most alpha, d ≤ margin is rejected.
	Greater float64
	// Less is the p value of d ≥ margin, likewise.
	Less float64

	// Least is the smallest p value that the test can give with so many data. A larger one than alpha: it can't reject.
	Least float64
	// Exact is true where p values are counted over all patterns, neither drawn nor approximated.
	Exact bool
}

// Interval is a confidence interval, ends included.
type Interval struct {
	Low, High float64
}

// Contains tells whether m lies within.
func (i Interval) Contains(m float64) bool { return i.Low <= m && m <= i.High }

// tail is the share that an interval of a level leaves out on each side. It is rounded to twelve digits, so that a level
// of 1 − 2·0.05 leaves out 0.05 and not a little less, which a p value of 1/20 would exceed.
func tail(level float64) float64 {
	if !(level > 0 && level < 1) {
		panic(fmt.Sprintf("stats: the level %v of an interval is not between 0 and 1", level))
	}
	return math.Round((1-level)/2*1e12) / 1e12
}

// checkMargin panics where a margin is no number: whoever read it from a person has refused it before.
func checkMargin(margin float64) {
	if !finite(margin) {
		panic(fmt.Sprintf("stats: the margin %v is no number", margin))
	}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// checkValues names the first value that is no number.
func checkValues(x []float64) error {
	for i, v := range x {
		if !finite(v) {
			return fmt.Errorf("value %d is %v, and a test needs numbers", i+1, v)
		}
	}
	return nil
}

// draws is how many patterns or resamples are drawn where there are too many to count. A p value of 0.05 then has a
// standard error of 0.0007.
const draws = 99_999
