package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ftrun/ftrun/internal/runlog"
)

// configOf is a configuration whose runs have the seeds 0, 1, … and these accuracies. Those of a NaN have failed.
func configOf(sweep string, accs []float64, labels ...Label) ConfigResults {
	c := ConfigResults{Sweep: sweep, Labels: labels, Params: runlog.Params{Total: 1_000_000, Trainable: 1026}}
	for seed, acc := range accs {
		run := finished(sweep, int64(seed), acc, labels...)
		s := SeedResult{
			Seed: run.Seed, ID: fmt.Sprintf("%s %d %v", c.Name(), seed, acc), Status: run.Status, Metrics: run.Metrics,
			Timing: run.Timing, Device: run.Device, Path: run.Path,
		}
		if math.IsNaN(acc) {
			s.Status, s.Metrics, s.Timing = runlog.Failed, nil, nil
		}
		c.Seeds = append(c.Seeds, s)
	}
	return c
}

func baseOf(configs ...ConfigResults) *Results {
	return &Results{Origin: "baseline.json", Version: "0.1.0", Numerics: 2, Configs: configs}
}

func newerOf(configs ...ConfigResults) *Results {
	return &Results{Origin: "the last plan", Version: "0.2.0", Numerics: 2, Configs: configs}
}

// criterionOf is the default of a metric, changed.
func criterionOf(t testing.TB, metric string, change func(*Criterion)) Criterion {
	t.Helper()
	m, ok := LookupMetric(metric)
	if !ok {
		t.Fatalf("there is no metric %s", metric)
	}
	c := DefaultCriterion(m)
	if change != nil {
		change(&c)
	}
	return c
}

func mustCompare(t testing.TB, base, newer *Results, by Criterion) *Comparison {
	t.Helper()
	c, err := Compare(base, newer, by)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Six seeds with a little noise, as an accuracy has over seeds.
var noisy = []float64{0.900, 0.904, 0.897, 0.902, 0.899, 0.903}

// plus shifts values, each by a little more or less than the shift, so that the differences are no constant.
func plus(x []float64, shift float64) []float64 {
	wobble := []float64{0.001, -0.002, 0.0015, 0, -0.001, 0.0005}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v + shift + wobble[i%len(wobble)]
	}
	return y
}

func TestVerdicts(t *testing.T) {
	for _, test := range []struct {
		name        string
		base, newer []float64
		metric      string
		change      func(*Criterion)
		want        Verdict
		why         string
	}{
		{name: "far below", base: noisy, newer: plus(noisy, -0.1), metric: "val_acc", want: Worse},
		{name: "as before", base: noisy, newer: plus(noisy, 0), metric: "val_acc", want: Same},
		{name: "above", base: noisy, newer: plus(noisy, 0.05), metric: "val_acc", want: Better},
		{name: "at the margin", base: noisy, newer: plus(noisy, -0.01), metric: "val_acc", want: Inconclusive},
		{name: "below by less than is borne", base: noisy, newer: plus(noisy, -0.1), metric: "val_acc",
			change: func(c *Criterion) { c.Limit = 0.2 }, want: Same},
		{name: "below by more than the share that is borne", base: noisy, newer: plus(noisy, -0.1), metric: "val_acc",
			change: func(c *Criterion) { c.Limit, c.Relative = 0.05, true }, want: Worse},
		{name: "below by less than the share that is borne", base: noisy, newer: plus(noisy, -0.1), metric: "val_acc",
			change: func(c *Criterion) { c.Limit, c.Relative = 0.2, true }, want: Same},
		{name: "too few seeds for sign flips", base: noisy[:4], newer: plus(noisy[:4], -0.1), metric: "val_acc", want: Inconclusive,
			why: "4 pairs of seeds cannot give a p value below 0.062"},
		{name: "five seeds are enough", base: noisy[:5], newer: plus(noisy[:5], -0.1), metric: "val_acc", want: Worse},
		{name: "fewer seeds than are wanted", base: noisy, newer: plus(noisy, -0.1), metric: "val_acc",
			change: func(c *Criterion) { c.MinSeeds = 7 }, want: Inconclusive, why: "6 seeds, and 7 are wanted"},
		{name: "four pairs say nothing to the bootstrap either", base: noisy[:4], newer: plus(noisy[:4], -0.1), metric: "val_acc",
			change: bootstrapped, want: Inconclusive, why: "4 pairs of seeds cannot give a p value below 0.062"},
		{name: "no test, below", base: noisy[:1], newer: []float64{0.88}, metric: "val_acc", change: untested, want: Worse},
		{name: "no test, at the limit", base: []float64{0.9}, newer: []float64{0.89}, metric: "val_acc", change: untested, want: Same},
		{name: "no test, above", base: noisy[:1], newer: []float64{0.91}, metric: "val_acc", change: untested, want: Better},
		{name: "bootstrap, below", base: noisy, newer: plus(noisy, -0.1), metric: "val_acc", change: bootstrapped, want: Worse},
		{name: "bootstrap, as before", base: noisy, newer: plus(noisy, 0), metric: "val_acc", change: bootstrapped, want: Same},
		{name: "bootstrap of one pair", base: noisy[:1], newer: noisy[1:2], metric: "val_acc", change: bootstrapped, want: Inconclusive,
			why: "the bootstrap needs at least two values, and there are 1"},
		{name: "parameters are compared as they are", base: noisy, newer: plus(noisy, -0.1), metric: "params_trainable", want: Same},
		{name: "above the least", newer: noisy, metric: "val_acc", change: bound(Min, 0.8), want: Better},
		{name: "below the least", newer: noisy, metric: "val_acc", change: bound(Min, 0.95), want: Worse},
		{name: "about the least", newer: noisy, metric: "val_acc", change: bound(Min, 0.901), want: Inconclusive},
		{name: "loss above the most", newer: noisy, metric: "val_loss", change: bound(Max, 0.4), want: Worse},
		{name: "loss below the most", newer: noisy, metric: "val_loss", change: bound(Max, 0.6), want: Better},
		{name: "just the least, without a test", newer: []float64{0.8}, metric: "val_acc",
			change: func(c *Criterion) { bound(Min, 0.8)(c); untested(c) }, want: Better},
		{name: "a failed run", base: noisy, newer: append([]float64{math.NaN()}, plus(noisy, -0.1)...), metric: "val_acc", want: Inconclusive,
			why: "seed 0 failed"},
		{name: "failed runs of the baseline", base: []float64{0.9, math.NaN(), math.NaN()}, newer: noisy, metric: "val_acc", want: Inconclusive,
			why: "seeds 1, 2 of the baseline failed"},
		{name: "nothing to compare with", base: []float64{math.NaN()}, newer: noisy, metric: "val_acc", change: untested, want: Inconclusive,
			why: "seed 0 of the baseline failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var base *Results
			if test.base != nil {
				base = baseOf(configOf("s", test.base))
			}
			c := mustCompare(t, base, newerOf(configOf("s", test.newer)), criterionOf(t, test.metric, test.change))
			j := c.Judged[0]
			if j.Verdict != test.want || j.Why != test.why {
				t.Errorf("%s (%s), want %s (%s); p %+v, interval %+v", j.Verdict, j.Why, test.want, test.why, j.P, j.Interval)
			}
			agree(t, &c.Criterion, &j)
		})
	}
}

func untested(c *Criterion)     { c.Test, c.Alpha, c.Correction = NoTest, 0, "" }
func bootstrapped(c *Criterion) { c.Test = Bootstrap }
func bound(b Bound, limit float64) func(*Criterion) {
	return func(c *Criterion) { c.Bound, c.Limit = b, limit }
}

// agree holds the interval of one configuration against its verdict: both come from one test.
func agree(t *testing.T, by *Criterion, j *Judgement) {
	t.Helper()
	if j.Interval == nil {
		return
	}
	low, high := math.Inf(-1), math.Inf(1) // of how much worse it is
	if j.Interval.Low != nil {
		low = *j.Interval.Low
	}
	if j.Interval.High != nil {
		high = *j.Interval.High
	}
	if by.Bound == MaxDrop || by.Bound == Min {
		low, high = -high, -low
	}
	if (low > j.Margin) != (j.Verdict == Worse) || (high < j.Margin) != (j.Verdict == Same || j.Verdict == Better) {
		t.Errorf("%s, with an interval of what is lost from %v to %v and a margin of %v", j.Verdict, low, high, j.Margin)
	}
}

func TestDifferenceIsNewMinusBase(t *testing.T) {
	c := mustCompare(t, baseOf(configOf("s", noisy)), newerOf(configOf("s", plus(noisy, -0.1))), criterionOf(t, "val_acc", nil))
	j := c.Judged[0]
	if d := *j.Difference; math.Abs(d+0.1) > 1e-9 {
		t.Errorf("the difference is %v", d)
	}
	if j.Interval.Level != 0.9 || !(*j.Interval.Low < -0.1 && -0.1 < *j.Interval.High && *j.Interval.High < 0) {
		t.Errorf("the interval is %v to %v at %v", *j.Interval.Low, *j.Interval.High, j.Interval.Level)
	}
	c = mustCompare(t, baseOf(configOf("s", noisy)), newerOf(configOf("s", plus(noisy, -0.1))), criterionOf(t, "last_val_acc", nil))
	if d := *c.Judged[0].Difference; math.Abs(d+0.05) > 1e-9 {
		t.Errorf("the difference of last_val_acc, half of the other, is %v", d)
	}
}

// One configuration at p = 1/64 is worse by itself, but not among twelve others without a difference; 1/64·4 is not either.
func TestHolmCorrectsForManyConfigurations(t *testing.T) {
	for n, want := range map[int]Verdict{1: Worse, 3: Worse, 4: Inconclusive} {
		var base, newer []ConfigResults
		for i := range n {
			l := label("n", fmt.Sprint(i))
			shift := 0.0
			if i == 0 {
				shift = -0.1
			}
			base, newer = append(base, configOf("s", noisy, l)), append(newer, configOf("s", plus(noisy, shift), l))
		}
		c := mustCompare(t, baseOf(base...), newerOf(newer...), criterionOf(t, "val_acc", nil))
		j := c.Judged[0]
		if j.Verdict != want || j.P.Raw == nil || j.P.Raw.Worse != 1.0/64 || math.Abs(j.P.Worse-min(1, float64(n)/64)) > 1e-12 {
			t.Errorf("among %d: %s, p %+v, uncorrected %+v", n, j.Verdict, j.P, j.P.Raw)
		}
		if want == Inconclusive && j.Why != "a p value of at least 0.016 is too much among 4 configurations" {
			t.Errorf("among %d: %q", n, j.Why)
		}
		c = mustCompare(t, baseOf(base...), newerOf(newer...), criterionOf(t, "val_acc", func(c *Criterion) { c.Correction = NoCorrection }))
		if j := c.Judged[0]; j.Verdict != Worse || j.P.Raw != nil {
			t.Errorf("without correction among %d: %s, p %+v", n, j.Verdict, j.P)
		}
	}
}

// What the correction alone keeps from being worse says so: here 4 of 64 patterns are at least as clear, which is not too few
// for alpha 0.25 by itself, but is among five.
func TestWorseWithoutTheCorrection(t *testing.T) {
	clear, unsure := []float64{0.1, 0.1, 0.1, 0.1, 0.01, -0.01}, []float64{0.1, -0.1, 0.1, -0.1, 0.1, -0.1}
	less := func(by []float64) []float64 {
		accs := make([]float64, len(by))
		for i := range by {
			accs[i] = 0.9 - by[i]
		}
		return accs
	}
	var base, newer []ConfigResults
	for i := range 5 {
		l, by := label("n", fmt.Sprint(i)), unsure
		if i == 0 {
			by = clear
		}
		base, newer = append(base, configOf("s", less(make([]float64, 6)), l)), append(newer, configOf("s", less(by), l))
	}
	c := mustCompare(t, baseOf(base...), newerOf(newer...), criterionOf(t, "val_acc", func(c *Criterion) { c.Alpha = 0.25 }))
	if j := c.Judged[0]; j.Verdict != Inconclusive || j.Why != "it would be worse without the correction for 5 configurations" {
		t.Errorf("%s: %q, p %+v of %+v", j.Verdict, j.Why, j.P, j.P.Raw)
	}
	if why := c.Judged[1].Why; why != "" {
		t.Errorf("one that chance explains: %q", why)
	}
}

// A run that can't be read has not failed: it is trained again.
func TestDamagedRuns(t *testing.T) {
	newer := configOf("s", noisy)
	for _, i := range []int{1, 2} {
		newer.Seeds[i] = SeedResult{Seed: int64(i), Status: runlog.Pending, Damaged: true}
	}
	j := mustCompare(t, baseOf(configOf("s", noisy)), newerOf(newer), criterionOf(t, "val_acc", nil)).Judged[0]
	if want := "seeds 1, 2 are damaged (apply makes them again)"; j.Verdict != Inconclusive || j.Why != want {
		t.Errorf("%s: %q", j.Verdict, j.Why)
	}
}

// A run is its id: where nothing was trained anew there is nothing to test, however few the seeds.
func TestTheSameRunsAreTheSame(t *testing.T) {
	c := mustCompare(t, baseOf(configOf("s", noisy[:2])), newerOf(configOf("s", noisy[:2])), criterionOf(t, "val_acc", nil))
	if j := c.Judged[0]; j.Verdict != Same || j.P != nil {
		t.Errorf("%s (%s), p %v", j.Verdict, j.Why, j.P)
	}
	newer := configOf("s", noisy[:2])
	newer.Seeds[0].ID = "another"
	c = mustCompare(t, baseOf(configOf("s", noisy[:2])), newerOf(newer), criterionOf(t, "val_acc", nil))
	if j := c.Judged[0]; j.Verdict != Inconclusive {
		t.Errorf("another run of equal accuracy: %s", j.Verdict)
	}
}

// The seeds that a baseline lacks may be worse, however the same those are that it has.
func TestTheSameRunsAreTooFew(t *testing.T) {
	for wanted, want := range map[int]Verdict{2: Same, 3: Inconclusive} {
		by := criterionOf(t, "val_acc", func(c *Criterion) { c.MinSeeds = wanted })
		c := mustCompare(t, baseOf(configOf("s", noisy[:2])), newerOf(configOf("s", noisy)), by)
		if j := c.Judged[0]; j.Verdict != want || want == Inconclusive && j.Why != "2 seeds, and 3 are wanted" {
			t.Errorf("%d are wanted: %s (%s)", wanted, j.Verdict, j.Why)
		}
	}
}

// A share of the baseline's mean is borne, which its seeds only estimate: where the truth is at the margin, a gate at alpha
// 0.05 alarms in 5 % of 1,000 comparisons within four standard errors, and not in the 13 % that it does where the estimate is
// taken for the truth.
func TestFalseAlarmsAtAShare(t *testing.T) {
	const comparisons, alpha = 1_000, 0.05
	slack := 4 * math.Sqrt(alpha*(1-alpha)/comparisons)
	eight := append(slices.Clone(noisy), noisy[:2]...)
	for _, test := range []struct {
		name     string
		share    float64
		unpaired bool
	}{{"5 %", 0.05, false}, {"half", 0.5, false}, {"doubled", 1, false}, {"doubled, unpaired", 1, true}} {
		t.Run(test.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(3, 1))
			by := criterionOf(t, "val_loss", func(c *Criterion) { c.Limit, c.Relative = test.share, true })
			worse, same := 0, 0
			for range comparisons {
				base, newer := configOf("s", eight), configOf("s", eight)
				for i := range base.Seeds {
					base.Seeds[i].Metrics.ValLoss = 1 + 0.1*random.NormFloat64()
					newer.Seeds[i].Metrics.ValLoss = 1 + test.share + 0.1*random.NormFloat64()
					newer.Seeds[i].ID += " anew"
				}
				if test.unpaired {
					newer = from(newer, 100)
				}
				switch mustCompare(t, baseOf(base), newerOf(newer), by).Judged[0].Verdict {
				case Worse:
					worse++
				case Same:
					same++
				}
			}
			t.Logf("%d worse, %d the same", worse, same)
			if n := float64(max(worse, same)) / comparisons; n > alpha+slack {
				t.Errorf("%d worse and %d the same of %d at the margin", worse, same, comparisons)
			}
		})
	}
}

// from shifts the seeds of a configuration.
func from(c ConfigResults, first int64) ConfigResults {
	for i := range c.Seeds {
		c.Seeds[i].Seed += first
	}
	return c
}

func TestSeeds(t *testing.T) {
	for _, test := range []struct {
		name        string
		base, newer ConfigResults
		want        Verdict
		seeds       []int64
		unpaired    bool
		warning     string
	}{
		{"the same", configOf("s", noisy), configOf("s", plus(noisy, -0.1)), Worse, []int64{0, 1, 2, 3, 4, 5}, false, ""},
		{"fewer in the baseline", configOf("s", noisy[:5]), configOf("s", plus(noisy, -0.1)), Worse, []int64{0, 1, 2, 3, 4}, false,
			"In 1 configuration the common seeds 0-4 are compared; 5 only in the last plan."},
		{"overlapping", from(configOf("s", noisy), 1), configOf("s", plus(noisy, -0.1)), Worse, []int64{1, 2, 3, 4, 5}, false,
			"In 1 configuration the common seeds 1-5 are compared; 6 only in baseline.json, 0 only in the last plan."},
		{"none in common", from(configOf("s", noisy), 10), configOf("s", plus(noisy[:4], -0.1)), Worse, []int64{0, 1, 2, 3, 10, 11, 12, 13, 14, 15}, true,
			"In 1 configuration the seeds don't meet (baseline.json: 10-15; the last plan: 0-3): the runs are not paired."},
		{"none in common, better", from(configOf("s", noisy), 10), configOf("s", plus(noisy, 0.1)), Better, nil, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := mustCompare(t, baseOf(test.base), newerOf(test.newer), criterionOf(t, "val_acc", nil))
			j := c.Judged[0]
			if j.Verdict != test.want || j.Unpaired != test.unpaired || test.seeds != nil && !slices.Equal(j.Seeds, test.seeds) {
				t.Errorf("%s (%s) over %v, unpaired %v", j.Verdict, j.Why, j.Seeds, j.Unpaired)
			}
			if test.warning != "" && !slices.Equal(c.Warnings, []string{test.warning}) {
				t.Errorf("warnings %q", c.Warnings)
			}
			agree(t, &c.Criterion, &j)
		})
	}
}

// seeing gives the runs of a configuration predictions of n pictures, of which each has its first share right that its
// accuracy says; first is the number of the data set's first picture.
func seeing(c ConfigResults, n, first int) ConfigResults {
	data := &Data{Name: "d", Hash: fmt.Sprint("hash of ", n, first), Classes: []string{"a", "b", "c"}}
	for i := range n {
		data.Pictures = append(data.Pictures, Picture{Path: fmt.Sprintf("val/%04d.jpg", first+i), SHA256: fmt.Sprint(first + i), Class: (first + i) % 3})
	}
	c.Data = data
	for i := range c.Seeds {
		s := &c.Seeds[i]
		right := int(math.Round(s.Metrics.ValAcc * float64(n)))
		for k, p := range data.Pictures {
			class := p.Class
			if k >= right {
				class = (class + 1) % 3
			}
			s.Predicted = append(s.Predicted, int32(class))
		}
	}
	return c
}

func TestPictures(t *testing.T) {
	mcnemar := criterionOf(t, "val_acc", func(c *Criterion) { c.Test = McNemar })
	for _, test := range []struct {
		name        string
		base, newer ConfigResults
		want        Verdict
		pictures    int
		warning     string
	}{
		{"one seed, clearly worse", seeing(configOf("s", []float64{0.9}), 1000, 0), seeing(configOf("s", []float64{0.8}), 1000, 0), Worse, 1000, ""},
		{"one seed, nearly the same", seeing(configOf("s", []float64{0.9}), 1000, 0), seeing(configOf("s", []float64{0.899}), 1000, 0), Same, 1000, ""},
		{"three seeds", seeing(configOf("s", noisy[:3]), 1000, 0), seeing(configOf("s", plus(noisy[:3], -0.1)), 1000, 0), Worse, 1000, ""},
		{"seeds that don't meet", seeing(configOf("s", noisy[:3]), 1000, 0), from(seeing(configOf("s", plus(noisy[:3], -0.1)), 1000, 0), 7), Worse, 1000, ""},
		{"seeds that don't meet, and are not as many", seeing(configOf("s", noisy[:3]), 1000, 0), from(seeing(configOf("s", plus(noisy[:5], -0.1)), 1000, 0), 7), Worse, 1000,
			"In 1 configuration the seeds don't meet (baseline.json: 0-2; the last plan: 7-11): the runs are not paired, and of each side the first 3 are compared."},
		{"few pictures", seeing(configOf("s", []float64{0.9}), 20, 0), seeing(configOf("s", []float64{0.8}), 20, 0), Inconclusive, 20, ""},
		{"half of the pictures are in common", seeing(configOf("s", []float64{1}), 1000, 0), seeing(configOf("s", []float64{1}), 1000, 500), Same, 500,
			`Data set "d" does not have the same validation pictures on both sides: 500 of 1000 are in baseline.json only, 500 of 1000 in the last plan only; the 500 common ones are compared.`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := mustCompare(t, baseOf(test.base), newerOf(test.newer), mcnemar)
			j := c.Judged[0]
			if j.Verdict != test.want || j.Pictures != test.pictures {
				t.Errorf("%s (%s) on %d pictures, p %+v", j.Verdict, j.Why, j.Pictures, j.P)
			}
			if test.warning != "" && !slices.Contains(c.Warnings, test.warning) {
				t.Errorf("warnings %q", c.Warnings)
			}
			agree(t, &c.Criterion, &j)
		})
	}
	t.Run("too few that differ", func(t *testing.T) {
		strict := mcnemar
		strict.Limit = 0
		for acc, want := range map[float64]string{0.8: "nothing differs on 100 pictures", 0.78: "2 pictures with a difference cannot give a p value below 0.125"} {
			newer := seeing(configOf("s", []float64{acc}), 100, 0)
			newer.Seeds[0].ID = "another"
			if j := mustCompare(t, baseOf(seeing(configOf("s", []float64{0.8}), 100, 0)), newerOf(newer), strict).Judged[0]; j.Verdict != Inconclusive || j.Why != want {
				t.Errorf("%s (%s), want %s", j.Verdict, j.Why, want)
			}
		}
	})
	t.Run("in another order", func(t *testing.T) {
		base, newer := seeing(configOf("s", []float64{0.9}), 100, 0), seeing(configOf("s", []float64{0.7}), 100, 0)
		want := mustCompare(t, baseOf(base), newerOf(newer), mcnemar).Judged[0].P
		slices.Reverse(newer.Data.Pictures)
		slices.Reverse(newer.Seeds[0].Predicted)
		if got := mustCompare(t, baseOf(base), newerOf(newer), mcnemar).Judged[0].P; *got.Raw != *want.Raw {
			t.Errorf("p %+v, want %+v", got.Raw, want.Raw)
		}
	})
	t.Run("one run without predictions", func(t *testing.T) {
		base, newer := seeing(configOf("s", noisy[:2]), 100, 0), seeing(configOf("s", noisy[1:3]), 100, 0)
		newer.Seeds[1].Predicted = nil
		if j := mustCompare(t, baseOf(base), newerOf(newer), mcnemar).Judged[0]; j.Verdict != Inconclusive || j.Why != "seed 1 has no predictions" {
			t.Errorf("%s (%s)", j.Verdict, j.Why)
		}
	})
}

func TestWhatCannotBeCompared(t *testing.T) {
	arch := func(name string) Label { return label("arch", name) }
	five := []float64{0.9, 0.9, 0.9, 0.9, 0.9}
	for _, test := range []struct {
		name        string
		base, newer ConfigResults
		by          Criterion
		want        string
	}{
		{"another sweep", configOf("old", five, arch("a")), configOf("new", five, arch("b")), criterionOf(t, "val_acc", nil),
			"baseline.json and the last plan have no configuration in common: the one has sweep old, the other new"},
		{"a renamed sweep", configOf("old", five, arch("a")), configOf("new", five, arch("a")), criterionOf(t, "val_acc", nil),
			`sweep "old" of baseline.json has the same labels as "new" of the last plan: if it was renamed, make the baseline anew, or take the name back`},
		{"another axis", configOf("s", five, arch("a")), configOf("s", five, arch("a"), label("lr", "0.1")), criterionOf(t, "val_acc", nil),
			"baseline.json and the last plan have no configuration in common: both have sweep s, but no labels of one are those of the other, as after a change of its axes"},
		{"no test split", configOf("s", five), configOf("s", five), criterionOf(t, "test_acc", nil),
			"no run of baseline.json has test_acc: a data set with a test split gives it"},
		{"a share of pictures", configOf("s", five), configOf("s", five), criterionOf(t, "val_acc", func(c *Criterion) { c.Test, c.Relative = McNemar, true }),
			`the test "mcnemar" counts pictures, so what it bears is a share of the pictures, not of the baseline's accuracy`},
		{"no predictions", configOf("s", five), configOf("s", five), criterionOf(t, "val_acc", func(c *Criterion) { c.Test = McNemar }),
			`the test "mcnemar" needs the predictions for each picture, and baseline.json has none: a baseline or a plan whose runs are in the store has them`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Compare(baseOf(test.base), newerOf(test.newer), test.by)
			if err == nil || err.Error() != test.want {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestRunsThatLackTheMetric(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*runlog.Metrics)
		why    string
	}{
		"none":             {func(m *runlog.Metrics) { m.TestAcc = nil }, "seed 2 has no test_acc"},
		"one out of reach": {func(m *runlog.Metrics) { *m.TestAcc = -1e308 }, "seed 2 has the test_acc -1e+308, which no training gives"},
	} {
		base, newer := configOf("s", noisy), configOf("s", plus(noisy, -0.1))
		for _, c := range []ConfigResults{base, newer} {
			for i := range c.Seeds {
				acc := c.Seeds[i].Metrics.ValAcc
				c.Seeds[i].Metrics.TestAcc = &acc
			}
		}
		by := criterionOf(t, "test_acc", nil)
		if j := mustCompare(t, baseOf(base), newerOf(newer), by).Judged[0]; j.Verdict != Worse {
			t.Errorf("%s: with the metric %s", name, j.Verdict)
		}
		test.change(newer.Seeds[2].Metrics)
		c := mustCompare(t, baseOf(base), newerOf(newer), by)
		if j := c.Judged[0]; j.Verdict != Inconclusive || j.Why != test.why || j.New.N != 5 || j.New.Mean < 0.7 {
			t.Errorf("%s: %s (%s), new %+v", name, j.Verdict, j.Why, j.New)
		}
		if err := WriteComparisons(io.Discard, "json", Compared(c)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOneSideOnly(t *testing.T) {
	a, b, c := label("arch", "a"), label("arch", "b"), label("arch", "c")
	base := baseOf(configOf("s", noisy, a), configOf("s", noisy, b), configOf("other", noisy, a))
	newer := newerOf(configOf("s", noisy, a), configOf("s", noisy, c), configOf("renamed", noisy, a))
	got := mustCompare(t, base, newer, criterionOf(t, "val_acc", nil))
	if len(got.Judged) != 1 || names(got.OnlyBase) != "s[arch=b], other[arch=a]" || names(got.OnlyNew) != "s[arch=c], renamed[arch=a]" {
		t.Errorf("%d judged, only base %s, only new %s", len(got.Judged), names(got.OnlyBase), names(got.OnlyNew))
	}
	if want := `Sweep "other" of baseline.json has the same labels as "renamed" here, and is not compared with it: a renamed sweep wants a new baseline.`; !slices.Contains(got.Warnings, want) {
		t.Errorf("warnings %q", got.Warnings)
	}
	got = mustCompare(t, base, newer, criterionOf(t, "val_acc", func(c *Criterion) { c.Configs, c.FailMissing = []int{0, 1}, true }))
	if names(got.OnlyBase) != "s[arch=b]" || names(got.OnlyNew) != "s[arch=c]" || !got.Lacks() {
		t.Errorf("of two configurations: only base %s, only new %s", names(got.OnlyBase), names(got.OnlyNew))
	}
	got = mustCompare(t, base, newer, criterionOf(t, "val_acc", func(c *Criterion) { c.Configs, c.FailMissing = []int{0}, true }))
	if len(got.OnlyNew) > 0 || got.Lacks() {
		t.Errorf("what is not judged is not missed: %s", names(got.OnlyNew))
	}
}

func names(all []Unmatched) string {
	var n []string
	for i := range all {
		n = append(n, all[i].Name())
	}
	return strings.Join(n, ", ")
}

func TestWarnings(t *testing.T) {
	base, newer := configOf("s", noisy[:2]), configOf("s", noisy[1:3])
	base.Data = &Data{Name: "ants", Hash: "1"}
	newer.Data = &Data{Name: "ants", Hash: "2"}
	newer.Seeds[1].Path, newer.Seeds[0].Device = "avx512", "cuda:0"
	base.Seeds[0].Version, newer.Seeds[0].Version = "0.1.0", "0.2.0"
	base.Settings = json.RawMessage(`{"arch":"a","optimizer":{"kind":"sgd","lr":0.01},"trainable":["head"]}`)
	newer.Settings = json.RawMessage(`{"arch":"a","optimizer":{"kind":"sgd","lr":0.1,"momentum":0.9},"trainable":["**"]}`)
	b, n := baseOf(base), newerOf(newer)
	b.Numerics = 1
	c := mustCompare(t, b, n, criterionOf(t, "val_acc", nil))
	for _, want := range []string{
		"The runs of baseline.json were made with version 1 of the arithmetic, those of the last plan with version 2.",
		"The runs were made with different arithmetic (baseline.json: avx2; the last plan: avx2, avx512): small differences may come from that.",
		"The runs were made with different versions of ftrun (baseline.json: 0.1.0; the last plan: 0.2.0): small differences may come from that.",
		"The runs were made with different devices (baseline.json: cpu; the last plan: cpu, cuda:0): small differences may come from that.",
		`Data set "ants" is not the same on both sides.`,
	} {
		if !slices.Contains(c.Warnings, want) {
			t.Errorf("no warning %q among %q", want, c.Warnings)
		}
	}
	want := []string{`optimizer.lr: 0.01 → 0.1`, `optimizer.momentum: not set → 0.9`, "trainable: head → **"}
	if got := c.Judged[0].Changed; !slices.Equal(got, want) {
		t.Errorf("changed %q", got)
	}
}

// mixed is a comparison with a bit of everything.
func mixed(t *testing.T) *Comparison {
	row := func(arch, lr string) []Label {
		return []Label{label("arch", arch), label("mode", "extract"), label("lr", lr)}
	}
	settings := func(c ConfigResults, lr string) ConfigResults {
		c.Settings = json.RawMessage(`{"optimizer":{"lr":` + lr + `}}`)
		return c
	}
	base := baseOf(
		settings(configOf("tutorial", noisy, row("resnet18", "0.1")...), "0.1"),
		settings(configOf("tutorial", noisy, row("alexnet", "0.1")...), "0.1"),
		settings(configOf("tutorial", noisy, row("vgg11_bn", "0.1")...), "0.1"),
		settings(configOf("tutorial", noisy, row("densenet121", "0.1")...), "0.1"),
		settings(configOf("tutorial", noisy[:3], row("inception_v3", "0.1")...), "0.1"),
		configOf("gone", noisy, label("arch", "alexnet")),
		configOf("pretrain", noisy[:1]),
	)
	newer := newerOf(
		configOf("pretrain", noisy[:1]),
		settings(configOf("tutorial", plus(noisy, 0), row("resnet18", "0.1")...), "0.1"),
		settings(configOf("tutorial", plus(noisy, -0.2), row("alexnet", "0.1")...), "0.2"),
		settings(configOf("tutorial", plus(noisy, 0.06), row("vgg11_bn", "0.1")...), "0.1"),
		settings(configOf("tutorial", append([]float64{math.NaN()}, noisy[1:]...), row("densenet121", "0.1")...), "0.2"),
		settings(configOf("tutorial", plus(noisy[:3], 0.1), row("inception_v3", "0.1")...), "0.1"),
		settings(configOf("tutorial", noisy, row("resnet18", "0.01")...), "0.01"),
	)
	newer.Configs[2].Seeds[3].Path = "avx512"
	return mustCompare(t, base, newer, criterionOf(t, "val_acc", nil))
}

func TestComparisonAsText(t *testing.T) {
	var b bytes.Buffer
	all := []*Comparison{
		mixed(t),
		mustCompare(t, baseOf(configOf("s", noisy)), newerOf(configOf("s", plus(noisy, -0.1))), criterionOf(t, "params_trainable", nil)),
		mustCompare(t, nil, newerOf(configOf("s", noisy)), criterionOf(t, "val_loss", bound(Max, 0.4))),
	}
	if err := WriteComparisons(&b, "text", Compared(all...)); err != nil {
		t.Fatal(err)
	}
	golden(t, "comparison.text", b.Bytes())
}

// A table keeps to 80 columns whatever the labels, and configurations stay apart.
func TestComparisonAsTextIsNarrow(t *testing.T) {
	long := strings.Repeat("a_very_long_name_", 4)
	for axes := 1; axes <= 5; axes++ {
		var base, newer []ConfigResults
		for i := range 3 {
			var labels []Label
			for a := range axes {
				labels = append(labels, label(fmt.Sprintf("axis_with_a_long_name_%d", a), fmt.Sprintf("%s%d", long, i)))
			}
			base, newer = append(base, configOf(long, noisy, labels...)), append(newer, configOf(long, plus(noisy, -0.1), labels...))
		}
		c := mustCompare(t, baseOf(base...), newerOf(newer...), criterionOf(t, "val_acc", nil))
		var b bytes.Buffer
		if err := WriteComparisons(&b, "text", Compared(c)); err != nil {
			t.Fatal(err)
		}
		table, _, _ := strings.Cut(b.String(), "\nMeans")
		for line := range strings.Lines(table) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
				t.Errorf("%d axes: a line of %d characters: %s", axes, n, line)
			}
		}
		for i := range 3 {
			if !strings.Contains(table, fmt.Sprintf("_%d ", i)) {
				t.Errorf("%d axes: configuration %d can't be told from the others:\n%s", axes, i, table)
			}
		}
	}
}

// thousand is a sweep of so many configurations with five seeds, and predictions of 1,000 pictures.
func thousand(origin string, configs int, shift float64) *Results {
	r := &Results{Origin: origin, Version: "0.1.0", Numerics: 2}
	shared := seeing(configOf("s", nil), 1000, 0).Data
	for i := range configs {
		c := seeing(configOf("s", plus(noisy[:5], shift), label("lr", fmt.Sprint(i)), label("arch", fmt.Sprintf("arch%d", i%7))), 1000, 0)
		c.Data = shared
		c.Settings = json.RawMessage(fmt.Sprintf(`{"arch":"arch%d","epochs":10,"optimizer":{"kind":"sgd","lr":%d,"momentum":0.9}}`, i%7, i))
		for k := range c.Seeds {
			c.Seeds[k].ID = fmt.Sprintf("%016x", i*5+k+int(1e6*math.Abs(shift)))
		}
		r.Configs = append(r.Configs, c)
	}
	return r
}

// BenchmarkCompareBaselines reads and compares two files of 1,000 configurations, 5 seeds and 1,000 pictures.
func BenchmarkCompareBaselines(b *testing.B) {
	var files [2]bytes.Buffer
	for i := range files {
		if err := WriteBaseline(&files[i], thousand("", 1000, float64(i)/100)); err != nil {
			b.Fatal(err)
		}
	}
	for _, test := range []Test{PairedPermutation, McNemar, Bootstrap, NoTest} {
		b.Run(string(test), func(b *testing.B) {
			for b.Loop() {
				var sides [2]*Results
				for i := range files {
					var err error
					if sides[i], err = ReadBaseline(files[i].Bytes(), func(v json.RawMessage) string { return string(v) }); err != nil {
						b.Fatal(err)
					}
				}
				c := mustCompare(b, sides[0], sides[1], criterionOf(b, "val_acc", func(c *Criterion) { c.Test = test }))
				if err := WriteComparisons(io.Discard, "text", Compared(c)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
