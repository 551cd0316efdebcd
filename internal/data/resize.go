package data

import (
	"fmt"
	"math"
	"sync"
)

// Rect is a part of a picture, in pixels: columns [X, X+W) and rows [Y, Y+H).
type Rect struct{ X, Y, W, H int }

func (r Rect) inside(w, h int) bool {
	return r.X >= 0 && r.Y >= 0 && r.W > 0 && r.H > 0 && r.X+r.W <= w && r.Y+r.H <= h
}

// precision is the number of fraction bits of the filter's coefficients: what 32 bits leave beside a byte and the sign.
const precision = 32 - 8 - 2

// filter holds the taps of one dimension's resampling: output i is Σ_j coeff[i·size+j]·in[first[i]+j] for j < count[i],
// then rounded and shifted by precision. All coefficients are non-negative and sum to about 1<<precision.
type filter struct {
	size         int
	first, count []int32
	coeff        []int32
}

// bilinear computes the taps for outputs [lo, lo+n) of a resize from in to out samples: the triangle filter, its support
// growing with the scale where the picture shrinks (Pillow's Resample.c, precompute_coeffs and normalize_coeffs_8bpc).
func bilinear(in, out, lo, n int) *filter {
	scale := float64(in) / float64(out)
	support := max(scale, 1)
	f := &filter{size: int(math.Ceil(support))*2 + 1, first: make([]int32, n), count: make([]int32, n)}
	f.coeff = make([]int32, n*f.size)
	w := make([]float64, f.size)
	for i := range n {
		center := (float64(lo+i) + 0.5) * scale
		first := max(int(center-support+0.5), 0)
		end := min(int(center+support+0.5), in)
		sum := 0.0
		for j := range end - first {
			t := math.Abs((float64(j+first) - center + 0.5) * (1 / support))
			w[j] = max(1-t, 0)
			sum += w[j]
		}
		for j := range end - first {
			f.coeff[i*f.size+j] = int32(0.5 + w[j]/sum*(1<<precision))
		}
		f.first[i], f.count[i] = int32(first), int32(end-first)
	}
	return f
}

// taps are output i's coefficients without the zeros at their end.
func (f *filter) taps(i int) []int32 {
	k := f.coeff[i*f.size : i*f.size+int(f.count[i])]
	for len(k) > 1 && k[len(k)-1] == 0 {
		k = k[:len(k)-1]
	}
	return k
}

// filters keeps the taps that whole pictures need again and again; those of random crops are not worth keeping.
var filters sync.Map // filterKey → *filter

type filterKey struct{ in, out, lo, n int }

func bilinearKept(in, out, lo, n int) *filter {
	key := filterKey{in, out, lo, n}
	if f, ok := filters.Load(key); ok {
		return f.(*filter)
	}
	f, _ := filters.LoadOrStore(key, bilinear(in, out, lo, n))
	return f.(*filter)
}

// scratch is the memory of one worker's resizes.
type scratch struct {
	mid []uint8 // the rows after the horizontal pass
	acc []int32
	img [2]Image // operations write to one and read from the other
	cur int
}

// next is an image of w×h that the current one is not, for an operation to write to.
func (s *scratch) next(w, h int) *Image {
	s.cur ^= 1
	img := &s.img[s.cur]
	img.W, img.H = w, h
	img.Pix = grow(img.Pix, 3*w*h)
	return img
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// resizeInto cuts box out of src, scales it to w×h with Pillow's antialiased bilinear filter, to the bit, and writes the part
// of the result that begins at (left, top) and has dst's size. As in Pillow the horizontal pass comes first and is rounded to
// bytes. Only what dst needs is computed.
func resizeInto(dst, src *Image, box Rect, w, h, left, top int, keep bool, s *scratch) {
	if !box.inside(src.W, src.H) || !(Rect{left, top, dst.W, dst.H}).inside(w, h) {
		panic(fmt.Sprintf("data: resize of %v in %d×%d to %d×%d at (%d, %d) of %d×%d", box, src.W, src.H, dst.W, dst.H,
			left, top, w, h))
	}
	taps := bilinear
	if keep {
		taps = bilinearKept
	}
	var vert *filter
	firstRow, rows := top, dst.H
	if h != box.H {
		vert = taps(box.H, h, top, dst.H)
		firstRow = int(vert.first[0])
		rows = int(vert.first[dst.H-1]+vert.count[dst.H-1]) - firstRow
	}
	in, inStride := src.Pix[3*(box.Y*src.W+box.X):], 3*src.W
	in = in[firstRow*inStride:]
	rowLen := 3 * dst.W

	// Horizontal: in → mid, or straight to dst where no vertical pass follows.
	mid, midStride := in, inStride
	if w != box.W {
		mid, midStride = dst.Pix, rowLen
		if vert != nil {
			s.mid = grow(s.mid, rows*rowLen)
			mid = s.mid
		}
		horiz := taps(box.W, w, left, dst.W)
		horiz.rows(mid, in, rows, rowLen, inStride)
	} else {
		mid = mid[3*left:]
	}
	switch {
	case vert != nil:
		s.acc = grow(s.acc, rowLen)
		for y := range dst.H {
			vert.columns(dst.Pix[y*rowLen:(y+1)*rowLen], mid[(int(vert.first[y])-firstRow)*midStride:], midStride, y, s.acc)
		}
	case w == box.W:
		for y := range dst.H {
			copy(dst.Pix[y*rowLen:(y+1)*rowLen], mid[y*midStride:])
		}
	}
}

// rowsGeneric filters rows of in, inStride apart, sideways to rows of out, outStride apart.
func (f *filter) rowsGeneric(out, in []uint8, rows, outStride, inStride int) {
	for y := range rows {
		f.row(out[y*outStride:y*outStride+3*len(f.first)], in[y*inStride:])
	}
}

// row filters one row sideways. Red and green share a 64-bit word, whose halves cannot run over because the taps are
// positive and sum to less than 2 in units of 1<<precision.
func (f *filter) row(out, in []uint8) {
	const half = 1 << (precision - 1)
	for i := range len(out) / 3 {
		k := f.coeff[i*f.size : i*f.size+int(f.count[i])]
		p := in[3*f.first[i]:]
		p = p[:3*len(k)]
		rg, b := uint64(half<<32|half), uint32(half)
		for _, c := range k {
			rg += uint64(c) * (uint64(p[0]) | uint64(p[1])<<32)
			b += uint32(c) * uint32(p[2])
			p = p[3:]
		}
		o := out[3*i : 3*i+3 : 3*i+3]
		o[0] = clip8(int32(uint32(rg) >> precision))
		o[1] = clip8(int32(uint32(rg>>32) >> precision))
		o[2] = clip8(int32(b >> precision))
	}
}

// columnsGeneric filters the rows of in (stride apart) to output row y.
func (f *filter) columnsGeneric(out, in []uint8, stride, y int, acc []int32) {
	const half = 1 << (precision - 1)
	k := f.taps(y)
	n := len(out)
	switch len(k) {
	case 1:
		r0 := in[:n]
		for i, v := range r0 {
			out[i] = clip8((half + k[0]*int32(v)) >> precision)
		}
	case 2:
		r0, r1 := in[:n], in[stride:stride+n]
		k0, k1 := k[0], k[1]
		for i, v := range r0 {
			out[i] = clip8((half + k0*int32(v) + k1*int32(r1[i])) >> precision)
		}
	case 3:
		r0, r1, r2 := in[:n], in[stride:stride+n], in[2*stride:2*stride+n]
		k0, k1, k2 := k[0], k[1], k[2]
		for i, v := range r0 {
			out[i] = clip8((half + k0*int32(v) + k1*int32(r1[i]) + k2*int32(r2[i])) >> precision)
		}
	default:
		acc = acc[:n]
		for i := range acc {
			acc[i] = half
		}
		for ; len(k) >= 2; k, in = k[2:], in[2*stride:] {
			r0, r1 := in[:n], in[stride:stride+n]
			k0, k1 := k[0], k[1]
			for i, v := range r0 {
				acc[i] += k0*int32(v) + k1*int32(r1[i])
			}
		}
		if len(k) == 1 {
			for i, v := range in[:n] {
				acc[i] += k[0] * int32(v)
			}
		}
		for i, v := range acc {
			out[i] = clip8(v >> precision)
		}
	}
}
