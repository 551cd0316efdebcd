package planner

import (
	"bytes"
	"slices"
)

// Scope names runs as a person would: a sweep, the axes whose values pick the configurations, and the seeds where they
// are not all.
type Scope struct {
	Sweep  string
	Labels []Label
	Seeds  []int64 // ascending; nil: all that these configurations have
	Runs   int
}

// String is the scope as a selector (see ParseSelector), without the seeds.
func (s *Scope) String() string {
	if len(s.Labels) == 0 {
		return "sweep." + s.Sweep
	}
	c := Config{Sweep: s.Sweep, Labels: s.Labels}
	return "sweep." + c.Name()
}

// Scopes names some of all runs in few words: a change that hits half of a matrix is one line if the half has a name.
// Both lists go by configuration.
func Scopes(all, some []DiffRun) []Scope {
	seeds := seedsOf(all)
	var sweeps []string
	groups := map[string][]*seedGroup{} // by sweep
	picked := seedsOf(some)
	for _, config := range configsOf(some) {
		list := picked[config]
		if slices.Equal(list, seeds[config]) {
			list = nil
		}
		sweep := config.Sweep
		if groups[sweep] == nil {
			sweeps = append(sweeps, sweep)
		}
		i := slices.IndexFunc(groups[sweep], func(g *seedGroup) bool {
			return (g.seeds == nil) == (list == nil) && slices.Equal(g.seeds, list)
		})
		if i < 0 {
			i = len(groups[sweep])
			groups[sweep] = append(groups[sweep], &seedGroup{seeds: list})
		}
		g := groups[sweep][i]
		g.configs = append(g.configs, config)
	}
	var scopes []Scope
	everything := configsOf(all)
	for _, sweep := range sweeps {
		inSweep := slices.DeleteFunc(slices.Clone(everything), func(c *Config) bool { return c.Sweep != sweep })
		for _, g := range groups[sweep] {
			for _, part := range parts(inSweep, g.configs) {
				scope := Scope{Sweep: sweep, Labels: part.labels, Seeds: g.seeds}
				for _, c := range part.configs {
					scope.Runs += len(picked[c])
				}
				scopes = append(scopes, scope)
			}
		}
	}
	return scopes
}

// seedGroup is the configurations of a sweep of which the same seeds are meant.
type seedGroup struct {
	seeds   []int64
	configs []*Config
}

func configsOf(runs []DiffRun) []*Config {
	var configs []*Config
	for i, r := range runs {
		if i == 0 || r.Config != runs[i-1].Config {
			configs = append(configs, r.Config)
		}
	}
	return configs
}

func seedsOf(runs []DiffRun) map[*Config][]int64 {
	seeds := map[*Config][]int64{}
	for _, r := range runs {
		seeds[r.Config] = append(seeds[r.Config], r.Seed)
	}
	for _, list := range seeds {
		slices.Sort(list)
	}
	return seeds
}

// part is configurations that the labels pick out of a sweep's.
type part struct {
	labels  []Label
	configs []*Config
}

// mostParts is the number of values of an axis beyond which naming them says no more than naming configurations.
const mostParts = 20

// parts names some of all configurations of a sweep by as few labels and parts as it finds: by the labels that they
// have in common, else by the values of one more axis, else one by one.
func parts(all, some []*Config) []part {
	common := slices.DeleteFunc(slices.Clone(some[0].Labels), func(l Label) bool { return len(having(some, l)) < len(some) })
	if whole, ok := picks(all, some, common); ok {
		return []part{whole}
	}
	var best []part
	for _, axis := range some[0].Labels {
		var split []part
		rest := some
		for len(rest) > 0 {
			i := slices.IndexFunc(rest[0].Labels, func(l Label) bool { return l.Axis == axis.Axis })
			if i < 0 {
				break
			}
			label := rest[0].Labels[i]
			piece, ok := picks(all, having(some, label), append(slices.Clone(common), label))
			if !ok || len(split) == mostParts {
				break
			}
			split = append(split, piece)
			rest = slices.DeleteFunc(slices.Clone(rest), func(c *Config) bool { return has(c, label) })
		}
		if len(rest) == 0 && (best == nil || len(split) < len(best)) {
			best = split
		}
	}
	if best != nil && len(best) < len(some) {
		return best
	}
	single := make([]part, len(some))
	everywhere := slices.DeleteFunc(slices.Clone(all[0].Labels), func(l Label) bool { return len(having(all, l)) < len(all) })
	for i, c := range some {
		labels := slices.DeleteFunc(slices.Clone(c.Labels), func(l Label) bool {
			return slices.ContainsFunc(everywhere, func(t Label) bool { return t.Axis == l.Axis })
		})
		single[i] = part{labels, []*Config{c}}
	}
	return single
}

// picks tells whether labels pick just these of all configurations, and drops labels that aren't needed for it.
func picks(all, some []*Config, labels []Label) (part, bool) {
	if len(having(all, labels...)) != len(some) {
		return part{}, false
	}
	for i := len(labels) - 1; i >= 0; i-- {
		if fewer := slices.Delete(slices.Clone(labels), i, i+1); len(having(all, fewer...)) == len(some) {
			labels = fewer
		}
	}
	return part{labels, some}, true
}

// having lists the configurations with all of the labels.
func having(configs []*Config, labels ...Label) []*Config {
	var list []*Config
	for _, c := range configs {
		if !slices.ContainsFunc(labels, func(l Label) bool { return !has(c, l) }) {
			list = append(list, c)
		}
	}
	return list
}

func has(c *Config, label Label) bool {
	return slices.ContainsFunc(c.Labels, func(l Label) bool {
		return l.Axis == label.Axis && bytes.Equal(l.Value, label.Value)
	})
}
