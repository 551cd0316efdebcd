package nn

import "github.com/ftrun/ftrun/internal/kernels"

func (o Activate) lower(at site) *node {
	return at.apply(activation{o.Kind}, at.in[0].Shape().Clone(), at.in[0])
}

// activation: x → y = act(x). Most activations are part of the operation before them; see fuse.go.
type activation struct{ act kernels.Activation }

func (k activation) String() string  { return k.act.String() }
func (activation) overwrites() []int { return []int{0} }

func (k activation) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	return dev.Activate(k.act, in[0], y)
}

func (k activation) gradient(at place, _ []*node, y, dy *node) []*node {
	return []*node{at.activateBackward(k.act, y, dy)}
}

// activateBackward is the derivative by act's argument, from its result y and the derivative dy by that.
func (p place) activateBackward(act kernels.Activation, y, dy *node) *node {
	if act == kernels.Identity {
		return dy
	}
	return p.apply(activationBackward{act}, y.Shape().Clone(), y, dy)
}

// activationBackward: y, dy → dx = dy·act′.
type activationBackward struct{ act kernels.Activation }

func (k activationBackward) String() string  { return k.act.String() + " backward" }
func (activationBackward) overwrites() []int { return []int{1} }

func (k activationBackward) run(dev kernels.Device, in []kernels.Buffer, dx kernels.Buffer) error {
	return dev.ActivateBackward(k.act, in[0], in[1], dx)
}
