package kerneltest

import (
	"fmt"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// linearCases are shapes of fully connected layers for any number of rows: heads, the hidden layers of alexnet and vgg
// cut down, and sizes beside the vector widths.
var linearCases = []kernels.Linear{
	{I: 512, O: 2}, {I: 1, O: 1}, {I: 2, O: 3}, {I: 15, O: 17}, {I: 16, O: 16}, {I: 17, O: 15}, {I: 33, O: 48}, {I: 48, O: 33},
	{I: 130, O: 70}, {I: 2304, O: 65}, {I: 1051, O: 131}, {I: 65, O: 1000},
}

func linearName(d kernels.Linear) string { return fmt.Sprintf("%d to %d", d.I, d.O) }

func (s *suite) linearForward(t *testing.T) {
	for _, test := range linearCases {
		t.Run(linearName(test), func(t *testing.T) {
			build := func(n int, act kernels.Activation, biased bool) call {
				d, r := kernels.Linear{N: n, I: test.I, O: test.O}, newSource(linearName(test))
				var bias []float32
				if biased {
					bias = r.normal(d.O)
				}
				return call{
					args: []arg{
						{name: "w", data: r.normal(d.O * d.I)},
						{name: "bias", data: bias},
						{name: "x", data: r.normal(d.N * d.I), batched: true},
						{name: "y", data: zeros(d.N * d.O), role: out, batched: true},
					},
					run: func(dev kernels.Device, b []kernels.Buffer) error {
						return dev.LinearForward(d, b[2], b[0], b[1], b[3], act)
					},
				}
			}
			for _, act := range activations {
				s.check(t, build(5, act, true), convolution)
			}
			s.check(t, build(5, kernels.Identity, false), convolution)
			s.checkBatches(t, batches, convolution, func(n int) call { return build(n, kernels.ReLU, true) })
		})
	}
}

func (s *suite) linearBackwardData(t *testing.T) {
	for _, test := range linearCases {
		t.Run(linearName(test), func(t *testing.T) {
			build := func(n int) call {
				d, r := kernels.Linear{N: n, I: test.I, O: test.O}, newSource(linearName(test))
				return call{
					args: []arg{
						{name: "w", data: r.normal(d.O * d.I)},
						{name: "dy", data: r.normal(d.N * d.O), batched: true},
						{name: "dx", data: zeros(d.N * d.I), role: out, batched: true},
					},
					run: func(dev kernels.Device, b []kernels.Buffer) error {
						return dev.LinearBackwardData(d, b[0], b[1], b[2])
					},
				}
			}
			s.check(t, build(5), convolution)
			s.checkBatches(t, batches, convolution, build)
		})
	}
}

func (s *suite) linearBackwardWeights(t *testing.T) {
	for _, test := range linearCases {
		t.Run(linearName(test), func(t *testing.T) {
			for _, n := range []int{1, 5, 32} {
				d, r := kernels.Linear{N: n, I: test.I, O: test.O}, newSource(linearName(test))
				s.check(t, call{
					args: []arg{ // with a mean, so that the only element of "1 to 1" is not what cancelling left
						{name: "x", data: shifted(r.normal(d.N*d.I), 1)},
						{name: "dy", data: shifted(r.normal(d.N*d.O), 1)},
						{name: "dw", data: zeros(d.O * d.I), role: out},
					},
					run: func(dev kernels.Device, b []kernels.Buffer) error {
						return dev.LinearBackwardWeights(d, b[0], b[1], b[2])
					},
				}, convolution)
			}
		})
	}
}
