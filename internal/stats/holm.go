package stats

import (
	"math"
	"slices"
)

// Holm adjusts the p values of a family of hypotheses, so that rejecting those with at most alpha rejects a true one
// with a probability of at most alpha, however they depend on each other: with p ascending, max over j ≤ i of (k − j +
// 1)·p_j, at most 1 (S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6 (1979),
// 65–70). The order is kept. A hypothesis that can't be tested has the p value 1 and counts; a p outside of [0, 1]
// panics.
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		if !(p[i] >= 0 && p[i] <= 1) {
			panic("stats: a p value is not between 0 and 1")
		}
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case p[i] < p[j]:
			return -1
		case p[i] > p[j]:
			return 1
		}
		return 0
	})
	adjusted := make([]float64, len(p))
	greatest := 0.0
	for rank, i := range order {
		greatest = max(greatest, math.Min(1, float64(len(p)-rank)*p[i]))
		adjusted[i] = greatest
	}
	return adjusted
}
