package cpu

import (
	"math"

	"github.com/ftrun/ftrun/internal/kernels"
)

// SGD: w, v ← one step of stochastic gradient descent along g.
func (d *Device) SGD(o kernels.SGD, w, g, v kernels.Buffer) error {
	ws := floats(w, w.Len())
	gs, vs := floats(g, len(ws)), optional(v, len(ws))
	s := d.streams()
	if vs == nil {
		if o.Momentum != 0 {
			panic("cpu: SGD with momentum wants v")
		}
		d.eachElement(len(ws), func(from, to int) { s.sgd(&ws[from], &gs[from], to-from, o.LR, o.WeightDecay) })
		return nil
	}
	ofG, ofV := float32(0), float32(1)
	if o.Nesterov {
		ofG, ofV = 1, o.Momentum
	}
	d.eachElement(len(ws), func(from, to int) {
		s.sgdMomentum(&ws[from], &gs[from], &vs[from], to-from, o.LR, o.Momentum, o.WeightDecay, ofG, ofV)
	})
	return nil
}

// Adam: w, m, v ← one step of Adam or AdamW along g.
func (d *Device) Adam(o kernels.Adam, w, g, m, v kernels.Buffer) error {
	ws := floats(w, w.Len())
	gs, ms, vs := floats(g, len(ws)), floats(m, len(ws)), floats(v, len(ws))
	step := float32(o.LR / (1 - math.Pow(o.Beta1, float64(o.Step))))
	unbias := float32(1 / math.Sqrt(1-math.Pow(o.Beta2, float64(o.Step))))
	decay, shrink := float32(o.WeightDecay), float32(1)
	if o.Decoupled {
		decay, shrink = 0, float32(1-o.LR*o.WeightDecay)
	}
	s := d.streams()
	d.eachElement(len(ws), func(from, to int) {
		s.adam(&ws[from], &gs[from], &ms[from], &vs[from], to-from, float32(o.Beta1), float32(1-o.Beta1), float32(o.Beta2),
			float32(1-o.Beta2), step, unbias, float32(o.Eps), decay, shrink)
	})
	return nil
}
