package cpu

// avx512Micro and avx2Micro name the kernels that gen/ wrote.
var (
	avx512Micro = micro{
		peak: peakAVX512, peakFlops: 2 * peakVectors * 16,

		rows:  14,
		width: [2]int{16, 32},
		gemm: [2][maxRows + 1]gemmFunc{
			{
				1: gemm1x16AVX512, 2: gemm2x16AVX512, 3: gemm3x16AVX512, 4: gemm4x16AVX512,
				5: gemm5x16AVX512, 6: gemm6x16AVX512, 7: gemm7x16AVX512, 8: gemm8x16AVX512,
				9: gemm9x16AVX512, 10: gemm10x16AVX512, 11: gemm11x16AVX512, 12: gemm12x16AVX512,
				13: gemm13x16AVX512, 14: gemm14x16AVX512,
			},
			{
				1: gemm1x32AVX512, 2: gemm2x32AVX512, 3: gemm3x32AVX512, 4: gemm4x32AVX512,
				5: gemm5x32AVX512, 6: gemm6x32AVX512, 7: gemm7x32AVX512, 8: gemm8x32AVX512,
				9: gemm9x32AVX512, 10: gemm10x32AVX512, 11: gemm11x32AVX512, 12: gemm12x32AVX512,
				13: gemm13x32AVX512, 14: gemm14x32AVX512,
			},
		},
		outer: [2][maxRows + 1]outerFunc{
			{
				1: outer1x16AVX512, 2: outer2x16AVX512, 3: outer3x16AVX512, 4: outer4x16AVX512,
				5: outer5x16AVX512, 6: outer6x16AVX512, 7: outer7x16AVX512, 8: outer8x16AVX512,
				9: outer9x16AVX512, 10: outer10x16AVX512, 11: outer11x16AVX512, 12: outer12x16AVX512,
				13: outer13x16AVX512, 14: outer14x16AVX512,
			},
			{
				1: outer1x32AVX512, 2: outer2x32AVX512, 3: outer3x32AVX512, 4: outer4x32AVX512,
				5: outer5x32AVX512, 6: outer6x32AVX512, 7: outer7x32AVX512, 8: outer8x32AVX512,
				9: outer9x32AVX512, 10: outer10x32AVX512, 11: outer11x32AVX512, 12: outer12x32AVX512,
				13: outer13x32AVX512, 14: outer14x32AVX512,
			},
		},
		combine: [2][maxRows + 1]combineFunc{
			{
				1: combine1x16AVX512, 2: combine2x16AVX512, 3: combine3x16AVX512, 4: combine4x16AVX512,
				5: combine5x16AVX512, 6: combine6x16AVX512, 7: combine7x16AVX512, 8: combine8x16AVX512,
				9: combine9x16AVX512, 10: combine10x16AVX512, 11: combine11x16AVX512, 12: combine12x16AVX512,
				13: combine13x16AVX512, 14: combine14x16AVX512,
			},
			{
				1: combine1x32AVX512, 2: combine2x32AVX512, 3: combine3x32AVX512, 4: combine4x32AVX512,
				5: combine5x32AVX512, 6: combine6x32AVX512, 7: combine7x32AVX512, 8: combine8x32AVX512,
				9: combine9x32AVX512, 10: combine10x32AVX512, 11: combine11x32AVX512, 12: combine12x32AVX512,
				13: combine13x32AVX512, 14: combine14x32AVX512,
			},
		},
		dotRows: 4,
		dot:     [maxDot + 1]dotFunc{1: dot1x4AVX512, 2: dot2x4AVX512, 3: dot3x4AVX512, 4: dot4x4AVX512},
		dot1:    [maxDot + 1]dotFunc{1: dot1x1AVX512, 2: dot2x1AVX512, 3: dot3x1AVX512, 4: dot4x1AVX512},
		depthwise: [maxPixel + 1]depthwiseFunc{
			1: depthwise1AVX512, 2: depthwise2AVX512, 3: depthwise3AVX512, 4: depthwise4AVX512,
			5: depthwise5AVX512, 6: depthwise6AVX512, 7: depthwise7AVX512, 8: depthwise8AVX512,
		},
		depthwiseOuter: [maxTap + 1]depthwiseOuterFunc{
			1: depthwiseOuter1AVX512, 2: depthwiseOuter2AVX512, 3: depthwiseOuter3AVX512, 4: depthwiseOuter4AVX512,
			5: depthwiseOuter5AVX512,
		},
		winograd2: winogradKernels{
			winogradInput2AVX512, winogradFilter2AVX512, winogradOutput2AVX512, winogradGradient2AVX512, winogradWeights2AVX512,
		},
		winograd4: winogradKernels{
			winogradInput4AVX512, winogradFilter4AVX512, winogradOutput4AVX512, winogradGradient4AVX512, winogradWeights4AVX512,
		},
		side:      16,
		transpose: transpose16AVX512,
	}
	avx2Micro = micro{
		peak: peakAVX2, peakFlops: 2 * peakVectors * 8,

		rows:  6,
		width: [2]int{8, 16},
		gemm: [2][maxRows + 1]gemmFunc{
			{
				1: gemm1x8AVX2, 2: gemm2x8AVX2, 3: gemm3x8AVX2, 4: gemm4x8AVX2,
				5: gemm5x8AVX2, 6: gemm6x8AVX2,
			},
			{
				1: gemm1x16AVX2, 2: gemm2x16AVX2, 3: gemm3x16AVX2, 4: gemm4x16AVX2,
				5: gemm5x16AVX2, 6: gemm6x16AVX2,
			},
		},
		outer: [2][maxRows + 1]outerFunc{
			{
				1: outer1x8AVX2, 2: outer2x8AVX2, 3: outer3x8AVX2, 4: outer4x8AVX2,
				5: outer5x8AVX2, 6: outer6x8AVX2,
			},
			{
				1: outer1x16AVX2, 2: outer2x16AVX2, 3: outer3x16AVX2, 4: outer4x16AVX2,
				5: outer5x16AVX2, 6: outer6x16AVX2,
			},
		},
		combine: [2][maxRows + 1]combineFunc{
			{
				1: combine1x8AVX2, 2: combine2x8AVX2, 3: combine3x8AVX2, 4: combine4x8AVX2,
				5: combine5x8AVX2, 6: combine6x8AVX2,
			},
			{
				1: combine1x16AVX2, 2: combine2x16AVX2, 3: combine3x16AVX2, 4: combine4x16AVX2,
				5: combine5x16AVX2, 6: combine6x16AVX2,
			},
		},
		dotRows: 3,
		dot:     [maxDot + 1]dotFunc{1: dot1x4AVX2, 2: dot2x4AVX2, 3: dot3x4AVX2},
		dot1:    [maxDot + 1]dotFunc{1: dot1x1AVX2, 2: dot2x1AVX2, 3: dot3x1AVX2},
		depthwise: [maxPixel + 1]depthwiseFunc{
			1: depthwise1AVX2, 2: depthwise2AVX2, 3: depthwise3AVX2, 4: depthwise4AVX2,
			5: depthwise5AVX2, 6: depthwise6AVX2, 7: depthwise7AVX2, 8: depthwise8AVX2,
		},
		depthwiseOuter: [maxTap + 1]depthwiseOuterFunc{
			1: depthwiseOuter1AVX2, 2: depthwiseOuter2AVX2, 3: depthwiseOuter3AVX2, 4: depthwiseOuter4AVX2,
			5: depthwiseOuter5AVX2,
		},
		winograd2: winogradKernels{
			winogradInput2AVX2, winogradFilter2AVX2, winogradOutput2AVX2, winogradGradient2AVX2, winogradWeights2AVX2,
		},
		winograd4: winogradKernels{
			winogradInput4AVX2, winogradFilter4AVX2, winogradOutput4AVX2, winogradGradient4AVX2, winogradWeights4AVX2,
		},
		side:      8,
		transpose: transpose8AVX2,
	}
)

// microOf is the micro-kernels of a path.
func microOf(p path) *micro {
	switch p {
	case avx512:
		return &avx512Micro
	case avx2:
		return &avx2Micro
	}
	return &genericMicro
}
