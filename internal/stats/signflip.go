package stats

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// SignFlip tests the mean of paired differences, such as those of runs with the same seed. If d_i − margin is as likely
// as its negative, every choice of signs is: the p value is the share of the 2^n choices with a mean at least as far on
// that side (R. A. Fisher, The Design of Experiments, 1935, § 21). So with n differences no p value is below 2^−n, and
// at alpha 0.05 fewer than 5 can't show anything.
//
// Up to 32 differences all choices are counted; beyond, 99,999 are drawn from seed, which is not used otherwise. Choices
// that tie with the data count as at least as extreme.
//
// The margin is not given here but to the Test: flipping the signs of a set A of the d_i − margin makes their sum
// larger or leaves it if and only if the mean of d over A is at most the margin, so one computation serves all margins.
func SignFlip(d []float64, seed uint64) (Test, error) {
	if len(d) == 0 {
		return nil, errors.New("sign flips need at least one difference, and there is none")
	}
	if err := checkValues(d); err != nil {
		return nil, err
	}
	v := &inversion{diff: stat.Mean(d, nil), low: slices.Min(d), high: slices.Max(d)}
	v.tolerance = rounding * max(math.Abs(v.low), math.Abs(v.high))
	if len(d) > 2*tableBits {
		v.byDrawn(drawSubsetMeans(d, seed))
		return v, nil
	}
	v.exact = true
	v.patterns, v.idle = math.Ldexp(1, len(d)), 1
	v.atMost = func(m float64) float64 { return subsetMeansAtMost(d, 1, m) }
	v.atLeast = func(m float64) float64 { return subsetMeansAtMost(d, -1, -m) }
	return v, nil
}

// subsetMeansAtMost counts the non-empty subsets of sign·d with a mean of at most m: those whose sum of sign·d − m is at
// most 0. Each is a subset of the first half with one of the second.
func subsetMeansAtMost(d []float64, sign, m float64) float64 {
	shifted := make([]float64, len(d))
	for i, v := range d {
		shifted[i] = sign*v - m
	}
	half := len(d) / 2
	return pairsAtMost(subsetSums(shifted[:half]), subsetSums(shifted[half:]), 0) - 1
}

// drawSubsetMeans draws subsets of d, each element with probability 1/2, and gives the means of those that are not
// empty, and how many are.
func drawSubsetMeans(d []float64, seed uint64) (means []float64, empty int) {
	// Eight values at a time go by a table of their 256 subsets.
	type subset struct {
		sum  float64
		size int
	}
	var tables [][256]subset
	for lo := 0; lo < len(d); lo += 8 {
		var table [256]subset
		for i, v := range d[lo:min(lo+8, len(d))] {
			for s := range 1 << i {
				table[1<<i|s] = subset{table[s].sum + v, table[s].size + 1}
			}
		}
		tables = append(tables, table)
	}
	source := rand.NewPCG(seed, 0)
	means = make([]float64, 0, draws)
	for range draws {
		var drawn subset
		var bits uint64
		for i := range tables {
			if bits >>= 8; i%8 == 0 {
				bits = source.Uint64()
			}
			choice := bits & 0xff
			if rest := len(d) - 8*i; rest < 8 {
				choice &= 1<<rest - 1
			}
			drawn.sum += tables[i][choice].sum
			drawn.size += tables[i][choice].size
		}
		if drawn.size == 0 {
			empty++
			continue
		}
		means = append(means, drawn.sum/float64(drawn.size))
	}
	return means, empty
}
