package cpu

import (
	"fmt"
	"math"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/philox"
)

// Activate: x → y = act(x).
func (d *Device) Activate(act kernels.Activation, x, y kernels.Buffer) error {
	ys := floats(y, y.Len())
	xs := floats(x, len(ys))
	lo, hi := bounds(act)
	eachElement(d, len(ys), activate{xs, ys, lo, hi})
	return nil
}

type activate struct {
	x, y        []float32
	floor, ceil float32
}

func (t *activate) part(s *streams, lo, hi int) { s.clamp(&t.x[lo], &t.y[lo], hi-lo, t.floor, t.ceil) }

// ActivateBackward: y, dy → dx = dy where act's slope at its result y is 1, else 0.
func (d *Device) ActivateBackward(act kernels.Activation, y, dy, dx kernels.Buffer) error {
	dxs := floats(dx, dx.Len())
	ys, dys := floats(y, len(dxs)), floats(dy, len(dxs))
	if act == kernels.Identity {
		copy(dxs, dys)
		return nil
	}
	eachElement(d, len(dxs), activateBackward{ys, dys, dxs, slopeTop(act)})
	return nil
}

type activateBackward struct {
	y, dy, dx []float32
	top       float32
}

func (t *activateBackward) part(s *streams, lo, hi int) {
	s.gate(&t.y[lo], &t.dy[lo], &t.dx[lo], hi-lo, t.top)
}

// ActivateBackwardChannels: channels [off, off+n) of y, dy (M,C) → dx (M,n), as ActivateBackward.
func (d *Device) ActivateBackwardChannels(act kernels.Activation, m, n int, y, dy kernels.Buffer, c, off int, dx kernels.Buffer) error {
	if n < 0 || off < 0 || off+n > c {
		panic(fmt.Sprintf("cpu: %d channels from %d of %d on", n, off, c))
	}
	if act == kernels.Identity {
		return d.CopyChannels(m, n, dy, c, off, dx, n, 0)
	}
	ys, dys, dxs := floats(y, m*c), floats(dy, m*c), floats(dx, m*n)
	if n > 0 {
		eachRow(d, m, n, activateBackwardChannels{ys, dys, dxs, n, c, off, slopeTop(act)})
	}
	return nil
}

type activateBackwardChannels struct {
	y, dy, dx []float32
	n, c, off int
	top       float32
}

func (t *activateBackwardChannels) part(s *streams, lo, hi int) {
	for i := lo; i < hi; i++ {
		s.gate(&t.y[i*t.c+t.off], &t.dy[i*t.c+t.off], &t.dx[i*t.n], t.n, t.top)
	}
}

// slopeTop is the largest result at which the slope of an activation that is not Identity is 1.
func slopeTop(act kernels.Activation) float32 {
	_, top := bounds(act)
	if act == kernels.ReLU6 {
		top = math.Nextafter32(top, 0) // y < 6; at +Inf the slope of ReLU is 1
	}
	return top
}

// Add: xs → y = act(xs[0] + xs[1] + …).
func (d *Device) Add(xs []kernels.Buffer, y kernels.Buffer, act kernels.Activation) error {
	if len(xs) == 0 {
		panic("cpu: Add of nothing")
	}
	if len(xs) == 1 {
		return d.Activate(act, xs[0], y)
	}
	ys := floats(y, y.Len())
	for _, x := range xs {
		floats(x, len(ys)) // before a thread takes it
	}
	lo, hi := bounds(act)
	eachElement(d, len(ys), add{xs, ys, lo, hi})
	return nil
}

type add struct {
	terms       []kernels.Buffer // two at least
	y           []float32
	floor, ceil float32
}

func (t *add) part(s *streams, lo, hi int) {
	sum := floats(t.terms[0], len(t.y))
	last := len(t.terms) - 1
	for i, x := range t.terms[1:] {
		floor, ceil := bounds(kernels.Identity)
		if i+1 == last {
			floor, ceil = t.floor, t.ceil
		}
		term := floats(x, len(t.y))
		s.addClamp(&sum[lo], &term[lo], &t.y[lo], hi-lo, floor, ceil)
		sum = t.y
	}
}

// addPair is the sum of two.
type addPair struct {
	a, b, y     []float32
	floor, ceil float32
}

func (t *addPair) part(s *streams, lo, hi int) {
	s.addClamp(&t.a[lo], &t.b[lo], &t.y[lo], hi-lo, t.floor, t.ceil)
}

// Dropout: x → y = x/(1−p) where the key keeps the element, else 0.
func (d *Device) Dropout(p float32, key kernels.DropoutKey, x, y kernels.Buffer) error {
	if !(p >= 0 && p <= 1) {
		panic(fmt.Sprintf("cpu: Dropout with probability %v", p))
	}
	xs := floats(x, x.Len())
	ys := floats(y, len(xs))
	// word·2⁻³² ≥ p, without rounding: p has 24 bits.
	threshold := uint64(math.Ceil(float64(p) * 0x1p32))
	if threshold > math.MaxUint32 {
		clear(ys)
		return nil
	}
	eachElement(d, len(xs), dropout{xs, ys, philox.RoundKeys(key.Key),
		[3]uint32{uint32(key.Step), uint32(key.Step >> 32), key.Stream}, uint32(threshold), float32(1 / (1 - float64(p)))})
	return nil
}

type dropout struct {
	x, y      []float32
	keys      [10][2]uint32
	ctr       [3]uint32 // after the number of the block
	threshold uint32
	factor    float32
}

func (t *dropout) part(s *streams, lo, hi int) {
	s.dropout(&t.x[lo], &t.y[lo], hi-lo, &t.keys, &t.ctr, uint32(lo/4), t.threshold, t.factor) // lo is a multiple of 4
}

// Scale: x ← f·x.
func (d *Device) Scale(f float32, x kernels.Buffer) error {
	xs := floats(x, x.Len())
	eachElement(d, len(xs), scale{xs, f})
	return nil
}

type scale struct {
	x []float32
	f float32
}

func (t *scale) part(s *streams, lo, hi int) { s.scale(&t.x[lo], hi-lo, t.f) }
