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

// TestMeter: what a meter tells of the scratch memory is what the device keeps after the same operations, cuDNN's workspaces
// among it.
func TestMeter(t *testing.T) {
	conv := kernels.Conv{N: 2, H: 9, W: 8, C: 4, K: 6, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 1}
	grouped := conv
	grouped.Groups = 2
	wide := conv
	wide.StepY = 9
	loss := kernels.CrossEntropy{N: 50, Classes: 3}
	tests := []struct {
		name    string
		lengths []int
		run     func(d kernels.Device, b []kernels.Buffer) error
	}{
		{"convolution", []int{conv.LenX(), conv.LenW(), conv.LenY()},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.ConvForward(conv, b[0], b[1], nil, b[2], kernels.ReLU)
			}},
		{"convolution among other channels", []int{wide.LenX(), wide.LenW(), wide.LenY()},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.ConvForward(wide, b[0], b[1], nil, b[2], kernels.ReLU)
			}},
		{"convolution over a residual", []int{conv.LenX(), conv.LenW(), conv.LenY()},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.ConvForwardPacked(conv, b[0], b[1], nil, b[2], b[2], kernels.ReLU)
			}},
		{"gradient of the input", []int{conv.LenW(), conv.LenY(), conv.LenX()},
			func(d kernels.Device, b []kernels.Buffer) error { return d.ConvBackwardData(conv, b[0], b[1], b[2]) }},
		{"gradient of the weights", []int{conv.LenX(), conv.LenY(), conv.LenW()},
			func(d kernels.Device, b []kernels.Buffer) error { return d.ConvBackwardWeights(conv, b[0], b[1], b[2]) }},
		{"gradient of the weights, groups", []int{grouped.LenX(), grouped.LenY(), grouped.LenW()},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.ConvBackwardWeights(grouped, b[0], b[1], b[2])
			}},
		{"sum of rows", []int{5000 * 7, 7},
			func(d kernels.Device, b []kernels.Buffer) error { return d.SumRows(5000, 7, b[0], b[1]) }},
		{"batch norm", []int{5000 * 7, 7, 7},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.BatchNormStats(5000, 7, b[0], b[1], b[2], nil, nil, 0.1, 1e-5)
			}},
		{"gradient of batch norm", []int{5000 * 7, 7},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.BatchNormReduce(5000, 7, b[0], b[0], b[1], b[1], b[1], b[1], b[1], b[1], kernels.Identity)
			}},
		{"loss", []int{150, 50, 1, 150},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.CrossEntropyForward(loss, b[0], b[1], nil, b[2], b[3])
			}},
		{"gradient of the loss", []int{150, 50, 150},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.CrossEntropyBackward(loss, b[0], b[1], nil, 1, b[2])
			}},
		{"right answers", []int{150, 50, 1},
			func(d kernels.Device, b []kernels.Buffer) error {
				return d.(kernels.Counter).CountRight(loss.N, loss.Classes, b[0], b[1], b[2])
			}},
		{"sum of squares", []int{1000},
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
			if told, kept := m.Scratch(), int64(blasMemoryLen+stepLen+d.scratchLen); told != kept {
				t.Errorf("%d bytes are told, %d kept", told, kept)
			}
		})
	}
}

// anyFastest are Timings of nothing.
type anyFastest struct{}

func (anyFastest) Fastest(string, string) (int, bool) { return 0, false }
func (anyFastest) Keep(string, string, int)           {}

// TestMeterOfMeasuredAlgorithms: which is the fastest is not known before it was measured, so the meter tells what the one that
// wants the most would take. It leaves the device as it was.
func TestMeterOfMeasuredAlgorithms(t *testing.T) {
	conv := kernels.Conv{N: 2, H: 9, W: 8, C: 4, K: 6, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 1}
	d, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tell := func(how kernels.Tuning) int64 {
		m := d.Meter(1)
		if err := kernels.Tune(m, how); err != nil {
			t.Fatal(err)
		}
		if err := m.ConvForward(conv, nil, nil, nil, nil, kernels.Identity); err != nil {
			t.Fatal(err)
		}
		return m.Scratch()
	}
	first, measured := tell(kernels.Tuning{}), tell(kernels.Tuning{Timings: anyFastest{}})
	coarse := tell(kernels.Tuning{Precision: kernels.BF16})
	if first >= measured || coarse == first {
		t.Errorf("%d bytes are told of the first algorithm, %d of those that are measured, %d in bfloat16", first, measured, coarse)
	}
	if again := tell(kernels.Tuning{}); again != first {
		t.Errorf("%d bytes are told when they are asked for again, %d before", again, first)
	}
	if len(d.convolutions) != 0 || d.tuning != (kernels.Tuning{}) {
		t.Error("the device has changed")
	}
	if err := d.Tune(kernels.Tuning{Timings: anyFastest{}}); err != nil {
		t.Fatal(err)
	}
	var buffers []kernels.Buffer
	for _, n := range []int{conv.LenX(), conv.LenW(), conv.LenY()} {
		b, err := d.Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Free(b)
		buffers = append(buffers, b)
	}
	if err := d.ConvForward(conv, buffers[0], buffers[1], nil, buffers[2], kernels.Identity); err != nil {
		t.Fatal(err)
	}
	if kept := int64(blasMemoryLen + stepLen + d.scratchLen); kept > measured {
		t.Errorf("%d bytes are kept, %d told", kept, measured)
	}
}

// TestMeterOfAClosedDevice knows of no workspaces.
func TestMeterOfAClosedDevice(t *testing.T) {
	d, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	m := d.Meter(1)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	conv := kernels.Conv{N: 1, H: 3, W: 3, C: 1, K: 1, R: 3, S: 3, StrideH: 1, StrideW: 1, Groups: 1}
	if err := m.ConvBackwardData(conv, nil, nil, nil); err != nil {
		t.Error(err)
	}
	if told, want := m.Scratch(), int64(blasMemoryLen+stepLen+taken(4*conv.LenW())); told != want {
		t.Errorf("%d bytes are told, want %d", told, want)
	}
}

// TestStaged: a meter tells what memory of the host uploads take, however large and many they are.
func TestStaged(t *testing.T) {
	d, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, n := range []int{1, fewBytes / 4, fewBytes/4 + 1, 1 << 20, mostStaged/4 + 3} {
		b, err := d.Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := d.Upload(b, make([]float32, n)); err != nil {
				t.Fatal(err)
			}
		}
		d.Free(b)
		kept := 0
		for _, p := range append(d.staged.few, d.staged.many...) {
			kept += p.len
		}
		if told := d.Meter(1).(kernels.Stager).Staged(4 * int64(n)); told != int64(kept) {
			t.Errorf("uploads of %d numbers: %d bytes are told, %d kept", n, told, kept)
		}
	}
}
