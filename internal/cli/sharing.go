package cli

import (
	"fmt"

	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

// sharingsShown is the number of lines about sharing; -json lists all.
const sharingsShown = 20

// showSharing says what runs compute once for all of them, and why others can't. It says nothing where all of them train
// everything.
func (a *app) showSharing(p *planner.Plan) error {
	arch := make([]string, len(p.Sharing))
	for _, r := range p.Runs {
		arch[r.Sharing] = p.Settings[r.Settings].Arch
	}
	var rows [][]string
	var reasons []reason
	without := map[reason]int{} // runs, by reason
	for i := range p.Sharing {
		s := &p.Sharing[i]
		if s.Runs == 0 {
			continue
		}
		if s.Val != nil {
			rows = append(rows, []string{fmt.Sprint(s.Runs), arch[i] + " to " + s.Val.Layer, passes(s.Train), passes(s.Val), reports.Bytes(s.Bytes())})
		}
		if s.Train == nil {
			r := reason{s.Why, s.Val == nil}
			if without[r] == 0 {
				reasons = append(reasons, r)
			}
			without[r] += s.Runs
		}
	}
	if len(rows) == 0 && len(reasons) == 1 && reasons[0].why == fromTheStart || len(rows)+len(reasons) == 0 {
		return nil
	}
	w := a.out
	if len(rows) > 0 {
		fmt.Fprintln(w, "Frozen parts, computed once for all runs and epochs (passes over the pictures):")
		more := max(len(rows)-sharingsShown, 0)
		if err := reports.WriteText(w, []string{"runs", "frozen part", "training", "validation", "disk"}, 2, rows[:len(rows)-more]); err != nil {
			return err
		}
		if more > 0 {
			fmt.Fprintf(w, "… and %s: -json lists them all.\n", reports.Plural(more, "more line", "more lines"))
		}
	}
	for _, r := range reasons {
		what := "No sharing of training in %s: %s.\n"
		if r.alone {
			what = "No sharing in %s: %s.\n"
		}
		fmt.Fprintf(w, what, reports.Plural(without[r], "run", "runs"), r.why)
	}
	fmt.Fprintln(w)
	return nil
}

// reason is why runs share nothing, or, where not alone, their validation only.
type reason struct {
	why   string
	alone bool
}

// passes says how often the pictures would go through the frozen part, and how often they do.
func passes(f *planner.Features) string {
	if f == nil {
		return "–"
	}
	return fmt.Sprintf("%s → %d", reports.Count(f.Passes), f.Views)
}
