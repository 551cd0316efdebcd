//go:build gpu

package cuda_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cuda"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/internal/nn/optim"
)

// plain is a device without the capabilities that a Device need not have: every operation of every step is asked for.
type plain struct{ kernels.Device }

// counted counts what is asked of a device that captures.
type counted struct {
	*cuda.Device
	captures, replays, launches int
}

type countedCapture struct {
	kernels.Capture
	of *counted
}

func (d *counted) Capture(do func() error) (kernels.Capture, error) {
	c, err := d.Device.Capture(do)
	if err != nil {
		return nil, err
	}
	d.captures++
	return &countedCapture{c, d}, nil
}

func (c *countedCapture) Replay(step uint64) error {
	c.of.replays++
	return c.Capture.Replay(step)
}

// MaxPoolForward is once in each step that is asked for.
func (d *counted) MaxPoolForward(p kernels.Pool, x, y kernels.Buffer) error {
	d.launches++
	return d.Device.MaxPoolForward(p, x, y)
}

// trainee is a small network with all that changes from step to step: batch norm, dropout, a learning rate, Adam's bias
// corrections.
type trainee struct {
	net       *nn.Net
	store     *nn.ParamStore
	programs  map[int]*nn.Program // for training, by batch
	evaluates *nn.Program
	optimizer *optim.Optimizer
	step      int
}

func newTrainee(t *testing.T, d kernels.Device, cfg optim.Config) *trainee {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	b := nn.NewBuilder("test", nn.Shape{H: 6, W: 6, C: 2})
	conv := nn.Conv2d{Out: 4, Kernel: [2]int{3, 3}, Padding: [2]int{1, 1}}
	norm := nn.BatchNorm2d{Eps: 1e-5, Momentum: 0.1}
	x := b.ReLU("relu1", b.BatchNorm2d("bn1", b.Conv2d("conv1", nn.Input, conv, nn.KaimingNormalOut), norm))
	x = b.Dropout("dropout", b.Flatten("flatten", b.MaxPool2d("pool", x, nn.MaxPool2d{Kernel: 2, Stride: 2})), 0.3)
	net, err := b.Net(b.Linear("fc", x, nn.Linear{Out: 3}, nn.Default))
	must(err)
	tr := &trainee{net: net, programs: map[int]*nn.Program{}}
	tr.store, err = nn.NewParamStore(d, net)
	must(err)
	t.Cleanup(func() { tr.store.Close() })
	must(tr.store.Init(5, nil))
	slab := nn.NewSlab(d)
	t.Cleanup(func() { slab.Close() })
	set := nn.Settings{Training: true, DropoutSeed: 5, BatchStats: slices.Repeat([]bool{true}, len(net.Layers)), Slab: slab}
	groups := []optim.Group{{LR: 0.05, WeightDecay: 0.01}, {LR: 0.02}}
	for i, p := range net.Params {
		set.Trainable = append(set.Trainable, p.Kind == nn.Weight)
		if p.Kind == nn.Weight {
			groups[i%2].Params = append(groups[i%2].Params, i)
		}
	}
	for _, set.Batch = range []int{4, 3} {
		tr.programs[set.Batch], err = nn.Compile(net, tr.store, set)
		must(err)
		p := tr.programs[set.Batch]
		t.Cleanup(func() { p.Close() })
	}
	tr.evaluates, err = nn.Compile(net, tr.store, nn.Settings{Batch: 5, Slab: slab})
	must(err)
	t.Cleanup(func() { tr.evaluates.Close() })
	tr.optimizer, err = optim.New(cfg, tr.store, groups)
	must(err)
	t.Cleanup(func() {
		if err := tr.optimizer.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// epoch takes three steps of 4 pictures and one of 3, evaluates 5 pictures twice, and returns all that is told.
func (tr *trainee) epoch(t *testing.T) (told []float64) {
	t.Helper()
	pictures := func(n int) ([]float32, []int) {
		x, labels := make([]float32, n*6*6*2), make([]int, n)
		for i := range labels {
			labels[i] = (tr.step + i) % 3
			for j := range 6 * 2 {
				x[(i*6+2*labels[i])*6*2+j] = 1 + float32((tr.step*7+i*5+j*3)%11)/11
			}
		}
		return x, labels
	}
	finish := func(step func() (nn.Result, error)) {
		if step == nil {
			return
		}
		r, err := step()
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, r.Loss, float64(r.Right))
	}
	var before func() (nn.Result, error) // is finished when the next has begun
	for _, n := range []int{4, 4, 4, 3} {
		x, labels := pictures(n)
		rate := func(base float64) float64 { return base / float64(1+tr.step) }
		next, err := tr.programs[n].Begin(x, labels, uint64(tr.step), tr.optimizer.Update(tr.programs[n], rate))
		if err != nil {
			t.Fatal(err)
		}
		finish(before)
		before = next
		tr.step++
	}
	finish(before)
	for range 2 {
		x, _ := pictures(5)
		r, err := tr.evaluates.Run(x, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range r.Logits {
			told = append(told, float64(v))
		}
	}
	return told
}

// TestReplayedSteps: steps that are captured and replayed, with all parameters updated at once, tell what steps do of which
// each operation is asked for, bit for bit; so do steps that go on from a checkpoint, and those of a driver that captures
// nothing.
func TestReplayedSteps(t *testing.T) {
	const epochs = 4
	for _, cfg := range []optim.Config{
		{Kind: optim.SGD, Momentum: 0.9, Nesterov: true, Clip: 0.5},
		{Kind: optim.SGD},
		{Kind: optim.AdamW, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 1},
	} {
		t.Run(string(cfg.Kind), func(t *testing.T) {
			asked := newTrainee(t, plain{open(t, 0)}, cfg)
			var want [][]float64
			for range epochs {
				want = append(want, asked.epoch(t))
			}

			device := &counted{Device: open(t, 0)}
			replayed := newTrainee(t, device, cfg)
			for epoch := range epochs {
				if epoch == 2 {
					growScratch(t, device)
				}
				sameNumbers(t, "replayed", epoch, want[epoch], replayed.epoch(t))
			}
			// The first runs of each of the three programs are one that is asked for, and one that is captured, for which it is asked
			// for too; and so again after the scratch memory has moved.
			if device.captures != 6 || device.launches != 12 || device.replays != 6*epochs-6 {
				t.Errorf("%d captures, %d replays, %d steps asked for", device.captures, device.replays, device.launches)
			}

			first, second := newTrainee(t, open(t, 0), cfg), newTrainee(t, open(t, 0), cfg)
			for range 2 {
				first.epoch(t)
			}
			resume(t, first, second)
			for epoch := 2; epoch < epochs; epoch++ {
				sameNumbers(t, "resumed", epoch, want[epoch], second.epoch(t))
			}

			if fakes == "" {
				return
			}
			t.Setenv("FAKE_NO_CAPTURE", "1")
			refused := newTrainee(t, open(t, 0), cfg)
			for epoch := range epochs {
				sameNumbers(t, "not captured", epoch, want[epoch], refused.epoch(t))
			}
			if err := refused.programs[4].Uncaptured(); err == nil {
				t.Error("nothing tells that steps are not captured")
			}
		})
	}
}

// sameNumbers wants an epoch to tell the same.
func sameNumbers(t *testing.T, which string, epoch int, want, got []float64) {
	t.Helper()
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s, epoch %d: number %d is %v, want %v", which, epoch, i, got[i], want[i])
			return
		}
	}
}

// growScratch asks for an operation that wants more scratch memory than the trainee's.
func growScratch(t *testing.T, d *counted) {
	t.Helper()
	const n = 1 << 16
	b, err := d.Alloc(2*n + 1)
	if err == nil {
		err = d.CountRight(n, 1, b.Slice(0, n), b.Slice(n, 2*n), b.Slice(2*n, 2*n+1))
		d.Free(b)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// resume takes a trainee's state over.
func resume(t *testing.T, from, to *trainee) {
	t.Helper()
	state, err := from.optimizer.State()
	err = errors.Join(err, to.optimizer.LoadState(state))
	for i, p := range from.net.Params {
		if p.Kind == nn.Counter {
			continue
		}
		v, getting := from.store.Get(i)
		if err = errors.Join(err, getting); err == nil {
			err = to.store.Set(i, v)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	to.step = from.step
}
