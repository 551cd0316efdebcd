package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
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

// errInterrupted ends a training that was asked to stop and has saved itself.
var errInterrupted = errors.New("interrupted")

// training is one run under way.
type training struct {
	*execution
	run    *planner.Run
	set    *planner.Settings
	dir    *runlog.Run
	device kernels.Device

	net        *nn.Net
	params     *nn.ParamStore
	trainable  []bool // by index in net.Params
	batchStats []bool // by index in net.Layers
	changes    []bool // by index in net.Params: trained, or moved by batch norm
	optimizer  *optim.Optimizer
	schedule   optim.Schedule
	programs   *programs

	data       *data.Dataset
	train, val *data.Loader
	steps      int // of an epoch

	progress progress
}

// train carries one run out, from its start or its last checkpoint, and leaves the best weights, the predictions and the
// course in dir. It returns where it got to, finished or not.
func (e *execution) train(ctx context.Context, run *planner.Run, dir *runlog.Run, lease *runlog.Lease, threads int) (_ *runlog.Result, at progress, err error) {
	device, err := e.Device(threads)
	if err != nil {
		return nil, progress{}, err
	}
	defer func() { err = errors.Join(err, device.Close()) }()
	t := &training{execution: e, run: run, set: &e.Plan.Settings[run.Settings], dir: dir, device: device}
	if err := t.prepare(ctx, threads); err != nil {
		return nil, progress{}, err
	}
	defer t.params.Close()
	defer t.programs.close()

	start := time.Now()
	if _, err := t.restoreCheckpoint(); err != nil {
		return nil, progress{}, err
	}
	before := t.progress.Seconds
	clock := func() { t.progress.Seconds = before + time.Since(start).Seconds() }
	t.emit(runlog.RunStarted{Head: t.head(), Name: t.Plan.Name(run), Seed: run.Seed, Epochs: t.set.Epochs, Steps: t.steps,
		Epoch: t.progress.Epoch, Step: t.progress.Step, Params: runlog.Params{Total: run.Params.Total, Trainable: run.Params.Trainable}})

	for t.progress.Epoch < t.set.Epochs && !t.stalled() {
		err := t.epoch(ctx)
		clock()
		if errors.Is(err, errInterrupted) {
			return nil, t.progress, errors.Join(err, t.saveCheckpoint())
		}
		if err != nil {
			return nil, t.progress, err
		}
		if !lease.Held() {
			return nil, t.progress, errors.New("this process stalled for over a minute, and another one took the run over")
		}
		if err := t.saveCheckpoint(); err != nil {
			return nil, t.progress, err
		}
	}
	result, err := t.result(ctx)
	return result, t.progress, err
}

// prepare builds everything that the first step needs.
func (t *training) prepare(ctx context.Context, threads int) error {
	var err error
	if t.data, err = t.datasets.open(ctx, t.run.Dataset); err != nil {
		return err
	}
	if t.net, err = models.Build(t.set.Arch, len(t.data.Classes), t.set.Image.Crop); err != nil {
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
	if t.params, err = nn.NewParamStore(t.device, t.net); err != nil {
		return err
	}
	if err := t.initialise(ctx); err != nil {
		return err
	}
	if err := t.prepareOptimizer(); err != nil {
		return err
	}
	classWeights, err := t.classWeights()
	if err != nil {
		return err
	}
	numerics, err := parseNumerics(t.set.Numerics)
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
	if t.train, err = t.datasets.loader(t.data, t.run, t.set, data.Train, threads); err != nil {
		return err
	}
	if t.val, err = t.datasets.loader(t.data, t.run, t.set, data.Val, threads); err != nil {
		return err
	}
	t.steps = t.train.Batches()
	t.schedule = newSchedule(t.set, t.steps)
	t.progress = progress{Path: t.device.Path()}
	t.progress.Plateau.Higher = runlog.MetricNames[t.set.Monitor]
	if t.set.Schedule != nil {
		t.progress.Plateau.Patience = t.set.Schedule.Patience
	}
	return nil
}

// classWeights are n/(classes·n_c) for "balanced", which leaves the mean weight of a picture at 1; nil otherwise.
func (t *training) classWeights() ([]float32, error) {
	if t.set.ClassWeights != "balanced" {
		return nil, nil
	}
	items := t.data.Splits["train"].Items
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
	p := &t.progress
	number := p.Epoch + 1
	start := time.Now()
	before := p.Sum.Seconds
	classes := len(t.data.Classes)
	for batch, err := range t.train.Epoch(ctx, number, p.Step) {
		if err != nil {
			if ctx.Err() != nil {
				return errInterrupted
			}
			return err
		}
		program, err := t.programs.training(batch.N)
		if err != nil {
			return err
		}
		out, err := program.Run(batch.X, batch.Labels, uint64(p.Total))
		if err != nil {
			return err
		}
		if bad := t.check(out.Loss, number, p.Step+1); bad != nil {
			return bad
		}
		if err := t.update(program); err != nil {
			return err
		}
		for i, class := range batch.Labels {
			if argmax(out.Logits[i*classes:(i+1)*classes]) == class {
				p.Sum.Correct++
			}
		}
		p.Sum.Seen += batch.N
		p.Sum.Loss += out.Loss * float64(batch.N)
		p.Step++
		p.Total++
		p.Sum.Seconds = before + time.Since(start).Seconds()
		t.emit(runlog.Step{Head: t.head(), Epoch: number, Step: p.Step, Of: t.steps,
			Loss: p.Sum.Loss / float64(p.Sum.Seen), Acc: float64(p.Sum.Correct) / float64(p.Sum.Seen)})
		if ctx.Err() != nil {
			return errInterrupted
		}
	}
	if p.Step < t.steps {
		return errInterrupted // the loader stopped early because ctx is done
	}
	return t.finishEpoch(ctx, number)
}

// check fails a run whose loss is not a number any more, with the likely cause.
func (t *training) check(loss float64, epoch, step int) error {
	if !math.IsNaN(loss) && !math.IsInf(loss, 0) {
		return nil
	}
	cause := fmt.Sprintf("the learning rate (%g) is probably too high: try a tenth of it, a warmup or grad_clip", t.set.Optimizer.LR)
	if epoch == 1 && step == 1 {
		cause = "it was so before anything was learnt: the weights that the run starts from hold no sensible numbers, or not for this architecture and these pictures"
	}
	return fmt.Errorf("the loss is %v at epoch %d, step %d; %s", loss, epoch, step, cause)
}

// finishEpoch validates, keeps the best and moves the position to the next epoch.
func (t *training) finishEpoch(ctx context.Context, number int) error {
	p := &t.progress
	e := runlog.Epoch{
		Epoch:           number,
		LR:              t.schedule.LR(t.set.Optimizer.LR, p.Total-1, p.Plateau.Reductions),
		TrainLoss:       p.Sum.Loss / float64(p.Sum.Seen),
		TrainAcc:        float64(p.Sum.Correct) / float64(p.Sum.Seen),
		TrainSeconds:    p.Sum.Seconds,
		ImagesPerSecond: float64(p.Sum.Seen) / p.Sum.Seconds,
	}
	start := time.Now()
	count, predictions, err := t.evaluate(ctx, t.val, "val")
	if err != nil {
		return err
	}
	count.into(&e)
	e.ValSeconds = time.Since(start).Seconds()
	if math.IsNaN(e.ValLoss) || math.IsInf(e.ValLoss, 0) {
		return t.check(e.ValLoss, number, t.steps)
	}

	p.History = append(p.History, e)
	value := e.Value(t.set.Monitor)
	best := p.Best == 0 || better(t.set.Monitor, value, p.Value)
	if best {
		if err := t.keepBest(predictions); err != nil {
			return err
		}
		p.Best, p.Value = number, value
	}
	if err := t.dir.WriteEpochs(p.History); err != nil {
		return err
	}
	p.Epoch, p.Step, p.Sum = number, 0, sums{}
	t.observe(e)
	t.emit(runlog.EpochDone{Head: t.head(), Metrics: e, Best: best})
	return nil
}

// better tells whether a beats b strictly: the earliest of equals stays the best.
func better(metric string, a, b float64) bool {
	if runlog.MetricNames[metric] {
		return a > b
	}
	return a < b
}

// stalled tells whether early stopping ends the run here: for patience epochs the monitored metric has not improved on
// its best by more than min_delta.
func (t *training) stalled() bool {
	stop := t.set.EarlyStop
	if stop == nil || len(t.progress.History) == 0 {
		return false
	}
	best, since := math.NaN(), 0
	for _, e := range t.progress.History {
		v := e.Value(stop.Monitor)
		gain := v - best
		if !runlog.MetricNames[stop.Monitor] {
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
func (t *training) evaluate(ctx context.Context, loader *data.Loader, split string) (*tally, []runlog.Prediction, error) {
	classes := len(t.data.Classes)
	items := t.data.Splits[split].Items
	count := newTally(classes)
	predictions := make([]runlog.Prediction, 0, len(items))
	for batch, err := range loader.Epoch(ctx, 1, 0) {
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
		out, err := program.Run(batch.X, nil, 0)
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

// keepBest writes the network as it is now, and what it says of each validation picture.
func (t *training) keepBest(predictions []runlog.Prediction) error {
	tensors, err := t.tensors()
	if err != nil {
		return err
	}
	for _, p := range predictions {
		if slices.ContainsFunc(p.Probs, func(v float32) bool { return v != v }) {
			return fmt.Errorf("the network's answer for %s is not a number", p.Path)
		}
	}
	note := map[string]string{"ftrun.arch": t.set.Arch, "ftrun.run": t.run.ID}
	if err := runlog.WriteFile(t.dir.BestPath(), func(w io.Writer) error { return weights.WriteSafetensors(w, tensors, note) }); err != nil {
		return err
	}
	return t.dir.WritePredictions(predictions)
}

// result sums the run up; with a test split it evaluates the best epoch's weights on it, once.
func (t *training) result(ctx context.Context) (*runlog.Result, error) {
	p := &t.progress
	best, last := p.History[p.Best-1], p.History[len(p.History)-1]
	r := &runlog.Result{
		Params: runlog.Params{Total: t.run.Params.Total, Trainable: t.run.Params.Trainable},
		Metrics: runlog.Metrics{
			ValAcc: best.ValAcc, ValLoss: best.ValLoss, ValTop5: best.ValTop5, TrainAcc: best.TrainAcc, TrainLoss: best.TrainLoss,
			BestEpoch: best.Epoch, Epochs: last.Epoch, LastValAcc: last.ValAcc, LastValLoss: last.ValLoss,
		},
		Device: t.device.Name(), Path: t.device.Path(), Threads: t.Threads, Version: t.Version,
	}
	r.Timing.Seconds = p.Seconds
	for _, e := range p.History {
		r.Timing.TrainSeconds += e.TrainSeconds
		r.Timing.ValSeconds += e.ValSeconds
	}
	r.Timing.ImagesPerSecond = float64(len(t.data.Splits[data.Train].Items)*len(p.History)) / r.Timing.TrainSeconds
	r.Timing.PeakMemory = t.params.Memory() + t.programs.memory() + t.optimizer.Memory()

	if _, ok := t.data.Splits["test"]; ok {
		file, err := weights.Open(t.dir.BestPath())
		if err != nil {
			return nil, err
		}
		if err := t.setAll(file); err != nil {
			return nil, err
		}
		loader, err := t.datasets.loader(t.data, t.run, t.set, data.Test, 1)
		if err != nil {
			return nil, err
		}
		count, _, err := t.evaluate(ctx, loader, "test")
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
