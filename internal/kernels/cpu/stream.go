package cpu

// streams is the kernels of the operations that are bound by memory: what differs between the paths. The loops that they
// stand for are the comments of the assembly stubs; stream_generic.go is the portable version. All arrays are dense,
// counts are in elements, and any count may be 0.
type streams struct {
	clamp    func(x, y *float32, n int, lo, hi float32)
	addClamp func(a, b, y *float32, n int, lo, hi float32)
	gate     func(y, dy, dx *float32, n int, top float32)
	scale    func(x *float32, n int, f float32)

	scaleRows         func(x, y, f *float32, rows, n int)
	normalize         func(x, y, mean, f, beta *float32, rows, n int, lo, hi float32)
	normalizeAdd      func(x, res, y, mean, f, beta *float32, rows, n int, lo, hi float32)
	normalizeBackward func(dy, x, dx, mean, f, a, b *float32, rows, n int)

	sgd         func(w, grad *float32, n int, lr, decay float32)
	sgdMomentum func(w, grad, v *float32, n int, lr, momentum, decay, ofG, ofV float32)
	adam        func(w, grad, m, v *float32, n int, keep1, new1, keep2, new2, step, unbias, eps, decay, shrink float32)

	// The sums over rows take up to narrow columns, or exactly wide ones.
	narrow, wide int
	sumColumns   columns[func(x, sum *float32, rows, stride, n int)]
	moments      columns[func(x, shift, sum, squares *float32, rows, stride, n int)]
	projections  columns[func(dy, x, mean, sum, products *float32, rows, stride, n int)]

	squareLanes int // at most maxSquareLanes; n of sumSquares is a multiple
	sumSquares  func(x *float32, lanes *float64, n int)

	maxWindow         func(x, y *float32, r, s, row, column, n int)
	maxWindowBackward func(x, dx, y, dy *float32, r, s, row, column, n int)
	sumWindow         func(x, y *float32, r, s, row, column, n int, f float32)
	spreadWindow      func(dx, dy *float32, r, s, row, column, n int, f float32)
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

// maxSquareLanes is the most lanes of any path.
const maxSquareLanes = 32

const (
	// callElements is the most elements that one call of a kernel treats: assembly cannot be preempted, so it returns
	// after a few µs.
	callElements = 16 << 10
	// parallelElements is where a second thread begins to pay: a hand-off costs about as much as so many elements.
	parallelElements = 4 << 10
	// grain is where work on single elements is cut, so that threads do not share a cache line.
	grain = cacheLine / 4
)

// eachPart calls f for parts [lo, hi) of n units, spread over the threads; size is the elements of a unit, of which a
// part has at most callElements unless one unit has more. Cuts lie at multiples of grain units.
func (d *Device) eachPart(n, size, grain int, f func(lo, hi int)) {
	step := max(callElements/max(size, 1)/grain, 1) * grain
	part := func(lo, hi int) {
		for ; lo < hi; lo += step {
			f(lo, min(lo+step, hi))
		}
	}
	if n*size < parallelElements {
		part(0, n)
		return
	}
	grains := (n + grain - 1) / grain
	d.parallel(func(worker int) {
		lo, hi := d.split(grains, worker)
		part(lo*grain, min(hi*grain, n))
	})
}

// eachElement calls f for parts of n elements, spread over the threads.
func (d *Device) eachElement(n int, f func(lo, hi int)) { d.eachPart(n, 1, grain, f) }

// eachRow calls f for parts of m rows of c elements, spread over the threads.
func (d *Device) eachRow(m, c int, f func(lo, hi int)) { d.eachPart(m, c, 1, f) }

// eachUnit calls f for each of n units of work of size elements, spread over the threads.
func (d *Device) eachUnit(n, size int, f func(unit int)) {
	if n*size < parallelElements {
		for unit := range n {
			f(unit)
		}
		return
	}
	d.parallel(func(worker int) {
		lo, hi := d.split(n, worker)
		for unit := lo; unit < hi; unit++ {
			f(unit)
		}
	})
}
