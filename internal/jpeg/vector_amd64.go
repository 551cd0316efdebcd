package jpeg

import (
	"golang.org/x/sys/cpu"

	"github.com/ftrun/ftrun/internal/host"
)

//go:generate go run -C ../kernels/cpu/gen . -pkg jpeg -out ../../../jpeg/vector_amd64.s -stubs ../../../jpeg/vector_stubs_amd64.go jpeg

// useAVX2 is for tests to switch off, too: both ways give the same bytes.
var useAVX2 = cpu.X86.HasAVX2 && !host.Portable()

func inverse(coef []int16, quant *[128]int16, pix []uint8, stride int) {
	if !useAVX2 {
		inverseGeneric(coef, quant, pix, stride)
		return
	}
	_ = pix[7*stride+len(coef)/8-1]
	inverseAVX2(&coef[0], &quant[0], &pix[0], stride, len(coef)/128)
}

// The kernels read and write up to 16 samples more than they are asked for: margin is there for them.

func h2v1(out, pix []uint8, at, n int) {
	if !useAVX2 {
		h2v1Generic(out, pix, at, n)
		return
	}
	_, _ = out[2*n+margin-1], pix[at+n+margin-1]
	h2v1AVX2(&out[0], &pix[at], n)
}

func h2v2(out, pix []uint8, near, far, n int) {
	if !useAVX2 {
		h2v2Generic(out, pix, near, far, n)
		return
	}
	_, _, _ = out[2*n+margin-1], pix[near+n+margin-1], pix[far+n+margin-1]
	h2v2AVX2(&out[0], &pix[near], &pix[far], n)
}

func yccRow(out, y, cb, cr []uint8) {
	n := len(out) / 3
	whole := n &^ 31
	if !useAVX2 {
		yccRowGeneric(out, y, cb, cr)
		return
	}
	if whole > 0 {
		_, _, _ = y[whole-1], cb[whole-1], cr[whole-1]
		yccRowAVX2(&out[0], &y[0], &cb[0], &cr[0], whole)
	}
	if n > whole {
		_, _, _ = y[whole+31], cb[whole+31], cr[whole+31]
		var rest [96]uint8
		yccRowAVX2(&rest[0], &y[whole], &cb[whole], &cr[whole], 32)
		copy(out[3*whole:], rest[:])
	}
}
