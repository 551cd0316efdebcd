package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/reports"
	"github.com/ftrun/ftrun/spec"
)

// inputs are the flags of commands that read configuration files.
type inputs struct {
	vars     []string
	varFiles []string
	json     bool
}

func (in *inputs) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&in.vars, "var", nil, "set a variable, name=value; may be given again")
	cmd.Flags().StringArrayVar(&in.varFiles, "var-file", nil, "read variables from a file; may be given again")
}

// load reads target; what is wrong with it has been told where the error is an exit code.
func (a *app) load(target string, in *inputs) (*spec.Spec, error) {
	vars, err := assignments(in.vars)
	if err != nil {
		return nil, err
	}
	s, diags := spec.Load(target, spec.Options{Vars: vars, VarFiles: in.varFiles, Environ: a.environ, Version: Version()})
	return s, a.diagnose(s, diags, in.json)
}

// diagnose tells diagnostics; the error is an exit code where one of them is an error.
func (a *app) diagnose(s *spec.Spec, diags spec.Diagnostics, json bool) error {
	if json && diags.HasErrors() {
		if err := spec.WriteJSON(a.out, diags, s.Files()); err != nil {
			return err
		}
		return exit(exitError)
	}
	width, _ := a.terminal(a.err)
	if err := spec.WriteText(a.err, diags, s.Files(), width, a.colours(a.err)); err != nil {
		return err
	}
	if diags.HasErrors() {
		return exit(exitError)
	}
	return nil
}

func (a *app) validateCommand() *cobra.Command {
	var in inputs
	cmd := &cobra.Command{
		Use:   "validate FILE|DIR",
		Short: "Check files without looking at data or weights",
		Long: `validate reads a file or a directory of files and tells everything that is wrong with it, as far as the files alone
show it: neither data sets nor weights are looked at.`,
		Example: "  ftrun validate sweep.hcl\n  ftrun validate -json sweeps/",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.load(args[0], &in)
			if err != nil {
				return err
			}
			return a.validate(s, &in)
		},
	}
	in.flags(cmd)
	cmd.Flags().BoolVar(&in.json, "json", false, "diagnostics as JSON")
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

// validate evaluates every run of a spec.
func (a *app) validate(s *spec.Spec, in *inputs) error {
	var diags spec.Diagnostics
	n := 0
	for _, sw := range s.Sweeps {
		for c, d := range sw.Combinations() {
			diags = append(diags, d...)
			if len(d) > 0 {
				continue
			}
			for _, seed := range sw.Seeds {
				_, d := sw.Run(c, seed)
				diags = append(diags, d...)
				n++
			}
		}
	}
	if err := a.diagnose(s, spec.Distinct(diags), in.json); err != nil {
		return err
	}
	if in.json {
		return spec.WriteJSON(a.out, diags, s.Files())
	}
	_, err := fmt.Fprintf(a.out, "%s valid: %s in %s.\n", target(s), reports.Plural(n, "run", "runs"), reports.Plural(len(s.Sweeps), "sweep", "sweeps"))
	return err
}

// target names what was read: "sweep.hcl is", "3 files are".
func target(s *spec.Spec) string {
	if len(s.Sources) == 1 {
		return s.Sources[0].Path + " is"
	}
	return fmt.Sprintf("%d files are", len(s.Sources))
}

// stdin is the name by which fmt reads standard input.
const stdin = "-"
