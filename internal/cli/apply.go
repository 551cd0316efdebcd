package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"

	"github.com/ftrun/ftrun/executor"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
	"github.com/ftrun/ftrun/spec"
)

// running are the flags of commands that train.
type running struct {
	autoApprove, failFast bool
	parallelism, threads  int
	cacheMiB              int
	device                string
}

func (a *app) applyCommand() *cobra.Command {
	var in inputs
	var ch choices
	var r running
	cmd := &cobra.Command{
		Use:   "apply [PLAN|FILE|DIR]",
		Short: "Train what the plan says, and compare",
		Long: `apply trains the runs of a plan that are not done: the plan that "ftrun plan" saved last, a saved plan by its file, or a
new plan of configuration files. It ends with the comparison table. Ctrl-C finishes the step, saves the runs under way
and says how to go on; the same command resumes. A run that fails is told at once, and the others go on.

Exit codes: 0 fine, 1 error, 3 some runs failed, 130 interrupted.`,
		Example: "  ftrun apply\n  ftrun apply -auto-approve -threads 4 sweep.hcl\n  ftrun apply -json sweep.hcl > events.jsonl",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.planToApply(cmd, args, &in, &ch)
			if err != nil {
				return err
			}
			if !in.json {
				if err := a.showPlan(p); err != nil {
					return err
				}
			}
			if changes(p) && !r.autoApprove && !in.json {
				if ok, err := a.ask(cmd.Context()); err != nil || !ok {
					return err
				}
			}
			return a.apply(cmd.Context(), p, &in, &r)
		},
	}
	in.flags(cmd)
	ch.flags(cmd)
	cmd.Flags().BoolVar(&in.json, "json", false, "one event a line instead of bars and tables")
	cmd.Flags().BoolVar(&r.autoApprove, "auto-approve", false, "do not ask")
	cmd.Flags().BoolVar(&r.failFast, "fail-fast", false, "stop the others when a run fails")
	cmd.Flags().IntVar(&r.parallelism, "parallelism", 1, "runs that go on at once; they divide the threads")
	cmd.Flags().IntVar(&r.threads, "threads", runtime.GOMAXPROCS(0), "threads in all")
	cmd.Flags().IntVar(&r.cacheMiB, "cache-mib", defaultCacheMiB(), "memory for decoded pictures")
	cmd.Flags().StringVar(&r.device, "device", "auto", "what to train on: auto or cpu")
	return cmd
}

// planToApply loads a saved plan that still holds, or makes a new one.
func (a *app) planToApply(cmd *cobra.Command, args []string, in *inputs, ch *choices) (*planner.Plan, error) {
	path := runlog.Open(a.store).PlanPath()
	if len(args) == 1 {
		if !savedPlan(args[0]) {
			p, err := a.plan(cmd.Context(), args[0], in, ch)
			if err != nil {
				return nil, err
			}
			return p, planner.Save(path, p)
		}
		path = args[0]
	} else if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("there is no plan in %s: make one with `ftrun plan FILE`, or name the file to apply", a.store)
	}
	for _, flag := range []string{"var", "var-file", "target", "exclude", "replace"} {
		if cmd.Flags().Changed(flag) {
			return nil, fmt.Errorf("-%s has no effect on a saved plan: give it to `ftrun plan`", flag)
		}
	}
	p, err := planner.Load(path)
	if err != nil {
		return nil, err
	}
	reasons, err := a.stale(cmd.Context(), p)
	if err != nil {
		return nil, err
	}
	if len(reasons) > 0 {
		return nil, fmt.Errorf("the plan is stale: %s; `ftrun plan %s` makes it anew", strings.Join(reasons, "; "), p.Target)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return p, a.refresh(p, info.ModTime())
}

// savedPlan tells a plan file from configuration by its name and content.
func savedPlan(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() || strings.HasSuffix(path, ".hcl") {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	c, err := bufio.NewReader(f).ReadByte()
	return err == nil && c == '{'
}

// ask asks the person at the terminal, where there is one.
func (a *app) ask(ctx context.Context) (bool, error) {
	f, ok := a.in.(*os.File)
	if !ok {
		return true, nil
	}
	if _, person := a.terminal(f); !person {
		return true, nil
	}
	fmt.Fprint(a.out, "\nTrain them? Only \"yes\" is taken: ")
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.in).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return false, exit(exitInterrupted)
	case s := <-answer:
		if s != "yes" {
			fmt.Fprintln(a.out, "Nothing was done.")
			return false, nil
		}
		return true, nil
	}
}

func (a *app) apply(ctx context.Context, p *planner.Plan, in *inputs, r *running) error {
	if r.device != "auto" && r.device != "cpu" {
		return fmt.Errorf("there is no device %q here: `ftrun devices` lists what there is", r.device)
	}
	if r.threads < 1 || r.parallelism < 1 {
		return fmt.Errorf("-threads and -parallelism must be at least 1")
	}
	lock, err := readLock(a.lockPath())
	if err != nil {
		return err
	}
	var sink runlog.Sink
	finish := func() {}
	if in.json {
		sink = runlog.NewJSONLines(a.out)
	} else if width, person := a.terminal(a.out); person {
		b := newBars(a.out, width)
		sink, finish = b, b.wait
	} else {
		sink = newLines(a.out)
	}
	store := runlog.Open(a.store)
	summary, err := executor.Apply(ctx, executor.Options{
		Plan: p, Store: store, Events: sink,
		Device: openDevice, Threads: r.threads, Parallelism: r.parallelism, FailFast: r.failFast,
		Weights: weightsCache(), Pin: lock.pin,
		CacheBytes: int64(r.cacheMiB) << 20, Version: Version(),
	})
	finish()
	if err != nil {
		return err
	}
	if !in.json {
		rows, err := planned(store, p)
		if err != nil {
			return err
		}
		fmt.Fprintln(a.out)
		if err := reports.Write(a.out, "text", rows); err != nil {
			return err
		}
	}
	return a.conclude(summary, p)
}

// conclude says what is left to do and gives the exit code.
func (a *app) conclude(s executor.Summary, p *planner.Plan) error {
	again := "ftrun apply"
	if s.Interrupted {
		fmt.Fprintf(a.err, "Interrupted: what was under way is saved, and `%s` goes on from there.\n", again)
		return exit(exitInterrupted)
	}
	if s.Failed > 0 || s.Skipped > 0 {
		text := ""
		if s.Failed > 0 {
			text = reports.Plural(s.Failed, "run", "runs") + " failed"
		}
		if s.Skipped > 0 {
			if text != "" {
				text += ", "
			}
			text += reports.Plural(s.Skipped, "run was", "runs were") + " skipped"
		}
		fmt.Fprintf(a.err, "%s %s; what finished is kept. When the cause is mended, `%s` trains the rest.\n", a.paint(a.err, red, "Error:"), text, again)
		return exit(exitRunsFailed)
	}
	return nil
}

// defaultCacheMiB is a quarter of the machine's memory, or 1 GiB where it can't be told.
func defaultCacheMiB() int {
	raw, err := os.ReadFile(filepath.FromSlash("/proc/meminfo"))
	if err != nil {
		return 1024
	}
	var kib int
	if _, err := fmt.Sscanf(string(raw), "MemTotal: %d kB", &kib); err != nil {
		return 1024
	}
	return max(kib/4096, 256)
}

// stale lists in what a saved plan no longer agrees with files, variables, data, weights and this program.
func (a *app) stale(ctx context.Context, p *planner.Plan) ([]string, error) {
	var varFiles []string
	for _, s := range p.Sources {
		if !strings.HasSuffix(s.Path, ".hcl") && !strings.HasSuffix(s.Path, ".auto.ftvars") {
			varFiles = append(varFiles, s.Path)
		}
	}
	// What is wrong with a changed file is for the next plan to tell; here it is enough that it has changed.
	s, _ := spec.Load(p.Target, spec.Options{VarFiles: varFiles, Environ: a.environ, Version: Version()})
	given := map[string]cty.Value{}
	for name, v := range s.Inputs {
		if a.env("FTRUN_VAR_"+name) != "" {
			given[name] = v
		}
	}
	return planner.Stale(ctx, p, planner.Inputs{Sources: s.Sources, Variables: given}, a.world())
}

// refresh brings a saved plan's actions up to the store. What the plan is to replace is replaced once: a run that was
// started after the plan was made is the new one.
func (a *app) refresh(p *planner.Plan, made time.Time) error {
	store := runlog.Open(a.store)
	var replace []string
	for _, r := range p.Runs {
		if r.Action != planner.Replace {
			continue
		}
		st, ok, err := store.Run(r.ID).Status()
		if err == nil && ok && st.Started.Before(made) {
			replace = append(replace, r.ID)
		}
	}
	return planner.Refresh(p, a.world().Store, replace)
}
