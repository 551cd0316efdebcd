package cli

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

func (a *app) initCommand() *cobra.Command {
	var in inputs
	var upgrade bool
	var maxRuns int
	cmd := &cobra.Command{
		Use:   "init FILE|DIR",
		Short: "Fetch the weights that sweeps start from, and write the lock",
		Long: `init fetches every file of torchvision's weights that the sweeps need and that is not here yet, hashes the data sets,
and writes both to .ftrun.lock.hcl. What differs from the lock is an error; -upgrade takes it as it is now.`,
		Example: "  ftrun init sweep.hcl\n  ftrun init -upgrade sweep.hcl",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.plan(cmd.Context(), args[0], &in, &choices{maxRuns: maxRuns, noLaunch: true}, nil, false)
			if err != nil {
				return err
			}
			l, err := readLock(lockPath)
			if err != nil {
				return err
			}
			if err := l.pinDatasets(p.Datasets, upgrade); err != nil {
				return err
			}
			entries := map[string]weights.Entry{}
			for _, s := range p.Settings {
				if s.Weights.Kind != "catalogue" {
					continue
				}
				if e, ok := weights.Find(s.Arch, s.Weights.Name); ok {
					entries[e.File] = e
				}
			}
			for _, file := range slices.Sorted(maps.Keys(entries)) {
				told := false
				path, err := weightsCache().Fetch(cmd.Context(), entries[file], func(_, total int64) {
					if !told {
						told = true
						size := ""
						if total > 0 {
							size = " (" + reports.Bytes(total) + ")"
						}
						fmt.Fprintf(a.out, "fetching %s%s\n", file, size)
					}
				})
				if err != nil {
					return err
				}
				sum, err := weights.SHA256(path)
				if err != nil {
					return err
				}
				if err := l.pin(file, sum, upgrade); err != nil {
					return err
				}
			}
			folders := 0
			for _, d := range p.Datasets {
				if d.Kind == "imagefolder" {
					folders++
				}
			}
			if folders+len(entries) == 0 {
				_, err = fmt.Fprintln(a.out, "There is nothing to fetch or to lock: neither folders of pictures nor torchvision's weights are used.")
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s and %s are here and locked in %s.\n", reports.Plural(folders, "data set", "data sets"),
				reports.Plural(len(entries), "file of weights", "files of weights"), lockPath)
			return err
		},
	}
	in.flags(cmd)
	cmd.Flags().IntVar(&maxRuns, "max-runs", planner.DefaultMaxRuns, "refuse a matrix of more runs")
	cmd.Flags().BoolVar(&upgrade, "upgrade", false, "take weights and data sets as they are now")
	return cmd
}
