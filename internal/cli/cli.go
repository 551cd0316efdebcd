// Package cli is the command line: one file a command, with the wiring of everything else.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// version is set by the linker.
var version = ""

// Version is what `ftrun version` says and what required_version is held against.
func Version() string {
	if version != "" && version != "dev" {
		return strings.TrimPrefix(version, "v")
	}
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return base
}

// base is the version that this tree is on the way to.
const base = "0.1.0-dev"

// Exit codes. Where several apply the first in this order wins: interrupted, failed, runs failed.
const (
	exitOK          = 0
	exitError       = 1
	exitChanges     = 2 // with -detailed-exitcode
	exitRunsFailed  = 3
	exitInterrupted = 130
)

// exit ends a command with a code; what it has to say has been said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// app is what commands share: streams, the working directory's store, and how to talk to the person there.
type app struct {
	in       io.Reader
	out, err io.Writer
	environ  func() []string
	store    string // -store
	noColor  bool
}

// Main runs a command line and returns its exit code.
func Main(args []string) int {
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ}
	ctx, stop := interruptible()
	defer stop()
	return a.run(ctx, args)
}

// interruptible gives a context that the first Ctrl-C ends; the second one ends the process.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		if _, again := <-signals; again {
			os.Exit(exitInterrupted)
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(longFlags(args))
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	var code exit
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	}
	a.fail(err)
	if ctx.Err() != nil {
		return exitInterrupted
	}
	return exitError
}

// fail tells an error.
func (a *app) fail(err error) {
	fmt.Fprintf(a.err, "%s %s\n", a.paint(a.err, red, "Error:"), err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "ftrun",
		Short: "Plan and carry out training experiments on image classifiers",
		Long: `ftrun reads sweeps over architectures and training modes from HCL files, shows what would be trained, trains it,
and compares the results.

  ftrun plan sweep.hcl    what would be trained, and what is there already
  ftrun apply             train it, with a table at the end`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.PersistentFlags().StringVar(&a.store, "store", ".ftrun", "folder of runs and plans")
	root.PersistentFlags().BoolVar(&a.noColor, "no-color", false, "plain text, as with NO_COLOR in the environment")
	root.AddCommand(
		a.planCommand(), a.applyCommand(), a.validateCommand(), a.fmtCommand(),
		a.reportCommand(), a.showCommand(), a.explainCommand(), a.graphCommand(),
		a.initCommand(), a.predictCommand(), a.exportCommand(), a.runsCommand(),
		a.devicesCommand(), a.benchCommand(), a.versionCommand(),
	)
	for _, c := range root.Commands() {
		if c.Example == "" && c.Name() != "completion" && c.Name() != "help" && !c.HasSubCommands() {
			panic("cli: command " + c.Name() + " has no example")
		}
	}
	return root
}

// longFlags turns the -name of long flags into --name, so that one dash and two mean the same, as with Terraform. Every
// flag of ftrun but -h is long.
func longFlags(args []string) []string {
	out := make([]string, 0, len(args))
	for i, arg := range args {
		if arg == "--" {
			return append(out, args[i:]...)
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--") && len(name) > 1 {
			arg = "-" + arg
		}
		out = append(out, arg)
	}
	return out
}

// terminal tells whether a stream is a terminal that a person looks at, and how wide it is.
func (a *app) terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 80, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		width = 80
	}
	return width, true
}

// colour of text on a terminal.
type colour string

const (
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	bold   colour = "1"
)

// colours tells whether text on w may be coloured.
func (a *app) colours(w io.Writer) bool {
	_, person := a.terminal(w)
	return person && !a.noColor && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb"
}

// paint colours text that is meant for w.
func (a *app) paint(w io.Writer, c colour, s string) string {
	if !a.colours(w) {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

func (a *app) env(name string) string {
	for _, kv := range a.environ() {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			return v
		}
	}
	return ""
}
