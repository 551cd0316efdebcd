//go:build gpu

package cuda

import (
	"math"

	"github.com/ftrun/ftrun/internal/kernels"
)

// SGD: w, v ← one step of stochastic gradient descent along g.
func (d *Device) SGD(o kernels.SGD, w, g, v kernels.Buffer) error {
	const op = "SGD"
	n := w.Len()
	ws, gs, vs := d.memory(op, "w", w, n), d.memory(op, "g", g, n), d.optional(op, "v", v, n)
	if vs == 0 && o.Momentum != 0 {
		panic("cuda: SGD with momentum wants v")
	}
	nesterov := 0
	if o.Nesterov {
		nesterov = 1
	}
	return d.launch("sgd", n, ws, gs, vs, o.LR, o.Momentum, o.WeightDecay, nesterov, n)
}

// Adam: w, m, v ← one step of Adam or AdamW along g.
func (d *Device) Adam(o kernels.Adam, w, g, m, v kernels.Buffer) error {
	const op = "Adam"
	n := w.Len()
	s := adamSettings(o)
	return d.launch("adam", n, d.memory(op, "w", w, n), d.memory(op, "g", g, n), d.memory(op, "m", m, n), d.memory(op, "v", v, n),
		s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], n)
}

// adamSettings are what the kernels want to know: the shares of the old and the new in both moments, the rate and the
// second moment's factor with the bias corrections, epsilon, decay, and what decoupled decay leaves of a weight.
func adamSettings(o kernels.Adam) [9]float32 {
	decay, shrink := o.WeightDecay, 1.0
	if o.Decoupled {
		decay, shrink = 0, 1-o.LR*o.WeightDecay
	}
	return [9]float32{
		float32(o.Beta1), float32(1 - o.Beta1), float32(o.Beta2), float32(1 - o.Beta2),
		float32(o.LR / (1 - math.Pow(o.Beta1, float64(o.Step)))), float32(1 / math.Sqrt(1-math.Pow(o.Beta2, float64(o.Step)))),
		float32(o.Eps), float32(decay), float32(shrink),
	}
}
