package nn

import (
	"gorgonia.org/tensor"

	"github.com/ftrun/ftrun/internal/kernels"
)

// loss adds the cross-entropy of logits; its gradient is multiplied by scale.
func (p place) loss(d kernels.CrossEntropy, scale float32, logits, labels, weights *node) *node {
	in := []*node{logits, labels}
	if weights != nil {
		in = append(in, weights)
	}
	return p.apply(crossEntropy{d, scale}, tensor.Shape{d.N*d.Classes + 1}, in...)
}

// crossEntropy: logits (N,Classes), labels (N), weights (Classes), which may be missing → y (N·Classes + 1), the softmax
// of the logits and behind it the loss.
type crossEntropy struct {
	d     kernels.CrossEntropy
	scale float32
}

func (crossEntropy) String() string { return "cross-entropy" }

func (k crossEntropy) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	n := k.d.N * k.d.Classes
	return dev.CrossEntropyForward(k.d, in[0], in[1], third(in), y.Slice(n, n+1), y.Slice(0, n))
}

func (k crossEntropy) gradient(at place, in []*node, y, _ *node) []*node {
	grads := make([]*node, len(in))
	if at.wants[in[0]] {
		prob := at.part(y, 0, k.d.N*k.d.Classes)
		grads[0] = at.apply(crossEntropyBackward(k), in[0].Shape().Clone(), append([]*node{prob}, in[1:]...)...)
	}
	return grads
}

// crossEntropyBackward: prob (N,Classes), labels (N), weights (Classes), which may be missing → dlogits (N,Classes).
type crossEntropyBackward struct {
	d     kernels.CrossEntropy
	scale float32
}

func (crossEntropyBackward) String() string { return "cross-entropy backward" }

func (k crossEntropyBackward) run(dev kernels.Device, in []kernels.Buffer, dlogits kernels.Buffer) error {
	return dev.CrossEntropyBackward(k.d, in[0], in[1], third(in), k.scale, dlogits)
}
