package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/executor"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

// choices are the flags that say which part of a matrix is planned.
type choices struct {
	targets, excludes, replace []string
	maxRuns                    int
	noPower                    bool // of gates is told
	noLaunch                   bool // is to come of the plan
}

func (c *choices) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&c.targets, "target", nil, "only the runs that `SELECTOR` picks: sweep.NAME, sweep.NAME[axis=value] or a run's id; may be given again")
	cmd.Flags().StringArrayVar(&c.excludes, "exclude", nil, "not the runs that `SELECTOR` picks")
	cmd.Flags().StringArrayVar(&c.replace, "replace", nil, "train again what `SELECTOR` picks, done or not")
	cmd.Flags().IntVar(&c.maxRuns, "max-runs", planner.DefaultMaxRuns, "refuse a matrix of more runs")
}

func (a *app) planCommand() *cobra.Command {
	var in inputs
	var ch choices
	var out, format, device string
	var budget time.Duration
	var detailed, asJSON bool
	cmd := &cobra.Command{
		Use:   "plan FILE|DIR",
		Short: "Show what would be trained, and save it for apply",
		Long: `plan expands the sweeps of a file or directory and shows each configuration with what apply would do:

  +    to be trained
  =    done before
  >    to be gone on with from its last checkpoint
  -/+  to be trained again

It needs neither a network nor weights. The plan is saved, so that a bare "ftrun apply" runs it.
Where a launcher sends runs to a cluster, the job arrays are shown that they would be; -format sbatch prints a script that
submits them, -format k8s indexed Jobs for kubectl create. Both refer to files that are left in the store.

It warns of gates that can't find what they are there for: where no difference between so few seeds could be told from chance,
and where one that is twice as large as is borne would be found in less than 4 of 5 cases.

Exit codes: 0 fine, 1 error; with -detailed-exitcode 2 where there is something to train.`,
		Example: "  ftrun plan sweep.hcl\n  ftrun plan -var epochs=1 -target 'sweep.tutorial[arch=resnet18]' sweep.hcl\n  ftrun plan -json sweep.hcl\n  ftrun plan -format sbatch sweep.hcl > jobs.sh",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := a.runs()
			if err != nil {
				return err
			}
			if out == "" {
				out = store.PlanPath()
			} else if ext := filepath.Ext(out); ext == ".hcl" || ext == ".ftvars" {
				return fmt.Errorf("-out %s would hide the plan among configuration files, or replace one: name it otherwise, such as %s.plan", out, strings.TrimSuffix(out, ext))
			} else if err := hasFolder(out); err != nil {
				return err
			}
			if cmd.Flags().Changed("budget") && budget <= 0 {
				return fmt.Errorf("-budget %v leaves no time: give it one such as 30m or 8h", budget)
			}
			if err := checkPlanFormat(format, asJSON, budget); err != nil {
				return err
			}
			if err := checkDevices(device); err != nil {
				return err
			}
			costs := a.costs(cmd.Context(), device, runtime.GOMAXPROCS(0), int64(defaultCacheMiB())<<20, cmd.Flags().Changed)
			defer costs.close()
			p, err := a.plan(cmd.Context(), args[0], &in, &ch, costs, asJSON)
			if err != nil {
				return err
			}
			// Where it can't be saved it is shown all the same.
			unsaved := planner.Save(out, p)
			if asJSON {
				err = planner.WriteJSON(a.out, p)
			} else if format != formatText {
				err = a.printLaunch(cmd.Context(), p, store, format)
			} else if err = errors.Join(a.showMatrix(p), a.showSharing(p)); err == nil {
				a.showGates(p)
				fmt.Fprintln(a.out, a.paint(a.out, bold, summary(p)))
				a.showExpectation(p, costs.threads, true)
				if err := a.warnOfPrecisions(p, costs.flag); err != nil {
					return err
				}
				err = a.showLaunch(cmd.Context(), p, true)
				if budget > 0 {
					a.showBudget(p, costs, budget)
				}
				if unsaved == nil {
					a.sayNext(p, store, out)
				}
			}
			if unsaved != nil {
				return fmt.Errorf("%w; mend that, name another folder with -store, or save it elsewhere with -out FILE", unsaved)
			}
			if err == nil && detailed && changes(p) {
				return exit(exitChanges)
			}
			return err
		},
	}
	in.flags(cmd)
	in.launcherFlag(cmd)
	ch.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "the plan as JSON (docs/plan-json.md)")
	cmd.Flags().StringVar(&format, "format", formatText, "`FORMAT`: "+list(planFormats())+"; the last two print jobs, and start none")
	cmd.Flags().DurationVar(&budget, "budget", 0, "say which runs would be finished within `TIME`, such as 30m")
	cmd.Flags().StringVar(&device, "device", autoDevice, "estimate what the runs take on `DEVICE`, as apply has it; it changes nothing else")
	cmd.Flags().StringVar(&out, "out", "", "save the plan in `FILE` instead of in the store")
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit with 2 where there is something to train")
	return cmd
}

// plan makes a plan of target; what is wrong with it has been told where the error is an exit code.
// Without costs nothing is estimated.
func (a *app) plan(ctx context.Context, target string, in *inputs, ch *choices, costs planner.Costs, asJSON bool) (*planner.Plan, error) {
	s, err := a.load(target, in, asJSON)
	if err != nil {
		return nil, err
	}
	world, err := a.world()
	if err != nil {
		return nil, err
	}
	world.Costs = costs
	if ch.maxRuns < 1 {
		return nil, errors.New("-max-runs must be at least 1")
	}
	p, diags := planner.Make(ctx, s, world, planner.Options{
		Target: target, Targets: ch.targets, Excludes: ch.excludes, Replace: ch.replace, MaxRuns: ch.maxRuns, NoPower: ch.noPower,
		NoLaunch: ch.noLaunch,
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return p, a.diagnose(s, diags, asJSON)
}

// changes tells whether there is something to train.
func changes(p *planner.Plan) bool {
	n := p.Summarize()
	return n.Create+n.Resume+n.Replace > 0
}

// symbols of what apply does with a run.
var symbols = map[planner.Action]string{planner.Create: "+", planner.Done: "=", planner.Resume: ">", planner.Replace: "-/+"}

// longest is the number of lines of a sweep that are all printed; of a longer one the first shown are.
const (
	longest = 200
	shown   = 50
)

// showMatrix prints a line for each configuration and action.
func (a *app) showMatrix(p *planner.Plan) error {
	type line struct {
		config int
		action planner.Action
		params planner.Params
	}
	var order []line
	seeds := map[line][]int64{}
	estimates := map[line]planner.Estimate{} // of the longest of its runs, where times are known
	for i := range p.Runs {
		r := &p.Runs[i]
		l := line{r.Config, r.Action, r.Params}
		if seeds[l] == nil {
			order = append(order, l)
		}
		seeds[l] = append(seeds[l], r.Seed)
		if e, most := p.Estimate(r), estimates[l]; cmp.Or(cmp.Compare(e.Seconds, most.Seconds), cmp.Compare(e.Memory, most.Memory)) > 0 {
			estimates[l] = e
		}
	}
	w, data := a.out, describeData(p)
	for start := 0; start < len(order); {
		sweep := p.Configs[order[start].config].Sweep
		end := start
		var axes []string
		moving, known := int64(0), planner.Estimate{}
		for ; end < len(order) && p.Configs[order[end].config].Sweep == sweep; end++ {
			moving = max(moving, order[end].params.Moving)
			e := estimates[order[end]]
			known.Seconds, known.Memory = max(known.Seconds, e.Seconds), max(known.Memory, e.Memory)
			known.DeviceMemory = max(known.DeviceMemory, e.DeviceMemory)
			for _, l := range p.Configs[order[end].config].Labels {
				if !slices.Contains(axes, l.Axis) {
					axes = append(axes, l.Axis)
				}
			}
		}
		more := 0
		if end-start > longest {
			more = end - start - shown
		}
		fmt.Fprintf(w, "%s: %s\n", a.paint(w, bold, sweep), data[sweep])
		header := append([]string{""}, axes...)
		header = append(header, "seeds", "trained", "total")
		right := len(axes) + 2
		if moving > 0 {
			header = append(header, "bn stats")
		}
		header = append(header, estimateHeader(known)...)
		var rows [][]string
		for _, l := range order[start : end-more] {
			row := []string{symbols[l.action]}
			for _, axis := range axes {
				row = append(row, labelText(&p.Configs[l.config], axis))
			}
			row = append(row, reports.Ranges(seeds[l]), reports.Count(l.params.Trainable), reports.Count(l.params.Total))
			if moving > 0 {
				row = append(row, reports.Count(l.params.Moving))
			}
			row = append(row, took(estimates[l], known)...)
			rows = append(rows, row)
		}
		if err := reports.WriteText(w, header, right, rows); err != nil {
			return err
		}
		if more > 0 {
			fmt.Fprintf(w, "… and %s: -json lists them all.\n", reports.Plural(more, "more line", "more lines"))
		}
		if moving > 0 {
			fmt.Fprintln(w, "bn stats: running means and variances of batch norm that training moves.")
		}
		fmt.Fprintln(w)
		start = end
	}
	a.showContinued(p)
	return nil
}

// estimateHeader names what is known of runs.
func estimateHeader(known planner.Estimate) (header []string) {
	if known.Seconds > 0 {
		header = append(header, "time")
	}
	if known.Memory > 0 {
		header = append(header, "memory")
	}
	if known.DeviceMemory > 0 {
		header = append(header, "GPU memory")
	}
	return header
}

// took writes of one run what is known of some: its time, its memory, and that on a GPU.
func took(e, known planner.Estimate) (columns []string) {
	add := func(known, is bool, text func() string) {
		switch {
		case known && is:
			columns = append(columns, text())
		case known:
			columns = append(columns, "")
		}
	}
	add(known.Seconds > 0, e.Seconds > 0, func() string { return reports.Duration(e.Seconds) })
	add(known.Memory > 0, e.Memory > 0, func() string { return memoryText(e.Memory) })
	add(known.DeviceMemory > 0, e.DeviceMemory > 0, func() string { return memoryText(e.DeviceMemory) })
	return columns
}

// memoryText writes an estimated size in short: 78 MiB, 1.1 GiB.
func memoryText(n int64) string {
	if n < 1000<<20 {
		return fmt.Sprintf("%d MiB", (n+1<<19)>>20)
	}
	return reports.Bytes(n)
}

// showExpectation says what all is expected to take, where that is known.
func (a *app) showExpectation(p *planner.Plan, threads int, share bool) {
	s := p.Summarize()
	if s.Memory == 0 {
		return
	}
	memory := memoryText(s.Memory+executor.BaseMemory) + " of memory"
	if s.DeviceMemory > 0 {
		memory += " and " + memoryText(s.DeviceMemory) + " of a GPU's"
	}
	if s.Seconds == 0 {
		why := ""
		if s.DeviceMemory > 0 {
			why = " How long they take on this GPU is known when runs of each sort have finished on it."
		}
		fmt.Fprintf(a.out, "Up to %s, %s on the disk.%s\n", memory, reports.Bytes(s.Disk), why)
		return
	}
	seconds := s.Seconds
	if !share {
		seconds = s.Unshared
	}
	fmt.Fprintf(a.out, "About %s on %s, up to %s, %s on the disk.\n", reports.Duration(seconds), reports.Plural(threads, "core", "cores"),
		memory, reports.Bytes(s.Disk))
	if share && s.Unshared-s.Seconds >= 1 {
		fmt.Fprintf(a.out, "Of it %s for frozen parts; if nothing were shared it would be %s.\n", reports.Duration(s.Shared), reports.Duration(s.Unshared))
	}
}

// warnOfPrecisions tells of runs that apply would refuse here, whose precision none of the devices has that apply takes. Elsewhere
// they may be trained.
func (a *app) warnOfPrecisions(p *planner.Plan, device string) error {
	by, err := p.Launcher()
	if err != nil || by.Kind != planner.Local {
		return nil // what nodes have is not known
	}
	devices, err := a.chooseDevices(device)
	if err != nil {
		return err
	}
	if err := executor.CheckPrecisions(p, devices.places()); err != nil {
		a.warn("apply would refuse this here: %v.", err)
	}
	return nil
}

// showContinued says how many runs need not start from the start although nothing of theirs is there.
func (a *app) showContinued(p *planner.Plan) {
	from := map[string]bool{}
	for _, r := range p.Runs {
		if r.From != "" && r.Action != planner.Done {
			from[r.ID] = true
		}
	}
	if n := len(from); n > 0 {
		fmt.Fprintf(a.out, "%s on where another training of the same settings ends.\n", reports.Plural(n, "run goes", "runs go"))
	}
}

// showSweeps says what is to be trained, a line for each sweep that has something.
func (a *app) showSweeps(p *planner.Plan) {
	var sweeps []string
	train := map[string]int{}
	seen := map[string]bool{}
	for _, r := range p.Runs {
		sweep := p.Configs[r.Config].Sweep
		if r.Action == planner.Done || seen[r.ID] {
			continue
		}
		seen[r.ID] = true
		if train[sweep] == 0 {
			sweeps = append(sweeps, sweep)
		}
		train[sweep]++
	}
	data := describeData(p)
	for _, sweep := range sweeps {
		fmt.Fprintf(a.out, "%s: %s on %s\n", a.paint(a.out, bold, sweep), reports.Plural(train[sweep], "run", "runs"), data[sweep])
	}
}

// summary counts distinct runs by action: "Plan: 12 runs to train, 3 to go on with, 0 to train again, 6 done."
func summary(p *planner.Plan) string {
	n := p.Summarize()
	s := "Plan: " + reports.Plural(n.Create, "run", "runs") + " to train"
	if n.Resume > 0 {
		s += fmt.Sprintf(", %d to go on with", n.Resume)
	}
	if n.Replace > 0 {
		s += fmt.Sprintf(", %d to train again", n.Replace)
	}
	return s + fmt.Sprintf(", %d done.", n.Done)
}

// sayNext names the command that comes next.
func (a *app) sayNext(p *planner.Plan, store *runlog.Store, path string) {
	var saved []string
	if path != store.PlanPath() {
		saved = []string{path}
	}
	if by, err := p.Launcher(); changes(p) && err == nil && by.Kind == planner.K8s {
		fmt.Fprintln(a.out, "With -format k8s it prints the Jobs that train them, for `kubectl create`.")
	} else if changes(p) {
		fmt.Fprintf(a.out, "`%s` trains them.\n", a.again(append([]string{"apply"}, saved...)...))
	} else {
		fmt.Fprintf(a.out, "There is nothing to train; `%s` shows the results.\n", a.again(append([]string{"report"}, saved...)...))
	}
}

// describeData says of each sweep what its runs learn from.
func describeData(p *planner.Plan) map[string]string {
	type use struct {
		sweep   string
		dataset int
	}
	seen := map[use]bool{}
	parts := map[string][]string{}
	for _, r := range p.Runs {
		u := use{p.Configs[r.Config].Sweep, r.Dataset}
		if seen[u] {
			continue
		}
		seen[u] = true
		d := p.Datasets[r.Dataset]
		part := fmt.Sprintf("%s (%s; %d train, %d val", d.Name, reports.Plural(len(d.Classes), "class", "classes"), d.Pictures["train"], d.Pictures["val"])
		if n := d.Pictures["test"]; n > 0 {
			part += fmt.Sprintf(", %d test", n)
		}
		parts[u.sweep] = append(parts[u.sweep], part+" pictures)")
	}
	said := make(map[string]string, len(parts))
	for sweep, list := range parts {
		said[sweep] = strings.Join(list, ", ")
	}
	return said
}

func labelText(c *planner.Config, axis string) string {
	for _, l := range c.Labels {
		if l.Axis == axis {
			return l.Text()
		}
	}
	return "–"
}
