package cpu

import "unsafe"

// streams is the kernels of the operations that are bound by memory: what differs between the paths. The loops that they
// stand for are the comments of the assembly stubs; stream_generic.go is the portable version. All arrays are dense,
// counts are in elements, and any count may be 0.
type streams struct {
	clamp    func(x, y *float32, n int, lo, hi float32)
	addClamp func(a, b, y *float32, n int, lo, hi float32)
	gate     func(y, dy, dx *float32, n int, top float32)
	scale    func(x *float32, n int, f float32)
	dropout  func(x, y *float32, n int, keys *[10][2]uint32, ctr *[3]uint32, block, threshold uint32, factor float32)

	scaleRows              func(x, y, f *float32, rows, n int)
	normalize              stored[func(x, y, mean, f, beta *float32, rows, n int, lo, hi float32)]
	normalizeAdd           stored[func(x, res, y, mean, f, beta *float32, rows, n int, lo, hi float32)]
	normalizeBackward      func(dy, x, dx, mean, f, a, b *float32, rows, n int)
	normalizeBackwardGated func(dy, x, dx, mean, f, a, b, beta *float32, rows, n int, top float32)

	sgd         func(w, grad *float32, n int, lr, decay float32)
	sgdMomentum func(w, grad, v *float32, n int, lr, momentum, decay, ofG, ofV float32)
	adam        func(w, grad, m, v *float32, n int, keep1, new1, keep2, new2, step, unbias, eps, decay, shrink float32)

	// The sums over rows take up to narrow columns, or exactly wide ones.
	narrow, wide     int
	sumColumns       columns[func(x, sum *float32, rows, stride, n int)]
	moments          columns[func(x, shift, sum, squares *float32, rows, stride, n int)]
	projections      columns[func(dy, x, mean, sum, products *float32, rows, stride, n int)]
	projectionsGated columns[func(dy, x, mean, f, beta, sum, products *float32, rows, stride, n int, top float32)]

	squareLanes int // at most maxSquareLanes; n of sumSquares is a multiple
	sumSquares  func(x *float32, lanes *float64, n int)

	maxWindow    func(x, y *float32, r, s, row, column, n int)
	sumWindow    func(x, y *float32, r, s, row, column, n int, f float32)
	spreadWindow func(dx, dy *float32, r, s, row, column, n int, f float32)

	// Over some windows, or pixels, of a row; no count may be 0.
	firstMaximum func(x, y *float32, index *int32, windows, r, s, row, column, step, n, first, line int)
	collect      stored[func(index *int32, dy, dx *float32, pixels, rows, row, n, tap, size, stride, line, lines int)]
}

// columns is the two widths of a sum over rows.
type columns[F any] struct{ narrow, wide F }

// of is the kernel for n columns.
func (c *columns[F]) of(n int, s *streams) F {
	if n == s.wide {
		return c.wide
	}
	return c.narrow
}

// stored is the two ways in which a kernel stores its result: into the caches, or past them.
type stored[F any] struct{ cached, past F }

// way is the kernel for one of them.
func (s *stored[F]) way(past bool) F {
	if past {
		return s.past
	}
	return s.cached
}

// isPast tells whether y, with rows of n elements, goes past the caches: where it is none of the arrays that it is computed
// from, and large together with them.
func isPast(y []float32, n int, from ...[]float32) bool {
	total := len(y)
	for _, x := range from {
		if unsafe.SliceData(x) == unsafe.SliceData(y) {
			return false // it is in the cache already
		}
		total += len(x)
	}
	return total >= pastElements && n%grain == 0 && uintptr(unsafe.Pointer(unsafe.SliceData(y)))%cacheLine == 0
}

// maxSquareLanes is the most lanes of any path.
const maxSquareLanes = 32

const (
	// callElements is the most elements that one call of a kernel treats: assembly cannot be preempted, so it returns
	// after a few µs.
	callElements = 16 << 10
	// parallelElements is where a second thread begins to pay: a hand-off costs about as much as so many elements.
	parallelElements = 4 << 10
	// pastElements is how many elements an operation reads and writes from which on its result is better stored past the
	// caches: such a store need not read what it overwrites. With fewer, third-level caches still hold the result when it
	// is used.
	pastElements = 8 << 20
	// grain is where work on single elements is cut, so that threads do not share a cache line.
	grain = cacheLine / 4
)

// parted is a struct of arguments with a method that treats units [lo, hi) of the work; *T is one.
type parted[T any] interface {
	*T
	part(s *streams, lo, hi int)
}

// eachElement calls part of t for parts of n elements, spread over the threads.
func eachElement[T any, P parted[T]](d *Device, n int, t T) { eachPart[T, P](d, n, 1, grain, t) }

// eachRow calls part of t for parts of n rows, or other units, of size elements, spread over the threads.
func eachRow[T any, P parted[T]](d *Device, n, size int, t T) { eachPart[T, P](d, n, size, 1, t) }

// eachPart cuts n units of size elements at multiples of grain units, into parts that have at most callElements unless
// one unit has more.
func eachPart[T any, P parted[T]](d *Device, n, size, grain int, t T) {
	threads := d.threads
	if n*size < parallelElements {
		threads = 1
	}
	step := max(callElements/max(size, 1)/grain, 1) * grain
	start(d, threads, partition[T, P]{n, grain, step, threads, t})
}

// partition is the task of eachPart.
type partition[T any, P parted[T]] struct {
	n, grain, step, threads int
	body                    T
}

func (p *partition[T, P]) run(d *Device, worker int) {
	lo, hi := share((p.n+p.grain-1)/p.grain, worker, p.threads)
	lo, hi = lo*p.grain, min(hi*p.grain, p.n)
	for s := d.streams(); lo < hi; lo += p.step {
		P(&p.body).part(s, lo, min(lo+p.step, hi))
	}
}
