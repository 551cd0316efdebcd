package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	philoxRounds = 10
	// Multipliers of package philox.
	philoxM0, philoxM1 = 0xd2511f53, 0xcd9e8d57

	greaterOrEqual = 0x05 // predicate of VPCMPUD
)

// dropout writes the kernel of dropout. Blocks of Philox are computed side by side, one in each 64 bits of a vector: a
// word is the lower half of its lane, and what the upper half holds is never looked at, since VPMULUDQ does not.
func dropout(v *isa) {
	begin(v, "dropout", "scales the elements whose words are at least threshold, and clears the others.", `
	for i := range n {
		y[i] = 0
		if philox.Rounds(keys, [4]uint32{block + i/4, ctr[0], ctr[1], ctr[2]})[i%4] >= threshold {
			y[i] = x[i] * factor
		}
	}`, "x, y *float32, n int, keys *[10][2]uint32, ctr *[3]uint32, block, threshold uint32, factor float32")
	blocks := v.lanes / 2
	// Lanes of a register alternate between the first and the second half of the blocks, so that unpacking the even lanes
	// gives the words of the first half in order, and the odd ones those of the second.
	order := table("blocks"+v.name, func(i int) uint32 {
		if lane := i / 2 % blocks; i%2 == 0 {
			return uint32(lane%2*blocks/2 + lane/2)
		}
		return 0
	})
	step := table("step"+v.name, func(i int) uint32 { return uint32(blocks * (1 - i%2)) })
	x, y, n, keys, ctr := pointer("x"), pointer("y"), pointer("n"), pointer("keys"), pointer("ctr")
	words := func(m Mem) reg.VecVirtual {
		w := v.vector()
		VPBROADCASTD(m, w)
		return w
	}
	scalar := func(value uint32) reg.VecVirtual {
		r, low, w := GP32(), XMM(), v.vector()
		MOVL(U32(value), r)
		VMOVD(r, low)
		VPBROADCASTD(low, w)
		return w
	}
	var constant [4]reg.VecVirtual // the counters: the first changes from one group of blocks to the next
	constant[0] = v.broadcast("block")
	VPADDQ(order(), constant[0], constant[0])
	for i := 1; i < 4; i++ {
		constant[i] = words(Mem{Base: ctr, Disp: 4 * (i - 1)})
	}
	m0, m1 := scalar(philoxM0), scalar(philoxM1)
	threshold, factor := v.broadcast("threshold"), v.broadcast("factor")

	body := func(masks [2]*masked) {
		c := constant
		for round := range philoxRounds {
			p, h := v.vectors(2), v.vectors(2)
			VPMULUDQ(c[0], m0, p[0])
			VPMULUDQ(c[2], m1, p[1])
			for i := range h {
				VPSRLQ(Imm(32), p[1-i], h[i])
				key := Mem{Base: keys, Disp: 8*round + 4*i}
				if v == avx512 {
					VPTERNLOGD_BCST(Imm(0x96), key, c[2*i+1], h[i]) // the sum of three
				} else {
					VPXOR(c[2*i+1], h[i], h[i])
					VPXOR(words(key), h[i], h[i])
				}
			}
			c = [4]reg.VecVirtual{h[0], p[1], h[1], p[0]}
		}
		VPADDQ(step(), constant[0], constant[0])
		for i := 0; i < 4; i += 2 { // words 0 and 1 of each block, then 2 and 3
			VPSLLQ(Imm(32), c[i+1], c[i+1])
			if v == avx512 {
				odd := K()
				bits := GP32()
				MOVL(U32(0xaaaa), bits)
				KMOVW(bits, odd)
				VPBLENDMD(c[i+1], c[i], odd, c[i])
			} else {
				VPBLENDD(Imm(0xaa), c[i+1], c[i], c[i])
			}
		}
		w := v.vectors(2)
		VPUNPCKLQDQ(c[2], c[0], w[0])
		VPUNPCKHQDQ(c[2], c[0], w[1])
		for i, m := range masks {
			e := load(m, Mem{Base: x, Disp: i * v.bytes()})
			if v == avx512 {
				kept := K()
				VPCMPUD(Imm(greaterOrEqual), threshold, w[i], kept)
				VMULPS_Z(factor, e, kept, e)
			} else {
				kept := v.vector()
				VPMAXUD(threshold, w[i], kept)
				VPCMPEQD(w[i], kept, kept)
				VMULPS(factor, e, e)
				VANDPS(kept, e, e)
			}
			m.store(e, Mem{Base: y, Disp: i * v.bytes()})
		}
	}

	Label("group")
	CMPQ(n, Imm(uint64(2*v.lanes)))
	JL(LabelRef("tail"))
	whole := &masked{isa: v}
	body([2]*masked{whole, whole})
	ADDQ(Imm(uint64(2*v.bytes())), x)
	ADDQ(Imm(uint64(2*v.bytes())), y)
	SUBQ(Imm(uint64(2*v.lanes)), n)
	JMP(LabelRef("group"))
	Label("tail")
	TESTQ(n, n)
	JE(LabelRef("done"))
	second, none := GP64(), GP64()
	XORQ(none, none)
	MOVQ(n, second)
	SUBQ(Imm(uint64(v.lanes)), second)
	CMOVQLT(none, second)
	body([2]*masked{firstLanes(v, n), firstLanes(v, second)})
	Label("done")
	end()
}
