package ref

import (
	"math"

	"github.com/ftrun/ftrun/internal/kernels"
)

// SGD: w, v ← one step of stochastic gradient descent along g.
func (Device) SGD(o kernels.SGD, w, g, v kernels.Buffer) error {
	const op = "SGD"
	ws := slice(op, "w", w, w.Len())
	gs, vs := slice(op, "g", g, len(ws)), optional(op, "v", v, len(ws))
	if vs == nil && o.Momentum != 0 {
		panic("ref: SGD: momentum wants v")
	}
	lr, momentum, decay := float64(o.LR), float64(o.Momentum), float64(o.WeightDecay)
	for i := range ws {
		grad := float64(gs[i]) + decay*float64(ws[i])
		step := grad
		if vs != nil {
			velocity := momentum*float64(vs[i]) + grad
			vs[i] = float32(velocity)
			step = velocity
			if o.Nesterov {
				step = grad + momentum*velocity
			}
		}
		ws[i] = float32(float64(ws[i]) - lr*step)
	}
	return nil
}

// Adam: w, m, v ← one step of Adam or AdamW along g.
func (Device) Adam(o kernels.Adam, w, g, m, v kernels.Buffer) error {
	const op = "Adam"
	ws := slice(op, "w", w, w.Len())
	gs, ms, vs := slice(op, "g", g, len(ws)), slice(op, "m", m, len(ws)), slice(op, "v", v, len(ws))
	stepSize := o.LR / (1 - math.Pow(o.Beta1, float64(o.Step)))
	rootCorrection := math.Sqrt(1 - math.Pow(o.Beta2, float64(o.Step)))
	for i := range ws {
		weight, grad := float64(ws[i]), float64(gs[i])
		if o.Decoupled {
			weight -= o.LR * o.WeightDecay * weight
		} else {
			grad += o.WeightDecay * weight
		}
		first := o.Beta1*float64(ms[i]) + (1-o.Beta1)*grad
		second := o.Beta2*float64(vs[i]) + (1-o.Beta2)*grad*grad
		ms[i], vs[i] = float32(first), float32(second)
		ws[i] = float32(weight - stepSize*first/(math.Sqrt(second)/rootCorrection+o.Eps))
	}
	return nil
}
