package ref

import (
	"fmt"
	"math"

	"github.com/ftrun/ftrun/internal/kernels"
)

// window returns the part [lo, hi) of an axis of n elements that the window of the given size covers at output position
// p, cut to the axis.
func window(p, stride, pad, size, n int) (lo, hi int) {
	lo = p*stride - pad
	return max(lo, 0), min(lo+size, n)
}

// checkMaxPool panics where a window holds no element at all: it has no maximum.
func checkMaxPool(op string, d kernels.Pool) {
	if d.PadH >= d.R || d.PadW >= d.S || (d.P-1)*d.StrideH-d.PadH >= d.H || (d.Q-1)*d.StrideW-d.PadW >= d.W {
		panic(fmt.Sprintf("ref: %s: a window of %+v lies outside the picture", op, d))
	}
}

// MaxPoolForward: x (N,H,W,C) → y (N,P,Q,C), the maximum of each window; a NaN wins.
func (Device) MaxPoolForward(d kernels.Pool, x, y kernels.Buffer) error {
	const op = "MaxPoolForward"
	checkMaxPool(op, d)
	xs, ys := slice(op, "x", x, d.LenX()), slice(op, "y", y, d.LenY())
	for n := range d.N {
		for p := range d.P {
			h0, h1 := window(p, d.StrideH, d.PadH, d.R, d.H)
			for q := range d.Q {
				w0, w1 := window(q, d.StrideW, d.PadW, d.S, d.W)
				out := ys[((n*d.P+p)*d.Q+q)*d.C:][:d.C]
				for c := range out {
					out[c] = float32(math.Inf(-1))
				}
				for h := h0; h < h1; h++ {
					for w := w0; w < w1; w++ {
						for c, v := range xs[((n*d.H+h)*d.W+w)*d.C:][:d.C] {
							out[c] = max(out[c], v)
						}
					}
				}
			}
		}
	}
	return nil
}

// MaxPoolBackward: x (N,H,W,C), y, dy (N,P,Q,C) → dx (N,H,W,C). Each dy goes to the first element of its window that
// equals y; where y is NaN, to the first NaN.
func (Device) MaxPoolBackward(d kernels.Pool, x, y, dy, dx kernels.Buffer) error {
	const op = "MaxPoolBackward"
	checkMaxPool(op, d)
	xs, ys := slice(op, "x", x, d.LenX()), slice(op, "y", y, d.LenY())
	dys, dxs := slice(op, "dy", dy, d.LenY()), slice(op, "dx", dx, d.LenX())
	sum := make([]float64, d.LenX())
	for n := range d.N {
		for p := range d.P {
			h0, h1 := window(p, d.StrideH, d.PadH, d.R, d.H)
			for q := range d.Q {
				w0, w1 := window(q, d.StrideW, d.PadW, d.S, d.W)
				for c := range d.C {
					at := ((n*d.P+p)*d.Q+q)*d.C + c
					first := firstEqual(ys[at], xs, h0, h1, w0, w1, func(h, w int) int { return ((n*d.H+h)*d.W+w)*d.C + c })
					if first >= 0 {
						sum[first] += float64(dys[at])
					}
				}
			}
		}
	}
	round(dxs, sum)
	return nil
}

// firstEqual returns the index, as given by at(h,w), of the first element of the window that equals v, taking NaN as equal
// to NaN; -1 where there is none.
func firstEqual(v float32, x []float32, h0, h1, w0, w1 int, at func(h, w int) int) int {
	for h := h0; h < h1; h++ {
		for w := w0; w < w1; w++ {
			i := at(h, w)
			if x[i] == v || x[i] != x[i] && v != v {
				return i
			}
		}
	}
	return -1
}

// AvgPoolForward: x (N,H,W,C) → y (N,P,Q,C), the sum of each window over R·S.
func (Device) AvgPoolForward(d kernels.Pool, x, y kernels.Buffer) error {
	const op = "AvgPoolForward"
	xs, ys := slice(op, "x", x, d.LenX()), slice(op, "y", y, d.LenY())
	area := float64(d.R * d.S)
	rows := func(p int) (int, int) { return window(p, d.StrideH, d.PadH, d.R, d.H) }
	cols := func(q int) (int, int) { return window(q, d.StrideW, d.PadW, d.S, d.W) }
	average(d.N, d.H, d.W, d.C, d.P, d.Q, rows, cols, func(int, int) float64 { return area }, xs, ys)
	return nil
}

// AvgPoolBackward: dy (N,P,Q,C) → dx (N,H,W,C).
func (Device) AvgPoolBackward(d kernels.Pool, dy, dx kernels.Buffer) error {
	const op = "AvgPoolBackward"
	dys, dxs := slice(op, "dy", dy, d.LenY()), slice(op, "dx", dx, d.LenX())
	area := float64(d.R * d.S)
	rows := func(p int) (int, int) { return window(p, d.StrideH, d.PadH, d.R, d.H) }
	cols := func(q int) (int, int) { return window(q, d.StrideW, d.PadW, d.S, d.W) }
	spread(d.N, d.H, d.W, d.C, d.P, d.Q, rows, cols, func(int, int) float64 { return area }, dys, dxs)
	return nil
}

// AdaptiveAvgPoolForward: x (N,H,W,C) → y (N,P,Q,C), the mean of each window.
func (Device) AdaptiveAvgPoolForward(d kernels.Adaptive, x, y kernels.Buffer) error {
	const op = "AdaptiveAvgPoolForward"
	xs, ys := slice(op, "x", x, d.N*d.H*d.W*d.C), slice(op, "y", y, d.N*d.P*d.Q*d.C)
	rows, cols := adaptiveWindow(d.H, d.P), adaptiveWindow(d.W, d.Q)
	average(d.N, d.H, d.W, d.C, d.P, d.Q, rows, cols, product, xs, ys)
	return nil
}

// AdaptiveAvgPoolBackward: dy (N,P,Q,C) → dx (N,H,W,C).
func (Device) AdaptiveAvgPoolBackward(d kernels.Adaptive, dy, dx kernels.Buffer) error {
	const op = "AdaptiveAvgPoolBackward"
	dys, dxs := slice(op, "dy", dy, d.N*d.P*d.Q*d.C), slice(op, "dx", dx, d.N*d.H*d.W*d.C)
	rows, cols := adaptiveWindow(d.H, d.P), adaptiveWindow(d.W, d.Q)
	spread(d.N, d.H, d.W, d.C, d.P, d.Q, rows, cols, product, dys, dxs)
	return nil
}

// adaptiveWindow returns the function that gives the part [floor(p·n/out), ceil((p+1)·n/out)) of an axis of n elements.
func adaptiveWindow(n, out int) func(p int) (lo, hi int) {
	return func(p int) (lo, hi int) { return p * n / out, ((p+1)*n + out - 1) / out }
}

func product(a, b int) float64 { return float64(a * b) }

// average sets each element of y (N,P,Q,C) to the sum of its window of x (N,H,W,C) over divisor(rows, columns).
func average(n, h, w, c, p, q int, rows, cols func(int) (int, int), divisor func(r, s int) float64, x, y []float32) {
	sum := make([]float64, c)
	for i := range n {
		for j := range p {
			h0, h1 := rows(j)
			for k := range q {
				w0, w1 := cols(k)
				clear(sum)
				for a := h0; a < h1; a++ {
					for b := w0; b < w1; b++ {
						addScaled(sum, 1, x[((i*h+a)*w+b)*c:][:c])
					}
				}
				by := divisor(h1-h0, w1-w0)
				for ch, v := range sum {
					y[((i*p+j)*q+k)*c+ch] = float32(v / by)
				}
			}
		}
	}
}

// spread is the adjoint of average: it adds each element of dy over divisor to every element of its window of dx.
func spread(n, h, w, c, p, q int, rows, cols func(int) (int, int), divisor func(r, s int) float64, dy, dx []float32) {
	sum := make([]float64, len(dx))
	for i := range n {
		for j := range p {
			h0, h1 := rows(j)
			for k := range q {
				w0, w1 := cols(k)
				f := 1 / divisor(h1-h0, w1-w0)
				for a := h0; a < h1; a++ {
					for b := w0; b < w1; b++ {
						addScaled(sum[((i*h+a)*w+b)*c:][:c], f, dy[((i*p+j)*q+k)*c:][:c])
					}
				}
			}
		}
	}
	round(dx, sum)
}
