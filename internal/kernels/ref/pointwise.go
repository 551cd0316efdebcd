package ref

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/philox"
)

// Activate: x → y = act(x).
func (Device) Activate(act kernels.Activation, x, y kernels.Buffer) error {
	const op = "Activate"
	ys := slice(op, "y", y, y.Len())
	for i, v := range slice(op, "x", x, len(ys)) {
		ys[i] = float32(activate(act, float64(v)))
	}
	return nil
}

// ActivateBackward: y, dy → dx = dy·act′, where act′ is read off the result y.
func (Device) ActivateBackward(act kernels.Activation, y, dy, dx kernels.Buffer) error {
	const op = "ActivateBackward"
	dxs := slice(op, "dx", dx, dx.Len())
	ys, dys := slice(op, "y", y, len(dxs)), slice(op, "dy", dy, len(dxs))
	for i, v := range ys {
		dxs[i] = gate(act, v, dys[i])
	}
	return nil
}

// ActivateBackwardChannels: channels [off, off+n) of y, dy (M,C) → dx (M,n), as ActivateBackward.
func (d Device) ActivateBackwardChannels(act kernels.Activation, m, n int, y, dy kernels.Buffer, c, off int, dx kernels.Buffer) error {
	const op = "ActivateBackwardChannels"
	if n < 0 || off < 0 || off+n > c {
		panic(fmt.Sprintf("ref: %s: %d channels from %d of %d on", op, n, off, c))
	}
	slice(op, "y", y, m*c)
	slice(op, "dy", dy, m*c)
	slice(op, "dx", dx, m*n)
	for i := range m {
		lo, hi := i*c+off, i*c+off+n
		if err := d.ActivateBackward(act, y.Slice(lo, hi), dy.Slice(lo, hi), dx.Slice(i*n, (i+1)*n)); err != nil {
			return err
		}
	}
	return nil
}

// gate is dy·act′, where act′ is read off the result y.
func gate(act kernels.Activation, y, dy float32) float32 {
	if act == kernels.Identity || y > 0 && (act == kernels.ReLU || y < 6) {
		return dy
	}
	return 0
}

// Add: xs → y = act(xs[0] + xs[1] + …).
func (Device) Add(xs []kernels.Buffer, y kernels.Buffer, act kernels.Activation) error {
	const op = "Add"
	if len(xs) == 0 {
		panic("ref: Add: no inputs")
	}
	ys := slice(op, "y", y, y.Len())
	terms := make([][]float32, len(xs))
	for t, x := range xs {
		terms[t] = slice(op, fmt.Sprintf("xs[%d]", t), x, len(ys))
	}
	for i := range ys {
		sum := 0.0
		for _, term := range terms {
			sum += float64(term[i])
		}
		ys[i] = float32(activate(act, sum))
	}
	return nil
}

// Dropout: x → y = x/(1−p) where the key keeps the element, else 0.
func (Device) Dropout(p float32, key kernels.DropoutKey, x, y kernels.Buffer) error {
	const op = "Dropout"
	xs := slice(op, "x", x, x.Len())
	ys := slice(op, "y", y, len(xs))
	keep := 1 - float64(p)
	var words [4]uint32
	for i, v := range xs {
		if i%4 == 0 {
			ctr := [4]uint32{uint32(i / 4), uint32(key.Step), uint32(key.Step >> 32), key.Stream}
			words = philox.Block(key.Key, ctr)
		}
		if float64(words[i%4])*0x1p-32 >= float64(p) {
			ys[i] = float32(float64(v) / keep)
		} else {
			ys[i] = 0
		}
	}
	return nil
}

// Scale: x ← f·x.
func (Device) Scale(f float32, x kernels.Buffer) error {
	xs := slice("Scale", "x", x, x.Len())
	for i := range xs {
		xs[i] *= f
	}
	return nil
}
