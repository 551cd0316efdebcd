package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
	"github.com/ftrun/ftrun/spec"
)

// codeOf is the exit code that gates ask for.
func codeOf(outcomes []reports.Outcome) exit {
	codes := map[exit]bool{}
	for i := range outcomes {
		switch o := &outcomes[i]; {
		case o.Err != nil || o.Comparison != nil && o.Comparison.Lacks():
			codes[exitError] = true
		case o.Comparison == nil: // skipped
		case o.Comparison.Regressed():
			codes[exitRegression] = true
		case o.Comparison.Undecided():
			codes[exitInconclusive] = true
		}
	}
	for _, code := range []exit{exitError, exitRegression, exitInconclusive} {
		if codes[code] {
			return code
		}
	}
	return exitOK
}

// evaluateGates holds what the store has of a plan's runs against gates of the plan. saved is the plan's file, "" for the last
// one. base names a file of results that takes the place of the gates' baselines; "" leaves each its own.
func (a *app) evaluateGates(store *runlog.Store, p *planner.Plan, saved string, gates []*planner.Gate, base string) ([]reports.Outcome, error) {
	predictions := false
	for _, g := range gates {
		c := criterion(g)
		predictions = predictions || c.NeedsPredictions()
	}
	runs, err := a.planResults(store, p, cmp.Or(saved, "the last plan"), predictions)
	if err != nil {
		return nil, err
	}
	type read struct {
		results *reports.Results
		err     error
	}
	baselines := map[string]read{}
	outcomes := make([]reports.Outcome, len(gates))
	for i, g := range gates {
		o, by := &outcomes[i], criterion(g)
		by.Configs = p.Judged(g)
		o.Criterion = by
		if by.NeedsBaseline() {
			o.Baseline = cmp.Or(base, g.Baseline)
		}
		if o.Skipped = unsettled(runs, by.Configs); o.Skipped != "" {
			continue
		}
		b, known := baselines[o.Baseline]
		if !known && by.NeedsBaseline() {
			if base == "" {
				b.results, b.err = a.readBaseline(g.Baseline)
			} else {
				b.results, b.err = a.readResults(store, base, predictions)
			}
			baselines[o.Baseline] = b
		}
		switch missing := errors.Is(b.err, fs.ErrNotExist) && base == ""; {
		case missing && by.FailMissing:
			o.Err = errors.New(a.noBaseline(o.Baseline, saved))
		case missing:
			o.Skipped = a.noBaseline(o.Baseline, saved)
		case b.err != nil:
			o.Err = b.err
		default:
			o.Comparison, o.Err = reports.Compare(b.results, runs, by)
		}
	}
	return outcomes, nil
}

// noBaseline says that there is no baseline at path, and how one is made of a plan's results.
func (a *app) noBaseline(path, saved string) string {
	of, words := "the last plan", []string{"baseline", "set", "-o", path}
	if saved != "" {
		of, words = saved, append(words, saved)
	}
	return fmt.Sprintf("there is no baseline %s; `%s` makes one of the results of %s", path, a.again(words...), of)
}

// unsettled says what keeps configurations from being judged: runs that may still finish.
func unsettled(r *reports.Results, configs []int) string {
	open := 0
	for _, i := range configs {
		for k := range r.Configs[i].Seeds {
			if s := &r.Configs[i].Seeds[k]; !s.Finished() && s.Status != runlog.Failed {
				open++
			}
		}
	}
	if open == 0 {
		return ""
	}
	verb := "have"
	if open == 1 {
		verb = "has"
	}
	return fmt.Sprintf("%s %s not ended yet", reports.Plural(open, "run", "runs"), verb)
}

// criterion is what a gate asks for, as comparisons know it.
func criterion(g *planner.Gate) reports.Criterion {
	return reports.Criterion{
		Name: g.Name, Metric: g.Metric, Bound: reports.Bound(g.Bound), Limit: g.Limit, Relative: g.Relative,
		Test: reports.Test(g.Test), Alpha: g.Alpha, Correction: reports.Correction(g.Correction), MinSeeds: g.MinSeeds,
		FailInconclusive: g.Inconclusive == "fail", FailMissing: g.Missing == "fail",
	}
}

// pickGates finds gates of a plan by name; without names they are all.
func pickGates(p *planner.Plan, names []string) ([]*planner.Gate, error) {
	byName := map[string]*planner.Gate{}
	known := make([]string, len(p.Gates))
	all := make([]*planner.Gate, len(p.Gates))
	for i := range p.Gates {
		known[i], all[i] = p.Gates[i].Name, &p.Gates[i]
		byName[known[i]] = all[i]
	}
	if len(names) == 0 {
		return all, nil
	}
	var picked []*planner.Gate
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("-gate %s is given twice", name)
		}
		g := byName[name]
		switch near := spec.Nearest(name, known); {
		case g != nil:
			picked = append(picked, g)
		case len(known) == 0:
			return nil, fmt.Errorf("there is no gate %q: the plan has none", name)
		case near != "":
			return nil, fmt.Errorf("the plan has no gate %q; did you mean %q?", name, near)
		default:
			return nil, fmt.Errorf("the plan has no gate %q; it has %s", name, strings.Join(known, ", "))
		}
	}
	return picked, nil
}

// judge evaluates all gates of a plan after its runs, and tells what came of them to a person, or to events where they are
// wanted. saved is the plan's file, "" for the last one. It gives the exit code that they ask for.
func (a *app) judge(store *runlog.Store, p *planner.Plan, saved string, events runlog.Sink) exit {
	if len(p.Gates) == 0 {
		return exitOK
	}
	gates, _ := pickGates(p, nil)
	outcomes, err := a.evaluateGates(store, p, saved, gates, "")
	if err != nil {
		a.fail(fmt.Errorf("the gates can't be evaluated: %w", err))
		return exitError
	}
	if events == nil {
		fmt.Fprintln(a.out)
	}
	for i := range outcomes {
		if events != nil {
			events.Emit(gateJudged(&outcomes[i]))
		} else {
			a.showGate(&outcomes[i], true)
		}
	}
	a.complain(outcomes, true)
	return codeOf(outcomes)
}

// compareGates evaluates gates where compare is asked to: by -gate, or by nothing else where the last plan has some. done is
// false where it is not.
func (a *app) compareGates(cmd *cobra.Command, args []string, o *comparison) (done bool, err error) {
	asked := slices.IndexFunc(askedFlags, cmd.Flags().Changed)
	if len(o.gates) == 0 && (len(args) > 0 || asked >= 0) {
		return false, nil
	}
	if asked >= 0 {
		return true, fmt.Errorf("-%s has no effect on gates, which say themselves what they ask for: leave it or -gate out", askedFlags[asked])
	}
	store, err := a.runs()
	if err != nil {
		return true, err
	}
	base, saved := "", ""
	if len(args) > 0 {
		base = args[0]
	}
	if len(args) == 2 {
		saved = args[1]
	}
	if info, err := os.Stat(saved); err == nil && info.IsDir() {
		return true, fmt.Errorf("%s is a folder, and with -gate OTHER is a saved plan: for the last plan of another store leave it out, and give -store %s", saved, saved)
	}
	p, err := planner.Load(cmp.Or(saved, store.PlanPath()))
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(o.gates) == 0:
		return false, nil
	case errors.Is(err, fs.ErrNotExist) && len(args) < 2:
		return true, a.noPlan("name a saved one after the baseline")
	case err != nil:
		return true, err
	}
	gates, err := pickGates(p, o.gates)
	if err != nil {
		return true, err
	}
	if len(gates) == 0 {
		return false, nil
	}
	outcomes, err := a.evaluateGates(store, p, saved, gates, base)
	if err != nil {
		return true, err
	}
	written := outcomes
	if o.format == "text" && o.output == "" { // the lines below tell of the others
		written = slices.DeleteFunc(slices.Clone(outcomes), func(o reports.Outcome) bool { return o.Comparison == nil })
	}
	if err := a.writeComparisons(args, o, written); err != nil {
		return true, err
	}
	if o.format == "text" {
		if len(written) > 0 && o.output == "" {
			fmt.Fprintln(a.out)
		}
		for i := range outcomes {
			a.showGate(&outcomes[i], false)
		}
	}
	a.complain(outcomes, false)
	if code := codeOf(outcomes); code != exitOK {
		return true, code
	}
	return true, nil
}

func gateJudged(o *reports.Outcome) runlog.GateJudged {
	is, reason := o.Passing()
	e := runlog.GateJudged{Name: o.Criterion.Name, Verdict: string(is), Reason: reason}
	if o.Comparison != nil {
		e.Comparison = o.Comparison
	}
	return e
}
