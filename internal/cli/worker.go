package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/executor"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/slurm"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

// working are the flags of worker.
type working struct {
	index, cacheMiB   int
	features, noShare bool
	device            string
	checkpointEvery   time.Duration
}

func (a *app) workerCommand() *cobra.Command {
	w := working{}
	cmd := &cobra.Command{
		Use:    "worker PLAN",
		Short:  "Train one run of a plan, as a task of a scheduler",
		Hidden: true,
		Long: `worker is what the tasks of Slurm and Kubernetes call: it trains one run of the plan that apply left in the store for it, and
no other. Which one says -index, else SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX in the environment. It reads no
configuration and writes no lock file. It uses the processors and the memory that the task was given.

SIGUSR1, which Slurm sends before the time limit, saves the run and puts the task back into the queue; where nothing was
trained since it started, the limit is too short, and it fails. SIGTERM saves the run.

Exit codes: 0 the run finished, or had finished; 1 error, or SIGTERM came before anything was trained; 3 the run failed, 143 saved
after SIGTERM.`,
		Example: "  ftrun worker -index 0 run.plan",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("index") {
				var err error
				if w.index, err = a.taskIndex(); err != nil {
					return err
				}
			}
			if w.index < 0 {
				return fmt.Errorf("-index counts from 0 on, and this is %d", w.index)
			}
			if err := checkSaving(w.checkpointEvery, w.cacheMiB); err != nil {
				return err
			}
			if own := a.taskMemory(); own > 0 && !cmd.Flags().Changed("cache-mib") {
				w.cacheMiB = int(own >> 22)
			}
			return a.work(cmd.Context(), args[0], &w)
		},
	}
	cmd.Flags().IntVar(&w.index, "index", -1, "the run, or the features, by its place among those of the plan, from 0 on")
	cmd.Flags().BoolVar(&w.features, "features", false, "compute features that runs share, and train nothing")
	cmd.Flags().BoolVar(&w.noShare, "no-share", false, "let the run compute its frozen part itself, in each step")
	cmd.Flags().IntVar(&w.cacheMiB, "cache-mib", defaultCacheMiB(), "memory for decoded pictures, in MiB; less where the run needs it")
	cmd.Flags().DurationVar(&w.checkpointEvery, "checkpoint-every", defaultCheckpointEvery, "save the run each `TIME` within an epoch, such as 10m, beside its end")
	cmd.Flags().StringVar(&w.device, "device", autoDevice, deviceFlag)
	return cmd
}

// taskIndex is what the scheduler says that this task is.
func (a *app) taskIndex() (int, error) {
	for _, name := range []string{"SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"} {
		text, _ := a.env(name)
		if text == "" {
			continue
		}
		index, err := strconv.Atoi(text)
		if err != nil || index < 0 {
			return 0, fmt.Errorf("%s is %q in the environment, which is no index of a task", name, text)
		}
		return index, nil
	}
	return 0, errors.New("nothing says which run of the plan to train: give -index, where no scheduler has set SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX")
}

// work carries out one task.
func (a *app) work(ctx context.Context, path string, w *working) error {
	if w.index < 0 {
		return fmt.Errorf("-index %d: the first has the index 0", w.index)
	}
	p, err := planner.Load(path)
	if err != nil {
		return err
	}
	if p.Numerics != numericsVersion {
		return fmt.Errorf("%s was made with version %d of the arithmetic, and this ftrun has %d: plan and apply again", path, p.Numerics, numericsVersion)
	}
	store, err := a.runs()
	if err != nil {
		return err
	}
	lock, err := readLock(lockPath)
	if err != nil {
		return err
	}
	devices, err := a.chooseDevices(w.device)
	if err != nil {
		return err
	}
	task := &workTask{Sink: newLines(a.out)}
	o := executor.Options{
		Store: store, Events: task,
		Places: devices[:1].places(), Threads: a.taskThreads(), Parallelism: 1,
		Timings: newTimings(timingsPath()),
		Weights: weightsCache(),
		Pin:     lock.checkWeights, // a hundred tasks at once don't write it
		NoShare: w.noShare, FeatureMemory: featureMemory,
		Memory: a.taskMemory(), CacheBytes: int64(w.cacheMiB) << 20, CheckpointEvery: w.checkpointEvery, SaveAfter: saveAfter, Version: Version(),
	}

	a.saves.Store(true)
	a.listenElsewhere() // a second SIGTERM, which schedulers send, must not cut the saving short
	ctx, asked := stoppedBySignals(ctx)
	if w.features {
		if w.index >= len(p.Sharing) {
			return fmt.Errorf("%s has %s, and none with index %d", path, reports.Plural(len(p.Sharing), "frozen part", "frozen parts"), w.index)
		}
		o.Plan = p
		err := executor.ComputeFeatures(ctx, o, w.index)
		if ctx.Err() == nil || err == nil {
			return err
		}
		return a.stopped(task, asked)
	}
	if o.Plan = nthRun(p, w.index); len(o.Plan.Runs) == 0 {
		return fmt.Errorf("%s has no run with index %d", path, w.index)
	}
	if err := a.refresh(o.Plan, nil); err != nil {
		return err
	}
	summary, err := executor.Apply(ctx, o)
	switch {
	case err != nil:
		return err
	case summary.Interrupted:
		return a.stopped(task, asked)
	case summary.Failed+summary.Skipped > 0:
		return exit(exitRunsFailed)
	}
	return nil
}

// nthRun is the plan of one run alone, by its place among the distinct ones.
func nthRun(p *planner.Plan, index int) *planner.Plan {
	seen := map[string]bool{}
	return p.Only(func(r *planner.Run) bool {
		if seen[r.ID] {
			return false
		}
		seen[r.ID] = true
		return len(seen) == index+1
	})
}

// workTask passes a run's events on, and notes whether it gets anywhere.
type workTask struct {
	runlog.Sink
	got atomic.Bool
}

func (t *workTask) Emit(e runlog.Event) {
	switch e := e.(type) {
	case runlog.Step, runlog.EpochDone:
		t.got.Store(true)
	case runlog.ComputingFeatures:
		if e.Done > 0 {
			t.got.Store(true)
		}
	}
	t.Sink.Emit(e)
}

// stoppedBySignals gives a context that SIGUSR1 and SIGTERM end, and how to learn which of them was first.
func stoppedBySignals(ctx context.Context) (context.Context, func() os.Signal) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, timeLimitSignal)
	var first atomic.Value
	go func() {
		for s := range signals {
			first.CompareAndSwap(nil, s)
			cancel()
		}
	}()
	return ctx, func() os.Signal {
		s, _ := first.Load().(os.Signal)
		return s
	}
}

// exitTerminated is the exit code of a task that has trained and was saved after SIGTERM: what a shell gives a command that SIGTERM
// ends. Jobs of Kubernetes know by it that it is no failure.
const exitTerminated = 128 + int(syscall.SIGTERM)

// stopped ends a task that was interrupted and saved. At its time limit it goes back into the queue.
func (a *app) stopped(task *workTask, asked func() os.Signal) error {
	switch {
	case asked() == timeLimitSignal:
	case task.got.Load():
		return exit(exitTerminated)
	default: // what counts failures is to count this one: it would go on so for ever where a pod's time is too short
		return errors.New("stopped before anything was trained")
	}
	if !task.got.Load() {
		fmt.Fprintln(a.err, "The time limit left no time to train a single step: give more time in the launcher block.")
		return exit(exitRunsFailed)
	}
	job, index, err := a.slurmTask()
	if err != nil {
		return err
	}
	client, err := slurm.Find()
	if err == nil {
		err = client.Requeue(context.Background(), job, index)
	}
	if err != nil {
		fmt.Fprintf(a.err, "The time limit was reached. What was trained is saved, and the task can't be put back into the queue: %v\n", err)
		return exit(exitRunsFailed)
	}
	fmt.Fprintln(a.out, "The time limit was reached: saved, and back in the queue.")
	return exit(exitTerminated)
}

// slurmTask is the job and the task in its array, -1 for none, that Slurm started this process as.
func (a *app) slurmTask() (job string, index int, err error) {
	if job, set := a.env("SLURM_ARRAY_JOB_ID"); set {
		index, err := a.taskIndex()
		return job, index, err
	}
	if job, set := a.env("SLURM_JOB_ID"); set {
		return job, -1, nil
	}
	return "", 0, errors.New("this is no task of Slurm (there is no SLURM_JOB_ID in the environment), so it can't be put back into a queue; what was trained is saved")
}

// taskThreads is how many processors the task has.
func (a *app) taskThreads() int {
	text, _ := a.env("SLURM_CPUS_PER_TASK")
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return min(n, runtime.GOMAXPROCS(0))
	}
	return runtime.GOMAXPROCS(0)
}

// taskMemory is the memory in bytes that Slurm gave the task, 0 where it does not say: what the machine, or a control
// group, has available.
func (a *app) taskMemory() int64 {
	mib := func(name string) int64 {
		text, _ := a.env(name) // sbatch(1): in megabytes
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || n > mostMiB {
			return 0
		}
		return n << 20
	}
	if n := mib("SLURM_MEM_PER_NODE"); n > 0 {
		return n
	}
	return mib("SLURM_MEM_PER_CPU") * int64(a.taskThreads())
}
