package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/models"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

func (a *app) explainCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "explain RUN",
		Short: "List the parameters that a run learns",
		Long: `explain prints the parameters that a run trains, by name and shape, and the buffers that training moves. The run is one
of the last plan or of the store, named by its id or the beginning of it.`,
		Example: "  ftrun explain 3f2a",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.describe(args[0])
			if err != nil {
				return err
			}
			return a.explain(d, all)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list the frozen ones, too")
	return cmd
}

// describe finds a run by the beginning of its id, in the last plan or in the store.
func (a *app) describe(prefix string) (planner.Description, error) {
	store, err := a.runs()
	if err != nil {
		return planner.Description{}, err
	}
	found := map[string]planner.Description{}
	if p, err := planner.Load(store.PlanPath()); err == nil {
		for i := range p.Runs {
			if strings.HasPrefix(p.Runs[i].ID, prefix) {
				found[p.Runs[i].ID] = p.Describe(&p.Runs[i])
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return planner.Description{}, err
	}
	if len(found) == 1 {
		for _, d := range found {
			return d, nil
		}
	}
	if len(found) > 1 {
		return planner.Description{}, fmt.Errorf("%q is the beginning of %d runs of the plan: give more of the id (`ftrun plan -json` lists them)", prefix, len(found))
	}
	run, err := store.Find(prefix)
	if err != nil {
		return planner.Description{}, err
	}
	return a.configOf(run)
}

// configOf reads what a run of the store is.
func (a *app) configOf(run *runlog.Run) (d planner.Description, err error) {
	if err := run.ReadConfig(&d); err != nil {
		return d, a.mend(err)
	}
	return d, nil
}

func (a *app) explain(d planner.Description, all bool) error {
	s := d.Settings
	net, err := models.Build(s.Arch, len(d.Dataset.Classes), s.Image.Crop)
	if err != nil {
		return err
	}
	trainable, err := models.Match(net, s.Trainable)
	if err != nil {
		return err
	}
	moving := models.BatchStats(net, trainable, s.BatchNorm)
	w := a.out
	fmt.Fprintf(w, "%s seed %d: %s, %s, %s\n", a.paint(w, bold, reports.Printable(d.Config.Name())), d.Run.Seed, s.Arch, s.Mode, reports.Plural(len(d.Dataset.Classes), "class", "classes"))
	if all {
		fmt.Fprintln(w, "Parameters:")
	} else {
		fmt.Fprintln(w, "Parameters to learn:")
	}
	var frozen, moved int
	for i, p := range net.Params {
		switch {
		case trainable[i]:
			fmt.Fprintf(w, "  %s %s\n", p.Name, shape(p.Shape))
		case p.Kind == nn.Weight:
			frozen++
			if all {
				fmt.Fprintf(w, "  %s %s (frozen)\n", p.Name, shape(p.Shape))
			}
		case p.Kind == nn.Buffer && moving[p.Layer]:
			moved++
		}
	}
	count := net.Count(trainable, moving)
	fmt.Fprintf(w, "%s of %s parameters are trained; %s frozen.\n", reports.Count(count.Trainable), reports.Count(count.Total), reports.Plural(frozen, "tensor is", "tensors are"))
	if c := cut(net, true, trainable, moving); c.Layer != "" {
		fmt.Fprintf(w, "Its frozen part ends at %s: %d×%d×%d features of a picture, computed\nonce for all runs and epochs that show the same pictures.\n", c.Layer, c.Shape[0], c.Shape[1], c.Shape[2])
	}
	if moved > 0 {
		fmt.Fprintf(w, "Batch norm moves %s numbers in %d buffers, running means and variances;\nbatch_norm = \"frozen\" keeps them.\n", reports.Count(count.Moving), moved)
	}
	return nil
}

// shape writes a shape as torch prints it: [2, 512].
func shape(s []int) string {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = fmt.Sprint(d)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
