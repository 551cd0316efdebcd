package nn

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/tensor"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/ref"
)

// operations lists what a program runs: layer, kernel, number of inputs.
func operations(p *Program) []string {
	var out []string
	for _, n := range p.graph.nodes {
		if o, ok := n.Op().(*op); ok {
			name := fmt.Sprint(o)
			switch k := o.kernel.(type) {
			case conv:
				name += " " + k.act.String()
			case packedConvForward:
				name += " " + k.conv.act.String()
				if k.residual {
					name += " residual"
				}
			case linear:
				name += " " + k.act.String()
			case addition:
				name += " " + k.act.String()
			case batchNorm:
				name += " " + k.act.String()
				if len(o.from) == 6 {
					name += " residual"
				}
			}
			out = append(out, name)
		}
	}
	return out
}

func TestFusion(t *testing.T) {
	norm := BatchNorm2d{Eps: 1e-5, Momentum: 0.1}
	conv := Conv2d{Out: 3, Kernel: [2]int{1, 1}}
	tests := []struct {
		name   string
		set    Settings
		train  string // the parameter that is trained
		keep   []string
		layers func(b *Builder) Ref
		want   []string
	}{
		{
			name: "a residual block",
			set:  Settings{Numerics: kernels.Default},
			layers: func(b *Builder) Ref {
				x := b.ReLU("r1", b.Conv2d("c1", Input, conv, Default))
				y := b.BatchNorm2d("n", b.Conv2d("c2", x, conv, Default), norm)
				return b.Flatten("f", b.AdaptiveAvgPool2d("p", b.ReLU6("r2", b.Add("a", x, y)), 1, 1))
			},
			want: []string{"c1 packed conv relu", "c2 packed conv relu6 residual", "p adaptive average pool", "f reshape"},
		},
		{
			name: "a residual block with exact numerics",
			layers: func(b *Builder) Ref {
				x := b.ReLU("r1", b.Conv2d("c1", Input, conv, Default))
				y := b.BatchNorm2d("n", b.Conv2d("c2", x, conv, Default), norm)
				return b.Flatten("f", b.ReLU6("r2", b.Add("a", x, y)))
			},
			want: []string{"c1 packed conv relu", "c2 packed conv identity", "n inverse deviation",
				"n batch norm relu6 residual", "f flatten"},
		},
		{
			name:  "a residual block that is trained, behind one that is not",
			set:   Settings{Training: true, Numerics: kernels.Default},
			train: "n2.weight",
			layers: func(b *Builder) Ref {
				x := b.ReLU("r1", b.BatchNorm2d("n1", b.Conv2d("c1", Input, conv, Default), norm))
				y := b.BatchNorm2d("n2", b.Conv2d("c2", x, conv, Default), norm)
				z := b.ReLU("r2", b.Add("a", x, y))
				return b.Flatten("f", b.BatchNorm2d("n3", b.Conv2d("c3", z, conv, Default), norm))
			},
			want: []string{"c1 packed conv relu", "c2 packed conv identity", "n2 inverse deviation", "n2 batch norm relu residual",
				"c3 conv identity", "n3 inverse deviation", "n3 batch norm identity", "f flatten", "loss cross-entropy",
				"loss part", "loss cross-entropy backward", "f unflatten", "n3 batch norm backward", "c3 conv backward data",
				"n2 relu backward", "n2 batch norm reduce", "n2 part", "n2 part"},
		},
		{
			name: "results that others read stay",
			keep: []string{"c2"},
			layers: func(b *Builder) Ref {
				c1 := b.Conv2d("c1", Input, conv, Default)
				c2 := b.ReLU("r2", b.Conv2d("c2", b.ReLU("r1", c1), conv, Default))
				return b.Flatten("f", b.ReLU("r3", b.Add("a", c1, c2, c2)))
			},
			want: []string{"c1 packed conv identity", "r1 relu", "c2 packed conv identity", "r2 relu", "a add relu", "f flatten"},
		},
		{
			name:  "a sum of a branch that is not trained and one that is",
			set:   Settings{Training: true, Numerics: kernels.Default},
			train: "c2.weight",
			layers: func(b *Builder) Ref {
				x := b.BatchNorm2d("n1", b.Conv2d("c1", Input, conv, Default), norm)
				y := b.BatchNorm2d("n2", b.Conv2d("c2", Input, conv, Default), norm)
				return b.Flatten("f", b.Add("a", x, y))
			},
			want: []string{"c1 packed conv identity", "c2 conv identity", "n2 inverse deviation",
				"n2 batch norm identity residual", "f flatten", "loss cross-entropy", "loss part",
				"loss cross-entropy backward", "f unflatten", "n2 batch norm backward", "c2 conv backward weights"},
		},
		{
			name: "an activation of an activation",
			layers: func(b *Builder) Ref {
				return b.Flatten("f", b.ReLU6("r2", b.ReLU("r1", b.Conv2d("c", Input, conv, Default))))
			},
			want: []string{"c packed conv relu", "r2 relu6", "f flatten"},
		},
		{
			name: "evaluation leaves out dropout and what leads to the auxiliary output alone",
			layers: func(b *Builder) Ref {
				x := b.ReLU("r", b.Conv2d("c", Input, conv, Default))
				aux := b.Conv2d("aux", x, conv, Default)
				b.Aux(b.Flatten("auxf", aux), 0.4)
				return b.Dropout("d2", b.Flatten("f", b.Dropout("d1", x, 0.5)), 0.5)
			},
			want: []string{"c packed conv relu", "f flatten"},
		},
		{
			name: "training keeps them, but for dropout of probability 0",
			set:  Settings{Training: true},
			layers: func(b *Builder) Ref {
				x := b.ReLU("r", b.Conv2d("c", Input, conv, Default))
				aux := b.Conv2d("aux", x, conv, Default)
				b.Aux(b.Flatten("auxf", aux), 0.4)
				return b.Dropout("d2", b.Flatten("f", b.Dropout("d1", x, 0.5)), 0)
			},
			want: []string{"c packed conv relu", "aux packed conv identity", "auxf flatten", "d1 dropout", "f flatten",
				"loss cross-entropy", "loss cross-entropy"},
		},
		{
			name: "two sums in a row, of which one is fused",
			layers: func(b *Builder) Ref {
				x := b.Conv2d("c", Input, conv, Default)
				y := b.Add("a1", b.BatchNorm2d("n", x, norm), x)
				return b.Flatten("f", b.Add("a2", y, x))
			},
			want: []string{"c packed conv identity", "n inverse deviation", "n batch norm identity residual", "a2 add identity", "f flatten"},
		},
		{
			name: "an activation after a skipped dropout",
			layers: func(b *Builder) Ref {
				return b.Flatten("f", b.ReLU("r", b.Dropout("d", b.Conv2d("c", Input, conv, Default), 0.5)))
			},
			want: []string{"c packed conv relu", "f flatten"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			net := build(t, Shape{2, 2, 3}, test.layers)
			for _, name := range test.keep {
				test.set.Keep = append(test.set.Keep, net.Modules[name])
			}
			test.set.Batch = 2
			test.set.Trainable = mark(net, func(p Param) bool { return p.Name == test.train })
			got := operations(compile(t, net, randomStore(t, net, 1), test.set))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("operations (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFrozen wants no gradient below the first trained layer.
func TestFrozen(t *testing.T) {
	net := build(t, Shape{4, 4, 3}, func(b *Builder) Ref {
		x := b.ReLU("r", b.BatchNorm2d("n", b.Conv2d("c", Input, Conv2d{Out: 4, Kernel: [2]int{3, 3}}, Default), BatchNorm2d{}))
		return b.Linear("fc", b.Flatten("f", x), Linear{Out: 3}, Default)
	})
	p := compile(t, net, randomStore(t, net, 1), Settings{
		Batch: 2, Training: true, BatchStats: slices.Repeat([]bool{true}, len(net.Layers)),
		Trainable: mark(net, func(p Param) bool { return p.Name == "fc.weight" || p.Name == "fc.bias" }),
	})
	want := []string{"c packed conv identity", "n batch statistics", "n part", "n part", "n batch norm relu", "f flatten",
		"fc linear identity", "loss cross-entropy", "loss part", "loss cross-entropy backward",
		"fc linear backward weights", "fc sum rows"}
	if diff := cmp.Diff(want, operations(p)); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}

// TestFoldedBatchNorm compares an evaluation in which batch norms are folded into convolutions with one in which they are
// not, while a training changes the weights and the running statistics under both.
func TestFoldedBatchNorm(t *testing.T) {
	norm := BatchNorm2d{Eps: 1e-3, Momentum: 0.1}
	net := build(t, Shape{5, 6, 3}, func(b *Builder) Ref {
		biased := b.Conv2d("c1", Input, Conv2d{Out: 4, Kernel: [2]int{3, 3}, Padding: [2]int{1, 1}, Bias: true}, Default)
		x := b.ReLU("r1", b.BatchNorm2d("n1", biased, norm))
		depthwise := b.Conv2d("c2", x, Conv2d{Out: 4, Kernel: [2]int{3, 3}, Padding: [2]int{1, 1}, Groups: 4}, Default)
		y := b.BatchNorm2d("n2", depthwise, norm)
		z := b.BatchNorm2d("n3", b.Conv2d("c3", x, Conv2d{Out: 4, Kernel: [2]int{1, 1}}, Default), norm)
		return b.Linear("fc", b.Flatten("f", b.ReLU("r2", b.Add("a", y, z))), Linear{Out: 3}, Default)
	})
	s := randomStore(t, net, 1)
	stats := make([]bool, len(net.Layers))
	for i, l := range net.Layers {
		_, stats[i] = l.Op.(BatchNorm2d)
	}
	train := compile(t, net, s, Settings{Batch: 3, Training: true, Trainable: mark(net, nil), BatchStats: stats})
	folded := compile(t, net, s, Settings{Batch: 2, Numerics: kernels.Default})
	exact := compile(t, net, s, Settings{Batch: 2, Numerics: kernels.Exact})
	if got := strings.Join(operations(folded), "; "); strings.Contains(got, "norm") {
		t.Errorf("a batch norm is left: %s", got)
	}
	var before []float32
	for step := range uint64(3) {
		got, want := slices.Clone(run(t, folded, 9).Logits), run(t, exact, 9).Logits
		for i := range want {
			if d := math.Abs(float64(got[i] - want[i])); d > 1e-5 {
				t.Errorf("step %d: logit %d is %v folded, %v exact", step, i, got[i], want[i])
			}
		}
		if slices.Equal(got, before) {
			t.Errorf("step %d changed nothing", step)
		}
		before = got
		run(t, train, step)
		for i, p := range net.Params {
			if p.Kind != Weight {
				continue
			}
			if err := s.Device().SGD(kernels.SGD{LR: 0.1}, s.Buffer(i), train.Gradient(i), nil); err != nil {
				t.Fatal(err)
			}
			s.Changed(i)
		}
	}
}

func TestCounters(t *testing.T) {
	norm := BatchNorm2d{Eps: 1e-5, Momentum: 0.1}
	net := build(t, Shape{2, 2, 3}, func(b *Builder) Ref {
		return b.Flatten("f", b.BatchNorm2d("frozen", b.BatchNorm2d("moving", Input, norm), norm))
	})
	s := randomStore(t, net, 1)
	set := Settings{Batch: 2, Training: true, Trainable: mark(net, nil), BatchStats: []bool{true, false, false}}
	train, eval := compile(t, net, s, set), compile(t, net, s, Settings{Batch: 2})
	for range 3 {
		run(t, train, 0)
		run(t, eval, 0)
	}
	for i, p := range net.Params {
		want := map[string]int64{"moving.num_batches_tracked": 3}[p.Name]
		if got := s.Counter(i); got != want {
			t.Errorf("%s = %d, want %d", p.Name, got, want)
		}
	}
}

// TestBatchIndependence wants the same evaluation of a picture in every batch and place.
func TestBatchIndependence(t *testing.T) {
	net := build(t, Shape{5, 5, 3}, func(b *Builder) Ref {
		x := b.ReLU("r", b.BatchNorm2d("n", b.Conv2d("c", Input, Conv2d{Out: 4, Kernel: [2]int{3, 3}}, Default), BatchNorm2d{Eps: 1e-5}))
		return b.Linear("fc", b.Flatten("f", b.Dropout("d", x, 0.5)), Linear{Out: 3}, Default)
	})
	s := randomStore(t, net, 1)
	one, four := compile(t, net, s, Settings{Batch: 1}), compile(t, net, s, Settings{Batch: 4})
	x, _ := batch(four, 1)
	all, err := four.Run(x, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		size := net.Input.Len()
		r, err := one.Run(x[i*size:(i+1)*size], nil, 9)
		if err != nil {
			t.Fatal(err)
		}
		if !sameBits(r.Logits, all.Logits[3*i:3*i+3]) {
			t.Errorf("picture %d: logits %v alone, %v in a batch", i, r.Logits, all.Logits[3*i:3*i+3])
		}
	}
}

func TestKept(t *testing.T) {
	net := build(t, Shape{3, 2, 3}, func(b *Builder) Ref {
		x := b.Dropout("d", b.ReLU("r", b.Conv2d("c", Input, Conv2d{Out: 4, Kernel: [2]int{2, 2}}, Default)), 0.5)
		return b.Linear("fc", b.Flatten("f", x), Linear{Out: 3}, Default)
	})
	s := randomStore(t, net, 1)
	set := Settings{Batch: 2, Keep: []Ref{0, 1, 2, 3, 4}}
	p := compile(t, net, s, set)
	run(t, p, 1)
	x, labels := batch(p, 1)
	_, want := newOracle(t, s, set).loss(float64s(x), labels)
	for i, l := range net.Layers {
		got, shape, err := p.Kept(Ref(i))
		if err != nil || shape != l.Out {
			t.Fatalf("%s: shape %v, error %v; want %v", l.Name, shape, err, l.Out)
		}
		compare(t, l.Name, got, want[i], 1e-6)
	}
}

func TestDropout(t *testing.T) {
	const n = 64
	net := build(t, Shape{n, n, 2}, func(b *Builder) Ref {
		x := b.Concat("k", b.Dropout("d1", Input, 0.25), b.Dropout("d2", Input, 0.25))
		return b.Linear("fc", b.Flatten("f", x), Linear{Out: 2}, Default)
	})
	s := newStore(t, net)
	masks := func(seed, step uint64) (a, b []float32) {
		p := compile(t, net, s, Settings{Batch: 2, Training: true, Trainable: mark(net, nil), DropoutSeed: seed, Keep: []Ref{0, 1}})
		x := slices.Repeat([]float32{1}, 2*net.Input.Len())
		if _, err := p.Run(x, []int{0, 1}, step); err != nil {
			t.Fatal(err)
		}
		a, _, err := p.Kept(0)
		if err != nil {
			t.Fatal(err)
		}
		b, _, err = p.Kept(1)
		if err != nil {
			t.Fatal(err)
		}
		return a, b
	}
	a, b := masks(1, 1)
	zeros := 0
	for _, v := range a {
		switch v {
		case 0:
			zeros++
		case float32(1 / 0.75):
		default:
			t.Fatalf("an element of 1 became %g", v)
		}
	}
	// 16384 elements: 0.25 ± three standard deviations of 0.0034
	if share := float64(zeros) / float64(len(a)); share < 0.2398 || share > 0.2602 {
		t.Errorf("%g are zero, want 0.25", share)
	}
	again, _ := masks(1, 1)
	if !slices.Equal(a, again) {
		t.Error("the same seed and step give another mask")
	}
	otherSeed, _ := masks(2, 1)
	otherStep, _ := masks(1, 2)
	for name, other := range map[string][]float32{"layer": b, "seed": otherSeed, "step": otherStep} {
		// Independent masks agree in 0.25² + 0.75² = 0.625 of the elements, give or take 0.0038.
		if share := float64(countEqual(a, other)) / float64(len(a)); share < 0.61 || share > 0.64 {
			t.Errorf("another %s: the masks agree in %g of the elements, want 0.625", name, share)
		}
	}
}

// TestDistinct wants nodes that Gorgonia would take for one to be noticed.
func TestDistinct(t *testing.T) {
	shape := tensor.Shape{2}
	g := newGraph(ref.New(), 0)
	x := g.leaf("x", shape, nil, true)
	at := place{g, "layer"}
	at.apply(activation{kernels.ReLU}, shape.Clone(), x)
	at.apply(activation{kernels.ReLU}, shape.Clone(), x)
	if !g.distinct() || len(g.AllNodes()) != 3 {
		t.Errorf("two equal operations: %d nodes, distinct %t; want 3, true", len(g.AllNodes()), g.distinct())
	}
	g.leaf("x", shape, nil, true)
	if g.distinct() {
		t.Error("two leaves of one name are not noticed")
	}
	hashes := map[uint32]bool{}
	for salt := range 3 {
		g := newGraph(ref.New(), salt)
		x := g.leaf("x", shape, nil, true)
		hashes[x.Hashcode()] = true
		hashes[place{g, "layer"}.apply(activation{kernels.ReLU}, shape.Clone(), x).Hashcode()] = true
	}
	if len(hashes) != 6 {
		t.Errorf("three salts give %d hashes of two nodes, want 6", len(hashes))
	}
}

// faulty is a device on which one call fails.
type faulty struct {
	kernels.Device
	fail func() error // nil: works
	max  int          // elements that Alloc gives
}

var errDevice = errors.New("the device is on fire")

func (d *faulty) Alloc(n int) (kernels.Buffer, error) {
	if n > d.max {
		return nil, errDevice
	}
	return d.Device.Alloc(n)
}

func (d *faulty) MaxPoolForward(p kernels.Pool, x, y kernels.Buffer) error {
	if d.fail != nil {
		return d.fail()
	}
	return d.Device.MaxPoolForward(p, x, y)
}

func TestDeviceErrors(t *testing.T) {
	net := build(t, Shape{4, 4, 3}, func(b *Builder) Ref {
		x := b.Conv2d("layer1.0.conv1", Input, Conv2d{Out: 3, Kernel: [2]int{3, 3}, Padding: [2]int{1, 1}}, Default)
		return b.Flatten("f", b.MaxPool2d("layer1.0.pool", x, MaxPool2d{Kernel: 2, Stride: 2}))
	})
	dev := &faulty{Device: ref.New()}
	if _, err := NewParamStore(dev, net); !errors.Is(err, errDevice) || !strings.Contains(err.Error(), "parameters of test") {
		t.Errorf("no memory for parameters: error %v", err)
	}
	dev.max = 128
	s, err := NewParamStore(dev, net)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Compile(net, s, Settings{Batch: 8}); !errors.Is(err, errDevice) || !strings.Contains(err.Error(), "MB for activations") {
		t.Errorf("no memory for activations: error %v", err)
	}
	dev.max = 1 << 20
	p := compile(t, net, s, Settings{Batch: 2})
	x, _ := batch(p, 1)
	for _, test := range []struct {
		name string
		fail func() error
		want string
	}{
		{"error", func() error { return errDevice }, "layer1.0.pool: max pool: the device is on fire"},
		{"panic", func() error { panic("broken") }, "layer1.0.pool: max pool: panic: broken"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dev.fail = test.fail
			_, err := p.Run(x, nil, 0)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if test.name == "error" && !errors.Is(err, errDevice) {
				t.Error("the device's error is not wrapped")
			}
			dev.fail = nil
			if _, err := p.Run(x, nil, 0); err != nil {
				t.Errorf("the device works again, but: %v", err)
			}
		})
	}
}

// TestConcurrentPrograms compiles and trains several networks at once; go test -race looks on.
func TestConcurrentPrograms(t *testing.T) {
	net := build(t, Shape{6, 6, 3}, func(b *Builder) Ref {
		x := b.ReLU("r", b.BatchNorm2d("n", b.Conv2d("c", Input, Conv2d{Out: 4, Kernel: [2]int{3, 3}}, Default), BatchNorm2d{Eps: 1e-5, Momentum: 0.1}))
		return b.Linear("fc", b.Flatten("f", b.Dropout("d", x, 0.5)), Linear{Out: 3}, Default)
	})
	train := func(seed uint64) [][]float32 {
		s := randomStore(t, net, seed)
		p := compile(t, net, s, Settings{
			Batch: 2, Training: true, Trainable: mark(net, nil), DropoutSeed: seed,
			BatchStats: slices.Repeat([]bool{true}, len(net.Layers)),
		})
		var r Result
		for step := range uint64(5) {
			r = run(t, p, step)
		}
		return everything(t, p, r)
	}
	const n = 4
	var alone, together [n][][]float32
	for i := range alone {
		alone[i] = train(uint64(i))
	}
	var all sync.WaitGroup
	for i := range together {
		all.Go(func() { together[i] = train(uint64(i)) })
	}
	all.Wait()
	for i := range alone {
		if !slices.EqualFunc(alone[i], together[i], sameBits) {
			t.Errorf("network %d: training beside others changes results", i)
		}
	}
}

// TestMomentumSteps trains a small residual network for three steps, against gradients by difference quotients and
// torch's update in float64.
func TestMomentumSteps(t *testing.T) {
	norm := BatchNorm2d{Eps: 1e-5, Momentum: 0.1}
	conv := Conv2d{Out: 2, Kernel: [2]int{3, 3}, Padding: [2]int{1, 1}}
	net := build(t, Shape{4, 4, 2}, func(b *Builder) Ref {
		x := b.ReLU("r1", b.BatchNorm2d("n1", b.Conv2d("c1", Input, conv, Default), norm))
		y := b.BatchNorm2d("n2", b.Conv2d("c2", x, conv, Default), norm)
		x = b.ReLU("r2", b.Add("a", y, x))
		return b.Linear("fc", b.Flatten("f", b.AdaptiveAvgPool2d("p", x, 1, 1)), Linear{Out: 3}, Default)
	})
	set := Settings{Batch: 4, Training: true, Trainable: mark(net, nil), BatchStats: slices.Repeat([]bool{true}, len(net.Layers))}
	s := randomStore(t, net, 1)
	p := compile(t, net, s, set)
	o := newOracle(t, s, set)
	velocity := make([]kernels.Buffer, len(net.Params))
	want := make([][]float64, len(net.Params)) // the oracle's velocity
	for i, par := range net.Params {
		velocity[i] = make(kernels.Host, par.Len())
		want[i] = make([]float64, par.Len())
	}
	const lr, momentum = 0.1, 0.9
	for step := range uint64(3) {
		r := run(t, p, step)
		x, labels := batch(p, step)
		x64 := float64s(x)
		loss, _ := o.loss(x64, labels)
		running := o.running
		compare(t, "loss", []float32{float32(r.Loss)}, []float64{loss}, 1e-5)
		next := make([][]float64, len(net.Params))
		for i, par := range net.Params {
			if par.Kind != Weight {
				continue
			}
			if err := s.dev.SGD(kernels.SGD{LR: lr, Momentum: momentum}, s.Buffer(i), p.Gradient(i), velocity[i]); err != nil {
				t.Fatal(err)
			}
			next[i] = make([]float64, par.Len())
			for j, was := range o.params[i] {
				const h = 1e-6
				o.params[i][j] = was + h
				up, _ := o.loss(x64, labels)
				o.params[i][j] = was - h
				down, _ := o.loss(x64, labels)
				o.params[i][j] = was
				want[i][j] = momentum*want[i][j] + (up-down)/(2*h)
				next[i][j] = was - lr*want[i][j]
			}
		}
		for i, par := range net.Params {
			switch par.Kind {
			case Weight:
				o.params[i] = next[i]
			case Buffer:
				o.params[i] = running[i]
			case Counter:
				continue
			}
			got, err := s.Get(i)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, fmt.Sprintf("step %d: %s", step, par.Name), got, o.params[i], 1e-5)
		}
	}
}
