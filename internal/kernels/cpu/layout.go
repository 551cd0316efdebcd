package cpu

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/kernels"
)

// CopyChannels: channels [srcOff, srcOff+n) of src (M,srcC) → channels [dstOff, dstOff+n) of dst (M,dstC).
func (d *Device) CopyChannels(m, n int, src kernels.Buffer, srcC, srcOff int, dst kernels.Buffer, dstC, dstOff int) error {
	if n < 0 || srcOff < 0 || srcOff+n > srcC || dstOff < 0 || dstOff+n > dstC {
		panic(fmt.Sprintf("cpu: %d channels do not go from %d of %d to %d of %d", n, srcOff, srcC, dstOff, dstC))
	}
	from, to := floats(src, m*srcC), floats(dst, m*dstC)
	d.eachRow(m, n, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			copy(to[i*dstC+dstOff:][:n], from[i*srcC+srcOff:])
		}
	})
	return nil
}

// ToNCHW: x (N,H,W,C) → y (N,C,H,W).
func (d *Device) ToNCHW(n, h, w, c int, x, y kernels.Buffer) error {
	d.transposeEach(n, h*w, c, floats(x, n*h*w*c), floats(y, n*h*w*c))
	return nil
}

// FromNCHW: x (N,C,H,W) → y (N,H,W,C).
func (d *Device) FromNCHW(n, h, w, c int, x, y kernels.Buffer) error {
	d.transposeEach(n, c, h*w, floats(x, n*h*w*c), floats(y, n*h*w*c))
	return nil
}

// square is the side of the parts in which matrices are transposed: 16 cache lines on each side, all used.
const square = grain

// transposeEach: x (N,rows,cols) → y (N,cols,rows).
func (d *Device) transposeEach(n, rows, cols int, x, y []float32) {
	bands := (rows + square - 1) / square
	d.eachUnit(n*bands, square*cols, func(unit int) {
		base := unit / bands * rows * cols
		r0 := unit % bands * square
		r1 := min(r0+square, rows)
		for c0 := 0; c0 < cols; c0 += square {
			for c := c0; c < min(c0+square, cols); c++ {
				out := y[base+c*rows+r0 : base+c*rows+r1]
				in := x[base+r0*cols+c : base+(r1-1)*cols+c+1]
				for r := range out {
					out[r] = in[r*cols]
				}
			}
		}
	})
}
