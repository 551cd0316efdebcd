package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tile is an accumulator of rows × vectors registers and the end that all kernels with one share.
type tile struct {
	isa     *isa
	acc     [][]reg.VecVirtual
	vectors int
	fused   bool // whether the kernel has bias, lo and hi
}

func newTile(v *isa, rows, vectors int) *tile {
	t := &tile{isa: v, vectors: vectors}
	for range rows {
		a := v.vectors(vectors)
		for _, x := range a {
			v.zero(x)
		}
		t.acc = append(t.acc, a)
	}
	return t
}

// multiply adds the products of one column of A, whose element of row i lies at a(i), and one row of B.
func (t *tile) multiply(b []reg.VecVirtual, broadcast []reg.VecVirtual, a func(i int) Mem) {
	for i, row := range t.acc {
		x := broadcast[i%len(broadcast)]
		VBROADCASTSS(a(i), x)
		for j := range row {
			VFMADD231PS(b[j], x, row[j])
		}
	}
}

// broadcasts is how many registers take turns in holding an element of A.
func (t *tile) broadcasts() []reg.VecVirtual {
	if t.isa == avx512 {
		return t.isa.vectors(2)
	}
	return t.isa.vectors(1)
}

// finish writes the tile: optionally adds what C holds, optionally adds the bias and clamps, and stores the columns that
// the mask names.
func (t *tile) finish() {
	if t.isa == avx512 {
		mask := GP32()
		Load(Param("mask"), mask)
		k := make([]reg.OpmaskVirtual, t.vectors)
		for j := range k {
			k[j] = K()
			KMOVW(mask, k[j])
			SHRL(Imm(16), mask)
		}
		t.end("",
			func(m Mem, j int, x reg.VecVirtual) { VMOVUPS_Z(m, k[j], x) },
			func(x reg.VecVirtual, j int, m Mem) { VMOVUPS(x, k[j], m) })
		return
	}
	// Masked moves are slow on some processors, so whole panels go without.
	CMPL(address("mask"), U32(1<<(t.vectors*t.isa.lanes)-1))
	JNE(LabelRef("masked"))
	t.end("", func(m Mem, j int, x reg.VecVirtual) { VMOVUPS(m, x) }, func(x reg.VecVirtual, j int, m Mem) { VMOVUPS(x, m) })
	Label("masked")
	masks := t.isa.vectors(t.vectors)
	for j, k := range masks {
		bits := bits32().Offset(t.isa.bytes() * j)
		VBROADCASTSS(address("mask"), k)
		VPAND(bits, k, k)
		VPCMPEQD(bits, k, k)
	}
	t.end("Masked", func(m Mem, j int, x reg.VecVirtual) { VMASKMOVPS(m, masks[j], x) },
		func(x reg.VecVirtual, j int, m Mem) { VMASKMOVPS(x, masks[j], m) })
}

func (t *tile) end(suffix string, load func(m Mem, j int, x reg.VecVirtual), store func(x reg.VecVirtual, j int, m Mem)) {
	each := func(f func(i, j int, m Mem)) {
		c := pointer("c")
		ldc := elements("ldc")
		for i := range t.acc {
			for j := range t.vectors {
				f(i, j, Mem{Base: c, Disp: t.isa.bytes() * j})
			}
			if i < len(t.acc)-1 {
				ADDQ(ldc, c)
			}
		}
	}
	x := t.isa.vector()
	CMPB(address("accumulate"), Imm(0))
	JEQ(LabelRef("added" + suffix))
	each(func(i, j int, m Mem) {
		load(m, j, x)
		VADDPS(x, t.acc[i][j], t.acc[i][j])
	})
	Label("added" + suffix)
	if t.fused {
		bias := pointer("bias")
		TESTQ(bias, bias)
		JZ(LabelRef("store" + suffix))
		for j := range t.vectors {
			load(Mem{Base: bias, Disp: t.isa.bytes() * j}, j, x)
			for i := range t.acc {
				VADDPS(x, t.acc[i][j], t.acc[i][j])
			}
		}
		clamp(t.acc, x)
		Label("store" + suffix)
	}
	each(func(i, j int, m Mem) { store(t.acc[i][j], j, m) })
	VZEROUPPER()
	RET()
}

// clamp bounds the registers by the parameters lo and hi; x is free. The instructions give back their second source
// where one is not a number, so that a NaN stays.
func clamp(acc [][]reg.VecVirtual, x reg.VecVirtual) {
	VBROADCASTSS(address("lo"), x)
	for _, row := range acc {
		for _, a := range row {
			VMAXPS(a, x, a)
		}
	}
	VBROADCASTSS(address("hi"), x)
	for _, row := range acc {
		for _, a := range row {
			VMINPS(a, x, a)
		}
	}
}

// gemm multiplies rows of A, each made of taps runs, by a packed panel.
func gemm(v *isa, rows, vectors int) {
	width := vectors * v.lanes
	name := fmt.Sprintf("gemm%dx%d%s", rows, width, v.name)
	TEXT(name, NOSPLIT, "func(a, b, c, bias, next *float32, lda, tap, taps, run, ldc int, mask uint32, accumulate bool, lo, hi float32)")
	Pragma("noescape")
	doc(fmt.Sprintf("%s computes a tile of %d rows and %d columns; next is memory to prefetch.", name, rows, width), fmt.Sprintf(`
	for i := range %d {
		for j := range %d {
			var s float32
			for t := range taps {
				for k := range run {
					s = fma(a[i*lda+t*tap+k], b[(t*run+k)*%d+j], s)
				}
			}
			if accumulate {
				s += c[i*ldc+j]
			}
			if bias != nil {
				s = min(max(s+bias[j], lo), hi)
			}
			if mask>>j&1 == 1 {
				c[i*ldc+j] = s
			}
		}
	}`, rows, width, width))
	t := newTile(v, rows, vectors)
	t.fused = true
	a := pointer("a")
	b := pointer("b")
	next := pointer("next")
	lda := elements("lda")
	tap := elements("tap")
	taps := pointer("taps")
	ar := newRowAddresses(rows, lda)
	bv := v.vectors(vectors)
	broadcast := t.broadcasts()
	step := func(u int) {
		for j := range bv {
			VMOVUPS(Mem{Base: b, Disp: 4*width*u + v.bytes()*j}, bv[j])
		}
		t.multiply(bv, broadcast, func(i int) Mem { return ar.row(i, 4*u) })
	}
	TESTQ(taps, taps)
	JZ(LabelRef("done"))
	k := GP64()
	Label("tap")
	ar.start(a)
	Load(Param("run"), k)
	SUBQ(Imm(4), k)
	JL(LabelRef("tail"))
	Label("four")
	PREFETCHT1(Mem{Base: next})
	ADDQ(Imm(64), next)
	for u := range 4 {
		step(u)
	}
	ar.advance(Imm(16))
	ADDQ(U32(4*4*width), b)
	SUBQ(Imm(4), k)
	JGE(LabelRef("four"))
	Label("tail")
	ADDQ(Imm(4), k)
	JZ(LabelRef("tapDone"))
	Label("one")
	step(0)
	ar.advance(Imm(4))
	ADDQ(U32(4*width), b)
	DECQ(k)
	JNZ(LabelRef("one"))
	Label("tapDone")
	ADDQ(tap, a)
	DECQ(taps)
	JNZ(LabelRef("tap"))
	Label("done")
	t.finish()
}

// outer sums outer products of a few elements of A and a panel's width of B over pixels.
func outer(v *isa, rows, vectors int) {
	width := vectors * v.lanes
	name := fmt.Sprintf("outer%dx%d%s", rows, width, v.name)
	TEXT(name, NOSPLIT, "func(a, b, c *float32, lda, ldb, pixels, rowA, rowB, rows, imageA, imageB, images, ldc int, mask uint32, accumulate bool)")
	Pragma("noescape")
	doc(fmt.Sprintf("%s sums a tile of %d rows and %d columns over pixels.", name, rows, width), fmt.Sprintf(`
	for i := range %d {
		for j := range %d {
			var s float32
			for n := range images {
				for p := range rows {
					for q := range pixels {
						s = fma(a[n*imageA+p*rowA+q*lda+i], b[n*imageB+p*rowB+q*ldb+j], s)
					}
				}
			}
			if accumulate {
				s += c[i*ldc+j]
			}
			if mask>>j&1 == 1 {
				c[i*ldc+j] = s
			}
		}
	}`, rows, width))
	t := newTile(v, rows, vectors)
	imageA, imageB := pointer("a"), pointer("b")
	lda, ldb := elements("lda"), elements("ldb")
	rowA, rowB := GP64(), GP64()
	a, b := GP64(), GP64()
	images, nrows, k := GP64(), GP64(), GP64()
	bv := v.vectors(vectors)
	broadcast := t.broadcasts()
	step := func() {
		for j := range bv {
			VMOVUPS(Mem{Base: b, Disp: v.bytes() * j}, bv[j])
		}
		t.multiply(bv, broadcast, func(i int) Mem { return Mem{Base: a, Disp: 4 * i} })
		ADDQ(lda, a)
		ADDQ(ldb, b)
	}
	skipIfZero := func(name string) {
		CMPQ(address(name), Imm(0))
		JEQ(LabelRef("done"))
	}
	skipIfZero("pixels")
	skipIfZero("rows")
	skipIfZero("images")
	Load(Param("images"), images)
	Label("image")
	MOVQ(imageA, rowA)
	MOVQ(imageB, rowB)
	Load(Param("rows"), nrows)
	Label("row")
	MOVQ(rowA, a)
	MOVQ(rowB, b)
	Load(Param("pixels"), k)
	SUBQ(Imm(4), k)
	JL(LabelRef("tail"))
	Label("four")
	for range 4 {
		step()
	}
	SUBQ(Imm(4), k)
	JGE(LabelRef("four"))
	Label("tail")
	ADDQ(Imm(4), k)
	JZ(LabelRef("rowDone"))
	Label("one")
	step()
	DECQ(k)
	JNZ(LabelRef("one"))
	Label("rowDone")
	ADDQ(elements("rowA"), rowA)
	ADDQ(elements("rowB"), rowB)
	DECQ(nrows)
	JNZ(LabelRef("row"))
	ADDQ(elements("imageA"), imageA)
	ADDQ(elements("imageB"), imageB)
	DECQ(images)
	JNZ(LabelRef("image"))
	Label("done")
	t.finish()
}
