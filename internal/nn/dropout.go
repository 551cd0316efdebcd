package nn

import "github.com/ftrun/ftrun/internal/kernels"

func (o Dropout) lower(at site) *node {
	k := dropout{p: o.P, key: dropoutKey(at.seed, at.layer), step: &at.graph.step}
	return at.apply(k, at.in[0].Shape().Clone(), at.in[0])
}

// dropout: x → y, zero with probability p, else x/(1−p). The gradient is the same function of dy: what is kept follows
// from the key and the step, so that no mask need be stored.
type dropout struct {
	p    float32
	key  kernels.DropoutKey
	step *uint64
}

func (dropout) String() string    { return "dropout" }
func (dropout) overwrites() []int { return []int{0} }

func (k dropout) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	k.key.Step = *k.step
	return dev.Dropout(k.p, k.key, in[0], y)
}

func (k dropout) gradient(at place, _ []*node, _, dy *node) []*node {
	return []*node{at.apply(k, dy.Shape().Clone(), dy)}
}
