package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// The micro-kernels are held against their loops on small integers, for which every order of additions is exact. What
// they must not read is NaN, and what they must not write is compared afterwards.

// forMicros runs f for the micro-kernels of every path that this processor has.
func forMicros(t *testing.T, f func(t *testing.T, m *micro)) {
	for p := generic; p <= bestPath(); p++ {
		t.Run(p.String(), func(t *testing.T) { f(t, microOf(p)) })
	}
}

var nan = float32(math.NaN())

// strided returns n runs of length run, stride apart and offset from the start, of small integers; the rest is NaN.
func strided(r *rand.Rand, offset, n, stride, run int) []float32 {
	x := make([]float32, offset+n*stride+run+40)
	for i := range x {
		x[i] = nan
	}
	for i := range n {
		for j := range run {
			x[offset+i*stride+j] = float32(r.IntN(17) - 8)
		}
	}
	return x
}

func clone(x []float32) []float32 { return append([]float32(nil), x...) }

// same fails where got is not want, NaN being equal to itself.
func same(t *testing.T, what string, want, got []float32) {
	t.Helper()
	for i, w := range want {
		if g := got[i]; g != w && !(g != g && w != w) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, g, w)
		}
	}
}

func TestGemm(t *testing.T) {
	forMicros(t, func(t *testing.T, m *micro) {
		r := rand.New(rand.NewPCG(1, 1))
		for kind, width := range m.width {
			for rows := 1; rows <= m.rows; rows++ {
				for _, run := range []int{1, 2, 3, 4, 5, 7, 8, 9, 17} {
					for taps := range 4 {
						cols := 1 + r.IntN(width)
						if run == 4 {
							cols = width
						}
						checkGemm(t, r, m.gemm[kind][rows], rows, width, cols, taps, run)
					}
				}
			}
		}
	})
}

func checkGemm(t *testing.T, r *rand.Rand, kernel gemmFunc, rows, width, cols, taps, run int) {
	t.Helper()
	const offset, guard = 3, 5
	lda, tap := taps*(run+guard)+2, run+guard
	// Rows of A are taps runs each, with NaN between.
	a := strided(r, offset, rows*max(taps, 1), tap, run)
	if taps > 0 {
		lda = taps * tap
	}
	b := strided(r, offset, 1, 0, taps*run*width)
	bias := strided(r, offset, 1, 0, cols)
	ldc := width + guard
	for mode := range 4 {
		accumulate, post := mode&1 == 1, mode&2 == 2
		c := strided(r, offset, rows, ldc, width)
		want := clone(c)
		lo, hi := float32(-20), float32(30)
		for i := range rows {
			for j := range cols {
				s := float32(0)
				for k := range taps * run {
					s += a[offset+i*lda+k/run*tap+k%run] * b[offset+k*width+j]
				}
				if accumulate {
					s += want[offset+i*ldc+j]
				}
				if post {
					s = min(max(s+bias[offset+j], lo), hi)
				}
				want[offset+i*ldc+j] = s
			}
		}
		var bp *float32
		if post {
			bp = &bias[offset]
		}
		kernel(&a[offset], &b[offset], &c[offset], bp, &a[0], lda, tap, taps, run, ldc, mask(cols), accumulate, lo, hi)
		same(t, fmt.Sprintf("%d rows, %d of %d columns, %d taps of %d, accumulate %v, post %v", rows, cols, width, taps, run,
			accumulate, post), want, c)
	}
}

func TestGemmKeepsNaN(t *testing.T) {
	forMicros(t, func(t *testing.T, m *micro) {
		b, c := make([]float32, m.width[0]), make([]float32, m.width[0])
		m.gemm[0][1](&nan, &b[0], &c[0], &b[0], &b[0], 0, 0, 1, 1, 0, mask(m.width[0]), false, 0, 6)
		for j, v := range c {
			if v == v {
				t.Errorf("column %d is %v, want NaN: bounds must not hide a run that has diverged", j, v)
			}
		}
	})
}

func TestOuter(t *testing.T) {
	forMicros(t, func(t *testing.T, m *micro) {
		r := rand.New(rand.NewPCG(2, 2))
		for kind, width := range m.width {
			for height := 1; height <= m.rows; height++ {
				for _, pixels := range []int{0, 1, 2, 3, 4, 5, 8, 9} {
					for rows := range 3 {
						for images := range 3 {
							checkOuter(t, r, m.outer[kind][height], height, width, 1+r.IntN(width), pixels, rows, images)
						}
					}
				}
			}
		}
	})
}

func checkOuter(t *testing.T, r *rand.Rand, kernel outerFunc, height, width, cols, pixels, rows, images int) {
	t.Helper()
	const offset, guard = 2, 3
	lda, ldb, ldc := height+guard, width+guard, width+guard
	// A row has one pixel, an image one row that the kernel must not touch.
	rowA, rowB := (pixels+1)*lda, (pixels+1)*ldb
	imageA, imageB := (rows+1)*rowA, (rows+1)*rowB
	a := strided(r, offset, images*(rows+1)*(pixels+1), lda, height)
	b := strided(r, offset, images*(rows+1)*(pixels+1), ldb, width)
	for _, accumulate := range []bool{false, true} {
		c := strided(r, offset, height, ldc, width)
		want := clone(c)
		for i := range height {
			for j := range cols {
				s := float32(0)
				for n := range images {
					for p := range rows {
						for q := range pixels {
							s += a[offset+n*imageA+p*rowA+q*lda+i] * b[offset+n*imageB+p*rowB+q*ldb+j]
						}
					}
				}
				if accumulate {
					s += want[offset+i*ldc+j]
				}
				want[offset+i*ldc+j] = s
			}
		}
		kernel(&a[offset], &b[offset], &c[offset], lda, ldb, pixels, rowA, rowB, rows, imageA, imageB, images, ldc,
			mask(cols), accumulate)
		same(t, fmt.Sprintf("%d rows, %d of %d columns, %d images of %d rows of %d pixels", height, cols, width, images, rows,
			pixels), want, c)
	}
}

func TestDot(t *testing.T) {
	forMicros(t, func(t *testing.T, m *micro) {
		r := rand.New(rand.NewPCG(3, 3))
		for rows := 1; rows <= m.dotRows; rows++ {
			for n := 1; n <= 50; n++ {
				checkDot(t, r, m.dot[rows], rows, dotCols, n)
				checkDot(t, r, m.dot1[rows], rows, 1, n)
			}
		}
	})
}

func checkDot(t *testing.T, r *rand.Rand, kernel dotFunc, rows, cols, n int) {
	t.Helper()
	const offset, guard = 1, 3
	ldx, ldw, ldy := n+guard, n+guard+1, cols+guard
	x, w := strided(r, offset, rows, ldx, n), strided(r, offset, cols, ldw, n)
	for _, accumulate := range []bool{false, true} {
		y := strided(r, offset, rows, ldy, cols)
		want := clone(y)
		for i := range rows {
			for j := range cols {
				s := float32(0)
				for k := range n {
					s += x[offset+i*ldx+k] * w[offset+j*ldw+k]
				}
				if accumulate {
					s += want[offset+i*ldy+j]
				}
				want[offset+i*ldy+j] = s
			}
		}
		kernel(&x[offset], &w[offset], &y[offset], &w[0], ldx, ldw, ldy, n, 5, accumulate)
		same(t, fmt.Sprintf("%d rows, %d columns, %d elements", rows, cols, n), want, y)
	}
}

func TestCombine(t *testing.T) {
	forMicros(t, func(t *testing.T, m *micro) {
		r := rand.New(rand.NewPCG(8, 8))
		for kind, width := range m.width {
			for rows := 1; rows <= m.rows; rows++ {
				for n := range 14 {
					cols := 1 + r.IntN(width)
					if n == 4 {
						cols = width
					}
					checkCombine(t, r, m.combine[kind][rows], rows, width, cols, n)
				}
			}
		}
	})
}

func checkCombine(t *testing.T, r *rand.Rand, kernel combineFunc, rows, width, cols, n int) {
	t.Helper()
	const offset, guard = 3, 5
	lda, ldb, ldc := n+guard, width+guard, width+guard
	a, b := strided(r, offset, rows, lda, n), strided(r, offset, n, ldb, width)
	for _, accumulate := range []bool{false, true} {
		c := strided(r, offset, rows, ldc, width)
		want := clone(c)
		for i := range rows {
			for j := range cols {
				s := float32(0)
				for k := range n {
					s += a[offset+i*lda+k] * b[offset+k*ldb+j]
				}
				if accumulate {
					s += want[offset+i*ldc+j]
				}
				want[offset+i*ldc+j] = s
			}
		}
		kernel(&a[offset], &b[offset], &c[offset], &b[0], lda, ldb, ldc, n, mask(cols), accumulate)
		same(t, fmt.Sprintf("%d rows, %d of %d columns, %d products", rows, cols, width, n), want, c)
	}
}

func TestDepthwiseKernel(t *testing.T) {
	forMicros(t, func(t *testing.T, m *micro) {
		r := rand.New(rand.NewPCG(4, 4))
		for pixels := 1; pixels <= maxPixel; pixels++ {
			for channels := 1; channels <= 50; channels++ {
				checkDepthwise(t, r, m.depthwise[pixels], pixels, channels, 1+r.IntN(3), 1+r.IntN(5))
			}
		}
	})
}

func checkDepthwise(t *testing.T, r *rand.Rand, kernel depthwiseFunc, pixels, channels, rows, taps int) {
	t.Helper()
	const offset, guard = 1, 3
	tapX := channels + guard
	stepX, rowX := 2*tapX, (2*pixels+taps)*tapX
	tapW := channels + 1
	rowW, stepY := (taps+1)*tapW, channels+guard
	x := strided(r, offset, rows*(2*pixels+taps), tapX, channels)
	w := strided(r, offset, rows*(taps+1), tapW, channels)
	bias := strided(r, offset, 1, 0, channels)
	for _, post := range []bool{false, true} {
		y := strided(r, offset, pixels, stepY, channels)
		want := clone(y)
		lo, hi := float32(-20), float32(30)
		for i := range pixels {
			for c := range channels {
				s := float32(0)
				for p := range rows {
					for k := range taps {
						s += x[offset+p*rowX+k*tapX+i*stepX+c] * w[offset+p*rowW+k*tapW+c]
					}
				}
				if post {
					s = min(max(s+bias[offset+c], lo), hi)
				}
				want[offset+i*stepY+c] = s
			}
		}
		var bp *float32
		if post {
			bp = &bias[offset]
		}
		kernel(&x[offset], &w[offset], &y[offset], bp, stepX, tapX, rowX, tapW, rowW, stepY, rows, taps, channels, 7, 3, pixels%3, lo, hi)
		same(t, fmt.Sprintf("%d pixels, %d channels, %d by %d taps, post %v", pixels, channels, rows, taps, post), want, y)
	}
}

func TestDepthwiseOuterKernel(t *testing.T) {
	forMicros(t, func(t *testing.T, m *micro) {
		r := rand.New(rand.NewPCG(5, 5))
		for taps := 1; taps <= maxTap; taps++ {
			for channels := 1; channels <= 50; channels++ {
				checkDepthwiseOuter(t, r, m.depthwiseOuter[taps], taps, channels, 1+r.IntN(3), 1+r.IntN(6))
			}
		}
	})
}

func checkDepthwiseOuter(t *testing.T, r *rand.Rand, kernel depthwiseOuterFunc, taps, channels, rows, pixels int) {
	t.Helper()
	const offset, guard = 1, 3
	tapX, stepY, tapW := channels+guard, channels+guard, channels+1
	stepX, rowX, rowY := 2*tapX, (2*pixels+taps)*tapX, (pixels+1)*stepY
	x := strided(r, offset, rows*(2*pixels+taps), tapX, channels)
	dy := strided(r, offset, rows*(pixels+1), stepY, channels)
	dw := strided(r, offset, taps, tapW, channels)
	want := clone(dw)
	for k := range taps {
		for c := range channels {
			s := float32(0)
			for p := range rows {
				for q := range pixels {
					s += x[offset+p*rowX+q*stepX+k*tapX+c] * dy[offset+p*rowY+q*stepY+c]
				}
			}
			want[offset+k*tapW+c] += s
		}
	}
	kernel(&x[offset], &dy[offset], &dw[offset], stepX, tapX, rowX, stepY, rowY, tapW, rows, pixels, channels)
	same(t, fmt.Sprintf("%d taps, %d channels, %d rows of %d pixels", taps, channels, rows, pixels), want, dw)
}

func TestTranspose(t *testing.T) {
	forMicros(t, func(t *testing.T, m *micro) {
		r := rand.New(rand.NewPCG(6, 6))
		const offset = 3
		n := m.side
		lds, ldd := n+3, n+5
		src, dst := strided(r, offset, n, lds, n), strided(r, offset, n, ldd, n)
		want := clone(dst)
		for i := range n {
			for j := range n {
				want[offset+j*ldd+i] = src[offset+i*lds+j]
			}
		}
		m.transpose(&src[offset], &dst[offset], lds, ldd)
		same(t, fmt.Sprintf("%d by %d", n, n), want, dst)
	})
}
