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

// Activations is the number of elements that one picture, the results and the gradients take up together when they take
// up most: an estimate of what a memory plan reaches that frees what nothing needs any more, and computes batch norm,
// activations, dropout and sums in place where it can. Gradients of parameters are not in it.
func (n *Net) Activations(trainable, batchStats []bool) int64 {
	needed := n.Needed(trainable != nil)
	wants := n.WantsGradient(trainable)
	consumers := make([][]int, len(n.Layers))
	for i, l := range n.Layers {
		for _, x := range l.In {
			if needed[i] && x != Input {
				consumers[x] = append(consumers[x], i)
			}
		}
	}
	// kept is when, after the forward pass, a layer's result is read for the last time; layer i runs at time i, and
	// backward at backward(i).
	backward := func(i int) int { return 2*len(n.Layers) - 1 - i }
	kept := make([]int, len(n.Layers))
	for i, l := range n.Layers {
		if !needed[i] || !wants[i] {
			continue
		}
		input, result := n.rereads(i, wants, trainable, batchStats)
		if x := l.In[0]; input && x != Input {
			kept[x] = max(kept[x], backward(i))
		}
		if result {
			kept[i] = max(kept[i], backward(i))
		}
	}

	type span struct {
		from, to int
		size     int64
	}
	spans := make([]span, 0, 2*len(n.Layers))
	place := make([]int, len(n.Layers)) // of a layer's result, its index in spans
	for i, l := range n.Layers {
		if !needed[i] {
			continue
		}
		to := max(i, kept[i])
		for _, j := range consumers[i] {
			to = max(to, j)
		}
		if x := l.In[0]; inPlace(l.Op) && x != Input && len(consumers[x]) == 1 && kept[x] == 0 {
			place[i] = place[x]
			spans[place[i]].to = to
			continue
		}
		place[i] = len(spans)
		spans = append(spans, span{i, to, int64(l.Out.Len())})
	}
	gradient := make([]int, len(n.Layers)) // of the gradient by a layer's result, its index in spans
	for i, l := range slices.Backward(n.Layers) {
		if !needed[i] || !wants[i] {
			continue
		}
		from := backward(i)
		if len(consumers[i]) > 0 {
			from = backward(slices.Max(consumers[i]))
		}
		if c := consumers[i]; len(c) == 1 && inPlace(n.Layers[c[0]].Op) && n.Layers[c[0]].In[0] == Ref(i) {
			gradient[i] = gradient[c[0]]
			spans[gradient[i]].to = backward(i)
			continue
		}
		gradient[i] = len(spans)
		spans = append(spans, span{from, backward(i), int64(l.Out.Len())})
	}

	change := make([]int64, 2*len(n.Layers)+1)
	for _, s := range spans {
		change[s.from] += s.size
		change[s.to+1] -= s.size
	}
	now := int64(n.Input.Len())
	most := now
	for _, c := range change {
		now += c
		most = max(most, now)
	}
	return most
}

// rereads says whether the backward pass of layer i reads its first input and its result.
func (n *Net) rereads(i int, wants, trainable, batchStats []bool) (input, result bool) {
	l := n.Layers[i]
	switch l.Op.(type) {
	case Conv2d, Linear:
		return trainable[l.Params[0]], false
	case BatchNorm2d:
		return trainable[l.Params[0]] || batchStats != nil && batchStats[i], false
	case Activate:
		return false, true
	case MaxPool2d:
		return true, true
	}
	return false, false
}

// inPlace says whether a result may take the place of the first input, and the input's gradient that of the result's.
func inPlace(op Op) bool {
	switch op.(type) {
	case BatchNorm2d, Activate, Dropout, Add:
		return true
	}
	return false
}
