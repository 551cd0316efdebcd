package jpeg

// row returns the samples of component i for row y of the picture, as many as that is wide: as they are stored, or
// upsampled. Chroma of half the width, height or both goes through libjpeg's triangle filter (jdsample.c): a new sample
// weighs its nearest neighbour 3/4 and the next one 1/4 in each direction that is doubled, and the roundings alternate so
// that they do not add up. Other ratios repeat samples.
func (d *decoder) row(i, y int) []uint8 {
	c := &d.components[i]
	fx, fy := d.hMax/c.h, d.vMax/c.v
	at := origin + y/fy*c.stride
	if fx == 1 && fy == 1 {
		return c.pix[at:]
	}
	out := d.rows[i]
	far := c.neighbour(y)
	switch {
	case fx == 1 && fy == 2:
		h1v2(out[:c.w], c.pix[at:], c.pix[far:], 1+y%2)
	case fx == 2 && fy == 1 && c.w > 2:
		h2v1(out, c.pix, at, c.w)
	case fx == 2 && fy == 2 && c.w > 2:
		h2v2(out, c.pix, at, far, c.w)
	default:
		for x := range d.w {
			out[x] = c.pix[at+x/fx]
		}
	}
	return out
}

// neighbour is where the row of samples lies that is next nearest to row y, where there is one for every two rows: the
// one above for an even y, else the one below; at the edges the row itself.
func (c *component) neighbour(y int) int {
	row := y/2 + 1
	if y%2 == 0 {
		row = y/2 - 1
	}
	return origin + min(max(row, 0), c.height-1)*c.stride
}

// prepareRows repeats the first and the last sample of each row of components that are widened, and makes memory for what
// they become.
func (d *decoder) prepareRows() {
	for i := range d.components {
		c := &d.components[i]
		if c.h == d.hMax && c.v == d.vMax {
			continue
		}
		d.rows[i] = grow(d.rows[i], 2*margin+d.hMax/c.h*8*c.blocksX)
		for y := range c.height {
			at := origin + y*c.stride
			c.pix[at-1], c.pix[at+c.w] = c.pix[at], c.pix[at+c.w-1]
		}
	}
}

func h1v2(out, near, far []uint8, bias int) {
	near, far = near[:len(out)], far[:len(out)]
	for x := range out {
		out[x] = uint8((3*int(near[x]) + int(far[x]) + bias) >> 2)
	}
}

// h2v1Generic doubles n samples from pix[at]; pix[at−1] and pix[at+n] repeat the first and the last.
func h2v1Generic(out, pix []uint8, at, n int) {
	in := pix[at-1 : at+n+1]
	out = out[:2*n]
	for x := range n {
		v := 3 * int(in[x+1])
		out[2*x] = uint8((v + int(in[x]) + 1) >> 2)
		out[2*x+1] = uint8((v + int(in[x+2]) + 2) >> 2)
	}
}

// h2v2Generic doubles the n samples that lie three quarters at pix[near], a quarter at pix[far]; the samples before and
// after both repeat the first and the last.
func h2v2Generic(out, pix []uint8, near, far, n int) {
	a, b := pix[near-1:near+n+1], pix[far-1:far+n+1]
	out = out[:2*n]
	sum := func(x int) int { return 3*int(a[x]) + int(b[x]) }
	left, here := sum(0), sum(1)
	for x := range n {
		right := sum(x + 2)
		out[2*x] = uint8((3*here + left + 8) >> 4)
		out[2*x+1] = uint8((3*here + right + 7) >> 4)
		left, here = here, right
	}
}
