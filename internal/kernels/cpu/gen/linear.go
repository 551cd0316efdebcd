package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dot computes the inner products of rows rows of x with cols (1 or 4) rows of w.
func dot(v *isa, rows, cols int) {
	name := fmt.Sprintf("dot%dx%d%s", rows, cols, v.name)
	TEXT(name, NOSPLIT, "func(x, w, y *float32, ldx, ldw, ldy, n int, accumulate bool)")
	Pragma("noescape")
	doc(fmt.Sprintf("%s computes the inner products of %d rows with %d rows.", name, rows, cols), fmt.Sprintf(`
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
	x, w := pointer("x"), pointer("w")
	xr := newRowAddresses(rows, elements("ldx"))
	wr := newRowAddresses(cols, elements("ldw"))
	xr.start(x)
	wr.start(w)
	n := pointer("n")
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
	for i := range acc {
		four := make([]reg.VecVirtual, 4)
		for j := range four {
			if j < cols {
				four[j] = fold(v, acc[i][j])
			} else {
				four[j] = four[0]
			}
		}
		// Transpose while folding: sums of the four rows of w come out side by side.
		foldPair := func(a, b reg.VecVirtual) reg.VecVirtual {
			l, h := XMM(), XMM()
			VUNPCKLPS(b, a, l)
			VUNPCKHPS(b, a, h)
			VADDPS(h, l, l)
			return l
		}
		ab := foldPair(four[0], four[1])
		cd := ab
		if cols == 4 {
			cd = foldPair(four[2], four[3])
		}
		sum, h := XMM(), XMM()
		VUNPCKLPD(cd, ab, sum)
		VUNPCKHPD(cd, ab, h)
		VADDPS(h, sum, sum)
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

// fold adds the halves of a vector until four elements are left, in the lower part of x.
func fold(v *isa, x reg.VecVirtual) reg.VecVirtual {
	if v == avx512 {
		half := YMM()
		VEXTRACTF64X4(Imm(1), x, half)
		VADDPS(half, x.AsY(), x.AsY())
	}
	quarter := XMM()
	if v == avx512 {
		VEXTRACTF32X4(Imm(1), x.AsY(), quarter) // reaches all registers
	} else {
		VEXTRACTF128(Imm(1), x.AsY(), quarter)
	}
	VADDPS(quarter, x.AsX(), x.AsX())
	low := XMM()
	VMOVAPS(x.AsX(), low)
	return low
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
