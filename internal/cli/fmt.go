package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/spec"
)

func (a *app) fmtCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "fmt [FILE|DIR|-]...",
		Short: "Bring files into the canonical style",
		Long: `fmt rewrites files, and the *.hcl and *.ftvars of directories, in the canonical style, and prints the names of those
that it changed. Without an argument it takes the working directory; - formats standard input to standard output.`,
		Example: "  ftrun fmt\n  ftrun fmt -check sweep.hcl",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			changed, bad := false, false
			for _, target := range args {
				if target == stdin {
					src, err := io.ReadAll(a.in)
					if err != nil {
						return err
					}
					out, diags := spec.Format(src, "<stdin>")
					if diags.HasErrors() {
						return a.tellFormat(diags)
					}
					if _, err := a.out.Write(out); err != nil {
						return err
					}
					continue
				}
				files, err := formattable(target)
				if err != nil {
					return err
				}
				for _, f := range files {
					did, err := a.format(f, check)
					var told exit
					if errors.As(err, &told) {
						bad = true
					} else if err != nil {
						return err
					}
					changed = changed || did
				}
			}
			if bad || check && changed {
				return exit(exitError)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; fail where something would change")
	return cmd
}

// format brings one file into style and says whether that changes it.
func (a *app) format(path string, check bool) (changed bool, err error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	out, diags := spec.Format(src, path)
	if diags.HasErrors() {
		return false, a.tellFormat(diags)
	}
	if bytes.Equal(src, out) {
		return false, nil
	}
	fmt.Fprintln(a.out, path)
	if check {
		return true, nil
	}
	return true, runlog.WriteFile(path, func(w io.Writer) error { _, err := w.Write(out); return err })
}

func (a *app) tellFormat(diags spec.Diagnostics) error {
	width, _ := a.terminal(a.err)
	if err := spec.WriteText(a.err, diags, nil, width, a.colours(a.err)); err != nil {
		return err
	}
	return exit(exitError)
}

func formattable(target string) ([]string, error) {
	info, err := os.Stat(target)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{target}, nil
	}
	var files []string
	entries, err := os.ReadDir(target)
	for _, e := range entries {
		name := e.Name()
		if e.Type()&fs.ModeType == 0 && !strings.HasPrefix(name, ".") && (strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".ftvars")) {
			files = append(files, filepath.Join(target, name))
		}
	}
	return files, err
}
