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
	eachRow(d, m, n, copyChannels{from, to, n, srcC, srcOff, dstC, dstOff})
	return nil
}

type copyChannels struct {
	src, dst     []float32
	n            int
	srcC, srcOff int
	dstC, dstOff int
}

func (t *copyChannels) part(_ *streams, lo, hi int) {
	for i := lo; i < hi; i++ {
		copy(t.dst[i*t.dstC+t.dstOff:][:t.n], t.src[i*t.srcC+t.srcOff:])
	}
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
	eachRow(d, n*bands, square*cols, transposition{x, y, rows, cols, bands})
}

// transposition is the work of transposeEach, in n·bands units of square rows.
type transposition struct {
	x, y              []float32
	rows, cols, bands int
}

func (t *transposition) part(_ *streams, lo, hi int) {
	for unit := lo; unit < hi; unit++ {
		base := unit / t.bands * t.rows * t.cols
		r0 := unit % t.bands * square
		r1 := min(r0+square, t.rows)
		for c0 := 0; c0 < t.cols; c0 += square {
			for c := c0; c < min(c0+square, t.cols); c++ {
				out := t.y[base+c*t.rows+r0 : base+c*t.rows+r1]
				in := t.x[base+r0*t.cols+c : base+(r1-1)*t.cols+c+1]
				for r := range out {
					out[r] = in[r*t.cols]
				}
			}
		}
	}
}

// clearing sets x to zero.
type clearing struct{ x []float32 }

func (t *clearing) run(d *Device, worker int) {
	lo, hi := d.split(len(t.x), worker)
	clear(t.x[lo:hi])
}

// copying copies x to y.
type copying struct{ x, y []float32 }

func (t *copying) part(_ *streams, lo, hi int) { copy(t.y[lo:hi], t.x[lo:hi]) }
