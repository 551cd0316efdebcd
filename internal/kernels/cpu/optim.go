package cpu

import (
	"math"

	"github.com/ftrun/ftrun/internal/kernels"
)

// SGD: w, v ← one step of stochastic gradient descent along g.
func (d *Device) SGD(o kernels.SGD, w, g, v kernels.Buffer) error {
	ws := floats(w, w.Len())
	gs, vs := floats(g, len(ws)), optional(v, len(ws))
	if vs == nil {
		if o.Momentum != 0 {
			panic("cpu: SGD with momentum wants v")
		}
		eachElement(d, len(ws), sgd{ws, gs, o.LR, o.WeightDecay})
		return nil
	}
	t := sgdMomentum{w: ws, g: gs, v: vs, lr: o.LR, momentum: o.Momentum, decay: o.WeightDecay, ofV: 1}
	if o.Nesterov {
		t.ofG, t.ofV = 1, o.Momentum
	}
	eachElement(d, len(ws), t)
	return nil
}

type sgd struct {
	w, g      []float32
	lr, decay float32
}

func (t *sgd) part(s *streams, lo, hi int) { s.sgd(&t.w[lo], &t.g[lo], hi-lo, t.lr, t.decay) }

type sgdMomentum struct {
	w, g, v                       []float32
	lr, momentum, decay, ofG, ofV float32
}

func (t *sgdMomentum) part(s *streams, lo, hi int) {
	s.sgdMomentum(&t.w[lo], &t.g[lo], &t.v[lo], hi-lo, t.lr, t.momentum, t.decay, t.ofG, t.ofV)
}

// Adam: w, m, v ← one step of Adam or AdamW along g.
func (d *Device) Adam(o kernels.Adam, w, g, m, v kernels.Buffer) error {
	ws := floats(w, w.Len())
	gs, ms, vs := floats(g, len(ws)), floats(m, len(ws)), floats(v, len(ws))
	t := adam{
		w: ws, g: gs, m: ms, v: vs,
		keep1: float32(o.Beta1), new1: float32(1 - o.Beta1), keep2: float32(o.Beta2), new2: float32(1 - o.Beta2),
		step:   float32(o.LR / (1 - math.Pow(o.Beta1, float64(o.Step)))),
		unbias: float32(1 / math.Sqrt(1-math.Pow(o.Beta2, float64(o.Step)))),
		eps:    float32(o.Eps), decay: float32(o.WeightDecay), shrink: 1,
	}
	if o.Decoupled {
		t.decay, t.shrink = 0, float32(1-o.LR*o.WeightDecay)
	}
	eachElement(d, len(ws), t)
	return nil
}

type adam struct {
	w, g, m, v                                                 []float32
	keep1, new1, keep2, new2, step, unbias, eps, decay, shrink float32
}

func (t *adam) part(s *streams, lo, hi int) {
	s.adam(&t.w[lo], &t.g[lo], &t.m[lo], &t.v[lo], hi-lo, t.keep1, t.new1, t.keep2, t.new2, t.step, t.unbias, t.eps, t.decay,
		t.shrink)
}
