package cpu

import "github.com/ftrun/ftrun/internal/kernels"

// A depthwise convolution has one filter a channel, so channels are the lanes of a vector and there is nothing to pack or
// pad: tiles are some neighbouring pixels of a row, and taps that meet only padding are left out.

// depthwiseBlock is the elements of dy that one call sums over: few enough for the cache, and for assembly, which cannot
// be preempted, to return after some µs.
const depthwiseBlock = 32 << 10

// depthwiseForward computes y = act(conv(x, w) + bias).
func (d *Device) depthwiseForward(c kernels.Conv, x, w, y []float32, p post) {
	f := forwardOf(c, d.micro)
	if p.on && p.bias == nil {
		p.bias = grow(&d.shared.panel, c.K) // one call passes over all channels, more than post.at gives zeros for
		clear(p.bias)
	}
	f.post = p
	d.depthwise(&f, x, w, y)
}

// depthwiseBackwardData computes dx, phase by phase.
func (d *Device) depthwiseBackwardData(c kernels.Conv, phases []phase, w, dy, dx []float32) {
	for i := range phases {
		p := &phases[i]
		turned := grow(&d.shared.weights, p.r*p.s*c.C)
		for tap := range p.r * p.s {
			r, s := p.r0+(p.r-1-tap/p.s)*c.StrideH, p.s0+(p.s-1-tap%p.s)*c.StrideW
			copy(turned[tap*c.C:(tap+1)*c.C], w[(r*c.S+s)*c.C:])
		}
		d.depthwise(&p.correlation, dy, turned, dx[p.offset:])
	}
}

// depthwise runs f, whose groups are the channels, over x.
func (d *Device) depthwise(f *correlation, x, w, y []float32) {
	d.parallel(func(worker int) {
		lo, hi := d.split(f.n*f.p, worker)
		for u := lo; u < hi; u++ {
			n, p := u/f.p, u%f.p
			d.depthwiseRow(f, x, w, y, n, p)
		}
	})
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
		d.micro.depthwise[count](&x[((n*f.h+p*f.sh+r0-f.padH)*f.w+q*f.sw+s0-f.padW)*c], &w[(r0*f.s+s0)*c], &out[0],
			f.post.at(0), f.sw*c, c, f.w*c, c, f.s*c, f.yPixel, r1-r0, s1-s0, c, f.post.lo, f.post.hi)
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
	chunks := min(maxChunks, f.n*f.p, max(1, len(dy)/(chunkBenefit*len(dw))))
	sums := d.chunkSums(chunks, dw)
	{
		d.parallel(func(worker int) {
			lo, hi := d.split(chunks, worker)
			for chunk := lo; chunk < hi; chunk++ {
				r0, r1 := share(f.n*f.p, chunk, chunks)
				sum := sums.of(chunk)
				clear(sum)
				for u := r0; u < r1; {
					n, p := u/f.p, u%f.p
					rows := min(max(1, depthwiseBlock/(f.q*f.groups)), f.p-p, r1-u)
					d.depthwiseRows(&f, x, dy, sum, n, p, p+rows)
					u += rows
				}
			}
		})
	}
	d.addChunks(sums)
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
