package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func transposeDoc(name string, n int) {
	TEXT(name, NOSPLIT, "func(src, dst *float32, lds, ldd int)")
	Pragma("noescape")
	doc(fmt.Sprintf("%s transposes a square of %d elements a side.", name, n), fmt.Sprintf(`
	for i := range %d {
		for j := range %d {
			dst[j*ldd+i] = src[i*lds+j]
		}
	}`, n, n))
}

func loadRows(v *isa, n int) []reg.VecVirtual {
	src, lds := pointer("src"), elements("lds")
	x := v.vectors(n)
	for i := range x {
		VMOVUPS(Mem{Base: src}, x[i])
		if i < n-1 {
			ADDQ(lds, src)
		}
	}
	return x
}

func storeRows(x []reg.VecVirtual) {
	dst, ldd := pointer("dst"), elements("ldd")
	for i := range x {
		VMOVUPS(x[i], Mem{Base: dst})
		if i < len(x)-1 {
			ADDQ(ldd, dst)
		}
	}
	VZEROUPPER()
	RET()
}

// quads transposes the 4×4 blocks that four consecutive rows hold in each 128-bit lane.
func quads(v *isa, x []reg.VecVirtual) []reg.VecVirtual {
	u := v.vectors(len(x))
	for i := 0; i < len(x); i += 4 {
		t := v.vectors(4)
		VUNPCKLPS(x[i+1], x[i], t[0])
		VUNPCKHPS(x[i+1], x[i], t[1])
		VUNPCKLPS(x[i+3], x[i+2], t[2])
		VUNPCKHPS(x[i+3], x[i+2], t[3])
		VUNPCKLPD(t[2], t[0], u[i])
		VUNPCKHPD(t[2], t[0], u[i+1])
		VUNPCKLPD(t[3], t[1], u[i+2])
		VUNPCKHPD(t[3], t[1], u[i+3])
	}
	return u
}

func transpose16() {
	transposeDoc("transpose16AVX512", 16)
	// Lane l of u[4·g+j] holds column 4·l+j of rows 4·g to 4·g+3.
	u := quads(avx512, loadRows(avx512, 16))
	out := make([]reg.VecVirtual, 16)
	for j := range 4 {
		t := avx512.vectors(4)
		VSHUFF32X4(Imm(0x88), u[4+j], u[j], t[0])
		VSHUFF32X4(Imm(0xdd), u[4+j], u[j], t[1])
		VSHUFF32X4(Imm(0x88), u[12+j], u[8+j], t[2])
		VSHUFF32X4(Imm(0xdd), u[12+j], u[8+j], t[3])
		for l := range 4 {
			out[4*l+j] = ZMM()
		}
		VSHUFF32X4(Imm(0x88), t[2], t[0], out[j])
		VSHUFF32X4(Imm(0x88), t[3], t[1], out[4+j])
		VSHUFF32X4(Imm(0xdd), t[2], t[0], out[8+j])
		VSHUFF32X4(Imm(0xdd), t[3], t[1], out[12+j])
	}
	storeRows(out)
}

func transpose8() {
	transposeDoc("transpose8AVX2", 8)
	u := quads(avx2, loadRows(avx2, 8))
	out := avx2.vectors(8)
	for j := range 4 {
		VPERM2F128(Imm(0x20), u[4+j], u[j], out[j])
		VPERM2F128(Imm(0x31), u[4+j], u[j], out[4+j])
	}
	storeRows(out)
}
