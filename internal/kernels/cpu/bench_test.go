package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// benchBatch and benchThreads are those of all benchmarks; FTRUN_CPU chooses the path.
const (
	benchBatch   = 8
	benchThreads = 2
)

func benchConv(c, k, r, stride, pad, h, groups int) kernels.Conv {
	return kernels.Conv{N: benchBatch, H: h, W: h, C: c, K: k, R: r, S: r, StrideH: stride, StrideW: stride,
		PadH: pad, PadW: pad, Groups: groups}
}

// benchConvs are layers of torchvision's networks at 224 pixels.
var benchConvs = []struct {
	name string
	conv kernels.Conv
}{
	{"resnet-7x7s2-3-64-224", benchConv(3, 64, 7, 2, 3, 224, 1)},
	{"resnet-3x3-64-64-56", benchConv(64, 64, 3, 1, 1, 56, 1)},
	{"resnet-3x3s2-64-128-56", benchConv(64, 128, 3, 2, 1, 56, 1)},
	{"resnet-3x3-128-128-28", benchConv(128, 128, 3, 1, 1, 28, 1)},
	{"resnet-3x3-256-256-14", benchConv(256, 256, 3, 1, 1, 14, 1)},
	{"resnet-3x3-512-512-7", benchConv(512, 512, 3, 1, 1, 7, 1)},
	{"resnet-1x1s2-64-128-56", benchConv(64, 128, 1, 2, 0, 56, 1)},
	{"resnet-1x1-2048-512-7", benchConv(2048, 512, 1, 1, 0, 7, 1)},
	{"resnet-1x1-512-2048-7", benchConv(512, 2048, 1, 1, 0, 7, 1)},
	{"resnet-1x1-1024-256-14", benchConv(1024, 256, 1, 1, 0, 14, 1)},
	{"resnet-1x1-256-1024-14", benchConv(256, 1024, 1, 1, 0, 14, 1)},
	{"resnext-3x3-256-256-28-g32", benchConv(256, 256, 3, 1, 1, 28, 32)},
	{"densenet-1x1-256-128-56", benchConv(256, 128, 1, 1, 0, 56, 1)},
	{"densenet-3x3-128-32-28", benchConv(128, 32, 3, 1, 1, 28, 1)},
	{"squeezenet-1x1-128-16-55", benchConv(128, 16, 1, 1, 0, 55, 1)},
	{"squeezenet-1x1-16-64-55", benchConv(16, 64, 1, 1, 0, 55, 1)},
	{"squeezenet-3x3-16-64-55", benchConv(16, 64, 3, 1, 1, 55, 1)},
	{"mobilenet-3x3s2-3-32-224", benchConv(3, 32, 3, 2, 1, 224, 1)},
	{"mobilenet-1x1-24-144-56", benchConv(24, 144, 1, 1, 0, 56, 1)},
	{"mobilenet-1x1-144-24-56", benchConv(144, 24, 1, 1, 0, 56, 1)},
	{"mobilenet-1x1-160-960-7", benchConv(160, 960, 1, 1, 0, 7, 1)},
	{"mobilenet-dw3x3-32-112", benchConv(32, 32, 3, 1, 1, 112, 32)},
	{"mobilenet-dw3x3s2-96-112", benchConv(96, 96, 3, 2, 1, 112, 96)},
	{"mobilenet-dw3x3-144-56", benchConv(144, 144, 3, 1, 1, 56, 144)},
	{"mobilenet-dw3x3s2-144-56", benchConv(144, 144, 3, 2, 1, 56, 144)},
	{"mobilenet-dw3x3s2-576-14", benchConv(576, 576, 3, 2, 1, 14, 576)},
	{"mobilenet-dw3x3-960-7", benchConv(960, 960, 3, 1, 1, 7, 960)},
	{"efficientnet-dw5x5-240-28", benchConv(240, 240, 5, 1, 2, 28, 240)},
}

func benchDevice(b *testing.B) *Device {
	d, err := New(benchThreads)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { d.Close() })
	return d
}

func randomHost(n int) kernels.Host {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	x := kernels.Host(aligned(n))
	for i := range x {
		x[i] = r.Float32() - 0.5
	}
	return x
}

// report runs f and reports the multiplications and additions a second.
func report(b *testing.B, macs int, f func() error) {
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(2*float64(macs)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N), "ms")
}

func forBenchConvs(b *testing.B, f func(d *Device, c kernels.Conv, x, w, y kernels.Host) error) {
	d := benchDevice(b)
	for _, bc := range benchConvs {
		b.Run(bc.name, func(b *testing.B) {
			c := bc.conv
			x, w, y := randomHost(c.LenX()), randomHost(c.LenW()), randomHost(c.LenY())
			report(b, c.LenY()*c.R*c.S*c.C/c.Groups, func() error { return f(d, c, x, w, y) })
		})
	}
}

func BenchmarkConvForward(b *testing.B) {
	forBenchConvs(b, func(d *Device, c kernels.Conv, x, w, y kernels.Host) error {
		return d.ConvForward(c, x, w, nil, y, kernels.Identity)
	})
}

func BenchmarkConvBackwardData(b *testing.B) {
	forBenchConvs(b, func(d *Device, c kernels.Conv, x, w, y kernels.Host) error {
		return d.ConvBackwardData(c, w, y, x)
	})
}

func BenchmarkConvBackwardWeights(b *testing.B) {
	forBenchConvs(b, func(d *Device, c kernels.Conv, x, w, y kernels.Host) error {
		return d.ConvBackwardWeights(c, x, y, w)
	})
}

func BenchmarkLinear(b *testing.B) {
	d := benchDevice(b)
	for _, l := range []kernels.Linear{
		{N: 8, I: 512, O: 1000}, {N: 8, I: 2048, O: 2}, {N: 256, I: 512, O: 10},
		{N: 1, I: 4096, O: 4096}, {N: 8, I: 4096, O: 4096}, {N: 32, I: 4096, O: 4096},
		{N: 8, I: 9216, O: 4096}, {N: 32, I: 9216, O: 4096},
	} {
		x, w, y := randomHost(l.N*l.I), randomHost(l.O*l.I), randomHost(l.N*l.O)
		name := fmt.Sprintf("%d-%d-%d", l.N, l.I, l.O)
		macs := l.N * l.I * l.O
		b.Run(name+"/Forward", func(b *testing.B) {
			report(b, macs, func() error { return d.LinearForward(l, x, w, nil, y, kernels.Identity) })
		})
		b.Run(name+"/BackwardData", func(b *testing.B) {
			report(b, macs, func() error { return d.LinearBackwardData(l, w, y, x) })
		})
		b.Run(name+"/BackwardWeights", func(b *testing.B) {
			report(b, macs, func() error { return d.LinearBackwardWeights(l, x, y, w) })
		})
	}
}
