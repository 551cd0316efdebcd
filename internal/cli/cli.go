// Package cli is the command line: one file a command, with the wiring of everything else.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/runlog"
)

// Exit codes. Where several apply the first in this order wins: interrupted, error, runs failed.
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

// app is what commands share: streams, the environment, and where the runs are.
type app struct {
	in       io.Reader
	out, err *stream
	environ  func() []string
	args     []string
	store    string // -store
	noColor  bool
	misused  error // what help was asked for that there is none of
}

const defaultStore = ".ftrun"

// Main runs a command line and returns its exit code.
func Main(args []string) int {
	// A reader that goes away, as head does, is an error of writing like any other; it must not kill a training.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := interruptible()
	defer stop()
	a := &app{in: os.Stdin, out: &stream{w: os.Stdout}, err: &stream{w: os.Stderr}, environ: os.Environ, args: args}
	return a.run(ctx)
}

// interruptible gives a context that the first Ctrl-C ends; the second one ends the process.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitInterrupted)
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}

func (a *app) run(ctx context.Context) int {
	root := a.root()
	root.SetArgs(longFlags(a.args))
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = a.misused
	}
	if err == nil {
		// Most printing goes on without a look at errors; the first one is told here.
		err = a.out.failed()
	}
	var code exit
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(a.err, "Interrupted.")
		return exitInterrupted
	case errors.Is(err, syscall.EPIPE):
		return exitError // who read this has enough
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
	root := group(&cobra.Command{
		Use:   "ftrun",
		Short: "Plan and carry out training experiments on image classifiers",
		Long: `ftrun reads sweeps over architectures and training modes from HCL files, shows what would be trained, trains it, and compares the results.

  ftrun plan sweep.hcl    what would be trained, and what is there already
  ftrun apply             train it, with a table at the end`,
		SilenceErrors: true,
		SilenceUsage:  true,
	})
	root.PersistentFlags().StringVar(&a.store, "store", defaultStore, "keep runs and plans in `DIR`")
	root.PersistentFlags().BoolVar(&a.noColor, "no-color", false, "plain text, as with NO_COLOR in the environment")
	root.AddCommand(
		a.planCommand(), a.applyCommand(), a.validateCommand(), a.fmtCommand(),
		a.reportCommand(), a.showCommand(), a.explainCommand(), a.graphCommand(),
		a.initCommand(), a.predictCommand(), a.exportCommand(), a.runsCommand(), a.gcCommand(),
		a.devicesCommand(), a.benchCommand(), a.versionCommand(),
	)
	a.addHelp(root)
	return root
}

// longFlags turns the -name of long flags into --name, so that one dash and two mean the same, as with Terraform. Flags
// of one letter stay as they are.
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

// runs opens the store of runs.
func (a *app) runs() (*runlog.Store, error) {
	if a.store == "" {
		return nil, errors.New("-store wants the name of a folder")
	}
	if info, err := os.Stat(a.store); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("the store %s is a file, not a folder: move it away, or name another folder with -store", a.store)
	}
	return runlog.Open(a.store), nil
}

// unwritable explains that the store can't be written.
func (a *app) unwritable(err error) error {
	return fmt.Errorf("%w; mend that, or name another folder with -store", err)
}

// mend says with damage in the store what mends it.
func (a *app) mend(err error) error {
	var damage *runlog.DamageError
	if errors.As(err, &damage) {
		return fmt.Errorf("%w; plan and apply the configuration that has this run, and it is made again", err)
	}
	return err
}

// again is the command line of a command with the same store, to be typed.
func (a *app) again(words ...string) string {
	line := append([]string{"ftrun"}, words...)
	if a.store != defaultStore {
		line = append(line, "-store", a.store)
	}
	return strings.Join(line, " ")
}

func (a *app) env(name string) (value string, set bool) {
	for _, kv := range a.environ() {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			value, set = v, true
		}
	}
	return value, set
}
