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
// Threads share the rows of dx. For each row of windows that meets its own, a thread looks where the maxima are, and then
// writes dx pixel by pixel: windows overlap, so a pixel collects from all of them.
func (d *Device) MaxPoolBackward(shape kernels.Pool, x, y, dy, dx kernels.Buffer) error {
	p := newPooling(shape)
	p.mustHoldAll()
	t := maxPoolBackward{p, floats(x, p.lenX()), floats(y, p.lenY()), floats(dy, p.lenY()), floats(dx, p.lenX())}
	parallel(d, t)
	return nil
}

type maxPoolBackward struct {
	pooling
	x, y, dy, dx []float32
}

func (t *maxPoolBackward) run(d *Device, worker int) {
	sc := &d.workers[worker]
	if n := t.cols.count * t.c; n > cap(sc.maxima) {
		sc.maxima = make([]int32, n)
	}
	s := d.streams()
	lo, hi := d.split(t.n*t.rows.n, worker)
	for lo < hi {
		n, from := lo/t.rows.n, lo%t.rows.n
		to := min(t.rows.n, from+hi-lo)
		t.picture(s, sc.maxima[:t.cols.count*t.c], n, from, to)
		lo += to - from
	}
}

// picture computes rows [from, to) of dx of picture n.
func (t *maxPoolBackward) picture(s *streams, maxima []int32, n, from, to int) {
	pixels := t.dx[n*t.rows.n*t.cols.n*t.c:]
	row := t.cols.n * t.c
	reached := from // rows below are written
	for p := range t.rows.count {
		rows := t.rows.at(p)
		if rows.hi <= from || rows.lo >= to {
			continue
		}
		if rows.lo > reached { // between windows
			clear(pixels[reached*row : rows.lo*row])
			reached = rows.lo
		}
		t.findMaxima(s, maxima, n, p)
		for h := max(rows.lo, from); h < min(rows.hi, to); h++ {
			t.collectRow(s, maxima, n, p, h, h < reached)
		}
		reached = max(reached, min(rows.hi, to))
	}
	clear(pixels[reached*row : to*row])
}

// findMaxima numbers the elements of dx's windows in row p of picture n by their place in the whole window, R rows of S,
// and notes the first that equals y.
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

// collectRow gives row h of picture n what the windows of row p have for it, and adds it to what is there.
func (t *maxPoolBackward) collectRow(s *streams, maxima []int32, n, p, h int, add bool) {
	dx := t.dx[(n*t.rows.n+h)*t.cols.n*t.c:]
	dy := t.dy[(n*t.rows.count+p)*t.cols.count*t.c:]
	size, stride, count := t.cols.size, t.cols.stride, t.cols.count
	line := (h - t.rows.start(p)) * size
	for w := 0; w < t.cols.n; {
		// The last window over pixel w is q, of which w is tap. In those before it w is at tap+stride and so on.
		q, tap, pixels := (w+t.cols.pad)/stride, (w+t.cols.pad)%stride, 1
		switch {
		case q >= count:
			q, tap = count-1, tap+(q-count+1)*stride
		case q >= (size-1)/stride: // none of them lies before the first, here and in what follows
			pixels = min(count*stride-t.cols.pad, t.cols.n) - w
		}
		taps := size
		if pixels == 1 {
			taps = min(size, tap+q*stride+1)
		}
		s.collect(&maxima[q*t.c], &dy[q*t.c], &dx[w*t.c], pixels, t.c, tap, taps, stride, line, add)
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
