package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

func (a *app) showCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show [RUN|PLAN]",
		Short: "Show a run's course, or a saved plan",
		Long: `show prints a run of the store, named by its id or the beginning of it: its settings, each epoch, and the accuracy of
each class at the best one. Given a plan's file, or nothing, it prints that plan, or the last one.`,
		Example: "  ftrun show 3f2a\n  ftrun show",
		Args:    arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := a.runs()
			if err != nil {
				return err
			}
			if len(args) == 0 || savedPlan(args[0]) {
				path := store.PlanPath()
				if len(args) == 1 {
					path = args[0]
				} else if _, err := os.Stat(path); err != nil {
					return a.noPlan("name a run")
				}
				return a.showSaved(path, asJSON)
			}
			run, err := store.Find(args[0])
			if err != nil {
				return err
			}
			return a.showRun(run, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// showSaved prints a plan with what the store holds of it now.
func (a *app) showSaved(path string, asJSON bool) error {
	p, err := planner.Load(path)
	if err != nil {
		return err
	}
	if err := a.refresh(p, nil); err != nil {
		return err
	}
	if asJSON {
		return planner.WriteJSON(a.out, p)
	}
	if err := a.showMatrix(p); err != nil {
		return err
	}
	a.showGates(p)
	for _, warning := range p.Warnings {
		fmt.Fprintf(a.out, "%s %s\n", a.paint(a.out, yellow, "Warning:"), reports.PrintableLines(warning))
	}
	_, err = fmt.Fprintln(a.out, a.paint(a.out, bold, summary(p)))
	return err
}

func (a *app) showRun(run *runlog.Run, asJSON bool) error {
	d, err := a.configOf(run)
	if err != nil {
		return err
	}
	st, _, err := run.Status()
	if err != nil {
		return a.mend(err)
	}
	epochs, err := run.Epochs(st)
	if err != nil && st.State == runlog.Finished {
		return a.mend(err)
	}
	if asJSON {
		enc := json.NewEncoder(a.out)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"run": d, "status": st, "epochs": epochs})
	}
	w := a.out
	s := d.Settings
	fmt.Fprintf(w, "%s\n", a.paint(w, bold, fmt.Sprintf("%s seed %d", reports.Printable(d.Config.Name()), d.Run.Seed)))
	fmt.Fprintf(w, "run %s, %s", run.ID, st.State)
	if st.Error != "" {
		fmt.Fprintf(w, ": %s", st.Error)
	}
	fmt.Fprintf(w, "\n%s, %s: %s of %s parameters trained", s.Arch, s.Mode, reports.Count(d.Run.Params.Trainable), reports.Count(d.Run.Params.Total))
	if d.Run.Params.Moving > 0 {
		fmt.Fprintf(w, ";\n%s statistics of batch norm moved", reports.Count(d.Run.Params.Moving))
	}
	fmt.Fprintf(w, "\n%s\n%s, %s, batch %d, %s lr %g\n", startsFrom(&s.Weights), d.Dataset.Name,
		reports.Plural(s.Epochs, "epoch", "epochs"), s.BatchSize, s.Optimizer.Kind, s.Optimizer.LR)
	if len(epochs) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	best := 0
	if st.Result != nil {
		best = st.Result.Metrics.BestEpoch
	}
	var rows [][]string
	for _, e := range epochs {
		mark := ""
		if e.Epoch == best {
			mark = "*"
		}
		row := []string{mark + strconv.Itoa(e.Epoch), fmt.Sprintf("%.4f", e.TrainLoss), fmt.Sprintf("%.3f", e.TrainAcc),
			fmt.Sprintf("%.4f", e.ValLoss), fmt.Sprintf("%.3f", e.ValAcc)}
		if e.ValTop5 > 0 {
			row = append(row, fmt.Sprintf("%.3f", e.ValTop5))
		}
		rows = append(rows, append(row, fmt.Sprintf("%.2g", e.LR), reports.Duration(e.TrainSeconds+e.ValSeconds)))
	}
	header := []string{"epoch", "train loss", "train acc", "val loss", "val acc"}
	if len(rows[0]) > 7 {
		header = append(header, "val top5")
	}
	if err := reports.WriteText(w, append(header, "lr", "time"), 0, rows); err != nil {
		return err
	}
	if st.Result == nil {
		return nil
	}
	if m := st.Result.Metrics; m.TestAcc != nil {
		fmt.Fprintf(w, "\ntest: acc %.3f, loss %.4f (the best epoch's weights)\n", *m.TestAcc, *m.TestLoss)
	}
	return a.showClasses(run, st)
}

// startsFrom says in words what a run starts from.
func startsFrom(w *planner.Weights) string {
	switch w.Kind {
	case "catalogue":
		return "from the weights " + w.Name
	case "file":
		return "from the weights " + w.Path
	case "run":
		return "from run " + strings.Join(w.Runs, ", ")
	case "best":
		if len(w.Runs) > 3 {
			return "from the best of " + reports.Plural(len(w.Runs), "run", "runs")
		}
		return "from the best of " + strings.Join(w.Runs, ", ")
	}
	return "from random parameters"
}

// showClasses prints, from the kept predictions, each class's accuracy at the best epoch and what it is taken for most.
func (a *app) showClasses(run *runlog.Run, st runlog.Status) error {
	predictions, err := run.Predictions(st)
	if err != nil {
		return a.mend(err)
	}
	classes := st.Classes
	n := len(classes)
	confusion := make([][]int, n)
	for i := range confusion {
		confusion[i] = make([]int, n)
	}
	for _, p := range predictions {
		if k := p.Predicted(); p.Class >= 0 && p.Class < n && k < n { // the file may be damaged
			confusion[p.Class][k]++
		}
	}
	var rows [][]string
	for i, row := range confusion {
		sum, worst := 0, -1
		for j, v := range row {
			sum += v
			if j != i && v > 0 && (worst < 0 || v > row[worst]) {
				worst = j
			}
		}
		taken := "–"
		if worst >= 0 {
			taken = fmt.Sprintf("%s (%d)", classes[worst], row[worst])
		}
		acc := "–"
		if sum > 0 {
			acc = fmt.Sprintf("%.3f", float64(row[i])/float64(sum))
		}
		rows = append(rows, []string{classes[i], taken, strconv.Itoa(sum), strconv.Itoa(row[i]), acc})
	}
	fmt.Fprintln(a.out)
	return reports.WriteText(a.out, []string{"class", "mostly taken for", "pictures", "right", "val acc"}, 2, rows)
}
