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
	s := d.streams()
	d.eachElement(len(ys), func(from, to int) { s.clamp(&xs[from], &ys[from], to-from, lo, hi) })
	return nil
}

// ActivateBackward: y, dy → dx = dy where act's slope at its result y is 1, else 0.
func (d *Device) ActivateBackward(act kernels.Activation, y, dy, dx kernels.Buffer) error {
	dxs := floats(dx, dx.Len())
	ys, dys := floats(y, len(dxs)), floats(dy, len(dxs))
	if act == kernels.Identity {
		copy(dxs, dys)
		return nil
	}
	_, top := bounds(act)
	if act == kernels.ReLU6 {
		top = math.Nextafter32(top, 0) // y < 6; at +Inf the slope of ReLU is 1
	}
	s := d.streams()
	d.eachElement(len(dxs), func(from, to int) { s.gate(&ys[from], &dys[from], &dxs[from], to-from, top) })
	return nil
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
	terms := make([][]float32, len(xs))
	for i, x := range xs {
		terms[i] = floats(x, len(ys))
	}
	s := d.streams()
	d.eachElement(len(ys), func(from, to int) {
		sum := terms[0]
		for i, term := range terms[1:] {
			lo, hi := bounds(kernels.Identity)
			if i == len(terms)-2 {
				lo, hi = bounds(act)
			}
			s.addClamp(&sum[from], &term[from], &ys[from], to-from, lo, hi)
			sum = ys
		}
	})
	return nil
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
	factor := float32(1 / (1 - float64(p)))
	ctr := [4]uint32{0, uint32(key.Step), uint32(key.Step >> 32), key.Stream}
	d.eachElement(len(xs), func(from, to int) { // from is a multiple of 4
		ctr := ctr
		for ; from < to; from += 4 {
			ctr[0] = uint32(from / 4)
			words := philox.Block(key.Key, ctr)
			for i := from; i < min(from+4, to); i++ {
				v := float32(0)
				if uint64(words[i-from]) >= threshold {
					v = xs[i] * factor
				}
				ys[i] = v
			}
		}
	})
	return nil
}

// Scale: x ← f·x.
func (d *Device) Scale(f float32, x kernels.Buffer) error {
	xs := floats(x, x.Len())
	s := d.streams()
	d.eachElement(len(xs), func(from, to int) { s.scale(&xs[from], to-from, f) })
	return nil
}
