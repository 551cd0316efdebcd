package stats

import "testing"

// Exact p values: scipy 1.17.1, scipy.stats.binomtest(b, b + c, 0.5, alternative), the two-sided ones equal to
// statsmodels 0.15.0, mcnemar(exact=True). Mid-p: 2·binom.cdf(min) − binom.pmf(min). Fagerland, Lydersen and Laake
// (2013) give 0.0703 and 0.0391 for the first, on airway hyper-responsiveness.
func TestMcNemar(t *testing.T) {
	for _, c := range []struct {
		name                       string
		b, c                       int
		exact, midP, greater, less float64
	}{
		{"airway hyper-responsiveness", 1, 7, 0.0703125, 0.0390625, 0.99609375, 0.03515625},
		{"approval of a prime minister", 86, 150, 3.7159361395713866e-05, 2.893389517615428e-05, 0.9999896457855217, 1.8579680697856933e-05},
		{"only one side", 4, 0, 0.125, 0.0625, 0.0625, 1},
		{"equal", 5, 5, 1, 1, 0.623046875, 0.623046875},
		{"far apart", 59, 6, 4.964650327128616e-12, 2.7258031986068867e-12, 2.482325163564308e-12, 0.9999999999997565},
		{"nothing", 0, 0, 1, 1, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := McNemar(c.b, c.c)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "exact", r.Exact, c.exact, 1e-10*c.exact)
			near(t, "mid-p", r.MidP, c.midP, 1e-10*c.midP)
			near(t, "greater", r.ExactGreater, c.greater, 1e-10*c.greater)
			near(t, "less", r.ExactLess, c.less, 1e-10*c.less)
			swapped, _ := McNemar(c.c, c.b)
			near(t, "mid-p, sides swapped", swapped.MidPLess, r.MidPGreater, 1e-12)
		})
	}
	if _, err := McNemar(-1, 3); err == nil {
		t.Error("negative counts: no error")
	}
}
