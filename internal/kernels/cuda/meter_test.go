//go:build gpu

package cuda

import (
	"os"
	"testing"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

// TestMeterOfUpdates: an update takes the same memory of both.
func TestMeterOfUpdates(t *testing.T) {
	d, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, limit := range []float64{0, 1} {
		held := func(on kernels.Updater, used func() int64) int64 {
			var of []kernels.Updated
			for _, n := range []int{3, 70000} {
				var p [3]kernels.Buffer
				for i := range p {
					if p[i], err = on.Alloc(n); err != nil {
						t.Fatal(err)
					}
					defer on.Free(p[i])
				}
				of = append(of, kernels.Updated{W: p[0], G: p[1], Moments: p[2:]})
			}
			before := used()
			u, err := on.NewUpdate(of, limit)
			if err != nil {
				t.Fatal(err)
			}
			defer u.Close()
			return used() - before
		}
		m := d.Meter(1).(*meter)
		told, kept := held(m, m.Held), held(d, func() (n int64) {
			err := d.within(func() error {
				free, total, err := cu.MemInfo()
				n = total - free
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		})
		if told != kept && os.Getenv("FTRUN_CUDA_REAL") == "" { // a driver gives whole pages
			t.Errorf("limit %v: %d bytes are told, %d kept", limit, told, kept)
		}
	}
}

// TestMeter: what a meter tells of the scratch memory is what the device keeps after the same operations. Of convolutions
// of one group it lacks cuDNN's workspace, of which the fake wants a little more than a filter.
func TestMeter(t *testing.T) {
	conv := kernels.Conv{N: 2, H: 9, W: 8, C: 4, K: 6, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 1}
	grouped := conv
	grouped.Groups = 2
	wide := conv
	wide.StepY = 9
	loss := kernels.CrossEntropy{N: 50, Classes: 3}
	tests := []struct {
		name    string
		beyond  int // bytes of cuDNN's
		lengths []int
		run     func(d kernels.Device, b []kernels.Buffer) error
	}{
		{"convolution", 4*conv.LenW() + 1024, []int{conv.LenX(), conv.LenW(), conv.LenY()},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.ConvForward(conv, b[0], b[1], nil, b[2], kernels.ReLU)
			}},
		{"convolution among other channels", 4*conv.LenW() + 1024, []int{wide.LenX(), wide.LenW(), wide.LenY()},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.ConvForward(wide, b[0], b[1], nil, b[2], kernels.ReLU)
			}},
		{"convolution over a residual", 4*conv.LenW() + 1024, []int{conv.LenX(), conv.LenW(), conv.LenY()},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.ConvForwardPacked(conv, b[0], b[1], nil, b[2], b[2], kernels.ReLU)
			}},
		{"gradient of the input", 4*conv.LenW() + 2048, []int{conv.LenW(), conv.LenY(), conv.LenX()},
			func(d kernels.Device, b []kernels.Buffer) error { return d.ConvBackwardData(conv, b[0], b[1], b[2]) }},
		{"gradient of the weights", 4*conv.LenW() + 3072, []int{conv.LenX(), conv.LenY(), conv.LenW()},
			func(d kernels.Device, b []kernels.Buffer) error { return d.ConvBackwardWeights(conv, b[0], b[1], b[2]) }},
		{"gradient of the weights, groups", 0, []int{grouped.LenX(), grouped.LenY(), grouped.LenW()},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.ConvBackwardWeights(grouped, b[0], b[1], b[2])
			}},
		{"sum of rows", 0, []int{5000 * 7, 7},
			func(d kernels.Device, b []kernels.Buffer) error { return d.SumRows(5000, 7, b[0], b[1]) }},
		{"batch norm", 0, []int{5000 * 7, 7, 7},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.BatchNormStats(5000, 7, b[0], b[1], b[2], nil, nil, 0.1, 1e-5)
			}},
		{"gradient of batch norm", 0, []int{5000 * 7, 7},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.BatchNormReduce(5000, 7, b[0], b[0], b[1], b[1], b[1], b[1], b[1], b[1], kernels.Identity)
			}},
		{"loss", 0, []int{150, 50, 1, 150},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.CrossEntropyForward(loss, b[0], b[1], nil, b[2], b[3])
			}},
		{"gradient of the loss", 0, []int{150, 50, 150},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.CrossEntropyBackward(loss, b[0], b[1], nil, 1, b[2])
			}},
		{"right answers", 0, []int{150, 50, 1},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.(kernels.Counter).CountRight(loss.N, loss.Classes, b[0], b[1], b[2])
			}},
		{"sum of squares", 0, []int{1000},
			func(d kernels.Device, b []kernels.Buffer) error { _, err := d.SumSquares(b[0]); return err }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, err := New(0)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			m := d.Meter(1)
			for _, on := range []kernels.Device{d, m} {
				buffers := make([]kernels.Buffer, len(test.lengths))
				for i, n := range test.lengths {
					if buffers[i], err = on.Alloc(n); err != nil {
						t.Fatal(err)
					}
					defer on.Free(buffers[i])
				}
				if err := test.run(on, buffers); err != nil {
					t.Fatal(err)
				}
			}
			if told, kept := m.Scratch(), int64(blasMemoryLen+stepLen+d.scratchLen-taken(test.beyond)); told != kept {
				t.Errorf("%d bytes are told, %d kept", told, kept)
			}
		})
	}
}
