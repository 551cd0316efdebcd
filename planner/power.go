package planner

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"

	"github.com/ftrun/ftrun/internal/stats"
	"github.com/ftrun/ftrun/spec"
)

// A gate bears a margin. A model that is worse by twice the margin should be found; and since the tests are the same both
// ways, that is as likely as it is that one that hasn't changed is shown to be within the margin. So a gate that finds twice
// its margin with wantedPower tells the two apart, and another one will mostly say that it is inconclusive.
const wantedPower = 0.8

// weighGates warns of gates that can't find what they are for, before the runs are trained that they are to judge. How much
// seeds differ is taken from the baseline; without one it can only be said what no data whatever could show.
func (p *planning) weighGates() {
	for i, g := range p.spec.Gates {
		known, changed := p.gateConfigs(g, p.judged[i])
		w := weighing{p: p, gate: g, alpha: g.Alpha, configs: known}
		if w.warnOfUnmet(); g.Test == spec.NoTest {
			continue
		}
		if w.configs = changed; g.Correction == spec.Holm {
			w.alpha /= float64(len(w.configs))
		}
		if len(w.configs) > 0 && !w.warnOfFew() {
			w.warnOfDoubt()
			w.warnOfWeak()
		}
	}
}

// warnOfUnmet warns where a baseline has fewer of the seeds than the gate wants: every verdict is then inconclusive.
func (w *weighing) warnOfUnmet() {
	var few []*gateConfig
	for i := range w.configs {
		if c := &w.configs[i]; c.pairs < w.gate.MinSeeds {
			few = append(few, c)
		}
	}
	if len(few) == 0 {
		return
	}
	mend := "Plan more seeds"
	if w.gate.Baseline != "" {
		mend = "Make the baseline anew with the sweep's seeds"
	}
	w.p.warn(&w.gate.Range, "Gate that can't decide", "The gate %q can never come to a verdict%s: min_seeds is %d, and %s can be compared. %s, or lower min_seeds.",
		w.gate.Name, w.concerns(few), w.gate.MinSeeds, w.seedsText(few[0]), mend)
}

// weighing is one gate before its runs are trained.
type weighing struct {
	p       *planning
	gate    *spec.Gate
	configs []gateConfig
	alpha   float64 // for one configuration
}

// gateConfig is a configuration that a gate judges.
type gateConfig struct {
	Config
	index    int
	seeds    []int64
	ids      []string // of the runs, by seed
	pictures int      // of the validation split
	noise    *Noise   // of the baseline; nil where that isn't known
	pairs    int      // seeds that can be compared: the common ones; where none are, all of the side that has fewer
	meet     bool     // there are common ones
}

// gateConfigs lists what a gate will compare of what is planned, and of it the configurations that have changed since the
// baseline was made. Where none has, they are all, for a change to come.
func (p *planning) gateConfigs(g *spec.Gate, judged []bool) (known, changed []gateConfig) {
	var configs []gateConfig
	last := -1
	for _, c := range p.sweepOf(g).candidates {
		if !c.chosen || !judged[c.combination] {
			continue
		}
		if c.combination != last {
			last = c.combination
			configs = append(configs, gateConfig{Config: p.config(c), index: len(configs), pictures: p.datasets[c.dataset].Pictures["val"]})
		}
		at := &configs[len(configs)-1]
		at.seeds, at.ids = append(at.seeds, c.seed), append(at.ids, c.id)
	}
	noise, there := p.noiseOf(g)
	for _, c := range configs {
		if !there {
			c.pairs, c.meet = len(c.seeds), true
			known = append(known, c)
		} else if n, ok := noise(&c.Config); ok && len(n.Values) > 0 { // what the baseline lacks is not compared
			if c.pair(&n) {
				changed = append(changed, c)
			}
			known = append(known, c)
		}
	}
	if len(changed) == 0 {
		changed = known
	}
	return known, changed
}

// pair finds the seeds that can be compared, and tells whether a run has changed since the baseline was made.
func (c *gateConfig) pair(n *Noise) (changed bool) {
	c.noise = n
	for i, seed := range c.seeds {
		if _, ok := n.Values[seed]; ok {
			c.pairs++
			changed = changed || n.Runs[seed] != c.ids[i]
		}
	}
	if c.meet = c.pairs > 0; !c.meet {
		c.pairs = min(len(c.seeds), len(n.Values))
	}
	return changed || !c.meet
}

// noiseOf asks for the noise of a gate's baseline; ok is false where it isn't there. That is told when the gate is evaluated.
func (p *planning) noiseOf(g *spec.Gate) (noise func(*Config) (Noise, bool), ok bool) {
	if g.Baseline == "" || p.world.Baselines == nil {
		return nil, false
	}
	noise, err := p.world.Baselines.Noise(g.Baseline, g.Metric, g.Test == spec.McNemar)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false
	case err != nil:
		rng := g.Ranges["baseline"]
		p.warn(&rng, "Baseline can't be read", "The gate %q can't be evaluated: %v.", g.Name, err)
		return nil, false
	}
	return noise, true
}

// leastP is the smallest p value that a configuration's test could give, whatever the data.
func (w *weighing) leastP(c *gateConfig) float64 {
	if w.gate.Test == spec.Bootstrap {
		return max(math.Ldexp(1, -c.pairs), 1.0/(stats.DefaultResamples+1))
	}
	if c.meet {
		return math.Ldexp(1, -c.pairs)
	}
	// One of the ways to divide all seeds between two sides.
	a, b := len(c.seeds), len(c.noise.Values)
	return math.Exp(lnFactorial(a) + lnFactorial(b) - lnFactorial(a+b))
}

func lnFactorial(n int) float64 {
	v, _ := math.Lgamma(float64(n + 1))
	return v
}

// hopeless tells whether no data whatever could give a verdict.
func (w *weighing) hopeless(c *gateConfig) bool {
	switch w.gate.Test {
	case spec.McNemar:
		return !stats.PictureDesign{Pictures: c.pictures, Seeds: c.pairs, Margin: w.margin(c), Alpha: w.alpha}.CanReject()
	case spec.Bootstrap:
		if !c.meet {
			return true
		}
	}
	return w.leastP(c) > w.alpha*(1+1e-12)
}

// warnOfFew warns where no data whatever could give a verdict.
func (w *weighing) warnOfFew() bool {
	var few []*gateConfig
	for i := range w.configs {
		if c := &w.configs[i]; w.hopeless(c) {
			few = append(few, c)
		}
	}
	if len(few) == 0 {
		return false
	}
	g, c := w.gate, few[0]
	var why, mend string
	switch {
	case g.Test == spec.McNemar:
		why = fmt.Sprintf("whatever %s show, that isn't enough at alpha = %s", count(c.pictures, "picture", "pictures"), w.alphaText())
		mend = "Take more pictures for validation"
	case g.Test == spec.Bootstrap && !c.meet:
		why = "the bootstrap needs seeds that both sides have, and there are none"
		mend = "Make the baseline anew with the sweep's seeds"
	default:
		why = fmt.Sprintf("with %s the p value is %s at best, and alpha is %s", w.seedsText(c), figure(w.leastP(c)), w.alphaText())
		mend = fmt.Sprintf("%s would do", count(w.seedsFor(c), "seed", "seeds"))
		if g.Baseline != "" {
			mend = fmt.Sprintf("%s on each side would do", count(w.seedsFor(c), "seed", "seeds"))
		}
		if g.Metric == "val_acc" && g.Bound == spec.MaxDrop && !g.Relative {
			mend += `, or test = "mcnemar", which asks whether these very models are worse, not whether training again would be`
		}
	}
	w.p.warn(&g.Range, "Gate that can't decide", "The gate %q can't tell a change from chance%s, however large it is: %s. %s.", g.Name, w.concerns(few), why, mend)
	return true
}

// seedsFor is the number of seeds with which sign flips can decide, and where the noise is known, find twice the margin.
func (w *weighing) seedsFor(c *gateConfig) int {
	n := 1
	for math.Ldexp(1, -n) > w.alpha*(1+1e-12) {
		n++
	}
	if d, ok := w.seedDesign(c); ok {
		if needed, ok := d.Needed(2*d.Margin, wantedPower); ok {
			n = max(n, needed)
		}
	}
	return n
}

// design is a comparison before it is made; see package stats.
type design interface {
	Power(drop float64) float64
	SmallestDrop(power float64) float64
	Needed(drop, power float64) (n int, ok bool)
}

// designed is a configuration with its comparison.
type designed struct {
	*gateConfig
	design
	noise float64 // in the unit of the margin that is borne: at equal sizes, the more of it, the less power
}

// mostAlarms is how often a test may take chance for a change before that is told, as a multiple of alpha. A baseline's few
// seeds show their standard deviation only roughly, so that less could be a chance itself.
const mostAlarms = 2

// warnOfDoubt warns of tests that answer more boldly than alpha says, or another question than may be meant: a bootstrap of
// few seeds, and pictures where seeds differ by more than the gate bears.
func (w *weighing) warnOfDoubt() {
	g := w.gate
	var doubtful []*gateConfig
	var worst *gateConfig
	alarms := 0.0
	for i := range w.configs {
		switch c := &w.configs[i]; {
		case g.Test == spec.Bootstrap && c.pairs < stats.EnoughForBCa:
			doubtful = append(doubtful, c)
		case g.Test == spec.McNemar:
			d, ok := w.pictureDesign(c)
			if !ok || len(c.noise.Values) < 2 {
				continue
			}
			if a := d.SeedAlarms(c.noise.summary().Std); a > mostAlarms*w.alpha {
				doubtful = append(doubtful, c)
				if a > alarms {
					worst, alarms = c, a
				}
			}
		}
	}
	switch {
	case len(doubtful) == 0:
	case worst == nil:
		w.p.warn(&g.Range, "Test of few seeds", "The gate %q tests %s by the bootstrap%s, which don't show how far seeds spread: it will take chance for a "+
			"change more often than alpha = %s says. From %d seeds on it hardly does; test = \"paired_permutation\" never does.",
			g.Name, w.seedsText(doubtful[0]), w.concerns(doubtful), w.alphaText(), stats.EnoughForBCa)
	default:
		w.p.warn(&g.Range, "Gate that a change of seed fails", "The gate %q asks whether these very models are worse, not whether training again would be"+
			"%s: seeds of %s have a standard deviation of %s in %s, so that another seed alone is found to be worse in about %.0f%% of the cases. "+
			"Give test = \"paired_permutation\", or bear more.", g.Name, w.concerns(doubtful), worst.Name(), figure(worst.noise.summary().Std), g.Baseline, 100*alarms)
	}
}

// weakness is what a gate can't find among its configurations.
type weakness struct {
	configs []*gateConfig // that are weak, in the plan's order
	worst   designed
	found   float64 // the smallest drop that is found of the worst, in units of its margin
}

// weakest looks for the configurations of which twice the margin is not found with wantedPower.
func (w *weighing) weakest() (weak weakness) {
	g := w.gate
	bySize := map[[2]int][]designed{} // by the pictures and seeds that are compared of each
	for i := range w.configs {
		c := &w.configs[i]
		if g.Test == spec.McNemar {
			if d, ok := w.pictureDesign(c); ok {
				size := [2]int{d.Pictures, d.Seeds}
				bySize[size] = append(bySize[size], designed{c, d, d.Discordant / d.Margin})
			}
		} else if d, ok := w.seedDesign(c); ok {
			size := [2]int{0, d.Seeds}
			bySize[size] = append(bySize[size], designed{c, d, d.Std / d.Margin})
		}
	}
	for _, size := range slices.SortedFunc(maps.Keys(bySize), func(a, b [2]int) int { return slices.Compare(a[:], b[:]) }) {
		group := bySize[size]
		slices.SortStableFunc(group, func(a, b designed) int { return cmp.Compare(b.noise, a.noise) })
		n := sort.Search(len(group), func(i int) bool {
			return group[i].Power(2*w.margin(group[i].gateConfig)) >= wantedPower
		})
		for _, d := range group[:n] {
			weak.configs = append(weak.configs, d.gateConfig)
		}
		if n > 0 {
			if f := group[0].SmallestDrop(wantedPower) / w.margin(group[0].gateConfig); f > weak.found {
				weak.worst, weak.found = group[0], f
			}
		}
	}
	slices.SortFunc(weak.configs, func(a, b *gateConfig) int { return a.index - b.index })
	return weak
}

// warnOfWeak warns where the noise hides what is to be found, and tells the worst of the configurations.
func (w *weighing) warnOfWeak() {
	g := w.gate
	if g.Limit == 0 || g.Baseline == "" {
		return // there is no size that is to be found
	}
	weak := w.weakest()
	if len(weak.configs) == 0 {
		return
	}
	margin := w.margin(weak.worst.gateConfig)
	change := map[spec.Bound]string{spec.MaxDrop: "drop", spec.MaxRise: "rise"}[g.Bound]
	least := "it finds none so often"
	if !math.IsInf(weak.found, 1) {
		least = fmt.Sprintf("the smallest that it finds so often is %s", w.sizeText(weak.worst.gateConfig, weak.found*margin))
	}
	noise, mend := w.explain(weak.worst)
	w.p.warn(&g.Range, "Gate with little power", "The gate %q will often be inconclusive%s. With %s and alpha = %s it finds a %s of %s, twice what it bears, "+
		"in less than 4 of 5 cases; %s: %s in %s.%s", g.Name, w.concerns(weak.configs), w.seedsText(weak.worst.gateConfig), w.alphaText(), change, w.sizeText(weak.worst.gateConfig, 2*margin), least, noise, g.Baseline, mend)
}

// explain says how large the noise of a configuration is, and what would do.
func (w *weighing) explain(d designed) (noise, mend string) {
	c := d.gateConfig
	n, ok := d.Needed(2*w.margin(c), wantedPower)
	if pictures, is := d.design.(stats.PictureDesign); is {
		noise = fmt.Sprintf("two seeds of %s differ on %s%% of %s", c.Name(), figure(100*c.noise.Discordant), count(c.pictures, "picture", "pictures"))
		seeds, enough := pictures.NeededSeeds(2*w.margin(c), wantedPower)
		switch {
		case enough && ok:
			mend = fmt.Sprintf(" %s on each side would do, or %d pictures with the seeds there are.", count(seeds, "seed", "seeds"), n)
		case ok:
			mend = fmt.Sprintf(" %d pictures would do with the seeds there are; more seeds alone would not.", n)
		}
		if c.pairs > 1 {
			mend += " A drop that hits other pictures with each seed is found more often."
		}
		return noise, mend
	}
	noise = fmt.Sprintf("seeds of %s have a standard deviation of %s", c.Name(), w.sizeText(c, c.noise.summary().Std))
	if ok {
		mend = fmt.Sprintf(" %d seeds on each side would do.", n)
	}
	return noise, mend
}

// seedDesign is the comparison of a configuration by seeds. Both sides vary as the baseline does, and independently: seeds
// are paired, but a change that matters leaves little in common between their courses.
func (w *weighing) seedDesign(c *gateConfig) (d stats.SeedDesign, ok bool) {
	if c.noise == nil || len(c.noise.Values) < 2 || !c.meet || w.gate.Test != spec.PairedPermutation || w.margin(c) == 0 {
		return d, false
	}
	return stats.SeedDesign{Seeds: c.pairs, Std: math.Sqrt2 * c.noise.summary().Std, Margin: w.margin(c), Alpha: w.alpha}, true
}

// pictureDesign is the comparison of a configuration by pictures.
func (w *weighing) pictureDesign(c *gateConfig) (d stats.PictureDesign, ok bool) {
	if c.noise == nil || c.noise.Discordant < 0 {
		return d, false
	}
	return stats.PictureDesign{Pictures: c.pictures, Seeds: c.pairs, Discordant: c.noise.Discordant, Margin: w.margin(c), Alpha: w.alpha}, true
}

// margin is what the gate bears of a configuration, in the metric's unit; 0 against a figure.
func (w *weighing) margin(c *gateConfig) float64 {
	switch {
	case w.gate.Baseline == "":
		return 0
	case !w.gate.Relative:
		return w.gate.Limit
	case c.noise == nil:
		return 0
	}
	return w.gate.Limit * math.Abs(c.noise.summary().Mean)
}

// sizeText writes a difference in the metric's unit as the gate states its own: as a number, or as a share of the baseline.
func (w *weighing) sizeText(c *gateConfig, x float64) string {
	if !w.gate.Relative {
		return figure(x)
	}
	return figure(100*x*w.gate.Limit/w.margin(c)) + "%"
}

func (n *Noise) summary() stats.Summary {
	var values []float64
	for _, v := range n.Values {
		values = append(values, v)
	}
	slices.Sort(values) // sums don't depend on the order of a map
	return stats.Summarize(values)
}

// concerns says which configurations, where not all.
func (w *weighing) concerns(some []*gateConfig) string {
	switch {
	case len(some) == len(w.configs):
		return ""
	case len(some) == 1:
		return " on " + some[0].Name()
	}
	return fmt.Sprintf(" on %d of %d configurations, such as %s", len(some), len(w.configs), some[0].Name())
}

// alphaText is the alpha of one configuration: "0.05", or "0.05/3 = 0.0167 (Holm, 3 configurations)".
func (w *weighing) alphaText() string {
	if w.gate.Correction != spec.Holm || len(w.configs) == 1 {
		return figure(w.alpha)
	}
	return fmt.Sprintf("%s/%d = %s (Holm, %d configurations)", figure(w.gate.Alpha), len(w.configs), figure(w.alpha), len(w.configs))
}

// seedsText says how many seeds can be compared.
func (w *weighing) seedsText(c *gateConfig) string {
	text := count(c.pairs, "seed", "seeds")
	switch {
	case !c.meet:
		return fmt.Sprintf("%s that %s doesn't have", count(len(c.seeds), "seed", "seeds"), w.gate.Baseline)
	case c.pairs < len(c.seeds):
		return fmt.Sprintf("%s of %d that %s has", text, len(c.seeds), w.gate.Baseline)
	}
	return text
}

// figure writes a number with three digits.
func figure(x float64) string { return strconv.FormatFloat(x, 'g', 3, 64) }
