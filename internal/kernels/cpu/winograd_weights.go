package cpu

// The gradient of the weights is F(3×3,m×m): the same squares of x, and the tiles of dy in the place of filters. Each of the
// (m+2)² points is a product of matrices, channels × tiles by tiles × outputs, which is summed over all tiles before the
// last transform.
//
// Tiles are taken in blocks, and their sums added in order. Threads share points and channels, so that their number
// does not change a sum.

// winogradBlock is how many tiles of dy stay in the cache while all channels of x pass over them.
const winogradBlock = pixelBlock

// winogradWeights computes dw (3,3,C,K) from x and dy by tiles of m×m.
func (d *Device) winogradWeights(c correlation, m int, x, dy, dw []float32) {
	f := d.winogradOf(c, m, nil, false)
	in := squares{x: x, h: f.h, w: f.w, c: f.c, side: f.side, padH: f.padH, padW: f.padW, transform: f.kernels.input, ld: f.ld}
	out := squares{x: dy, h: f.p, w: f.q, c: f.k, side: f.m, transform: f.kernels.gradient, ld: spaced(f.k)}
	tiles := f.tiles()
	blocks := (tiles + winogradBlock - 1) / winogradBlock
	most := (tiles + blocks - 1) / blocks
	memory := grow(&d.shared.winograd, f.points()*most*(in.ld+out.ld))
	sums := grow(&d.shared.weights, f.points()*f.c*f.k)
	for b := range blocks {
		t0, t1 := share(tiles, b, blocks)
		block := tileBlock{f, in, out, memory, memory[f.points()*(t1-t0)*in.ld:], t0, t1}
		parallel(d, transformBlock{block})
		parallel(d, addBlock{block, sums, b > 0})
	}
	parallel(d, finishWeights{f, sums, dw})
}

// tileBlock is tiles [t0, t1): the squares of x, and, in the place of filters, those of dy.
type tileBlock struct {
	f       winograd
	in, out squares
	v, z    []float32 // transformed in and out
	t0, t1  int
}

// transformBlock transforms the squares of a block.
type transformBlock struct{ tileBlock }

func (t *transformBlock) run(d *Device, worker int) {
	count := t.t1 - t.t0
	lo, hi := d.split(count, worker)
	d.transformSquares(&t.f, &t.in, worker, t.v[lo*t.in.ld:], count*t.in.ld, t.t0+lo, t.t0+hi)
	d.transformSquares(&t.f, &t.out, worker, t.z[lo*t.out.ld:], count*t.out.ld, t.t0+lo, t.t0+hi)
}

// addBlock adds the products of a block to the sums over all of them.
type addBlock struct {
	tileBlock
	sums       []float32
	accumulate bool
}

func (t *addBlock) run(d *Device, worker int) {
	f, count := &t.f, t.t1-t.t0
	rows := (f.c + d.micro.rows - 1) / d.micro.rows
	lo, hi := d.split(f.points()*rows, worker)
	for lo < hi {
		xi := lo / rows
		end := min(hi, (xi+1)*rows)
		d.addProducts(f, t.v[xi*count*t.in.ld:], t.z[xi*count*t.out.ld:], t.sums[xi*f.c*f.k:], t.in.ld, t.out.ld, count,
			lo-xi*rows, end-xi*rows, rows, t.accumulate)
		lo = end
	}
}

// finishWeights transforms the sums to dw.
type finishWeights struct {
	f        winograd
	sums, dw []float32
}

func (t *finishWeights) run(d *Device, worker int) {
	f := &t.f
	each := f.c * f.k
	between := grow(&d.workers[worker].between, maxBetween)
	lo, hi := d.split((each+weightsPart-1)/weightsPart, worker)
	for i := lo; i < hi; i++ {
		from, to := i*weightsPart, min(each, (i+1)*weightsPart)
		f.kernels.weights(&t.sums[from], &t.dw[from], &between[0], f.side*each, each, 3*each, each, to-from)
	}
}

// weightsPart is how many weights a tap are transformed by one call.
const weightsPart = 1 << 10

// addProducts sums the products of one point over count tiles, for tiles [r0, r1) of all rows of channels.
func (d *Device) addProducts(f *winograd, v, z, sums []float32, ldv, ldz, count, r0, r1, rows int, accumulate bool) {
	for i := range f.panels.count() {
		kind, own := f.panels.panel(i)
		col := i * f.panels.width[1]
		for r := r0; r < r1; r++ {
			c0, c1 := share(f.c, r, rows)
			d.micro.outer[kind][c1-c0](&v[c0], &z[col], &sums[c0*f.k+col], ldv, ldz, count, 0, 0, 1, 0, 0, 1,
				f.k, mask(own), accumulate)
		}
	}
}
