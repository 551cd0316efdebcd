package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/internal/nn/optim"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/models"
	"github.com/ftrun/ftrun/planner"
)

var (
	// errInterrupted ends a training that was asked to stop.
	errInterrupted = errors.New("interrupted")
	// errLost ends a training that must not write any more.
	errLost = fmt.Errorf("this process stalled for over %v, and another one took the run over", runlog.LeaseTimeout)
)

// training is one run under way.
type training struct {
	*execution
	run    *planner.Run
	set    *planner.Settings
	dir    *runlog.Run
	lease  *runlog.Lease
	status *runlog.Status // as it is in dir
	place  *place
	device kernels.Device

	net        *nn.Net
	params     *nn.ParamStore
	trainable  []bool // by index in net.Params
	batchStats []bool // by index in net.Layers
	changes    []bool // by index in net.Params: trained, or moved by batch norm
	optimizer  *optim.Optimizer
	schedule   optim.Schedule
	programs   *programs

	data        *data.Dataset
	loaders     map[string]*data.Loader // of pictures, by split
	sources     map[string]source       // of the batches that the programs take, by split
	startedFrom string                  // SHA-256 of the file of weights; "" where there is none
	steps       int                     // of an epoch
	threads     int

	progress *progress
	best     *snapshot // nil: the best epoch so far has been written
	begun    time.Time // of this attempt
	spent    float64   // seconds of the attempts before
	saved    time.Time // the last checkpoint of this attempt, or its begin

	underWay   *stepUnderWay // nil: none
	uncaptured bool          // see tellUncaptured
}

// train carries one run out, from its start or its last checkpoint, and leaves the best weights, the predictions and the
// course in dir. status follows the checkpoints, and at where it stands, from the first step on.
func (e *execution) train(ctx context.Context, run *planner.Run, dir *runlog.Run, lease *runlog.Lease, where *place, threads int, status *runlog.Status, at *progress) (_ *runlog.Result, err error) {
	device, err := where.Open(threads)
	if err != nil {
		return nil, &unopenedError{err}
	}
	t := &training{execution: e, run: run, set: &e.Plan.Settings[run.Settings], dir: dir, lease: lease, status: status, place: where, device: device, threads: threads, progress: at, begun: time.Now()}
	defer func() { err = errors.Join(err, t.close()) }()
	told, err := t.prepare(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, errInterrupted
	}
	if err != nil {
		return nil, err
	}
	t.releaseWeights()
	dropped(t.params.Memory())
	t.emit(runlog.RunStarted{Head: t.head(), Name: t.Plan.Name(run), Seed: run.Seed, Epochs: t.set.Epochs, Steps: t.steps,
		Epoch: t.progress.Epoch, Step: t.progress.Step, Params: runlog.Params{Total: run.Params.Total, Trainable: run.Params.Trainable}})
	for _, text := range told {
		t.warn("%s", text)
	}

	t.saved = time.Now()
	for !t.over() {
		err := t.epoch(ctx)
		if errors.Is(err, errInterrupted) {
			return nil, t.interrupt()
		}
		if err != nil {
			return nil, err
		}
		// Epochs over features may take milliseconds, less than writing what came of them.
		if t.over() || time.Since(t.saved) >= t.SaveAfter {
			err = t.saveCheckpoint()
		} else if t.progress.Epoch == 1 {
			_, err = t.dir.WriteEpochs(t.progress.History) // to be seen
		}
		if err != nil {
			return nil, err
		}
	}
	result, err := t.result(ctx)
	if errors.Is(err, errInterrupted) {
		t.emit(runlog.RunInterrupted{Head: t.head(), Epoch: t.progress.Epoch}) // saved after its last epoch
	}
	return result, err
}

// interrupt saves the run, so that it can go on, and says so.
func (t *training) interrupt() error {
	if err := t.saveCheckpoint(); err != nil {
		return fmt.Errorf("it was interrupted and can't be saved: %w", err)
	}
	t.emit(runlog.RunInterrupted{Head: t.head(), Epoch: t.progress.Epoch, Step: t.progress.Step})
	return errInterrupted
}

// seconds is the wall time of all attempts so far.
func (t *training) seconds() float64 { return t.spent + time.Since(t.begun).Seconds() }

// prepare makes all ready for the next step: the first one, or that after the last checkpoint. told is what is to be said
// of checkpoints that are there and of no use.
func (t *training) prepare(ctx context.Context) (told []string, err error) {
	if err := t.build(ctx); err != nil {
		return nil, err
	}
	if err := t.begin(ctx); err != nil {
		return nil, err
	}
	if err := t.share(ctx); err != nil {
		return nil, err
	}
	t.news <- news{job: t.queue.index[t.run.ID], shared: true}
	return t.goOn(ctx)
}

// build makes everything that the steps need, and checks it. The parameters have no values yet.
func (t *training) build(ctx context.Context) error {
	err := t.tune()
	if err != nil {
		return err
	}
	if t.data, err = t.datasets.open(ctx, t.run.Dataset); err != nil {
		return err
	}
	if err := t.describe(len(t.data.Classes)); err != nil {
		return err
	}
	if err := t.checkBatchNorm(); err != nil {
		return err
	}
	t.loaders, t.sources = map[string]*data.Loader{}, map[string]source{}
	for split := range t.data.Splits {
		if t.loaders[split], err = t.datasets.loader(t.data, t.run, t.set, split, t.threads); err != nil {
			return err
		}
		t.sources[split] = pictureBatches{t.loaders[split]}
	}
	t.steps = t.loaders[data.Train].Batches()
	t.schedule = newSchedule(t.set, t.steps)
	classWeights, err := t.classWeights()
	if err != nil {
		return err
	}
	return t.allocate(classWeights)
}

// describe says, for that many classes, what the network is and what of it training changes.
func (t *training) describe(classes int) (err error) {
	if t.net, err = models.Build(t.set.Arch, classes, t.set.Image.Crop); err != nil {
		return err
	}
	if t.trainable, err = models.Match(t.net, t.set.Trainable); err != nil {
		return err
	}
	t.batchStats = models.BatchStats(t.net, t.trainable, t.set.BatchNorm)
	t.changes = make([]bool, len(t.net.Params))
	for i, p := range t.net.Params {
		t.changes[i] = t.trainable[i] || p.Kind != nn.Weight && t.batchStats[p.Layer]
	}
	return nil
}

// allocate makes room for the parameters on the device, and for the programs.
func (t *training) allocate(classWeights []float32) (err error) {
	if t.params, err = nn.NewParamStore(t.device, t.net); err != nil {
		return err
	}
	numerics, err := kernels.ParseNumerics(t.set.Numerics)
	if err != nil {
		return err
	}
	t.programs = newPrograms(t.net, t.params, nn.Settings{
		Numerics:     numerics,
		Trainable:    t.trainable,
		BatchStats:   t.batchStats,
		DropoutSeed:  uint64(t.run.Seed),
		Smoothing:    float32(t.set.LabelSmoothing),
		ClassWeights: classWeights,
	})
	return nil
}

// begin puts the training where its first step starts.
func (t *training) begin(ctx context.Context) error {
	if err := t.initialise(ctx); err != nil {
		return err
	}
	if err := t.prepareOptimizer(); err != nil {
		return err
	}
	t.adopt(nil)
	*t.progress = progress{Path: t.device.Path()}
	t.progress.Plateau.Higher = runlog.Monitors[t.set.Monitor]
	if t.set.Schedule != nil {
		t.progress.Plateau.Patience = t.set.Schedule.Patience
	}
	return nil
}

// close frees what the training holds on its device.
func (t *training) close() error {
	var errs []error
	if t.programs != nil {
		errs = append(errs, t.programs.close())
	}
	if t.optimizer != nil {
		errs = append(errs, t.optimizer.Close())
	}
	if t.params != nil {
		errs = append(errs, t.params.Close())
	}
	return errors.Join(append(errs, t.device.Close())...)
}

// checkBatchNorm refuses batches that leave a batch norm in training mode one value a channel, of which there is no
// variance: its result would not depend on its input any more.
func (t *training) checkBatchNorm() error {
	n, b := len(t.data.Splits[data.Train].Items), t.set.BatchSize
	last := b
	if n%b != 0 {
		last = n % b
	}
	for i, l := range t.net.Layers {
		if t.batchStats[i] && last*l.Out.H*l.Out.W == 1 {
			return fmt.Errorf("batch norm in training mode gets one value a channel at %s, from a batch of one picture: "+
				"give a batch_size that leaves no last picture alone, larger pictures, or batch_norm = \"frozen\"", l.Name)
		}
	}
	return nil
}

// classWeights are n/(classes·n_c) for "balanced", which leaves the mean weight of a picture at 1; nil otherwise.
func (t *training) classWeights() ([]float32, error) {
	if t.set.ClassWeights != "balanced" {
		return nil, nil
	}
	items := t.data.Splits[data.Train].Items
	counts := make([]int, len(t.data.Classes))
	for _, it := range items {
		counts[it.Class]++
	}
	w := make([]float32, len(counts))
	for i, n := range counts {
		if n == 0 {
			return nil, fmt.Errorf("class_weights = \"balanced\" needs pictures of every class to train on; %q has none", t.data.Classes[i])
		}
		w[i] = float32(float64(len(items)) / float64(len(counts)*n))
	}
	return w, nil
}

// epoch goes on with the epoch under way, or starts the next, and validates at its end.
func (t *training) epoch(ctx context.Context) error {
	p := t.progress
	number := p.Epoch + 1
	start := time.Now()
	before := p.Sum.Seconds
	// finish waits for the step under way and takes its result into account.
	finish := func() error {
		step := t.underWay
		if step == nil {
			return nil
		}
		t.underWay = nil
		out, err := step.finish()
		if err != nil {
			return err
		}
		if err := t.check("", out.Loss, number, p.Step+1); err != nil {
			return err
		}
		p.Sum.Correct += out.Right
		p.Sum.Seen += step.pictures
		p.Sum.Loss += out.Loss * float64(step.pictures)
		p.Step++
		p.Total++
		p.Sum.Seconds = before + time.Since(start).Seconds()
		t.emit(runlog.Step{Head: t.head(), Epoch: number, Step: p.Step, Of: t.steps,
			Loss: p.Sum.Loss / float64(p.Sum.Seen), Acc: float64(p.Sum.Correct) / float64(p.Sum.Seen)})
		return nil
	}
	_, ahead := t.device.(kernels.Fetcher) // the next step begins while the device computes one
	for batch, err := range t.sources[data.Train].Epoch(ctx, number, p.Step) {
		if err != nil {
			if ctx.Err() == nil {
				return err
			}
			if err := finish(); err != nil {
				return err
			}
			return errInterrupted
		}
		program, err := t.programs.training(batch.N)
		if err != nil {
			return err
		}
		next, err := batch.begin(program, uint64(t.next()), t.optimizer.Update(program, t.lr))
		if err != nil {
			return err
		}
		t.tellUncaptured(program)
		if err := finish(); err != nil {
			return err
		}
		t.underWay = &stepUnderWay{batch.N, next}
		due := t.CheckpointEvery > 0 && time.Since(t.saved) >= t.CheckpointEvery
		interrupted := ctx.Err() != nil
		if !ahead || due || interrupted {
			if err := finish(); err != nil {
				return err
			}
		}
		if interrupted {
			return errInterrupted
		}
		if due && p.Step < t.steps {
			if err := t.saveCheckpoint(); err != nil {
				return err
			}
		}
	}
	if err := finish(); err != nil {
		return err
	}
	if p.Step < t.steps {
		return errInterrupted // the loader stopped early because ctx is done
	}
	return t.finishEpoch(ctx, number)
}

// stepUnderWay is a step that the device was asked for, with a batch of so many pictures.
type stepUnderWay struct {
	pictures int
	finish   func() (nn.Result, error)
}

// next is the number of the step that begins next, in the whole run, from 0.
func (t *training) next() int {
	if t.underWay != nil {
		return t.progress.Total + 1
	}
	return t.progress.Total
}

// tellUncaptured says once why the device does not replay whole steps, as it could.
func (t *training) tellUncaptured(p *nn.Program) {
	if err := p.Uncaptured(); err != nil && !t.uncaptured {
		t.uncaptured = true
		t.warn("steps are asked of %s one operation after the other, which is slower: %v", t.device.Name(), err)
	}
}

// check fails a run whose loss is not a number any more, with the likely cause. which is "", or "validation ".
func (t *training) check(which string, loss float64, epoch, step int) error {
	if !math.IsNaN(loss) && !math.IsInf(loss, 0) {
		return nil
	}
	cause := fmt.Sprintf("the learning rate (%g) is probably too high: try a tenth of it, a warmup or grad_clip", t.set.Optimizer.LR)
	if t.progress.Total == 0 {
		cause = "it was so before anything was learnt: the weights that the run starts from hold no sensible numbers, or not for this architecture and these pictures"
	}
	return fmt.Errorf("the %sloss is %v at epoch %d, step %d; %s", which, loss, epoch, step, cause)
}

// finishEpoch validates, keeps the best and moves the position to the next epoch.
func (t *training) finishEpoch(ctx context.Context, number int) error {
	p := t.progress
	e := runlog.Epoch{
		Epoch:           number,
		LR:              t.schedule.LR(t.set.Optimizer.LR, p.Total-1, p.Plateau.Reductions),
		TrainLoss:       p.Sum.Loss / float64(p.Sum.Seen),
		TrainAcc:        float64(p.Sum.Correct) / float64(p.Sum.Seen),
		TrainSeconds:    p.Sum.Seconds,
		ImagesPerSecond: rate(p.Sum.Seen, p.Sum.Seconds),
	}
	start := time.Now()
	count, predictions, err := t.evaluate(ctx, data.Val)
	if err != nil {
		return err
	}
	count.into(&e)
	e.ValSeconds = time.Since(start).Seconds()
	if err := t.check("validation ", e.ValLoss, number, t.steps); err != nil {
		return err
	}
	p.History = append(p.History, e)
	value := e.Value(t.set.Monitor)
	best := p.Best == 0 || better(t.set.Monitor, value, p.Value)
	if best {
		p.Best, p.Value = number, value
		if t.best, err = t.snapshot(predictions); err != nil {
			return err
		}
	}
	p.Epoch, p.Step, p.Sum = number, 0, sums{}
	t.observe(e)
	t.emit(runlog.EpochDone{Head: t.head(), Metrics: e, Best: best})
	return nil
}

// better tells whether a beats b strictly: the earliest of equals stays the best.
func better(metric string, a, b float64) bool {
	if runlog.Monitors[metric] {
		return a > b
	}
	return a < b
}

// rate is pictures a second, 0 where the clock has not moved.
func rate(pictures int, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(pictures) / seconds
}

// over tells whether the last epoch is done.
func (t *training) over() bool {
	return t.progress.Epoch >= t.set.Epochs || stalled(t.set.EarlyStop, t.progress.History)
}

// stalled tells whether early stopping, which may be nil, ends a run after these epochs: for patience of them the
// monitored metric has not improved on its best by more than min_delta.
func stalled(stop *planner.EarlyStop, history []runlog.Epoch) bool {
	if stop == nil || len(history) == 0 {
		return false
	}
	best, since := math.NaN(), 0
	for _, e := range history {
		v := e.Value(stop.Monitor)
		gain := v - best
		if !runlog.Monitors[stop.Monitor] {
			gain = best - v
		}
		if math.IsNaN(best) || gain > stop.MinDelta {
			best, since = v, 0
		} else {
			since++
		}
	}
	return since >= stop.Patience
}

// evaluate runs a split in evaluation mode, in its own order.
func (t *training) evaluate(ctx context.Context, split string) (*tally, []runlog.Prediction, error) {
	classes := len(t.data.Classes)
	items := t.data.Splits[split].Items
	count := newTally(classes)
	predictions := make([]runlog.Prediction, 0, len(items))
	for batch, err := range t.sources[split].Epoch(ctx, 1, 0) {
		if err != nil {
			if ctx.Err() != nil {
				return nil, nil, errInterrupted
			}
			return nil, nil, err
		}
		program, err := t.programs.evaluation(batch.N)
		if err != nil {
			return nil, nil, err
		}
		out, err := batch.evaluate(program)
		if err != nil {
			return nil, nil, err
		}
		for i, at := range batch.Index {
			probs := count.add(out.Logits[i*classes:(i+1)*classes], items[at].Class)
			predictions = append(predictions, runlog.Prediction{Path: items[at].Path, SHA256: items[at].SHA256, Class: items[at].Class, Probs: probs})
		}
	}
	if count.seen < len(items) {
		return nil, nil, errInterrupted
	}
	return count, predictions, nil
}

// snapshot is an epoch that is the best so far and not yet written: what training has changed, by index in net.Params, and
// what the network says of each validation picture.
type snapshot struct {
	changed     map[int]weights.Tensor
	predictions []runlog.Prediction
}

func (t *training) snapshot(predictions []runlog.Prediction) (*snapshot, error) {
	s := &snapshot{map[int]weights.Tensor{}, predictions}
	for i, yes := range t.changes {
		if !yes {
			continue
		}
		var err error
		if s.changed[i], err = t.tensor(i); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// keepBest writes the network of a snapshot, which is that of epoch p.Best, and what it says of each validation picture.
func (t *training) keepBest(s *snapshot, p *progress) error {
	tensors := make([]weights.Tensor, len(t.net.Params))
	for i := range tensors {
		var err error
		if changed, ok := s.changed[i]; ok {
			tensors[i] = changed
		} else if tensors[i], err = t.tensor(i); err != nil {
			return err
		}
	}
	var err error
	if p.Files.Best, err = t.writeBest(tensors, p.Best); err != nil {
		return err
	}
	p.Files.Predictions, err = t.dir.WritePredictions(s.predictions)
	return err
}

func (t *training) writeBest(tensors []weights.Tensor, epoch int) (runlog.File, error) {
	note := map[string]string{archKey: t.set.Arch, runKey: t.run.ID, epochKey: strconv.Itoa(epoch)}
	return t.dir.WriteBest(func(w io.Writer) error { return weights.WriteSealed(w, tensors, note) })
}

// result sums the run up; with a test split it evaluates the best epoch's weights on it, once.
func (t *training) result(ctx context.Context) (*runlog.Result, error) {
	p := t.progress
	best, last := p.History[p.Best-1], p.History[len(p.History)-1]
	r := &runlog.Result{
		Params: runlog.Params{Total: t.run.Params.Total, Trainable: t.run.Params.Trainable},
		Metrics: runlog.Metrics{
			ValAcc: best.ValAcc, ValLoss: best.ValLoss, ValTop5: best.ValTop5, TrainAcc: best.TrainAcc, TrainLoss: best.TrainLoss,
			BestEpoch: best.Epoch, Epochs: last.Epoch, LastValAcc: last.ValAcc, LastValLoss: last.ValLoss,
		},
		Device: t.device.Name(), Path: t.device.Path(), Threads: t.threads, Version: t.Version,
	}
	r.Timing.Seconds = t.seconds()
	for _, e := range p.History {
		r.Timing.TrainSeconds += e.TrainSeconds
		r.Timing.ValSeconds += e.ValSeconds
	}
	r.Timing.ImagesPerSecond = rate(len(t.data.Splits[data.Train].Items)*len(p.History), r.Timing.TrainSeconds)
	r.Timing.PeakMemory = t.params.Memory() + t.programs.memory() + t.optimizer.Memory()

	if t.loaders[data.Test] != nil {
		file, err := OpenWeights(t.dir.BestPath(), func(sha256 string) error {
			return t.dir.CheckBest(runlog.Status{Files: &p.Files}, sha256)
		})
		if err != nil {
			return nil, err
		}
		if err := t.setAll(file); err != nil {
			return nil, err
		}
		count, _, err := t.evaluate(ctx, data.Test)
		if err != nil {
			return nil, err
		}
		var e runlog.Epoch
		count.into(&e)
		r.Metrics.TestAcc, r.Metrics.TestLoss = &e.ValAcc, &e.ValLoss
	}
	return r, nil
}

func (t *training) head() runlog.Head { return runlog.Head{Run: t.run.ID} }

func (t *training) warn(format string, args ...any) {
	t.emit(runlog.Warning{Head: t.head(), Text: fmt.Sprintf(format, args...)})
}
