package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/ref"
)

// randomNet is a network of layers that all keep the shape, wired at random, so that any result may be read by any later
// layer, by several, or by none.
func randomNet(t *testing.T, r *rand.Rand) *Net {
	return build(t, Shape{4, 4, 3}, func(b *Builder) Ref {
		refs := []Ref{Input}
		pick := func() Ref { // the latest ones are likelier
			return refs[len(refs)-1-min(r.IntN(len(refs)), r.IntN(len(refs)), r.IntN(len(refs)))]
		}
		for i := range 4 + r.IntN(14) {
			name := func(kind string) string { return fmt.Sprintf("%s%d", kind, i) }
			var y Ref
			switch r.IntN(11) {
			case 0, 1:
				y = b.Conv2d(name("conv"), pick(), Conv2d{Out: 3, Kernel: [2]int{3, 3}, Padding: [2]int{1, 1}, Bias: r.IntN(2) == 0}, Default)
			case 2, 3:
				y = b.BatchNorm2d(name("norm"), pick(), BatchNorm2d{Eps: 1e-5, Momentum: 0.1})
			case 4, 5:
				y = b.ReLU(name("relu"), pick())
			case 6, 7:
				xs := []Ref{pick(), pick(), pick()}
				y = b.Add(name("add"), xs[:2+r.IntN(2)]...)
			case 8:
				y = b.MaxPool2d(name("pool"), pick(), MaxPool2d{Kernel: 3, Stride: 1, Padding: 1})
			case 9:
				y = b.Dropout(name("dropout"), pick(), 0.3)
			case 10:
				x := b.Concat(name("concat"), pick(), pick())
				y = b.Conv2d(name("squeeze"), x, Conv2d{Out: 3, Kernel: [2]int{1, 1}}, Default)
			}
			refs = append(refs, y)
		}
		if r.IntN(3) == 0 {
			b.Aux(b.Linear("aux", b.Flatten("auxflatten", pick()), Linear{Out: 3}, Default), 0.4)
		}
		x := b.Flatten("flatten", refs[len(refs)-1])
		if r.IntN(2) == 0 { // a flatten that is a mere view
			x = b.Flatten("flatten2", b.AdaptiveAvgPool2d("pool", refs[len(refs)-1], 1, 1))
		}
		return b.Linear("head", x, Linear{Out: 3}, Default)
	})
}

// TestMemoryPlan runs random networks with the memory plan and with a place for every result, and wants the same bits;
// what memory held before is NaN. The loss is that of the definitions.
func TestMemoryPlan(t *testing.T) {
	var planned, separate int
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		net := randomNet(t, r)
		set := Settings{Batch: 2, Training: seed%5 != 4, Trainable: mark(net, nil), DropoutSeed: seed}
		for i := range net.Layers {
			set.BatchStats = append(set.BatchStats, r.IntN(2) == 0)
			if r.IntN(6) == 0 {
				set.Keep = append(set.Keep, Ref(i))
			}
		}
		if seed%3 == 0 {
			set.Trainable = mark(net, func(Param) bool { return r.IntN(2) == 0 })
		}
		alone := set
		alone.separate = true

		stores := [2]*ParamStore{randomStore(t, net, seed), randomStore(t, net, seed)}
		programs := [2]*Program{compile(t, net, stores[0], set), compile(t, net, stores[1], alone)}
		planned += programs[0].places.size
		separate += programs[1].places.size
		checkOverlaps(t, programs[0])
		o := newOracle(t, stores[0], set)
		for step := range uint64(2) {
			var got [2][][]float32
			for i, p := range programs {
				memory := p.slab.buf.(kernels.Host)
				for j := range memory {
					memory[j] = float32(math.NaN())
				}
				res := run(t, p, step)
				if step == 0 && i == 0 && set.Training {
					x, labels := batch(p, step)
					if want, _ := o.loss(float64s(x), labels); math.Abs(res.Loss-want) > 2e-6*max(1, want) {
						t.Errorf("seed %d: loss %g, want %g", seed, res.Loss, want)
					}
				}
				got[i] = everything(t, p, res)
			}
			if !slices.EqualFunc(got[0], got[1], sameBits) {
				t.Errorf("seed %d, step %d: the memory plan changes results", seed, step)
			}
		}
	}
	if planned*3 > separate*2 {
		t.Errorf("the plans take %d elements of %d: hardly anything is reused", planned, separate)
	}
}

// checkOverlaps wants a result to share memory with what the operation reads only where the contract of the device
// allows it, and then with one input, from the same element on.
func checkOverlaps(t *testing.T, p *Program) {
	t.Helper()
	for _, n := range p.graph.nodes {
		o, ok := n.Op().(*op)
		if !ok {
			continue
		}
		if _, ok := o.kernel.(viewer); ok {
			continue
		}
		place := func(n *node) (lo, hi int) {
			s, ok := p.places.spots[n]
			if !ok {
				return -1, -1
			}
			lo = s.block.at + s.from
			return lo, lo + s.len
		}
		lo, hi := place(n)
		shared := 0
		k, concat := o.kernel.(concat)
		from := lo
		for i, x := range o.from {
			if concat && k.inside[i] {
				if begin, _ := place(x); begin != from {
					t.Errorf("%s: input %d begins at %d, not at its channels, %d", o, i, begin, from)
				}
				from += k.c[i]
				continue
			}
			if concat {
				from += k.c[i]
			}
			xlo, xhi := place(x)
			if xhi <= lo || hi <= xlo {
				continue
			}
			shared++
			w, ok := o.kernel.(overwriter)
			if !ok || !slices.Contains(w.overwrites(), i) || xlo != lo || xhi != hi {
				t.Errorf("%s: the result [%d, %d) overlaps input %d, [%d, %d)", o, lo, hi, i, xlo, xhi)
			}
		}
		if shared > 1 {
			t.Errorf("%s: the result overlaps %d inputs", o, shared)
		}
	}
}

// everything that a run leaves: loss, logits, kept results, gradients, parameters and running statistics.
func everything(t *testing.T, p *Program, r Result) [][]float32 {
	t.Helper()
	all := [][]float32{{float32(r.Loss)}, slices.Clone(r.Logits)}
	add := func(v []float32, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	for _, x := range p.set.Keep {
		v, _, err := p.Kept(x)
		add(v, err)
	}
	for i, par := range p.net.Params {
		add(p.GradientTorch(i))
		if par.Kind != Counter {
			add(p.store.Get(i))
		}
	}
	return all
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool {
		return math.Float32bits(x) == math.Float32bits(y) && x == x // and no NaN
	})
}

// TestSlab runs programs that share memory in turn, compiled so that the slab has to move.
func TestSlab(t *testing.T) {
	net := randomNet(t, rand.New(rand.NewPCG(3, 1)))
	programs := func(slab *Slab) []*Program {
		s := randomStore(t, net, 1)
		set := Settings{Training: true, Trainable: mark(net, nil), Slab: slab}
		var ps []*Program
		for _, n := range []int{1, 2, 5} {
			set.Batch = n
			ps = append(ps, compile(t, net, s, set))
		}
		return append(ps, compile(t, net, s, Settings{Batch: 7, Slab: slab}))
	}
	own := programs(nil)
	slab := NewSlab(ref.New())
	defer slab.Close()
	sharing := programs(slab)
	var sum, most int
	for _, p := range own {
		sum += p.places.size
		most = max(most, p.places.size)
	}
	if got := slab.Memory(); got != 4*int64(most) {
		t.Errorf("the slab has %d bytes, want the largest program's %d (all: %d)", got, 4*most, 4*sum)
	}
	for _, i := range []int{0, 3, 1, 2, 0, 3} {
		a := everything(t, own[i], run(t, own[i], 1))
		b := everything(t, sharing[i], run(t, sharing[i], 1))
		if !slices.EqualFunc(a, b, sameBits) {
			t.Errorf("program %d: sharing a slab changes results", i)
		}
	}
}

// TestRehearse wants a meter to count what programs over a device hold, and nothing to be left when they are closed.
func TestRehearse(t *testing.T) {
	for seed := range uint64(5) {
		net := randomNet(t, rand.New(rand.NewPCG(seed, 2)))
		meter := ref.New().Meter(1)
		told, err := NewParamStore(meter, net)
		if err != nil {
			t.Fatal(err)
		}
		toldSlab := NewSlab(meter)
		s := randomStore(t, net, seed)
		slab := NewSlab(ref.New())
		for _, set := range []Settings{
			{Batch: 3, Training: true, Trainable: mark(net, nil)},
			{Batch: 3, Training: true, Trainable: mark(net, func(p Param) bool { return p.Layer == len(net.Layers)-1 })},
			{Batch: 4, Numerics: kernels.Default},
		} {
			set.Slab = slab
			run(t, compile(t, net, s, set), 1)
			set.Slab = toldSlab
			if err := Rehearse(net, told, set); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := meter.Held(), s.Memory()+slab.Memory(); got != want {
			t.Errorf("net %d: %d bytes told, %d held", seed, got, want)
		}
		if meter.Peak() < meter.Held() {
			t.Errorf("net %d: a peak of %d bytes below the %d that are held", seed, meter.Peak(), meter.Held())
		}
		toldSlab.Close()
		told.Close()
		if got := meter.Held(); got != 0 {
			t.Errorf("net %d: %d bytes are held by what was closed", seed, got)
		}
	}
}
