package cpu

import "github.com/ftrun/ftrun/internal/kernels"

// The gradient of the weights is, for every tap (r,s), the sum over pixels of the outer products of a pixel of x and the
// pixel of dy that it meets. A tile is some channels of x at one tap by a panel of channels of dy. Pixels that meet only
// padding are left out, so x needs no padded copy. Where x has very few channels, a tile takes the S·C elements of a row
// of taps together, from a padded band.
//
// The batch is cut into chunks that follow from the shape; each has its own sum, and the sums are added in order.

const (
	maxChunks    = 16  // of the batch, each with a gradient of its own
	pixelBlock   = 256 // pixels of dy that stay in the cache while all tiles pass over them
	fewChannels  = 8   // below this many, tiles take rows of taps
	chunkBenefit = 2   // a chunk's gradient is at least so much smaller than its dy
)

// ConvBackwardWeights computes dw from x and dy.
func (d *Device) ConvBackwardWeights(c kernels.Conv, x, dy, dw kernels.Buffer) error {
	checkConv(c)
	xs, dys, dws := floats(x, c.LenX()), floats(dy, c.LenY()), floats(dw, c.LenW())
	if isDepthwise(c) {
		d.depthwiseBackwardWeights(c, xs, dys, dws)
		return nil
	}
	f := forwardOf(c, d.micro)
	if m := d.winogradFor(&f, c.Numerics).weights; m > 0 {
		d.winogradWeights(f, m, xs, dys, dws)
		return nil
	}
	sums := d.chunkSums(weightChunks(c), dws)
	if f.s > 1 && f.c < fewChannels {
		parallel(d, sumTapRows{f, xs, dys, sums})
		d.addChunks(sums)
		return nil
	}
	parallel(d, sumTapChannels{tapTiles{correlation: f, rows: (f.c + d.micro.rows - 1) / d.micro.rows}, xs, dys, sums})
	d.addChunks(sums)
	return nil
}

// weightChunks is the number of chunks into which the batch is cut.
func weightChunks(c kernels.Conv) int {
	chunks := min(maxChunks, max(1, c.LenY()/(chunkBenefit*c.LenW())))
	if isDepthwise(c) || c.S > 1 && c.C/c.Groups < fewChannels {
		return min(chunks, c.N*c.P())
	}
	return min(chunks, c.N)
}

// chunkSums holds the gradients of chunks: the first in dw, the others beside it.
type chunkSums struct {
	chunks      int
	dw, partial []float32
}

func (d *Device) chunkSums(chunks int, dw []float32) chunkSums {
	return chunkSums{chunks, dw, grow(&d.shared.partial, (chunks-1)*len(dw))}
}

// of is the gradient of a chunk.
func (s *chunkSums) of(chunk int) []float32 {
	if chunk == 0 {
		return s.dw
	}
	return s.partial[(chunk-1)*len(s.dw) : chunk*len(s.dw)]
}

// addChunks adds the gradients in order into dw.
func (d *Device) addChunks(s chunkSums) {
	if s.chunks > 1 {
		eachElement(d, len(s.dw), s)
	}
}

func (s *chunkSums) part(st *streams, lo, hi int) {
	floor, ceil := bounds(kernels.Identity)
	for chunk := 1; chunk < s.chunks; chunk++ {
		st.addClamp(&s.dw[lo], &s.of(chunk)[lo], &s.dw[lo], hi-lo, floor, ceil)
	}
}

// sumTapRows sums gradients by rows of taps; chunks are of rows of n·p.
type sumTapRows struct {
	f     correlation
	x, dy []float32
	sums  chunkSums
}

func (t *sumTapRows) run(d *Device, worker int) {
	f, chunks := &t.f, t.sums.chunks
	lo, hi := d.split(chunks*f.groups, worker)
	for u := lo; u < hi; u++ {
		chunk, g := u/f.groups, u%f.groups
		r0, r1 := share(f.n*f.p, chunk, chunks)
		d.tapRows(f, t.x, t.dy, t.sums.of(chunk), worker, g, r0, r1)
	}
}

// sumTapChannels sums gradients by tiles of taps and channels; chunks are of pictures.
type sumTapChannels struct {
	t     tapTiles
	x, dy []float32
	sums  chunkSums
}

func (t *sumTapChannels) run(d *Device, worker int) {
	f, chunks := &t.t, t.sums.chunks
	tiles := f.r * f.s * f.rows
	lo, hi := d.split(chunks*f.groups*tiles, worker)
	for lo < hi {
		u := lo / tiles
		end := min(hi, (u+1)*tiles)
		chunk, g := u/f.groups, u%f.groups
		n0, n1 := share(f.n, chunk, chunks)
		d.tapChannels(f, t.x, t.dy, t.sums.of(chunk), worker, g, n0, n1, lo-u*tiles, end-u*tiles)
		lo = end
	}
}

// panelOf returns panel i of group g of dy, for rows of q pixels from row p of picture n on, and the elements between
// its pixels, rows and images. A panel that is not full is copied and padded with zeros. Several images are whole ones,
// so the pixels follow each other without a gap.
func (d *Device) panelOf(f *correlation, dy []float32, worker, g, i, n, p, images, rows int) (b []float32, pixel, row, image int) {
	kind, cols := f.panels.panel(i)
	width := f.panels.width[kind]
	b = dy[n*f.yImage+p*f.yRow+g*f.k+i*f.panels.width[1]:]
	if cols == width {
		return b, f.yPixel, f.yRow, f.yImage
	}
	b = d.padPanel(b, worker, images*rows*f.q, cols, f.yPixel, width)
	return b, width, f.q * width, rows * f.q * width
}

// tapTiles numbers the tiles of a gradient: taps, and the rows of channels at each.
type tapTiles struct {
	correlation
	rows int // tiles of channels at a tap
}

// tapChannels sums tiles [t0, t1) of group g over pictures [n0, n1) into dw.
func (d *Device) tapChannels(t *tapTiles, x, dy, dw []float32, worker, g, n0, n1, t0, t1 int) {
	pix, cols := t.groups*t.c, t.groups*t.k
	images, parts := max(1, pixelBlock/(t.p*t.q)), 1
	if images == 1 {
		parts = min(t.p, (t.p*t.q+pixelBlock-1)/pixelBlock)
	}
	for n := n0; n < n1; n += images {
		count := min(images, n1-n)
		for part := range parts {
			p0, p1 := share(t.p, part, parts)
			for i := range t.panels.count() {
				kind, own := t.panels.panel(i)
				b, pixel, row, image := d.panelOf(&t.correlation, dy, worker, g, i, n, p0, count, p1-p0)
				for u := t0; u < t1; u++ {
					tap := u / t.rows
					r, s := tap/t.s, tap%t.s
					c0, c1 := share(t.c, u%t.rows, t.rows)
					lo, hi := meets(r, t.h, t.p, t.sh, t.padH)
					left, right := meets(s, t.w, t.q, t.sw, t.padW)
					lo, hi = max(lo, p0), min(hi, p1)
					a := &x[0]
					if lo < hi && left < right {
						a = &x[((n*t.h+lo*t.sh+r-t.padH)*t.w+left*t.sw+s-t.padW)*pix+g*t.c+c0]
					} else {
						lo, hi, left, right = p0, p0, 0, 0
					}
					d.micro.outer[kind][c1-c0](a, &b[(lo-p0)*row+left*pixel],
						&dw[(tap*t.c+c0)*cols+g*t.k+i*t.panels.width[1]], t.sw*pix, pixel, right-left,
						t.sh*t.w*pix, row, hi-lo, t.h*t.w*pix, image, count, cols, mask(own), n > n0 || part > 0)
				}
			}
		}
	}
}

// meets is the range of output positions in [0, out) whose tap lies inside an input of size in.
func meets(tap, in, out, stride, pad int) (lo, hi int) {
	lo = max(0, (pad-tap+stride-1)/stride)
	hi = min(out, (in-1+pad-tap+stride)/stride)
	return lo, max(lo, hi)
}

// tapRows sums the whole gradient of group g over rows [lo, hi) of n·p into dw, by tiles of whole rows of taps.
func (d *Device) tapRows(f *correlation, x, dy, dw []float32, worker, g, lo, hi int) {
	run, cols := f.s*f.c, f.groups*f.k
	rowLen := ((f.q-1)*f.sw + f.s) * f.c
	most := max(1, pixelBlock/f.q)
	tiles := (run + d.micro.rows - 1) / d.micro.rows
	for u := lo; u < hi; {
		n, p := u/f.p, u%f.p
		rows := min(most, f.p-p, hi-u)
		band := grow(&d.workers[worker].band, ((rows-1)*f.sh+f.r)*rowLen)
		f.pad(band, x, n, g, p*f.sh-f.padH)
		for i := range f.panels.count() {
			kind, own := f.panels.panel(i)
			b, pixel, row, _ := d.panelOf(f, dy, worker, g, i, n, p, 1, rows)
			for r := range f.r {
				for t := range tiles {
					c0, c1 := share(run, t, tiles)
					d.micro.outer[kind][c1-c0](&band[r*rowLen+c0], &b[0], &dw[(r*run+c0)*cols+g*f.k+i*f.panels.width[1]],
						f.sw*f.c, pixel, f.q, f.sh*rowLen, row, rows, 0, 0, 1, cols, mask(own), u > lo)
				}
			}
		}
		u += rows
	}
}
