package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/runlog"
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
	full := true // names hold those of the axes, which is too much for 80 columns where there are several
	for _, r := range rows {
		full = full && len([]rune(nameOf(&r, true))) <= 28
	}
	var total int64
	for _, r := range rows {
		size, err := store.Run(r.ID).Size()
		if err != nil {
			return err
		}
		total += size
		acc := "–"
		if r.Metrics != nil {
			acc = fmt.Sprintf("%.3f", r.Metrics.ValAcc)
		}
		lines = append(lines, []string{r.ID, string(r.Status), nameOf(&r, full), fmt.Sprint(r.Seed), acc, reports.Bytes(size)})
	}
	if err := reports.WriteText(a.out, []string{"id", "state", "name", "seed", "val acc", "size"}, 3, lines); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s, %s.\n", reports.Plural(len(rows), "run", "runs"), reports.Bytes(total))
	return err
}

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
	}
	return nil
}

// compareRuns orders runs by sweep, labels and seed.
func compareRuns(a, b reports.Run) int {
	return cmp.Or(cmp.Compare(a.Sweep, b.Sweep), slices.CompareFunc(a.Labels, b.Labels, func(x, y reports.Label) int {
		return cmp.Or(cmp.Compare(x.Axis, y.Axis), cmp.Compare(x.Text, y.Text))
	}), cmp.Compare(a.Seed, b.Seed), cmp.Compare(a.ID, b.ID))
}
