package planner

// Budget says what of a plan is finished within a time.
type Budget struct {
	Due []Due // the trainings that are to be done, in the order in which they finish
	Fit int   // how many of them, the first of Due, finish in time
	// Epochs and Seeds are what would make all fit, each by itself: at most so many epochs a run, so many seeds a
	// configuration. 0: nothing does, or nothing need.
	Epochs, Seeds int
}

// Due is when a training finishes.
type Due struct {
	Run     *Run
	Seconds float64 // from the start of apply
}

// Budget tells what fits into seconds, one run after the other in the order in which apply takes them: of those that are
// ready the one first with which the longest chain of runs begins that wait for each other. costs are those that the plan
// was estimated with.
func (p *Plan) Budget(costs Costs, seconds float64) Budget {
	var b Budget
	clock := 0.0
	made := make([]bool, len(p.Sharing))
	for _, r := range p.order() {
		if !made[r.Sharing] {
			made[r.Sharing] = true
			clock += p.Sharing[r.Sharing].Seconds
		}
		clock += p.Estimate(r).Seconds
		b.Due = append(b.Due, Due{r, clock})
		if clock <= seconds {
			b.Fit++
		}
	}
	if b.Fit < len(b.Due) {
		b.Epochs, b.Seeds = p.fewerEpochs(costs, b.Due, seconds), p.fewerSeeds(b.Due, seconds)
	}
	return b
}

// order lists the trainings that are to be done as apply takes them, one at a time: in the plan's order.
func (p *Plan) order() []*Run {
	var runs []*Run
	for i, first := range p.firsts() {
		if r := &p.Runs[i]; first && r.Action != Done {
			runs = append(runs, r)
		}
	}
	return runs
}

// fewerEpochs is the most epochs that all runs may have to finish in time, where those of some are cut to that.
func (p *Plan) fewerEpochs(costs Costs, due []Due, seconds float64) int {
	type line struct{ fixed, epoch float64 } // a run's time by its epochs
	type group struct {
		line
		runs, epochs, done int
	}
	left, most := seconds, 0
	groups := map[estimateKey]*group{}
	made := make([]bool, len(p.Sharing))
	for _, d := range due {
		r := d.Run
		key := estimateKey{r.Settings, r.Dataset, r.Sharing, r.FromEpoch}
		if !made[r.Sharing] {
			made[r.Sharing] = true
			left -= p.Sharing[r.Sharing].Seconds
		}
		g := groups[key]
		if g == nil {
			s := &p.Settings[r.Settings]
			g = &group{epochs: s.Epochs, done: r.FromEpoch}
			// Its last epoch alone tells what of its time does not go by epochs.
			if n := s.Epochs - r.FromEpoch; n > 1 {
				last := costs.Training(s, &p.Datasets[r.Dataset], &p.Sharing[r.Sharing], s.Epochs-1).Seconds
				g.epoch = (p.Estimate(r).Seconds - last) / float64(n-1)
				g.fixed = last - g.epoch
			} else {
				g.fixed = p.Estimate(r).Seconds
			}
			groups[key] = g
			most = max(most, s.Epochs)
		}
		g.runs++
	}
	fits := func(epochs int) bool {
		sum := 0.0
		for _, g := range groups {
			sum += float64(g.runs) * (g.fixed + g.epoch*float64(max(min(epochs, g.epochs)-g.done, 0)))
		}
		return sum <= left
	}
	lo, hi := 0, most // fits(lo) or lo is 0; hi is too many
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; fits(mid) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// fewerSeeds is the most seeds that each configuration may have for all runs to finish in time. Where runs wait for others
// that is not for arithmetic to say.
func (p *Plan) fewerSeeds(due []Due, seconds float64) int {
	seeds := map[int]int{} // by configuration, those so far
	var by []float64       // seconds of each configuration's first seed, second seed, …
	made := make([]bool, len(p.Sharing))
	for _, d := range due {
		r := d.Run
		if len(r.Needs) > 0 || r.From != "" {
			return 0
		}
		at := seeds[r.Config]
		seeds[r.Config]++
		if at == len(by) {
			by = append(by, 0)
		}
		if !made[r.Sharing] {
			made[r.Sharing] = true
			by[0] += p.Sharing[r.Sharing].Seconds
		}
		by[at] += p.Estimate(r).Seconds
	}
	sum := 0.0
	for n, s := range by {
		if sum += s; sum > seconds {
			return n
		}
	}
	return 0
}
