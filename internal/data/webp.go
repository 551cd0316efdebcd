package data

import (
	"bytes"
	"image"

	"golang.org/x/image/webp"
)

// decodeWebP reads still WebP pictures. Lossy ones hold studio-swing luma (16 to 235), which the decoder hands on as it
// is; the standard library's conversion would take it for JFIF's full range.
func decodeWebP(b []byte) (*Image, error) {
	src, err := webp.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	switch s := src.(type) {
	case *image.YCbCr:
		return vp8ToRGB(s), nil
	case *image.NYCbCrA:
		return vp8ToRGB(&s.YCbCr), nil
	}
	return toRGB(src), nil
}

// vp8ToRGB converts lossy WebP, whose chroma has half the width and height, with libwebp's smooth ("fancy") upsampling.
func vp8ToRGB(s *image.YCbCr) *Image {
	w, h := s.Rect.Dx(), s.Rect.Dy()
	dst := NewImage(w, h)
	cw, ch := (w+1)/2, (h+1)/2
	cb, cr := make([]uint8, 2*cw), make([]uint8, 2*cw)
	for y := range h {
		// The chroma rows nearest and next nearest to this row.
		near := y / 2
		far := near + 1
		if y%2 == 0 {
			far = near - 1
		}
		far = min(max(far, 0), ch-1)
		vp8Chroma(cb, s.Cb[near*s.CStride:][:cw], s.Cb[far*s.CStride:][:cw])
		vp8Chroma(cr, s.Cr[near*s.CStride:][:cw], s.Cr[far*s.CStride:][:cw])
		vp8Row(dst.Pix[3*y*w:3*(y+1)*w], s.Y[y*s.YStride:], cb, cr)
	}
	return dst
}

// vp8Chroma widens one row of chroma: a new sample weighs its nearest neighbour 3/4 and the next one 1/4 in each
// direction, in the roundings of libwebp (dsp/upsampling.c): half way along the diagonal first, then to the sample.
func vp8Chroma(out, near, far []uint8) {
	out[0] = uint8((3*int(near[0]) + int(far[0]) + 2) >> 2)
	for i := 1; i < len(near); i++ {
		n0, n1, f0, f1 := int(near[i-1]), int(near[i]), int(far[i-1]), int(far[i])
		sum := n0 + n1 + f0 + f1 + 8
		out[2*i-1] = uint8((n0 + (sum+2*(n1+f0))>>3) >> 1)
		out[2*i] = uint8((n1 + (sum+2*(n0+f1))>>3) >> 1)
	}
	last := len(near) - 1
	out[2*last+1] = uint8((3*int(near[last]) + int(far[last]) + 2) >> 2)
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

func clip8(v int32) uint8 {
	if uint32(v) <= 255 {
		return uint8(v)
	}
	return uint8(^(v >> 31)) // 0 below, 255 above
}
