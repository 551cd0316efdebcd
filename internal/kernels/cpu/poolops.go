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

// axis is the windows along one axis of n elements.
type axis struct {
	n, count          int
	size, stride, pad int // size 0: adaptive
}

// at is window i, cut to the axis.
func (a *axis) at(i int) span {
	if a.size == 0 {
		return span{i * a.n / a.count, ((i+1)*a.n + a.count - 1) / a.count}
	}
	lo := a.start(i)
	return span{max(lo, 0), min(lo+a.size, a.n)}
}

// start is where window i begins before it is cut; the axis is not adaptive.
func (a *axis) start(i int) int { return i*a.stride - a.pad }

// most is how many windows at most lie over one element.
func (a *axis) most() int { return (a.size + a.stride - 1) / a.stride }

// over is which windows lie over element i: the last, of which i is tap, and how many. In those before it i is at
// tap+stride and so on.
func (a *axis) over(i int) (last, tap, count int) {
	last = min((i+a.pad)/a.stride, a.count-1)
	tap = i - a.start(last)
	if tap < a.size {
		count = min((a.size-tap+a.stride-1)/a.stride, last+1)
	}
	return last, tap, count
}

// pooling is the geometry that all pools share: the windows of x (N,H,W,C) behind each element of y (N,P,Q,C).
type pooling struct {
	n, c       int
	rows, cols axis
}

func newPooling(p kernels.Pool) pooling {
	return pooling{p.N, p.C, axis{p.H, p.P, p.R, p.StrideH, p.PadH}, axis{p.W, p.Q, p.S, p.StrideW, p.PadW}}
}

func newAdaptive(a kernels.Adaptive) pooling {
	return pooling{a.N, a.C, axis{n: a.H, count: a.P}, axis{n: a.W, count: a.Q}}
}

func (p *pooling) lenX() int { return p.n * p.rows.n * p.cols.n * p.c }
func (p *pooling) lenY() int { return p.n * p.rows.count * p.cols.count * p.c }

// mustHoldAll panics where a window lies outside the picture: it has no maximum.
func (p *pooling) mustHoldAll() {
	for _, a := range []axis{p.rows, p.cols} {
		for i := range a.count {
			if a.at(i).len() <= 0 {
				panic(fmt.Sprintf("cpu: a window of a max pool of a %dx%d picture lies outside it", p.rows.n, p.cols.n))
			}
		}
	}
}

// eachWindow calls f for the windows of rows [lo, hi) of n·P: with the elements where the window begins in x and its
// result lies in y, and the size of the window, which may be empty.
func (p *pooling) eachWindow(lo, hi int, f func(x, y, r, s int)) {
	for unit := lo; unit < hi; unit++ {
		n, rows := unit/p.rows.count, p.rows.at(unit%p.rows.count)
		for q := range p.cols.count {
			cols := p.cols.at(q)
			f(((n*p.rows.n+rows.lo)*p.cols.n+cols.lo)*p.c, (unit*p.cols.count+q)*p.c, rows.len(), cols.len())
		}
	}
}

// blocks is into how many parts the channels of a picture are cut.
func (p *pooling) blocks() int { return (p.c + poolChannels - 1) / poolChannels }

// eachBlock clears blocks [lo, hi) of n·blocks of dx and calls f for every window of theirs: with the elements where the
// window begins in x and its result lies in y, the size of the window, and the channels.
func (p *pooling) eachBlock(lo, hi int, dx []float32, f func(x, y, r, s, channels int)) {
	for unit := lo; unit < hi; unit++ {
		n, c := unit/p.blocks(), unit%p.blocks()*poolChannels
		channels := min(poolChannels, p.c-c)
		cleared := 0
		clearTo := func(row int) { // just before the first window that needs it, while it will stay in the cache
			for ; cleared < row; cleared++ {
				for w := range p.cols.n {
					clear(dx[((n*p.rows.n+cleared)*p.cols.n+w)*p.c+c:][:channels])
				}
			}
		}
		for i := range p.rows.count {
			rows := p.rows.at(i)
			clearTo(rows.hi)
			for j := range p.cols.count {
				cols := p.cols.at(j)
				if rows.len() <= 0 || cols.len() <= 0 {
					continue
				}
				y := ((n*p.rows.count+i)*p.cols.count + j) * p.c
				f(((n*p.rows.n+rows.lo)*p.cols.n+cols.lo)*p.c+c, y+c, rows.len(), cols.len(), channels)
			}
		}
		clearTo(p.rows.n)
	}
}

// MaxPoolForward: x (N,H,W,C) → y (N,P,Q,C), the maximum of each window; a NaN wins.
func (d *Device) MaxPoolForward(shape kernels.Pool, x, y kernels.Buffer) error {
	p := newPooling(shape)
	p.mustHoldAll()
	eachRow(d, p.n*p.rows.count, p.cols.n*p.c, maxPoolForward{p, floats(x, p.lenX()), floats(y, p.lenY())})
	return nil
}

type maxPoolForward struct {
	pooling
	x, y []float32
}

func (t *maxPoolForward) part(s *streams, lo, hi int) {
	t.eachWindow(lo, hi, func(x, y, r, w int) { s.maxWindow(&t.x[x], &t.y[y], r, w, t.cols.n*t.c, t.c, t.c) })
}

// MaxPoolBackward: x (N,H,W,C), y, dy (N,P,Q,C) → dx (N,H,W,C). Each dy goes to the first element of its window that
// equals y; where y is NaN, to the first NaN.
//
// Threads share the rows of dx, and write each element once: windows overlap, so a pixel collects from all that lie over
// it. Where their maxima are is looked up first, for each row of windows as it is met.
func (d *Device) MaxPoolBackward(shape kernels.Pool, x, y, dy, dx kernels.Buffer) error {
	p := newPooling(shape)
	p.mustHoldAll()
	xs, ys, dys, dxs := floats(x, p.lenX()), floats(y, p.lenY()), floats(dy, p.lenY()), floats(dx, p.lenX())
	parallel(d, maxPoolBackward{p, xs, ys, dys, dxs, isPast(dxs, p.c, xs, ys, dys)})
	return nil
}

type maxPoolBackward struct {
	pooling
	x, y, dy, dx []float32
	past         bool
}

func (t *maxPoolBackward) run(d *Device, worker int) {
	// maxima holds the last most rows of windows as a ring, written twice side by side, so that the rows before row p always
	// lie before its place most+p%most.
	most := t.rows.most()
	sc := &d.workers[worker]
	if n := 2 * most * t.cols.count * t.c; n > cap(sc.maxima) {
		sc.maxima = make([]int32, n)
	}
	lo, hi := d.split(t.n*t.rows.n, worker)
	for lo < hi {
		n, from := lo/t.rows.n, lo%t.rows.n
		to := min(t.rows.n, from+hi-lo)
		t.picture(d.streams(), sc.maxima[:cap(sc.maxima)], n, from, to)
		lo += to - from
	}
}

// picture computes rows [from, to) of dx of picture n.
func (t *maxPoolBackward) picture(s *streams, maxima []int32, n, from, to int) {
	row, most := t.cols.count*t.c, t.rows.most()
	next := 0 // row of windows to look at
	for h := from; h < to; h++ {
		p, tap, count := t.rows.over(h)
		if count == 0 {
			clear(t.dx[(n*t.rows.n+h)*t.cols.n*t.c:][:t.cols.n*t.c])
			continue
		}
		for next = max(next, p-count+1); next <= p; next++ {
			place := maxima[next%most*row:][:row]
			t.findMaxima(s, place, n, next)
			copy(maxima[(most+next%most)*row:], place)
		}
		t.collectRow(s, maxima, n, h, p, tap, count)
	}
}

// findMaxima numbers the elements of a window by their place in the whole of it, R rows of S, and notes for each window
// in row p of picture n the first that equals y.
func (t *maxPoolBackward) findMaxima(s *streams, maxima []int32, n, p int) {
	rows := t.rows.at(p)
	line := t.cols.size
	x := t.x[(n*t.rows.n+rows.lo)*t.cols.n*t.c:]
	y := t.y[(n*t.rows.count+p)*t.cols.count*t.c:]
	for q := 0; q < t.cols.count; {
		cols, count := t.cols.at(q), 1
		for cols.len() == line && q+count < t.cols.count && t.cols.at(q+count).len() == line {
			count++ // whole windows stand one stride apart
		}
		first := (rows.lo-t.rows.start(p))*line + cols.lo - t.cols.start(q)
		s.firstMaximum(&x[cols.lo*t.c], &y[q*t.c], &maxima[q*t.c], count, rows.len(), cols.len(), t.cols.n*t.c, t.c,
			t.cols.stride*t.c, t.c, first, line)
		q += count
	}
}

// collectRow computes row h of dx of picture n, over which count rows of windows lie: p, of which it is tap, and those
// before.
func (t *maxPoolBackward) collectRow(s *streams, maxima []int32, n, h, p, tap, count int) {
	row, most := t.cols.count*t.c, t.rows.most()
	dx := t.dx[(n*t.rows.n+h)*t.cols.n*t.c:]
	dy := t.dy[(n*t.rows.count+p)*row:]
	indexes := maxima[(most+p%most)*row:]
	size := t.cols.size
	collect := s.collect.way(t.past)
	for w := 0; w < t.cols.n; {
		q, tapW, windows := t.cols.over(w)
		taps, pixels := size, 1
		switch {
		case windows == 0:
			clear(dx[w*t.c:][:t.c])
			w++
			continue
		case q >= (size-1)/t.cols.stride && q == (w+t.cols.pad)/t.cols.stride:
			// None lies before the first nor behind the last, here and up to the last window's stride.
			pixels = min(t.cols.count*t.cols.stride-t.cols.pad, t.cols.n) - w
		default:
			taps = min(size, tapW+(windows-1)*t.cols.stride+1)
		}
		collect(&indexes[q*t.c], &dy[q*t.c], &dx[w*t.c], pixels, count, row, t.c, tapW, taps, t.cols.stride,
			tap*size, t.rows.stride*size)
		w += pixels
	}
}

// AvgPoolForward: x (N,H,W,C) → y (N,P,Q,C), the sum of each window over R·S.
func (d *Device) AvgPoolForward(shape kernels.Pool, x, y kernels.Buffer) error {
	d.average(newPooling(shape), x, y)
	return nil
}

// AvgPoolBackward: dy (N,P,Q,C) → dx (N,H,W,C).
func (d *Device) AvgPoolBackward(shape kernels.Pool, dy, dx kernels.Buffer) error {
	d.spread(newPooling(shape), dy, dx)
	return nil
}

// AdaptiveAvgPoolForward: x (N,H,W,C) → y (N,P,Q,C), the mean of each window.
func (d *Device) AdaptiveAvgPoolForward(shape kernels.Adaptive, x, y kernels.Buffer) error {
	d.average(newAdaptive(shape), x, y)
	return nil
}

// AdaptiveAvgPoolBackward: dy (N,P,Q,C) → dx (N,H,W,C).
func (d *Device) AdaptiveAvgPoolBackward(shape kernels.Adaptive, dy, dx kernels.Buffer) error {
	d.spread(newAdaptive(shape), dy, dx)
	return nil
}

// elementShare is the part of one element in the average of a window of r×s.
func (p *pooling) elementShare(r, s int) float32 {
	if p.rows.size > 0 {
		r, s = p.rows.size, p.cols.size
	}
	return 1 / float32(r*s)
}

// average sums each window and divides by its area.
func (d *Device) average(p pooling, x, y kernels.Buffer) {
	eachRow(d, p.n*p.rows.count, p.cols.n*p.c, average{p, floats(x, p.lenX()), floats(y, p.lenY())})
}

type average struct {
	pooling
	x, y []float32
}

func (t *average) part(s *streams, lo, hi int) {
	t.eachWindow(lo, hi, func(x, y, r, w int) {
		if r <= 0 || w <= 0 { // padding alone
			clear(t.y[y : y+t.c])
			return
		}
		s.sumWindow(&t.x[x], &t.y[y], r, w, t.cols.n*t.c, t.c, t.c, t.elementShare(r, w))
	})
}

// spread is the adjoint of average.
func (d *Device) spread(p pooling, dy, dx kernels.Buffer) {
	eachRow(d, p.n*p.blocks(), p.rows.n*p.cols.n*min(p.c, poolChannels), spread{p, floats(dy, p.lenY()), floats(dx, p.lenX())})
}

type spread struct {
	pooling
	dy, dx []float32
}

func (t *spread) part(s *streams, lo, hi int) {
	t.eachBlock(lo, hi, t.dx, func(x, y, r, w, channels int) {
		s.spreadWindow(&t.dx[x], &t.dy[y], r, w, t.cols.n*t.c, t.c, channels, t.elementShare(r, w))
	})
}
