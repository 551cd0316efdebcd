package ref

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/kernels"
)

// CopyChannels: channels [srcOff, srcOff+n) of src (M,srcC) → channels [dstOff, dstOff+n) of dst (M,dstC).
func (Device) CopyChannels(m, n int, src kernels.Buffer, srcC, srcOff int, dst kernels.Buffer, dstC, dstOff int) error {
	const op = "CopyChannels"
	if n < 0 || srcOff < 0 || srcOff+n > srcC || dstOff < 0 || dstOff+n > dstC {
		panic(fmt.Sprintf("ref: %s: %d channels do not go from %d of %d to %d of %d", op, n, srcOff, srcC, dstOff, dstC))
	}
	in, out := slice(op, "src", src, m*srcC), slice(op, "dst", dst, m*dstC)
	for i := range m {
		copy(out[i*dstC+dstOff:][:n], in[i*srcC+srcOff:])
	}
	return nil
}

// ToNCHW: x (N,H,W,C) → y (N,C,H,W).
func (Device) ToNCHW(n, h, w, c int, x, y kernels.Buffer) error {
	const op = "ToNCHW"
	transpose(n, h*w, c, slice(op, "x", x, n*h*w*c), slice(op, "y", y, n*h*w*c))
	return nil
}

// FromNCHW: x (N,C,H,W) → y (N,H,W,C).
func (Device) FromNCHW(n, h, w, c int, x, y kernels.Buffer) error {
	const op = "FromNCHW"
	transpose(n, c, h*w, slice(op, "x", x, n*h*w*c), slice(op, "y", y, n*h*w*c))
	return nil
}

// transpose: x (N,rows,cols) → y (N,cols,rows).
func transpose(n, rows, cols int, x, y []float32) {
	for i := range n {
		at := i * rows * cols
		for r := range rows {
			for c := range cols {
				y[at+c*rows+r] = x[at+r*cols+c]
			}
		}
	}
}
