package data

import (
	"golang.org/x/sys/cpu"

	"github.com/ftrun/ftrun/internal/host"
)

//go:generate go run -C ../kernels/cpu/gen . -pkg data -out ../../../data/resize_amd64.s -stubs ../../../data/resize_stubs_amd64.go resize

// useAVX2 is for tests to switch off, too: both ways give the same bytes.
var useAVX2 = cpu.X86.HasAVX2 && !host.Portable()

// rows is rowsGeneric, four rows at a time as long as there is a byte after the last pixel that they read.
func (f *filter) rows(out, in []uint8, rows, outStride, inStride int) {
	y := 0
	if n := len(f.first); useAVX2 {
		reach := 3*int(f.first[n-1]+f.count[n-1]) + 1
		for ; y+4 <= rows && (y+3)*inStride+reach <= len(in); y += 4 {
			_ = out[(y+3)*outStride+3*n-1]
			filterRowsAVX2(&out[y*outStride], &in[y*inStride], outStride, inStride, &f.first[0], &f.count[0], &f.coeff[0], f.size, n)
		}
	}
	if y < rows {
		f.rowsGeneric(out[y*outStride:], in[y*inStride:], rows-y, outStride, inStride)
	}
}

// columns is columnsGeneric, 32 bytes at a time: the last ones, where fewer remain, anew together with some before.
func (f *filter) columns(out, in []uint8, stride, y int, acc []int32) {
	n := len(out)
	if !useAVX2 || n < 32 {
		f.columnsGeneric(out, in, stride, y, acc)
		return
	}
	k := f.taps(y)
	_ = in[(len(k)-1)*stride+n-1]
	filterColumnsAVX2(&out[0], &in[0], stride, &k[0], len(k), n&^31)
	if n%32 != 0 {
		filterColumnsAVX2(&out[n-32], &in[n-32], stride, &k[0], len(k), 32)
	}
}
