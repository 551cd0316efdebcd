package planner

import (
	"slices"
	"sort"
	"strings"

	"github.com/ftrun/ftrun/spec"
)

// A run may start from the weights of another: of the one that "run:ID" names, in this plan or in the store, or of the
// best of a sweep's runs of its architecture.

// origin is the runs of one sweep and architecture, as candidates for the best.
type origin struct {
	runs   []*candidate
	ids    []string // sorted, distinct
	image  Image    // that all were trained with
	differ bool     // in their images
}

// ready takes from the pending runs those whose upstream is settled. Beginnings of ids wait until nothing else moves:
// only then is it sure which ids they could mean.
func (p *planning) ready() []*candidate {
	if wave := p.takeReady(idLen); len(wave) > 0 {
		return wave
	}
	return p.takeReady(minPrefix)
}

func (p *planning) takeReady(idDigits int) []*candidate {
	var wave, rest []*candidate
	found := map[string][]string{}
	for _, c := range p.pending {
		if c.state == broken {
			c.sweep.unsettled--
			continue
		}
		switch w := c.run.Weights; {
		case w != nil && w.SweepBest != "":
			from := p.sweep(w.SweepBest)
			if from.unsettled > 0 {
				rest = append(rest, c)
			} else if p.startFromBest(c, from) {
				wave = append(wave, c)
			} else {
				c.sweep.unsettled--
			}
		case w != nil && w.Run != "":
			id := strings.TrimPrefix(w.Run, "run:")
			if _, known := found[id]; !known && len(id) >= idDigits {
				found[id] = p.findRuns(id)
			}
			if len(found[id]) == 0 {
				rest = append(rest, c)
			} else if p.startFromRun(c, id, found[id]) {
				wave = append(wave, c)
			} else {
				c.sweep.unsettled--
			}
		default:
			wave = append(wave, c)
		}
	}
	p.pending = rest
	return wave
}

// startFromBest lets c start from the best of a sweep. Where the sweep has errors of its own, these are told and c is
// passed over.
func (p *planning) startFromBest(c *candidate, from *sweepState) bool {
	if slices.ContainsFunc(from.candidates, func(u *candidate) bool { return u.state == broken }) {
		c.state = broken
		return false
	}
	o := p.origins[originKey{from, c.run.Arch}]
	if o == nil {
		o = &origin{}
		for _, u := range from.candidates {
			s := p.settings[u.settings]
			if s.Arch != c.run.Arch {
				continue
			}
			if len(o.runs) == 0 {
				o.image = s.Image
			}
			o.differ = o.differ || s.Image != o.image
			o.runs = append(o.runs, u)
			o.ids = append(o.ids, u.id)
		}
		sort.Strings(o.ids)
		o.ids = slices.Compact(o.ids)
		p.origins[originKey{from, c.run.Arch}] = o
	}
	if len(o.runs) == 0 {
		p.fault(c, "weights", "No run to start from", "sweep.%s has no run of %s, from which this run could start. It trains %s.",
			from.Name, c.run.Arch, strings.Join(archsOf(p, from), ", "))
		c.state = broken
		return false
	}
	if o.differ && (c.run.Image == nil || c.run.Image.Crop == nil) {
		p.fault(c, "image", "Size of pictures not clear",
			"The runs of sweep.%s were trained on pictures of different sizes or transforms, so this run has no default for its own. Give image { crop = … }.", from.Name)
		c.state = broken
		return false
	}
	c.upstream, c.from, c.fromImage = o.runs, Weights{Kind: "best", Runs: o.ids}, o.image
	return true
}

// startFromRun lets c start from the one run of this plan or the store that was found by the beginning of its id.
func (p *planning) startFromRun(c *candidate, prefix string, found []string) bool {
	c.state = broken // unless all is well
	if len(found) > 1 {
		p.fault(c, "weights", "Id not clear", "%q is the beginning of %d ids (%s, %s). Give more of it.", prefix, len(found), found[0], found[1])
		return false
	}
	id, arch := found[0], ""
	if u := p.byID[id]; u != nil {
		s := p.settings[u.settings]
		arch, c.fromImage, c.upstream = s.Arch, s.Image, []*candidate{u}
	} else {
		state, _, err := p.shelf.state(id)
		switch {
		case err != nil:
			p.fault(c, "weights", "Run can't be read", "%s.", sentence(err))
			return false
		case state.Damage != "":
			p.fault(c, "weights", "Damaged run", "What the store holds of run %s is damaged: %s. Apply the plan that trains it first.", id, state.Damage)
			return false
		case !state.Finished:
			p.fault(c, "weights", "Run not finished", "Run %s has not finished, and no sweep of this plan trains it. Apply the plan that does first.", id)
			return false
		}
		arch, c.fromImage = state.Arch, state.Image
	}
	if arch != c.run.Arch {
		p.fault(c, "weights", "Weights of another architecture", "Run %s trained %s; this run trains %s. Weights only fit the same architecture.", id, arch, c.run.Arch)
		return false
	}
	c.from, c.state = Weights{Kind: "run", Runs: []string{id}}, waiting
	return true
}

// upstream gives what the candidate starts from and the transform that goes with it: the one of those runs.
func (f *filler) upstream(plain Image) (Weights, Image) {
	if f.c.fromImage == (Image{}) {
		return f.c.from, plain
	}
	return f.c.from, f.c.fromImage
}

// findRuns lists the ids, of this plan and of the store, that start with prefix.
func (p *planning) findRuns(prefix string) []string {
	if _, ok := p.byID[prefix]; ok {
		return []string{prefix}
	}
	var found []string
	lo, _ := slices.BinarySearch(p.shelf.ids, prefix)
	for _, id := range p.shelf.ids[lo:] {
		if !strings.HasPrefix(id, prefix) {
			break
		}
		found = append(found, id)
	}
	if len(prefix) < idLen {
		for id := range p.byID {
			if strings.HasPrefix(id, prefix) {
				found = append(found, id)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// checkUnsettled tells of the runs whose upstream was not to be found. Those that wait for one of them are
// passed over.
func (p *planning) checkUnsettled() {
	for _, c := range p.pending {
		if c.run.Weights.Run == "" {
			if p.faults == 0 {
				panic("planner: sweeps start from each other, which spec should not let through")
			}
			continue
		}
		id := strings.TrimPrefix(c.run.Weights.Run, "run:")
		if len(id) < minPrefix {
			p.fault(c, "weights", "Id not clear", "%q is too short for an id: give at least its first %d characters.", id, minPrefix)
			continue
		}
		known := append(slices.Clone(p.shelf.ids), mapKeys(p.byID)...)
		hint := "`ftrun runs list` shows those in the store, `ftrun plan` those of a plan."
		if best := spec.Nearest(id, known); best != "" {
			hint = "Did you mean \"run:" + best + "\"?"
		}
		p.fault(c, "weights", "Unknown run", "There is no run %q, neither in this plan nor in the store. %s", id, hint)
	}
}

type originKey struct {
	sweep *sweepState
	arch  string
}

// sweep finds a sweep that a reference names; spec has made sure that it is there.
func (p *planning) sweep(name string) *sweepState {
	i := slices.IndexFunc(p.sweeps, func(sw *sweepState) bool { return sw.Name == name })
	return p.sweeps[i]
}

// archsOf lists the architectures of a sweep in the order of its runs.
func archsOf(p *planning, sw *sweepState) []string {
	var archs []string
	for _, c := range sw.candidates {
		if arch := p.settings[c.settings].Arch; !slices.Contains(archs, arch) {
			archs = append(archs, arch)
		}
	}
	return archs
}

func mapKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
