package stats

import "math"

// tango tests the difference of paired proportions, p_b − p_c, against a margin by the score test of T. Tango,
// "Equivalence test and confidence interval for the difference in proportions for the paired-sample design", Stat. Med.
// 17 (1998), 891–908: of n pictures the first side alone is right on b, the second alone on c. Margins and the
// difference are shares of 1. At the margin 0 it is McNemar's test by its normal approximation. The counts need not be
// whole: Pictures scales them.
type tango struct{ b, c, n float64 }

func (t *tango) Diff() float64 { return (t.b - t.c) / t.n }

func (t *tango) At(margin float64) Result {
	checkMargin(margin)
	z := t.z(margin)
	return Result{Diff: t.Diff(), Margin: margin, Greater: normal(-z), Less: normal(z)}
}

func (t *tango) Interval(level float64) Interval {
	critical := -normalQuantile(tail(level))
	return Interval{
		Low:  bisect(-1, t.Diff(), rounding, func(m float64) bool { return t.z(m) < critical }),
		High: bisect(1, t.Diff(), rounding, func(m float64) bool { return t.z(m) > -critical }),
	}
}

// z is the score statistic, standard normal if d = margin: (b − c − n·margin) / √(n·(2q + margin·(1 − margin))), with q
// the maximum-likelihood estimate of p_c where p_b − p_c = margin, a root of 2n·q² + (margin·(2n − b + c) − b − c)·q −
// c·margin·(1 − margin).
func (t *tango) z(margin float64) float64 {
	if margin < 0 {
		return -(&tango{t.c, t.b, t.n}).z(-margin)
	}
	if margin >= 1 {
		return math.Inf(-1)
	}
	spread := margin * (1 - margin)
	half := (margin*(2*t.n-t.b+t.c) - t.b - t.c) / 2
	root := math.Sqrt(half*half + 2*t.n*t.c*spread)
	// The two forms of the positive root are equal; the sum without cancellation is taken.
	var q float64
	if half <= 0 {
		q = (root - half) / (2 * t.n)
	} else {
		q = t.c * spread / (root + half)
	}
	variance := t.n * (2*q + spread)
	if variance == 0 {
		return 0 // nothing is discordant and the margin is 0
	}
	return (t.b - t.c - t.n*margin) / math.Sqrt(variance)
}
