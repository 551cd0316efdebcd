package executor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/internal/nn/optim"
	"github.com/ftrun/ftrun/models"
)

// BenchModes are the steps that Bench can time: training of the whole network, training of the reshaped last layer over
// a frozen rest, and evaluation.
var BenchModes = []string{"finetune", "extract", "infer"}

// BenchOptions says which step to time.
type BenchOptions struct {
	Arch  string
	Mode  string // one of BenchModes
	Batch int
	Steps int // that are timed, after two that are not

	Numerics kernels.Numerics
	Device   kernels.Device
}

// BenchResult is the time of a step and what follows from it.
type BenchResult struct {
	Seconds         float64 // median over the steps
	ImagesPerSecond float64
	// GFLOPS is the arithmetic of convolutions and linear layers, in 10⁹ operations a second, a multiply-add being two.
	// It is counted from the shapes; a kernel that needs fewer of them for the same result does not lower the count.
	GFLOPS float64
}

// Bench times a step as training does it, forward, loss, backward, SGD with momentum, on random pictures of two classes.
// No picture is decoded. It leaves out the auxiliary head of inception_v3, so that an architecture's step is that of the
// same network in every mode.
func Bench(ctx context.Context, o BenchOptions) (result BenchResult, err error) {
	if !slices.Contains(BenchModes, o.Mode) || o.Batch < 1 || o.Steps < 1 {
		panic(fmt.Sprintf("executor: Bench of mode %q, batch %d, %d steps", o.Mode, o.Batch, o.Steps))
	}
	b, err := newBench(o)
	if err != nil {
		return BenchResult{}, err
	}
	defer func() { err = errors.Join(err, b.close()) }()

	const warmup = 2
	x, labels := b.pictures()
	took := make([]float64, 0, o.Steps)
	for i := range warmup + o.Steps {
		if err := ctx.Err(); err != nil {
			return BenchResult{}, err
		}
		start := time.Now()
		if err := b.step(x, labels, i); err != nil {
			return BenchResult{}, err
		}
		if i >= warmup {
			took = append(took, time.Since(start).Seconds())
		}
	}
	work := b.net.Work(b.trainable)
	seconds := median(took)
	return BenchResult{
		Seconds:         seconds,
		ImagesPerSecond: float64(o.Batch) / seconds,
		GFLOPS:          2 * float64(o.Batch) * float64(work.Forward+work.Backward) / seconds / 1e9,
	}, nil
}

const (
	benchClasses = 2
	benchSeed    = 1
)

// bench is a step to be timed.
type bench struct {
	BenchOptions
	net       *nn.Net
	trainable []bool // by index in net.Params; nil in evaluation
	params    *nn.ParamStore
	programs  *programs
	optimizer *optim.Optimizer // nil in evaluation
	underWay  func() (nn.Result, error)
}

func newBench(o BenchOptions) (*bench, error) {
	b := &bench{BenchOptions: o}
	info, ok := models.Lookup(o.Arch)
	if !ok {
		return nil, fmt.Errorf("there is no architecture %q", o.Arch)
	}
	var err error
	if b.net, err = models.Build(o.Arch, benchClasses, info.Crop); err != nil {
		return nil, err
	}
	b.net.Aux = nn.Input
	if b.trainable, err = benchTrainable(b.net, o.Mode); err != nil {
		return nil, err
	}
	if b.params, err = nn.NewParamStore(o.Device, b.net); err != nil {
		return nil, err
	}
	set := nn.Settings{Numerics: o.Numerics, DropoutSeed: benchSeed}
	if b.trainable != nil {
		set.Trainable, set.BatchStats = b.trainable, models.BatchStats(b.net, b.trainable, models.BatchNormAuto)
	}
	b.programs = newPrograms(b.net, b.params, set)
	err = b.params.Init(benchSeed, func(nn.Param) bool { return true })
	if err == nil && b.trainable != nil {
		b.optimizer, err = optim.New(optim.Config{Kind: optim.SGD, Momentum: 0.9}, b.params, []optim.Group{b.group()})
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// group holds all trained parameters.
func (b *bench) group() optim.Group {
	g := optim.Group{LR: 0.001}
	for i, yes := range b.trainable {
		if yes {
			g.Params = append(g.Params, i)
		}
	}
	return g
}

// pictures makes a batch of normalised noise and labels for it.
func (b *bench) pictures() (x []float32, labels []int) {
	r := rand.New(rand.NewPCG(benchSeed, 0))
	x = make([]float32, b.Batch*b.net.Input.Len())
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	labels = make([]int, b.Batch)
	for i := range labels {
		labels[i] = r.IntN(benchClasses)
	}
	return x, labels
}

// step takes step i, from 0.
func (b *bench) step(x []float32, labels []int, i int) error {
	if b.trainable == nil {
		program, err := b.programs.evaluation(b.Batch)
		if err == nil {
			_, err = program.Run(x, nil, 0)
		}
		return err
	}
	program, err := b.programs.training(b.Batch)
	if err != nil {
		return err
	}
	next, err := program.Begin(x, labels, uint64(i), b.optimizer.Update(program, func(base float64) float64 { return base }))
	if err != nil {
		return err
	}
	// As in training, a device that can computes this step while the next begins, so what is waited for is the one before.
	finish := next
	if _, ahead := b.Device.(kernels.Fetcher); ahead {
		finish, b.underWay = b.underWay, next
	}
	if finish == nil {
		return nil
	}
	out, err := finish()
	if err == nil && (math.IsNaN(out.Loss) || math.IsInf(out.Loss, 0)) {
		err = fmt.Errorf("the loss of step %d is %v", i+1, out.Loss)
	}
	return err
}

func (b *bench) close() error {
	b.programs.close()
	var err error
	if b.optimizer != nil {
		err = b.optimizer.Close()
	}
	return errors.Join(err, b.params.Close())
}

// benchTrainable says which parameters a mode trains; nil in evaluation.
func benchTrainable(net *nn.Net, mode string) ([]bool, error) {
	patterns := map[string][]string{"finetune": {"**"}, "extract": {models.Head}}[mode]
	if patterns == nil {
		return nil, nil
	}
	trainable, err := models.Match(net, patterns)
	if err != nil {
		return nil, err
	}
	needed := net.Needed(true)
	for i, p := range net.Params {
		trainable[i] = trainable[i] && needed[p.Layer]
	}
	return trainable, nil
}

// median of at least one number, as Python's statistics.median: the mean of the middle two of an even count.
func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	n := len(x)
	return (x[(n-1)/2] + x[n/2]) / 2
}
