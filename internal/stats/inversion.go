package stats

import (
	"math"
	"slices"
	"sort"
)

// inversion is a permutation test in the form that answers for all margins at once. Each pattern of the test, such as a
// choice of signs, is at least as extreme as the data if and only if a value that belongs to it, and does not depend on
// the margin, is at most the margin (at least it, on the other side). So a p value is a count of values, and the ends
// of the interval are values of a certain rank: J. A. Hartigan, "Using subsample values as typical values", JASA 64
// (1969), 1303–1317.
type inversion struct {
	diff     float64
	patterns float64 // all of them, those that change nothing included
	idle     float64 // those that change nothing: as extreme as the data at any margin
	exact    bool

	low, high float64 // no value lies outside
	tolerance float64 // within which values are equal to the margin: sums in different orders differ by rounding

	atMost, atLeast func(margin float64) float64 // how many values of the other patterns are so
}

// rounding is the relative tolerance of ties. Sums of up to thousands of values agree to about 1e-14 of the greatest.
const rounding = 1e-12

func (v *inversion) Diff() float64 { return v.diff }

func (v *inversion) At(margin float64) Result {
	checkMargin(margin)
	return Result{
		Diff: v.diff, Margin: margin, Greater: v.greater(margin), Less: v.less(margin),
		Least: v.idle / v.patterns, Exact: v.exact,
	}
}

func (v *inversion) greater(margin float64) float64 {
	return (v.idle + v.atMost(margin+v.tolerance)) / v.patterns
}

func (v *inversion) less(margin float64) float64 {
	return (v.idle + v.atLeast(margin-v.tolerance)) / v.patterns
}

func (v *inversion) Interval(level float64) Interval {
	alpha := tail(level)
	if v.idle/v.patterns > alpha {
		return Interval{math.Inf(-1), math.Inf(1)}
	}
	if v.low == v.high {
		return Interval{v.low, v.high}
	}
	// Outside of the values every margin is rejected, at their far end none is.
	reach := v.high - v.low
	return Interval{
		Low:  bisect(v.low-reach, v.high, v.tolerance/8, func(m float64) bool { return v.greater(m) > alpha }),
		High: bisect(v.high+reach, v.low, v.tolerance/8, func(m float64) bool { return v.less(m) > alpha }),
	}
}

// bisect narrows the place between outside and inside where holds begins to, and gives the side where it does.
func bisect(outside, inside, width float64, holds func(float64) bool) float64 {
	for math.Abs(inside-outside) > width {
		middle := outside + (inside-outside)/2
		if middle == outside || middle == inside {
			break
		}
		if holds(middle) {
			inside = middle
		} else {
			outside = middle
		}
	}
	return inside
}

// byDrawn fills in the counts from values of drawn patterns, which it sorts. The data themselves count as one pattern
// more, which makes the test valid: B. Phipson and G. K. Smyth, "Permutation p-values should never be zero", Stat. Appl.
// Genet. Mol. Biol. 9 (2010), article 39.
func (v *inversion) byDrawn(values []float64, idle int) {
	slices.Sort(values)
	v.patterns = float64(len(values) + idle + 1)
	v.idle = float64(idle + 1)
	v.atMost = func(m float64) float64 {
		return float64(sort.Search(len(values), func(i int) bool { return values[i] > m }))
	}
	v.atLeast = func(m float64) float64 {
		return float64(len(values) - sort.SearchFloat64s(values, m))
	}
}

// tableBits bounds the tables of exact tests: 2^16 sums, so 32 sign flips or two samples of 16.
const tableBits = 16

// subsetSums gives the sums of all 2^n subsets of x in ascending order, in time that is linear in their number.
func subsetSums(x []float64) []float64 {
	sums := []float64{0}
	for _, v := range x {
		sums = mergeSums(sums, sums, v)
	}
	return sums
}

// subsetSumsBySize gives, for each k, the sums of the subsets of x with k elements in ascending order.
func subsetSumsBySize(x []float64) [][]float64 {
	bySize := [][]float64{{0}}
	for _, v := range x {
		bySize = append(bySize, nil)
		for k := len(bySize) - 1; k > 0; k-- {
			bySize[k] = mergeSums(bySize[k], bySize[k-1], v)
		}
	}
	return bySize
}

// mergeSums merges a with b + v; both are ascending, and so is the result.
func mergeSums(a, b []float64, v float64) []float64 {
	merged := make([]float64, 0, len(a)+len(b))
	i := 0
	for _, s := range b {
		for i < len(a) && a[i] <= s+v {
			merged = append(merged, a[i])
			i++
		}
		merged = append(merged, s+v)
	}
	return append(merged, a[i:]...)
}

// pairsAtMost counts the pairs of a value of a and one of b, both ascending, whose sum is at most t.
func pairsAtMost(a, b []float64, t float64) float64 {
	n, j := 0.0, len(b)
	for _, s := range a {
		for j > 0 && s+b[j-1] > t {
			j--
		}
		n += float64(j)
	}
	return n
}
