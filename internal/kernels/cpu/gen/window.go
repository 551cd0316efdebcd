package main

import (
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// windows writes the kernels of pooling: one window of r rows and s columns of pixels, which stand row and column apart,
// for n channels.
func windows(v *isa) {
	window(v, "maxWindow", "takes the maximum over a window; a NaN wins.", `
	for j := range n {
		y[j] = x[j]
		for h := range r {
			for w := range s {
				y[j] = max(y[j], x[h*row+w*column+j])
			}
		}
	}`, []string{"x"}, []string{"y"}, "", func(e *elementwise, taps func(func(tap Mem))) {
		// VMAXPS alone would lose a NaN to the next number. NaNs are noted beside the maximum, which keeps the chain of
		// dependent instructions short, and all ones, a NaN, overwrite it in the end.
		best := e.load("x")
		var any reg.OpmaskVirtual
		var nan reg.VecVirtual
		if v == avx512 {
			any = K()
			KXORW(any, any, any)
		} else {
			nan = v.vector()
			v.zero(nan)
		}
		taps(func(tap Mem) {
			x := load(e.mask, tap)
			if v == avx512 {
				k := K()
				VCMPPS(Imm(unordered), x, x, k)
				KORW(k, any, any)
			} else {
				t := v.vector()
				VCMPPS(Imm(unordered), x, x, t)
				VORPS(t, nan, nan)
			}
			VMAXPS(x, best, best)
		})
		if v == avx512 {
			VPTERNLOGD(Imm(0xff), best, best, any, best)
		} else {
			VORPS(nan, best, best)
		}
		e.store(best, "y")
	})

	window(v, "maxWindowBackward", "adds dy where the window first equals y; NaN equals NaN.", `
	for j := range n {
	search:
		for h := range r {
			for w := range s {
				i := h*row + w*column + j
				if x[i] == y[j] || isNaN(x[i]) && isNaN(y[j]) {
					dx[i] += dy[j]
					break search
				}
			}
		}
	}`, []string{"x", "dx"}, []string{"y", "dy"}, "", func(e *elementwise, taps func(func(tap Mem))) {
		y, dy := e.load("y"), e.load("dy")
		// wanted lanes have not found their element; those of nan look for a NaN.
		if v == avx512 {
			wanted, nan := K(), K()
			if e.mask.on {
				KMOVW(e.mask.k, wanted)
			} else {
				KXNORW(wanted, wanted, wanted)
			}
			VCMPPS(Imm(unordered), y, y, wanted, nan)
			taps(func(tap Mem) {
				x := load(e.mask, tap)
				found, foundNaN := K(), K()
				VCMPPS(Imm(equal), y, x, wanted, found)
				VCMPPS(Imm(unordered), x, x, nan, foundNaN)
				KORW(foundNaN, found, found)
				KANDNW(wanted, found, wanted)
				KANDNW(nan, found, nan)
				dxMem := tap
				dxMem.Base = e.base["dx pixel"]
				dx := load(e.mask, dxMem)
				VADDPS(dy, dx, dx)
				VMOVUPS(dx, found, dxMem)
			})
			return
		}
		wanted, nan := v.vector(), v.vector()
		VPCMPEQD(wanted, wanted, wanted)
		VCMPPS(Imm(unordered), y, y, nan)
		taps(func(tap Mem) {
			x := load(e.mask, tap)
			found, foundNaN := v.vector(), v.vector()
			VCMPPS(Imm(equal), y, x, found)
			VCMPPS(Imm(unordered), x, x, foundNaN)
			VANDPS(nan, foundNaN, foundNaN)
			VORPS(foundNaN, found, found)
			VANDPS(wanted, found, found)
			VANDNPS(wanted, found, wanted)
			VANDPS(dy, found, found)
			dxMem := tap
			dxMem.Base = e.base["dx pixel"]
			dx := load(e.mask, dxMem)
			VADDPS(found, dx, dx)
			e.mask.store(dx, dxMem)
		})
	})

	window(v, "sumWindow", "sums a window and multiplies by a factor.", `
	for j := range n {
		var t float32
		for h := range r {
			for w := range s {
				t += x[h*row+w*column+j]
			}
		}
		y[j] = f * t
	}`, []string{"x"}, []string{"y"}, ", f float32", func(e *elementwise, taps func(func(tap Mem))) {
		sum := v.vector()
		v.zero(sum)
		taps(func(tap Mem) {
			VADDPS(load(e.mask, tap), sum, sum)
		})
		f := v.broadcast("f")
		VMULPS(f, sum, sum)
		e.store(sum, "y")
	})

	window(v, "spreadWindow", "adds a multiple of dy to each pixel of a window.", `
	for j := range n {
		for h := range r {
			for w := range s {
				dx[h*row+w*column+j] += f * dy[j]
			}
		}
	}`, []string{"dx"}, []string{"dy"}, ", f float32", func(e *elementwise, taps func(func(tap Mem))) {
		dy := e.load("dy")
		f := v.broadcast("f")
		VMULPS(f, dy, dy)
		taps(func(tap Mem) {
			x := load(e.mask, tap)
			VADDPS(dy, x, x)
			e.mask.store(x, tap)
		})
	})
}

// window writes a kernel over one window. body does one vector of channels; taps calls its argument for the code of one
// pixel, given the address in the first of the pictures; the second has its own register, "dx pixel".
func window(v *isa, name, what, loop string, pictures, pixels []string, more string,
	body func(e *elementwise, taps func(func(tap Mem)))) {
	all := append(append([]string{}, pictures...), pixels...)
	begin(v, name, what, loop, strings.Join(all, ", ")+" *float32, r, s, row, column, n int"+more)
	e := &elementwise{v: v, mask: &masked{isa: v}, base: map[string]reg.GPVirtual{}}
	for _, a := range all {
		e.base[a] = pointer(a)
	}
	rowBytes, columnBytes := elements("row"), elements("column")
	n, rest := pointer("n"), GP64()
	MOVQ(n, rest)
	ANDQ(Imm(uint64(v.lanes-1)), rest)
	tail := firstLanes(v, rest)
	whole := n
	SHLQ(Imm(2), whole)
	ANDQ(I32(-v.bytes()), whole)
	e.index = GP64()
	XORQ(e.index, e.index)

	part := ""
	taps := func(one func(tap Mem)) {
		var line, pixel []reg.GPVirtual
		for _, p := range pictures {
			l, x := GP64(), GP64()
			MOVQ(e.base[p], l)
			line, pixel = append(line, l), append(pixel, x)
		}
		if len(pictures) > 1 {
			e.base["dx pixel"] = pixel[1]
		}
		h, w := pointer("r"), GP64()
		Label("line" + part)
		for i := range line {
			MOVQ(line[i], pixel[i])
		}
		Load(Param("s"), w)
		Label("pixel" + part)
		one(Mem{Base: pixel[0], Index: e.index, Scale: 1})
		for i := range pixel {
			ADDQ(columnBytes, pixel[i])
		}
		DECQ(w)
		JNE(LabelRef("pixel" + part))
		for i := range line {
			ADDQ(rowBytes, line[i])
		}
		DECQ(h)
		JNE(LabelRef("line" + part))
	}

	CMPQ(whole, Imm(0))
	JE(LabelRef("tail"))
	Label("vector")
	body(e, taps)
	ADDQ(Imm(uint64(v.bytes())), e.index)
	CMPQ(e.index, whole)
	JL(LabelRef("vector"))
	Label("tail")
	TESTQ(rest, rest)
	JE(LabelRef("done"))
	e.mask, part = tail, "OfTail"
	body(e, taps)
	Label("done")
	end()
}
