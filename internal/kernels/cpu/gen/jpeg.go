package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// jpeg writes the kernels of package jpeg, for AVX2.
func jpeg() {
	inverse()
	h2v1()
	h2v2()
	yccRow()
}

// pattern declares n constants, values in turn, the first time that a kernel of the file asks for them.
func pattern(name string, n int, values ...Constant) func() Mem {
	var m *Mem
	return func() Mem {
		if m == nil {
			g := GLOBL(name, RODATA|NOPTR)
			m = &g
			for i, at := 0, 0; i < n; i++ {
				v := values[i%len(values)]
				DATA(at, v)
				at += v.Bytes()
			}
		}
		return *m
	}
}

// words fills a vector with one 16-bit number.
func words(name string, v int16) func() Mem { return pattern(name, 16, I16(v)) }

// pairs fills a vector with two in turn, for VPMADDWD.
func pairs(name string, a, b int16) func() Mem { return pattern(name, 16, I16(a), I16(b)) }

// The inverse transform's constants in 13-bit fixed point, as idct.go of package jpeg names and explains them.
const (
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

var (
	evenT2 = pairs("evenT2", c541, c541-c1847)
	evenT3 = pairs("evenT3", c541+c765, c541)
	oddY3  = pairs("oddY3", c1175-c1961, c1175)
	oddY4  = pairs("oddY4", c1175, c1175-c390)
	odd71a = pairs("odd71a", c298-c899, -c899)
	odd71b = pairs("odd71b", -c899, c1501-c899)
	odd53a = pairs("odd53a", c2053-c2562, -c2562)
	odd53b = pairs("odd53b", -c2562, c3072-c2562)
	half11 = pattern("half11", 8, I32(1<<10))
	half18 = pattern("half18", 8, I32(1<<17))
	grey   = pattern("grey", 32, U8(128))
	word1  = words("word1", 1)
)

// wide is 16 numbers of 32 bits, those of the low and the high halves of a register's lanes.
type wide struct{ lo, hi reg.VecVirtual }

// inverse writes the inverse transform of two blocks side by side: a register holds one row of both, a block in each lane.
func inverse() {
	begin(avx2, "inverse", "dequantises and transforms pairs of blocks, and clears the coefficients.", `
	for i := range pairs {
		inverseGeneric(coef[128*i:128*(i+1)], quant, pix[16*i:], stride)
	}`, "coef, quant *int16, pix *uint8, stride, pairs int")
	coef, quant, pix, stride, n := pointer("coef"), pointer("quant"), pointer("pix"), pointer("stride"), pointer("pairs")
	even := AllocLocal(8 * 32)
	stride3 := GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	lower := GP64()

	Label("pair")
	var v [8]reg.VecVirtual
	for row := range v {
		v[row] = YMM()
		VMOVDQU(Mem{Base: coef, Disp: 16 * row}, v[row].AsX())
		VINSERTI128(Imm(1), Mem{Base: coef, Disp: 128 + 16*row}, v[row], v[row])
	}
	// Rows 1 to 7 are often 0: then the first pass is a shift.
	rest := YMM()
	VPOR(v[1], v[2], rest)
	for _, row := range v[3:] {
		VPOR(row, rest, rest)
	}
	for row := range v {
		VPMULLW(Mem{Base: quant, Disp: 32 * row}, v[row], v[row])
	}
	VPTEST(rest, rest)
	JNE(LabelRef("columns"))
	VPADDSW(v[0], v[0], v[0])
	VPADDSW(v[0], v[0], v[0])
	for _, row := range v[1:] {
		VMOVDQA(v[0], row)
	}
	JMP(LabelRef("rows"))
	Label("columns")
	pass(v, even, half11(), 11)
	Label("rows")
	v = transposeWords(v)
	pass(v, even, half18(), 18)

	// v[x] is column x of both blocks. Bytes, then rows.
	for i := range 4 {
		VPACKSSWB(v[i+4], v[i], v[i])
	}
	bias := YMM()
	VMOVDQU(grey(), bias)
	for i := range 4 {
		VPADDB(bias, v[i], v[i])
	}
	interleave(8, v[0], v[1])  // v0: columns 0 1, v1: 4 5
	interleave(8, v[2], v[3])  // v2: columns 2 3, v3: 6 7
	interleave(16, v[0], v[2]) // columns 0 to 3: v0 rows 0 to 3, v2 rows 4 to 7
	interleave(16, v[1], v[3]) // columns 4 to 7: v1 rows 0 to 3, v3 rows 4 to 7
	interleave(32, v[0], v[1]) // v0: rows 0 1, v1: rows 2 3
	interleave(32, v[2], v[3]) // v2: rows 4 5, v3: rows 6 7
	LEAQ(Mem{Base: pix, Index: stride, Scale: 4}, lower)
	for i, r := range v[:4] {
		VPERMQ(Imm(0b11011000), r, r) // a row of both blocks in each lane
		base := pix
		if i >= 2 {
			base = lower
		}
		first, second := Mem{Base: base}, Mem{Base: base, Index: stride, Scale: 1}
		if i%2 == 1 {
			first = Mem{Base: base, Index: stride, Scale: 2}
			second = Mem{Base: base, Index: stride3, Scale: 1}
		}
		VMOVDQU(r.AsX(), first)
		VEXTRACTI128(Imm(1), r, second)
	}
	VPXOR(bias, bias, bias)
	for i := range 8 {
		VMOVDQU(bias, Mem{Base: coef, Disp: 32 * i})
	}
	ADDQ(I32(256), coef)
	ADDQ(Imm(16), pix)
	DECQ(n)
	JNE(LabelRef("pair"))
	end()
}

// pass writes the transform of 8 numbers that stand below each other in v, 16 side by side, as inverse8 of package jpeg
// does it. The even part waits in memory while the odd part is computed.
func pass(v [8]reg.VecVirtual, even Mem, half Mem, shift uint64) {
	unpack := func(a, b reg.VecVirtual) wide {
		w := wide{YMM(), YMM()}
		VPUNPCKLWD(b, a, w.lo)
		VPUNPCKHWD(b, a, w.hi)
		return w
	}
	madd := func(w wide, by Mem) wide {
		r := wide{YMM(), YMM()}
		VPMADDWD(by, w.lo, r.lo)
		VPMADDWD(by, w.hi, r.hi)
		return r
	}
	add := func(a, b wide) { // a += b
		VPADDD(b.lo, a.lo, a.lo)
		VPADDD(b.hi, a.hi, a.hi)
	}
	slot := func(i int) Mem { return even.Offset(32 * i) }

	w := unpack(v[2], v[6])
	t3, t2 := madd(w, evenT3()), madd(w, evenT2())
	sum, diff, zero := YMM(), YMM(), YMM()
	VPADDW(v[4], v[0], sum)
	VPSUBW(v[4], v[0], diff)
	VPXOR(zero, zero, zero)
	// spread is x<<13 + half.
	spread := func(x reg.VecVirtual) wide {
		w := unpack(zero, x)
		VPSRAD(Imm(3), w.lo, w.lo)
		VPSRAD(Imm(3), w.hi, w.hi)
		VPADDD(half, w.lo, w.lo)
		VPADDD(half, w.hi, w.hi)
		return w
	}
	keep := func(i int, a, b wide) { // e[i] = a+b, e[3−i] = a−b
		t := YMM()
		for j, h := range [][2]reg.VecVirtual{{a.lo, b.lo}, {a.hi, b.hi}} {
			VPADDD(h[1], h[0], t)
			VMOVDQU(t, slot(2*i+j))
			VPSUBD(h[1], h[0], t)
			VMOVDQU(t, slot(2*(3-i)+j))
		}
	}
	keep(0, spread(sum), t3)
	keep(1, spread(diff), t2)

	z3, z4 := YMM(), YMM()
	VPADDW(v[3], v[7], z3)
	VPADDW(v[1], v[5], z4)
	w = unpack(z3, z4)
	y3, y4 := madd(w, oddY3()), madd(w, oddY4())
	w = unpack(v[7], v[1])
	o3, o0 := madd(w, odd71a()), madd(w, odd71b())
	add(o3, y3)
	add(o0, y4)
	w = unpack(v[5], v[3])
	o2, o1 := madd(w, odd53a()), madd(w, odd53b())
	add(o2, y4)
	add(o1, y3)
	for i, o := range []wide{o0, o1, o2, o3} {
		elo, ehi, t := YMM(), YMM(), YMM()
		VMOVDQU(slot(2*i), elo)
		VMOVDQU(slot(2*i+1), ehi)
		VPADDD(o.lo, elo, t)
		VPADDD(o.hi, ehi, v[i])
		VPSUBD(o.lo, elo, elo)
		VPSUBD(o.hi, ehi, ehi)
		VPSRAD(Imm(shift), t, t)
		VPSRAD(Imm(shift), v[i], v[i])
		VPSRAD(Imm(shift), elo, elo)
		VPSRAD(Imm(shift), ehi, ehi)
		VPACKSSDW(v[i], t, v[i])
		VPACKSSDW(ehi, elo, v[7-i])
	}
}

// interleave takes numbers of the given bits from a and b in turn: those of the low half of each lane to a, those of the
// high half to b.
func interleave(bits int, a, b reg.VecVirtual) {
	t := YMM()
	switch bits {
	case 8:
		VPUNPCKLBW(b, a, t)
		VPUNPCKHBW(b, a, b)
	case 16:
		VPUNPCKLWD(b, a, t)
		VPUNPCKHWD(b, a, b)
	case 32:
		VPUNPCKLDQ(b, a, t)
		VPUNPCKHDQ(b, a, b)
	case 64:
		VPUNPCKLQDQ(b, a, t)
		VPUNPCKHQDQ(b, a, b)
	}
	VMOVDQA(t, a)
}

// transposeWords turns 8 rows of 8 words into columns, in each lane for itself, and returns them in order.
func transposeWords(v [8]reg.VecVirtual) [8]reg.VecVirtual {
	for i := 0; i < 8; i += 2 {
		interleave(16, v[i], v[i+1]) // columns 0 to 3 and 4 to 7 of rows i, i+1
	}
	for _, i := range []int{0, 1, 4, 5} {
		interleave(32, v[i], v[i+2])
	}
	// v0: columns 0 1 of rows 0 to 3, v2: 2 3, v1: 4 5, v3: 6 7; v4, v6, v5, v7: the same of rows 4 to 7.
	for i := range 4 {
		interleave(64, v[i], v[i+4])
	}
	return [8]reg.VecVirtual{v[0], v[4], v[2], v[6], v[1], v[5], v[3], v[7]}
}

// h2v1 writes the doubling of a row of chroma.
func h2v1() {
	begin(avx2, "h2v1", "is h2v1Generic, of n samples rounded up to 16.", `
	for i := range n {
		out[2*i] = (3*in[i] + in[i-1] + 1) >> 2
		out[2*i+1] = (3*in[i] + in[i+1] + 2) >> 2
	}`, "out, in *uint8, n int")
	out, in, n := pointer("out"), pointer("in"), pointer("n")
	one, two := YMM(), YMM()
	VMOVDQU(word1(), one)
	VMOVDQU(words("word2", 2)(), two)
	Label("samples")
	here, left, right, t := YMM(), YMM(), YMM(), YMM()
	VPMOVZXBW(Mem{Base: in}, here)
	VPMOVZXBW(Mem{Base: in, Disp: -1}, left)
	VPMOVZXBW(Mem{Base: in, Disp: 1}, right)
	VPADDW(here, here, t)
	VPADDW(t, here, here)
	VPADDW(here, left, left)
	VPADDW(here, right, right)
	VPADDW(one, left, left)
	VPADDW(two, right, right)
	VPSRLW(Imm(2), left, left)
	VPSRLW(Imm(2), right, right)
	VPSLLW(Imm(8), right, right)
	VPOR(left, right, right)
	VMOVDQU(right, Mem{Base: out})
	ADDQ(Imm(16), in)
	ADDQ(Imm(32), out)
	SUBQ(Imm(16), n)
	JG(LabelRef("samples"))
	end()
}

// h2v2 writes the doubling of chroma in both directions, for one row of the picture.
func h2v2() {
	begin(avx2, "h2v2", "is h2v2Generic, of n samples rounded up to 16.", `
	for i := range n {
		sum := func(i int) { return 3*near[i] + far[i] }
		out[2*i] = (3*sum(i) + sum(i-1) + 8) >> 4
		out[2*i+1] = (3*sum(i) + sum(i+1) + 7) >> 4
	}`, "out, near, far *uint8, n int")
	out, near, far, n := pointer("out"), pointer("near"), pointer("far"), pointer("n")
	seven, eight := YMM(), YMM()
	VMOVDQU(words("word7", 7)(), seven)
	VMOVDQU(words("word8", 8)(), eight)
	Label("samples")
	sum := func(disp int) reg.VecVirtual {
		a, b, t := YMM(), YMM(), YMM()
		VPMOVZXBW(Mem{Base: near, Disp: disp}, a)
		VPMOVZXBW(Mem{Base: far, Disp: disp}, b)
		VPADDW(a, a, t)
		VPADDW(a, b, b)
		VPADDW(t, b, b)
		return b
	}
	here, left, right, t := sum(0), sum(-1), sum(1), YMM()
	VPADDW(here, here, t)
	VPADDW(t, here, here)
	VPADDW(here, left, left)
	VPADDW(here, right, right)
	VPADDW(eight, left, left)
	VPADDW(seven, right, right)
	VPSRLW(Imm(4), left, left)
	VPSRLW(Imm(4), right, right)
	VPSLLW(Imm(8), right, right)
	VPOR(left, right, right)
	VMOVDQU(right, Mem{Base: out})
	ADDQ(Imm(16), near)
	ADDQ(Imm(16), far)
	ADDQ(Imm(32), out)
	SUBQ(Imm(16), n)
	JG(LabelRef("samples"))
	end()
}

// yccRow writes the conversion to RGB. The products of JFIF's conversion are taken apart so that their factors fit in 16
// bits: 91881 = 65536 + 26345, 116130 = 2·65536 − 14942, −46802 = 18734 − 65536; and (a·x + 1<<15)>>16 is
// ((a·2x)>>16 + 1)>>1.
func yccRow() {
	begin(avx2, "yccRow", "converts n pixels, a multiple of 32.", `
	for i := range n {
		b, r := cb[i]-128, cr[i]-128
		out[3*i] = clip8(y[i] + (91881*r+1<<15)>>16)
		out[3*i+1] = clip8(y[i] + (-22554*b-46802*r+1<<15)>>16)
		out[3*i+2] = clip8(y[i] + (116130*b+1<<15)>>16)
	}`, "out, y, cb, cr *uint8, n int")
	out, y, cb, cr, n := pointer("out"), pointer("y"), pointer("cb"), pointer("cr"), pointer("n")
	zero, offset := YMM(), YMM()
	VPXOR(zero, zero, zero)
	VMOVDQU(words("word128", 128)(), offset)
	red, blue := words("redFactor", 26345), words("blueFactor", -14942)
	green, half := pairs("greenFactors", -22554, 18734), pattern("half16", 8, I32(1<<15))
	Label("pixels")
	var r, g, b [2]reg.VecVirtual
	bytesY, bytesB, bytesR := YMM(), YMM(), YMM()
	VMOVDQU(Mem{Base: y}, bytesY)
	VMOVDQU(Mem{Base: cb}, bytesB)
	VMOVDQU(Mem{Base: cr}, bytesR)
	for i := range 2 {
		unpack := func(bytes reg.VecVirtual) reg.VecVirtual {
			w := YMM()
			if i == 0 {
				VPUNPCKLBW(zero, bytes, w)
			} else {
				VPUNPCKHBW(zero, bytes, w)
			}
			return w
		}
		yy, u, v := unpack(bytesY), unpack(bytesB), unpack(bytesR)
		VPSUBW(offset, u, u)
		VPSUBW(offset, v, v)
		product := func(x reg.VecVirtual, factor Mem) reg.VecVirtual {
			t := YMM()
			VPADDW(x, x, t)
			VPMULHW(factor, t, t)
			VPADDW(word1(), t, t)
			VPSRAW(Imm(1), t, t)
			VPADDW(yy, t, t)
			VPADDW(x, t, t)
			return t
		}
		r[i] = product(v, red())
		b[i] = product(u, blue())
		VPADDW(u, b[i], b[i])
		lo, hi := YMM(), YMM()
		VPUNPCKLWD(v, u, lo)
		VPUNPCKHWD(v, u, hi)
		for _, w := range []reg.VecVirtual{lo, hi} {
			VPMADDWD(green(), w, w)
			VPADDD(half(), w, w)
			VPSRAD(Imm(16), w, w)
		}
		g[i] = YMM()
		VPACKSSDW(hi, lo, g[i])
		VPADDW(yy, g[i], g[i])
		VPSUBW(v, g[i], g[i])
	}
	VPACKUSWB(r[1], r[0], r[0])
	VPACKUSWB(g[1], g[0], g[0])
	VPACKUSWB(b[1], b[0], b[0])
	channels := []reg.VecVirtual{r[0], g[0], b[0]}
	// Byte j of part p of 16 pixels' 48 bytes is channel (16p+j)%3 of pixel (16p+j)/3.
	for part := range 3 {
		sum := YMM()
		for c, channel := range channels {
			var order []Constant
			for j := range 16 {
				from := uint8(0x80) // no pixel: 0
				if at := 16*part + j; at%3 == c {
					from = uint8(at / 3)
				}
				order = append(order, U8(from))
			}
			t := YMM()
			VPSHUFB(pattern(fmt.Sprintf("spread%d%d", part, c), 32, order...)(), channel, t)
			if c == 0 {
				sum = t
			} else {
				VPOR(t, sum, sum)
			}
		}
		VMOVDQU(sum.AsX(), Mem{Base: out, Disp: 16 * part})
		VEXTRACTI128(Imm(1), sum, Mem{Base: out, Disp: 48 + 16*part})
	}
	ADDQ(Imm(32), y)
	ADDQ(Imm(32), cb)
	ADDQ(Imm(32), cr)
	ADDQ(Imm(96), out)
	SUBQ(Imm(32), n)
	JG(LabelRef("pixels"))
	end()
}
