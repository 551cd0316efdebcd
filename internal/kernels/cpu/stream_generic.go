package cpu

import (
	"math"
	"unsafe"

	"github.com/ftrun/ftrun/internal/kernels/philox"
)

// genericStreams is the kernels in portable Go.
var genericStreams = streams{
	clamp: func(x, y *float32, n int, lo, hi float32) {
		xs, ys := elements2(x, y, n)
		for i, v := range xs {
			ys[i] = clamp(v, lo, hi)
		}
	},
	addClamp: func(a, b, y *float32, n int, lo, hi float32) {
		as, bs := elements2(a, b, n)
		ys := unsafe.Slice(y, n)
		for i, v := range as {
			ys[i] = clamp(v+bs[i], lo, hi)
		}
	},
	gate: func(y, dy, dx *float32, n int, top float32) {
		ys, dys := elements2(y, dy, n)
		dxs := unsafe.Slice(dx, n)
		for i, v := range ys {
			dxs[i] = gate(v, dys[i], top)
		}
	},
	scale: func(x *float32, n int, f float32) {
		for i, v := range unsafe.Slice(x, n) {
			*at(x, i) = v * f
		}
	},
	dropout: func(x, y *float32, n int, keys *[10][2]uint32, ctr *[3]uint32, block, threshold uint32, factor float32) {
		xs, ys := elements2(x, y, n)
		for i := 0; i < n; i += 4 {
			words := philox.Rounds(keys, [4]uint32{block + uint32(i/4), ctr[0], ctr[1], ctr[2]})
			for j := i; j < min(i+4, n); j++ {
				v := float32(0)
				if words[j-i] >= threshold {
					v = xs[j] * factor
				}
				ys[j] = v
			}
		}
	},

	scaleRows: func(x, y, f *float32, rows, n int) {
		fs := unsafe.Slice(f, n)
		for r := range rows {
			xs, ys := elements2(at(x, r*n), at(y, r*n), n)
			for j, v := range xs {
				ys[j] = v * fs[j]
			}
		}
	},
	normalize: stored[func(x, y, mean, f, beta *float32, rows, n int, lo, hi float32)]{
		cached: genericNormalize, past: genericNormalize,
	},
	normalizeAdd: stored[func(x, res, y, mean, f, beta *float32, rows, n int, lo, hi float32)]{
		cached: genericNormalizeAdd, past: genericNormalizeAdd,
	},
	normalizeBackward: func(dy, x, dx, mean, f, a, b *float32, rows, n int) {
		means, fs := elements2(mean, f, n)
		as, bs := elements2(a, b, n)
		for r := range rows {
			dys, dxs := elements2(at(dy, r*n), at(dx, r*n), n)
			xs := unsafe.Slice(at(x, r*n), n)
			for j, g := range dys {
				dxs[j] = fs[j] * (g - as[j] - (xs[j]-means[j])*bs[j])
			}
		}
	},
	normalizeBackwardGated: func(dy, x, dx, mean, f, a, b, beta *float32, rows, n int, top float32) {
		means, fs := elements2(mean, f, n)
		as, bs := elements2(a, b, n)
		betas := unsafe.Slice(beta, n)
		for r := range rows {
			dys, dxs := elements2(at(dy, r*n), at(dx, r*n), n)
			xs := unsafe.Slice(at(x, r*n), n)
			for j, g := range dys {
				e := xs[j] - means[j]
				dxs[j] = fs[j] * (gate(normalized(e, fs[j], betas[j]), g, top) - as[j] - e*bs[j])
			}
		}
	},

	sgd: func(w, grad *float32, n int, lr, decay float32) {
		ws, gs := elements2(w, grad, n)
		for i, g := range gs {
			ws[i] -= lr * (g + decay*ws[i])
		}
	},
	sgdMomentum: func(w, grad, v *float32, n int, lr, momentum, decay, ofG, ofV float32) {
		ws, gs := elements2(w, grad, n)
		vs := unsafe.Slice(v, n)
		for i, g := range gs {
			g += decay * ws[i]
			vs[i] = momentum*vs[i] + g
			ws[i] -= lr * (ofG*g + ofV*vs[i])
		}
	},
	adam: func(w, grad, m, v *float32, n int, keep1, new1, keep2, new2, step, unbias, eps, decay, shrink float32) {
		ws, gs := elements2(w, grad, n)
		ms, vs := elements2(m, v, n)
		for i, g := range gs {
			g += decay * ws[i]
			ms[i] = keep1*ms[i] + new1*g
			vs[i] = keep2*vs[i] + new2*g*g
			root := float32(math.Sqrt(float64(vs[i])))
			ws[i] = shrink*ws[i] - step*ms[i]/(root*unbias+eps)
		}
	},

	narrow: 4, wide: 16,
	sumColumns: columns[func(x, sum *float32, rows, stride, n int)]{
		narrow: genericSumColumns, wide: genericSumColumns,
	},
	moments: columns[func(x, shift, sum, squares *float32, rows, stride, n int)]{
		narrow: genericMoments, wide: genericMoments,
	},
	projections: columns[func(dy, x, mean, sum, products *float32, rows, stride, n int)]{
		narrow: genericProjections, wide: genericProjections,
	},
	projectionsGated: columns[func(dy, x, mean, f, beta, sum, products *float32, rows, stride, n int, top float32)]{
		narrow: genericProjectionsGated, wide: genericProjectionsGated,
	},

	squareLanes: 4,
	sumSquares: func(x *float32, lanes *float64, n int) {
		var sum [4]float64
		for xs := unsafe.Slice(x, n); len(xs) >= 4; xs = xs[4:] {
			for i := range sum {
				sum[i] += float64(xs[i]) * float64(xs[i])
			}
		}
		copy(unsafe.Slice(lanes, 4), sum[:])
	},

	maxWindow: func(x, y *float32, r, s, row, column, n int) {
		ys := unsafe.Slice(y, n)
		copy(ys, unsafe.Slice(x, n))
		for h := range r {
			for w := range s {
				for j, v := range unsafe.Slice(at(x, h*row+w*column), n) {
					if v > ys[j] || v != v {
						ys[j] = v
					}
				}
			}
		}
	},
	sumWindow: func(x, y *float32, r, s, row, column, n int, f float32) {
		ys := unsafe.Slice(y, n)
		clear(ys)
		for h := range r {
			for w := range s {
				for j, v := range unsafe.Slice(at(x, h*row+w*column), n) {
					ys[j] += v
				}
			}
		}
		for j := range ys {
			ys[j] *= f
		}
	},
	spreadWindow: func(dx, dy *float32, r, s, row, column, n int, f float32) {
		dys := unsafe.Slice(dy, n)
		for h := range r {
			for w := range s {
				dxs := unsafe.Slice(at(dx, h*row+w*column), n)
				for j, g := range dys {
					dxs[j] += f * g
				}
			}
		}
	},
	firstMaximum: func(x, y *float32, index *int32, windows, r, s, row, column, step, n, first, line int) {
		indexes := unsafe.Slice(index, windows*n)
		for i := range windows {
			found := indexes[i*n : (i+1)*n]
			for j, v := range unsafe.Slice(at(y, i*n), n) {
				pixel := at(x, i*step+j)
				found[j] = -1
			search:
				for h := range r {
					for w := range s {
						if e := *at(pixel, h*row+w*column); e == v || e != e && v != v {
							found[j] = int32(first + h*line + w)
							break search
						}
					}
				}
			}
		}
	},
	collect: stored[func(index *int32, dy, dx *float32, pixels, rows, row, n, tap, size, stride, line, lines int)]{
		cached: genericCollect, past: genericCollect,
	},
}

// elements2 is n elements from each pointer.
func elements2(a, b *float32, n int) (as, bs []float32) {
	return unsafe.Slice(a, n), unsafe.Slice(b, n)
}

// normalized is the result of a batch norm for an element less its mean. One function, rounded at every step, so that the
// compiler cannot make of forward and backward different sums.
func normalized(e, f, beta float32) float32 { return float32(e*f) + beta }

// gate is dy where y is in (0, top], else 0.
func gate(y, dy, top float32) float32 {
	if 0 < y && y <= top {
		return dy
	}
	return 0
}

func genericNormalize(x, y, mean, f, beta *float32, rows, n int, lo, hi float32) {
	means, fs := elements2(mean, f, n)
	betas := unsafe.Slice(beta, n)
	for r := range rows {
		xs, ys := elements2(at(x, r*n), at(y, r*n), n)
		for j, v := range xs {
			ys[j] = clamp(normalized(v-means[j], fs[j], betas[j]), lo, hi)
		}
	}
}

func genericNormalizeAdd(x, res, y, mean, f, beta *float32, rows, n int, lo, hi float32) {
	means, fs := elements2(mean, f, n)
	betas := unsafe.Slice(beta, n)
	for r := range rows {
		xs, ys := elements2(at(x, r*n), at(y, r*n), n)
		added := unsafe.Slice(at(res, r*n), n)
		for j, v := range xs {
			ys[j] = clamp(normalized(v-means[j], fs[j], betas[j])+added[j], lo, hi)
		}
	}
}

func genericSumColumns(x, sum *float32, rows, stride, n int) {
	sums := unsafe.Slice(sum, n)
	clear(sums)
	for r := range rows {
		for j, v := range unsafe.Slice(at(x, r*stride), n) {
			sums[j] += v
		}
	}
}

func genericMoments(x, shift, sum, squares *float32, rows, stride, n int) {
	sums, squareSums := elements2(sum, squares, n)
	clear(sums)
	clear(squareSums)
	shifts := unsafe.Slice(shift, n)
	for r := range rows {
		for j, v := range unsafe.Slice(at(x, r*stride), n) {
			e := v - shifts[j]
			sums[j] += e
			squareSums[j] += e * e
		}
	}
}

func genericProjections(dy, x, mean, sum, products *float32, rows, stride, n int) {
	sums, productSums := elements2(sum, products, n)
	clear(sums)
	clear(productSums)
	means := unsafe.Slice(mean, n)
	for r := range rows {
		dys, xs := elements2(at(dy, r*stride), at(x, r*stride), n)
		for j, g := range dys {
			sums[j] += g
			productSums[j] += g * (xs[j] - means[j])
		}
	}
}

func genericProjectionsGated(dy, x, mean, f, beta, sum, products *float32, rows, stride, n int, top float32) {
	sums, productSums := elements2(sum, products, n)
	clear(sums)
	clear(productSums)
	fs, betas := elements2(f, beta, n)
	means := unsafe.Slice(mean, n)
	for r := range rows {
		dys, xs := elements2(at(dy, r*stride), at(x, r*stride), n)
		for j, g := range dys {
			e := xs[j] - means[j]
			g = gate(normalized(e, fs[j], betas[j]), g, top)
			sums[j] += g
			productSums[j] += g * e
		}
	}
}

func genericCollect(index *int32, dy, dx *float32, pixels, rows, row, n, tap, size, stride, line, lines int) {
	last := 0
	for i := range pixels {
		dxs := unsafe.Slice(at(dx, i*n), n)
		clear(dxs)
		for r := range rows {
			for w, q := tap, last; w < size; w, q = w+stride, q-n {
				wanted := int32(line + r*lines + w)
				indexes := unsafe.Slice((*int32)(unsafe.Add(unsafe.Pointer(index), 4*(q-r*row))), n)
				for j, g := range unsafe.Slice(at(dy, q-r*row), n) {
					// g where they are equal, else 0, without a branch that could not be foreseen.
					differ := indexes[j] ^ wanted
					equal := ^((differ | -differ) >> 31)
					dxs[j] += math.Float32frombits(math.Float32bits(g) & uint32(equal))
				}
			}
		}
		if tap++; tap >= stride {
			tap, last = 0, last+n
		}
	}
}
