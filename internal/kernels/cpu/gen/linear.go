package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dot computes the inner products of rows rows of x with cols (1 or 4) rows of w, and fetches as many other rows of w
// meanwhile.
func dot(v *isa, rows, cols int) {
	name := fmt.Sprintf("dot%dx%d%s", rows, cols, v.name)
	TEXT(name, NOSPLIT, "func(x, w, y, next *float32, ldx, ldw, ldy, n, pace int, accumulate bool)")
	Pragma("noescape")
	doc(fmt.Sprintf("%s computes the inner products of %d rows with %d rows; next are rows to prefetch.", name, rows, cols),
		fmt.Sprintf(`
	for i := range %d {
		for j := range %d {
			var s [%d]float32
			for k := range n {
				l := k %% %d
				s[l] = fma(x[i*ldx+k], w[j*ldw+k], s[l])
			}
			for m := %d; m > 0; m /= 2 { // fold the upper half onto the lower
				for l := range m {
					s[l] += s[l+m]
				}
			}
			t := s[0]
			if accumulate {
				t += y[i*ldy+j]
			}
			y[i*ldy+j] = t
		}
	}`, rows, cols, v.lanes, v.lanes, v.lanes/2))
	acc := make([][]reg.VecVirtual, rows)
	for i := range acc {
		acc[i] = v.vectors(cols)
		for _, a := range acc[i] {
			v.zero(a)
		}
	}
	x, w, next := pointer("x"), pointer("w"), pointer("next")
	xr := newRowAddresses(rows, elements("ldx"))
	wr := newRowAddresses(cols, elements("ldw"))
	ahead := wr.beside(next)
	xr.start(x)
	wr.start(w)
	n, pace := pointer("n"), pointer("pace")
	step := func(load func(m Mem, r reg.VecVirtual)) {
		xv, wv := v.vectors(rows), v.vector()
		for i := range xv {
			load(xr.row(i, 0), xv[i])
		}
		for j := range cols {
			load(wr.row(j, 0), wv)
			for i := range rows {
				VFMADD231PS(wv, xv[i], acc[i][j])
			}
		}
	}
	SUBQ(Imm(uint64(v.lanes)), n)
	JL(LabelRef("tail"))
	Label("whole")
	if rows > 2 && cols > 1 { // others read w so fast that the processor itself fetches ahead
		for j := range cols {
			PREFETCHT0(ahead.row(j, 0))
		}
		ahead.advance(pace)
	}
	step(func(m Mem, r reg.VecVirtual) { VMOVUPS(m, r) })
	xr.advance(Imm(uint64(v.bytes())))
	wr.advance(Imm(uint64(v.bytes())))
	SUBQ(Imm(uint64(v.lanes)), n)
	JGE(LabelRef("whole"))
	Label("tail")
	ADDQ(Imm(uint64(v.lanes)), n)
	JZ(LabelRef("sum"))
	if v == avx512 {
		k := lowLanes(n)
		step(func(m Mem, r reg.VecVirtual) { VMOVUPS_Z(m, k, r) })
	} else {
		// All registers are taken, so a load's own register holds its mask.
		limit := AllocLocal(8)
		MOVL(n.As32(), limit)
		step(func(m Mem, r reg.VecVirtual) {
			VPBROADCASTD(limit, r)
			VPCMPGTD(lanes32(), r, r)
			VMASKMOVPS(m, r, r)
		})
	}
	Label("sum")
	y, ldy := pointer("y"), elements("ldy")
	for i, sum := range v.foldTile(acc) {
		CMPB(address("accumulate"), Imm(0))
		done := fmt.Sprintf("store%d", i)
		JEQ(LabelRef(done))
		if cols == 4 {
			VADDPS(Mem{Base: y}, sum, sum)
		} else {
			VADDSS(Mem{Base: y}, sum, sum)
		}
		Label(done)
		if cols == 4 {
			VMOVUPS(sum, Mem{Base: y})
		} else {
			VMOVSS(sum, Mem{Base: y})
		}
		if i < rows-1 {
			ADDQ(ldy, y)
		}
	}
	VZEROUPPER()
	RET()
}

// foldTile folds each vector of a tile of up to 4 rows and 1 or 4 columns to one element: sum i holds those of row i, in
// its lowest lanes. Vectors are folded side by side, as in transposing, so that no addition has idle lanes.
func (v *isa) foldTile(acc [][]reg.VecVirtual) []reg.Register {
	rows, cols := len(acc), len(acc[0])
	at := func(i, j int) reg.VecVirtual { return acc[min(i, rows-1)][j] }
	sums := make([]reg.Register, rows)
	if v == avx512 {
		// Row i takes quarter i.
		four := make([]reg.VecVirtual, cols)
		for j := range four {
			a := v.shuffleAdd(at(0, j), at(1, j), 0x44, 0xee)
			b := a
			if rows > 2 {
				b = v.shuffleAdd(at(2, j), at(3, j), 0x44, 0xee)
			}
			four[j] = v.shuffleAdd(a, b, 0x88, 0xdd)
		}
		all := v.foldQuarters(four)
		for i := range sums {
			sums[i] = all.AsX()
			if i > 0 {
				sums[i] = XMM()
				VEXTRACTF32X4(Imm(uint64(i)), all, sums[i])
			}
		}
		return sums
	}
	for i := 0; i < rows; i += 2 {
		// Rows i and i+1 take a half each.
		two := make([]reg.VecVirtual, cols)
		for j := range two {
			two[j] = v.shuffleAdd(at(i, j), at(i+1, j), 0x20, 0x31)
		}
		both := v.foldQuarters(two)
		sums[i] = both.AsX()
		if i+1 < rows {
			sums[i+1] = XMM()
			VEXTRACTF128(Imm(1), both, sums[i+1])
		}
	}
	return sums
}

// shuffleAdd adds what two choices of 128-bit lanes of a and b make.
func (v *isa) shuffleAdd(a, b reg.VecVirtual, low, high uint64) reg.VecVirtual {
	l, h := v.vector(), v.vector()
	if v == avx512 {
		VSHUFF32X4(Imm(low), b, a, l)
		VSHUFF32X4(Imm(high), b, a, h)
	} else {
		VPERM2F128(Imm(low), b, a, l)
		VPERM2F128(Imm(high), b, a, h)
	}
	VADDPS(h, l, l)
	return l
}

// foldQuarters folds each 128-bit lane of 1 or 4 vectors to one element; those of the vectors come out side by side.
func (v *isa) foldQuarters(x []reg.VecVirtual) reg.VecVirtual {
	pair := func(a, b reg.VecVirtual) reg.VecVirtual {
		l, h := v.vector(), v.vector()
		VUNPCKLPS(b, a, l)
		VUNPCKHPS(b, a, h)
		VADDPS(h, l, l)
		return l
	}
	ab := pair(x[0], x[len(x)/4])
	cd := ab
	if len(x) == 4 {
		cd = pair(x[2], x[3])
	}
	l, h := v.vector(), v.vector()
	VUNPCKLPD(cd, ab, l)
	VUNPCKHPD(cd, ab, h)
	VADDPS(h, l, l)
	return l
}

// combine multiplies rows of A by a panel of B whose rows lie apart, and fetches the panel beside it meanwhile.
func combine(v *isa, rows, vectors int) {
	width := vectors * v.lanes
	name := fmt.Sprintf("combine%dx%d%s", rows, width, v.name)
	TEXT(name, NOSPLIT, "func(a, b, c, next *float32, lda, ldb, ldc, n int, mask uint32, accumulate bool)")
	Pragma("noescape")
	doc(fmt.Sprintf("%s computes a tile of %d rows and %d columns; next are rows to prefetch.", name, rows, width),
		fmt.Sprintf(`
	for i := range %d {
		for j := range %d {
			var s float32
			for k := range n {
				s = fma(a[i*lda+k], b[k*ldb+j], s)
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
	a, b, next := pointer("a"), pointer("b"), pointer("next")
	ar := newRowAddresses(rows, elements("lda"))
	ar.start(a)
	ldb := elements("ldb")
	n := pointer("n")
	bv := v.vectors(vectors)
	broadcast := t.broadcasts()
	step := func(u int) {
		for line := 0; line < 4*width; line += 64 {
			PREFETCHT0(Mem{Base: next, Disp: line})
		}
		for j := range bv {
			VMOVUPS(Mem{Base: b, Disp: v.bytes() * j}, bv[j])
		}
		t.multiply(bv, broadcast, func(i int) Mem { return ar.row(i, 4*u) })
		ADDQ(ldb, b)
		ADDQ(ldb, next)
	}
	SUBQ(Imm(4), n)
	JL(LabelRef("tail"))
	Label("four")
	for u := range 4 {
		step(u)
	}
	ar.advance(Imm(16))
	SUBQ(Imm(4), n)
	JGE(LabelRef("four"))
	Label("tail")
	ADDQ(Imm(4), n)
	JZ(LabelRef("done"))
	Label("one")
	step(0)
	ar.advance(Imm(4))
	DECQ(n)
	JNZ(LabelRef("one"))
	Label("done")
	t.finish()
}

// lowLanes is the AVX-512 mask of the n lowest lanes.
func lowLanes(n reg.GPVirtual) reg.OpmaskVirtual {
	m := GP32()
	MOVL(U32(1<<16-1), m)
	BZHIL(n.As32(), m, m)
	k := K()
	KMOVW(m, k)
	return k
}
