package cpu

import "github.com/ftrun/ftrun/internal/kernels"

// A linear layer at the batch sizes of training is bound by reading its weights, so they are used as they lie, once: what
// of the batch meets a block of them stays in the cache, and the next block is fetched while this one is used. Forward is
// inner products of rows, backward sums of rows times numbers.

// Sizes of what is used at once, in elements.
const (
	dotLen    = 1024    // of a row, forward: those of all of x stay in the cache
	columnLen = 1024    // of a row, backward data: those of all of dx stay in the cache
	depthLen  = 64      // rows of weights, backward data; their strides are often such that few more fit the cache
	stripLen  = 4 << 10 // of those rows, over which all tiles of dx pass
	outerLen  = 128     // pictures, backward weights
)

// LinearForward computes y = act(x·wᵀ + bias).
func (d *Device) LinearForward(l kernels.Linear, x, w, bias, y kernels.Buffer, act kernels.Activation) error {
	t := linearForward{Linear: l, x: floats(x, l.N*l.I), w: floats(w, l.O*l.I), y: floats(y, l.N*l.O),
		post: newPost(optional(bias, l.O), act)}
	t.tiles = (l.N + d.micro.dotRows - 1) / d.micro.dotRows
	t.pace = (4*d.micro.width[0] + t.tiles - 1) / t.tiles
	parallel(d, t)
	return nil
}

type linearForward struct {
	kernels.Linear
	x, w, y []float32
	post    post
	tiles   int // of rows of x
	pace    int // bytes of a row of w that each vector's step of a tile prefetches
}

func (t *linearForward) run(d *Device, worker int) {
	g0, g1 := d.split((t.O+dotCols-1)/dotCols, worker)
	o0, o1 := g0*dotCols, min(g1*dotCols, t.O)
	if o0 >= o1 {
		return
	}
	for k := 0; k < t.I; k += dotLen {
		for o := o0; o < o1; o += dotCols {
			next := (o+dotCols)*t.I + k
			if o+dotCols >= o1 {
				next = o0*t.I + k + dotLen
			}
			t.dotRows(d, o, k, min(dotCols, o1-o), next)
		}
	}
	st := d.streams()
	for i := range t.N {
		row := t.y[i*t.O+o0 : i*t.O+o1]
		switch {
		case t.post.bias != nil:
			st.addClamp(&row[0], &t.post.bias[o0], &row[0], len(row), t.post.lo, t.post.hi)
		case t.post.on:
			st.clamp(&row[0], &row[0], len(row), t.post.lo, t.post.hi)
		}
	}
}

// dotRows computes the inner products of all rows of x with cols rows of w from row o on, over a block of elements from k
// on. Meanwhile each tile fetches its part of the rows at next: a little in each step, or x would wait for them.
func (t *linearForward) dotRows(d *Device, o, k, cols, next int) {
	n := min(dotLen, t.I-k)
	part := n / t.tiles
	for i := 0; i < t.N; i += d.micro.dotRows {
		rows := min(d.micro.dotRows, t.N-i)
		ahead := &t.w[min(next, len(t.w)-1)]
		next += part
		if cols == dotCols {
			d.micro.dot[rows](&t.x[i*t.I+k], &t.w[o*t.I+k], &t.y[i*t.O+o], ahead, t.I, t.I, t.O, n, t.pace, k > 0)
			continue
		}
		for j := o; j < o+cols; j++ {
			d.micro.dot1[rows](&t.x[i*t.I+k], &t.w[j*t.I+k], &t.y[i*t.O+j], ahead, t.I, t.I, t.O, n, t.pace, k > 0)
		}
	}
}

// rowPanels are panels of the columns of a matrix, used as they lie but for the last, which is copied where it is not
// full.
type rowPanels struct {
	panels
	rows   []float32
	padded []float32 // the last panel, where it is a copy
}

func (d *Device) rowPanels(matrix []float32, worker, rows, cols int) rowPanels {
	p := rowPanels{panels: panels{d.micro.width, cols}, rows: matrix}
	last := p.count() - 1
	if kind, own := p.panel(last); own < p.width[kind] {
		p.padded = d.padPanel(matrix[last*p.width[1]:], worker, rows, own, cols, p.width[kind])
	}
	return p
}

// at is the memory of panel i, and the elements from one row of it to the next.
func (p *rowPanels) at(i int) (b *float32, ld int) {
	if p.padded != nil && i == p.count()-1 {
		kind, _ := p.panel(i)
		return &p.padded[0], p.width[kind]
	}
	return &p.rows[i*p.width[1]], p.cols
}

// LinearBackwardData computes dx = dy·w.
func (d *Device) LinearBackwardData(l kernels.Linear, w, dy, dx kernels.Buffer) error {
	t := linearBackwardData{Linear: l, w: floats(w, l.O*l.I), dy: floats(dy, l.N*l.O), dx: floats(dx, l.N*l.I)}
	tiles := (l.N + d.micro.rows - 1) / d.micro.rows
	t.height = (l.N + tiles - 1) / tiles
	parallel(d, t)
	return nil
}

type linearBackwardData struct {
	kernels.Linear
	w, dy, dx []float32
	height    int // of a tile of dx
}

func (t *linearBackwardData) run(d *Device, worker int) {
	width := d.micro.width[1]
	from, to := d.split((t.I+width-1)/width, worker)
	strip := max(1, stripLen/(min(depthLen, t.O)*width))
	for i0 := from; i0 < to; i0 += columnLen / width {
		i1 := min(i0+columnLen/width, to)
		for o := 0; o < t.O; o += depthLen {
			p := d.rowPanels(t.w[o*t.I:], worker, min(depthLen, t.O-o), t.I)
			for i := i0; i < i1; i += strip {
				t.passStrip(d, &p, o, i, min(i+strip, i1), strip*width)
			}
		}
	}
}

// passStrip adds what panels [i0, i1) of rows of w from row o on give to dx. The first tile of each panel fetches the one
// that lies ahead columns after it.
func (t *linearBackwardData) passStrip(d *Device, p *rowPanels, o, i0, i1, ahead int) {
	n := min(depthLen, t.O-o)
	for m := 0; m < t.N; m += t.height {
		for i := i0; i < i1; i++ {
			kind, cols := p.panel(i)
			b, ldb := p.at(i)
			next := b
			if m == 0 && ldb == t.I {
				next = &p.rows[min(i*p.width[1]+ahead, len(p.rows)-1)]
			}
			d.micro.combine[kind][min(t.height, t.N-m)](&t.dy[m*t.O+o], b, &t.dx[m*t.I+i*p.width[1]], next, t.O, ldb, t.I, n,
				mask(cols), o > 0)
		}
	}
}

// LinearBackwardWeights computes dw = dyᵀ·x.
func (d *Device) LinearBackwardWeights(l kernels.Linear, x, dy, dw kernels.Buffer) error {
	parallel(d, linearBackwardWeights{l, floats(x, l.N*l.I), floats(dy, l.N*l.O), floats(dw, l.O*l.I)})
	return nil
}

type linearBackwardWeights struct {
	kernels.Linear
	x, dy, dw []float32
}

func (t *linearBackwardWeights) run(d *Device, worker int) {
	count := panels{d.micro.width, t.I}.count()
	tiles := (t.O + d.micro.rows - 1) / d.micro.rows
	t0, t1, i0, i1 := 0, tiles, 0, count
	if idle(tiles, d.threads) <= idle(count, d.threads) {
		t0, t1 = d.split(tiles, worker)
	} else {
		i0, i1 = d.split(count, worker)
	}
	for n := 0; n < t.N; n += outerLen {
		rows := min(outerLen, t.N-n)
		p := d.rowPanels(t.x[n*t.I:], worker, rows, t.I)
		// Along the rows of dw: its memory is what takes the time.
		for tile := t0; tile < t1; tile++ {
			o0, o1 := share(t.O, tile, tiles)
			for i := i0; i < i1; i++ {
				kind, cols := p.panel(i)
				b, ldb := p.at(i)
				d.micro.outer[kind][o1-o0](&t.dy[n*t.O+o0], b, &t.dw[o0*t.I+i*p.width[1]], t.O, ldb, rows, 0, 0, 1, 0, 0, 1, t.I,
					mask(cols), n > 0)
			}
		}
	}
}
