//go:build !amd64

package jpeg

func inverse(coef []int16, quant *[128]int16, pix []uint8, stride int) {
	inverseGeneric(coef, quant, pix, stride)
}
func h2v1(out, pix []uint8, at, n int)        { h2v1Generic(out, pix, at, n) }
func h2v2(out, pix []uint8, near, far, n int) { h2v2Generic(out, pix, near, far, n) }
func yccRow(out, y, cb, cr []uint8)           { yccRowGeneric(out, y, cb, cr) }
