package cpu

import "unsafe"

// genericMicro is the micro-kernels in portable Go. Products are rounded before they are added (float32(a*b)): the
// compiler may otherwise fuse them in one kernel and not in another, and an element would depend on its tile.
var genericMicro = micro{
	peak: genericPeak, peakFlops: 2 * genericPeakSums,

	rows:  2,
	width: [2]int{4, 4},
	gemm: [2][maxRows + 1]gemmFunc{
		{1: genericGemm(1), 2: genericGemm(2)},
		{1: genericGemm(1), 2: genericGemm(2)},
	},
	outer: [2][maxRows + 1]outerFunc{
		{1: genericOuter(1), 2: genericOuter(2)},
		{1: genericOuter(1), 2: genericOuter(2)},
	},
	combine: [2][maxRows + 1]combineFunc{
		{1: genericCombine(1), 2: genericCombine(2)},
		{1: genericCombine(1), 2: genericCombine(2)},
	},
	dotRows: 1,
	dot:     [maxDot + 1]dotFunc{1: genericDot(dotCols)},
	dot1:    [maxDot + 1]dotFunc{1: genericDot(1)},
	depthwise: [maxPixel + 1]depthwiseFunc{
		1: genericDepthwise(1), 2: genericDepthwise(2), 3: genericDepthwise(3), 4: genericDepthwise(4),
		5: genericDepthwise(5), 6: genericDepthwise(6), 7: genericDepthwise(7), 8: genericDepthwise(8),
	},
	depthwiseOuter: [maxTap + 1]depthwiseOuterFunc{
		1: genericDepthwiseOuter(1), 2: genericDepthwiseOuter(2), 3: genericDepthwiseOuter(3),
		4: genericDepthwiseOuter(4), 5: genericDepthwiseOuter(5),
	},
	winograd2: genericWinograd2,
	winograd4: genericWinograd4,
	side:      4,
	transpose: genericTranspose,
}

// genericWidth is the columns of a panel, of which two rows of sums fit the registers.
const genericWidth = 4

// row is n elements from off elements after p.
func row(p *float32, off, n int) []float32 { return unsafe.Slice(at(p, off), n) }

// genericSums is a tile of up to two rows.
type genericSums [2][genericWidth]float32

// finish writes a tile as gemmFunc describes.
func (s *genericSums) finish(c, bias *float32, rows, ldc int, mask uint32, accumulate bool, lo, hi float32) {
	for i := range rows {
		for j, v := range s[i] {
			if mask>>j&1 == 0 {
				continue
			}
			p := at(c, i*ldc+j)
			if accumulate {
				v += *p
			}
			if bias != nil {
				v = clamp(v+*at(bias, j), lo, hi)
			}
			*p = v
		}
	}
}

// clamp bounds v; a NaN stays one.
func clamp(v, lo, hi float32) float32 {
	if v < lo {
		return lo
	}
	if v > hi {
		return hi
	}
	return v
}

func genericGemm(rows int) gemmFunc {
	return func(a, b, c, bias, _ *float32, lda, tap, taps, run, ldc int, mask uint32, accumulate bool, lo, hi float32) {
		var s genericSums
		for t := range taps {
			panel := at(b, t*run*genericWidth)
			a0 := row(a, t*tap, run)
			if rows == 2 {
				s.multiply2(a0, row(a, lda+t*tap, run), panel, genericWidth)
			} else {
				s.multiply1(a0, panel, genericWidth)
			}
		}
		s.finish(c, bias, rows, ldc, mask, accumulate, lo, hi)
	}
}

func (s *genericSums) multiply1(a []float32, panel *float32, ld int) {
	s0, s1, s2, s3 := s[0][0], s[0][1], s[0][2], s[0][3]
	for k, x := range a {
		b := (*[genericWidth]float32)(unsafe.Pointer(at(panel, k*ld)))
		s0 += float32(x * b[0])
		s1 += float32(x * b[1])
		s2 += float32(x * b[2])
		s3 += float32(x * b[3])
	}
	s[0] = [genericWidth]float32{s0, s1, s2, s3}
}

func (s *genericSums) multiply2(a0, a1 []float32, panel *float32, ld int) {
	s0, s1, s2, s3 := s[0][0], s[0][1], s[0][2], s[0][3]
	t0, t1, t2, t3 := s[1][0], s[1][1], s[1][2], s[1][3]
	a1 = a1[:len(a0)]
	for k, x := range a0 {
		b := (*[genericWidth]float32)(unsafe.Pointer(at(panel, k*ld)))
		y := a1[k]
		s0 += float32(x * b[0])
		t0 += float32(y * b[0])
		s1 += float32(x * b[1])
		t1 += float32(y * b[1])
		s2 += float32(x * b[2])
		t2 += float32(y * b[2])
		s3 += float32(x * b[3])
		t3 += float32(y * b[3])
	}
	s[0] = [genericWidth]float32{s0, s1, s2, s3}
	s[1] = [genericWidth]float32{t0, t1, t2, t3}
}

func genericOuter(height int) outerFunc {
	return func(a, b, c *float32, lda, ldb, pixels, rowA, rowB, rows, imageA, imageB, images, ldc int, mask uint32, accumulate bool) {
		var s genericSums
		for n := range images {
			for p := range rows {
				pa, pb := at(a, n*imageA+p*rowA), at(b, n*imageB+p*rowB)
				if height == 2 {
					s.outer2(pa, pb, lda, ldb, pixels)
				} else {
					s.outer1(pa, pb, lda, ldb, pixels)
				}
			}
		}
		s.finish(c, nil, height, ldc, mask, accumulate, 0, 0)
	}
}

func (s *genericSums) outer1(a, b *float32, lda, ldb, pixels int) {
	s0, s1, s2, s3 := s[0][0], s[0][1], s[0][2], s[0][3]
	for q := range pixels {
		x := *at(a, q*lda)
		v := (*[genericWidth]float32)(unsafe.Pointer(at(b, q*ldb)))
		s0 += float32(x * v[0])
		s1 += float32(x * v[1])
		s2 += float32(x * v[2])
		s3 += float32(x * v[3])
	}
	s[0] = [genericWidth]float32{s0, s1, s2, s3}
}

func (s *genericSums) outer2(a, b *float32, lda, ldb, pixels int) {
	s0, s1, s2, s3 := s[0][0], s[0][1], s[0][2], s[0][3]
	t0, t1, t2, t3 := s[1][0], s[1][1], s[1][2], s[1][3]
	for q := range pixels {
		x, y := *at(a, q*lda), *at(a, q*lda+1)
		v := (*[genericWidth]float32)(unsafe.Pointer(at(b, q*ldb)))
		s0 += float32(x * v[0])
		t0 += float32(y * v[0])
		s1 += float32(x * v[1])
		t1 += float32(y * v[1])
		s2 += float32(x * v[2])
		t2 += float32(y * v[2])
		s3 += float32(x * v[3])
		t3 += float32(y * v[3])
	}
	s[0] = [genericWidth]float32{s0, s1, s2, s3}
	s[1] = [genericWidth]float32{t0, t1, t2, t3}
}

func genericCombine(height int) combineFunc {
	return func(a, b, c, _ *float32, lda, ldb, ldc, n int, mask uint32, accumulate bool) {
		var s genericSums
		if height == 2 {
			s.multiply2(row(a, 0, n), row(a, lda, n), b, ldb)
		} else {
			s.multiply1(row(a, 0, n), b, ldb)
		}
		s.finish(c, nil, height, ldc, mask, accumulate, 0, 0)
	}
}

// genericDot sums four interleaved parts of each product, as vectors of four would.
func genericDot(cols int) dotFunc {
	return func(x, w, y, _ *float32, _, ldw, _, n, _ int, accumulate bool) {
		xs := row(x, 0, n)
		for j := range cols {
			ws := row(w, j*ldw, n)
			var s0, s1, s2, s3 float32
			k := 0
			for ; k+4 <= n; k += 4 {
				s0 += float32(xs[k] * ws[k])
				s1 += float32(xs[k+1] * ws[k+1])
				s2 += float32(xs[k+2] * ws[k+2])
				s3 += float32(xs[k+3] * ws[k+3])
			}
			for ; k < n; k++ {
				s0 += float32(xs[k] * ws[k])
			}
			s := (s0 + s1) + (s2 + s3)
			if accumulate {
				s += *at(y, j)
			}
			*at(y, j) = s
		}
	}
}

func genericDepthwise(pixels int) depthwiseFunc {
	return func(x, w, y, bias *float32, stepX, tapX, rowX, tapW, rowW, stepY, rows, taps, channels, _, _, _ int, lo, hi float32) {
		for i := range pixels {
			out := row(y, i*stepY, channels)
			clear(out)
			for r := range rows {
				for t := range taps {
					in, f := row(x, r*rowX+t*tapX+i*stepX, channels), row(w, r*rowW+t*tapW, channels)
					for c := range out {
						out[c] += float32(in[c] * f[c])
					}
				}
			}
			if bias != nil {
				for c, b := range row(bias, 0, channels) {
					out[c] = clamp(out[c]+b, lo, hi)
				}
			}
		}
	}
}

func genericDepthwiseOuter(taps int) depthwiseOuterFunc {
	return func(x, dy, dw *float32, stepX, tapX, rowX, stepY, rowY, tapW, rows, pixels, channels int) {
		for p := range rows {
			for q := range pixels {
				d := row(dy, p*rowY+q*stepY, channels)
				for t := range taps {
					in, sum := row(x, p*rowX+q*stepX+t*tapX, channels), row(dw, t*tapW, channels)
					for c := range sum {
						sum[c] += float32(in[c] * d[c])
					}
				}
			}
		}
	}
}

func genericTranspose(src, dst *float32, lds, ldd int) {
	for i := range 4 {
		for j, v := range row(src, i*lds, 4) {
			*at(dst, j*ldd+i) = v
		}
	}
}
