package nn

import "github.com/ftrun/ftrun/internal/kernels"

func (o Flatten) lower(at site) *node {
	x := at.shapes[0]
	if x.H*x.W == 1 || x.C == 1 {
		return at.apply(reshape{x.Len() * at.batch}, at.result(), at.in[0])
	}
	return at.apply(flatten{at.batch, x.H, x.W, x.C}, at.result(), at.in[0])
}

// flatten: x (N,H,W,C) → y (N,C·H·W), in torch's order.
type flatten struct{ n, h, w, c int }

func (flatten) String() string { return "flatten" }

func (k flatten) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	return dev.ToNCHW(k.n, k.h, k.w, k.c, in[0], y)
}

func (k flatten) gradient(at place, in []*node, _, dy *node) []*node {
	return []*node{at.apply(unflatten(k), in[0].Shape().Clone(), dy)}
}

// unflatten: x (N,C·H·W) → y (N,H,W,C).
type unflatten struct{ n, h, w, c int }

func (unflatten) String() string { return "unflatten" }

func (k unflatten) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	return dev.FromNCHW(k.n, k.h, k.w, k.c, in[0], y)
}

// reshape: x → y, the same elements in another shape, without a copy.
type reshape struct{ size int }

func (reshape) String() string                                             { return "reshape" }
func (k reshape) view() (lo, hi int)                                       { return 0, k.size }
func (reshape) run(kernels.Device, []kernels.Buffer, kernels.Buffer) error { return nil }

func (k reshape) gradient(at place, in []*node, _, dy *node) []*node {
	return []*node{at.apply(k, in[0].Shape().Clone(), dy)}
}
