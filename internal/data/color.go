package data

import "math"

// The arithmetic of this file is Pillow's (Blend.c, Convert.c, ImageEnhance.py) in its rounding.

func (o ColorJitter) apply(img *Image, _ int, r *stream, s *scratch) (*Image, error) {
	order := r.permutation(4)
	steps := [4]struct {
		limits  [2]float64
		nothing float64 // the factor that changes nothing
		apply   func(*Image, float64)
		factor  float64
	}{
		{limits: o.Brightness, nothing: 1, apply: brightness},
		{limits: o.Contrast, nothing: 1, apply: contrast},
		{limits: o.Saturation, nothing: 1, apply: saturation},
		{limits: o.Hue, nothing: 0, apply: hue},
	}
	for i := range steps {
		steps[i].factor = r.uniform(steps[i].limits[0], steps[i].limits[1])
	}
	out := s.next(img.W, img.H)
	copy(out.Pix, img.Pix)
	for _, i := range order {
		if step := &steps[i]; step.limits != [2]float64{step.nothing, step.nothing} {
			step.apply(out, step.factor)
		}
	}
	return out, nil
}

// blend is from + factor·(to − from), cut to a byte.
func blend(from, to uint8, factor float32) uint8 {
	v := float32(from) + float32(factor*float32(int(to)-int(from)))
	switch {
	case v <= 0:
		return 0
	case v >= 255:
		return 255
	}
	return uint8(v)
}

// luma is ITU-R 601 in 16-bit fixed point.
func luma(r, g, b uint8) uint8 {
	return uint8((uint32(r)*19595 + uint32(g)*38470 + uint32(b)*7471 + 0x8000) >> 16)
}

// away scales the distance of every byte from a middle value.
func away(img *Image, middle uint8, factor float64) {
	var table [256]uint8
	for v := range table {
		table[v] = blend(middle, uint8(v), float32(factor))
	}
	for i, v := range img.Pix {
		img.Pix[i] = table[v]
	}
}

func brightness(img *Image, factor float64) { away(img, 0, factor) }

// contrast keeps the mean grey where it is.
func contrast(img *Image, factor float64) {
	sum := 0
	for p := img.Pix; len(p) >= 3; p = p[3:] {
		sum += int(luma(p[0], p[1], p[2]))
	}
	away(img, uint8(float64(sum)/float64(img.W*img.H)+0.5), factor)
}

func saturation(img *Image, factor float64) {
	f := float32(factor)
	for p := img.Pix; len(p) >= 3; p = p[3:] {
		grey := luma(p[0], p[1], p[2])
		p[0], p[1], p[2] = blend(grey, p[0], f), blend(grey, p[1], f), blend(grey, p[2], f)
	}
}

// hue turns the colour wheel, which has 256 steps; a part of a step is dropped.
func hue(img *Image, turns float64) {
	shift := uint8(int(turns * 255))
	for p := img.Pix; len(p) >= 3; p = p[3:] {
		h, s, v := hsv(p[0], p[1], p[2])
		p[0], p[1], p[2] = fromHSV(h+shift, s, v)
	}
}

func hsv(r, g, b uint8) (h, s, v uint8) {
	hi, lo := max(r, g, b), min(r, g, b)
	if hi == lo {
		return 0, 0, hi
	}
	span := float32(hi - lo)
	rc, gc, bc := float32(hi-r)/span, float32(hi-g)/span, float32(hi-b)/span
	var turn float32
	switch hi {
	case r:
		turn = bc - gc
	case g:
		turn = float32(2.0 + float64(rc) - float64(bc))
	default:
		turn = float32(4.0 + float64(gc) - float64(rc))
	}
	full := float64(turn)/6.0 + 1.0 // within [0, 2)
	turn = float32(full - math.Floor(full))
	return uint8(int(float64(turn) * 255.0)), uint8(int(float64(span/float32(hi)) * 255.0)), hi
}

func fromHSV(h, s, v uint8) (r, g, b uint8) {
	if s == 0 {
		return v, v, v
	}
	sector := math.Floor(float64(float32(h)) * 6.0 / 255.0)
	f := float64(float32(float64(float32(h))*6.0/255.0 - sector))
	fs := float64(float32(s) / 255)
	round := func(x float64) uint8 { return uint8(min(max(math.Round(x), 0), 255)) }
	p := round(float64(v) * (1 - fs))
	q := round(float64(v) * (1 - float64(fs*f)))
	t := round(float64(v) * (1 - float64(fs*(1-f))))
	switch int(sector) % 6 {
	case 0:
		return v, t, p
	case 1:
		return q, v, p
	case 2:
		return p, v, t
	case 3:
		return p, q, v
	case 4:
		return t, p, v
	}
	return v, p, q
}
