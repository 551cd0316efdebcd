package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/spec"
)

func (a *app) fmtCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "fmt [FILE|DIR|-]...",
		Short: "Bring files into the canonical style",
		Long: `fmt rewrites files, and the *.hcl and *.ftvars of directories, in the canonical style, and prints the names of those
that it changed. Without an argument it takes the working directory; - formats standard input to standard output.`,
		Example: "  ftrun fmt\n  ftrun fmt -check sweep.hcl\n  ftrun fmt - < sweep.hcl",
		Args:    arguments(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			changed, bad := false, false
			for _, target := range args {
				if target == "-" {
					did, err := a.formatInput(cmd.Context(), check)
					if err != nil {
						return err
					}
					changed = changed || did
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

// formatInput formats standard input to standard output and says whether that changes it; a check prints its name only.
func (a *app) formatInput(ctx context.Context, check bool) (changed bool, err error) {
	type read struct {
		src []byte
		err error
	}
	done := make(chan read, 1)
	go func() {
		src, err := io.ReadAll(a.in)
		done <- read{src, err}
	}()
	var in read
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case in = <-done:
	}
	if in.err != nil {
		return false, in.err
	}
	out, diags := spec.Format(in.src, "<stdin>")
	if diags.HasErrors() {
		return false, a.tellFormat(diags)
	}
	changed = !bytes.Equal(in.src, out)
	if check {
		if changed {
			fmt.Fprintln(a.out, "<stdin>")
		}
		return changed, nil
	}
	_, err = a.out.Write(out)
	return changed, err
}

// format brings one file into style and says whether that changes it.
func (a *app) format(path string, check bool) (changed bool, err error) {
	src, err := durable.ReadFile(path)
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
	return true, durable.Write(path, out)
}

func (a *app) tellFormat(diags spec.Diagnostics) error {
	return errors.Join(spec.WriteText(a.err, diags, nil, a.err.width(), a.colours(a.err)), exit(exitError))
}

func formattable(target string) ([]string, error) {
	info, err := os.Stat(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file or directory %q to format", target)
	}
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
