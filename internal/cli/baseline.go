package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

func (a *app) baselineCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "baseline",
		Short: "Keep results to compare later ones with",
		Long: `A baseline is a file to be committed: the results of each configuration and seed, and what was predicted for each
validation picture. "ftrun compare" and the gates of sweeps hold later results against it.`,
		Example: "  ftrun baseline set",
	})
	cmd.AddCommand(a.baselineSetCommand())
	return cmd
}

func (a *app) baselineSetCommand() *cobra.Command {
	var output string
	var unfinished bool
	cmd := &cobra.Command{
		Use:   "set [PLAN]",
		Short: "Write the results of a plan to a baseline file",
		Long: `set writes the results of the last plan's runs, or of those of a saved plan, to a baseline file. It refuses where runs
have not finished.`,
		Example: "  ftrun baseline set\n  ftrun baseline set -o nightly.json nightly.plan",
		Args:    arguments(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.setBaseline(args, output, unfinished)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", defaultBaseline, "write `FILE`")
	cmd.Flags().BoolVar(&unfinished, "unfinished", false, "leave out runs that have not finished, instead of refusing")
	return cmd
}

func (a *app) setBaseline(args []string, output string, unfinished bool) error {
	store, err := a.runs()
	if err != nil {
		return err
	}
	path := store.PlanPath()
	if len(args) == 1 {
		path = args[0]
	}
	p, err := planner.Load(path)
	if errors.Is(err, fs.ErrNotExist) && len(args) == 0 {
		return a.noPlan("name a saved plan")
	}
	if err != nil {
		return err
	}
	if err := hasFolder(output); err != nil {
		return err
	}
	if err := replaceable(output); err != nil {
		return err
	}
	r, err := a.planResults(store, p, path, true)
	if err != nil {
		return err
	}
	var configs, finished, open int
	for i := range r.Configs {
		before := finished
		for k := range r.Configs[i].Seeds {
			if r.Configs[i].Seeds[k].Finished() {
				finished++
			} else {
				open++
			}
		}
		if finished > before {
			configs++
		}
	}
	apply := a.again(append([]string{"apply"}, args...)...)
	switch {
	case finished == 0:
		return fmt.Errorf("no run of the plan has finished, so there is nothing to keep: `%s` trains them", apply)
	case open > 0 && !unfinished:
		return fmt.Errorf("%s not finished: `%s` trains the rest, -unfinished leaves them out", reports.Plural(open, "run of the plan has", "runs of the plan have"), apply)
	}
	size := int64(0)
	err = durable.WriteFile(output, func(w io.Writer) error {
		counted := &counter{w: w}
		err := reports.WriteBaseline(counted, r)
		size = counted.n
		return err
	})
	if err != nil {
		return err
	}
	left := ""
	if open > 0 {
		left = fmt.Sprintf("; %s left out", reports.Plural(open, "run that has not finished is", "runs that have not finished are"))
	}
	_, err = fmt.Fprintf(a.out, "%s holds %s of %s, %s%s.\n", output, reports.Plural(finished, "run", "runs"),
		reports.Plural(configs, "configuration", "configurations"), reports.Bytes(size), left)
	return err
}

// replaceable refuses to write over what is no baseline.
func replaceable(path string) error {
	f, err := durable.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 256)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if n > 0 && !reports.IsBaseline(head[:n]) {
		return fmt.Errorf("%s is there and is no baseline: remove it, or name another file with -o", path)
	}
	return nil
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
