// Package cli is the command line: one file a command, with the wiring of everything else.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/reports"
)

// Exit codes. Where several apply the first in this order wins: interrupted, error, runs failed, regression, inconclusive.
const (
	exitOK           = 0
	exitError        = 1
	exitChanges      = 2 // with -detailed-exitcode
	exitRunsFailed   = 3
	exitRegression   = 4
	exitInconclusive = 5 // where that is asked for
	exitInterrupted  = 130
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
	misused  error       // what help was asked for that there is none of
	saves    atomic.Bool // runs are under way that an interruption must not lose
	found    chosen      // what -device auto, or cuda, stands for; nil: not asked yet
	unlisten func()      // nil in tests; see listenElsewhere
}

const defaultStore = ".ftrun"

// Main runs a command line and returns its exit code.
func Main(args []string) int {
	// A reader that goes away, as head does, is an error of writing like any other; it must not kill a training.
	signal.Ignore(syscall.SIGPIPE)
	a := &app{in: os.Stdin, out: &stream{w: os.Stdout}, err: &stream{w: os.Stderr}, environ: os.Environ, args: args}
	ctx, stop := a.interruptible()
	defer stop()
	return a.run(ctx)
}

// patience is how long an interrupted command that has nothing to save may take to end.
const patience = time.Second

// interruptible gives a context that the first Ctrl-C ends. The second one ends the process, and so does patience where
// there is nothing to save.
func (a *app) interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		var late <-chan time.Time
		if !a.saves.Load() {
			late = time.After(patience)
		}
		select {
		case <-signals:
		case <-late:
			fmt.Fprintln(a.err, "Interrupted.")
		}
		os.Exit(exitInterrupted)
	}()
	a.unlisten = func() { signal.Stop(signals) }
	return ctx, func() { signal.Stop(signals); cancel() }
}

// listenElsewhere leaves Ctrl-C and SIGTERM to who listens to signals himself: they end neither the context nor the process.
func (a *app) listenElsewhere() {
	if a.unlisten != nil {
		a.unlisten()
	}
}

func (a *app) run(ctx context.Context) int {
	root := a.root()
	root.SetArgs(longFlags(root, a.args))
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
	fmt.Fprintf(a.err, "%s %s\n", a.paint(a.err, red, "Error:"), reports.PrintableLines(err.Error()))
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
		a.reportCommand(), a.compareCommand(), a.baselineCommand(), a.showCommand(), a.explainCommand(), a.graphCommand(),
		a.diffCommand(), a.initCommand(), a.predictCommand(), a.exportCommand(), a.runsCommand(), a.gcCommand(),
		a.devicesCommand(), a.benchCommand(), a.versionCommand(), a.workerCommand(),
	)
	a.addHelp(root)
	return root
}

// longFlags turns the -name of long flags into --name, so that one dash and two mean the same, as with Terraform. Flags
// of one letter stay as they are, and so does the value that follows a flag.
func longFlags(root *cobra.Command, args []string) []string {
	valued := map[string]bool{}
	collectValued(root, valued)
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(out, args[i:]...)
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			out = append(out, arg)
			continue
		}
		bare := strings.TrimLeft(arg, "-")
		name, _, joined := strings.Cut(bare, "=")
		if !strings.HasPrefix(arg, "--") && len(name) > 1 {
			arg = "-" + arg
		}
		out = append(out, arg)
		if valued[name] && !joined && i+1 < len(args) {
			i++
			out = append(out, args[i])
		}
	}
	return out
}

// collectValued notes the names of all flags that take a value, of a command and those under it. A name means the same
// kind of flag everywhere.
func collectValued(cmd *cobra.Command, valued map[string]bool) {
	for _, set := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if f.NoOptDefVal == "" {
				valued[f.Name] = true
				valued[f.Shorthand] = f.Shorthand != ""
			}
		})
	}
	for _, c := range cmd.Commands() {
		collectValued(c, valued)
	}
}

// runs opens the store of runs.
func (a *app) runs() (*runlog.Store, error) {
	if a.store == "" {
		return nil, errors.New("-store wants the name of a folder")
	}
	for _, dir := range []string{a.store, filepath.Join(a.store, "runs")} {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return nil, fmt.Errorf("the store wants a folder at %s, and something else is there: move it away, or name another folder with -store", dir)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the store can't be read: %w; mend that, or name another folder with -store", err)
		}
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
	return commandLine(line...)
}

// commandLine joins words as a POSIX shell takes them apart again.
func commandLine(words ...string) string {
	line := make([]string, len(words))
	for i, word := range words {
		special := func(r rune) bool {
			return r < 0x80 && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_./,:=+@%", r) || unicode.IsSpace(r)
		}
		if line[i] = word; word == "" || strings.ContainsFunc(word, special) {
			line[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
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
