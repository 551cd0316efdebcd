package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/term"

	"github.com/ftrun/ftrun/executor"
	"github.com/ftrun/ftrun/internal/host"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
	"github.com/ftrun/ftrun/spec"
)

// running are the flags of apply.
type running struct {
	autoApprove, failFast, json bool
	parallelism, threads        int
	cacheMiB, memoryMiB         int
	device                      string
	noShare                     bool
	checkpointEvery             time.Duration
	detach                      bool

	given func(flag string) bool // on the command line
	saved string                 // the file of the plan that is applied; "" for the last plan
}

func (r *running) check() error {
	switch {
	case r.threads < 1:
		return errors.New("-threads must be at least 1")
	case r.parallelism < 0:
		return errors.New("-parallelism must be at least 1; 0 stands for one run, or one on each GPU")
	case r.memoryMiB < 0:
		return errors.New("-memory-mib must not be negative; 0 stands for what the machine has available")
	case max(r.cacheMiB, r.memoryMiB) > mostMiB:
		return fmt.Errorf("-memory-mib and -cache-mib are mebibytes: more than %d, a pebibyte, is more than a machine has", mostMiB)
	}
	return checkSaving(r.checkpointEvery, r.cacheMiB)
}

// checkSaving checks the flags that apply passes on to workers.
func checkSaving(checkpointEvery time.Duration, cacheMiB int) error {
	switch {
	case checkpointEvery < 0:
		return errors.New("-checkpoint-every must not be negative; 0 saves at the ends of epochs only")
	case cacheMiB < 0:
		return errors.New("-cache-mib must not be negative; 0 decodes pictures anew each time")
	}
	return nil
}

// take takes the settings of the plan's launcher where no flag is given, and tells whether the plan's runs are trained
// elsewhere, by Slurm.
func (r *running) take(p *planner.Plan) (elsewhere bool, err error) {
	l, err := p.Launcher()
	if err != nil {
		return false, err
	}
	switch l.Kind {
	case planner.Slurm:
		return true, r.checkForSlurm(l)
	case planner.K8s:
		return false, fmt.Errorf("%s is a cluster's, which apply has no client for: `ftrun plan -format k8s` prints the jobs, and -launcher local trains here", l)
	}
	if r.detach && changes(p) {
		return false, errors.New("-detach has no effect on this machine: it leaves jobs to a launcher \"slurm\", which a sweep or -launcher names")
	}
	given := r.given
	if l.Parallelism > 0 && !given("parallelism") {
		r.parallelism = l.Parallelism
	}
	if l.Threads > 0 && !given("threads") {
		r.threads = l.Threads
	}
	if l.Memory > 0 && !given("memory-mib") {
		r.memoryMiB = int(max(1, l.Memory>>20))
	}
	if l.Cache > 0 && !given("cache-mib") {
		r.cacheMiB = int(l.Cache >> 20)
	}
	if l.Device != "" && !given("device") {
		r.device = l.Device
	}
	if err := errors.Join(r.check(), checkDevices(r.device)); err != nil {
		if l.Name == "" {
			return false, err
		}
		return false, fmt.Errorf("%s: %w", l, err)
	}
	return false, nil
}

// mostMiB bounds what a person may say that there is of memory, so that its bytes can be counted.
const mostMiB = 1 << 30

func (a *app) applyCommand() *cobra.Command {
	var in inputs
	var ch choices
	var r running
	cmd := &cobra.Command{
		Use:   "apply [PLAN|FILE|DIR]",
		Short: "Train what the plan says, and compare",
		Long: `apply trains the runs of a plan that are not done: the plan that "ftrun plan" saved last, a saved plan by its file, or a
new plan of configuration files. On a terminal it asks first. It ends with the comparison table, and with what came of the
gates.

Ctrl-C finishes the step, saves the runs under way and says how to go on; the same command resumes. A second Ctrl-C
stops at once, and so does a crash or a power cut: the same command then goes on from the last checkpoint. A run that
fails is told at once, and the others go on.

Where the sweeps, or -launcher, name a launcher of kind slurm, the runs are submitted to Slurm as job arrays and watched. Ctrl-C then
asks what is to become of the jobs, -detach leaves them at once, and the same command takes up those that are live.

Of runs side by side (-parallelism) what takes longest is started first. What needs more memory or disk than there is, is refused before anything starts.

Exit codes: 0 fine, 1 error, 3 some runs failed, 4 a gate found a regression, 5 a gate that wants a verdict found none, 130
interrupted.`,
		Example: "  ftrun apply\n  ftrun apply -auto-approve -threads 4 sweep.hcl\n  ftrun apply -json sweep.hcl > events.jsonl",
		Args:    arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.check(); err != nil {
				return err
			}
			store, err := a.runs()
			if err != nil {
				return err
			}
			r.given = cmd.Flags().Changed
			p, again, err := a.planToApply(cmd, args, store, &in, &ch, &r)
			if err != nil {
				return err
			}
			elsewhere, err := r.take(p)
			if err != nil {
				return err
			}
			if changes(p) && !r.autoApprove && !r.json {
				if err := a.ask(cmd.Context()); err != nil {
					return err
				}
			}
			if elsewhere {
				return a.applyBySlurm(cmd.Context(), p, store, again, &r)
			}
			return a.apply(cmd.Context(), p, store, again, &r)
		},
	}
	in.flags(cmd)
	in.launcherFlag(cmd)
	ch.flags(cmd)
	cmd.Flags().BoolVar(&r.json, "json", false, "one event a line instead of bars and tables; does not ask")
	cmd.Flags().BoolVar(&r.autoApprove, "auto-approve", false, "do not ask")
	cmd.Flags().BoolVar(&r.failFast, "fail-fast", false, "stop the others when a run fails")
	cmd.Flags().IntVar(&r.parallelism, "parallelism", 0, "runs that go on at once; they divide the threads; 0: one, or one on each GPU")
	cmd.Flags().IntVar(&r.threads, "threads", runtime.GOMAXPROCS(0), "threads in all")
	cmd.Flags().IntVar(&r.memoryMiB, "memory-mib", 0, "memory for all of it, in MiB; 0: what the machine has available")
	cmd.Flags().IntVar(&r.cacheMiB, "cache-mib", defaultCacheMiB(), "memory for decoded pictures, in MiB; less where runs need it")
	cmd.Flags().BoolVar(&r.noShare, "no-share", false, "let each run compute its frozen part itself, in each step")
	cmd.Flags().DurationVar(&r.checkpointEvery, "checkpoint-every", defaultCheckpointEvery, "save runs each `TIME` within an epoch, such as 10m, beside its end")
	cmd.Flags().BoolVar(&r.detach, "detach", false, "submit the jobs of a launcher, and don't watch them")
	cmd.Flags().StringVar(&r.device, "device", autoDevice, devicesFlag)
	return cmd
}

// planToApply makes a new plan, or loads a saved one that still holds, and says what it is about. again is the command
// that goes on with it.
func (a *app) planToApply(cmd *cobra.Command, args []string, store *runlog.Store, in *inputs, ch *choices, r *running) (p *planner.Plan, again string, err error) {
	again = a.again("apply")
	costs := a.costs(cmd.Context(), r.device, min(r.threads, runtime.GOMAXPROCS(0)), int64(r.cacheMiB)<<20, r.given)
	defer costs.close()
	if len(args) == 1 && !savedPlan(args[0]) {
		if p, err = a.plan(cmd.Context(), args[0], in, ch, costs, false); err != nil {
			return nil, "", err
		}
		if err := planner.Save(store.PlanPath(), p); err != nil {
			return nil, "", a.unwritable(err)
		}
		if !r.json {
			if err := a.showMatrix(p); err != nil {
				return nil, "", err
			}
			if !r.noShare {
				if err := a.showSharing(p); err != nil {
					return nil, "", err
				}
			}
			fmt.Fprintln(a.out, a.paint(a.out, bold, summary(p)))
			a.showExpectation(p, costs.threads, !r.noShare)
			if err := a.showLaunch(cmd.Context(), p, !r.noShare); err != nil {
				return nil, "", err
			}
		}
		return p, again, nil
	}
	for _, flag := range []string{"var", "var-file", "target", "exclude", "replace", "max-runs", "launcher"} {
		if cmd.Flags().Changed(flag) {
			return nil, "", fmt.Errorf("-%s has no effect on a saved plan: give it to `ftrun plan`, or name the file to apply", flag)
		}
	}
	path := store.PlanPath()
	if len(args) == 1 {
		path, again, r.saved = args[0], a.again("apply", args[0]), args[0]
	} else if _, err := os.Stat(path); err != nil {
		return nil, "", a.noPlan("name the file to apply")
	}
	if p, err = a.loadPlan(cmd.Context(), path, costs); err != nil {
		return nil, "", err
	}
	if !r.json {
		a.showSweeps(p)
		fmt.Fprintln(a.out, a.paint(a.out, bold, summary(p)))
		a.showExpectation(p, costs.threads, !r.noShare)
		if err := a.showLaunch(cmd.Context(), p, !r.noShare); err != nil {
			return nil, "", err
		}
	}
	return p, again, nil
}

// noPlan is the error of a command that wants the last plan; or is what else it takes.
func (a *app) noPlan(or string) error {
	return fmt.Errorf("there is no plan in %s: make one with `%s`, or %s", a.store, a.again("plan", "FILE"), or)
}

// loadPlan reads a saved plan, makes sure that it still holds, and brings it up to the store.
func (a *app) loadPlan(ctx context.Context, path string, costs planner.Costs) (*planner.Plan, error) {
	p, err := planner.Load(path)
	if err != nil {
		return nil, err
	}
	reasons, err := a.stale(ctx, p)
	if err != nil {
		return nil, err
	}
	if len(reasons) > 0 {
		return nil, fmt.Errorf("the plan is stale: %s; `%s` makes it anew", strings.Join(reasons, "; "), a.again("plan", p.Target))
	}
	return p, a.refresh(p, costs)
}

// savedPlan tells a plan file from configuration by its name and content.
func savedPlan(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || strings.HasSuffix(path, ".hcl") {
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

// ask asks the person at the terminal, where there is one. The error is an exit code where the answer is not yes.
func (a *app) ask(ctx context.Context) error {
	if f, ok := a.in.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return a.prompt(ctx)
}

func (a *app) prompt(ctx context.Context) error {
	fmt.Fprint(a.out, "\nTrain them? Only \"yes\" is taken: ")
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.in).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.out, "\nNothing was done.")
		return exit(exitInterrupted)
	case s := <-answer:
		if s != "yes" {
			fmt.Fprintln(a.out, "Nothing was done.")
			return exit(exitError)
		}
		return nil
	}
}

func (a *app) apply(ctx context.Context, p *planner.Plan, store *runlog.Store, again string, r *running) error {
	lock, err := readLock(lockPath)
	if err != nil {
		return err
	}
	if changes(p) {
		if err := lock.checkDatasets(p.Datasets); err != nil {
			return err
		}
	}
	devices, parallelism := chosen{cpuDevice}, max(r.parallelism, 1)
	if changes(p) {
		if devices, err = a.chooseDevices(r.device); err != nil {
			return err
		}
	}
	if devices.onGPU() {
		if r.parallelism == 0 {
			parallelism = len(devices)
		}
		if !r.json {
			fmt.Fprintf(a.out, "Training on %s.\n", strings.Join(devices, ", "))
		}
	}
	sink, interrupted, finish := a.progress(p, r.json)
	if parallelism <= len(devices) { // else runs slow each other down
		watch := newStopwatch(sink, p, !r.noShare, int64(r.cacheMiB)<<20)
		defer watch.keep(speedsPath())
		sink = watch
	}
	heard := context.AfterFunc(ctx, interrupted)
	a.saves.Store(true)
	summary, err := executor.Apply(ctx, executor.Options{
		Plan: p, Store: store, Events: sink,
		Places: devices.places(), Threads: a.processors(r.threads), Parallelism: parallelism, FailFast: r.failFast,
		Timings: newTimings(timingsPath()),
		Weights: weightsCache(),
		Pin:     func(file, sha256 string) error { return lock.pin(file, sha256, false) },
		NoShare: r.noShare, FeatureMemory: featureMemory,
		Memory: int64(r.memoryMiB) << 20, CacheBytes: int64(r.cacheMiB) << 20, CheckpointEvery: r.checkpointEvery, SaveAfter: saveAfter, Version: Version(),
	})
	heard()
	finish()
	if err != nil {
		return err
	}
	// Only now is it known that every picture can be read.
	if changes(p) {
		if err := lock.pinDatasets(p.Datasets, false); err != nil {
			return err
		}
	}
	return a.tell(p, store, summary, sink, again, r)
}

// progress is what shows an apply while it goes on: events as JSON, bars, or lines. interrupted says that Ctrl-C was heard;
// finish leaves the terminal clean.
func (a *app) progress(p *planner.Plan, json bool) (sink runlog.Sink, interrupted, finish func()) {
	if json {
		return runlog.NewJSONLines(a.out), func() {}, func() {}
	}
	if f, person := a.out.terminal(); person {
		b := newBars(f, a.out.width(), shortNames(p))
		return b, b.interrupted, b.wait
	}
	l := newLines(a.out)
	return l, l.interrupted, func() {}
}

// tell ends an apply: with the table, with what came of the gates, and with what is left to do.
func (a *app) tell(p *planner.Plan, store *runlog.Store, summary executor.Summary, sink runlog.Sink, again string, r *running) error {
	if !r.json {
		rows, err := planned(store, p)
		if err != nil {
			return err
		}
		fmt.Fprintln(a.out)
		if err := reports.Write(a.out, "text", &reports.Report{Runs: rows}); err != nil {
			return err
		}
	}
	judged := exit(exitOK)
	if !summary.Interrupted {
		var events runlog.Sink
		if r.json {
			events = sink
		}
		judged = a.judge(store, p, r.saved, events)
	}
	return a.conclude(summary, again, r.failFast, judged)
}

// conclude says what is left to do and gives the exit code; judged is that of the gates.
func (a *app) conclude(s executor.Summary, again string, failFast bool, judged exit) error {
	if s.Interrupted {
		fmt.Fprintf(a.err, "Interrupted: what was under way is saved, and `%s` goes on from there.\n", again)
		return exit(exitInterrupted)
	}
	if s.Failed == 0 && s.Skipped == 0 {
		if judged == exitOK {
			return nil
		}
		return judged
	}
	var parts []string
	if s.Failed > 0 {
		parts = append(parts, reports.Plural(s.Failed, "run", "runs")+" failed")
	}
	switch {
	case s.Skipped > 0 && failFast:
		parts = append(parts, "-fail-fast stopped the others")
	case s.Skipped > 0:
		parts = append(parts, reports.Plural(s.Skipped, "run was", "runs were")+" skipped")
	}
	fmt.Fprintf(a.err, "%s %s; what finished is kept. When the cause is mended, `%s` trains the rest.\n", a.paint(a.err, red, "Error:"), strings.Join(parts, ", "), again)
	if judged == exitError {
		return judged
	}
	return exit(exitRunsFailed)
}

// saveAfter is how much training a crash may cost beside the epoch under way. A run that is saved after each of its short
// epochs would spend most of its time on that.
const saveAfter = 2 * time.Second

// defaultCheckpointEvery is how much of a long epoch a crash may cost.
const defaultCheckpointEvery = 10 * time.Minute

// featureMemory is what the computation of features may take beside the runs: 32 pictures of 224 pixels in all networks
// but the deeper vggs.
const featureMemory = 512 << 20

// defaultCacheMiB is a quarter of the memory that is available, or 1 GiB where it can't be told.
func defaultCacheMiB() int {
	m, known := host.OwnMemory()
	if !known {
		return 1024
	}
	return int(m.Available >> 22)
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
		if _, set := a.env("FTRUN_VAR_" + name); set {
			given[name] = v
		}
	}
	world, err := a.world()
	if err != nil {
		return nil, err
	}
	return planner.Stale(ctx, p, planner.Inputs{Sources: s.Sources, Variables: given}, world)
}

// refresh brings the actions of a plan up to the store, and its estimates where costs are given.
func (a *app) refresh(p *planner.Plan, costs planner.Costs) error {
	world, err := a.world()
	if err != nil {
		return err
	}
	return planner.Refresh(p, world.Store, costs)
}
