package stats

import (
	"math/rand/v2"
	"testing"
)

// The p values are counted by Python's itertools over all choices of signs of the seven differences that are not 0,
// ties by half.
func TestPictures(t *testing.T) {
	d := []Discordance{{2, 0}, {2, 1}, {0, 1}, {0, 0}, {1, 1}, {3, 0}, {1, 0}, {0, 2}, {1, 0}, {1, 0}}
	r := made(t)(Pictures(d, 3)).At(0)
	near(t, "difference", r.Diff, 6.0/30, 1e-15)
	near(t, "greater", r.Greater, 0.111328125, 1e-15)
	near(t, "less", r.Less, 0.888671875, 1e-15)
	near(t, "least", r.Least, 1.0/512, 0)
}

// With one seed it is McNemar's mid-p test and Tango's.
func TestPicturesOfOneSeed(t *testing.T) {
	d := make([]Discordance, 21)
	for i := range 8 {
		if d[i].Second = 1; i == 0 {
			d[i] = Discordance{First: 1}
		}
	}
	test := made(t)(Pictures(d, 1))
	greater, less := midPMcNemar(1, 7)
	near(t, "greater", test.At(0).Greater, greater, 1e-14)
	near(t, "less", test.At(0).Less, less, 1e-14)
	tango := &tango{1, 7, 21}
	near(t, "margin", test.At(-0.05).Less, tango.At(-0.05).Less, 1e-14)
	near(t, "low", test.Interval(0.95).Low, tango.Interval(0.95).Low, 1e-12)
	near(t, "high", test.Interval(0.95).High, tango.Interval(0.95).High, 1e-12)
}

// Seeds that all say the same are worth one: four copies of the answers give the p values of one.
func TestSeedsThatAgreeAreWorthOne(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	one, four := make([]Discordance, 200), make([]Discordance, 200)
	for i := range one {
		switch u := random.Float64(); {
		case u < 0.10:
			one[i], four[i] = Discordance{1, 0}, Discordance{4, 0}
		case u < 0.15:
			one[i], four[i] = Discordance{0, 1}, Discordance{0, 4}
		}
	}
	a, b := made(t)(Pictures(one, 1)), made(t)(Pictures(four, 4))
	for _, margin := range []float64{-0.02, 0, 0.02} {
		near(t, "greater", b.At(margin).Greater, a.At(margin).Greater, 1e-9)
	}
	near(t, "low", b.Interval(0.9).Low, a.Interval(0.9).Low, 1e-9)
	near(t, "high", b.Interval(0.9).High, a.Interval(0.9).High, 1e-9)
}

// What flips reject at 0 leaves 0 out of the interval, although the score test, which takes answers that cancel over seeds
// for noise, does not reject it.
func TestIntervalOfPicturesLeavesOutARejectedZero(t *testing.T) {
	for _, d := range []Discordance{{1, 0}, {0, 1}} {
		sample := make([]Discordance, 400)
		for i := range sample[:106] {
			if sample[i] = d; i >= 6 {
				sample[i] = Discordance{1, 1}
			}
		}
		test := made(t)(Pictures(sample, 2))
		r, i := test.At(0), test.Interval(0.9)
		if p := min(r.Greater, r.Less); p > 0.05 || i.Contains(0) || !i.Contains(test.Diff()) {
			t.Errorf("p %v at 0, interval %v of %v", p, i, test.Diff())
		}
	}
}

func TestPicturesWithoutADifference(t *testing.T) {
	test := made(t)(Pictures(make([]Discordance, 100), 5))
	if r := test.At(0); r.Greater != 1 || r.Less != 1 {
		t.Errorf("margin 0: %+v", r)
	}
	// A hundred pictures without a difference show something all the same: as with Tango.
	near(t, "drop of 5 %", test.At(0.05).Less, (&tango{0, 0, 100}).At(0.05).Less, 1e-12)
}

func TestPicturesRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		d     []Discordance
		seeds int
	}{
		"no picture": {nil, 1}, "no seed": {make([]Discordance, 3), 0}, "more than seeds": {[]Discordance{{2, 2}}, 3}, "negative": {[]Discordance{{-1, 2}}, 3},
	} {
		if _, err := Pictures(c.d, c.seeds); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
