package nn

import "slices"

// What a run will cost, from shapes alone.
//
// Where a method takes trainable, that says of each entry of Net.Params whether it is trained, and may be nil for
// evaluation; batchStats says of each layer whether it is a batch norm that uses, and moves, batch statistics.

// Count is a number of elements.
type Count struct {
	Total     int64 // of all weights
	Trainable int64 // of the trained ones
	Moving    int64 // of running means and variances that training changes
}

// Count counts parameters and the buffers that training changes.
func (n *Net) Count(trainable, batchStats []bool) Count {
	var c Count
	for i, p := range n.Params {
		size := int64(p.Len())
		switch {
		case p.Kind == Weight:
			c.Total += size
			if trainable != nil && trainable[i] {
				c.Trainable += size
			}
		case p.Kind == Buffer && batchStats != nil && batchStats[p.Layer]:
			c.Moving += size
		}
	}
	return c
}

// Work is the arithmetic for one picture in multiply-adds of convolutions and linear layers: the unit of torchvision's
// "GFLOPS". One of them is two floating-point operations.
type Work struct {
	Forward  int64
	Backward int64 // gradients of parameters and, where something before wants it, of activations
}

// Work counts the arithmetic of one picture.
func (n *Net) Work(trainable []bool) Work {
	var w Work
	needed := n.Needed(trainable != nil)
	wants := n.WantsGradient(trainable)
	for i, l := range n.Layers {
		macs := n.work(i)
		if !needed[i] || macs == 0 {
			continue
		}
		w.Forward += macs
		if trainable != nil && trainable[l.Params[0]] {
			w.Backward += macs
		}
		if x := l.In[0]; x != Input && wants[x] {
			w.Backward += macs
		}
	}
	return w
}

// work is the multiply-adds of a layer for one picture; 0 but for convolutions and linear layers.
func (n *Net) work(layer int) int64 {
	l := n.Layers[layer]
	if len(l.Params) == 0 {
		return 0
	}
	weight := n.Params[l.Params[0]]
	if len(weight.Shape) < 2 {
		return 0
	}
	return int64(weight.Len()) * int64(l.Out.H*l.Out.W)
}

// Needed says which layers have to run: those that lead to the logits and, in training, to the auxiliary output.
func (n *Net) Needed(training bool) []bool {
	needed := make([]bool, len(n.Layers))
	needed[n.Logits] = true
	if training && n.Aux != Input {
		needed[n.Aux] = true
	}
	for i, l := range slices.Backward(n.Layers) {
		for _, x := range l.In {
			if needed[i] && x != Input {
				needed[x] = true
			}
		}
	}
	return needed
}

// WantsGradient says for which layers' results the backward pass computes a gradient: those in which a trained parameter
// has a part.
func (n *Net) WantsGradient(trainable []bool) []bool {
	wants := make([]bool, len(n.Layers))
	if trainable == nil {
		return wants
	}
	for i, l := range n.Layers {
		wants[i] = slices.ContainsFunc(l.Params, func(p int) bool { return trainable[p] }) ||
			slices.ContainsFunc(l.In, func(x Ref) bool { return x != Input && wants[x] })
	}
	return wants
}
