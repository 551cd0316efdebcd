package main

import (
	"fmt"

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
	}`, "x", "y", "", func(e *elementwise, taps func(func(tap Mem))) {
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

	firstMaximum(v)
	collect(v, false)
	collect(v, true)

	window(v, "sumWindow", "sums a window and multiplies by a factor.", `
	for j := range n {
		var t float32
		for h := range r {
			for w := range s {
				t += x[h*row+w*column+j]
			}
		}
		y[j] = f * t
	}`, "x", "y", ", f float32", func(e *elementwise, taps func(func(tap Mem))) {
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
	}`, "dx", "dy", ", f float32", func(e *elementwise, taps func(func(tap Mem))) {
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

// window writes a kernel over one window of a picture, which goes with one pixel. body does one vector of channels; taps
// calls its argument for the code of one pixel of the window, given its address.
func window(v *isa, name, what, loop string, picture, pixel string, more string,
	body func(e *elementwise, taps func(func(tap Mem)))) {
	begin(v, name, what, loop, picture+", "+pixel+" *float32, r, s, row, column, n int"+more)
	e := &elementwise{v: v, mask: &masked{isa: v}, base: map[string]reg.GPVirtual{}}
	for _, a := range []string{picture, pixel} {
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
		line, at := GP64(), GP64()
		MOVQ(e.base[picture], line)
		h, w := pointer("r"), GP64()
		Label("line" + part)
		MOVQ(line, at)
		Load(Param("s"), w)
		Label("pixel" + part)
		if picture == "x" && !e.mask.on {
			PREFETCHT0(Mem{Base: at, Index: e.index, Scale: 1, Disp: ahead})
		}
		one(Mem{Base: at, Index: e.index, Scale: 1})
		ADDQ(columnBytes, at)
		DECQ(w)
		JNE(LabelRef("pixel" + part))
		ADDQ(rowBytes, line)
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

// ahead is how many bytes ahead of their use the pixels of windows are fetched: processors do not foresee an access beyond
// the page of memory that they are in, and several rows are read side by side.
const ahead = 4096

// perChannel writes the loop over the n bytes of a pixel's channels, of which off counts those that are done. body does a
// number of vectors, the last of which may be masked; part tells the labels of its copies apart.
func perChannel(v *isa, n, off reg.GPVirtual, tail *masked, body func(part string, vectors int, m *masked)) {
	left := GP64()
	XORQ(off, off)
	for _, vectors := range []int{4, 1} {
		part := fmt.Sprintf("Of%d", vectors)
		Label("channels" + part)
		MOVQ(n, left)
		SUBQ(off, left)
		CMPQ(left, I32(int32(vectors*v.bytes())))
		JL(LabelRef("end" + part))
		body(part, vectors, &masked{isa: v})
		ADDQ(I32(int32(vectors*v.bytes())), off)
		JMP(LabelRef("channels" + part))
		Label("end" + part)
	}
	TESTQ(left, left)
	JE(LabelRef("allChannels"))
	body("OfTail", 1, tail)
	Label("allChannels")
}

// channels loads n as bytes, and masks the last vector of that many channels.
func channels(v *isa) (bytes reg.GPVirtual, tail *masked) {
	bytes, rest := pointer("n"), GP64()
	MOVQ(bytes, rest)
	ANDQ(Imm(uint64(v.lanes-1)), rest)
	SHLQ(Imm(2), bytes)
	return bytes, firstLanes(v, rest)
}

// integers broadcasts a parameter of type int to lanes of 32 bits.
func (v *isa) integers(name string) reg.VecVirtual {
	low, x := XMM(), v.vector()
	VMOVD(pointer(name).As32(), low)
	VPBROADCASTD(low, x)
	return x
}

// copy is a new register with the contents of x.
func (v *isa) copy(x reg.VecVirtual) reg.VecVirtual {
	c := v.vector()
	VMOVAPS(x, c)
	return c
}

// ones sets all bits: −1 in every lane.
func (v *isa) ones(x reg.VecVirtual) {
	if v == avx512 {
		VPTERNLOGD(Imm(0xff), x, x, x)
	} else {
		VPCMPEQD(x, x, x)
	}
}

// firstMaximum writes the search for the elements of windows that gave the maxima. It goes through a window backwards, so
// that what it finds last is the first.
func firstMaximum(v *isa) {
	begin(v, "firstMaximum", "finds the first element of each window that equals y; NaN equals NaN.", `
	for i := range windows {
		for j := range n {
			index[i*n+j] = -1
			for h := r - 1; h >= 0; h-- {
				for w := s - 1; w >= 0; w-- {
					e := x[i*step+h*row+w*column+j]
					if e == y[i*n+j] || isNaN(e) && isNaN(y[i*n+j]) {
						index[i*n+j] = first + h*line + w
					}
				}
			}
		}
	}`, "x, y *float32, index *int32, windows, r, s, row, column, step, n, first, line int")
	x, y, index, windows := pointer("x"), pointer("y"), pointer("index"), pointer("windows")
	row, column := elements("row"), elements("column")
	n, tail := channels(v)
	one, back, last := v.vector(), v.integers("line"), v.integers("first")
	v.ones(one)
	{
		// Begin with the last pixel of the window. The number of a pixel is 1 less than that of the one after it; from one
		// line to the line before it is line less, line−s more than its s pixels took.
		VPSUBD(v.integers("s"), back, back)
		r, s := pointer("r"), pointer("s")
		DECQ(r)
		DECQ(s)
		toLast, rest := GP64(), pointer("line")
		IMULQ(r, rest)
		ADDQ(s, rest)
		low, more := XMM(), v.vector()
		VMOVD(rest.As32(), low)
		VPBROADCASTD(low, more)
		VPADDD(more, last, last)
		MOVQ(row, toLast)
		IMULQ(r, toLast)
		ADDQ(toLast, x)
		IMULQ(column, s)
		ADDQ(s, x)
	}
	off := GP64()
	Label("window")
	perChannel(v, n, off, tail, func(part string, vectors int, m *masked) {
		at := func(base reg.GPVirtual, i int) Mem { return Mem{Base: base, Disp: i * v.bytes()} }
		ys, found := v.vectors(vectors), v.vectors(vectors)
		for i := range ys {
			m.load(at(y, i), ys[i])
			v.ones(found[i])
		}
		var tap reg.VecVirtual
		search := func(part string, each func(i int, e Mem)) {
			tap = v.copy(last)
			line, pixel := GP64(), GP64()
			LEAQ(Mem{Base: x, Index: off, Scale: 1}, line)
			h, w := pointer("r"), GP64()
			Label("line" + part)
			MOVQ(line, pixel)
			Load(Param("s"), w)
			Label("pixel" + part)
			for i := range ys {
				if !m.on {
					PREFETCHT0(Mem{Base: pixel, Disp: i*v.bytes() + ahead})
				}
				each(i, at(pixel, i))
			}
			VPADDD(one, tap, tap)
			SUBQ(column, pixel)
			DECQ(w)
			JNE(LabelRef("pixel" + part))
			VPSUBD(back, tap, tap)
			SUBQ(row, line)
			DECQ(h)
			JNE(LabelRef("line" + part))
		}
		search(part, func(i int, e Mem) {
			switch {
			case v == avx512 && !m.on:
				k := K()
				VCMPPS(Imm(equal), e, ys[i], k)
				VMOVDQA32(tap, k, found[i])
			case v == avx512:
				k := K()
				VCMPPS(Imm(equal), e, ys[i], m.k, k)
				VMOVDQA32(tap, k, found[i])
			default:
				t := load(m, e)
				VCMPPS(Imm(equal), t, ys[i], t)
				VBLENDVPS(t, tap, found[i], found[i])
			}
		})
		// Where a maximum is NaN, once more, as nothing equals it.
		if v == avx512 {
			any, k := K(), K()
			KXORW(any, any, any)
			for _, y := range ys {
				VCMPPS(Imm(unordered), y, y, k)
				KORW(k, any, any)
			}
			KORTESTW(any, any)
		} else {
			any, t, bits := v.vector(), v.vector(), GP32()
			v.zero(any)
			for _, y := range ys {
				VCMPPS(Imm(unordered), y, y, t)
				VORPS(t, any, any)
			}
			VMOVMSKPS(any, bits)
			TESTL(bits, bits)
		}
		JE(LabelRef("store" + part))
		search(part+"NaN", func(i int, e Mem) {
			t := load(m, e)
			if v == avx512 {
				k := K()
				VCMPPS(Imm(unordered), ys[i], ys[i], k)
				VCMPPS(Imm(unordered), t, t, k, k)
				VMOVDQA32(tap, k, found[i])
				return
			}
			nan := v.vector()
			VCMPPS(Imm(unordered), ys[i], ys[i], nan)
			VCMPPS(Imm(unordered), t, t, t)
			VANDPS(nan, t, t)
			VBLENDVPS(t, tap, found[i], found[i])
		})
		Label("store" + part)
		for i := range found {
			m.store(found[i], at(index, i))
		}
		if m.on {
			bytes := GP64()
			MOVQ(n, bytes)
			ANDQ(Imm(uint64(v.bytes()-1)), bytes)
			ADDQ(bytes, y)
			ADDQ(bytes, index)
		} else {
			ADDQ(I32(int32(vectors*v.bytes())), y)
			ADDQ(I32(int32(vectors*v.bytes())), index)
		}
	})
	step := elements("step")
	ADDQ(step, x)
	DECQ(windows)
	JNE(LabelRef("window"))
	end()
}

// collect writes the sums of what the windows over the pixels of a row give to them, past the caches if past is set.
func collect(v *isa, past bool) {
	name, what := "collect", "sums for each pixel the dy of those windows over it that found their maximum there"
	if past {
		name, what = name+"Past", what+"; stores past the caches whole vectors, which must be aligned"
	}
	begin(v, name, what+".", `
	last := 0 // the last window over the pixel, of which it is tap
	for i := range pixels {
		for j := range n {
			var t float32
			for r := range rows {
				for w, q := tap, last; w < size; w, q = w+stride, q-1 {
					if index[q*n-r*row+j] == line+r*lines+w {
						t += dy[q*n-r*row+j]
					}
				}
			}
			dx[i*n+j] = t
		}
		if tap++; tap >= stride {
			tap, last = 0, last+1
		}
	}`, "index *int32, dy, dx *float32, pixels, rows, row, n, tap, size, stride, line, lines int")
	index, dy, dx, pixels, tap := pointer("index"), pointer("dy"), pointer("dx"), pointer("pixels"), pointer("tap")
	n, tail := channels(v)
	row := elements("row")
	stride, lines, first := v.integers("stride"), v.integers("lines"), v.vector()
	off := GP64()
	Label("pixel")
	{
		low, sum := XMM(), pointer("line")
		ADDQ(tap, sum)
		VMOVD(sum.As32(), low)
		VPBROADCASTD(low, first)
	}
	perChannel(v, n, off, tail, func(part string, vectors int, m *masked) {
		at := func(base reg.GPVirtual, i int) Mem { return Mem{Base: base, Disp: i * v.bytes()} }
		sums := v.vectors(vectors)
		for _, t := range sums {
			v.zero(t)
		}
		line := v.copy(first)
		indexes, dys, r := GP64(), GP64(), pointer("rows")
		LEAQ(Mem{Base: index, Index: off, Scale: 1}, indexes)
		LEAQ(Mem{Base: dy, Index: off, Scale: 1}, dys)
		Label("row" + part)
		wanted := v.copy(line)
		from, given, w := GP64(), GP64(), GP64()
		MOVQ(indexes, from)
		MOVQ(dys, given)
		MOVQ(tap, w)
		Label("window" + part)
		CMPQ(w, address("size"))
		JGE(LabelRef("allWindows" + part))
		for i, t := range sums {
			switch {
			case v == avx512:
				k := K()
				if m.on {
					VPCMPEQD(at(from, i), wanted, m.k, k)
				} else {
					VPCMPEQD(at(from, i), wanted, k)
				}
				VADDPS(at(given, i), t, k, t)
			default:
				hit := load(m, at(from, i))
				VPCMPEQD(wanted, hit, hit)
				if m.on {
					VANDPS(load(m, at(given, i)), hit, hit)
				} else {
					VANDPS(at(given, i), hit, hit)
				}
				VADDPS(hit, t, t)
			}
		}
		VPADDD(stride, wanted, wanted)
		SUBQ(n, from)
		SUBQ(n, given)
		ADDQ(address("stride"), w)
		JMP(LabelRef("window" + part))
		Label("allWindows" + part)
		VPADDD(lines, line, line)
		SUBQ(row, indexes)
		SUBQ(row, dys)
		DECQ(r)
		JNE(LabelRef("row" + part))
		for i, t := range sums {
			to := Mem{Base: dx, Index: off, Scale: 1, Disp: i * v.bytes()}
			if past && !m.on {
				VMOVNTPS(t, to)
			} else {
				m.store(t, to)
			}
		}
	})
	ADDQ(n, dx)
	INCQ(tap)
	CMPQ(tap, address("stride"))
	JL(LabelRef("same"))
	XORQ(tap, tap)
	ADDQ(n, index)
	ADDQ(n, dy)
	Label("same")
	DECQ(pixels)
	JNE(LabelRef("pixel"))
	if past {
		SFENCE() // as in elementwise
	}
	end()
}
