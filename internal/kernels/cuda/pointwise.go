//go:build gpu

package cuda

import (
	"fmt"
	"math"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

// Activate: x → y = act(x).
func (d *Device) Activate(act kernels.Activation, x, y kernels.Buffer) error {
	const op = "Activate"
	n := y.Len()
	return d.launch("activate", n, act, d.memory(op, "x", x, n), d.memory(op, "y", y, n), n)
}

// ActivateBackward: y, dy → dx = dy·act′, where act′ is read off the result y.
func (d *Device) ActivateBackward(act kernels.Activation, y, dy, dx kernels.Buffer) error {
	n := dx.Len()
	return d.activateBackward("ActivateBackward", act, 1, n, y, dy, n, 0, dx)
}

// ActivateBackwardChannels: channels [off, off+n) of y, dy (M,C) → dx (M,n), as ActivateBackward.
func (d *Device) ActivateBackwardChannels(act kernels.Activation, m, n int, y, dy kernels.Buffer, c, off int,
	dx kernels.Buffer) error {
	const op = "ActivateBackwardChannels"
	if n < 0 || off < 0 || off+n > c {
		panic(fmt.Sprintf("cuda: %s: %d channels from %d of %d on", op, n, off, c))
	}
	return d.activateBackward(op, act, m, n, y, dy, c, off, dx)
}

func (d *Device) activateBackward(op string, act kernels.Activation, m, n int, y, dy kernels.Buffer, c, off int,
	dx kernels.Buffer) error {
	return d.launch("activate_backward", m*n, act, m, n, d.memory(op, "y", y, m*c), d.memory(op, "dy", dy, m*c), c, off,
		d.memory(op, "dx", dx, m*n))
}

// Add: xs → y = act(xs[0] + xs[1] + …), in that order: four at once, then three more to what there is.
func (d *Device) Add(xs []kernels.Buffer, y kernels.Buffer, act kernels.Activation) error {
	const op = "Add"
	if len(xs) == 0 {
		panic("cuda: Add of nothing")
	}
	n := y.Len()
	ys := d.memory(op, "y", y, n)
	terms := make([]cu.DevicePtr, len(xs))
	for i, x := range xs {
		terms[i] = d.memory(op, fmt.Sprintf("xs[%d]", i), x, n)
	}
	for first := true; first || len(terms) > 0; first = false {
		var four [4]cu.DevicePtr
		if !first {
			four[0] = ys
			terms = terms[copy(four[1:], terms):]
		} else {
			terms = terms[copy(four[:], terms):]
		}
		last := kernels.Identity
		if len(terms) == 0 {
			last = act
		}
		if err := d.launch("add", n, four[0], four[1], four[2], four[3], ys, last, n); err != nil {
			return err
		}
	}
	return nil
}

// Dropout: x → y = x/(1−p) where the key keeps the element, else 0.
func (d *Device) Dropout(p float32, key kernels.DropoutKey, x, y kernels.Buffer) error {
	const op = "Dropout"
	if !(p >= 0 && p <= 1) {
		panic(fmt.Sprintf("cuda: %s with probability %v", op, p))
	}
	n := x.Len()
	// word·2⁻³² ≥ p, without rounding: p has 24 bits.
	threshold := uint64(math.Ceil(float64(p) * 0x1p32))
	var step cu.DevicePtr // a captured launch finds there which it is
	if d.capturing {
		step, d.draws = d.step, true
	}
	return d.launch("dropout", (n+3)/4, d.memory(op, "x", x, n), d.memory(op, "y", y, n), int(key.Key[0]), int(key.Key[1]),
		int(uint32(key.Step)), int(key.Step>>32), step, int(key.Stream), threshold, float32(1/(1-float64(p))), n)
}

// Scale: x ← f·x.
func (d *Device) Scale(f float32, x kernels.Buffer) error {
	n := x.Len()
	return d.launch("scale", n, f, d.memory("Scale", "x", x, n), n)
}
