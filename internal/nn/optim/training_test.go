package optim_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/kernels/ref"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/internal/nn/optim"
)

// training is a network with batch norm and dropout on its way.
type training struct {
	store     *nn.ParamStore
	program   *nn.Program
	optimizer *optim.Optimizer
}

func start(t *testing.T, net *nn.Net, cfg optim.Config) *training {
	t.Helper()
	store, err := nn.NewParamStore(ref.New(), net)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.Init(5, nil); err != nil {
		t.Fatal(err)
	}
	set := nn.Settings{Batch: 4, Training: true, DropoutSeed: 5, BatchStats: slices.Repeat([]bool{true}, len(net.Layers))}
	group := optim.Group{LR: 0.05, WeightDecay: 0.01}
	for i, p := range net.Params {
		set.Trainable = append(set.Trainable, p.Kind == nn.Weight)
		if p.Kind == nn.Weight {
			group.Params = append(group.Params, i)
		}
	}
	program, err := nn.Compile(net, store, set)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	optimizer, err := optim.New(cfg, store, []optim.Group{group})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { optimizer.Close() })
	return &training{store, program, optimizer}
}

// steps takes the steps [from, to) and returns the last one's loss. A picture's label is the row that is lit.
func (tr *training) steps(t *testing.T, from, to int) (loss float64) {
	t.Helper()
	for step := from; step < to; step++ {
		x, labels := make([]float32, 4*6*6*2), make([]int, 4)
		for n := range labels {
			labels[n] = (step + n) % 3
			for i := range 6 * 2 {
				x[(n*6+2*labels[n])*6*2+i] = 1 + float32((step*7+n*5+i*3)%11)/11
			}
		}
		r, err := tr.program.Run(x, labels, uint64(step))
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.optimizer.Step(func(lr float64) float64 { return lr }, tr.program.Gradient); err != nil {
			t.Fatal(err)
		}
		loss = r.Loss
	}
	return loss
}

func smallNet(t *testing.T) *nn.Net {
	t.Helper()
	b := nn.NewBuilder("test", nn.Shape{H: 6, W: 6, C: 2})
	conv := nn.Conv2d{Out: 4, Kernel: [2]int{3, 3}, Padding: [2]int{1, 1}}
	norm := nn.BatchNorm2d{Eps: 1e-5, Momentum: 0.1}
	x := b.ReLU("relu1", b.BatchNorm2d("bn1", b.Conv2d("conv1", nn.Input, conv, nn.KaimingNormalOut), norm))
	y := b.BatchNorm2d("bn2", b.Conv2d("conv2", x, conv, nn.KaimingNormalOut), norm)
	x = b.ReLU("relu2", b.Add("add", y, x))
	x = b.Dropout("dropout", b.Flatten("flatten", b.MaxPool2d("pool", x, nn.MaxPool2d{Kernel: 2, Stride: 2})), 0.2)
	net, err := b.Net(b.Linear("fc", x, nn.Linear{Out: 3}, nn.Default))
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// TestTrainingResumes wants a training that goes on from what a checkpoint holds (parameters, buffers, counters, the
// optimizer's state) to end with the bits of one that was never interrupted.
func TestTrainingResumes(t *testing.T) {
	net := smallNet(t)
	for _, cfg := range []optim.Config{
		{Kind: optim.SGD, Momentum: 0.9, Nesterov: true},
		{Kind: optim.Adam, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8},
	} {
		t.Run(string(cfg.Kind), func(t *testing.T) {
			straight, first, second := start(t, net, cfg), start(t, net, cfg), start(t, net, cfg)
			want := straight.steps(t, 0, 8)
			first.steps(t, 0, 5)
			state, err := first.optimizer.State()
			if err != nil {
				t.Fatal(err)
			}
			if err := second.optimizer.LoadState(state); err != nil {
				t.Fatal(err)
			}
			for i, p := range net.Params {
				if p.Kind == nn.Counter {
					second.store.SetCounter(i, first.store.Counter(i))
					continue
				}
				v, err := first.store.Get(i)
				if err != nil {
					t.Fatal(err)
				}
				if err := second.store.Set(i, v); err != nil {
					t.Fatal(err)
				}
			}
			if got := second.steps(t, 5, 8); got != want {
				t.Errorf("loss %v, want %v", got, want)
			}
			for i, p := range net.Params {
				if p.Kind == nn.Counter {
					if got := second.store.Counter(i); got != 8 {
						t.Errorf("%s = %d, want 8", p.Name, got)
					}
					continue
				}
				a, err := straight.store.Get(i)
				if err != nil {
					t.Fatal(err)
				}
				b, err := second.store.Get(i)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(a, b); diff != "" {
					t.Errorf("%s differs: %s", p.Name, diff)
				}
			}
		})
	}
}

func TestTrainingLearns(t *testing.T) {
	tr := start(t, smallNet(t), optim.Config{Kind: optim.SGD, Momentum: 0.9})
	before := tr.steps(t, 0, 1)
	if after := tr.steps(t, 1, 60); !(after < before/4) {
		t.Errorf("60 steps bring the loss from %g to %g", before, after)
	}
}
