package nn

import "github.com/ftrun/ftrun/internal/kernels"

func (o Add) lower(at site) *node {
	return at.apply(addition{at.act}, at.in[0].Shape().Clone(), at.in...)
}

// addition: xs of equal shape → y = act(Σ xs).
type addition struct{ act kernels.Activation }

func (addition) String() string    { return "add" }
func (addition) overwrites() []int { return []int{0} }

func (k addition) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	return dev.Add(in, y, k.act)
}

func (k addition) gradient(at place, in []*node, y, dy *node) []*node {
	dy = at.activateBackward(k.act, y, dy)
	grads := make([]*node, len(in))
	for i, n := range in {
		if at.wants[n] {
			grads[i] = dy
		}
	}
	return grads
}
