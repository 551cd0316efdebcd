package data

import (
	"bytes"
	"image"

	"golang.org/x/image/webp"
)

// ycbcrStyle is how one library turns luma and chroma into RGB.
type ycbcrStyle struct {
	// convert writes one row of RGB from luma and full-width chroma.
	convert func(out, y, cb, cr []uint8)
	// quarter widens one row of chroma of half width and half height.
	quarter func(u *upsampler, out, plane []uint8, y int)
	// columns is the least width of a chroma plane that is smoothed sideways.
	columns int
}

var (
	jfif = ycbcrStyle{jfifRow, (*upsampler).h2v2, 3}
	vp8  = ycbcrStyle{vp8Row, (*upsampler).vp8, 1}
)

// ycbcrToRGB converts with smooth ("fancy") chroma upsampling: the triangle filter of libjpeg and libwebp for chroma of
// half width, half height or both; other ratios repeat samples as libjpeg does.
func ycbcrToRGB(s *image.YCbCr, style ycbcrStyle) *Image {
	w, h := s.Rect.Dx(), s.Rect.Dy()
	dst := NewImage(w, h)
	cw, ch := chromaSize(s.SubsampleRatio, w, h)
	up := upsampler{w: cw, h: ch, stride: s.CStride}
	hx, vx := (w+cw-1)/cw, (h+ch-1)/ch
	fancy := cw >= style.columns
	cb, cr := make([]uint8, w+8), make([]uint8, w+8)
	up.sums = make([]int32, cw)
	for y := range h {
		var rb, rr []uint8
		switch {
		case s.SubsampleRatio == image.YCbCrSubsampleRatio444:
			rb, rr = s.Cb[y*s.CStride:], s.Cr[y*s.CStride:]
		case s.SubsampleRatio == image.YCbCrSubsampleRatio422 && fancy:
			up.h2v1(cb, s.Cb, y)
			up.h2v1(cr, s.Cr, y)
			rb, rr = cb, cr
		case s.SubsampleRatio == image.YCbCrSubsampleRatio420 && fancy:
			style.quarter(&up, cb, s.Cb, y)
			style.quarter(&up, cr, s.Cr, y)
			rb, rr = cb, cr
		case s.SubsampleRatio == image.YCbCrSubsampleRatio440:
			up.h1v2(cb, s.Cb, y)
			up.h1v2(cr, s.Cr, y)
			rb, rr = cb, cr
		default:
			row := (y / vx) * s.CStride
			for x := range w {
				cb[x], cr[x] = s.Cb[row+x/hx], s.Cr[row+x/hx]
			}
			rb, rr = cb, cr
		}
		style.convert(dst.Pix[3*y*w:3*(y+1)*w], s.Y[y*s.YStride:], rb, rr)
	}
	return dst
}

func chromaSize(r image.YCbCrSubsampleRatio, w, h int) (cw, ch int) {
	switch r {
	case image.YCbCrSubsampleRatio422:
		return (w + 1) / 2, h
	case image.YCbCrSubsampleRatio420:
		return (w + 1) / 2, (h + 1) / 2
	case image.YCbCrSubsampleRatio440:
		return w, (h + 1) / 2
	case image.YCbCrSubsampleRatio411:
		return (w + 3) / 4, h
	case image.YCbCrSubsampleRatio410:
		return (w + 3) / 4, (h + 1) / 2
	}
	return w, h
}

// upsampler widens one row of a chroma plane of w×h samples. A new sample weighs its nearest neighbour 3/4 and the next
// one 1/4 in each direction that is doubled; the roundings alternate so that they do not add up (libjpeg's jdsample.c).
type upsampler struct {
	w, h, stride int
	sums         []int32
}

// h2v1 writes 2w samples of row y; the last may lie one past the picture.
func (u *upsampler) h2v1(out, plane []uint8, y int) {
	in := plane[y*u.stride : y*u.stride+u.w]
	out = out[:2*u.w]
	last := u.w - 1
	out[0], out[1] = in[0], uint8((3*int(in[0])+int(in[1])+2)>>2)
	for i := 1; i < last; i++ {
		v := 3 * int(in[i])
		out[2*i] = uint8((v + int(in[i-1]) + 1) >> 2)
		out[2*i+1] = uint8((v + int(in[i+1]) + 2) >> 2)
	}
	out[2*last], out[2*last+1] = uint8((3*int(in[last])+int(in[last-1])+1)>>2), in[last]
}

// neighbours are the chroma rows nearest and next nearest to luma row y, where chroma has half the rows.
func (u *upsampler) neighbours(plane []uint8, y int) (near, far []uint8) {
	c := y / 2
	f := c + 1
	if y%2 == 0 {
		f = c - 1
	}
	f = min(max(f, 0), u.h-1)
	return plane[c*u.stride : c*u.stride+u.w], plane[f*u.stride : f*u.stride+u.w]
}

func (u *upsampler) h2v2(out, plane []uint8, y int) {
	near, far := u.neighbours(plane, y)
	sums := u.sums[:len(near)]
	far = far[:len(near)]
	for i, v := range near {
		sums[i] = 3*int32(v) + int32(far[i])
	}
	out = out[:2*u.w]
	last := u.w - 1
	out[0], out[1] = uint8((4*sums[0]+8)>>4), uint8((3*sums[0]+sums[1]+7)>>4)
	for i := 1; i < last; i++ {
		v := 3 * sums[i]
		out[2*i] = uint8((v + sums[i-1] + 8) >> 4)
		out[2*i+1] = uint8((v + sums[i+1] + 7) >> 4)
	}
	out[2*last], out[2*last+1] = uint8((3*sums[last]+sums[last-1]+8)>>4), uint8((4*sums[last]+7)>>4)
}

// vp8 is h2v2 with the roundings of libwebp (dsp/upsampling.c): half way along the diagonal first, then to the sample.
func (u *upsampler) vp8(out, plane []uint8, y int) {
	near, far := u.neighbours(plane, y)
	out = out[:2*u.w]
	out[0] = uint8((3*int(near[0]) + int(far[0]) + 2) >> 2)
	for i := 1; i < len(near); i++ {
		n0, n1, f0, f1 := int(near[i-1]), int(near[i]), int(far[i-1]), int(far[i])
		sum := n0 + n1 + f0 + f1 + 8
		out[2*i-1] = uint8((n0 + (sum+2*(n1+f0))>>3) >> 1)
		out[2*i] = uint8((n1 + (sum+2*(n0+f1))>>3) >> 1)
	}
	last := u.w - 1
	out[2*last+1] = uint8((3*int(near[last]) + int(far[last]) + 2) >> 2)
}

func (u *upsampler) h1v2(out, plane []uint8, y int) {
	near, far := u.neighbours(plane, y)
	bias := 1 + y%2
	for i, v := range near {
		out[i] = uint8((3*int(v) + int(far[i]) + bias) >> 2)
	}
}

// The products of JFIF's conversion in 16-bit fixed point, as libjpeg's jdcolor.c tabulates them:
// R = Y + 1.402 Cr, G = Y − 0.34414 Cb − 0.71414 Cr, B = Y + 1.772 Cb.
var crR, cbB, crG, cbG = func() (r, b, g1, g2 [256]int32) {
	for i := range 256 {
		x := int32(i) - 128
		r[i] = (91881*x + 1<<15) >> 16
		b[i] = (116130*x + 1<<15) >> 16
		g1[i] = -46802 * x
		g2[i] = -22554*x + 1<<15
	}
	return
}()

func jfifRow(out, y, cb, cr []uint8) {
	n := len(out) / 3
	y, cb, cr = y[:n], cb[:n], cr[:n]
	for i, yy := range y {
		v, b, r := int32(yy), cb[i], cr[i]
		o := out[3*i : 3*i+3 : 3*i+3]
		o[0] = clip8(v + crR[r])
		o[1] = clip8(v + (cbG[b]+crG[r])>>16)
		o[2] = clip8(v + cbB[b])
	}
}

func clip8(v int32) uint8 {
	if uint32(v) <= 255 {
		return uint8(v)
	}
	return uint8(^(v >> 31)) // 0 below, 255 above
}

// decodeWebP reads still WebP pictures. Lossy ones hold studio-swing luma (16 to 235), which the decoder hands on as it
// is; the standard library's conversion would take it for JFIF's full range.
func decodeWebP(b []byte) (*Image, error) {
	src, err := webp.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	switch s := src.(type) {
	case *image.YCbCr:
		return ycbcrToRGB(s, vp8), nil
	case *image.NYCbCrA:
		return ycbcrToRGB(&s.YCbCr, vp8), nil
	}
	return toRGB(src), nil
}

// vp8Row converts in libwebp's fixed point (dsp/yuv.h): 14-bit coefficients, 6 bits kept to the last.
func vp8Row(out, y, cb, cr []uint8) {
	n := len(out) / 3
	y, cb, cr = y[:n], cb[:n], cr[:n]
	for i, yy := range y {
		l, u, v := (int32(yy)*19077)>>8, int32(cb[i]), int32(cr[i])
		o := out[3*i : 3*i+3 : 3*i+3]
		o[0] = clip8((l + (v*26149)>>8 - 14234) >> 6)
		o[1] = clip8((l - (u*6419)>>8 - (v*13320)>>8 + 8708) >> 6)
		o[2] = clip8((l + (u*33050)>>8 - 17685) >> 6)
	}
}
