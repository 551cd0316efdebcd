package speed

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/ftrun/ftrun/internal/kernels"
)

// slow is a device that computes nothing and takes its time: a microsecond, and a nanosecond for each multiply-add of a
// convolution, in steps of the clock.
type slow struct {
	*kernels.Hollow
	fails error
}

func newSlow() slow { return slow{Hollow: kernels.NewHollow(nil)} }

func wait(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

func (s slow) PackedLen(d kernels.Conv) int { return d.LenW() }

func (s slow) ConvForward(d kernels.Conv, _, _, _, _ kernels.Buffer, _ kernels.Activation) error {
	wait(time.Duration(Op{Kind: ConvForward, Conv: d}.multiplyAdds()) * time.Nanosecond / 1000)
	return nil
}

func (s slow) SGD(_ kernels.SGD, w, _, _ kernels.Buffer) error {
	wait(time.Duration(w.Len()) * time.Nanosecond / 10)
	return s.fails
}

func TestCalibrate(t *testing.T) {
	p, err := Calibrate(context.Background(), newSlow(), 0)
	if err != nil {
		t.Fatal(err)
	}
	// No clock is so bad, and no machine so busy, that the least of several times is off by a half.
	near := func(name string, got, want float64) {
		t.Helper()
		if got < want/2 || got > want*2 {
			t.Errorf("%s: %v s, want %v", name, got, want)
		}
	}
	layer := Op{Kind: ConvForward, Conv: kernels.Conv{N: 8, H: 56, W: 56, C: 64, K: 64, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 1}}
	near("a convolution", p.Seconds(layer, 0), 1e-12*float64(layer.multiplyAdds()))
	near("an update", p.Seconds(Op{Kind: SGD, Rows: 1 << 21, Columns: 1}, 0), 1e-10*(1<<21))
}

func TestCalibrateTellsWhatFails(t *testing.T) {
	broken := newSlow()
	broken.fails = errors.New("out of order")
	if _, err := Calibrate(context.Background(), broken, 0); !errors.Is(err, broken.fails) {
		t.Errorf("got %v", err)
	}
}

// TestAnchors: whatever a network may ask for has an operation that was timed, but for the gradient by the pictures, which
// nothing wants.
func TestAnchors(t *testing.T) {
	for kind := range Kind(kinds) {
		for of := range class(classes) {
			o, anchored := anchor(kind, of)
			want := int(kind) < convs && (kind != ConvBackwardData || of != pixels) || int(kind) < macs && of == 0
			if anchored != want {
				t.Errorf("kind %d, class %d: anchor %v, want %v", kind, of, anchored, want)
			}
			if anchored && int(kind) < convs && classOf(o.Conv) != of {
				t.Errorf("the anchor of class %d is of class %d: %v", of, classOf(o.Conv), o.Conv)
			}
		}
		if _, there := stretch(kind, small); there != (int(kind) >= macs && kind != Few) {
			t.Errorf("kind %d: stretch %v", kind, there)
		}
	}
}

func TestSeconds(t *testing.T) {
	conv := func(h, c, k, r, groups int, numerics kernels.Numerics) kernels.Conv {
		return kernels.Conv{N: 2, H: h, W: h, C: c, K: k, R: r, S: r, StrideH: 1, StrideW: 1, PadH: r / 2, PadW: r / 2, Groups: groups, Numerics: numerics}
	}
	var p Profile
	p.Call, p.Warm, p.Cold = 1e-3, 1e-6, 2e-6
	for kind := range p.Macs {
		for of := range p.Macs[kind] {
			p.Macs[kind][of] = float64(1+of) * 1e-9 // a class is told by its speed
		}
	}
	for kind := range p.Elements {
		p.Elements[kind] = [2]float64{1e-6, 3e-6}
	}
	huge := 20 << 20 // elements: beyond any cache
	tests := []struct {
		name  string
		op    Op
		among int
		want  float64
	}{
		{"pointwise", Op{Kind: ConvForward, Conv: conv(8, 32, 16, 1, 1, kernels.Default)}, 0, 1e-3 + 65536*1e-9 + 1e-6*(1.2*(4096+2048)+11*512)},
		{"exact", Op{Kind: ConvBackwardData, Conv: conv(8, 32, 16, 3, 1, kernels.Exact)}, 0, 1e-3 + 589824*2e-9 + 1e-6*(2.4*(4096+2048)+3*4608)},
		{"pixels", Op{Kind: ConvBackwardWeights, Conv: conv(8, 3, 16, 7, 1, kernels.Exact)}, 0, 1e-3 + 301056*3e-9 + 1e-6*2.4*(384+2048)},
		{"winograd", Op{Kind: ConvForwardPacked, Conv: conv(8, 32, 16, 3, 1, kernels.Default)}, 0, 1e-3 + 589824*4e-9 + 1e-6*(5.3*(4096+2048)+16*4608)},
		{"fast, small pictures", Op{Kind: ConvForward, Conv: conv(8, 32, 16, 3, 1, kernels.Fast)}, 0, 1e-3 + 589824*4e-9 + 1e-6*(5.3*(4096+2048)+16*4608)},
		{"fast", Op{Kind: ConvForward, Conv: conv(20, 16, 16, 3, 1, kernels.Fast)}, 0, 1e-3 + 1843200*5e-9 + 1e-6*(6.4*2*12800+38*2304)},
		{"depthwise", Op{Kind: ConvForward, Conv: conv(8, 32, 32, 3, 32, kernels.Default)}, 0, 1e-3 + 36864*6e-9 + 1e-6*(1.3*2*4096+13*2*2*16*32)},
		{"linear", Op{Kind: LinearForward, Linear: kernels.Linear{N: 4, I: 10, O: 20}}, 0, 1e-3 + 800*1e-9 + 1e-6*1.7*200},
		{"in memory", Op{Kind: LinearForward, Linear: kernels.Linear{N: 4, I: 10, O: 20}}, huge, 1e-3 + 800*1e-9 + 2e-6*1.7*200},
		{"by the element", Op{Kind: SumRows, Rows: 100, Columns: 3}, 0, 1e-3 + 300e-6},
		{"by the element, in memory", Op{Kind: SumRows, Rows: 100, Columns: 3}, huge, 1e-3 + 900e-6},
		{"a sum", Op{Kind: Add, Rows: 100, Columns: 1, Terms: 3}, 0, 1e-3 + 300e-6},
		{"of a large array", Op{Kind: SGD, Rows: huge, Columns: 1}, 0, 1e-3 + 3e-6*float64(huge)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := p.Seconds(test.op, test.among); math.Abs(got/test.want-1) > 1e-9 {
				t.Errorf("%v s, want %v", got, test.want)
			}
		})
	}
	if half := coldness(1 << 20 * 179 / 40); half < 0.49 || half > 0.51 { // 17.9 MiB: √(8·40)
		t.Errorf("half way from the caches to memory is %v", half)
	}
}
