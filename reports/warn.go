package reports

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// warn says what else differs between the sides, so that nobody takes it for an effect of the change.
func (k *comparing) warn(pairs []pair) {
	if !k.by.NeedsBaseline() {
		return
	}
	if old, new := k.base.Numerics, k.newer.Numerics; old != new && old != 0 && new != 0 {
		k.warning("The runs of %s were made with version %d of the arithmetic, those of %s with version %d.", k.base.Origin, old, k.newer.Origin, new)
	}
	k.warnOf("versions of ftrun", pairs, func(s *SeedResult) string { return s.Version })
	k.warnOf("arithmetic", pairs, func(s *SeedResult) string { return s.Path })
	k.warnOf("devices", pairs, func(s *SeedResult) string { return s.Device })
	k.warnOfData(pairs)
	k.warnOfSeeds(pairs)
}

func (k *comparing) warning(format string, args ...any) {
	k.out.Warnings = append(k.out.Warnings, fmt.Sprintf(format, args...))
}

// warnOf tells where the runs were not all made in one way.
func (k *comparing) warnOf(what string, pairs []pair, of func(*SeedResult) string) {
	ways := func(side func(pair) *ConfigResults) []string {
		var all []string
		for _, p := range pairs {
			for _, s := range finishedSeeds(side(p)) {
				if w := of(s); w != "" {
					all = append(all, w)
				}
			}
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	old, new := ways(func(p pair) *ConfigResults { return p.base }), ways(func(p pair) *ConfigResults { return p.newer })
	if len(old) == 0 || len(new) == 0 || len(old) == 1 && slices.Equal(old, new) {
		return
	}
	k.warning("The runs were made with different %s (%s: %s; %s: %s): small differences may come from that.",
		what, k.base.Origin, strings.Join(old, ", "), k.newer.Origin, strings.Join(new, ", "))
}

// warnOfData tells where a data set is not the same on both sides.
func (k *comparing) warnOfData(pairs []pair) {
	seen := map[[2]*Data]bool{}
	for _, p := range pairs {
		old, new := p.base.Data, p.newer.Data
		if old == nil || new == nil || seen[[2]*Data{old, new}] {
			continue
		}
		seen[[2]*Data{old, new}] = true
		if old.Hash == new.Hash {
			continue
		}
		name := fmt.Sprintf("%q", new.Name)
		if old.Name != new.Name {
			name = fmt.Sprintf("%q, now %q,", old.Name, new.Name)
		}
		if old.Pictures == nil || new.Pictures == nil {
			k.warning("Data set %s is not the same on both sides.", name)
			continue
		}
		common := len(k.commonPictures(old, new).base)
		goneFrom, added := len(old.Pictures)-common, len(new.Pictures)-common
		if goneFrom == 0 && added == 0 {
			k.warning("Data set %s is not the same on both sides; its validation pictures are.", name)
			continue
		}
		then := "the values are of different pictures"
		if k.by.NeedsPredictions() {
			then = "the " + Plural(common, "common one is", "common ones are") + " compared"
		}
		k.warning("Data set %s does not have the same validation pictures on both sides: %d of %d are in %s only, %d of %d in %s only; %s.",
			name, goneFrom, len(old.Pictures), k.base.Origin, added, len(new.Pictures), k.newer.Origin, then)
	}
}

// warnOfSeeds tells where the sides do not have the same seeds.
func (k *comparing) warnOfSeeds(pairs []pair) {
	type seeds struct {
		common, base, newer string
		least, most         int // how many the two sides have
	}
	var kinds []seeds
	count := map[seeds]int{}
	for _, p := range pairs {
		base, newer := finishedSeeds(p.base), finishedSeeds(p.newer)
		var common, old, new []int64
		for _, r := range paired(base, newer) {
			common = append(common, r[0].Seed)
		}
		for _, s := range base {
			if !slices.Contains(common, s.Seed) {
				old = append(old, s.Seed)
			}
		}
		for _, s := range newer {
			if !slices.Contains(common, s.Seed) {
				new = append(new, s.Seed)
			}
		}
		if len(old)+len(new) == 0 || withoutResults(p.base, "")+withoutResults(p.newer, "") != "" {
			continue // there is nothing to tell, or it is told why nothing is compared
		}
		kind := seeds{Ranges(common), Ranges(old), Ranges(new), min(len(base), len(newer)), max(len(base), len(newer))}
		if count[kind] == 0 {
			kinds = append(kinds, kind)
		}
		count[kind]++
	}
	for _, s := range kinds {
		of := "In " + Plural(count[s], "configuration", "configurations")
		if s.common == "" {
			then := "the runs are not paired"
			if k.by.NeedsPredictions() && s.least < s.most {
				then += ", and of each side the first " + Plural(s.least, "is", "are") + " compared"
			}
			k.warning("%s the seeds don't meet (%s: %s; %s: %s): %s.", of, k.base.Origin, s.base, k.newer.Origin, s.newer, then)
			continue
		}
		var only []string
		if s.base != "" {
			only = append(only, s.base+" only in "+k.base.Origin)
		}
		if s.newer != "" {
			only = append(only, s.newer+" only in "+k.newer.Origin)
		}
		compared := "the common seeds " + s.common + " are compared"
		if _, err := strconv.ParseInt(s.common, 10, 64); err == nil {
			compared = "the common seed " + s.common + " is compared"
		}
		k.warning("%s %s; %s.", of, compared, strings.Join(only, ", "))
	}
}
