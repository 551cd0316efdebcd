package cli

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/ftrun/ftrun/executor"
	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/speed"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

// costs answers from the executor, with the speeds of this machine, which are measured where nothing is known of them: not
// before the first question, so that nobody waits for that who trains nothing.
type costs struct {
	app     *app
	ctx     context.Context
	flag    string // -device
	threads int    // in all
	cache   int64  // bytes for decoded pictures
	given   func(flag string) bool

	device kernels.Device
	of     *executor.Costs // nil: not asked yet, or there are none
	at     bool            // it was asked
	each   int             // threads of each run
}

// costs are those of trainings on the devices that a -device stands for, with so many threads in all. given tells whether a flag
// was given: a launcher's settings hold for the others.
func (a *app) costs(ctx context.Context, flag string, threads int, cache int64, given func(flag string) bool) *costs {
	return &costs{app: a, ctx: ctx, flag: flag, threads: threads, cache: cache, given: given}
}

// StartedBy takes what apply takes of a launcher for this machine, as far as estimates depend on it.
func (c *costs) StartedBy(l *planner.Launch) {
	if l.Kind != planner.Local || c.at {
		return
	}
	if l.Threads > 0 && !c.given("threads") {
		c.threads = min(l.Threads, runtime.GOMAXPROCS(0))
	}
	if l.Cache > 0 && !c.given("cache-mib") {
		c.cache = l.Cache
	}
	if l.Device != "" && !c.given("device") {
		c.flag = l.Device
	}
}

// patienceToMeasure is how long measuring the machine's speed goes on.
const patienceToMeasure = 2500 * time.Millisecond

func (c *costs) open() error {
	devices, err := c.app.chooseDevices(c.flag)
	if err != nil {
		return err
	}
	c.each = devices.threads(c.threads)
	if c.device, err = openNamed(devices[0], c.each); err != nil {
		return err
	}
	c.of = &executor.Costs{
		Device: c.device, Threads: c.each, CacheBytes: c.cache, FeatureMemory: featureMemory, SaveAfter: saveAfter.Seconds(),
	}
	path, name := speedsPath(), machineName(c.device.Name(), c.device.Path(), c.each)
	m := readSpeeds(path).Machines[name]
	if devices.onGPU() { // speeds tell of a processor's operations
		if m != nil {
			c.of.Paces = m.pace
		}
		return nil
	}
	if m.due(time.Now()) {
		if m, err = c.measure(path, name); err != nil {
			return err
		}
	}
	c.of.Speeds, c.of.Paces = &m.Speeds, m.pace
	return nil
}

// measure finds out the machine's speed, and keeps it.
func (c *costs) measure(path, name string) (*machine, error) {
	fmt.Fprintln(c.app.err, "Measuring this machine's speed, once: about 3 s.")
	start, used := time.Now(), processorTime()
	speeds, err := speed.Calibrate(c.ctx, c.device, patienceToMeasure)
	if err != nil {
		return nil, err
	}
	busy := wasBusy(processorTime()-used, time.Since(start), c.each) // before the steps, of which a part has one thread
	if err := executor.CalibrateSteps(c.ctx, c.device, c.each, &speeds); err != nil {
		return nil, err
	}
	if busy {
		fmt.Fprintln(c.app.err, "Other programs kept it busy: estimates are too long, until it is measured again in ten minutes or later.")
	}
	return updateSpeeds(path, name, func(m *machine) { m.Measured, m.Busy, m.Speeds = time.Now().UTC(), busy, speeds }), nil
}

// close gives back what the answers came from.
func (c *costs) close() {
	if c.device != nil {
		_ = c.device.Close() // which holds nothing that could be lost
	}
}

// wasBusy tells from what the process has had of the processors whether others wanted them too. Measuring keeps its threads at
// work for more than nine tenths of the time; beside one busy program for every two processors it gets about six.
func wasBusy(used, wall time.Duration, threads int) bool {
	return used > 0 && used < wall*time.Duration(threads)*8/10
}

// ready makes sure that there is somebody to ask. What can't be answered, be it all or only how long things take, is told once:
// a plan does without.
func (c *costs) ready() bool {
	if !c.at {
		c.at = true
		if err := c.open(); err != nil && c.ctx.Err() == nil {
			what := "what the runs take"
			if c.of != nil {
				what = "how long the runs take"
			}
			fmt.Fprintf(c.app.err, "%s %s can't be estimated: %v\n", c.app.paint(c.app.err, yellow, "Warning:"), what, err)
		}
	}
	return c.of != nil
}

func (c *costs) Training(s *planner.Settings, d *planner.Dataset, sharing *planner.Sharing, done int) planner.Estimate {
	if !c.ready() {
		return planner.Estimate{}
	}
	return c.of.Training(s, d, sharing, done)
}

func (c *costs) Features(s *planner.Settings, d *planner.Dataset, sharing *planner.Sharing) planner.Estimate {
	if !c.ready() {
		return planner.Estimate{}
	}
	return c.of.Features(s, d, sharing)
}

func (c *costs) Process() (threads int, memory int64) { return max(c.each, 1), executor.BaseMemory }

// stopwatch is a sink that keeps, for later estimates, how fast trainings went, and hands all events on.
type stopwatch struct {
	runlog.Sink
	plan  *planner.Plan
	share bool
	cache int64 // bytes for decoded pictures

	mu     sync.Mutex
	runs   map[string]*planner.Run
	epochs map[string][]runlog.Epoch // of the runs under way
	noted  map[string][]pacing       // by the name of the machine
}

// pacing is a pace that is to be kept.
type pacing struct {
	sort executor.Sort
	pace executor.Pace
}

func newStopwatch(to runlog.Sink, p *planner.Plan, share bool, cache int64) *stopwatch {
	return &stopwatch{Sink: to, plan: p, share: share, cache: cache, epochs: map[string][]runlog.Epoch{}, noted: map[string][]pacing{}}
}

// Emit looks at the ends of epochs and runs.
func (w *stopwatch) Emit(e runlog.Event) {
	switch e := e.(type) {
	case runlog.EpochDone:
		w.mu.Lock()
		w.epochs[e.Run] = append(w.epochs[e.Run], e.Metrics)
		w.mu.Unlock()
	case runlog.RunFinished:
		w.mu.Lock()
		w.note(e.Run, &e.Result)
		w.mu.Unlock()
	}
	w.Sink.Emit(e)
}

// note takes the pace of a run that has finished from its epochs but the first, in which pictures are decoded and memory is
// touched.
func (w *stopwatch) note(id string, result *runlog.Result) {
	epochs := w.epochs[id]
	delete(w.epochs, id)
	if len(epochs) < 2 {
		return
	}
	if w.runs == nil {
		w.runs = make(map[string]*planner.Run, len(w.plan.Runs))
		for i := range w.plan.Runs {
			w.runs[w.plan.Runs[i].ID] = &w.plan.Runs[i]
		}
	}
	run := w.runs[id]
	sharing := &planner.Sharing{}
	if w.share {
		sharing = &w.plan.Sharing[run.Sharing]
	}
	pictures := w.plan.Datasets[run.Dataset].Pictures
	middle := func(seconds func(runlog.Epoch) float64) float64 {
		var all []float64
		for _, e := range epochs[1:] {
			all = append(all, seconds(e))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	name := machineName(result.Device, result.Path, result.Threads)
	w.noted[name] = append(w.noted[name], pacing{
		executor.SortOf(&w.plan.Settings[run.Settings], &w.plan.Datasets[run.Dataset], sharing, w.cache),
		executor.Pace{
			Train: middle(func(e runlog.Epoch) float64 { return e.TrainSeconds }) / float64(pictures[data.Train]),
			Val:   middle(func(e runlog.Epoch) float64 { return e.ValSeconds }) / float64(pictures[data.Val]),
		},
	})
}

// keep writes down what was noted.
func (w *stopwatch) keep(path string) {
	for name, noted := range w.noted {
		updateSpeeds(path, name, func(m *machine) {
			for _, n := range noted {
				m.add(n.sort, n.pace, time.Now().UTC())
			}
		})
	}
}
