package nn

import (
	"gorgonia.org/tensor"

	"github.com/ftrun/ftrun/internal/kernels"
)

func (o Concat) lower(at site) *node {
	k := concat{m: at.batch * at.out.H * at.out.W, c: make([]int, len(at.in)), sum: at.out.C}
	for i, s := range at.shapes {
		k.c[i] = s.C
	}
	return at.apply(k, tensor.Shape{at.batch, at.out.H, at.out.W, at.out.C}, at.in...)
}

// concat: xs (M,Cᵢ) → y (M,ΣCᵢ), side by side.
type concat struct {
	m   int
	c   []int
	sum int
}

func (concat) String() string { return "concat" }

func (k concat) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	at := 0
	for i, x := range in {
		if err := dev.CopyChannels(k.m, k.c[i], x, k.c[i], 0, y, k.sum, at); err != nil {
			return err
		}
		at += k.c[i]
	}
	return nil
}

func (k concat) gradient(at place, in []*node, _, dy *node) []*node {
	grads := make([]*node, len(in))
	from := 0
	for i, n := range in {
		if at.wants[n] {
			grads[i] = at.apply(channels{k.m, k.c[i], k.sum, from}, n.Shape().Clone(), dy)
		}
		from += k.c[i]
	}
	return grads
}

// channels: x (M,C) → y (M,n), n channels of x from the given one.
type channels struct{ m, n, c, from int }

func (channels) String() string { return "channels" }

func (k channels) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	return dev.CopyChannels(k.m, k.n, in[0], k.c, k.from, y, k.n, 0)
}
