package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

func (a *app) reportCommand() *cobra.Command {
	var format string
	var all bool
	cmd := &cobra.Command{
		Use:   "report [PLAN]",
		Short: "Compare the runs of the last plan",
		Long: `report prints the comparison table of the last plan, or of a plan by its file: a row for each configuration, its best
validation accuracy as mean ± standard deviation over the seeds, the parameters that were trained, and what it cost.`,
		Example: "  ftrun report\n  ftrun report -format md > results.md\n  ftrun report -all -format json",
		Args:    arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(reports.Formats, format) {
				return reports.Write(a.out, format, nil) // says which there are
			}
			store, err := a.runs()
			if err != nil {
				return err
			}
			if all {
				if len(args) > 0 {
					return errors.New("-all compares all runs of the store, so a plan has no effect: leave one of them out")
				}
				runs, err := stored(store)
				if err != nil {
					return err
				}
				rows := make([]reports.Run, len(runs))
				for i := range runs {
					rows[i] = runs[i].Run
				}
				return reports.Write(a.out, format, rows)
			}
			path := store.PlanPath()
			if len(args) == 1 {
				path = args[0]
			}
			p, err := planner.Load(path)
			if errors.Is(err, fs.ErrNotExist) && len(args) == 0 {
				return fmt.Errorf("there is no plan in %s: make one with `%s`, or compare all runs of the store with -all", a.store, a.again("plan", "FILE"))
			}
			if err != nil {
				return err
			}
			rows, err := planned(store, p)
			if err != nil {
				return err
			}
			return reports.Write(a.out, format, rows)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "`FORMAT`: text, md, csv or json")
	cmd.Flags().BoolVar(&all, "all", false, "all runs of the store instead of one plan's")
	return cmd
}

// planned joins the runs of a plan with what the store holds of them.
func planned(store *runlog.Store, p *planner.Plan) ([]reports.Run, error) {
	statuses, err := store.Statuses()
	if err != nil {
		return nil, err
	}
	runs := slices.Clone(p.Runs)
	// In the files' order, not in that of execution.
	slices.SortStableFunc(runs, func(a, b planner.Run) int { return cmp.Compare(a.Config, b.Config) })
	rows := make([]reports.Run, 0, len(runs))
	for i := range runs {
		rows = append(rows, reportRow(p.Describe(&runs[i]), statuses[runs[i].ID]))
	}
	return rows, nil
}

// storedRun is a run of the store with what a report does not tell of it.
type storedRun struct {
	reports.Run
	trained, epochs int // of so many, 0 where that can't be read
	damaged         bool
}

// stored lists all runs of the store, under the names by which they were first run.
func stored(store *runlog.Store) ([]storedRun, error) {
	statuses, err := store.Statuses()
	if err != nil {
		return nil, err
	}
	var rows []storedRun
	for id, st := range statuses {
		var d planner.Description
		if err := store.Run(id).ReadConfig(&d); err != nil {
			d = planner.Description{Run: planner.Run{ID: id}, Config: planner.Config{Sweep: "(unreadable)"}}
			st.State, st.Error, st.Damaged = runlog.Failed, err.Error(), true
		}
		r := storedRun{Run: reportRow(d, st), trained: st.Epoch, epochs: d.Settings.Epochs, damaged: st.Damaged}
		if r.Metrics != nil {
			r.trained = r.Metrics.Epochs
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b storedRun) int { return compareRuns(a.Run, b.Run) })
	return rows, nil
}

func reportRow(d planner.Description, st runlog.Status) reports.Run {
	r := reports.Run{
		ID: d.Run.ID, Sweep: d.Config.Sweep, Labels: labels(&d.Config), Seed: d.Run.Seed, Status: st.State, Error: st.Error,
		Params: runlog.Params{Total: d.Run.Params.Total, Trainable: d.Run.Params.Trainable},
	}
	if r.Status == "" {
		r.Status = runlog.Pending
	}
	if st.State == runlog.Finished && st.Result != nil {
		r.Metrics, r.Timing = &st.Result.Metrics, &st.Result.Timing
		r.Device, r.Path = st.Result.Device, st.Result.Path
	}
	return r
}
