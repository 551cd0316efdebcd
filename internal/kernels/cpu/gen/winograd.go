package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// winograd writes the transforms of Winograd's F(2×2,3×3) and F(4×4,3×3), and of F(3×3,2×2) and F(3×3,4×4), which are the
// gradients of their filters and share their inputs, with the interpolation points
// 0, ±1, (±2,) ∞ of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016). Each is the one-dimensional
// transform of the columns of a square, then of the rows of what that gives, for many channels side by side.
func winograd(v *isa) {
	a := &arithmetic{isa: v}
	transform(a, "winogradInput2", 4, 4, false, `
	y0 = x0 - x2
	y1 = x1 + x2
	y2 = x2 - x1
	y3 = x1 - x3`, func(x []vec) []vec {
		return []vec{a.sub(x[0], x[2]), a.add(x[1], x[2]), a.sub(x[2], x[1]), a.sub(x[1], x[3])}
	})
	transform(a, "winogradFilter2", 3, 4, false, `
	e := (x0 + x2) / 2
	y0 = x0
	y1 = fma(1/2, x1, e)
	y2 = fma(-1/2, x1, e)
	y3 = x2`, func(x []vec) []vec {
		e := a.mul(.5, a.add(x[0], x[2]))
		return []vec{x[0], a.fma(.5, x[1], e), a.fma(-.5, x[1], e), x[2]}
	})
	transform(a, "winogradOutput2", 4, 2, true, `
	y0 = x0 + x1 + x2
	y1 = x1 - x2 - x3`, func(x []vec) []vec {
		return []vec{a.add(a.add(x[0], x[1]), x[2]), a.sub(a.sub(x[1], x[2]), x[3])}
	})
	transform(a, "winogradInput4", 6, 6, false, `
	s, d := fma(-4, x2, x4), fma(-4, x1, x3)
	t, u := x4 - x2, x3 - x1
	y0 = fma(4, x0, fma(-5, x2, x4))
	y1 = s + d
	y2 = s - d
	y3 = fma(2, u, t)
	y4 = fma(-2, u, t)
	y5 = fma(4, x1, fma(-5, x3, x5))`, func(x []vec) []vec {
		s, d := a.fma(-4, x[2], x[4]), a.fma(-4, x[1], x[3])
		t, u := a.sub(x[4], x[2]), a.sub(x[3], x[1])
		return []vec{
			a.fma(4, x[0], a.fma(-5, x[2], x[4])),
			a.add(s, d), a.sub(s, d),
			a.fma(2, u, t), a.fma(-2, u, t),
			a.fma(4, x[1], a.fma(-5, x[3], x[5])),
		}
	})
	transform(a, "winogradFilter4", 3, 6, false, `
	s := (x0 + x2) * (-1/6)
	t, u := fma(1/6, x2, x0 * (1/24)), x1 * (1/12)
	y0 = x0 * (1/4)
	y1 = fma(-1/6, x1, s)
	y2 = fma(1/6, x1, s)
	y3 = t + u
	y4 = t - u
	y5 = x2`, func(x []vec) []vec {
		s := a.mul(-1./6, a.add(x[0], x[2]))
		t, u := a.fma(1./6, x[2], a.mul(1./24, x[0])), a.mul(1./12, x[1])
		return []vec{a.mul(.25, x[0]), a.fma(-1./6, x[1], s), a.fma(1./6, x[1], s), a.add(t, u), a.sub(t, u), x[2]}
	})
	transform(a, "winogradOutput4", 6, 4, true, `
	s, d := x1 + x2, x1 - x2
	t, u := x3 + x4, x3 - x4
	y0 = x0 + s + t
	y1 = fma(2, u, d)
	y2 = fma(4, t, s)
	y3 = fma(8, u, d) + x5`, func(x []vec) []vec {
		s, d := a.add(x[1], x[2]), a.sub(x[1], x[2])
		t, u := a.add(x[3], x[4]), a.sub(x[3], x[4])
		return []vec{a.add(a.add(x[0], s), t), a.fma(2, u, d), a.fma(4, t, s), a.add(a.fma(8, u, d), x[5])}
	})
	transform(a, "winogradGradient2", 2, 4, false, `
	y0 = x0
	y1 = (x0 + x1) / 2
	y2 = (x0 - x1) / 2
	y3 = x1`, func(x []vec) []vec {
		return []vec{x[0], a.mul(.5, a.add(x[0], x[1])), a.mul(.5, a.sub(x[0], x[1])), x[1]}
	})
	transform(a, "winogradWeights2", 4, 3, false, `
	s := x1 + x2
	y0 = x0 + s
	y1 = x1 - x2
	y2 = s - x3`, func(x []vec) []vec {
		s := a.add(x[1], x[2])
		return []vec{a.add(x[0], s), a.sub(x[1], x[2]), a.sub(s, x[3])}
	})
	transform(a, "winogradGradient4", 4, 6, false, `
	s, d := (x0 + x2) * (-1/6), (x1 + x3) * (1/6)
	t, u := fma(1/6, x2, x0 * (1/24)), fma(1/3, x3, x1 * (1/12))
	y0 = x0 * (1/4)
	y1 = s - d
	y2 = s + d
	y3 = t + u
	y4 = t - u
	y5 = x3`, func(x []vec) []vec {
		s, d := a.mul(-1./6, a.add(x[0], x[2])), a.mul(1./6, a.add(x[1], x[3]))
		t, u := a.fma(1./6, x[2], a.mul(1./24, x[0])), a.fma(1./3, x[3], a.mul(1./12, x[1]))
		return []vec{a.mul(.25, x[0]), a.sub(s, d), a.add(s, d), a.add(t, u), a.sub(t, u), x[3]}
	})
	transform(a, "winogradWeights4", 6, 3, false, `
	s, d := x1 + x2, x1 - x2
	t, u := x3 + x4, x3 - x4
	y0 = x0 + s + t
	y1 = fma(2, u, d)
	y2 = fma(4, t, s) + x5`, func(x []vec) []vec {
		s, d := a.add(x[1], x[2]), a.sub(x[1], x[2])
		t, u := a.add(x[3], x[4]), a.sub(x[3], x[4])
		return []vec{a.add(a.add(x[0], s), t), a.fma(2, u, d), a.add(a.fma(4, t, s), x[5])}
	})
}

// vec is a vector register.
type vec = reg.VecVirtual

// arithmetic emits instructions on whole vectors, each into a new register.
type arithmetic struct {
	isa       *isa
	constants map[float64]Mem // of the file, in all lanes
}

func (a *arithmetic) add(x, y vec) vec {
	z := a.isa.vector()
	VADDPS(y, x, z)
	return z
}

func (a *arithmetic) sub(x, y vec) vec {
	z := a.isa.vector()
	VSUBPS(y, x, z)
	return z
}

func (a *arithmetic) mul(c float64, x vec) vec {
	z := a.isa.vector()
	VMULPS(a.constant(c), x, z)
	return z
}

// fma is c·x + y.
func (a *arithmetic) fma(c float64, x, y vec) vec {
	z := a.isa.vector()
	VMOVAPS(y, z)
	VFMADD231PS(a.constant(c), x, z)
	return z
}

// constant is the memory that holds c in all lanes.
func (a *arithmetic) constant(c float64) Mem {
	if m, ok := a.constants[c]; ok {
		return m
	}
	if a.constants == nil {
		a.constants = map[float64]Mem{}
	}
	m := GLOBL(fmt.Sprintf("winogradConstant%d%s", len(a.constants), a.isa.name), RODATA|NOPTR)
	for i := range a.isa.lanes {
		DATA(4*i, U32(math.Float32bits(float32(c))))
	}
	a.constants[c] = m
	return m
}

// transform writes one two-dimensional transform of squares of in×in to out×out. With finish what dst holds, bias and
// bounds may follow.
func transform(a *arithmetic, name string, in, out int, finish bool, formula string, apply func([]vec) []vec) {
	v := a.isa
	params, bias, end := "src, dst, between", "", ""
	if finish {
		params, bias = "src, dst, between, bias", ", accumulate bool, lo, hi float32"
		end = `
				if accumulate {
					v += dst[i*dstRow+j*dstColumn+k]
				}
				if bias != nil {
					v = min(max(v+bias[k], lo), hi)
				}`
	}
	TEXT(name+v.name, NOSPLIT, "func("+params+" *float32, srcRow, srcColumn, dstRow, dstColumn, channels int"+bias+")")
	Pragma("noescape")
	doc(fmt.Sprintf("%s%s turns squares of %d×%d into %d×%d; between is memory of %d floats.", name, v.name, in, in, out, out,
		out*in*v.lanes), fmt.Sprintf(`
	for k := range channels {
		var x [%d][%d]float32
		for i := range %d {
			for j := range %d {
				x[i][j] = src[i*srcRow+j*srcColumn+k]
			}
		}
		y := rows(columns(x)) // where both make y0, y1, … of x0, x1, … as below
		for i := range %d {
			for j := range %d {
				v := y[i][j]%s
				dst[i*dstRow+j*dstColumn+k] = v
			}
		}
	}
	%s`, in, in, in, in, out, out, end, formula))

	src, dst, between := pointer("src"), pointer("dst"), pointer("between")
	srcRow, srcColumn := elements("srcRow"), elements("srcColumn")
	dstRow, dstColumn := elements("dstRow"), elements("dstColumn")
	pointers := []reg.GPVirtual{src, dst}
	var biases reg.GPVirtual
	if finish {
		biases = pointer("bias")
	}
	first, next := GP64(), GP64()
	// What lies between the halves stays in registers where those suffice.
	kept := v == avx512 && out*in <= 16
	half := make([][]vec, out)
	for i := range half {
		half[i] = make([]vec, in)
	}
	spill := func(i, j int) Mem { return Mem{Base: between, Disp: v.bytes() * (i*in + j)} }
	overChannels(v, "channels", pointers, func(s string, m *masked) {
		MOVQ(src, first)
		for j := range in {
			x := v.vectors(in)
			MOVQ(first, next)
			for i := range x {
				m.load(Mem{Base: next}, x[i])
				if i < in-1 {
					ADDQ(srcRow, next)
				}
			}
			for i, y := range apply(x) {
				half[i][j] = y
				if !kept {
					VMOVUPS(y, spill(i, j))
				}
			}
			if j < in-1 {
				ADDQ(srcColumn, first)
			}
		}
		MOVQ(dst, first)
		for i := range out {
			x := half[i]
			if !kept {
				x = v.vectors(in)
				for j := range x {
					VMOVUPS(spill(i, j), x[j])
				}
			}
			y := apply(x)
			if finish {
				overwrite := fmt.Sprintf("overwrite%d%s", i, s)
				CMPB(address("accumulate"), Imm(0))
				JE(LabelRef(overwrite))
				MOVQ(first, next)
				before := v.vector()
				for j := range y {
					m.load(Mem{Base: next}, before)
					VADDPS(before, y[j], y[j])
					if j < out-1 {
						ADDQ(dstColumn, next)
					}
				}
				Label(overwrite)
				done := fmt.Sprintf("finished%d%s", i, s)
				TESTQ(biases, biases)
				JZ(LabelRef(done))
				free := v.vector()
				m.load(Mem{Base: biases}, free)
				for j := range y {
					VADDPS(free, y[j], y[j])
				}
				clamp([][]vec{y}, free)
				Label(done)
			}
			MOVQ(first, next)
			for j := range y {
				m.store(y[j], Mem{Base: next})
				if j < out-1 {
					ADDQ(dstColumn, next)
				}
			}
			if i < out-1 {
				ADDQ(dstRow, first)
			}
		}
		if finish && s == "Whole" {
			TESTQ(biases, biases)
			JZ(LabelRef("unbiased"))
			ADDQ(Imm(uint64(v.bytes())), biases)
			Label("unbiased")
		}
	})
}
