package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
)

// McNemarResult holds the p values of McNemar's test of equal proportions right.
type McNemarResult struct {
	// Of equality, two-sided.
	Exact, MidP float64
	// One-sided: of "the first is right no more often" (Greater) and "no less often" (Less).
	ExactGreater, ExactLess, MidPGreater, MidPLess float64
}

// McNemar compares two classifiers on the same pictures: the first alone is right on b of them, the second alone on c; the
// others say nothing. If both are right equally often, b has the binomial distribution of b + c trials at 1/2.
//
// The exact p values count what is at least as extreme, the mid-p ones half of what is equally extreme: they keep close to
// alpha where the exact ones stay far below (M. W. Fagerland, S. Lydersen and P. Laake, "The McNemar test for binary
// matched-pairs data: mid-p and asymptotic are better than exact conditional", BMC Med. Res. Methodol. 13 (2013), 91).
// Without discordant pictures every p value is 1.
func McNemar(b, c int) (McNemarResult, error) {
	if b < 0 || c < 0 {
		return McNemarResult{}, fmt.Errorf("counts of pictures can't be negative, and they are %d and %d", b, c)
	}
	if b+c == 0 {
		return McNemarResult{1, 1, 1, 1, 1, 1}, nil
	}
	tie := halfBinomial(b, b+c)
	r := McNemarResult{ExactGreater: upperHalfBinomial(b, b+c), ExactLess: upperHalfBinomial(c, b+c)}
	r.MidPGreater = r.ExactGreater - tie/2
	r.MidPLess = r.ExactLess - tie/2
	r.Exact = min(1, 2*min(r.ExactGreater, r.ExactLess))
	r.MidP = min(1, 2*min(r.MidPGreater, r.MidPLess))
	return r, nil
}

// upperHalfBinomial is P(X ≥ k) of n trials at 1/2, by the incomplete beta function (NIST Handbook of Mathematical
// Functions, 8.17.5).
func upperHalfBinomial(k, n int) float64 {
	if k == 0 {
		return 1
	}
	return mathext.RegIncBeta(float64(k), float64(n-k+1), 0.5)
}

// halfBinomial is P(X = k) of n trials at 1/2.
func halfBinomial(k, n int) float64 {
	return math.Exp(logChoose(n, k) - float64(n)*math.Ln2)
}

func logChoose(n, k int) float64 {
	all, _ := math.Lgamma(float64(n + 1))
	in, _ := math.Lgamma(float64(k + 1))
	out, _ := math.Lgamma(float64(n - k + 1))
	return all - in - out
}
