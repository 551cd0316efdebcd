package planner

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/ftrun/ftrun/internal/settings"
)

// Diff is how the matrix of one plan differs from that of another, run by run. Runs are paired by name: sweep, matrix
// values in any order of the axes, and seed. Whether a pair is one training is told by the ids; the store is not looked
// at.
type Diff struct {
	Before, After []DiffRun // all runs of the two plans, in the files' order
	Both          []DiffRun // those of the second that the first has under the same name

	Same    int         // runs of both with one name and one id: what has been trained of them stays valid
	Changed []RunChange // of both, with one name and two ids
	Renamed []Renaming  // with one id and two names: what has been trained stays valid, too
	Added   []DiffRun   // of the second alone
	Removed []DiffRun   // of the first alone
}

// DiffRun is a run under its name.
type DiffRun struct {
	Config *Config
	Seed   int64
	ID     string
}

// RunChange is a run whose settings, pictures or weights are others.
type RunChange struct {
	DiffRun                  // as it is in the second plan
	Was      string          // its id in the first
	Longer   bool            // it has more epochs and goes through the same states, so it goes on where the one before ends
	Settings []SettingChange // by name; runs that change alike share the list
}

// SettingChange is a value that differs: "optimizer.lr", "dataset.pictures.train".
type SettingChange = settings.Change

// Renaming is a run that goes by two names.
type Renaming struct {
	Before, After DiffRun
}

// Differs tells whether a run is changed, added or removed. Another name alone is no difference.
func (d *Diff) Differs() bool { return len(d.Changed)+len(d.Added)+len(d.Removed) > 0 }

// DiffPlans compares the matrices of two plans.
func DiffPlans(before, after *Plan) *Diff {
	runsBefore, runsAfter := inFilesOrder(before), inFilesOrder(after)
	d := &Diff{Before: diffRuns(before, runsBefore), After: diffRuns(after, runsAfter)}

	names, ids := make(map[runName]int, len(d.Before)), make(map[string]int, len(d.Before))
	for i, name := range runNames(d.Before) {
		names[name] = i
		if _, known := ids[d.Before[i].ID]; !known {
			ids[d.Before[i].ID] = i
		}
	}
	c := comparer{before: before, after: after, seen: map[settingsPair][]SettingChange{}}
	kept := make([]bool, len(d.Before))
	for j, name := range runNames(d.After) {
		now := d.After[j]
		i, there := names[name]
		if there {
			d.Both = append(d.Both, now)
		}
		if there && d.Before[i].ID == now.ID {
			d.Same++
		} else if there {
			was, is := runsBefore[i], runsAfter[j]
			d.Changed = append(d.Changed, RunChange{
				DiffRun: now, Was: was.ID, Settings: c.compare(was, is),
				Longer: was.Trajectory == is.Trajectory && before.Settings[was.Settings].Epochs < after.Settings[is.Settings].Epochs,
			})
		} else if i, there = ids[now.ID]; there {
			d.Renamed = append(d.Renamed, Renaming{d.Before[i], now})
		} else {
			d.Added = append(d.Added, now)
		}
		if there {
			kept[i] = true
		}
	}
	for i, was := range d.Before {
		if !kept[i] {
			d.Removed = append(d.Removed, was)
		}
	}
	return d
}

// inFilesOrder lists a plan's runs by configuration, not in the order of execution.
func inFilesOrder(p *Plan) []*Run {
	runs := make([]*Run, len(p.Runs))
	for i := range p.Runs {
		runs[i] = &p.Runs[i]
	}
	slices.SortStableFunc(runs, func(a, b *Run) int { return cmp.Compare(a.Config, b.Config) })
	return runs
}

func diffRuns(p *Plan, runs []*Run) []DiffRun {
	list := make([]DiffRun, len(runs))
	for i, r := range runs {
		list[i] = DiffRun{&p.Configs[r.Config], r.Seed, r.ID}
	}
	return list
}

// runName is what pairs runs.
type runName struct {
	config string
	seed   int64
}

func runNames(runs []DiffRun) []runName {
	names := make([]runName, len(runs))
	for i, r := range runs {
		if i > 0 && r.Config == runs[i-1].Config {
			names[i] = runName{names[i-1].config, r.Seed}
			continue
		}
		labels := make([]string, len(r.Config.Labels))
		for k, l := range r.Config.Labels {
			labels[k] = fmt.Sprintf("%q=%s", l.Axis, canonical(l.Value))
		}
		slices.Sort(labels)
		names[i] = runName{fmt.Sprintf("%q %s", r.Config.Sweep, strings.Join(labels, " ")), r.Seed}
	}
	return names
}

// canonical is JSON without its blanks, and with an object's members in order: a value that went through an indented
// file is the same value.
func canonical(raw json.RawMessage) string { return string(must(settings.Canonical(raw))) }

// must is for JSON that was decoded from JSON, or encoded to it.
func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("planner: a plan holds what is no JSON: %v", err))
	}
	return v
}

// comparer lists what differs between runs of two plans, once for each pair of settings and data sets.
type comparer struct {
	before, after *Plan
	seen          map[settingsPair][]SettingChange
}

type settingsPair struct{ settings, dataset [2]int }

func (c *comparer) compare(was, is *Run) []SettingChange {
	pair := settingsPair{[2]int{was.Settings, is.Settings}, [2]int{was.Dataset, is.Dataset}}
	if changes, known := c.seen[pair]; known {
		return changes
	}
	var changes []SettingChange
	if c.before.Numerics != c.after.Numerics {
		changes = append(changes, SettingChange{Setting: "numerics_version", Before: mustJSON(c.before.Numerics), After: mustJSON(c.after.Numerics)})
	}
	s, t := c.before.Settings[was.Settings], c.after.Settings[is.Settings]
	if s.Weights.SHA256 == t.Weights.SHA256 { // where a file lies doesn't count
		s.Weights.Path, t.Weights.Path = "", ""
	}
	changes = append(changes, must(settings.Differences("", mustJSON(s), mustJSON(t)))...)
	if d, e := &c.before.Datasets[was.Dataset], &c.after.Datasets[is.Dataset]; d.Hash != e.Hash {
		described := must(settings.Differences("dataset", mustJSON(d), mustJSON(e)))
		// The hash is for where nothing else shows that the pictures are others.
		if len(described) > 1 {
			described = slices.DeleteFunc(described, func(c SettingChange) bool { return c.Setting == "dataset.hash" })
		}
		changes = append(changes, described...)
	}
	c.seen[pair] = changes
	return changes
}
