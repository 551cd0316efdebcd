package stats

import "fmt"

// McNemarResult holds the p values of McNemar's test of equal proportions right.
type McNemarResult struct {
	// Of equality, two-sided.
	Exact, MidP float64
	// One-sided: of "the first is right no more often" (Greater) and "no less often" (Less).
	ExactGreater, ExactLess, MidPGreater, MidPLess float64
}

// McNemar compares two classifiers on the same pictures: the first alone is right on b of them, the second alone on c;
// the others say nothing. If both are right equally often, b has the binomial distribution of b + c trials at 1/2.
//
// The exact p values count what is at least as extreme, the mid-p ones half of what is equally extreme: they keep close
// to alpha where the exact ones stay far below (M. W. Fagerland, S. Lydersen and P. Laake, "The McNemar test for binary
// matched-pairs data: mid-p and asymptotic are better than exact conditional", BMC Med. Res. Methodol. 13 (2013), 91).
// Without discordant pictures every p value is 1.
func McNemar(b, c int) (McNemarResult, error) {
	if b < 0 || c < 0 {
		return McNemarResult{}, fmt.Errorf("counts of pictures can't be negative, and they are %d and %d", b, c)
	}
	if b+c == 0 {
		return McNemarResult{1, 1, 1, 1, 1, 1}, nil
	}
	tie := binomial(b, b+c, 0.5)
	r := McNemarResult{ExactGreater: upperBinomial(b, b+c, 0.5), ExactLess: upperBinomial(c, b+c, 0.5)}
	r.MidPGreater = r.ExactGreater - tie/2
	r.MidPLess = r.ExactLess - tie/2
	r.Exact = min(1, 2*min(r.ExactGreater, r.ExactLess))
	r.MidP = min(1, 2*min(r.MidPGreater, r.MidPLess))
	return r, nil
}
