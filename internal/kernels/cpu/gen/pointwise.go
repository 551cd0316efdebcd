package main

import (
	"fmt"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Predicates of VCMPPS; all of them are quiet.
const (
	equal       = 0x00
	unordered   = 0x03
	lessOrEqual = 0x12
	greater     = 0x1e
)

// firstLanes masks all but the first n lanes.
func firstLanes(v *isa, n reg.GPVirtual) *masked {
	if v == avx512 {
		return &masked{isa: v, on: true, k: lowLanes(n)}
	}
	x, y := XMM(), YMM()
	VMOVD(n.As32(), x)
	VPBROADCASTD(x, y)
	VPCMPGTD(lanes32(), y, y)
	return &masked{isa: v, on: true, y: y}
}

// load loads into a new register.
func load(m *masked, src Mem) reg.VecVirtual {
	x := m.isa.vector()
	m.load(src, x)
	return x
}

// broadcast loads a float32 parameter into all lanes.
func (v *isa) broadcast(name string) reg.VecVirtual {
	x := v.vector()
	VBROADCASTSS(address(name), x)
	return x
}

// clampTo bounds x; a NaN stays one.
func clampTo(x, lo, hi reg.VecVirtual) {
	// The second operand wins where one is NaN: x.
	VMAXPS(x, lo, x)
	VMINPS(x, hi, x)
}

// gate clears dy where y is not in (zero, top].
func gate(v *isa, y, dy, zero, top reg.VecVirtual) {
	if v == avx512 {
		k := K()
		VCMPPS(Imm(greater), zero, y, k)
		VCMPPS(Imm(lessOrEqual), top, y, k, k)
		VMOVAPS_Z(dy, k, dy)
		return
	}
	above, below := v.vector(), v.vector()
	VCMPPS(Imm(greater), zero, y, above)
	VCMPPS(Imm(lessOrEqual), top, y, below)
	VANDPS(above, dy, dy)
	VANDPS(below, dy, dy)
}

// zeros is a new register that is clear.
func (v *isa) zeros() reg.VecVirtual {
	x := v.vector()
	v.zero(x)
	return x
}

// begin opens a kernel.
func begin(v *isa, name, what, loop, params string) {
	TEXT(name+v.name, NOSPLIT, "func("+params+")")
	Pragma("noescape")
	doc(name+v.name+" "+what, loop)
}

// elementwise writes a kernel that treats every element alike.
//
// Its parameters are the arrays moving, which it walks through, fixed, which it starts again with each row, further
// ones, and n, the elements of a row. With rows it also takes the number of rows; without, there is one.
type elementwise struct {
	v             *isa
	moving, fixed []string
	rows          bool
	past          bool

	base  map[string]reg.GPVirtual
	index reg.GPVirtual // bytes into the row
	mask  *masked
}

func (e *elementwise) load(name string) reg.VecVirtual { return load(e.mask, e.mem(name)) }

// store stores x; with past, past the caches.
func (e *elementwise) store(x reg.VecVirtual, name string) {
	if e.past && !e.mask.on {
		VMOVNTPS(x, e.mem(name))
	} else {
		e.mask.store(x, e.mem(name))
	}
}

func (e *elementwise) mem(name string) Mem {
	return Mem{Base: e.base[name], Index: e.index, Scale: 1}
}

// generate writes the loops around body, which does one vector; prepare comes before them.
func (e *elementwise) generate(name, what, loop, more string, prepare, body func()) {
	params := strings.Join(append(append([]string{}, e.moving...), e.fixed...), ", ") + " *float32"
	if e.rows {
		params += ", rows int"
	}
	begin(e.v, name, what, loop, params+", n int"+more)
	e.base = map[string]reg.GPVirtual{}
	for _, array := range append(append([]string{}, e.moving...), e.fixed...) {
		e.base[array] = pointer(array)
	}
	n := pointer("n")
	whole, rest, rowBytes := GP64(), GP64(), GP64()
	MOVQ(n, rowBytes)
	SHLQ(Imm(2), rowBytes)
	MOVQ(rowBytes, whole)
	ANDQ(I32(-e.v.bytes()), whole)
	MOVQ(n, rest)
	ANDQ(Imm(uint64(e.v.lanes-1)), rest)
	tail := firstLanes(e.v, rest)
	prepare()
	var rows reg.GPVirtual
	if e.rows {
		rows = pointer("rows")
		TESTQ(rows, rows)
		JLE(LabelRef("done"))
	}
	e.index = GP64()
	Label("row")
	XORQ(e.index, e.index)
	CMPQ(whole, Imm(0))
	JE(LabelRef("tail"))
	Label("vector")
	e.mask = &masked{isa: e.v}
	body()
	ADDQ(Imm(uint64(e.v.bytes())), e.index)
	CMPQ(e.index, whole)
	JL(LabelRef("vector"))
	Label("tail")
	TESTQ(rest, rest)
	JE(LabelRef("next"))
	e.mask = tail
	body()
	Label("next")
	if e.rows {
		for _, array := range e.moving {
			ADDQ(rowBytes, e.base[array])
		}
		DECQ(rows)
		JNE(LabelRef("row"))
		Label("done")
	}
	if e.past {
		SFENCE() // others may read the results once the caller says so
	}
	end()
}

func end() {
	VZEROUPPER()
	RET()
}

// pointwise writes the kernels of activations, sums, batch norm and the optimizers.
func pointwise(v *isa) {
	var lo, hi reg.VecVirtual
	bounds := func() { lo, hi = v.broadcast("lo"), v.broadcast("hi") }

	e := &elementwise{v: v, moving: []string{"x", "y"}}
	e.generate("clamp", "bounds each element; a NaN stays one.", `
	for i := range n {
		y[i] = min(max(x[i], lo), hi)
	}`, ", lo, hi float32", bounds, func() {
		x := e.load("x")
		clampTo(x, lo, hi)
		e.store(x, "y")
	})

	e = &elementwise{v: v, moving: []string{"a", "b", "y"}}
	e.generate("addClamp", "adds and bounds.", `
	for i := range n {
		y[i] = min(max(a[i]+b[i], lo), hi)
	}`, ", lo, hi float32", bounds, func() {
		x := e.load("a")
		VADDPS(e.load("b"), x, x)
		clampTo(x, lo, hi)
		e.store(x, "y")
	})

	var zero reg.VecVirtual
	e = &elementwise{v: v, moving: []string{"y", "dy", "dx"}}
	e.generate("gate", "passes dy where y is in (0, top].", `
	for i := range n {
		dx[i] = 0
		if 0 < y[i] && y[i] <= top {
			dx[i] = dy[i]
		}
	}`, ", top float32", func() {
		zero, hi = v.zeros(), v.broadcast("top")
	}, func() {
		dy := e.load("dy")
		gate(v, e.load("y"), dy, zero, hi)
		e.store(dy, "dx")
	})

	var f reg.VecVirtual
	e = &elementwise{v: v, moving: []string{"x"}}
	e.generate("scale", "multiplies by one factor.", `
	for i := range n {
		x[i] *= f
	}`, ", f float32", func() { f = v.broadcast("f") }, func() {
		x := e.load("x")
		VMULPS(f, x, x)
		e.store(x, "x")
	})

	e = &elementwise{v: v, moving: []string{"x", "y"}, fixed: []string{"f"}, rows: true}
	e.generate("scaleRows", "multiplies each column by its factor.", `
	for r := range rows {
		for j := range n {
			y[r*n+j] = x[r*n+j] * f[j]
		}
	}`, "", func() {}, func() {
		x := e.load("x")
		VMULPS(e.load("f"), x, x)
		e.store(x, "y")
	})

	for _, past := range []bool{false, true} {
		for _, residual := range []bool{false, true} {
			name, what, extra := "normalize", "normalizes each column, and bounds", ""
			e := &elementwise{v: v, moving: []string{"x", "y"}, fixed: []string{"mean", "f", "beta"}, rows: true, past: past}
			if residual {
				name, what, extra = "normalizeAdd", "normalizes each column, adds the residual, and bounds", " + res[r*n+j]"
				e.moving = []string{"x", "res", "y"}
			}
			if past {
				name, what = name+"Past", what+"; stores past the caches whole vectors, which must be aligned"
			}
			e.generate(name, what+".", `
	for r := range rows {
		for j := range n {
			y[r*n+j] = min(max(fma(x[r*n+j]-mean[j], f[j], beta[j])`+extra+`, lo), hi)
		}
	}`, ", lo, hi float32", bounds, func() {
				x := e.load("x")
				VSUBPS(e.load("mean"), x, x)
				f := e.load("f")
				VFMADD213PS(e.load("beta"), f, x)
				if residual {
					VADDPS(e.load("res"), x, x)
				}
				clampTo(x, lo, hi)
				e.store(x, "y")
			})
		}
	}

	for _, gated := range []bool{false, true} {
		name, what, extra, more := "normalizeBackward", "takes", "", ""
		e := &elementwise{v: v, moving: []string{"dy", "x", "dx"}, fixed: []string{"mean", "f", "a", "b"}, rows: true}
		prepare := func() {}
		if gated {
			name, what, more = name+"Gated", "passes dy where normalize gave a result in (0, top], takes", ", top float32"
			e.fixed = append(e.fixed, "beta")
			extra = `
			if v := fma(x[r*n+j]-mean[j], f[j], beta[j]); !(0 < v && v <= top) {
				dy = 0
			}`
			prepare = func() { zero, hi = v.zeros(), v.broadcast("top") }
		}
		e.generate(name, what+" the two projections out of dy and multiplies each column by its factor.", `
	for r := range rows {
		for j := range n {
			dy := dy[r*n+j]`+extra+`
			dx[r*n+j] = f[j] * fma(-(x[r*n+j] - mean[j]), b[j], dy-a[j])
		}
	}`, more, prepare, func() {
			x, dy := e.load("x"), e.load("dy")
			VSUBPS(e.load("mean"), x, x)
			if gated {
				y := e.load("f")
				VFMADD213PS(e.load("beta"), x, y)
				gate(v, y, dy, zero, hi)
			}
			VSUBPS(e.load("a"), dy, dy)
			VFNMADD231PS(e.load("b"), x, dy)
			VMULPS(e.load("f"), dy, dy)
			e.store(dy, "dx")
		})
	}

	dropout(v)
	optimizers(v)
	for _, vectors := range []int{1, 4} {
		sums(v, vectors)
	}
	sumSquares(v)
}

func optimizers(v *isa) {
	constant := map[string]reg.VecVirtual{}
	constants := func(names ...string) func() {
		return func() {
			for _, name := range names {
				constant[name] = v.broadcast(name)
			}
		}
	}

	e := &elementwise{v: v, moving: []string{"w", "grad"}}
	e.generate("sgd", "is a step without momentum.", `
	for i := range n {
		w[i] = fma(-lr, fma(decay, w[i], grad[i]), w[i])
	}`, ", lr, decay float32", constants("lr", "decay"), func() {
		w, g := e.load("w"), e.load("grad")
		VFMADD231PS(constant["decay"], w, g)
		VFNMADD231PS(constant["lr"], g, w)
		e.store(w, "w")
	})

	e = &elementwise{v: v, moving: []string{"w", "grad", "v"}}
	e.generate("sgdMomentum", "is a step along ofG·g + ofV·v.", `
	for i := range n {
		d := fma(decay, w[i], grad[i])
		v[i] = fma(momentum, v[i], d)
		w[i] = fma(-lr, fma(ofV, v[i], ofG*d), w[i])
	}`, ", lr, momentum, decay, ofG, ofV float32", constants("lr", "momentum", "decay", "ofG", "ofV"), func() {
		w, g, velocity := e.load("w"), e.load("grad"), e.load("v")
		VFMADD231PS(constant["decay"], w, g)
		VFMADD213PS(g, constant["momentum"], velocity)
		e.store(velocity, "v")
		VMULPS(constant["ofG"], g, g)
		VFMADD231PS(constant["ofV"], velocity, g)
		VFNMADD231PS(constant["lr"], g, w)
		e.store(w, "w")
	})

	e = &elementwise{v: v, moving: []string{"w", "grad", "m", "v"}}
	e.generate("adam", "is a step of Adam, its constants prepared: keep1 is β₁, new1 1−β₁, unbias the root of 1/(1−β₂ᵗ).", `
	for i := range n {
		d := fma(decay, w[i], grad[i])
		m[i] = fma(keep1, m[i], new1*d)
		v[i] = fma(keep2, v[i], new2*d*d)
		w[i] = shrink*w[i] - step*m[i]/fma(sqrt(v[i]), unbias, eps)
	}`, ", keep1, new1, keep2, new2, step, unbias, eps, decay, shrink float32",
		constants("keep1", "new1", "keep2", "new2", "step", "unbias", "eps", "decay"), func() {
			w, g, m, second := e.load("w"), e.load("grad"), e.load("m"), e.load("v")
			VFMADD231PS(constant["decay"], w, g)
			t := v.vector()
			VMULPS(constant["new1"], g, t)
			VFMADD213PS(t, constant["keep1"], m)
			e.store(m, "m")
			VMULPS(constant["new2"], g, t)
			VMULPS(g, t, t)
			VFMADD213PS(t, constant["keep2"], second)
			e.store(second, "v")
			VSQRTPS(second, second)
			VMULPS(constant["unbias"], second, second)
			VADDPS(constant["eps"], second, second)
			VMULPS(constant["step"], m, m)
			VDIVPS(second, m, m)
			VBROADCASTSS(address("shrink"), t)
			VMULPS(t, w, w)
			VSUBPS(m, w, w)
			e.store(w, "w")
		})
}

// sums writes the reductions over rows of a few neighbouring columns: whole vectors, or one whose first n lanes count.
func sums(v *isa, vectors int) {
	disp := func(base reg.GPVirtual, i int) Mem { return Mem{Base: base, Disp: i * v.bytes()} }
	none := func() {}
	// reduce opens a kernel over the arrays, with per-column parameters and results, and writes the loop.
	reduce := func(name, what, loop string, arrays, fixed, results []string, more string, prepare func(),
		body func(x []reg.VecVirtual, fixed []Op, acc []reg.VecVirtual)) {
		all := append(append(append([]string{}, arrays...), fixed...), results...)
		params := strings.Join(all, ", ") + " *float32, rows, stride, n int" + more
		begin(v, fmt.Sprint(name, vectors), what, loop, params)
		base := map[string]reg.GPVirtual{}
		for _, a := range all {
			base[a] = pointer(a)
		}
		rows, stride := pointer("rows"), elements("stride")
		m := &masked{isa: v}
		if vectors == 1 {
			m = firstLanes(v, pointer("n"))
		}
		prepare()
		perColumn := make([][]Op, vectors)
		acc := make([][]reg.VecVirtual, vectors)
		for i := range vectors {
			for _, f := range fixed {
				if v == avx2 && vectors*len(fixed) > 4 { // more than there are registers for
					perColumn[i] = append(perColumn[i], disp(base[f], i))
				} else {
					perColumn[i] = append(perColumn[i], load(m, disp(base[f], i)))
				}
			}
			acc[i] = v.vectors(len(results))
			for _, a := range acc[i] {
				v.zero(a)
			}
		}
		TESTQ(rows, rows)
		JLE(LabelRef("done"))
		Label("row")
		for i := range vectors {
			var x []reg.VecVirtual
			for _, a := range arrays {
				x = append(x, load(m, disp(base[a], i)))
			}
			body(x, perColumn[i], acc[i])
		}
		for _, a := range arrays {
			ADDQ(stride, base[a])
		}
		DECQ(rows)
		JNE(LabelRef("row"))
		Label("done")
		for i := range vectors {
			for j, r := range results {
				m.store(acc[i][j], disp(base[r], i))
			}
		}
		end()
	}
	reduce("sumColumns", "sums columns.", `
	for j := range n {
		for r := range rows {
			sum[j] += x[r*stride+j] // from 0
		}
	}`, []string{"x"}, nil, []string{"sum"}, "", none, func(x []reg.VecVirtual, _ []Op, acc []reg.VecVirtual) {
		VADDPS(x[0], acc[0], acc[0])
	})
	reduce("moments", "sums columns and their squares, each less its shift.", `
	for j := range n {
		for r := range rows {
			d := x[r*stride+j] - shift[j]
			sum[j] += d // from 0
			squares[j] = fma(d, d, squares[j])
		}
	}`, []string{"x"}, []string{"shift"}, []string{"sum", "squares"}, "", none, func(x []reg.VecVirtual, fixed []Op, acc []reg.VecVirtual) {
		VSUBPS(fixed[0], x[0], x[0])
		VADDPS(x[0], acc[0], acc[0])
		VFMADD231PS(x[0], x[0], acc[1])
	})
	reduce("projections", "sums dy and dy·(x−mean) in columns.", `
	for j := range n {
		for r := range rows {
			sum[j] += dy[r*stride+j] // from 0
			products[j] = fma(dy[r*stride+j], x[r*stride+j]-mean[j], products[j])
		}
	}`, []string{"dy", "x"}, []string{"mean"}, []string{"sum", "products"}, "", none, func(x []reg.VecVirtual, fixed []Op, acc []reg.VecVirtual) {
		VSUBPS(fixed[0], x[1], x[1])
		VADDPS(x[0], acc[0], acc[0])
		VFMADD231PS(x[0], x[1], acc[1])
	})
	var zero, top reg.VecVirtual
	reduce("projectionsGated", "is projections of dy where normalize gave a result in (0, top], and 0 elsewhere.", `
	for j := range n {
		for r := range rows {
			dy := dy[r*stride+j]
			if v := fma(x[r*stride+j]-mean[j], f[j], beta[j]); !(0 < v && v <= top) {
				dy = 0
			}
			sum[j] += dy // from 0
			products[j] = fma(dy, x[r*stride+j]-mean[j], products[j])
		}
	}`, []string{"dy", "x"}, []string{"mean", "f", "beta"}, []string{"sum", "products"}, ", top float32", func() {
		zero, top = v.zeros(), v.broadcast("top")
	}, func(x []reg.VecVirtual, fixed []Op, acc []reg.VecVirtual) {
		VSUBPS(fixed[0], x[1], x[1])
		y := v.vector()
		VMOVUPS(fixed[1], y)
		VFMADD213PS(fixed[2], x[1], y)
		gate(v, y, x[0], zero, top)
		VADDPS(x[0], acc[0], acc[0])
		VFMADD231PS(x[0], x[1], acc[1])
	})
}

// sumSquares writes the sum of squares in float64, in four vectors of lanes that the caller folds.
func sumSquares(v *isa) {
	begin(v, "sumSquares", "sums squares into lanes. n is a multiple of their number.", `
	for i := range n {
		lanes[i%`+map[string]string{"AVX512": "32", "AVX2": "16"}[v.name]+`] += float64(x[i]) * float64(x[i]) // from 0
	}`, "x *float32, lanes *float64, n int")
	x, lanes, n := pointer("x"), pointer("lanes"), pointer("n")
	half := v.lanes / 2 // float64 in a vector
	acc := v.vectors(4)
	for _, a := range acc {
		v.zero(a)
	}
	t := v.vectors(4)
	TESTQ(n, n)
	JLE(LabelRef("done"))
	Label("block")
	for i := range acc {
		VCVTPS2PD(Mem{Base: x, Disp: 4 * half * i}, t[i])
		VFMADD231PD(t[i], t[i], acc[i])
	}
	ADDQ(Imm(uint64(16*half)), x)
	SUBQ(Imm(uint64(4*half)), n)
	JG(LabelRef("block"))
	Label("done")
	for i, a := range acc {
		VMOVUPD(a, Mem{Base: lanes, Disp: 8 * half * i})
	}
	end()
}
