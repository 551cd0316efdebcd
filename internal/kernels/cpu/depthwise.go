package cpu

import "github.com/ftrun/ftrun/internal/kernels"

// A depthwise convolution has one filter a channel, so channels are the lanes of a vector and there is nothing to pack or
// pad: tiles are some neighbouring pixels of a row, and taps that meet only padding are left out.

// depthwiseBlock is the elements of dy that one call sums over: few enough for the cache, and for assembly, which cannot
// be preempted, to return after some µs.
const depthwiseBlock = 32 << 10

// Forward and backward data fetch x and y ahead of their use where a level-2 cache does not hold them: pixels of many
// channels are too far apart for the processor to foresee which line comes next.
const (
	fetchFrom  = 256 << 10 // elements of x and y together
	fetchAhead = 2 << 10   // elements; measured
)

// depthwiseForward computes y = act(conv(x, w) + bias).
func (d *Device) depthwiseForward(c kernels.Conv, x, w, y []float32, p post) {
	f := forwardOf(c, d.micro)
	if p.on && p.bias == nil {
		p.bias = grow(&d.shared.panel, c.K) // one call passes over all channels, more than post.at gives zeros for
		clear(p.bias)
	}
	f.post = p
	parallel(d, depthwiseForward{f, x, w, y})
}

type depthwiseForward struct {
	correlation // its groups are the channels
	x, w, y     []float32
}

func (t *depthwiseForward) run(d *Device, worker int) {
	lo, hi := d.split(t.n*t.p, worker)
	for u := lo; u < hi; u++ {
		d.depthwiseRow(&t.correlation, t.x, t.w, t.y, u/t.p, u%t.p)
	}
}

// depthwiseBackwardData computes dx.
func (d *Device) depthwiseBackwardData(c kernels.Conv, phases []phase, w, dy, dx []float32) {
	t := depthwiseBackwardData{c: c, phases: phases, turned: grow(&d.shared.weights, len(w)), dy: dy, dx: dx}
	turned := t.turned
	for i := range phases {
		p := &phases[i]
		t.rows = max(t.rows, p.p)
		for tap := range p.r * p.s {
			r, s := p.r0+(p.r-1-tap/p.s)*c.StrideH, p.s0+(p.s-1-tap%p.s)*c.StrideW
			copy(turned[tap*c.C:(tap+1)*c.C], w[(r*c.S+s)*c.C:])
		}
		turned = turned[p.r*p.s*c.C:]
	}
	parallel(d, t)
}

type depthwiseBackwardData struct {
	c              kernels.Conv
	phases         []phase
	turned, dy, dx []float32 // turned holds the filters of the phases, one after the other
	rows           int       // most of a phase
}

// run computes the rows of all phases that lie beside each other together, while what they share of dy is in the cache.
func (t *depthwiseBackwardData) run(d *Device, worker int) {
	lo, hi := d.split(t.c.N*t.rows, worker)
	for u := lo; u < hi; u++ {
		n, row, w := u/t.rows, u%t.rows, t.turned
		for i := range t.phases {
			p := &t.phases[i]
			if row < p.p {
				d.depthwiseRow(&p.correlation, t.dy, w, t.dx[p.offset:], n, row)
			}
			w = w[p.r*p.s*t.c.C:]
		}
	}
}

// depthwiseRow computes row p of picture n.
func (d *Device) depthwiseRow(f *correlation, x, w, y []float32, n, p int) {
	c := f.groups
	r0, r1 := max(0, f.padH-p*f.sh), min(f.r, f.h+f.padH-p*f.sh)
	for q := 0; q < f.q; {
		s0, s1 := f.columnTaps(q)
		out := y[n*f.yImage+p*f.yRow+q*f.yPixel:]
		if r0 >= r1 || s0 >= s1 {
			d.emptyPixel(f, out[:c])
			q++
			continue
		}
		// Pixels beside each other that meet the same columns of the filter go together.
		count := 1
		for ; q+count < f.q && count < maxPixel; count++ {
			if a, b := f.columnTaps(q + count); a != s0 || b != s1 {
				break
			}
		}
		first := ((n*f.h+p*f.sh+r0-f.padH)*f.w + q*f.sw + s0 - f.padW) * c
		next, fetch := 0, 0
		if len(x)+len(y) > fetchFrom {
			// The row before it has read all but the last sh rows of x, which lie in memory one after the other.
			fetch = f.sh * f.sw
			next = ((n*f.h+p*f.sh+f.r-f.padH-f.sh)*f.w+q*fetch)*c + fetchAhead*fetch - first
		}
		d.micro.depthwise[count](&x[first], &w[(r0*f.s+s0)*c], &out[0], f.post.at(0), f.sw*c, c, f.w*c, c, f.s*c, f.yPixel,
			r1-r0, s1-s0, c, next, fetchAhead, fetch, f.post.lo, f.post.hi)
		q += count
	}
}

// columnTaps is the range of columns of the filter that meet the picture at output column q.
func (f *correlation) columnTaps(q int) (lo, hi int) {
	return max(0, f.padW-q*f.sw), min(f.s, f.w+f.padW-q*f.sw)
}

// emptyPixel writes a pixel that meets only padding.
func (d *Device) emptyPixel(f *correlation, y []float32) {
	for k := range y {
		v := float32(0)
		if f.post.bias != nil {
			v = f.post.bias[k]
		}
		if f.post.on {
			v = clamp(v, f.post.lo, f.post.hi)
		}
		y[k] = v
	}
}

// depthwiseBackwardWeights computes dw from x and dy.
func (d *Device) depthwiseBackwardWeights(c kernels.Conv, x, dy, dw []float32) {
	f := forwardOf(c, d.micro)
	sums := d.chunkSums(weightChunks(c), dw)
	parallel(d, depthwiseBackwardWeights{f, x, dy, sums})
	d.addChunks(sums)
}

type depthwiseBackwardWeights struct {
	correlation
	x, dy []float32
	sums  chunkSums // chunks are of rows of n·p
}

func (t *depthwiseBackwardWeights) run(d *Device, worker int) {
	lo, hi := d.split(t.sums.chunks, worker)
	for chunk := lo; chunk < hi; chunk++ {
		r0, r1 := share(t.n*t.p, chunk, t.sums.chunks)
		sum := t.sums.of(chunk)
		clear(sum)
		for u := r0; u < r1; {
			n, p := u/t.p, u%t.p
			rows := min(max(1, depthwiseBlock/(t.q*t.groups)), t.p-p, r1-u)
			d.depthwiseRows(&t.correlation, t.x, t.dy, sum, n, p, p+rows)
			u += rows
		}
	}
}

// depthwiseRows adds rows [p0, p1) of picture n to the gradient.
func (d *Device) depthwiseRows(f *correlation, x, dy, sum []float32, n, p0, p1 int) {
	c := f.groups
	for r := range f.r {
		lo, hi := meets(r, f.h, f.p, f.sh, f.padH)
		lo, hi = max(lo, p0), min(hi, p1)
		if lo >= hi {
			continue
		}
		for q := 0; q < f.q; {
			s0, s1 := f.columnTaps(q)
			count := 1
			for ; q+count < f.q; count++ {
				if a, b := f.columnTaps(q + count); a != s0 || b != s1 {
					break
				}
			}
			for s := s0; s < s1; s += maxTap {
				d.micro.depthwiseOuter[min(maxTap, s1-s)](
					&x[((n*f.h+lo*f.sh+r-f.padH)*f.w+q*f.sw+s-f.padW)*c], &dy[n*f.yImage+lo*f.yRow+q*f.yPixel],
					&sum[(r*f.s+s)*c], f.sw*c, c, f.sh*f.w*c, f.yPixel, f.yRow, c, hi-lo, count, c)
			}
			q += count
		}
	}
}
