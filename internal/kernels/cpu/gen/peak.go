package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// peakAccumulators are as many independent sums as hide the latency of a multiply-add on two units: 4 or 5 cycles.
const peakAccumulators = 12

// peak writes a loop of nothing but multiply-adds in registers.
func peak(v *isa) {
	begin(v, "peak", "does the arithmetic of its loop on zeros, in registers.", fmt.Sprintf(`
	for range n {
		for i := range %d {
			acc[i] = fma(x, y, acc[i]) // in every lane
		}
	}`, peakAccumulators), "n int")
	n := pointer("n")
	acc := v.vectors(peakAccumulators)
	x, y := v.vector(), v.vector()
	for _, a := range append(acc, x, y) {
		v.zero(a)
	}
	Label("loop")
	SUBQ(Imm(1), n)
	JLT(LabelRef("done"))
	for _, a := range acc {
		VFMADD231PS(x, y, a)
	}
	JMP(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}
