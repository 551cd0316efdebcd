package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

func (a *app) runsCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:     "runs",
		Short:   "List or remove runs of the store",
		Example: "  ftrun runs list\n  ftrun runs rm 3f2a",
	})
	cmd.AddCommand(&cobra.Command{
		Use:     "list",
		Short:   "List the runs of the store with their states and sizes",
		Example: "  ftrun runs list",
		Args:    arguments(0, 0),
		RunE:    func(*cobra.Command, []string) error { return a.listRuns() },
	}, &cobra.Command{
		Use:     "rm ID...",
		Short:   "Remove runs from the store",
		Long:    "rm removes runs with all that they left. The beginning of an id is enough where only one run has it.",
		Example: "  ftrun runs rm 3f2a",
		Args:    arguments(1, -1),
		RunE:    func(cmd *cobra.Command, ids []string) error { return a.removeRuns(cmd.Context(), ids) },
	})
	return cmd
}

func (a *app) listRuns() error {
	store, err := a.runs()
	if err != nil {
		return err
	}
	rows, err := stored(store)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintf(a.out, "There are no runs in %s.\n", a.store)
		return err
	}
	var lines [][]string
	var total int64
	for _, r := range rows {
		size, err := store.Run(r.ID).Size()
		if err != nil {
			return err
		}
		total += size
		state, epochs, acc := string(r.Status), "–", "–"
		if r.damaged {
			state = "damaged"
		}
		if r.epochs > 0 {
			epochs = fmt.Sprintf("%d/%d", r.trained, r.epochs)
		}
		if r.Metrics != nil {
			acc = fmt.Sprintf("%.3f", r.Metrics.ValAcc)
		}
		lines = append(lines, []string{r.ID, state, "", fmt.Sprint(r.Seed), epochs, acc, reports.Bytes(size)})
	}
	header := []string{"id", "state", "name", "seed", "epochs", "val acc", "size"}
	// Names hold those of the axes where there is room for that.
	room, full := a.out.width(), true
	for i := range header {
		wide := 0
		for _, line := range append(lines, header) {
			if i != nameColumn {
				wide = max(wide, utf8.RuneCountInString(line[i]))
			}
		}
		room -= wide + 1
	}
	room = max(room, utf8.RuneCountInString("(unreadable)"))
	for _, r := range rows {
		full = full && utf8.RuneCountInString(nameOf(&r.Run, true)) <= room
	}
	for i := range rows {
		lines[i][nameColumn] = reports.Shorten(nameOf(&rows[i].Run, full), room)
	}
	if err := reports.WriteText(a.out, header, 3, lines); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s, %s.\n", reports.Plural(len(rows), "run", "runs"), reports.Bytes(total))
	return err
}

const nameColumn = 2 // of the list of runs

// nameOf is a run's sweep with its labels, as "tutorial[arch=resnet18, mode=extract]" or "tutorial[resnet18, extract]".
func nameOf(r *reports.Run, axes bool) string {
	if len(r.Labels) == 0 {
		return r.Sweep
	}
	parts := make([]string, len(r.Labels))
	for i, l := range r.Labels {
		parts[i] = l.Text
		if axes {
			parts[i] = l.Axis + "=" + l.Text
		}
	}
	return r.Sweep + "[" + strings.Join(parts, ", ") + "]"
}

func (a *app) removeRuns(ctx context.Context, ids []string) error {
	store, err := a.runs()
	if err != nil {
		return err
	}
	var found []*runlog.Run
	for _, id := range ids {
		r, err := store.Find(id)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(found, func(other *runlog.Run) bool { return other.ID == r.ID }) {
			found = append(found, r)
		}
	}
	p, err := planner.Load(store.PlanPath())
	if err != nil { // what it says is of help, and no more
		p = &planner.Plan{}
	}
	for _, r := range found {
		// Taking the lease keeps a run that is being trained from losing its folder.
		lease, err := r.AcquireWatching(ctx, "ftrun runs rm", func(busy *runlog.BusyError) {
			fmt.Fprintf(a.err, "%v: looking for up to %v whether it still is …\n", busy, store.LeaseTimeout+store.Heartbeat)
		})
		if err != nil {
			return err
		}
		err = store.Remove(r.ID)
		lease.Release()
		if err != nil {
			return err
		}
		fmt.Fprintln(a.out, "removed", r.ID)
		if names := startedFrom(store, p, r.ID); len(names) > 0 {
			fmt.Fprintf(a.out, "These finished runs of the last plan started from it, or from the best of several with it, and stay: %s.\n", reports.Printable(strings.Join(names, ", ")))
		}
	}
	return nil
}

// startedFrom names the finished runs of a plan that started from a run's weights, or chose among them.
func startedFrom(store *runlog.Store, p *planner.Plan, id string) []string {
	var names []string
	for i := range p.Runs {
		r := &p.Runs[i]
		if !slices.Contains(p.Settings[r.Settings].Weights.Runs, id) {
			continue
		}
		st, _, err := store.Run(r.ID).Status()
		if name := p.Name(r) + " (" + r.ID + ")"; err == nil && st.State == runlog.Finished && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// compareRuns orders runs by sweep, labels and seed.
func compareRuns(a, b reports.Run) int {
	return cmp.Or(cmp.Compare(a.Sweep, b.Sweep), slices.CompareFunc(a.Labels, b.Labels, func(x, y reports.Label) int {
		return cmp.Or(cmp.Compare(x.Axis, y.Axis), cmp.Compare(x.Text, y.Text))
	}), cmp.Compare(a.Seed, b.Seed), cmp.Compare(a.ID, b.ID))
}
