package nn

import (
	"gorgonia.org/tensor"

	"github.com/ftrun/ftrun/internal/kernels"
)

func (o Linear) lower(at site) *node {
	d := kernels.Linear{N: at.batch, I: at.shapes[0].Len(), O: o.Out}
	return at.apply(linear{d, at.act}, tensor.Shape{d.N, 1, 1, d.O}, append(at.in, at.params...)...)
}

// linear: x (N,I), w (O,I), bias (O) → y (N,O) = act(x·wᵀ + bias).
type linear struct {
	d   kernels.Linear
	act kernels.Activation
}

func (linear) String() string { return "linear" }

func (k linear) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	return dev.LinearForward(k.d, in[0], in[1], in[2], y, k.act)
}

func (k linear) gradient(at place, in []*node, y, dy *node) []*node {
	dy = at.activateBackward(k.act, y, dy)
	grads := make([]*node, len(in))
	if at.wants[in[1]] {
		grads[1] = at.apply(linearBackwardWeights{k.d}, in[1].Shape().Clone(), in[0], dy)
	}
	if at.wants[in[2]] {
		grads[2] = at.sumRows(dy, k.d.O)
	}
	if at.wants[in[0]] {
		grads[0] = at.apply(linearBackwardData{k.d}, in[0].Shape().Clone(), in[1], dy)
	}
	return grads
}

// linearBackwardData: w (O,I), dy (N,O) → dx (N,I).
type linearBackwardData struct{ d kernels.Linear }

func (linearBackwardData) String() string { return "linear backward data" }

func (k linearBackwardData) run(dev kernels.Device, in []kernels.Buffer, dx kernels.Buffer) error {
	return dev.LinearBackwardData(k.d, in[0], in[1], dx)
}

// linearBackwardWeights: x (N,I), dy (N,O) → dw (O,I).
type linearBackwardWeights struct{ d kernels.Linear }

func (linearBackwardWeights) String() string { return "linear backward weights" }

func (k linearBackwardWeights) run(dev kernels.Device, in []kernels.Buffer, dw kernels.Buffer) error {
	return dev.LinearBackwardWeights(k.d, in[0], in[1], dw)
}
