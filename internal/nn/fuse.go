package nn

import (
	"slices"

	"github.com/ftrun/ftrun/internal/kernels"
)

// unit is one operation of the network that is to be run, with what is fused into it.
type unit struct {
	index       int // of the layer whose operation it is
	in          []Ref
	out         Ref // the layer whose result it gives: the last one that is fused into it
	act         kernels.Activation
	hasResidual bool
	residual    Ref // what is added before act: batch norm, and convolution with packed weights

	packs bool // a convolution whose weights are kept as the device reads them
	norm  int  // the layer of the batch norm that is folded into those; -1: none

	within Ref // the concatenation in whose result this one lies, or Input: none
	from   int // the first of its channels there
}

// reads calls visit for each result that u reads.
func (u unit) reads(visit func(*Ref)) {
	for i := range u.in {
		visit(&u.in[i])
	}
	if u.hasResidual {
		visit(&u.residual)
	}
}

// pass makes a network simpler without changing the results that are asked for.
type pass func(*reduced)

// passes are run in this order.
var passes = []pass{
	prune,           // what nothing asks for
	skipDropout,     // dropout in evaluation
	packWeights,     // convolutions that no gradient passes
	foldBatchNorms,  // those → batch norm with running statistics
	fuseActivations, // conv → relu, linear → relu, batch norm → relu, add → relu
	fuseResiduals,   // batch norm → add (→ relu), convolution with packed weights → add (→ relu)
	placeInConcats,  // convolution (→ relu) → concat
}

// reduced is a network on its way through the passes.
type reduced struct {
	net     *Net
	set     Settings
	wants   []bool // by layer: whether a gradient passes its result
	units   []unit
	outputs []Ref       // what must be had in the end
	alias   map[Ref]Ref // results that equal others
}

func reduce(net *Net, set Settings, outputs []Ref) *reduced {
	r := &reduced{net: net, set: set, outputs: outputs, alias: map[Ref]Ref{}}
	var trainable []bool
	if set.Training {
		trainable = set.Trainable
	}
	r.wants = net.WantsGradient(trainable)
	for i, l := range net.Layers {
		r.wants[i] = r.wants[i] || set.inputToo
		r.units = append(r.units, unit{index: i, in: slices.Clone(l.In), out: Ref(i), norm: -1, within: Input})
	}
	for _, p := range passes {
		p(r)
	}
	return r
}

// resolve is the result that stands for x.
func (r *reduced) resolve(x Ref) Ref {
	for {
		y, ok := r.alias[x]
		if !ok {
			return x
		}
		x = y
	}
}

// uses counts how often each result is read, being an output included.
func (r *reduced) uses() map[Ref]int {
	n := map[Ref]int{}
	for _, u := range r.units {
		u.reads(func(x *Ref) { n[*x]++ })
	}
	for _, x := range r.outputs {
		n[r.resolve(x)]++
	}
	return n
}

func (r *reduced) op(u unit) Op { return r.net.Layers[u.index].Op }

// prune removes the units whose results nothing needs: in evaluation those that lead to the auxiliary output alone.
func prune(r *reduced) {
	needed := map[Ref]bool{}
	for _, x := range r.outputs {
		needed[x] = true
	}
	for i := len(r.units) - 1; i >= 0; i-- {
		if u := r.units[i]; needed[u.out] {
			u.reads(func(x *Ref) { needed[*x] = true })
		}
	}
	r.units = slices.DeleteFunc(r.units, func(u unit) bool { return !needed[u.out] })
}

// skipDropout lets the readers of a dropout that does nothing read its input.
func skipDropout(r *reduced) {
	r.units = slices.DeleteFunc(r.units, func(u unit) bool {
		d, ok := r.op(u).(Dropout)
		if !ok || r.set.Training && d.P > 0 {
			return false
		}
		r.alias[u.out] = u.in[0]
		return true
	})
	for _, u := range r.units {
		u.reads(func(x *Ref) { *x = r.resolve(*x) })
	}
}

// packWeights marks the convolutions that no gradient passes: nothing that is trained, and in evaluation nothing at all,
// is in them or before them.
func packWeights(r *reduced) {
	for i, u := range r.units {
		_, conv := r.op(u).(Conv2d)
		r.units[i].packs = conv && !r.wants[u.index]
	}
}

// foldBatchNorms makes a batch norm with running statistics part of the packed weights before it, where nothing else reads
// the convolution's result and no gradient passes. With exact numerics it stays by itself: folded in, it rounds otherwise.
func foldBatchNorms(r *reduced) {
	if r.set.Numerics == kernels.Exact {
		return
	}
	uses, by := r.uses(), r.producers()
	gone := map[int]bool{}
	for i, u := range r.units {
		if _, ok := r.op(u).(BatchNorm2d); !ok || r.wants[u.index] || r.set.batchStats(u.index) {
			continue
		}
		j, ok := by[u.in[0]]
		if !ok || uses[u.in[0]] != 1 || !r.units[j].packs {
			continue
		}
		r.units[j].norm, r.units[j].out = u.index, u.out
		gone[i] = true
	}
	r.remove(gone)
}

// fuseActivations makes an activation part of the operation before it, where nothing else reads that one's result.
func fuseActivations(r *reduced) {
	uses, by := r.uses(), r.producers()
	gone := map[int]bool{}
	for i, u := range r.units {
		a, ok := r.op(u).(Activate)
		if !ok {
			continue
		}
		j, ok := by[u.in[0]]
		if !ok || uses[u.in[0]] != 1 {
			continue
		}
		switch r.op(r.units[j]).(type) {
		case Conv2d, Linear, BatchNorm2d, Add:
			r.units[j].act, r.units[j].out = a.Kind, u.out
			gone[i] = true
		}
	}
	r.remove(gone)
}

// fuseResiduals makes the sum of a batch norm's result and another one part of the batch norm, where nothing else reads
// the former; so too for convolutions with packed weights, where no gradient passes the sum: they have none to give on.
func fuseResiduals(r *reduced) {
	uses, by := r.uses(), r.producers()
	gone := map[int]bool{}
	for i, u := range r.units {
		if _, ok := r.op(u).(Add); !ok || len(u.in) != 2 {
			continue
		}
		for side, x := range u.in {
			j, ok := by[x]
			if !ok || uses[x] != 1 {
				continue
			}
			b := r.units[j]
			_, norm := r.op(b).(BatchNorm2d)
			if !norm && (!b.packs || r.wants[u.index]) || b.act != kernels.Identity || b.hasResidual {
				continue
			}
			b.out, b.act, b.hasResidual, b.residual = u.out, u.act, true, u.in[1-side]
			r.units[i] = b // here, where both are there
			gone[j] = true
			break
		}
	}
	r.remove(gone)
}

// placeInConcats lets convolutions whose result nothing but a concatenation reads write it there, so that it need not be
// copied.
func placeInConcats(r *reduced) {
	uses, by := r.uses(), r.producers()
	for _, u := range r.units {
		if _, ok := r.op(u).(Concat); !ok {
			continue
		}
		from := 0
		for _, x := range u.in {
			if j, ok := by[x]; ok && uses[x] == 1 {
				if _, conv := r.op(r.units[j]).(Conv2d); conv && !r.units[j].hasResidual {
					r.units[j].within, r.units[j].from = u.out, from
				}
			}
			from += r.net.shape(x).C
		}
	}
}

// producers is the unit that makes each result, by its place in r.units.
func (r *reduced) producers() map[Ref]int {
	by := map[Ref]int{}
	for i, u := range r.units {
		by[u.out] = i
	}
	return by
}

func (r *reduced) remove(gone map[int]bool) {
	kept := r.units[:0]
	for i, u := range r.units {
		if !gone[i] {
			kept = append(kept, u)
		}
	}
	r.units = kept
}
