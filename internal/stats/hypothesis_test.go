package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// near fails where got differs from want by more than within.
func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > within {
		t.Errorf("%s: got %.17g, want %.17g", what, got, want)
	}
}

// made unwraps what makes a test.
func made(t testing.TB) func(Test, error) Test {
	return func(test Test, err error) Test {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return test
	}
}

// TestIntervalsAgreeWithTests: a margin lies in the interval if and only if neither side rejects it.
func TestIntervalsAgreeWithTests(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 3))
	sample := func(n int) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = math.Round(20*random.NormFloat64()) / 100
		}
		return x
	}
	pictures := func(n, seeds int) []Discordance {
		d := make([]Discordance, n)
		for i := range d {
			for range seeds {
				switch u := random.Float64(); {
				case u < 0.08:
					d[i].First++
				case u < 0.12:
					d[i].Second++
				}
			}
		}
		return d
	}
	for name, test := range map[string]Test{
		"5 sign flips":          made(t)(SignFlip(sample(5), 1)),
		"8 sign flips":          made(t)(SignFlip(sample(8), 1)),
		"17 sign flips":         made(t)(SignFlip(sample(17), 1)),
		"40 sign flips, drawn":  made(t)(SignFlip(sample(40), 1)),
		"4 and 5 values":        made(t)(Permutation(sample(4), sample(5), 1)),
		"9 and 7 values":        made(t)(Permutation(sample(9), sample(7), 1)),
		"20 and 5 values":       made(t)(Permutation(sample(20), sample(5), 1)),
		"Tango":                 &tango{7, 1, 21},
		"Tango without any":     &tango{0, 0, 30},
		"pictures of one seed":  made(t)(Pictures(pictures(60, 1), 1)),
		"pictures of six seeds": made(t)(Pictures(pictures(60, 6), 6)),
		"bootstrap":             made(t)(BCa(sample(30), Mean, 2_000, 1)),
		"bootstrap of 3 values": made(t)(BCa(sample(3), Mean, 2_000, 1)),
		"bootstrap of 5 values": made(t)(BCa(sample(5), Mean, 2_000, 1)),
	} {
		for _, alpha := range []float64{0.05, 0.025, 0.1} {
			interval := test.Interval(1 - 2*alpha)
			at := []float64{interval.Low, interval.High, 0, test.Diff()}
			for range 200 {
				at = append(at, math.Round(200*(random.Float64()-0.5))/200, random.Float64()-0.5)
			}
			for _, m := range at {
				if math.IsInf(m, 0) {
					continue
				}
				r := test.At(m)
				rejected := r.Greater <= alpha || r.Less <= alpha
				// At an end itself rounding decides.
				atEnd := math.Abs(m-interval.Low) < 1e-9 || math.Abs(m-interval.High) < 1e-9
				if !atEnd && rejected == interval.Contains(m) {
					t.Errorf("%s, alpha %v, margin %v: p %v and %v, interval %v", name, alpha, m, r.Greater, r.Less, interval)
				}
			}
		}
	}
}

// TestFalseAlarms: over 2,000 comparisons without a difference a test at alpha 0.05 alarms in at most 5 % of them within
// simulation error (four standard errors), and those that are not held back by few patterns in at least 3 %. The bootstrap
// of few seeds alarms more often, as BCa says.
func TestFalseAlarms(t *testing.T) {
	const comparisons, alpha = 2_000, 0.05
	slack := 4 * math.Sqrt(alpha*(1-alpha)/comparisons)
	for _, c := range []struct {
		name  string
		least float64 // share of alarms
		most  float64
		p     func(r *rand.Rand) float64
	}{
		{"sign flips of 3 seeds", 0, alpha + slack, flipP(3)},
		{"sign flips of 5 seeds", 0, alpha + slack, flipP(5)},
		{"sign flips of 6 seeds", 0.03, alpha + slack, flipP(6)},
		{"sign flips of 7 seeds", 0.03, alpha + slack, flipP(7)},
		{"sign flips of 10 seeds", 0.03, alpha + slack, flipP(10)},
		{"sign flips of 20 seeds", 0.03, alpha + slack, flipP(20)},
		{"3 against 3 values", 0, alpha + slack, permutationP(3, 3)},
		{"5 against 6 values", 0.03, alpha + slack, permutationP(5, 6)},
		{"McNemar", 0.03, alpha + slack, mcnemarP},
		{"pictures of one seed", 0.03, alpha + slack, picturesP(150, 1, 0)},
		{"pictures of five seeds", 0.03, alpha + slack, picturesP(150, 5, 0)},
		{"pictures of five seeds, margin", 0.03, alpha + slack, picturesP(150, 5, 0.03)},
		{"bootstrap of 2 seeds", 0, 0, bootstrapP(2)},
		{"bootstrap of 4 seeds", 0, 0, bootstrapP(4)},
		{"bootstrap of 5 seeds", 0.03, 0.11 + slack, bootstrapP(5)},
		{"bootstrap of 20 seeds", 0.03, 0.06 + slack, bootstrapP(EnoughForBCa)},
	} {
		t.Run(c.name, func(t *testing.T) {
			random, alarms := rand.New(rand.NewPCG(11, 7)), 0
			for range comparisons {
				if c.p(random) <= alpha {
					alarms++
				}
			}
			share := float64(alarms) / comparisons
			t.Logf("%.2f %% false alarms", 100*share)
			if share > c.most || share < c.least {
				t.Errorf("%.2f %% false alarms", 100*share)
			}
		})
	}
}

func flipP(seeds int) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 {
		d := make([]float64, seeds)
		for i := range d {
			d[i] = 0.01 * (r.NormFloat64() - r.NormFloat64())
		}
		test, _ := SignFlip(d, 1)
		return test.At(0).Greater
	}
}

func bootstrapP(seeds int) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 {
		d := make([]float64, seeds)
		for i := range d {
			d[i] = 0.01 * (r.NormFloat64() - r.NormFloat64())
		}
		test, err := BCa(d, Mean, 999, 1)
		if err != nil {
			return 1
		}
		return test.At(0).Greater
	}
}

func permutationP(n, m int) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 {
		x, y := make([]float64, n), make([]float64, m)
		for i := range x {
			x[i] = r.ExpFloat64() // no distribution is assumed
		}
		for i := range y {
			y[i] = r.ExpFloat64()
		}
		test, _ := Permutation(x, y, 1)
		return test.At(0).Greater
	}
}

// mcnemarP compares two classifiers with 90 % right on 300 pictures.
func mcnemarP(r *rand.Rand) float64 {
	b, c := 0, 0
	for range 300 {
		first, second := r.Float64() < 0.9, r.Float64() < 0.9
		if first && !second {
			b++
		} else if second && !first {
			c++
		}
	}
	greater, _ := midPMcNemar(b, c)
	return greater
}

// picturesP compares two sides on pictures of unequal difficulty, which all seeds share. The first is right more often
// by margin.
func picturesP(pictures, seeds int, margin float64) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 {
		d := make([]Discordance, pictures)
		for i := range d {
			difficulty := 0.3 * r.Float64() // mean 0.15
			for range seeds {
				first, second := r.Float64() >= difficulty*(1-margin/0.15), r.Float64() >= difficulty
				if first && !second {
					d[i].First++
				} else if second && !first {
					d[i].Second++
				}
			}
		}
		test, _ := Pictures(d, seeds)
		return test.At(margin).Greater
	}
}
