package cpu

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/kernels"
)

// poolChannels is how many channels of a picture make one unit of backward work. Windows overlap, so a unit owns whole
// columns of channels.
const poolChannels = 64

// span is the part [lo, hi) of an axis that a window covers.
type span struct{ lo, hi int }

func (s span) len() int { return s.hi - s.lo }

// spans are the windows of the given size along an axis of n elements, cut to it.
func spans(count, stride, pad, size, n int) []span {
	all := make([]span, count)
	for i := range all {
		lo := i*stride - pad
		all[i] = span{max(lo, 0), min(lo+size, n)}
	}
	return all
}

// adaptiveSpans are the windows [floor(i·n/count), ceil((i+1)·n/count)).
func adaptiveSpans(count, n int) []span {
	all := make([]span, count)
	for i := range all {
		all[i] = span{i * n / count, ((i+1)*n + count - 1) / count}
	}
	return all
}

// pooling is the geometry that all pools share: the windows of x (N,H,W,C) behind each element of y (N,P,Q,C).
type pooling struct {
	n, h, w, c int
	rows, cols []span
}

func newPooling(p kernels.Pool) *pooling {
	return &pooling{n: p.N, h: p.H, w: p.W, c: p.C,
		rows: spans(p.P, p.StrideH, p.PadH, p.R, p.H), cols: spans(p.Q, p.StrideW, p.PadW, p.S, p.W)}
}

func newAdaptive(a kernels.Adaptive) *pooling {
	return &pooling{n: a.N, h: a.H, w: a.W, c: a.C, rows: adaptiveSpans(a.P, a.H), cols: adaptiveSpans(a.Q, a.W)}
}

func (p *pooling) lenX() int { return p.n * p.h * p.w * p.c }
func (p *pooling) lenY() int { return p.n * len(p.rows) * len(p.cols) * p.c }

// mustHoldAll panics where a window lies outside the picture: it has no maximum.
func (p *pooling) mustHoldAll() {
	for _, axis := range [][]span{p.rows, p.cols} {
		for _, s := range axis {
			if s.len() <= 0 {
				panic(fmt.Sprintf("cpu: a window of a max pool of a %dx%d picture lies outside it", p.h, p.w))
			}
		}
	}
}

// forward calls f for every window, rows of windows spread over the threads: with the elements where the window begins in x
// and its result lies in y, and the size of the window, which may be empty.
func (p *pooling) forward(d *Device, f func(x, y, r, s int)) {
	d.eachUnit(p.n*len(p.rows), p.w*p.c, func(unit int) {
		n, rows := unit/len(p.rows), p.rows[unit%len(p.rows)]
		for q, cols := range p.cols {
			f(((n*p.h+rows.lo)*p.w+cols.lo)*p.c, (unit*len(p.cols)+q)*p.c, rows.len(), cols.len())
		}
	})
}

// backward clears dx and calls f for every window and block of channels, pictures and blocks spread over the threads: with
// the elements where the window begins in x and its result lies in y, the size of the window, and the channels.
func (p *pooling) backward(d *Device, dx []float32, f func(x, y, r, s, channels int)) {
	blocks := (p.c + poolChannels - 1) / poolChannels
	d.eachUnit(p.n*blocks, p.h*p.w*min(p.c, poolChannels), func(unit int) {
		n, c := unit/blocks, unit%blocks*poolChannels
		channels := min(poolChannels, p.c-c)
		cleared := 0
		clearTo := func(row int) { // just before the first window that needs it, while it will stay in the cache
			for ; cleared < row; cleared++ {
				for w := range p.w {
					clear(dx[((n*p.h+cleared)*p.w+w)*p.c+c:][:channels])
				}
			}
		}
		for i, rows := range p.rows {
			clearTo(rows.hi)
			for j, cols := range p.cols {
				if rows.len() <= 0 || cols.len() <= 0 {
					continue
				}
				y := ((n*len(p.rows)+i)*len(p.cols) + j) * p.c
				f(((n*p.h+rows.lo)*p.w+cols.lo)*p.c+c, y+c, rows.len(), cols.len(), channels)
			}
		}
		clearTo(p.h)
	})
}

// MaxPoolForward: x (N,H,W,C) → y (N,P,Q,C), the maximum of each window; a NaN wins.
func (d *Device) MaxPoolForward(shape kernels.Pool, x, y kernels.Buffer) error {
	p := newPooling(shape)
	p.mustHoldAll()
	xs, ys := floats(x, p.lenX()), floats(y, p.lenY())
	kernel := d.streams().maxWindow
	p.forward(d, func(x, y, r, s int) { kernel(&xs[x], &ys[y], r, s, p.w*p.c, p.c, p.c) })
	return nil
}

// MaxPoolBackward: x (N,H,W,C), y, dy (N,P,Q,C) → dx (N,H,W,C). Each dy goes to the first element of its window that
// equals y; where y is NaN, to the first NaN.
func (d *Device) MaxPoolBackward(shape kernels.Pool, x, y, dy, dx kernels.Buffer) error {
	p := newPooling(shape)
	p.mustHoldAll()
	xs, ys := floats(x, p.lenX()), floats(y, p.lenY())
	dys, dxs := floats(dy, p.lenY()), floats(dx, p.lenX())
	kernel := d.streams().maxWindowBackward
	p.backward(d, dxs, func(x, y, r, s, channels int) {
		kernel(&xs[x], &dxs[x], &ys[y], &dys[y], r, s, p.w*p.c, p.c, channels)
	})
	return nil
}

// AvgPoolForward: x (N,H,W,C) → y (N,P,Q,C), the sum of each window over R·S.
func (d *Device) AvgPoolForward(shape kernels.Pool, x, y kernels.Buffer) error {
	d.average(newPooling(shape), shape.R*shape.S, x, y)
	return nil
}

// AvgPoolBackward: dy (N,P,Q,C) → dx (N,H,W,C).
func (d *Device) AvgPoolBackward(shape kernels.Pool, dy, dx kernels.Buffer) error {
	d.spread(newPooling(shape), shape.R*shape.S, dy, dx)
	return nil
}

// AdaptiveAvgPoolForward: x (N,H,W,C) → y (N,P,Q,C), the mean of each window.
func (d *Device) AdaptiveAvgPoolForward(shape kernels.Adaptive, x, y kernels.Buffer) error {
	d.average(newAdaptive(shape), 0, x, y)
	return nil
}

// AdaptiveAvgPoolBackward: dy (N,P,Q,C) → dx (N,H,W,C).
func (d *Device) AdaptiveAvgPoolBackward(shape kernels.Adaptive, dy, dx kernels.Buffer) error {
	d.spread(newAdaptive(shape), 0, dy, dx)
	return nil
}

// average sums each window and divides by area, or by its own where area is 0.
func (d *Device) average(p *pooling, area int, x, y kernels.Buffer) {
	xs, ys := floats(x, p.lenX()), floats(y, p.lenY())
	kernel := d.streams().sumWindow
	p.forward(d, func(x, y, r, s int) {
		if r <= 0 || s <= 0 { // padding alone
			clear(ys[y : y+p.c])
			return
		}
		kernel(&xs[x], &ys[y], r, s, p.w*p.c, p.c, p.c, elementShare(area, r*s))
	})
}

// spread is the adjoint of average.
func (d *Device) spread(p *pooling, area int, dy, dx kernels.Buffer) {
	dys, dxs := floats(dy, p.lenY()), floats(dx, p.lenX())
	kernel := d.streams().spreadWindow
	p.backward(d, dxs, func(x, y, r, s, channels int) {
		kernel(&dxs[x], &dys[y], r, s, p.w*p.c, p.c, channels, elementShare(area, r*s))
	})
}

// elementShare is the part of one element in an average over area elements, or over own where area is 0.
func elementShare(area, own int) float32 {
	if area == 0 {
		area = own
	}
	return 1 / float32(area)
}
