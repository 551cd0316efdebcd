package nn

import (
	"gorgonia.org/tensor"

	"github.com/ftrun/ftrun/internal/kernels"
)

func (o Conv2d) lower(at site) *node {
	k, in := conv{d: o.shape(at), act: at.act, whole: at.joint, from: at.from}, at.in
	if k.whole != nil {
		k.d.StepY = k.whole.c
	}
	var y *node
	shape := tensor.Shape{at.batch, at.out.H, at.out.W, at.out.C}
	if at.packed == nil {
		y = at.apply(k, shape, append(in, at.params...)...)
	} else {
		in = append(in, at.packedConv(k.d)...)
		if at.residual != nil {
			in = append(in, at.residual)
		}
		y = at.apply(packedConvForward{conv: k, biased: at.packed.bias != nil, residual: at.residual != nil}, shape, in...)
	}
	if k.whole != nil {
		k.whole.parts[y] = piece{k.from, k.act}
	}
	return y
}

// shape is the shape of the convolution for the device.
func (o Conv2d) shape(at site) kernels.Conv {
	x, s := at.shapes[0], o.stride()
	return kernels.Conv{
		N: at.batch, H: x.H, W: x.W, C: x.C,
		K: o.Out, R: o.Kernel[0], S: o.Kernel[1],
		StrideH: s[0], StrideW: s[1], PadH: o.Padding[0], PadW: o.Padding[1],
		Groups: o.groups(), Numerics: at.numerics,
	}
}

// conv: x (N,H,W,C), w (R,S,C/G,K), bias (K), which may be missing → y (N,P,Q,K) = act(conv(x, w) + bias).
type conv struct {
	d     kernels.Conv
	act   kernels.Activation
	whole *joint // in which y lies from a channel on, or nil
	from  int
}

func (conv) String() string                   { return "conv" }
func (k conv) lies() (whole *joint, from int) { return k.whole, k.from }

func (k conv) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	return dev.ConvForward(k.d, in[0], in[1], third(in), y, k.act)
}

func (k conv) gradient(at place, in []*node, y, dy *node) []*node {
	if k.whole == nil { // else the concatenation has done it
		dy = at.activateBackward(k.act, y, dy)
	}
	k.d.StepY = 0
	grads := make([]*node, len(in))
	if at.wants[in[1]] {
		grads[1] = at.apply(convBackwardWeights{k.d}, in[1].Shape().Clone(), in[0], dy)
	}
	if len(in) == 3 && at.wants[in[2]] {
		grads[2] = at.sumRows(dy, k.d.K)
	}
	if at.wants[in[0]] {
		grads[0] = at.apply(convBackwardData{k.d}, in[0].Shape().Clone(), in[1], dy)
	}
	return grads
}

// packedConvForward: x (N,H,W,C), packed weights, bias (K) and residual (N,P,Q,K), each of which may be missing
// → y (N,P,Q,K) = act(conv(x, w) + bias + residual). It has no gradient: see packedConv.
type packedConvForward struct {
	conv             conv
	biased, residual bool
}

func (packedConvForward) String() string                   { return "packed conv" }
func (k packedConvForward) lies() (whole *joint, from int) { return k.conv.lies() }

func (k packedConvForward) overwrites() []int {
	switch {
	case !k.residual:
		return nil
	case k.biased:
		return []int{3}
	}
	return []int{2}
}

func (k packedConvForward) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	var bias, residual kernels.Buffer
	if k.biased {
		bias = in[2]
	}
	if k.residual {
		residual = in[len(in)-1]
	}
	return dev.ConvForwardPacked(k.conv.d, in[0], in[1], bias, residual, y, k.conv.act)
}

// convBackwardData: w (R,S,C/G,K), dy (N,P,Q,K) → dx (N,H,W,C).
type convBackwardData struct{ d kernels.Conv }

func (convBackwardData) String() string { return "conv backward data" }

func (k convBackwardData) run(dev kernels.Device, in []kernels.Buffer, dx kernels.Buffer) error {
	return dev.ConvBackwardData(k.d, in[0], in[1], dx)
}

// convBackwardWeights: x (N,H,W,C), dy (N,P,Q,K) → dw (R,S,C/G,K).
type convBackwardWeights struct{ d kernels.Conv }

func (convBackwardWeights) String() string { return "conv backward weights" }

func (k convBackwardWeights) run(dev kernels.Device, in []kernels.Buffer, dw kernels.Buffer) error {
	return dev.ConvBackwardWeights(k.d, in[0], in[1], dw)
}

// sumRows is the gradient of a bias (C): the sum of dy (M,C) over its rows.
func (p place) sumRows(dy *node, c int) *node {
	return p.apply(sumRows{m: dy.Shape().TotalSize() / c, c: c}, tensor.Shape{c}, dy)
}

// sumRows: x (M,C) → y (C).
type sumRows struct{ m, c int }

func (sumRows) String() string { return "sum rows" }

func (k sumRows) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	return dev.SumRows(k.m, k.c, in[0], y)
}
