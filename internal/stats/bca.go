package stats

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// BCa makes a test from the bias-corrected and accelerated bootstrap of a statistic, such as Mean of paired
// differences: resamples of the values, drawn with replacement from seed, are what the statistic could have been (B.
// Efron, "Better bootstrap confidence intervals", JASA 82 (1987), 171–185). Interval gives Efron's interval, with
// quantiles interpolated as in scipy.stats.bootstrap; At gives the p values at which it just touches the margin. The
// level is given to the Test, since all levels are answered by the same resamples.
//
// The statistic must not keep or change its argument. With fewer than EnoughForBCa values the interval is too short, as
// so few don't show how far they spread: means of 5 normal values are outside of one end in 11 % of cases instead of
// 5 %, of 20 in 6 %; and two values that happen to be equal would exclude everything else. So no p value is below 2^−n,
// which n values that differ from the margin all to one side have by chance, and where that is too much for a level the
// interval is open. DefaultResamples will do for levels up to 0.99.
func BCa(values []float64, statistic func([]float64) float64, resamples int, seed uint64) (Test, error) {
	if len(values) < 2 {
		return nil, fmt.Errorf("the bootstrap needs at least two values, and there are %d", len(values))
	}
	if resamples < 2 {
		return nil, fmt.Errorf("the bootstrap needs at least two resamples, not %d", resamples)
	}
	if err := checkValues(values); err != nil {
		return nil, err
	}
	n := len(values)
	random := rand.New(rand.NewPCG(seed, 2))
	drawn, sample := make([]float64, resamples), make([]float64, n)
	for r := range drawn {
		for i := range sample {
			sample[i] = values[random.IntN(n)]
		}
		drawn[r] = statistic(sample)
	}
	leftOut := make([]float64, n)
	for i := range leftOut {
		leftOut[i] = statistic(slices.Delete(append(sample[:0:n], values...), i, i+1))
	}
	return newBootstrap(statistic(values), leftOut, drawn)
}

// DefaultResamples is scipy's.
const DefaultResamples = 9_999

// EnoughForBCa is how many values keep false alarms near alpha, 6 % at 5 %.
const EnoughForBCa = 20

// Mean is the statistic of most comparisons.
func Mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

type bootstrap struct {
	estimate     float64
	bias         float64 // z₀: the normal quantile of the share of resamples below the estimate
	acceleration float64 // a: how fast the statistic's standard deviation changes with it
	sorted       []float64
	least        float64 // no p value is below it
}

// newBootstrap takes the statistic of the values, of the values but one each, and of the resamples, which it sorts.
func newBootstrap(estimate float64, leftOut, resamples []float64) (*bootstrap, error) {
	b := &bootstrap{estimate: estimate, sorted: resamples}
	b.least = max(1/float64(len(resamples)+1), math.Ldexp(1, -len(leftOut)))
	for _, v := range slices.Concat([]float64{estimate}, leftOut, resamples) {
		if !finite(v) {
			return nil, fmt.Errorf("the statistic of a resample is %v", v)
		}
	}
	slices.Sort(b.sorted)
	below := sort.SearchFloat64s(b.sorted, estimate)
	equal := sort.Search(len(b.sorted), func(i int) bool { return b.sorted[i] > estimate }) - below
	share := (float64(below) + float64(equal)/2) / float64(len(b.sorted))
	if b.bias = normalQuantile(share); math.IsInf(b.bias, 0) {
		return nil, errors.New("the bootstrap can't correct the bias: every resample lies on one side of the estimate")
	}
	squares, cubes, mean := 0.0, 0.0, Mean(leftOut)
	for _, v := range leftOut {
		u := mean - v
		squares += u * u
		cubes += u * u * u
	}
	if squares > 0 {
		b.acceleration = cubes / (6 * math.Pow(squares, 1.5))
	}
	return b, nil
}

func (b *bootstrap) Diff() float64 { return b.estimate }

func (b *bootstrap) Interval(level float64) Interval {
	alpha := tail(level)
	if b.least > alpha {
		return Interval{math.Inf(-1), math.Inf(1)}
	}
	z := normalQuantile(alpha)
	return Interval{b.quantile(b.corrected(z)), b.quantile(b.corrected(-z))}
}

// corrected is the share of resamples below the end of an interval that would be Φ(z) without bias and acceleration.
func (b *bootstrap) corrected(z float64) float64 {
	shifted := b.bias + z
	scale := 1 - b.acceleration*shifted
	if scale <= 0 { // past the pole: all resamples lie within
		return normal(math.Copysign(math.Inf(1), shifted))
	}
	return normal(b.bias + shifted/scale)
}

// uncorrected is the inverse of corrected: Φ(z) for the share of resamples below a margin.
func (b *bootstrap) uncorrected(share float64) float64 {
	u := normalQuantile(share) - b.bias
	switch {
	case math.IsInf(u, 0):
		return normal(u)
	case 1+b.acceleration*u <= 0:
		return normal(math.Copysign(math.Inf(1), u))
	}
	return normal(u/(1+b.acceleration*u) - b.bias)
}

// quantile interpolates between the resamples, the least at 0 and the greatest at 1.
func (b *bootstrap) quantile(share float64) float64 {
	place := share * float64(len(b.sorted)-1)
	i := min(int(place), len(b.sorted)-1)
	j := min(i+1, len(b.sorted)-1)
	return b.sorted[i] + (place-float64(i))*(b.sorted[j]-b.sorted[i])
}

func (b *bootstrap) At(margin float64) Result {
	checkMargin(margin)
	low, high := b.shares(margin)
	return Result{
		Diff: b.estimate, Margin: margin, Least: b.least,
		Greater: max(b.least, b.uncorrected(high)), Less: max(b.least, 1-b.uncorrected(low)),
	}
}

// shares gives the least and the greatest share whose quantile is the margin. They differ where resamples tie with it.
func (b *bootstrap) shares(margin float64) (low, high float64) {
	first := sort.SearchFloat64s(b.sorted, margin)
	after := sort.Search(len(b.sorted), func(i int) bool { return b.sorted[i] > margin })
	last := float64(len(b.sorted) - 1)
	switch {
	case after == 0:
		return 0, 0
	case first == len(b.sorted):
		return 1, 1
	case first < after:
		return float64(first) / last, float64(after-1) / last
	}
	between := (margin - b.sorted[first-1]) / (b.sorted[first] - b.sorted[first-1])
	share := (float64(first-1) + between) / last
	return share, share
}
