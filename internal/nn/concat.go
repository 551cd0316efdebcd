package nn

import (
	"gorgonia.org/tensor"

	"github.com/ftrun/ftrun/internal/kernels"
)

// joint is the result of a concatenation, in which results that only the concatenation reads lie from the start: the
// memory plan gives them their channels of it (see placed), and nothing is copied.
type joint struct {
	m, c  int
	parts map[*node]piece
	block *block // its place, once the memory plan has come to the first part
}

// piece is a result that lies in a joint.
type piece struct {
	from int // its first channel
	act  kernels.Activation
}

func newJoint(batch int, out Shape) *joint {
	return &joint{m: batch * out.H * out.W, c: out.C, parts: map[*node]piece{}}
}

// placed is a kernel whose result lies in a joint, or is one, from an element on.
type placed interface {
	lies() (j *joint, from int) // nil: nowhere
}

func (o Concat) lower(at site) *node {
	k := concat{whole: at.joint, c: make([]int, len(at.in)), act: make([]kernels.Activation, len(at.in)),
		inside: make([]bool, len(at.in))}
	for i, s := range at.shapes {
		k.c[i] = s.C
		if p, ok := at.joint.parts[at.in[i]]; ok {
			k.inside[i], k.act[i] = true, p.act
		}
	}
	return at.apply(k, tensor.Shape{at.batch, at.out.H, at.out.W, at.out.C}, at.in...)
}

// concat: xs (M,Cᵢ) → y (M,ΣCᵢ), side by side.
type concat struct {
	whole  *joint
	c      []int
	inside []bool               // by input: whether it lies in y already
	act    []kernels.Activation // and the activation that made it, whose gradient is the concatenation's to compute
}

func (concat) String() string               { return "concat" }
func (k concat) lies() (j *joint, from int) { return k.whole, 0 }

func (k concat) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	at := 0
	for i, x := range in {
		if !k.inside[i] {
			if err := dev.CopyChannels(k.whole.m, k.c[i], x, k.c[i], 0, y, k.whole.c, at); err != nil {
				return err
			}
		}
		at += k.c[i]
	}
	return nil
}

func (k concat) gradient(at place, in []*node, y, dy *node) []*node {
	grads := make([]*node, len(in))
	from := 0
	for i, n := range in {
		if at.wants[n] {
			grads[i] = at.channels(channels{k.act[i], k.whole.m, k.c[i], k.whole.c, from}, n, y, dy)
		}
		from += k.c[i]
	}
	return grads
}

// channels adds k; y is not kept for it where it does not read it.
func (p place) channels(k channels, x, y, dy *node) *node {
	if k.act == kernels.Identity {
		return p.apply(k, x.Shape().Clone(), dy)
	}
	return p.apply(k, x.Shape().Clone(), dy, y)
}

// channels: dy (M,C) and, but for Identity, y (M,C) → dx (M,n), n channels of dy·act′(y) from the given one.
type channels struct {
	act           kernels.Activation
	m, n, c, from int
}

func (channels) String() string { return "channels" }

func (k channels) run(dev kernels.Device, in []kernels.Buffer, dx kernels.Buffer) error {
	if k.act == kernels.Identity {
		return dev.CopyChannels(k.m, k.n, in[0], k.c, k.from, dx, k.n, 0)
	}
	return dev.ActivateBackwardChannels(k.act, k.m, k.n, in[1], in[0], k.c, k.from, dx)
}
