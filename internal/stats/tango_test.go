package stats

import "testing"

// Intervals and p values: scipy 1.17.1 with the likelihood maximised by scipy.optimize.minimize_scalar instead of the
// closed form, and the ends found by brentq. M. W. Fagerland, S. Lydersen and P. Laake, "Recommended tests and
// confidence intervals for paired binomial proportions", Stat. Med. 33 (2014), 2850–2875, give (−0.517, −0.026) for the
// first.
func TestTango(t *testing.T) {
	for _, c := range []struct {
		name              string
		b, c, n           float64
		want              Interval // 95 %
		greater, less     float64
		greaterAt, lessAt float64
	}{
		{"airway hyper-responsiveness", 1, 7, 21, Interval{-0.5172322772708688, -0.02600303002085476}, 0.9967224346777019, 0.03538197920500464, 0.1, -0.05},
		{"the same, swapped", 7, 1, 21, Interval{0.026003030350357288, 0.517232276005189}, 0.0706005101318276, 0.9922998496404526, 0.1, -0.05},
		{"approval of a prime minister", 150, 86, 1600, Interval{0.021361564729193955, 0.05899803331322955}, 0.9999999978459523, 1, 0.1, -0.05},
		{"far apart", 59, 6, 300, Interval{0.12988374276665432, 0.22811518650826745}, 0.0006305552858396924, 1, 0.1, -0.05},
		{"only one side", 4, 0, 20, Interval{0.006649808407271117, 0.4160174322518936}, 0.08876492369544986, 0.9891092680092127, 0.1, -0.05},
		{"no discordant picture", 0, 0, 30, Interval{-0.1135133931740388, 0.11351339317403882}, 0.9660554225690855, 0.8955438091296508, 0.1, -0.05},
	} {
		t.Run(c.name, func(t *testing.T) {
			test := tango{c.b, c.c, c.n}
			got := test.Interval(0.95)
			near(t, "low", got.Low, c.want.Low, 1e-7)
			near(t, "high", got.High, c.want.High, 1e-7)
			near(t, "greater", test.At(c.greaterAt).Greater, c.greater, 1e-6)
			near(t, "less", test.At(c.lessAt).Less, c.less, 1e-6)
		})
	}
}
