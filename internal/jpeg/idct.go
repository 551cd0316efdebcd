package jpeg

// Constants of the inverse transform in 13-bit fixed point (libjpeg's jidctint.c, after Loeffler, Ligtenberg and Moschytz,
// ICASSP 1989): c541 is 0.541196100.
const (
	constBits = 13
	pass1Bits = 2 // fraction bits between the passes

	c298  = 2446
	c390  = 3196
	c541  = 4433
	c765  = 6270
	c899  = 7373
	c1175 = 9633
	c1501 = 12299
	c1847 = 15137
	c1961 = 16069
	c2053 = 16819
	c2562 = 20995
	c3072 = 25172
)

// transform turns the coefficients of row from of c.coef into the samples of row to of blocks, and clears them.
func (c *component) transform(from, to int) {
	coef := c.coef[from*c.blocksX*64 : (from+1)*c.blocksX*64]
	inverse(coef, &c.quant, c.pix[origin+to*8*c.stride:], c.stride)
}

// transformAll makes samples of all coefficients.
func (d *decoder) transformAll() {
	for i := range d.components {
		for y := range d.components[i].blocksY {
			d.components[i].transform(y, y)
		}
	}
}

// inverseGeneric dequantises and transforms an even number of blocks, writes block i to columns 8i to 8i+7 of pix, whose
// rows are stride apart, and clears the coefficients. What overflows 16 bits, as no sound file's numbers do, wraps or is
// bounded where it is in the vector instructions.
func inverseGeneric(coef []int16, quant *[128]int16, pix []uint8, stride int) {
	for i := 0; i < len(coef); i += 64 {
		block := (*[64]int16)(coef[i : i+64])
		for row := range 8 {
			for x := range 8 {
				block[8*row+x] *= quant[16*row+x]
			}
		}
		for x := range 8 {
			if block[x+8]|block[x+16]|block[x+24]|block[x+32]|block[x+40]|block[x+48]|block[x+56] != 0 {
				inverse8(block, x, 8, constBits-pass1Bits)
				continue
			}
			flat := bound(int32(block[x]) << pass1Bits) // what inverse8 gives, and most columns are
			for row := range 8 {
				block[8*row+x] = flat
			}
		}
		for row := range 8 {
			inverse8(block, 8*row, 1, constBits+pass1Bits+3)
			out := pix[row*stride+i/8:][:8]
			for x, v := range block[8*row : 8*row+8] {
				out[x] = uint8(min(max(v, -128), 127) + 128)
			}
		}
		*block = [64]int16{}
	}
}

// inverse8 transforms the 8 numbers from b[at] on, step apart, and scales their results down by shift bits.
func inverse8(b *[64]int16, at, step int, shift uint) {
	cell := func(i int) *int16 { return &b[(at+i*step)&63] }
	v0, v1, v2, v3 := *cell(0), *cell(1), *cell(2), *cell(3)
	v4, v5, v6, v7 := *cell(4), *cell(5), *cell(6), *cell(7)
	pair := func(a int16, ca int32, b int16, cb int32) int32 { return int32(a)*ca + int32(b)*cb }

	// Even part.
	half := int32(1) << (shift - 1)
	t2 := pair(v2, c541, v6, c541-c1847)
	t3 := pair(v2, c541+c765, v6, c541)
	t0 := int32(v0+v4)<<constBits + half
	t1 := int32(v0-v4)<<constBits + half
	e0, e3, e1, e2 := t0+t3, t0-t3, t1+t2, t1-t2

	// Odd part.
	z3, z4 := v7+v3, v5+v1
	y3 := pair(z3, c1175-c1961, z4, c1175)
	y4 := pair(z3, c1175, z4, c1175-c390)
	o3 := pair(v7, c298-c899, v1, -c899) + y3
	o0 := pair(v7, -c899, v1, c1501-c899) + y4
	o2 := pair(v5, c2053-c2562, v3, -c2562) + y4
	o1 := pair(v5, -c2562, v3, c3072-c2562) + y3

	shift &= 31
	*cell(0), *cell(7) = bound((e0+o0)>>shift), bound((e0-o0)>>shift)
	*cell(1), *cell(6) = bound((e1+o1)>>shift), bound((e1-o1)>>shift)
	*cell(2), *cell(5) = bound((e2+o2)>>shift), bound((e2-o2)>>shift)
	*cell(3), *cell(4) = bound((e3+o3)>>shift), bound((e3-o3)>>shift)
}

func bound(x int32) int16 { return int16(min(max(x, -1<<15), 1<<15-1)) }
