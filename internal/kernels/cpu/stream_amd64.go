package cpu

// avx512Streams and avx2Streams name the kernels that gen/ wrote.
var (
	avx512Streams = streams{
		clamp:                  clampAVX512,
		addClamp:               addClampAVX512,
		gate:                   gateAVX512,
		scale:                  scaleAVX512,
		dropout:                dropoutAVX512,
		scaleRows:              scaleRowsAVX512,
		normalize:              stored[func(x, y, mean, f, beta *float32, rows, n int, lo, hi float32)]{normalizeAVX512, normalizePastAVX512},
		normalizeAdd:           stored[func(x, res, y, mean, f, beta *float32, rows, n int, lo, hi float32)]{normalizeAddAVX512, normalizeAddPastAVX512},
		normalizeBackward:      normalizeBackwardAVX512,
		normalizeBackwardGated: normalizeBackwardGatedAVX512,
		sgd:                    sgdAVX512,
		sgdMomentum:            sgdMomentumAVX512,
		adam:                   adamAVX512,
		narrow:                 16, wide: 64,
		sumColumns:       columns[func(x, sum *float32, rows, stride, n int)]{sumColumns1AVX512, sumColumns4AVX512},
		moments:          columns[func(x, shift, sum, squares *float32, rows, stride, n int)]{moments1AVX512, moments4AVX512},
		projections:      columns[func(dy, x, mean, sum, products *float32, rows, stride, n int)]{projections1AVX512, projections4AVX512},
		projectionsGated: columns[func(dy, x, mean, f, beta, sum, products *float32, rows, stride, n int, top float32)]{projectionsGated1AVX512, projectionsGated4AVX512},
		squareLanes:      32, sumSquares: sumSquaresAVX512,
		maxWindow:    maxWindowAVX512,
		sumWindow:    sumWindowAVX512,
		spreadWindow: spreadWindowAVX512,
		firstMaximum: firstMaximumAVX512,
		collect:      stored[func(index *int32, dy, dx *float32, pixels, rows, row, n, tap, size, stride, line, lines int)]{collectAVX512, collectPastAVX512},
	}
	avx2Streams = streams{
		clamp:                  clampAVX2,
		addClamp:               addClampAVX2,
		gate:                   gateAVX2,
		scale:                  scaleAVX2,
		dropout:                dropoutAVX2,
		scaleRows:              scaleRowsAVX2,
		normalize:              stored[func(x, y, mean, f, beta *float32, rows, n int, lo, hi float32)]{normalizeAVX2, normalizePastAVX2},
		normalizeAdd:           stored[func(x, res, y, mean, f, beta *float32, rows, n int, lo, hi float32)]{normalizeAddAVX2, normalizeAddPastAVX2},
		normalizeBackward:      normalizeBackwardAVX2,
		normalizeBackwardGated: normalizeBackwardGatedAVX2,
		sgd:                    sgdAVX2,
		sgdMomentum:            sgdMomentumAVX2,
		adam:                   adamAVX2,
		narrow:                 8, wide: 32,
		sumColumns:       columns[func(x, sum *float32, rows, stride, n int)]{sumColumns1AVX2, sumColumns4AVX2},
		moments:          columns[func(x, shift, sum, squares *float32, rows, stride, n int)]{moments1AVX2, moments4AVX2},
		projections:      columns[func(dy, x, mean, sum, products *float32, rows, stride, n int)]{projections1AVX2, projections4AVX2},
		projectionsGated: columns[func(dy, x, mean, f, beta, sum, products *float32, rows, stride, n int, top float32)]{projectionsGated1AVX2, projectionsGated4AVX2},
		squareLanes:      16, sumSquares: sumSquaresAVX2,
		maxWindow:    maxWindowAVX2,
		sumWindow:    sumWindowAVX2,
		spreadWindow: spreadWindowAVX2,
		firstMaximum: firstMaximumAVX2,
		collect:      stored[func(index *int32, dy, dx *float32, pixels, rows, row, n, tap, size, stride, line, lines int)]{collectAVX2, collectPastAVX2},
	}
)

// streams is the kernels of the device's path.
func (d *Device) streams() *streams {
	switch d.path {
	case avx512:
		return &avx512Streams
	case avx2:
		return &avx2Streams
	}
	return &genericStreams
}
