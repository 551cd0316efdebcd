package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

func (a *app) diffCommand() *cobra.Command {
	var in inputs
	ch := choices{noPower: true, noLaunch: true}
	var format string
	var detailed bool
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Show how two matrices differ, before anything is run",
		Long: `diff expands the sweeps of A and of B, each a file, a directory or a saved plan, and shows which runs B adds, leaves out
or changes, and by which settings:

  ~  another training, under the name that it has in A
  +  in B alone
  -  in A alone
  =  the same training: what is there of it stays valid

Runs are paired by sweep, matrix values and seed. Where a change has hit many, it is told once, with a selector of those.
Variables are set for both.

Exit codes: 0 fine, 1 error; with -detailed-exitcode 2 where runs differ.`,
		Example: "  ftrun plan -out before.plan sweep.hcl\n  ftrun diff before.plan sweep.hcl\n  ftrun diff -var epochs=20 before.plan sweep.hcl",
		Args:    arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return fmt.Errorf("there is no format %q: use one of text, json", format)
			}
			if savedPlan(args[0]) && savedPlan(args[1]) {
				for _, flag := range []string{"var", "var-file", "max-runs"} {
					if cmd.Flags().Changed(flag) {
						return fmt.Errorf("-%s has no effect on saved plans: they have their own", flag)
					}
				}
			}
			var plans [2]*planner.Plan
			for i, arg := range args {
				var err error
				if savedPlan(arg) {
					plans[i], err = planner.Load(arg)
				} else {
					plans[i], err = a.plan(cmd.Context(), arg, &in, &ch, nil, format == "json")
				}
				if err != nil {
					return err
				}
			}
			d := planner.DiffPlans(plans[0], plans[1])
			if format == "json" {
				if err := a.writeDiff(d); err != nil {
					return err
				}
			} else {
				a.showDiff(d)
			}
			if detailed && d.Differs() {
				return exit(exitChanges)
			}
			return nil
		},
	}
	in.flags(cmd)
	cmd.Flags().IntVar(&ch.maxRuns, "max-runs", planner.DefaultMaxRuns, "refuse a matrix of more runs")
	cmd.Flags().StringVar(&format, "format", "text", "`FORMAT`: text or json")
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit with 2 where runs differ")
	return cmd
}

// diffJSON is a diff as docs/cli.md describes it.
type diffJSON struct {
	Before  int           `json:"before"`
	After   int           `json:"after"`
	Same    int           `json:"same"`
	Changed []changedJSON `json:"changed"`
	Renamed []renamedJSON `json:"renamed"`
	Added   []diffRunJSON `json:"added"`
	Removed []diffRunJSON `json:"removed"`
}

type diffRunJSON struct {
	ID     string         `json:"id"`
	Sweep  string         `json:"sweep"`
	Labels reports.Labels `json:"labels"`
	Seed   int64          `json:"seed"`
}

type changedJSON struct {
	diffRunJSON
	Was      string                  `json:"was"`
	Longer   bool                    `json:"longer"`
	Settings []planner.SettingChange `json:"settings"`
}

type renamedJSON struct {
	Before diffRunJSON `json:"before"`
	After  diffRunJSON `json:"after"`
}

func (a *app) writeDiff(d *planner.Diff) error {
	out := diffJSON{
		Before: len(d.Before), After: len(d.After), Same: d.Same,
		Changed: []changedJSON{}, Renamed: []renamedJSON{}, Added: diffRunsJSON(d.Added), Removed: diffRunsJSON(d.Removed),
	}
	for _, c := range d.Changed {
		out.Changed = append(out.Changed, changedJSON{diffRunOf(c.DiffRun), c.Was, c.Longer, c.Settings})
	}
	for _, r := range d.Renamed {
		out.Renamed = append(out.Renamed, renamedJSON{diffRunOf(r.Before), diffRunOf(r.After)})
	}
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

func diffRunsJSON(runs []planner.DiffRun) []diffRunJSON {
	list := make([]diffRunJSON, len(runs))
	for i, r := range runs {
		list[i] = diffRunOf(r)
	}
	return list
}

func diffRunOf(r planner.DiffRun) diffRunJSON {
	j := diffRunJSON{ID: r.ID, Sweep: r.Config.Sweep, Seed: r.Seed}
	for _, l := range r.Config.Labels {
		j.Labels = append(j.Labels, reports.Label{Axis: l.Axis, Text: l.Text(), Value: l.Value})
	}
	return j
}

// Of many lines of one kind the first are printed.
const (
	mostScopes  = 12
	mostChanges = 30
	mostValues  = 6 // of one setting; more are one line
)

// showDiff prints a diff for people: each change once, with those that it hits.
func (a *app) showDiff(d *planner.Diff) {
	head := func(sign string, n int, what string) {
		if n > 0 {
			fmt.Fprintf(a.out, "%s %s\n", sign, a.paint(a.out, bold, reports.Plural(n, "run "+what, "runs "+what)))
		}
	}
	head("~", len(d.Changed), "changed")
	a.showChanges(d)
	head("+", len(d.Added), "added")
	a.showScopes(d.After, d.Added)
	head("-", len(d.Removed), "removed")
	a.showScopes(d.Before, d.Removed)
	head("=", len(d.Renamed), "under another name")
	a.showRenamed(d)
	head("=", d.Same, "the same")
	if d.Same+len(d.Renamed) > 0 {
		fmt.Fprintln(a.out, "What has been trained of those with = stays valid.")
	}
	switch {
	case d.Differs():
	case len(d.Renamed) > 0:
		fmt.Fprintln(a.out, "Nothing but names differs.")
	default:
		fmt.Fprintln(a.out, "No differences.")
	}
}

// showChanges prints what the changed runs differ in: those that are hit by the same changes, and under them the
// changes.
func (a *app) showChanges(d *planner.Diff) {
	type group struct {
		runs    []int // indices
		changes []string
	}
	groups := map[string]*group{} // by their runs
	changes := changesOf(d, a.out.width()-6)
	for _, change := range slices.Sorted(maps.Keys(changes)) {
		key := fmt.Sprint(changes[change])
		if groups[key] == nil {
			groups[key] = &group{runs: changes[change]}
		}
		groups[key].changes = append(groups[key].changes, change)
	}
	inOrder := slices.SortedFunc(maps.Values(groups), func(g, h *group) int {
		return cmp.Or(cmp.Compare(len(h.runs), len(g.runs)), slices.Compare(g.runs, h.runs))
	})
	told := 0
	for _, g := range inOrder {
		if told >= mostChanges {
			fmt.Fprintf(a.out, "    … and %s: -format json lists them all.\n", reports.Plural(len(changes)-told, "more change", "more changes"))
			break
		}
		told += len(g.changes)
		runs := make([]planner.DiffRun, len(g.runs))
		for i, r := range g.runs {
			runs[i] = d.Changed[r].DiffRun
		}
		a.showScopes(d.Both, runs)
		for _, change := range g.changes {
			fmt.Fprintf(a.out, "      %s\n", reports.Printable(change))
		}
	}
	longer := 0
	for _, c := range d.Changed {
		if c.Longer {
			longer++
		}
	}
	if longer > 0 {
		fmt.Fprintf(a.out, "    %s: from the last checkpoint on, where it is kept.\n", reports.Plural(longer, "run only trains longer", "runs only train longer"))
	}
}

// changesOf gives for each change, on a line of so many columns, the indices of the changed runs that it hits.
func changesOf(d *planner.Diff, width int) map[string][]int {
	bySetting := map[string]map[string][]int{}
	for i, c := range d.Changed {
		for _, s := range c.Settings {
			if bySetting[s.Setting] == nil {
				bySetting[s.Setting] = map[string][]int{}
			}
			text := changeText(s, width)
			bySetting[s.Setting][text] = append(bySetting[s.Setting][text], i)
		}
	}
	changes := map[string][]int{}
	for setting, values := range bySetting {
		if len(values) <= mostValues {
			maps.Copy(changes, values)
			continue
		}
		var all []int
		for _, runs := range values {
			all = append(all, runs...)
		}
		slices.Sort(all)
		changes[fmt.Sprintf("%s: %s values, as -format json lists them", setting, reports.Count(int64(len(values))))] = all
	}
	return changes
}

// changeText is a change on a line of so many columns: "optimizer.lr: 0.01 → 0.001".
func changeText(s planner.SettingChange, width int) string {
	if s.Setting == "weights.runs" {
		return s.Setting + ": starts from other runs"
	}
	before, after := reports.Printable(reports.SettingText(s.Before)), reports.Printable(reports.SettingText(s.After))
	if room := width - len(s.Setting) - len(":  > "); len([]rune(before))+len([]rune(after)) > room {
		before, after = reports.Shorten(before, max(room/2, 12)), reports.Shorten(after, max(room/2, 12))
	}
	return s.Setting + ": " + before + " → " + after
}

// showScopes names some of all runs, a line for each part of the matrix.
func (a *app) showScopes(all, some []planner.DiffRun) {
	switch {
	case len(some) == 0:
		return
	case len(some) == len(all) && len(all) > 1:
		fmt.Fprintf(a.out, "    all %s\n", reports.Count(int64(len(all))))
		return
	}
	scopes := planner.Scopes(all, some)
	for i, s := range scopes {
		if i == mostScopes && len(scopes) > mostScopes+1 {
			runs := 0
			for _, rest := range scopes[i:] {
				runs += rest.Runs
			}
			fmt.Fprintf(a.out, "    … and %s more: -format json lists them all.\n", reports.Plural(runs, "run", "runs"))
			return
		}
		end := ": " + reports.Plural(s.Runs, "run", "runs")
		if len(s.Seeds) == 1 {
			end = ", seed " + reports.Ranges(s.Seeds) + end
		} else if s.Seeds != nil {
			end = ", seeds " + reports.Ranges(s.Seeds) + end
		}
		fmt.Fprintf(a.out, "    %s%s\n", reports.Shorten(reports.Printable(s.String()), max(a.out.width()-4-len(end), 20)), end)
	}
}

// showRenamed prints old and new names, those that differ alike on one line.
func (a *app) showRenamed(d *planner.Diff) {
	var names []string
	runs := map[string]int{}
	for _, r := range d.Renamed {
		before, after := differing(r.Before, r.After), differing(r.After, r.Before)
		name := before + " → " + after
		if runs[name] == 0 {
			names = append(names, name)
		}
		runs[name]++
	}
	for i, name := range names {
		if i == mostScopes && len(names) > mostScopes+1 {
			fmt.Fprintf(a.out, "    … and %d more names: -format json lists them all.\n", len(names)-mostScopes)
			return
		}
		fmt.Fprintf(a.out, "    %s: %s\n", reports.Printable(name), reports.Plural(runs[name], "run", "runs"))
	}
}

// differing is a run's name without the labels that another one has, too.
func differing(r, other planner.DiffRun) string {
	scope := planner.Scope{Sweep: r.Config.Sweep}
	for _, l := range r.Config.Labels {
		same := func(o planner.Label) bool { return o.Axis == l.Axis && o.Text() == l.Text() }
		if !slices.ContainsFunc(other.Config.Labels, same) {
			scope.Labels = append(scope.Labels, l)
		}
	}
	name := scope.String()
	if r.Seed != other.Seed {
		name += fmt.Sprintf(", seed %d", r.Seed)
	}
	return name
}
