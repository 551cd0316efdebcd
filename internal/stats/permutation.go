package stats

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Permutation tests the difference mean(x) − mean(y) of two samples that are not paired. If x − margin and y come from
// one distribution, every way to divide the values into two groups of these sizes is equally likely: the p value is the
// share of those with a difference at least as far on that side (R. A. Fisher, 1935; E. J. G. Pitman, J. R. Stat. Soc.
// Suppl. 4 (1937), 119–130).
//
// Up to 16 values a side all ways are counted; beyond, 99,999 are drawn from seed, which is not used otherwise. Ways
// that tie with the data count as at least as extreme.
//
// The margin is given to the Test, as with SignFlip: a way exchanges a set A of x with a set B of y, equally many, and
// makes the difference larger or leaves it if and only if mean(A) − mean(B) is at most the margin.
func Permutation(x, y []float64, seed uint64) (Test, error) {
	if len(x) == 0 || len(y) == 0 {
		return nil, errors.New("a permutation test needs at least one value on each side")
	}
	if err := checkValues(x); err != nil {
		return nil, fmt.Errorf("first side: %w", err)
	}
	if err := checkValues(y); err != nil {
		return nil, fmt.Errorf("second side: %w", err)
	}
	v := &inversion{
		diff: stat.Mean(x, nil) - stat.Mean(y, nil),
		low:  slices.Min(x) - slices.Max(y),
		high: slices.Max(x) - slices.Min(y),
	}
	for _, e := range slices.Concat(x, y) {
		v.tolerance = max(v.tolerance, rounding*math.Abs(e))
	}
	if max(len(x), len(y)) > tableBits {
		v.byDrawn(drawExchanges(x, y, seed))
		return v, nil
	}
	v.exact = true
	negated := make([]float64, len(y))
	for i, e := range y {
		negated[i] = -e
	}
	sumsX, sumsY := subsetSumsBySize(x), subsetSumsBySize(negated)
	sumsX, sumsY = sumsX[:min(len(sumsX), len(sumsY))], sumsY[:min(len(sumsX), len(sumsY))]
	for k := range sumsX {
		v.patterns += float64(len(sumsX[k])) * float64(len(sumsY[k]))
	}
	v.idle = 1
	v.atMost = func(m float64) float64 {
		n := 0.0
		for k := 1; k < len(sumsX); k++ {
			n += pairsAtMost(sumsX[k], sumsY[k], float64(k)*m)
		}
		return n
	}
	v.atLeast = func(m float64) float64 {
		n := 0.0
		for k := 1; k < len(sumsX); k++ {
			all := float64(len(sumsX[k])) * float64(len(sumsY[k]))
			n += all - pairsAtMost(sumsX[k], sumsY[k], math.Nextafter(float64(k)*m, math.Inf(-1)))
		}
		return n
	}
	return v, nil
}

// drawExchanges draws ways to divide x and y anew, and gives mean(A) − mean(B) of what they exchange, and how many
// exchange nothing.
func drawExchanges(x, y []float64, seed uint64) (values []float64, idle int) {
	random := rand.New(rand.NewPCG(seed, 1))
	order := make([]int, len(x)+len(y))
	for i := range order {
		order[i] = i
	}
	values = make([]float64, 0, draws)
	for range draws {
		// The first len(x) places of a partial shuffle are the new first group.
		k, sum := 0, 0.0
		for i := range x {
			j := i + random.IntN(len(order)-i)
			order[i], order[j] = order[j], order[i]
			if order[i] >= len(x) {
				k++
				sum -= y[order[i]-len(x)]
			}
		}
		for _, e := range order[len(x):] {
			if e < len(x) {
				sum += x[e]
			}
		}
		if k == 0 {
			idle++
			continue
		}
		values = append(values, sum/float64(k))
	}
	return values, idle
}
