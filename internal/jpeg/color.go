package jpeg

// space is what the channels of a file mean.
type space uint8

const (
	grey space = iota
	ycc
	rgb
	cmyk
	ycck
)

// space tells, by libjpeg's rules (jdapimin.c, default_decompress_parms): JFIF is YCbCr; Adobe's segment says; else the
// channels' numbers do.
func (d *decoder) space() space {
	switch len(d.components) {
	case 1:
		return grey
	case 4:
		if d.adobe && d.adobeTransform != 0 {
			return ycck
		}
		return cmyk
	}
	switch {
	case d.jfif:
	case d.adobe:
		if d.adobeTransform == 0 {
			return rgb
		}
	case d.components[0].id == 'R' && d.components[1].id == 'G' && d.components[2].id == 'B':
		return rgb
	}
	return ycc
}

// toRGB upsamples and converts.
func (d *decoder) toRGB() []uint8 {
	d.prepareRows()
	n := 3 * d.w
	pix := make([]uint8, n*d.h)
	space := d.space()
	for y := range d.h {
		out := pix[y*n : (y+1)*n : (y+1)*n]
		var in [4][]uint8
		for i := range d.components {
			in[i] = d.row(i, y)
		}
		switch space {
		case grey:
			interleave(out, in[0], in[0], in[0])
		case ycc:
			yccRow(out, in[0], in[1], in[2])
		case rgb:
			interleave(out, in[0], in[1], in[2])
		case cmyk:
			interleave(out, in[0], in[1], in[2])
			for i, v := range out {
				out[i] = 255 - v
			}
			blacken(out, in[3])
		case ycck:
			yccRow(out, in[0], in[1], in[2])
			blacken(out, in[3])
		}
	}
	return pix
}

func interleave(out, r, g, b []uint8) {
	n := len(out) / 3
	r, g, b = r[:n], g[:n], b[:n]
	for x := range n {
		o := out[3*x : 3*x+3 : 3*x+3]
		o[0], o[1], o[2] = r[x], g[x], b[x]
	}
}

// blacken multiplies the complements of C, M and Y by black, in the rounding of Pillow's cmyk2rgb: K−C·K/255. Files hold
// ink turned about, as Adobe's do and Pillow takes all to do, so that K is 255 where there is no black.
func blacken(out, k []uint8) {
	for x := range len(out) / 3 {
		black := int(k[x])
		for c := range 3 {
			t := int(out[3*x+c])*black + 128
			out[3*x+c] = uint8(max(black-(t>>8+t)>>8, 0))
		}
	}
}

// The products of JFIF's conversion in 16-bit fixed point, as libjpeg's jdcolor.c tabulates them:
// R = Y + 1.402 Cr, G = Y − 0.34414 Cb − 0.71414 Cr, B = Y + 1.772 Cb.
const (
	crToR = 91881
	cbToG = -22554
	crToG = -46802
	cbToB = 116130
)

var redOf, blueOf, greenOfCr, greenOfCb = func() (r, b, g1, g2 [256]int32) {
	for i := range 256 {
		x := int32(i) - 128
		r[i] = (crToR*x + 1<<15) >> 16
		b[i] = (cbToB*x + 1<<15) >> 16
		g1[i] = crToG * x
		g2[i] = cbToG*x + 1<<15
	}
	return
}()

// yccRowGeneric converts len(out)/3 pixels.
func yccRowGeneric(out, y, cb, cr []uint8) {
	n := len(out) / 3
	y, cb, cr = y[:n], cb[:n], cr[:n]
	for i, yy := range y {
		v, b, r := int32(yy), cb[i], cr[i]
		o := out[3*i : 3*i+3 : 3*i+3]
		o[0] = clip8(v + redOf[r])
		o[1] = clip8(v + (greenOfCb[b]+greenOfCr[r])>>16)
		o[2] = clip8(v + blueOf[b])
	}
}

func clip8(v int32) uint8 {
	if uint32(v) <= 255 {
		return uint8(v)
	}
	return uint8(^(v >> 31)) // 0 below, 255 above
}
