package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/planner"
)

func (a *app) graphCommand() *cobra.Command {
	var in inputs
	ch := choices{noLaunch: true}
	cmd := &cobra.Command{
		Use:     "graph FILE|DIR",
		Short:   "Draw which runs wait for which, as DOT",
		Long:    "graph prints the runs and what they start from as a graph in the DOT language, for Graphviz.",
		Example: "  ftrun graph sweep.hcl | dot -Tsvg > sweep.svg",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.plan(cmd.Context(), args[0], &in, &ch, nil, false)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.out, planner.Graph(p))
			return err
		},
	}
	in.flags(cmd)
	ch.flags(cmd)
	return cmd
}
