package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// resize writes the two passes of package data's resize, for AVX2.
func resize() {
	filterRows()
	filterColumns()
}

// filterRows writes the horizontal pass over four rows of RGB at once.
func filterRows() {
	begin(avx2, "filterRows", "filters four rows sideways to n pixels. It reads one byte past the last pixel of each.", `
	for y := range 4 {
		for x := range n {
			for c := range 3 {
				sum := int32(1 << 21)
				for j := range count[x] {
					sum += coeff[x*size+j] * in[y*inStride+3*(first[x]+j)+c]
				}
				out[y*outStride+3*x+c] = clip8(sum >> 22)
			}
		}
	}`, "out, in *uint8, outStride, inStride int, first, count, coeff *int32, size, n int")
	out, in, outStride, inStride := pointer("out"), pointer("in"), pointer("outStride"), pointer("inStride")
	first, count, coeff, size, n := pointer("first"), pointer("count"), pointer("coeff"), elements("size"), pointer("n")
	inRows, outRow := newRowAddresses(4, inStride), GP64()
	half := XMM()
	VMOVDQU(pattern("half22", 4, I32(1<<21))(), half)
	acc := []reg.VecVirtual{XMM(), XMM(), XMM(), XMM()}
	at, taps, tap := GP64(), GP64(), GP64()

	Label("pixel")
	MOVLQSX(Mem{Base: first}, at)
	LEAQ(Mem{Base: at, Index: at, Scale: 2}, at)
	ADDQ(in, at)
	inRows.start(at)
	MOVLQSX(Mem{Base: count}, taps)
	for _, a := range acc {
		VMOVDQA(half, a)
	}
	XORQ(tap, tap)
	Label("tap")
	k := XMM()
	VPBROADCASTD(Mem{Base: coeff, Index: tap, Scale: 4}, k)
	for y, a := range acc {
		t := XMM()
		VPMOVZXBD(inRows.row(y, 0), t)
		VPMULLD(k, t, t)
		VPADDD(t, a, a)
	}
	inRows.advance(Imm(3))
	INCQ(tap)
	CMPQ(tap, taps)
	JL(LabelRef("tap"))
	for _, a := range acc {
		VPSRAD(Imm(22), a, a)
	}
	VPACKUSDW(acc[1], acc[0], acc[0])
	VPACKUSDW(acc[3], acc[2], acc[2])
	VPACKUSWB(acc[2], acc[0], acc[0])
	MOVQ(out, outRow)
	for y := range 4 {
		if y > 0 {
			ADDQ(outStride, outRow)
		}
		VPEXTRW(Imm(uint64(2*y)), acc[0], Mem{Base: outRow})
		VPEXTRB(Imm(uint64(4*y+2)), acc[0], Mem{Base: outRow, Disp: 2})
	}
	ADDQ(Imm(3), out)
	ADDQ(Imm(4), first)
	ADDQ(Imm(4), count)
	ADDQ(size, coeff)
	DECQ(n)
	JNE(LabelRef("pixel"))
	end()
}

// filterColumns writes the vertical pass to one row.
func filterColumns() {
	begin(avx2, "filterColumns", "filters rows downwards to n bytes, a multiple of 32.", `
	for i := range n {
		sum := int32(1 << 21)
		for j := range count {
			sum += coeff[j] * in[j*stride+i]
		}
		out[i] = clip8(sum >> 22)
	}`, "out, in *uint8, stride int, coeff *int32, count, n int")
	out, in, stride, coeff, count, n := pointer("out"), pointer("in"), pointer("stride"), pointer("coeff"), pointer("count"), pointer("n")
	half, order := YMM(), YMM()
	VMOVDQU(pattern("half22w", 8, I32(1<<21))(), half)
	VMOVDQU(pattern("packed", 8, I32(0), I32(4), I32(1), I32(5), I32(2), I32(6), I32(3), I32(7))(), order)
	acc := avx2.vectors(4)
	at, tap := GP64(), GP64()
	Label("bytes")
	for _, a := range acc {
		VMOVDQA(half, a)
	}
	MOVQ(in, at)
	XORQ(tap, tap)
	Label("tap")
	k := YMM()
	VPBROADCASTD(Mem{Base: coeff, Index: tap, Scale: 4}, k)
	for i, a := range acc {
		t := YMM()
		VPMOVZXBD(Mem{Base: at, Disp: 8 * i}, t)
		VPMULLD(k, t, t)
		VPADDD(t, a, a)
	}
	ADDQ(stride, at)
	INCQ(tap)
	CMPQ(tap, count)
	JL(LabelRef("tap"))
	for _, a := range acc {
		VPSRAD(Imm(22), a, a)
	}
	// Packing works in each lane for itself: the eighths come out as 0 2 4 6 1 3 5 7.
	VPACKUSDW(acc[1], acc[0], acc[0])
	VPACKUSDW(acc[3], acc[2], acc[2])
	VPACKUSWB(acc[2], acc[0], acc[0])
	VPERMD(acc[0], order, acc[0])
	VMOVDQU(acc[0], Mem{Base: out})
	ADDQ(Imm(32), in)
	ADDQ(Imm(32), out)
	SUBQ(Imm(32), n)
	JG(LabelRef("bytes"))
	end()
}
