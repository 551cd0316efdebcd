package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
	"github.com/ftrun/ftrun/spec"
)

// inputs are the flags of commands that read configuration files.
type inputs struct {
	vars     []string
	varFiles []string
	launcher string // of commands that have launcherFlag
}

func (in *inputs) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&in.vars, "var", nil, "set a variable, `NAME=VALUE`; may be given again")
	cmd.Flags().StringArrayVar(&in.varFiles, "var-file", nil, "read variables from `FILE`; may be given again")
}

func (in *inputs) launcherFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&in.launcher, "launcher", "", "start all runs by the launcher `NAME` of the files, or \"local\": on this machine")
}

func (in *inputs) read(a *app, target string) (*spec.Spec, spec.Diagnostics, error) {
	vars, err := assignments(in.vars)
	if err != nil {
		return nil, nil, err
	}
	s, diags := spec.Load(target, spec.Options{Vars: vars, VarFiles: in.varFiles, Launcher: in.launcher, Environ: a.environ, Version: Version()})
	return s, diags, nil
}

// load reads target; what is wrong with it has been told where the error is an exit code.
func (a *app) load(target string, in *inputs, asJSON bool) (*spec.Spec, error) {
	s, diags, err := in.read(a, target)
	if err != nil {
		return nil, err
	}
	return s, a.diagnose(s, diags, asJSON)
}

// diagnose tells diagnostics; the error is an exit code where one of them is an error. As JSON, only errors are told:
// warnings are part of the document that comes.
func (a *app) diagnose(s *spec.Spec, diags spec.Diagnostics, asJSON bool) error {
	var err error
	if diags.HasErrors() {
		err = exit(exitError)
	}
	if asJSON {
		if err != nil {
			return errors.Join(spec.WriteJSON(a.out, diags, s.Files()), err)
		}
		return nil
	}
	for _, d := range diags { // a text may name what stands in a file, and not quote it
		d.Detail = reports.PrintableLines(d.Detail)
	}
	return errors.Join(spec.WriteText(a.err, diags, s.Files(), a.err.width(), a.colours(a.err)), err)
}

func (a *app) validateCommand() *cobra.Command {
	var in inputs
	var asJSON bool
	var maxRuns int
	cmd := &cobra.Command{
		Use:   "validate FILE|DIR",
		Short: "Check files without looking at data or weights",
		Long: `validate reads a file or a directory of files and tells everything that is wrong with it, as far as the files alone
show it: neither data sets nor weights are looked at.`,
		Example: "  ftrun validate sweep.hcl\n  ftrun validate -json sweeps/",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, diags, err := in.read(a, args[0])
			if err != nil {
				return err
			}
			runs := 0
			if !diags.HasErrors() {
				var more spec.Diagnostics
				if runs, more, err = evaluate(cmd.Context(), s, maxRuns); err != nil {
					return err
				}
				diags = spec.Distinct(append(diags, more...))
			}
			if asJSON {
				err := spec.WriteJSON(a.out, diags, s.Files())
				if diags.HasErrors() {
					err = errors.Join(err, exit(exitError))
				}
				return err
			}
			if err := a.diagnose(s, diags, false); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s valid: %s in %s.\n", subject(s), reports.Plural(runs, "run", "runs"), reports.Plural(len(s.Sweeps), "sweep", "sweeps"))
			return err
		},
	}
	in.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "diagnostics as JSON")
	cmd.Flags().IntVar(&maxRuns, "max-runs", planner.DefaultMaxRuns, "refuse a matrix of more runs")
	return cmd
}

// assignments splits -var flags.
func assignments(vars []string) (map[string]string, error) {
	out := map[string]string{}
	for _, v := range vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("-var wants name=value, got %q", v)
		}
		out[name] = value
	}
	return out, nil
}

// evaluate evaluates every run of a spec with its launcher and counts them, and every gate for each configuration.
func evaluate(ctx context.Context, s *spec.Spec, maxRuns int) (runs int, diags spec.Diagnostics, err error) {
	for _, sw := range s.Sweeps {
		gates := s.GatesOf(sw.Name)
		settled := make([]bool, len(gates)) // it judges something, or its mistake was told
		for c, d := range sw.Combinations() {
			if diags = append(diags, d...); len(d) > 0 {
				continue
			}
			for i, g := range gates {
				if !settled[i] {
					judges, d := g.Judges(c)
					settled[i] = judges || d.HasErrors()
					diags = append(diags, d...)
				}
			}
			for _, seed := range sw.Seeds {
				if err := ctx.Err(); err != nil {
					return 0, nil, err
				}
				if runs++; runs > maxRuns {
					return 0, nil, fmt.Errorf("there are more runs than %s: sweep %q alone has up to %s; if that is meant, give -max-runs %d",
						reports.Count(int64(maxRuns)), sw.Name, reports.Count(int64(sw.Size())), sw.Size())
				}
				_, d := sw.Run(c, seed)
				diags = append(diags, d...)
				_, d = sw.Launcher(c, seed)
				diags = append(diags, d...)
			}
		}
		for i, g := range gates {
			if !settled[i] && !diags.HasErrors() {
				diags = append(diags, g.Idle()...)
			}
		}
	}
	return runs, diags, nil
}

// subject names what was read: "sweep.hcl is", "3 files are".
func subject(s *spec.Spec) string {
	if len(s.Sources) == 1 {
		return s.Sources[0].Path + " is"
	}
	return fmt.Sprintf("%d files are", len(s.Sources))
}
