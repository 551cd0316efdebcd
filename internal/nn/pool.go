package nn

import (
	"gorgonia.org/tensor"

	"github.com/ftrun/ftrun/internal/kernels"
)

func (o MaxPool2d) lower(at site) *node {
	return at.apply(maxPool{window(at, o.Kernel, o.Stride, o.Padding)}, at.result(), at.in[0])
}

func (o AvgPool2d) lower(at site) *node {
	return at.apply(avgPool{window(at, o.Kernel, o.Stride, o.Padding)}, at.result(), at.in[0])
}

func (o AdaptiveAvgPool2d) lower(at site) *node {
	x := at.shapes[0]
	d := kernels.Adaptive{N: at.batch, H: x.H, W: x.W, C: x.C, P: o.H, Q: o.W}
	return at.apply(adaptivePool{d}, at.result(), at.in[0])
}

// window is a pooling with square windows.
func window(at site, kernel, stride, padding int) kernels.Pool {
	x := at.shapes[0]
	return kernels.Pool{
		N: at.batch, H: x.H, W: x.W, C: x.C, P: at.out.H, Q: at.out.W,
		R: kernel, S: kernel, StrideH: stride, StrideW: stride, PadH: padding, PadW: padding,
	}
}

// maxPool: x (N,H,W,C) → y (N,P,Q,C), the maximum of each window.
type maxPool struct{ d kernels.Pool }

func (maxPool) String() string { return "max pool" }

func (k maxPool) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	return dev.MaxPoolForward(k.d, in[0], y)
}

func (k maxPool) gradient(at place, in []*node, y, dy *node) []*node {
	return []*node{at.apply(maxPoolBackward(k), in[0].Shape().Clone(), in[0], y, dy)}
}

// maxPoolBackward: x (N,H,W,C), y, dy (N,P,Q,C) → dx (N,H,W,C).
type maxPoolBackward struct{ d kernels.Pool }

func (maxPoolBackward) String() string { return "max pool backward" }

func (k maxPoolBackward) run(dev kernels.Device, in []kernels.Buffer, dx kernels.Buffer) error {
	return dev.MaxPoolBackward(k.d, in[0], in[1], in[2], dx)
}

// avgPool: x (N,H,W,C) → y (N,P,Q,C), the mean of each window.
type avgPool struct{ d kernels.Pool }

func (avgPool) String() string { return "average pool" }

func (k avgPool) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	return dev.AvgPoolForward(k.d, in[0], y)
}

func (k avgPool) gradient(at place, in []*node, _, dy *node) []*node {
	return []*node{at.apply(avgPoolBackward(k), in[0].Shape().Clone(), dy)}
}

// avgPoolBackward: dy (N,P,Q,C) → dx (N,H,W,C).
type avgPoolBackward struct{ d kernels.Pool }

func (avgPoolBackward) String() string { return "average pool backward" }

func (k avgPoolBackward) run(dev kernels.Device, in []kernels.Buffer, dx kernels.Buffer) error {
	return dev.AvgPoolBackward(k.d, in[0], dx)
}

// adaptivePool: x (N,H,W,C) → y (N,P,Q,C), means over P×Q parts of the picture.
type adaptivePool struct{ d kernels.Adaptive }

func (adaptivePool) String() string { return "adaptive average pool" }

func (k adaptivePool) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	return dev.AdaptiveAvgPoolForward(k.d, in[0], y)
}

func (k adaptivePool) gradient(at place, in []*node, _, dy *node) []*node {
	return []*node{at.apply(adaptivePoolBackward(k), in[0].Shape().Clone(), dy)}
}

// adaptivePoolBackward: dy (N,P,Q,C) → dx (N,H,W,C).
type adaptivePoolBackward struct{ d kernels.Adaptive }

func (adaptivePoolBackward) String() string { return "adaptive average pool backward" }

func (k adaptivePoolBackward) run(dev kernels.Device, in []kernels.Buffer, dx kernels.Buffer) error {
	return dev.AdaptiveAvgPoolBackward(k.d, in[0], dx)
}

// result is the shape of the layer's result, (N,P,Q,K).
func (at site) result() tensor.Shape { return tensor.Shape{at.batch, at.out.H, at.out.W, at.out.C} }
