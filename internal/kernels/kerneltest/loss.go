package kerneltest

import (
	"fmt"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// lossCase is a cross entropy with what its inputs are.
type lossCase struct {
	d        kernels.CrossEntropy
	weighted bool
	spread   float32 // of the logits
}

var lossCases = []lossCase{
	{kernels.CrossEntropy{N: 1, Classes: 2}, false, 1},
	{kernels.CrossEntropy{N: 8, Classes: 2}, false, 3},
	{kernels.CrossEntropy{N: 8, Classes: 2, Smoothing: 0.1}, true, 3},
	{kernels.CrossEntropy{N: 5, Classes: 17, Smoothing: 0.1}, false, 2},
	{kernels.CrossEntropy{N: 5, Classes: 17}, true, 2},
	{kernels.CrossEntropy{N: 32, Classes: 10, Smoothing: 0.2}, true, 1},
	{kernels.CrossEntropy{N: 3, Classes: 1000}, false, 1},
	{kernels.CrossEntropy{N: 200, Classes: 3}, true, 1},
	{kernels.CrossEntropy{N: 4, Classes: 1}, false, 1},
	{kernels.CrossEntropy{N: 6, Classes: 4, Smoothing: 0.1}, false, 80}, // exp overflows without the maximum
}

func (l lossCase) String() string {
	return fmt.Sprintf("%d of %d classes, smoothing %v, weighted %v, spread %v", l.d.N, l.d.Classes, l.d.Smoothing, l.weighted,
		l.spread)
}

// inputs returns logits, labels and weights.
func (l lossCase) inputs() (logits, labels, weights []float32) {
	r := newSource(l.String())
	logits = r.normal(l.d.N * l.d.Classes)
	for i := range logits {
		logits[i] = 2 + l.spread*logits[i]
	}
	labels = make([]float32, l.d.N)
	for i := range labels {
		labels[i] = float32(r.IntN(l.d.Classes))
	}
	if l.weighted {
		weights = r.uniform(l.d.Classes, 0.3, 3)
	}
	return logits, labels, weights
}

func (s *suite) crossEntropyForward(t *testing.T) {
	for _, test := range lossCases {
		t.Run(test.String(), func(t *testing.T) {
			logits, labels, weights := test.inputs()
			s.check(t, call{
				args: []arg{
					{name: "logits", data: logits},
					{name: "labels", data: labels},
					{name: "weights", data: weights},
					{name: "loss", data: zeros(1), role: out},
					{name: "prob", data: zeros(test.d.N * test.d.Classes), role: out},
				},
				run: func(d kernels.Device, b []kernels.Buffer) error {
					return d.CrossEntropyForward(test.d, b[0], b[1], b[2], b[3], b[4])
				},
			}, reduction)
		})
	}
}

func (s *suite) crossEntropyBackward(t *testing.T) {
	for _, test := range lossCases {
		t.Run(test.String(), func(t *testing.T) {
			logits, labels, weights := test.inputs()
			prob, loss := zeros(len(logits)), zeros(1)
			var weightBuffer kernels.Buffer
			if weights != nil {
				weightBuffer = kernels.Host(weights)
			}
			if err := s.ref.CrossEntropyForward(test.d, kernels.Host(logits), kernels.Host(labels), weightBuffer,
				kernels.Host(loss), kernels.Host(prob)); err != nil {
				t.Fatal(err)
			}
			for _, scale := range []float32{1, 0.4} {
				s.check(t, call{
					args: []arg{
						{name: "prob", data: prob},
						{name: "labels", data: labels},
						{name: "weights", data: weights},
						{name: "dlogits", data: zeros(len(prob)), role: out},
					},
					run: func(d kernels.Device, b []kernels.Buffer) error {
						return d.CrossEntropyBackward(test.d, b[0], b[1], b[2], scale, b[3])
					},
				}, reduction)
			}
		})
	}
}
