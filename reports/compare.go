package reports

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ftrun/ftrun/internal/stats"
)

// Compare judges each configuration of the newer side by a criterion. Configurations are paired by sweep and labels, runs
// by seed, pictures by path and content hash. base is nil where the criterion needs no baseline. An error says that the
// sides can't be compared at all: no configuration in common, a metric that a side lacks, predictions that are not told.
func Compare(base, newer *Results, by Criterion) (*Comparison, error) {
	metric, ok := LookupMetric(by.Metric)
	if !ok {
		panic("reports: no metric " + by.Metric)
	}
	if by.NeedsPredictions() && (by.Metric != "val_acc" || by.Bound != MaxDrop) {
		panic("reports: predictions say nothing of " + by.Metric + ", " + string(by.Bound))
	}
	if by.NeedsPredictions() && by.Relative {
		return nil, fmt.Errorf("the test %q counts pictures, so what it bears is a share of the pictures, not of the baseline's accuracy", by.Test)
	}
	k := &comparing{by: by, metric: metric, base: base, newer: newer, common: map[[2]*Data]*commonPictures{}}
	k.out = &Comparison{Criterion: by, New: side(newer), OnlyBase: []Unmatched{}, OnlyNew: []Unmatched{}, Warnings: []string{}}
	pairs := k.judged()
	if by.NeedsBaseline() {
		if base == nil {
			panic("reports: no baseline for " + string(by.Bound))
		}
		b := side(base)
		k.out.Base = &b
		var err error
		if pairs, err = k.match(pairs); err != nil {
			return nil, err
		}
	}
	if err := k.check(pairs); err != nil {
		return nil, err
	}
	tests := make([]outcome, len(pairs))
	k.out.Judged = make([]Judgement, len(pairs))
	for i, p := range pairs {
		k.out.Judged[i], tests[i] = k.judge(p)
	}
	k.correct(tests)
	for i := range pairs {
		k.decide(&k.out.Judged[i], &tests[i])
	}
	k.warn(pairs)
	return k.out, nil
}

func side(r *Results) Side { return Side{Origin: r.Origin, Version: r.Version, Numerics: r.Numerics} }

// comparing is one call of Compare.
type comparing struct {
	by          Criterion
	metric      Metric
	base, newer *Results
	common      map[[2]*Data]*commonPictures
	family      int // configurations that were tested
	out         *Comparison
}

// pair is a configuration on both sides; base is nil where the criterion needs no baseline.
type pair struct{ base, newer *ConfigResults }

// judged lists the newer side's configurations that are to be judged.
func (k *comparing) judged() []pair {
	if k.by.Configs == nil {
		pairs := make([]pair, len(k.newer.Configs))
		for i := range pairs {
			pairs[i].newer = &k.newer.Configs[i]
		}
		return pairs
	}
	pairs := make([]pair, len(k.by.Configs))
	for i, at := range k.by.Configs {
		pairs[i].newer = &k.newer.Configs[at]
	}
	return pairs
}

// match finds the baseline's configurations and lists what one side alone has.
func (k *comparing) match(judged []pair) ([]pair, error) {
	index := make(map[string]*ConfigResults, len(k.base.Configs))
	for i := range k.base.Configs {
		c := &k.base.Configs[i]
		index[configKey(c.Sweep, c.Labels)] = c
	}
	there, sweeps := map[string]bool{}, map[string]bool{}
	for i := range k.newer.Configs {
		c := &k.newer.Configs[i]
		there[configKey(c.Sweep, c.Labels)] = true
	}
	var pairs []pair
	for _, p := range judged {
		sweeps[p.newer.Sweep] = true
		if p.base = index[configKey(p.newer.Sweep, p.newer.Labels)]; p.base == nil {
			k.out.OnlyNew = append(k.out.OnlyNew, Unmatched{p.newer.Sweep, p.newer.Labels})
			continue
		}
		pairs = append(pairs, p)
	}
	for i := range k.base.Configs {
		c := &k.base.Configs[i]
		if !there[configKey(c.Sweep, c.Labels)] && (k.by.Configs == nil || sweeps[c.Sweep]) {
			k.out.OnlyBase = append(k.out.OnlyBase, Unmatched{c.Sweep, c.Labels})
		}
	}
	if len(pairs) == 0 && len(judged) > 0 {
		return nil, k.strangers()
	}
	if was, now := k.renamed(); was != "" && k.by.Configs == nil {
		k.warning("Sweep %q of %s has the same labels as %q here, and is not compared with it: a renamed sweep wants a new baseline.", was, k.base.Origin, now)
	}
	return pairs, nil
}

// strangers says that the sides have no configuration in common.
func (k *comparing) strangers() error {
	if was, now := k.renamed(); was != "" {
		return fmt.Errorf("sweep %q of %s has the same labels as %q of %s: if it was renamed, make the baseline anew, or take the name back",
			was, k.base.Origin, now, k.newer.Origin)
	}
	old, new := sweeps(k.base), sweeps(k.newer)
	if slices.Equal(old, new) {
		return fmt.Errorf("%s and %s have no configuration in common: both have sweep %s, but no labels of one are those of the other, as after a change of its axes",
			k.base.Origin, k.newer.Origin, strings.Join(new, ", "))
	}
	return fmt.Errorf("%s and %s have no configuration in common: the one has sweep %s, the other %s", k.base.Origin, k.newer.Origin, strings.Join(old, ", "), strings.Join(new, ", "))
}

// renamed finds a sweep of the baseline that is not here, and one that is not there and has all its labels.
func (k *comparing) renamed() (was, now string) {
	byName := func(r *Results) map[string][]string {
		all := map[string][]string{}
		for i := range r.Configs {
			all[r.Configs[i].Sweep] = append(all[r.Configs[i].Sweep], r.Configs[i].Labels.key())
		}
		return all
	}
	old, new := byName(k.base), byName(k.newer)
	for _, was := range sweeps(k.base) {
		for _, now := range sweeps(k.newer) {
			if new[was] != nil || old[now] != nil {
				continue
			}
			slices.Sort(old[was])
			slices.Sort(new[now])
			if slices.Equal(old[was], new[now]) {
				return was, now
			}
		}
	}
	return "", ""
}

// sweeps are the names of sweeps, sorted.
func sweeps(r *Results) []string {
	var names []string
	for i := range r.Configs {
		names = append(names, r.Configs[i].Sweep)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// check looks whether each side has what the criterion is about.
func (k *comparing) check(pairs []pair) error {
	for _, s := range []struct {
		results *Results
		of      func(pair) *ConfigResults
	}{{k.base, func(p pair) *ConfigResults { return p.base }}, {k.newer, func(p pair) *ConfigResults { return p.newer }}} {
		finished, measured, predicted := 0, 0, 0
		for _, p := range pairs {
			c := s.of(p)
			if c == nil {
				continue
			}
			for i := range c.Seeds {
				if seed := &c.Seeds[i]; seed.Finished() {
					finished++
					if _, ok := k.metric.value(c, seed); ok {
						measured++
					}
					if seed.Predicted != nil {
						predicted++
					}
				}
			}
		}
		if finished == 0 {
			continue
		}
		if measured == 0 {
			return fmt.Errorf("no run of %s has %s%s", s.results.Origin, k.metric.Name, k.metric.lack())
		}
		if k.by.NeedsPredictions() && predicted == 0 {
			return fmt.Errorf("the test %q needs the predictions for each picture, and %s has none: a baseline or a plan whose runs are in the store has them",
				k.by.Test, s.results.Origin)
		}
	}
	return nil
}

// outcome is what the test of one configuration gave.
type outcome struct {
	test  stats.Test // nil where none was done
	least float64    // the smallest p value that it could give
	mute  bool       // there are too few data to reject anything at alpha, whatever they are
	p     PValue
}

// judge compares one configuration, up to the correction for how many there are.
func (k *comparing) judge(p pair) (j Judgement, o outcome) {
	j = Judgement{Sweep: p.newer.Sweep, Labels: p.newer.Labels, Verdict: Inconclusive, Margin: k.by.Limit}
	if p.base != nil {
		j.Changed = changedSettings(p.base, p.newer)
	}
	s := k.sample(p)
	j.Seeds, j.Unpaired, j.Pictures = s.seeds, s.unpaired, s.pictures
	j.New = value(s.newer)
	reference := k.by.Limit
	if k.by.NeedsBaseline() {
		v := value(s.base)
		j.Base, reference = &v, v.Mean
		if k.by.Relative {
			j.Margin = k.by.Limit * math.Abs(v.Mean)
		}
	} else {
		j.Margin = 0
	}
	if j.New.N > 0 && (j.Base == nil || j.Base.N > 0) {
		difference := j.New.Mean - reference
		j.Difference = &difference
	}
	switch {
	case s.lacks != "":
		j.Why = s.lacks
		return j, o
	case s.least < k.by.MinSeeds: // the same runs, too: those that the baseline lacks may be worse
		j.Why = fmt.Sprintf("%s, and %d are wanted", Plural(s.least, "seed", "seeds"), k.by.MinSeeds)
		return j, o
	case s.same:
		j.Verdict, j.Method = Same, "the same runs on both sides"
		return j, o
	case k.by.Test == NoTest:
		return j, o
	}
	test, method, err := k.test(s, reference)
	if err != nil {
		j.Why = err.Error()
		return j, o
	}
	j.Method = method
	at, zero := test.At(j.Margin), test.At(0)
	if k.by.Relative && k.by.NeedsBaseline() {
		if at, err = k.atShare(s); err != nil {
			j.Why = err.Error()
			return j, outcome{}
		}
	}
	o = outcome{test, at.Least, at.Least > k.by.Alpha, PValue{Worse: at.Greater, Same: at.Less, Better: zero.Less}}
	if o.mute {
		j.Why = k.muteness(&s, at.Least)
	}
	j.Interval = k.interval(test, max(math.Abs(j.New.Mean), math.Abs(reference)))
	return j, o
}

// atShare tests against a margin that is a share of the baseline's mean. That mean has noise of its own: were it taken for
// the margin as it is, a rise by a half would be exceeded by chance in 10 % of the cases at alpha 0.05. So it is tested
// whether the newer side is worse than what is borne of the baseline, seed by seed.
func (k *comparing) atShare(s sample) (stats.Result, error) {
	borne := make([]float64, len(s.base))
	for i, v := range s.base {
		borne[i] = v - k.worse(k.by.Limit*math.Abs(v), 0)
	}
	s.base = borne
	test, _, err := k.test(s, 0)
	if err != nil {
		return stats.Result{}, err
	}
	return test.At(0), nil
}

// muteness says why no data of this size could reject anything.
func (k *comparing) muteness(s *sample, least float64) string {
	if !k.by.NeedsPredictions() {
		return fmt.Sprintf("%s cannot give a p value below %s", s.size(), pText(least))
	}
	n := s.differing()
	if n == 0 {
		return fmt.Sprintf("nothing differs on %s", Plural(s.pictures, "picture", "pictures"))
	}
	return fmt.Sprintf("%s with a difference cannot give a p value below %s", Plural(n, "picture", "pictures"), pText(least))
}

// interval is that of New − Base at the level of both one-sided tests. Its ends have eleven digits of the values, which are
// so large: those after them are of how they were found.
func (k *comparing) interval(test stats.Test, size float64) *Interval {
	level := 1 - 2*k.by.Alpha
	d := test.Interval(level)
	if k.falls() {
		d.Low, d.High = -d.High, -d.Low
	}
	end := func(v float64) *float64 {
		if math.IsInf(v, 0) {
			return nil
		}
		if size > 0 {
			v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'f', max(0, 10-int(math.Floor(math.Log10(size)))), 64), 64)
		}
		v += 0 // no negative zero
		return &v
	}
	return &Interval{Level: math.Round(level*1e12) / 1e12, Low: end(d.Low), High: end(d.High)}
}

// falls tells whether less is worse.
func (k *comparing) falls() bool { return k.by.Bound == MaxDrop || k.by.Bound == Min }

// worse is how much worse the newer value is.
func (k *comparing) worse(base, newer float64) float64 {
	if k.falls() {
		return base - newer
	}
	return newer - base
}

// test does the criterion's test of how much worse the newer side is. reference is the limit where there is no baseline.
func (k *comparing) test(s sample, reference float64) (stats.Test, string, error) {
	if k.by.Test == McNemar {
		test, err := stats.Pictures(s.discordance(), s.least)
		return test, fmt.Sprintf("pictures (%s, %s)", Count(int64(s.pictures)), s.size()), err
	}
	if s.unpaired {
		x, y := s.base, s.newer
		if !k.falls() {
			x, y = y, x
		}
		if k.by.Test == Bootstrap {
			return nil, "", errors.New("the bootstrap needs seeds that both sides have, and there are none")
		}
		test, err := stats.Permutation(x, y, drawSeed)
		return test, fmt.Sprintf("permutation (%s, unpaired)", s.size()), err
	}
	d := make([]float64, len(s.newer))
	for i := range d {
		if k.by.NeedsBaseline() {
			reference = s.base[i]
		}
		d[i] = k.worse(reference, s.newer[i])
	}
	if k.by.Test == Bootstrap {
		test, err := stats.BCa(d, stats.Mean, stats.DefaultResamples, drawSeed)
		return test, fmt.Sprintf("BCa bootstrap (%s)", s.size()), err
	}
	test, err := stats.SignFlip(d, drawSeed)
	return test, fmt.Sprintf("sign flips (%s)", s.size()), err
}

// drawSeed is where tests that draw patterns start, so that the same data give the same verdict.
const drawSeed = 1

// correct replaces the p values by those that are corrected for the number of configurations. Each of the three claims,
// worse, same and better, is a family of its own: none of the configurations is called worse wrongly with a probability of
// 1 − alpha, and so with the others. What no data could reject is in no family, since it is no chance of a false alarm (R. E.
// Tarone, "A modified Bonferroni method for discrete data", Biometrics 46 (1990), 515–522).
func (k *comparing) correct(tests []outcome) {
	var tested []*outcome
	for i := range tests {
		if tests[i].test != nil && !tests[i].mute {
			tested = append(tested, &tests[i])
		}
	}
	if k.family = len(tested); k.by.Correction != Holm {
		return
	}
	for _, field := range []func(*PValue) *float64{
		func(p *PValue) *float64 { return &p.Worse },
		func(p *PValue) *float64 { return &p.Same },
		func(p *PValue) *float64 { return &p.Better },
	} {
		p := make([]float64, len(tested))
		for i, o := range tested {
			p[i] = *field(&o.p)
		}
		for i, adjusted := range stats.Holm(p) {
			o := tested[i]
			if o.p.Raw == nil {
				raw := o.p
				o.p.Raw = &raw
			}
			*field(&o.p) = adjusted
		}
	}
}

// decide gives the verdict.
func (k *comparing) decide(j *Judgement, o *outcome) {
	switch {
	case j.Verdict == Same: // the same runs
		return
	case o.test != nil:
		j.P = &o.p
		j.Verdict = verdict(o.p.Worse <= k.by.Alpha, o.p.Same <= k.by.Alpha, o.p.Better <= k.by.Alpha)
		if j.Verdict != Inconclusive {
			j.Why = ""
			return
		}
		if j.Why == "" && o.p.Raw != nil && o.least*float64(k.family) > k.by.Alpha {
			j.Why = fmt.Sprintf("a p value of at least %s is too much among %s", pText(o.least), Plural(k.family, "configuration", "configurations"))
		}
		if j.Why == "" && o.p.Raw != nil && o.p.Raw.Worse <= k.by.Alpha {
			j.Why = fmt.Sprintf("it would be worse without the correction for %s", Plural(k.family, "configuration", "configurations"))
		}
	case j.Why == "" && j.Difference != nil: // NoTest
		d := k.worse(0, *j.Difference)
		tolerance := 1e-12 * max(math.Abs(j.New.Mean), math.Abs(j.Margin))
		j.Verdict = verdict(d > j.Margin+tolerance, d <= j.Margin+tolerance, d < -tolerance)
	}
	if !k.by.NeedsBaseline() && j.Verdict == Same {
		j.Verdict = Better
	}
}

// verdict says it from what is shown: that d exceeds the margin, that it does not, and that it is below 0.
func verdict(above, within, below bool) Verdict {
	switch {
	case above:
		return Worse
	case within && below:
		return Better
	case within:
		return Same
	}
	return Inconclusive
}
