package cpu

import "github.com/ftrun/ftrun/internal/kernels"

// A linear layer at the batch sizes of training is bound by reading its weights, so they are used as they lie: forward as
// inner products of rows, backward as sums of outer products.

const (
	dotLen   = 1024 // elements of a row that forward takes at once, so that those of all of x stay in the cache
	depthLen = 128  // rows of weights that backward data takes at once
)

// LinearForward computes y = act(x·wᵀ + bias).
func (d *Device) LinearForward(l kernels.Linear, x, w, bias, y kernels.Buffer, act kernels.Activation) error {
	xs, ws, ys := floats(x, l.N*l.I), floats(w, l.O*l.I), floats(y, l.N*l.O)
	bs := optional(bias, l.O)
	lo, hi := bounds(act)
	st := d.streams()
	groups := (l.O + dotCols - 1) / dotCols
	d.parallel(func(worker int) {
		g0, g1 := d.split(groups, worker)
		o0, o1 := g0*dotCols, min(g1*dotCols, l.O)
		for k := 0; k < l.I; k += dotLen {
			n := min(dotLen, l.I-k)
			for o := o0; o < o1; o += dotCols {
				next := (o+dotCols)*l.I + k
				if o+dotCols >= o1 {
					next = o0*l.I + k + dotLen
				}
				d.dotRows(l, xs[k:], ws[o*l.I+k:], ws[min(next, len(ws)-1):], ys[o:], n, min(dotCols, o1-o), k > 0)
			}
		}
		for i := range l.N {
			row := ys[i*l.O+o0 : i*l.O+o1]
			switch {
			case len(row) == 0:
			case bs != nil:
				st.addClamp(&row[0], &bs[o0], &row[0], len(row), lo, hi)
			case act != kernels.Identity:
				st.clamp(&row[0], &row[0], len(row), lo, hi)
			}
		}
	})
	return nil
}

// dotRows computes the inner products of n elements of every row of x with cols rows of w. Meanwhile each tile fetches its
// part of the rows that begin with next: few of them at a time, or the memory of the whole block would hold up x.
func (d *Device) dotRows(l kernels.Linear, x, w, next, y []float32, n, cols int, accumulate bool) {
	tiles := (l.N + d.micro.dotRows - 1) / d.micro.dotRows
	pace := (4*d.micro.width[0] + tiles - 1) / tiles
	for t := range tiles {
		i := t * d.micro.dotRows
		rows := min(d.micro.dotRows, l.N-i)
		from, _ := share(n, t, tiles)
		ahead := &next[min(from, len(next)-1)]
		if cols == dotCols {
			d.micro.dot[rows](&x[i*l.I], &w[0], &y[i*l.O], ahead, l.I, l.I, l.O, n, pace, accumulate)
			continue
		}
		for j := range cols {
			d.micro.dot1[rows](&x[i*l.I], &w[j*l.I], &y[i*l.O+j], ahead, l.I, l.I, l.O, n, pace, accumulate)
		}
	}
}

// LinearBackwardData computes dx = dy·w, as dyᵀ with the pixels of an outer product along O.
func (d *Device) LinearBackwardData(l kernels.Linear, w, dy, dx kernels.Buffer) error {
	ws, dys, dxs := floats(w, l.O*l.I), floats(dy, l.N*l.O), floats(dx, l.N*l.I)
	turned := grow(&d.shared.partial, l.O*l.N)
	for i := range l.N {
		for o, v := range dys[i*l.O : i*l.O+l.O] {
			turned[o*l.N+i] = v
		}
	}
	d.sumOuter(turned, ws, dxs, l.N, l.I, l.O)
	return nil
}

// LinearBackwardWeights computes dw = dyᵀ·x.
func (d *Device) LinearBackwardWeights(l kernels.Linear, x, dy, dw kernels.Buffer) error {
	d.sumOuter(floats(dy, l.N*l.O), floats(x, l.N*l.I), floats(dw, l.O*l.I), l.O, l.I, l.N)
	return nil
}

// sumOuter computes c (m×n) = Σ_k a[k]ᵀ·b[k] of a (depth×m) and b (depth×n).
func (d *Device) sumOuter(a, b, c []float32, m, n, depth int) {
	p := panels{d.micro.width, n}
	tiles, count := (m+d.micro.rows-1)/d.micro.rows, p.count()
	byTiles := idle(tiles, d.threads) <= idle(count, d.threads)
	d.parallel(func(worker int) {
		t0, t1, i0, i1 := 0, tiles, 0, count
		if byTiles {
			t0, t1 = d.split(tiles, worker)
		} else {
			i0, i1 = d.split(count, worker)
		}
		for k := 0; k < depth; k += depthLen {
			rows := min(depthLen, depth-k)
			var last []float32 // the last panel, padded where it is not full
			kind, cols := p.panel(count - 1)
			if cols < p.width[kind] {
				last = d.padPanel(b[k*n+n-cols:], worker, rows, cols, n, p.width[kind])
			}
			// Along the rows of c: its memory is what takes the time.
			for t := t0; t < t1; t++ {
				m0, m1 := share(m, t, tiles)
				for i := i0; i < i1; i++ {
					kind, cols := p.panel(i)
					col := i * p.width[1]
					panel, ldb := b[k*n+col:], n
					if i == count-1 && last != nil {
						panel, ldb = last, p.width[kind]
					}
					d.micro.outer[kind][m1-m0](&a[k*m+m0], &panel[0], &c[m0*n+col], m, ldb, rows,
						0, 0, 1, 0, 0, 1, n, mask(cols), k > 0)
				}
			}
		}
	})
}
