package stats

import "testing"

// Two-sided mid-p values, twice the smaller one-sided one: scipy 1.17.1, 2·binom.cdf(min) − binom.pmf(min). Fagerland,
// Lydersen and Laake (2013) give 0.0391 for the first, on airway hyper-responsiveness.
func TestMcNemar(t *testing.T) {
	for _, c := range []struct {
		name string
		b, c int
		midP float64
	}{
		{"airway hyper-responsiveness", 1, 7, 0.0390625},
		{"approval of a prime minister", 86, 150, 2.893389517615428e-05},
		{"only one side", 4, 0, 0.0625},
		{"equal", 5, 5, 1},
		{"far apart", 59, 6, 2.7258031986068867e-12},
		{"nothing", 0, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			greater, less := midPMcNemar(c.b, c.c)
			near(t, "mid-p", min(1, 2*min(greater, less)), c.midP, 1e-10*c.midP)
			if (greater < less) != (c.b > c.c) {
				t.Errorf("of %d against %d the p values are %v and %v", c.b, c.c, greater, less)
			}
			swapped, _ := midPMcNemar(c.c, c.b)
			near(t, "sides swapped", swapped, less, 1e-12)
		})
	}
}
