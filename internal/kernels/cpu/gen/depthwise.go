package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	depthwisePixels = 8 // most pixels that depthwise computes at once
	depthwiseTaps   = 5 // most taps of a row that depthwiseOuter sums at once
)

// overChannels runs body for the channels that the parameter name counts, a vector at a time, and for what is left with a
// mask. Names of labels in body end in suffix.
func overChannels(v *isa, name string, pointers []reg.GPVirtual, body func(suffix string, m *masked)) {
	n := pointer(name)
	SUBQ(Imm(uint64(v.lanes)), n)
	JL(LabelRef("tail"))
	Label("whole")
	body("Whole", &masked{isa: v})
	for _, p := range pointers {
		ADDQ(Imm(uint64(v.bytes())), p)
	}
	SUBQ(Imm(uint64(v.lanes)), n)
	JGE(LabelRef("whole"))
	Label("tail")
	ADDQ(Imm(uint64(v.lanes)), n)
	JZ(LabelRef("done"))
	m := &masked{isa: v, on: true}
	if v == avx512 {
		m.k = lowLanes(n)
	} else {
		m.y = YMM()
		limit := AllocLocal(8)
		MOVL(n.As32(), limit)
		VPBROADCASTD(limit, m.y)
		VPCMPGTD(lanes32(), m.y, m.y)
	}
	body("Tail", m)
	Label("done")
	VZEROUPPER()
	RET()
}

// masked moves vectors to and from memory, whole or only their lower lanes.
type masked struct {
	isa *isa
	on  bool
	k   reg.OpmaskVirtual
	y   reg.VecVirtual
}

func (m *masked) load(src Mem, x reg.VecVirtual) {
	switch {
	case !m.on:
		VMOVUPS(src, x)
	case m.isa == avx512:
		VMOVUPS_Z(src, m.k, x)
	default:
		VMASKMOVPS(src, m.y, x)
	}
}

func (m *masked) store(x reg.VecVirtual, dst Mem) {
	switch {
	case !m.on:
		VMOVUPS(x, dst)
	case m.isa == avx512:
		VMOVUPS(x, m.k, dst)
	default:
		VMASKMOVPS(x, m.y, dst)
	}
}

// fma adds src·x to acc; free is a register for the load.
func (m *masked) fma(src Mem, x, acc, free reg.VecVirtual) {
	if !m.on {
		VFMADD231PS(src, x, acc)
		return
	}
	m.load(src, free)
	VFMADD231PS(free, x, acc)
}

// depthwise computes some neighbouring pixels of a row of a depthwise convolution, all channels.
func depthwise(v *isa, pixels int) {
	name := fmt.Sprintf("depthwise%d%s", pixels, v.name)
	TEXT(name, NOSPLIT, "func(x, w, y, bias *float32, stepX, tapX, rowX, tapW, rowW, stepY, rows, taps, channels, "+
		"aheadX, aheadY, fetch int, lo, hi float32)")
	Pragma("noescape")
	doc(fmt.Sprintf("%s convolves %d neighbouring pixels with one filter a channel; where fetch is not 0, it prefetches.",
		name, pixels), fmt.Sprintf(`
	for c := range channels {
		for i := range %d {
			var s float32
			for r := range rows {
				for t := range taps {
					s = fma(x[r*rowX+t*tapX+i*stepX+c], w[r*rowW+t*tapW+c], s)
				}
			}
			if bias != nil {
				s = min(max(s+bias[c], lo), hi)
			}
			y[i*stepY+c] = s
		}
	}`, pixels))
	x, w, y, bias := pointer("x"), pointer("w"), pointer("y"), pointer("bias")
	stepX := elements("stepX")
	xr := newRowAddresses(pixels, stepX)
	rowX, rowW := GP64(), GP64()
	wp := GP64()
	rows, taps := GP64(), GP64()

	overChannels(v, "channels", []reg.GPVirtual{x, w, y, bias}, func(s string, m *masked) {
		acc := [][]reg.VecVirtual{v.vectors(pixels)}
		for _, a := range acc[0] {
			v.zero(a)
		}
		wv, free := v.vector(), v.vector()
		MOVQ(x, rowX)
		MOVQ(w, rowW)
		Load(Param("rows"), rows)
		Label("row" + s)
		xr.start(rowX)
		MOVQ(rowW, wp)
		Load(Param("taps"), taps)
		Label("tap" + s)
		m.load(Mem{Base: wp}, wv)
		for i, a := range acc[0] {
			m.fma(xr.row(i, 0), wv, a, free)
		}
		step := elements("tapX")
		xr.advance(step)
		Load(Param("tapW"), step)
		LEAQ(Mem{Base: wp, Index: step, Scale: 4}, wp)
		DECQ(taps)
		JNZ(LabelRef("tap" + s))
		ADDQ(elements("rowX"), rowX)
		ADDQ(elements("rowW"), rowW)
		DECQ(rows)
		JNZ(LabelRef("row" + s))
		fetch := pointer("fetch")
		TESTQ(fetch, fetch)
		JZ(LabelRef("fetched" + s))
		ahead, apart := elements("aheadY"), elements("stepY")
		ADDQ(y, ahead)
		for range pixels {
			PREFETCHT0(Mem{Base: ahead})
			ADDQ(apart, ahead)
		}
		ahead, apart = elements("aheadX"), elements("tapX")
		ADDQ(x, ahead)
		Label("fetch" + s)
		for range pixels {
			PREFETCHT0(Mem{Base: ahead})
			ADDQ(apart, ahead)
		}
		DECQ(fetch)
		JNZ(LabelRef("fetch" + s))
		Label("fetched" + s)
		CMPQ(address("bias"), Imm(0))
		JEQ(LabelRef("store" + s))
		m.load(Mem{Base: bias}, wv)
		for _, a := range acc[0] {
			VADDPS(wv, a, a)
		}
		clamp(acc, wv)
		Label("store" + s)
		stepY := elements("stepY")
		yp := GP64()
		MOVQ(y, yp)
		for i, a := range acc[0] {
			m.store(a, Mem{Base: yp})
			if i < pixels-1 {
				ADDQ(stepY, yp)
			}
		}
	})
}

// depthwiseOuter sums the gradient of some neighbouring taps of a depthwise filter over rows of pixels, all channels. Two
// sums a tap, for even and odd pixels, keep the adders busy.
func depthwiseOuter(v *isa, taps int) {
	name := fmt.Sprintf("depthwiseOuter%d%s", taps, v.name)
	TEXT(name, NOSPLIT, "func(x, dy, dw *float32, stepX, tapX, rowX, stepY, rowY, tapW, rows, pixels, channels int)")
	Pragma("noescape")
	doc(fmt.Sprintf("%s sums the gradients of %d neighbouring taps.", name, taps), fmt.Sprintf(`
	for c := range channels {
		for t := range %d {
			var s [2]float32
			for p := range rows {
				for q := range pixels {
					e := q %% 2
					s[e] = fma(x[p*rowX+q*stepX+t*tapX+c], dy[p*rowY+q*stepY+c], s[e])
				}
			}
			dw[t*tapW+c] += s[0] + s[1]
		}
	}`, taps))
	x, dy, dw := pointer("x"), pointer("dy"), pointer("dw")
	xr := newRowAddresses(taps, elements("tapX"))
	stepX, stepY := elements("stepX"), elements("stepY")
	rowX, rowY := GP64(), GP64()
	yp := GP64()
	rows, pixels := GP64(), GP64()
	overChannels(v, "channels", []reg.GPVirtual{x, dy, dw}, func(s string, m *masked) {
		acc := [2][]reg.VecVirtual{v.vectors(taps), v.vectors(taps)}
		for _, set := range acc {
			for _, a := range set {
				v.zero(a)
			}
		}
		yv, free := v.vector(), v.vector()
		pixel := func(set int) {
			m.load(Mem{Base: yp}, yv)
			for t, a := range acc[set] {
				m.fma(xr.row(t, 0), yv, a, free)
			}
			xr.advance(stepX)
			ADDQ(stepY, yp)
		}
		MOVQ(x, rowX)
		MOVQ(dy, rowY)
		Load(Param("rows"), rows)
		Label("row" + s)
		xr.start(rowX)
		MOVQ(rowY, yp)
		Load(Param("pixels"), pixels)
		SUBQ(Imm(2), pixels)
		JL(LabelRef("odd" + s))
		Label("two" + s)
		pixel(0)
		pixel(1)
		SUBQ(Imm(2), pixels)
		JGE(LabelRef("two" + s))
		Label("odd" + s)
		ADDQ(Imm(2), pixels)
		JZ(LabelRef("rowDone" + s))
		pixel(0)
		Label("rowDone" + s)
		ADDQ(elements("rowX"), rowX)
		ADDQ(elements("rowY"), rowY)
		DECQ(rows)
		JNZ(LabelRef("row" + s))
		tapW := elements("tapW")
		wp := GP64()
		MOVQ(dw, wp)
		for t := range taps {
			VADDPS(acc[1][t], acc[0][t], acc[0][t])
			m.load(Mem{Base: wp}, free)
			VADDPS(free, acc[0][t], acc[0][t])
			m.store(acc[0][t], Mem{Base: wp})
			if t < taps-1 {
				ADDQ(tapW, wp)
			}
		}
	})
}
