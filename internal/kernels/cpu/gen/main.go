// Command gen writes the assembly of packages cpu, jpeg and data. Its argument is the subject: gemm, linear, depthwise,
// pointwise, window, winograd or peak of cpu, jpeg of jpeg, resize of data.
//
// Every kernel of cpu is written once, for both vector widths; those of pictures are for AVX2 alone. A kernel's
// documentation, which becomes the comment of the stub, is the Go loop that it replaces; fma(a, b, c) there is a·b + c
// rounded once.
package main

import (
	"flag"
	"log"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	flag.Parse()
	switch subject := flag.Arg(0); subject {
	case "gemm":
		for _, v := range []*isa{avx512, avx2} {
			for _, vectors := range []int{1, 2} {
				for rows := 1; rows <= v.rows; rows++ {
					gemm(v, rows, vectors)
					outer(v, rows, vectors)
				}
			}
		}
		transpose16()
		transpose8()
	case "linear":
		for _, v := range []*isa{avx512, avx2} {
			for rows := 1; rows <= v.dotRows; rows++ {
				dot(v, rows, 1)
				dot(v, rows, 4)
			}
			for _, vectors := range []int{1, 2} {
				for rows := 1; rows <= v.rows; rows++ {
					combine(v, rows, vectors)
				}
			}
		}
	case "depthwise":
		for _, v := range []*isa{avx512, avx2} {
			for pixels := 1; pixels <= depthwisePixels; pixels++ {
				depthwise(v, pixels)
			}
			for taps := 1; taps <= depthwiseTaps; taps++ {
				depthwiseOuter(v, taps)
			}
		}
	case "pointwise":
		for _, v := range []*isa{avx512, avx2} {
			pointwise(v)
		}
	case "window":
		for _, v := range []*isa{avx512, avx2} {
			windows(v)
		}
	case "winograd":
		for _, v := range []*isa{avx512, avx2} {
			winograd(v)
		}
	case "jpeg":
		jpeg()
	case "resize":
		resize()
	case "peak":
		for _, v := range []*isa{avx512, avx2} {
			peak(v)
		}
	default:
		log.Fatalf("unknown subject %q", subject)
	}
	Generate()
}

// isa is a set of vector instructions.
type isa struct {
	name    string
	lanes   int // float32 in a vector
	rows    int // tallest tile of gemm and outer that the registers hold beside two vectors and a broadcast
	dotRows int // rows of x that dot takes at once
	vector  func() reg.VecVirtual
}

var (
	avx512 = &isa{name: "AVX512", lanes: 16, rows: 14, dotRows: 4, vector: ZMM}
	avx2   = &isa{name: "AVX2", lanes: 8, rows: 6, dotRows: 3, vector: YMM}
)

func (v *isa) bytes() int { return 4 * v.lanes }

func (v *isa) vectors(n int) []reg.VecVirtual {
	r := make([]reg.VecVirtual, n)
	for i := range r {
		r[i] = v.vector()
	}
	return r
}

func (v *isa) zero(x reg.VecVirtual) {
	if v == avx512 {
		VPXORD(x, x, x)
	} else {
		VXORPS(x, x, x)
	}
}

// table declares 16 integers, the first time that a kernel of the file asks for them.
func table(name string, f func(i int) uint32) func() Mem {
	var m *Mem
	return func() Mem {
		if m == nil {
			g := GLOBL(name, RODATA|NOPTR)
			m = &g
			for i := range 16 {
				DATA(4*i, U32(f(i)))
			}
		}
		return *m
	}
}

var (
	lanes32 = table("lanes32", func(i int) uint32 { return uint32(i) })
	bits32  = table("bits32", func(i int) uint32 { return 1 << i })
)

// address is the memory of the parameter name.
func address(name string) Mem {
	c, err := Param(name).Resolve()
	if err != nil {
		log.Fatal(err)
	}
	return c.Addr
}

// elements loads a parameter that counts float32 and turns it into bytes.
func elements(name string) reg.GPVirtual {
	r := pointer(name)
	SHLQ(Imm(2), r)
	return r
}

// pointer loads a parameter of 64 bits.
func pointer(name string) reg.GPVirtual {
	r := GP64()
	Load(Param(name), r)
	return r
}

// rowAddresses addresses rows that lie stride bytes apart, with few registers: bases stand 5 strides apart, and an
// instruction reaches the four rows after each as its base plus 1, 2, 3 or 4 strides.
type rowAddresses struct {
	base            []reg.GPVirtual
	stride, stride3 reg.GPVirtual
}

func newRowAddresses(rows int, stride reg.GPVirtual) *rowAddresses {
	a := &rowAddresses{stride: stride}
	for i := 0; i < rows; i += 5 {
		a.base = append(a.base, GP64())
	}
	if rows > 3 {
		a.stride3 = GP64()
		LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, a.stride3)
	}
	return a
}

// beside addresses as many rows, as far apart, from p on.
func (a *rowAddresses) beside(p reg.GPVirtual) *rowAddresses {
	b := &rowAddresses{stride: a.stride, stride3: a.stride3}
	for range a.base {
		b.base = append(b.base, GP64())
	}
	b.start(p)
	return b
}

// start sets the bases for a first row at p.
func (a *rowAddresses) start(p reg.Register) {
	MOVQ(p, a.base[0])
	for i := 1; i < len(a.base); i++ {
		LEAQ(Mem{Base: a.base[i-1], Index: a.stride, Scale: 4}, a.base[i])
		ADDQ(a.stride, a.base[i])
	}
}

// advance moves all rows on by n bytes.
func (a *rowAddresses) advance(n Op) {
	for _, b := range a.base {
		ADDQ(n, b)
	}
}

func (a *rowAddresses) row(i, disp int) Mem {
	m := Mem{Base: a.base[i/5], Disp: disp}
	switch i % 5 {
	case 1:
		m.Index, m.Scale = a.stride, 1
	case 2:
		m.Index, m.Scale = a.stride, 2
	case 3:
		m.Index, m.Scale = a.stride3, 1
	case 4:
		m.Index, m.Scale = a.stride, 4
	}
	return m
}

// doc sets the stub's comment: one line that says what the kernel is, then the loop.
func doc(what, loop string) {
	lines := []string{what, ""}
	for _, l := range strings.Split(strings.Trim(loop, "\n"), "\n") {
		lines = append(lines, l)
	}
	Doc(lines...)
}
