package nn

import (
	"slices"

	"github.com/ftrun/ftrun/internal/kernels"
)

// A run that trains a part of a network computes the rest of it again and again with the same result. Cut finds where
// that rest ends, Before and After take the network apart there.

// Cut is a place where a network falls into two parts, with one result between them.
type Cut struct {
	At    Ref   // the result: a picture's features
	Shape Shape // theirs
	Work  int64 // multiply-adds that make them, for one picture: those that need not be done again
}

// worthByte is how many multiply-adds, at least, one byte of features must save. A core of today does about that many in
// the time that it takes to read a byte from a disk: features that are large and cheap, as those of a first convolution
// are, are computed sooner than read.
const worthByte = 64

// Cut finds the place up to which a picture's results are the same in every step: no trained parameter lies before it, no
// batch norm whose statistics move, and, in training, no dropout. Everything after it that trains reads nothing else of
// what is before. Of several such places it is the one that saves the most work beyond the reading. ok is false where none
// saves any.
//
// trainable goes by index in Params, batchStats by index in Layers; see Settings. In evaluation dropout is nothing, so
// that the cut may lie later than in training.
func (n *Net) Cut(training bool, trainable, batchStats []bool) (cut Cut, ok bool) {
	fixed := n.fixed(training, trainable, batchStats)
	outputs := n.outputs(training)
	// Only the results of units: what is fused into one must not be torn apart. Exact numerics fuse less.
	set := Settings{Training: training, Numerics: kernels.Default, Trainable: trainable, BatchStats: batchStats}
	units := reduce(n, set, outputs).units

	const end = int(^uint(0) >> 1)
	last := map[Ref]int{} // the last unit that reads a result, by its place
	for i, u := range units {
		u.reads(func(x *Ref) { last[*x] = i })
	}
	for _, x := range outputs {
		last[x] = end
	}
	crossing := last[Input] // the last reader of all that was made before unit i
	work, best := int64(0), int64(0)
	for i, u := range units {
		if !fixed[u.out] {
			break // what is fixed beyond it stands beside it: both are reached from an earlier result
		}
		work += n.work(u.index)
		// A reader beyond unit i of anything but its result would be cut off.
		if crossing <= i && last[u.out] != end {
			shape := n.Layers[u.out].Out
			if saved := work - worthByte*4*int64(shape.Len()); saved >= max(best, 1) {
				cut, ok, best = Cut{u.out, shape, work}, true, saved
			}
		}
		crossing = max(crossing, last[u.out])
	}
	return cut, ok
}

// FirstChange is the first layer, in order of execution, that training changes: that has a trained parameter, or statistics
// that move. ok is false where nothing does.
func (n *Net) FirstChange(trainable, batchStats []bool) (layer int, ok bool) {
	for i, l := range n.Layers {
		if batchStats != nil && batchStats[i] || slices.ContainsFunc(l.Params, func(p int) bool { return trainable[p] }) {
			return i, true
		}
	}
	return 0, false
}

// fixed says which layers' results are the same in every step.
func (n *Net) fixed(training bool, trainable, batchStats []bool) []bool {
	fixed := make([]bool, len(n.Layers))
	for i, l := range n.Layers {
		fixed[i] = batchStats == nil || !batchStats[i]
		if d, ok := l.Op.(Dropout); ok && training && d.P > 0 {
			fixed[i] = false
		}
		for _, p := range l.Params {
			fixed[i] = fixed[i] && !trainable[p]
		}
		for _, x := range l.In {
			fixed[i] = fixed[i] && (x == Input || fixed[x])
		}
	}
	return fixed
}

// outputs are the results that a training step, or an evaluation, is for.
func (n *Net) outputs(training bool) []Ref {
	if training && n.Aux != Input {
		return []Ref{n.Logits, n.Aux}
	}
	return []Ref{n.Logits}
}

// Before is the part of the network that leads to the result x, which it has in place of logits. Layers and parameters keep
// their indices, so that a ParamStore of the whole network serves its parts.
func (n *Net) Before(x Ref) *Net {
	part := *n
	part.Logits, part.Aux = x, Input
	return &part
}

// After is the part of the network that the result x leads to, and has x as its input. Everything else must be reached
// through x: see Cut. Layers and parameters keep their indices, as with Before.
func (n *Net) After(x Ref) *Net {
	part := *n
	part.Input = n.Layers[x].Out
	part.Layers = make([]Layer, len(n.Layers))
	for i, l := range n.Layers {
		in := make([]Ref, len(l.In))
		for j, y := range l.In {
			if in[j] = y; y == x {
				in[j] = Input
			}
		}
		l.In = in
		part.Layers[i] = l
	}
	return &part
}

// Name is the name of a result: that of torchvision's module, "features.12".
func (n *Net) Name(x Ref) string { return n.Layers[x].Name }
