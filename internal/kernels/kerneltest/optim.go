package kerneltest

import (
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

func (s *suite) sgd(t *testing.T) {
	tests := []struct {
		name string
		o    kernels.SGD
		noV  bool
	}{
		{"plain", kernels.SGD{LR: 0.1}, true},
		{"decay", kernels.SGD{LR: 0.1, WeightDecay: 0.05}, true},
		{"momentum 0 with v", kernels.SGD{LR: 0.1, WeightDecay: 0.05}, false},
		{"momentum", kernels.SGD{LR: 0.1, Momentum: 0.9}, false},
		{"momentum and decay", kernels.SGD{LR: 0.1, Momentum: 0.9, WeightDecay: 0.05}, false},
		{"nesterov", kernels.SGD{LR: 0.1, Momentum: 0.8, WeightDecay: 0.05, Nesterov: true}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, n := range lengths {
				r := newSource("sgd")
				w, g, v := r.normal(n), r.normal(n), r.normal(n)
				if test.noV {
					v = nil
				}
				s.check(t, call{
					args: []arg{{name: "w", data: w, role: inout}, {name: "g", data: g}, {name: "v", data: v, role: inout}},
					run: func(d kernels.Device, b []kernels.Buffer) error {
						return d.SGD(test.o, b[0], b[1], b[2])
					},
				}, pointwise)
			}
		})
	}
}

func (s *suite) adam(t *testing.T) {
	base := kernels.Adam{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 1}
	tests := []struct {
		name   string
		change func(o *kernels.Adam)
		fresh  bool // m and v zero, as at the first step
	}{
		{"first step", func(*kernels.Adam) {}, true},
		{"first step with decay", func(o *kernels.Adam) { o.WeightDecay = 0.1 }, true},
		{"decoupled", func(o *kernels.Adam) { o.WeightDecay, o.Decoupled, o.Step = 0.1, true, 7 }, false},
		{"late step", func(o *kernels.Adam) { o.Step, o.WeightDecay = 100000, 0.01 }, false},
		{"large epsilon", func(o *kernels.Adam) { o.Eps, o.Step = 0.5, 3 }, false},
		{"other betas", func(o *kernels.Adam) { o.Beta1, o.Beta2, o.Step = 0.5, 0.9, 2 }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := base
			test.change(&o)
			for _, n := range lengths {
				r := newSource("adam")
				w, g, m, v := r.normal(n), r.normal(n), r.normal(n), r.uniform(n, 0.01, 2)
				if test.fresh {
					m, v = zeros(n), zeros(n)
				}
				g[0] = 0
				s.check(t, call{
					args: []arg{
						{name: "w", data: w, role: inout},
						{name: "g", data: g},
						{name: "m", data: m, role: inout},
						{name: "v", data: v, role: inout},
					},
					run: func(d kernels.Device, b []kernels.Buffer) error {
						return d.Adam(o, b[0], b[1], b[2], b[3])
					},
				}, pointwise)
			}
		})
	}
}
