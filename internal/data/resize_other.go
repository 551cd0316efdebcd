//go:build !amd64

package data

func (f *filter) rows(out, in []uint8, rows, outStride, inStride int) {
	f.rowsGeneric(out, in, rows, outStride, inStride)
}

func (f *filter) columns(out, in []uint8, stride, y int, acc []int32) {
	f.columnsGeneric(out, in, stride, y, acc)
}
