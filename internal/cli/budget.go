package cli

import (
	"fmt"
	"time"

	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

// budgetShown is the number of lines about what fits, and about what does not.
const budgetShown = 20

// showBudget says which runs would be finished within a time, and what would make all of them.
func (a *app) showBudget(p *planner.Plan, costs planner.Costs, budget time.Duration) {
	w := a.out
	b := p.Budget(costs, budget.Seconds())
	within := reports.Duration(budget.Seconds())
	switch {
	case len(b.Due) == 0:
		fmt.Fprintf(w, "\nWithin %s: there is nothing to train.\n", within)
		return
	case p.Summarize().Seconds == 0:
		fmt.Fprintf(w, "\nWithin %s: what the runs take is not known.\n", within)
		return
	case b.Fit == len(b.Due):
		all := "the one run"
		if b.Fit > 1 {
			all = "all " + reports.Plural(b.Fit, "run", "runs")
		}
		fmt.Fprintf(w, "\nWithin %s: %s would be finished, the last after %s.\n", within, all, reports.Duration(b.Due[b.Fit-1].Seconds))
		return
	}
	fmt.Fprintf(w, "\nWithin %s: %d of %s would be finished.\n", within, b.Fit, reports.Plural(len(b.Due), "run", "runs"))
	a.showDue(p, b.Due[:b.Fit])
	fmt.Fprintln(w, "Not by then:")
	a.showDue(p, b.Due[b.Fit:])
	switch epochs, seeds := reports.Plural(b.Epochs, "epoch", "epochs"), reports.Plural(b.Seeds, "seed", "seeds"); {
	case b.Epochs > 0 && b.Seeds > 0:
		fmt.Fprintf(w, "All would fit with at most %s a run, or with %s.\n", epochs, seeds)
	case b.Epochs > 0:
		fmt.Fprintf(w, "All would fit with at most %s a run.\n", epochs)
	case b.Seeds > 0:
		fmt.Fprintf(w, "All would fit with %s.\n", seeds)
	}
}

// showDue prints a line for each row of runs of one configuration: "  after 3m10s  tutorial arch=resnet18, seeds 0-5".
func (a *app) showDue(p *planner.Plan, due []planner.Due) {
	lines := 0
	for lo := 0; lo < len(due); {
		hi := lo
		var seeds []int64
		for ; hi < len(due) && due[hi].Run.Config == due[lo].Run.Config; hi++ {
			seeds = append(seeds, due[hi].Run.Seed)
		}
		if lines++; lines > budgetShown {
			fmt.Fprintf(a.out, "  … and %s.\n", reports.Plural(len(due)-lo, "more run", "more runs"))
			return
		}
		noun := "seed"
		if len(seeds) > 1 {
			noun = "seeds"
		}
		fmt.Fprintf(a.out, "  after %-7s %s, %s %s\n", reports.Duration(due[hi-1].Seconds), reports.Printable(p.Configs[due[lo].Run.Config].Name()), noun, reports.Ranges(seeds))
		lo = hi
	}
}
