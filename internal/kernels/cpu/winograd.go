package cpu

import "github.com/ftrun/ftrun/internal/kernels"

// Winograd's convolution F(m×m,3×3) computes a tile of m×m outputs of a 3×3 filter from (m+2)² products a channel where
// the definition has 9·m²: 2.25 times fewer for m = 2, 4 times fewer for m = 4 (Lavin and Gray, "Fast Algorithms for
// Convolutional Neural Networks", 2016). Tiles of input and filters are transformed, then each of the (m+2)² points is a
// product of matrices, tiles × channels by channels × outputs, and a last transform makes the tiles of output.
//
// An element of the result is made of the products of its own tile, each of them one sum over all channels in order. So
// neither the pictures beside it nor the way in which tiles are shared out change its bits.

// winograd is a convolution by tiles.
type winograd struct {
	correlation
	kernels    *winogradKernels
	m, side    int // outputs and inputs on a side of a tile
	rows, cols int // tiles in a column and a row of a picture
	ld         int // elements between the channels of one tile and the next
	turned     bool
	weights    []float32 // (3,3,C,K), or, turned, (3,3,K,C) of which the taps are in reverse
	filters    []float32 // transformed weights, [panel][point][C][width], where they are kept; else nil
}

// winogradOf plans f by tiles of m×m.
func (d *Device) winogradOf(f correlation, m int, w []float32, turned bool) winograd {
	k := &d.micro.winograd2
	if m == 4 {
		k = &d.micro.winograd4
	}
	return winograd{
		correlation: f, kernels: k, m: m, side: m + 2, rows: (f.p + m - 1) / m, cols: (f.q + m - 1) / m,
		ld:     spaced(f.c),
		turned: turned, weights: w,
	}
}

// spaced is c, rounded up to whole cache lines and one more: not a multiple of a page, which would put the points of a
// tile on the same lines of the cache.
func spaced(c int) int { return (c+grain-1)/grain*grain + grain }

func (f *winograd) points() int { return f.side * f.side }
func (f *winograd) tiles() int  { return f.n * f.rows * f.cols }

// filtersLen is the number of elements of the transformed filters, filtersAt where those of panel i begin.
func (f *winograd) filtersLen() int     { return f.points() * f.c * f.panels.padded() }
func (f *winograd) filtersAt(i int) int { return i * f.points() * f.c * f.panels.width[1] }

// place is the picture and the first output of tile t.
func (f *winograd) place(t int) (n, p, q int) {
	n, t = t/(f.rows*f.cols), t%(f.rows*f.cols)
	return n, t / f.cols * f.m, t % f.cols * f.m
}

const (
	// winogradTiles is how many tiles a thread takes through all transforms at a time: a multiple of the tallest tile of
	// every path's gemm, enough for the filters to be worth the reading and few enough for the cache.
	winogradTiles = 42
	// winogradLen bounds, in elements, the transformed input that threads share.
	winogradLen = 2 << 20
	// filterRows is how many channels of a panel of filters are transformed at a time.
	filterRows = 32
)

// winograd runs f over x as how says.
func (d *Device) winograd(f *winograd, how winogradChoice, x, y []float32) {
	if how.deep {
		d.winogradDeep(f, x, y)
	} else {
		d.winogradTiled(f, x, y)
	}
}

// transformFilters transforms all filters.
type transformFilters struct {
	f winograd
	u []float32
}

func (t *transformFilters) run(d *Device, worker int) {
	f := &t.f
	blocks := (f.c + filterRows - 1) / filterRows
	lo, hi := d.split(f.panels.count()*blocks, worker)
	for unit := lo; unit < hi; unit++ {
		i := unit / blocks
		d.transformFilter(f, worker, i, unit%blocks*filterRows, t.u[f.filtersAt(i):])
	}
}

// winogradTiled transforms all filters, and lets the threads share the tiles: few tiles at a time, whose transformed
// input stays in the cache.
func (d *Device) winogradTiled(f *winograd, x, y []float32) {
	u := f.filters
	if u == nil {
		u = grow(&d.shared.weights, f.filtersLen())
		parallel(d, transformFilters{*f, u})
	}
	parallel(d, convolveTiles{*f, x, u, y})
}

// convolveTiles takes tiles through all transforms.
type convolveTiles struct {
	f       winograd
	x, u, y []float32
}

func (t *convolveTiles) run(d *Device, worker int) {
	f := &t.f
	lo, hi := d.split(f.tiles(), worker)
	blocks := (hi - lo + winogradTiles - 1) / winogradTiles
	for b := range blocks {
		b0, b1 := share(hi-lo, b, blocks)
		count := b1 - b0
		v := grow(&d.workers[worker].band, f.points()*count*f.ld)
		d.transformInput(f, worker, t.x, v, count*f.ld, lo+b0, lo+b1)
		for i := range f.panels.count() {
			d.multiplyPanel(f, worker, i, v, count*f.ld, t.u[f.filtersAt(i):], t.y, lo+b0, lo+b1)
		}
	}
}

// winogradDeep transforms the input of many tiles, and lets the threads share the panels of outputs: each transforms its
// filters when it needs them, so that those of a wide layer never leave the cache.
func (d *Device) winogradDeep(f *winograd, x, y []float32) {
	tiles := f.tiles()
	most := max(winogradTiles, winogradLen/(f.points()*f.ld))
	parts := (tiles + most - 1) / most
	for part := range parts {
		t0, t1 := share(tiles, part, parts)
		v := grow(&d.shared.winograd, f.points()*(t1-t0)*f.ld)
		parallel(d, transformTiles{*f, x, v, t0, t1})
		parallel(d, multiplyPanels{*f, v, y, t0, t1})
	}
}

// transformTiles writes tiles [t0, t1) of x to v.
type transformTiles struct {
	f      winograd
	x, v   []float32
	t0, t1 int
}

func (t *transformTiles) run(d *Device, worker int) {
	f := &t.f
	lo, hi := d.split(t.t1-t.t0, worker)
	d.transformInput(f, worker, t.x, t.v[lo*f.ld:], (t.t1-t.t0)*f.ld, t.t0+lo, t.t0+hi)
}

// multiplyPanels computes the outputs of tiles [t0, t1), whose transformed input is v.
type multiplyPanels struct {
	f      winograd
	v, y   []float32
	t0, t1 int
}

func (t *multiplyPanels) run(d *Device, worker int) {
	f, count := &t.f, t.t1-t.t0
	lo, hi := d.split(f.panels.count(), worker)
	for i := lo; i < hi; i++ {
		u := d.filtersOf(f, worker, i)
		blocks := (count + 2*winogradTiles - 1) / (2 * winogradTiles)
		for b := range blocks {
			b0, b1 := share(count, b, blocks)
			d.multiplyPanel(f, worker, i, t.v[b0*f.ld:], count*f.ld, u, t.y, t.t0+b0, t.t0+b1)
		}
	}
}

// filtersOf is the transformed filters of panel i, made when there are none.
func (d *Device) filtersOf(f *winograd, worker, i int) []float32 {
	if f.filters != nil {
		return f.filters[f.filtersAt(i):]
	}
	kind, _ := f.panels.panel(i)
	u := grow(&d.workers[worker].filters, f.points()*f.c*f.panels.width[kind])
	for c := 0; c < f.c; c += filterRows {
		d.transformFilter(f, worker, i, c, u)
	}
	return u
}

// transformFilter writes the rows of panel i of the transformed filters from channel c0 on, to u [point][C][width].
func (d *Device) transformFilter(f *winograd, worker, i, c0 int, u []float32) {
	kind, n := f.panels.panel(i)
	width, col := f.panels.width[kind], i*f.panels.width[1]
	rows := min(filterRows, f.c-c0)
	sc := &d.workers[worker]
	taps, between := grow(&sc.panel, 9*rows*width), grow(&sc.between, maxBetween)
	for tap := range 9 {
		dst := taps[tap*rows*width:]
		if f.turned {
			d.transposeInto(dst, f.weights[((8-tap)*f.k+col)*f.c+c0:], n, rows, f.c, width)
			continue
		}
		for r := range rows {
			copy(dst[r*width:], f.weights[(tap*f.c+c0+r)*f.k+col:][:n])
			clear(dst[r*width+n : (r+1)*width])
		}
	}
	f.kernels.filter(&taps[0], &u[c0*width], &between[0], 3*rows*width, rows*width,
		f.side*f.c*width, f.c*width, rows*width)
}

// transformInput writes tiles [t0, t1) of x to v, whose points stand point elements apart.
func (d *Device) transformInput(f *winograd, worker int, x, v []float32, point, t0, t1 int) {
	s := squares{x: x, h: f.h, w: f.w, c: f.c, side: f.side, padH: f.padH, padW: f.padW, transform: f.kernels.input, ld: f.ld}
	d.transformSquares(f, &s, worker, v, point, t0, t1)
}

// squares are the squares of pictures x (N,H,W,C) that belong to the tiles of a convolution.
type squares struct {
	x          []float32
	h, w, c    int
	side       int
	padH, padW int // rows and columns by which they begin before their tile
	transform  squareFunc
	ld         int // elements from the channels of one transformed square to the next
}

// transformSquares writes the squares of tiles [t0, t1) to v, whose points stand point elements apart.
func (d *Device) transformSquares(f *winograd, s *squares, worker int, v []float32, point, t0, t1 int) {
	sc := &d.workers[worker]
	edge, between := grow(&sc.edge, s.side*s.side*s.c), grow(&sc.between, maxBetween)
	for t := t0; t < t1; t++ {
		n, p, q := f.place(t)
		h, w := p-s.padH, q-s.padW
		src, row := &edge[0], s.side*s.c
		if h >= 0 && w >= 0 && h+s.side <= s.h && w+s.side <= s.w {
			src, row = &s.x[((n*s.h+h)*s.w+w)*s.c], s.w*s.c
		} else {
			s.cut(edge, n, h, w)
		}
		s.transform(src, &v[(t-t0)*s.ld], &between[0], row, s.c, f.side*point, point, s.c)
	}
}

// cut copies the square of picture n that begins at row h and column w; what lies outside is zero.
func (s *squares) cut(square []float32, n, h, w int) {
	left := min(max(-w, 0), s.side)
	right := max(min(s.w-w, s.side), left)
	for i := range s.side {
		row := square[i*s.side*s.c : (i+1)*s.side*s.c]
		if h+i < 0 || h+i >= s.h || left == right {
			clear(row)
			continue
		}
		clear(row[:left*s.c])
		copy(row[left*s.c:right*s.c], s.x[((n*s.h+h+i)*s.w+w+left)*s.c:])
		clear(row[right*s.c:])
	}
}

// multiplyPanel computes the outputs of panel i of tiles [t0, t1), from their transformed input v, whose points stand
// point elements apart, and the panel's transformed filters u.
func (d *Device) multiplyPanel(f *winograd, worker, i int, v []float32, point int, u, y []float32, t0, t1 int) {
	kind, cols := f.panels.panel(i)
	width, col := f.panels.width[kind], i*f.panels.width[1]
	count := t1 - t0
	sc := &d.workers[worker]
	each := count*width + grain // as f.ld
	products := grow(&sc.products, f.points()*each)
	gemm, blocks := &d.micro.gemm[kind], (count+d.micro.rows-1)/d.micro.rows
	whole := mask(width)
	for xi := range f.points() {
		b := &u[xi*f.c*width]
		for j := range blocks {
			m0, m1 := share(count, j, blocks)
			gemm[m1-m0](&v[xi*point+m0*f.ld], b, &products[xi*each+m0*width], nil, b, f.ld, 0, 1, f.c, width, whole,
				false, 0, 0)
		}
	}
	edge, between := grow(&sc.edge, f.m*f.m*width), grow(&sc.between, maxBetween)
	bias := f.post.at(col)
	for t := t0; t < t1; t++ {
		n, p, q := f.place(t)
		src, dst := &products[(t-t0)*width], y[n*f.yImage+p*f.yRow+q*f.yPixel+col:]
		rows, columns := min(f.m, f.p-p), min(f.m, f.q-q)
		if rows == f.m && columns == f.m {
			f.kernels.output(src, &dst[0], &between[0], bias, f.side*each, each, f.yRow, f.yPixel, cols, f.post.accumulate,
				f.post.lo, f.post.hi)
			continue
		}
		if f.post.accumulate {
			for r := range rows {
				for s := range columns {
					copy(edge[(r*f.m+s)*cols:][:cols], dst[r*f.yRow+s*f.yPixel:])
				}
			}
		}
		f.kernels.output(src, &edge[0], &between[0], bias, f.side*each, each, f.m*cols, cols, cols, f.post.accumulate,
			f.post.lo, f.post.hi)
		for r := range rows {
			for s := range columns {
				copy(dst[r*f.yRow+s*f.yPixel:][:cols], edge[(r*f.m+s)*cols:])
			}
		}
	}
}

// winogradChoice is how a convolution is computed.
type winogradChoice struct {
	m       int  // forward and backward data: outputs on a side of a tile; 0: not by tiles
	deep    bool // as winogradDeep does, not winogradTiled
	weights int  // m of the gradient of the weights
}

// winogradFor chooses for f.
func (d *Device) winogradFor(f *correlation, numerics kernels.Numerics) winogradChoice {
	if numerics == kernels.Exact || f.r != 3 || f.s != 3 || f.sh != 1 || f.sw != 1 || f.groups != 1 {
		return winogradChoice{}
	}
	return d.choose(*f, numerics)
}

// Where Winograd's convolutions pay; docs/decisions/0009-winograd.md has the measurements.
const (
	winogradChannels = 16      // below these many, of input or output, the transforms cost more than they save
	winogradOutputs  = 16      // outputs of a picture from which F(2×2,3×3) pays
	winogradLarge    = 400     // and F(4×4,3×3): below, its filters are read for too few tiles, and many tiles hang over
	winogradSums     = 6000    // and F(3×3,2×2): outputs times the fewer channels, for its sums to be worth the reading
	winogradDeepLen  = 1 << 17 // weights a tap, C·K, from which
	winogradDeepMost = 64      // pictures with at most so many outputs are computed deep
)

// chooseWinograd is the rule. It looks at a layer's shape and not at the batch, on which no bit of a result may depend.
func chooseWinograd(f correlation, numerics kernels.Numerics) winogradChoice {
	outputs := f.p * f.q
	switch {
	case min(f.c, f.k) < winogradChannels || outputs < winogradOutputs:
		return winogradChoice{}
	case numerics == kernels.Fast && outputs >= winogradLarge:
		return winogradChoice{m: 4, weights: 4}
	}
	how := winogradChoice{m: 2, deep: f.c*f.k >= winogradDeepLen && outputs <= winogradDeepMost}
	if outputs >= 2*winogradOutputs && outputs*min(f.c, f.k) >= winogradSums {
		how.weights = 2
	}
	return how
}
