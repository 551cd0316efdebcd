package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/stats"
)

// sample is what one configuration gives to a test.
type sample struct {
	base, newer []float64 // of the metric; by seed on both sides unless unpaired; base is nil against a limit
	seeds       []int64
	unpaired    bool
	least       int // seeds of the side with fewer
	same        bool
	lacks       string // why there is nothing to test

	pictures            int // that both sides have, where the test is about pictures
	baseRight, newRight [][]bool
}

// size says how much there is, for people.
func (s *sample) size() string {
	switch {
	case s.unpaired:
		return fmt.Sprintf("%d against %s", len(s.base), Plural(len(s.newer), "seed", "seeds"))
	case s.base == nil:
		return Plural(len(s.newer), "seed", "seeds")
	}
	return Plural(len(s.newer), "pair of seeds", "pairs of seeds")
}

// sample gathers the values of a pair of configurations.
func (k *comparing) sample(p pair) (s sample) {
	s.seeds = []int64{} // in JSON a list, too, where there are none
	newer := finishedSeeds(p.newer)
	s.lacks = withoutResults(p.newer, "")
	if p.base == nil {
		s.newer = k.measure(&s, p.newer, newer, "")
		for _, r := range newer {
			s.seeds = append(s.seeds, r.Seed)
		}
		s.least = len(s.newer)
		return s
	}
	base := finishedSeeds(p.base)
	if s.lacks == "" {
		s.lacks = withoutResults(p.base, " of the baseline")
	}
	pairs := paired(base, newer)
	if s.unpaired = len(pairs) == 0 && len(base) > 0 && len(newer) > 0; s.unpaired && k.by.NeedsPredictions() {
		// Whichever are taken together, the share of right answers to each picture is the same. What one side has more
		// seeds than the other is left out, and told.
		for i := range min(len(base), len(newer)) {
			pairs = append(pairs, [2]*SeedResult{base[i], newer[i]})
		}
	}
	if len(pairs) > 0 {
		base, newer = nil, nil
		s.same = !s.unpaired
		for _, r := range pairs {
			base, newer = append(base, r[0]), append(newer, r[1])
			s.same = s.same && r[0].ID == r[1].ID && r[0].ID != ""
		}
	}
	s.least = min(len(base), len(newer))
	if k.by.NeedsPredictions() && s.lacks == "" {
		k.pictures(&s, p, base, newer)
	} else {
		s.base = k.measure(&s, p.base, base, " of the baseline")
		s.newer = k.measure(&s, p.newer, newer, "")
	}
	s.same = s.same && slices.Equal(s.base, s.newer)
	for _, r := range append(slices.Clone(base), newer...) {
		s.seeds = append(s.seeds, r.Seed)
	}
	slices.Sort(s.seeds)
	s.seeds = slices.Compact(s.seeds)
	return s
}

// greatest is more than any metric can be: it is far beyond what 32 bits hold, and its square is still a number.
const greatest = 1e100

// measure gives the metric of runs, and notes where one has none.
func (k *comparing) measure(s *sample, c *ConfigResults, runs []*SeedResult, of string) []float64 {
	var values []float64
	for _, r := range runs {
		v, ok := k.metric.value(c, r)
		lacks := ""
		switch {
		case !ok:
			lacks = fmt.Sprintf("seed %d%s has no %s", r.Seed, of, k.metric.Name)
		case !(math.Abs(v) <= greatest):
			lacks = fmt.Sprintf("seed %d%s has the %s %g, which no training gives", r.Seed, of, k.metric.Name, v)
		default:
			values = append(values, v)
		}
		if s.lacks == "" {
			s.lacks = lacks
		}
	}
	return values
}

// finishedSeeds lists the runs that have results.
func finishedSeeds(c *ConfigResults) []*SeedResult {
	var all []*SeedResult
	for i := range c.Seeds {
		if c.Seeds[i].Finished() {
			all = append(all, &c.Seeds[i])
		}
	}
	return all
}

// withoutResults says which runs have no results; "" where all have.
func withoutResults(c *ConfigResults, of string) string {
	var failed, damaged, open []string
	for i := range c.Seeds {
		switch s := &c.Seeds[i]; {
		case s.Finished():
		case s.Status == runlog.Failed:
			failed = append(failed, fmt.Sprint(s.Seed))
		case s.Damaged:
			damaged = append(damaged, fmt.Sprint(s.Seed))
		default:
			open = append(open, fmt.Sprint(s.Seed))
		}
	}
	var parts []string
	for _, group := range []struct {
		seeds     []string
		one, many string
	}{{failed, "failed", "failed"}, {damaged, "is damaged (apply makes it again)", "are damaged (apply makes them again)"}, {open, "has not finished", "have not finished"}} {
		switch n := len(group.seeds); {
		case n == 1:
			parts = append(parts, fmt.Sprintf("seed %s%s %s", group.seeds[0], of, group.one))
		case n > 1:
			parts = append(parts, fmt.Sprintf("seeds %s%s %s", strings.Join(group.seeds, ", "), of, group.many))
		}
	}
	if len(c.Seeds) == 0 {
		return "there is no run" + of
	}
	return strings.Join(parts, "; ")
}

// paired puts the runs of each common seed together. Both lists are sorted by seed.
func paired(base, newer []*SeedResult) (pairs [][2]*SeedResult) {
	for i, j := 0, 0; i < len(base) && j < len(newer); {
		switch {
		case base[i].Seed < newer[j].Seed:
			i++
		case base[i].Seed > newer[j].Seed:
			j++
		default:
			pairs = append(pairs, [2]*SeedResult{base[i], newer[j]})
			i, j = i+1, j+1
		}
	}
	return pairs
}

// commonPictures are the places of the pictures that both sides have, in each side's list.
type commonPictures struct{ base, newer []int }

func (k *comparing) commonPictures(base, newer *Data) *commonPictures {
	key := [2]*Data{base, newer}
	if c := k.common[key]; c != nil {
		return c
	}
	type name struct{ path, sha256 string }
	at := make(map[name]int, len(base.Pictures))
	for i, p := range base.Pictures {
		at[name{p.Path, p.SHA256}] = i
	}
	c := &commonPictures{}
	for j, p := range newer.Pictures {
		if i, ok := at[name{p.Path, p.SHA256}]; ok {
			c.base, c.newer = append(c.base, i), append(c.newer, j)
		}
	}
	k.common[key] = c
	return c
}

// pictures gathers which pictures each run has right, of those that both sides have; the accuracies are those on them.
func (k *comparing) pictures(s *sample, p pair, base, newer []*SeedResult) {
	for _, side := range []struct {
		runs []*SeedResult
		of   string
	}{{base, " of the baseline"}, {newer, ""}} {
		for _, r := range side.runs {
			if r.Predicted == nil && s.lacks == "" {
				s.lacks = fmt.Sprintf("seed %d%s has no predictions", r.Seed, side.of)
			}
		}
	}
	if s.lacks != "" {
		return
	}
	common := k.commonPictures(p.base.Data, p.newer.Data)
	if s.pictures = len(common.base); s.pictures == 0 {
		s.lacks = "the sides have no validation picture in common"
		return
	}
	s.baseRight, s.base = rightAnswers(p.base.Data, base, common.base)
	s.newRight, s.newer = rightAnswers(p.newer.Data, newer, common.newer)
}

// rightAnswers tells for each run which of the pictures at these places it has right, and the share of them.
func rightAnswers(data *Data, runs []*SeedResult, places []int) (right [][]bool, acc []float64) {
	for _, r := range runs {
		answers, n := make([]bool, len(places)), 0
		for i, at := range places {
			if answers[i] = int(r.Predicted[at]) == data.Pictures[at].Class; answers[i] {
				n++
			}
		}
		right = append(right, answers)
		acc = append(acc, float64(n)/float64(len(places)))
	}
	return right, acc
}

// differing counts the pictures that one side has right with more seeds than the other.
func (s *sample) differing() int {
	n := 0
	for _, d := range s.discordance() {
		if d.First != d.Second {
			n++
		}
	}
	return n
}

// discordance tells of each picture with how many seeds the baseline alone has it right, and with how many the newer side.
func (s *sample) discordance() []stats.Discordance {
	all := make([]stats.Discordance, s.pictures)
	for i := range s.baseRight {
		for at := range all {
			switch base, newer := s.baseRight[i][at], s.newRight[i][at]; {
			case base && !newer:
				all[at].First++
			case newer && !base:
				all[at].Second++
			}
		}
	}
	return all
}
