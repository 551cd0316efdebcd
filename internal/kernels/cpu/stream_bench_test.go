package cpu

import (
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// BenchmarkStreams runs the operations that are bound by memory over a layer of ResNet-18 (56x56x64, batch 8) or its
// 512x512x3x3 parameters. Bytes are those that the operation must read and write.
func BenchmarkStreams(b *testing.B) {
	const c, params = 64, 9 * 512 * 512
	const m = benchBatch * 56 * 56
	x, y, z, dx := randomHost(m*c), randomHost(m*c), randomHost(m*c), randomHost(m*c)
	mean, invstd, gamma, beta, dgamma, dbeta := randomHost(c), randomHost(c), randomHost(c), randomHost(c), randomHost(c),
		randomHost(c)
	w, g, v, v2 := randomHost(params), randomHost(params), randomHost(params), make(kernels.Host, params)
	pool := kernels.Pool{N: benchBatch, H: 112, W: 112, C: c, P: 56, Q: 56, R: 3, S: 3, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}
	in, din := randomHost(pool.LenX()), randomHost(pool.LenX())
	maxima := randomHost(pool.LenY())
	average := kernels.Pool{N: benchBatch, H: 35, W: 35, C: 192, P: 35, Q: 35, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1}
	halved := kernels.Pool{N: benchBatch, H: 56, W: 56, C: 128, P: 28, Q: 28, R: 2, S: 2, StrideH: 2, StrideW: 2}
	global := kernels.Adaptive{N: benchBatch, H: 7, W: 7, C: 512, P: 1, Q: 1}
	last, pooled := randomHost(benchBatch*49*512), randomHost(benchBatch*512)

	d := benchDevice(b)
	if err := d.MaxPoolForward(pool, in, maxima); err != nil {
		b.Fatal(err)
	}
	runBenchmarks(b, []streamBenchmark{
		{"BatchNormStats", m * c, func() error { return d.BatchNormStats(m, c, x, mean, invstd, nil, nil, 0.1, 1e-5) }},
		{"BatchNormApply", 2 * m * c, func() error {
			return d.BatchNormApply(m, c, x, mean, invstd, gamma, beta, nil, y, kernels.ReLU)
		}},
		{"BatchNormApplyResidual", 3 * m * c, func() error {
			return d.BatchNormApply(m, c, x, mean, invstd, gamma, beta, z, y, kernels.ReLU)
		}},
		{"BatchNormReduce", 2 * m * c, func() error {
			return d.BatchNormReduce(m, c, y, x, mean, invstd, gamma, beta, dgamma, dbeta, kernels.Identity)
		}},
		{"BatchNormBackwardData", 3 * m * c, func() error {
			return d.BatchNormBackwardData(m, c, y, x, mean, invstd, gamma, beta, dgamma, dbeta, dx, kernels.Identity)
		}},
		{"BatchNormReduceReLU", 2 * m * c, func() error {
			return d.BatchNormReduce(m, c, y, x, mean, invstd, gamma, beta, dgamma, dbeta, kernels.ReLU)
		}},
		{"BatchNormBackwardDataReLU", 3 * m * c, func() error {
			return d.BatchNormBackwardData(m, c, y, x, mean, invstd, gamma, beta, dgamma, dbeta, dx, kernels.ReLU)
		}},
		{"SumRows", m * c, func() error { return d.SumRows(m, c, x, dbeta) }},
		{"ActivateBackward", 3 * m * c, func() error { return d.ActivateBackward(kernels.ReLU, y, z, dx) }},
		{"Add", 3 * m * c, func() error { return d.Add([]kernels.Buffer{x, z}, y, kernels.ReLU) }},
		{"Dropout", 2 * m * c, func() error { return d.Dropout(0.5, kernels.DropoutKey{}, x, y) }},
		{"MaxPoolForward", 5 * m * c, func() error { return d.MaxPoolForward(pool, in, y) }},
		{"MaxPoolBackward", 10 * m * c, func() error { return d.MaxPoolBackward(pool, in, maxima, z, din) }},
		{"AvgPoolForward3x3", 2 * average.LenX(), func() error { return d.AvgPoolForward(average, in[:average.LenX()], din[:average.LenX()]) }},
		{"AvgPoolBackward3x3", 2 * average.LenX(), func() error { return d.AvgPoolBackward(average, in[:average.LenX()], din[:average.LenX()]) }},
		{"AvgPoolForward2x2", halved.LenX() + halved.LenY(), func() error {
			return d.AvgPoolForward(halved, in[:halved.LenX()], din[:halved.LenY()])
		}},
		{"AvgPoolBackward2x2", halved.LenX() + halved.LenY(), func() error {
			return d.AvgPoolBackward(halved, in[:halved.LenY()], din[:halved.LenX()])
		}},
		{"GlobalAverage", 49 * 512 * benchBatch, func() error { return d.AdaptiveAvgPoolForward(global, last, pooled) }},
		{"GlobalAverageBackward", 49 * 512 * benchBatch, func() error { return d.AdaptiveAvgPoolBackward(global, pooled, last) }},
		{"CopyChannels", 2 * m * c, func() error { return d.CopyChannels(m, c, x, c, 0, in[:2*m*c], 2*c, c) }},
		{"ToNCHW", 2 * m * c, func() error { return d.ToNCHW(benchBatch, 56, 56, c, x, y) }},
		{"SGD", 5 * params, func() error { return d.SGD(kernels.SGD{LR: 1e-3, Momentum: 0.9}, w, g, v) }},
		{"Adam", 7 * params, func() error {
			return d.Adam(kernels.Adam{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 2}, w, g, v, v2)
		}},
		{"SumSquares", params, func() error { _, err := d.SumSquares(g); return err }},
	})
}

// BenchmarkLargeStreams runs operations over arrays that no cache holds: the first max pool of ResNet-18 and the first
// large batch norm of MobileNetV2, batch 8.
func BenchmarkLargeStreams(b *testing.B) {
	d := benchDevice(b)
	pool := kernels.Pool{N: benchBatch, H: 112, W: 112, C: 64, P: 56, Q: 56, R: 3, S: 3, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}
	maxima, dy := randomHost(pool.LenY()), randomHost(pool.LenY())
	const m, c = benchBatch * 112 * 112, 96
	x, y := randomHost(m*c), randomHost(m*c)
	mean, invstd, gamma, beta, dgamma, dbeta := randomHost(c), randomHost(c), randomHost(c), randomHost(c), randomHost(c),
		randomHost(c)
	in, din := x[:pool.LenX()], y[:pool.LenX()]
	if err := d.MaxPoolForward(pool, in, maxima); err != nil {
		b.Fatal(err)
	}
	runBenchmarks(b, []streamBenchmark{
		{"MaxPoolForward", pool.LenX() + pool.LenY(), func() error { return d.MaxPoolForward(pool, in, maxima) }},
		{"MaxPoolBackward", 2*pool.LenX() + 2*pool.LenY(), func() error { return d.MaxPoolBackward(pool, in, maxima, dy, din) }},
		{"BatchNormStats", m * c, func() error { return d.BatchNormStats(m, c, x, mean, invstd, nil, nil, 0.1, 1e-5) }},
		{"BatchNormApply", 2 * m * c, func() error {
			return d.BatchNormApply(m, c, x, mean, invstd, gamma, beta, nil, y, kernels.ReLU6)
		}},
		{"BatchNormReduceReLU6", 2 * m * c, func() error {
			return d.BatchNormReduce(m, c, y, x, mean, invstd, gamma, beta, dgamma, dbeta, kernels.ReLU6)
		}},
		{"BatchNormBackwardDataReLU6", 3 * m * c, func() error { // in place, as networks have it
			return d.BatchNormBackwardData(m, c, y, x, mean, invstd, gamma, beta, dgamma, dbeta, y, kernels.ReLU6)
		}},
	})
}

// streamBenchmark is an operation and the elements that it must read and write.
type streamBenchmark struct {
	name     string
	elements int
	run      func() error
}

func runBenchmarks(b *testing.B, benchmarks []streamBenchmark) {
	for _, bm := range benchmarks {
		b.Run(bm.name, func(b *testing.B) {
			b.SetBytes(int64(4 * bm.elements))
			for b.Loop() {
				if err := bm.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
