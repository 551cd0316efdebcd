package kerneltest

import (
	"fmt"
	"math"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// poolCase is a pooling for any number of pictures and channels.
type poolCase struct {
	name string
	pool kernels.Pool // of one picture with one channel
}

func (p poolCase) at(n, c int) kernels.Pool {
	d := p.pool
	d.N, d.C = n, c
	return d
}

// pool makes a pooling with P and Q as torch has them: in ceil mode the last window starts inside the picture or in the
// padding before it.
func pool(h, w, size, stride, pad int, ceil bool) kernels.Pool {
	extent := func(n int) int {
		if !ceil {
			return (n+2*pad-size)/stride + 1
		}
		p := (n+2*pad-size+stride-1)/stride + 1
		if (p-1)*stride >= n+pad {
			p--
		}
		return p
	}
	return kernels.Pool{N: 1, H: h, W: w, C: 1, P: extent(h), Q: extent(w), R: size, S: size, StrideH: stride, StrideW: stride,
		PadH: pad, PadW: pad}
}

var poolCases = []poolCase{
	{"3x3 stride 2 padding 1 (resnet)", pool(11, 12, 3, 2, 1, false)},
	{"3x3 stride 2 (alexnet, inception)", pool(13, 12, 3, 2, 0, false)},
	{"3x3 stride 1 padding 1 (inception)", pool(5, 6, 3, 1, 1, false)},
	{"2x2 stride 2 (vgg, densenet)", pool(8, 6, 2, 2, 0, false)},
	{"2x2 stride 2 of an odd picture", pool(7, 9, 2, 2, 0, false)},
	{"5x5 stride 3 (inception's auxiliary head)", pool(17, 14, 5, 3, 0, false)},
	{"1x1 stride 2", pool(6, 5, 1, 2, 0, false)},
	{"whole picture", pool(4, 4, 4, 1, 0, false)},
	{"4x2 strides 3 and 1, paddings 2 and 1", kernels.Pool{N: 1, H: 8, W: 5, C: 1, P: 3, Q: 6, R: 4, S: 2, StrideH: 3,
		StrideW: 1, PadH: 2, PadW: 1}},
}

var ceilPoolCases = []poolCase{
	{"3x3 stride 2 ceil (squeezenet)", pool(12, 14, 3, 2, 0, true)},
	{"3x3 stride 2 ceil, nothing to round", pool(13, 11, 3, 2, 0, true)},
	{"2x2 stride 2 ceil padding 1", pool(4, 5, 2, 2, 1, true)},
	{"2x2 stride 3 ceil", pool(8, 7, 2, 3, 0, true)},
}

// forPools runs f for each pooling, with every channel count for the first and some for the others.
func forPools(t *testing.T, cases []poolCase, f func(t *testing.T, p poolCase, c int)) {
	for i, test := range cases {
		for _, c := range channelCounts {
			if i > 0 && c != 3 && c != 16 && c != 33 {
				continue
			}
			t.Run(fmt.Sprintf("%s of %d", test.name, c), func(t *testing.T) { f(t, test, c) })
		}
	}
}

// poolInputs are the contents that a maximum can get wrong.
var poolInputs = []struct {
	name string
	make func(r source, n int) []float32
}{
	{"random", source.normal},
	{"ties", source.coarse},
	{"zeros", func(_ source, n int) []float32 { return zeros(n) }},
	{"negative", func(r source, n int) []float32 { return shifted(r.normal(n), -100) }},
	{"NaN", func(r source, n int) []float32 {
		x := r.normal(n)
		for i := range x {
			switch r.IntN(12) {
			case 0:
				x[i] = float32(math.NaN())
			case 1:
				x[i] = float32(math.Inf(1))
			case 2:
				x[i] = float32(math.Inf(-1))
			}
		}
		return x
	}},
	{"minus infinity", func(_ source, n int) []float32 { return shifted(zeros(n), float32(math.Inf(-1))) }},
}

func (s *suite) maxPoolForward(t *testing.T) {
	forPools(t, append(poolCases, ceilPoolCases...), func(t *testing.T, p poolCase, c int) {
		build := func(n int, fill func(r source, n int) []float32) call {
			d := p.at(n, c)
			return call{
				args: []arg{
					{name: "x", data: fill(newSource(p.name), d.LenX()), batched: true},
					{name: "y", data: zeros(d.LenY()), role: out, batched: true},
				},
				run: func(dev kernels.Device, b []kernels.Buffer) error { return dev.MaxPoolForward(d, b[0], b[1]) },
			}
		}
		for _, input := range poolInputs {
			s.check(t, build(3, input.make), exact)
		}
		s.checkPictures(t, func(n int) call { return build(n, source.normal) })
	})
}

func (s *suite) maxPoolBackward(t *testing.T) {
	forPools(t, append(poolCases, ceilPoolCases...), func(t *testing.T, p poolCase, c int) {
		build := func(n int, fill func(r source, n int) []float32) call {
			d, r := p.at(n, c), newSource(p.name)
			x, y := fill(r, d.LenX()), zeros(d.LenY())
			if err := s.ref.MaxPoolForward(d, kernels.Host(x), kernels.Host(y)); err != nil {
				t.Fatal(err)
			}
			return call{
				args: []arg{
					{name: "x", data: x, batched: true},
					{name: "y", data: y, batched: true},
					{name: "dy", data: r.normal(d.LenY()), batched: true},
					{name: "dx", data: zeros(d.LenX()), role: out, batched: true},
				},
				run: func(dev kernels.Device, b []kernels.Buffer) error {
					return dev.MaxPoolBackward(d, b[0], b[1], b[2], b[3])
				},
			}
		}
		for _, input := range poolInputs {
			s.check(t, build(3, input.make), pointwise)
		}
		s.checkPictures(t, func(n int) call { return build(n, source.coarse) })
	})
}

func (s *suite) avgPoolForward(t *testing.T) {
	forPools(t, poolCases, func(t *testing.T, p poolCase, c int) {
		build := func(n int) call {
			d := p.at(n, c)
			return call{
				args: []arg{
					{name: "x", data: newSource(p.name).normal(d.LenX()), batched: true},
					{name: "y", data: zeros(d.LenY()), role: out, batched: true},
				},
				run: func(dev kernels.Device, b []kernels.Buffer) error { return dev.AvgPoolForward(d, b[0], b[1]) },
			}
		}
		s.check(t, build(3), pointwise)
		s.checkPictures(t, build)
	})
}

func (s *suite) avgPoolBackward(t *testing.T) {
	forPools(t, poolCases, func(t *testing.T, p poolCase, c int) {
		build := func(n int) call {
			d := p.at(n, c)
			return call{
				args: []arg{
					{name: "dy", data: newSource(p.name).normal(d.LenY()), batched: true},
					{name: "dx", data: zeros(d.LenX()), role: out, batched: true},
				},
				run: func(dev kernels.Device, b []kernels.Buffer) error { return dev.AvgPoolBackward(d, b[0], b[1]) },
			}
		}
		s.check(t, build(3), pointwise)
		s.checkPictures(t, build)
	})
}

var adaptiveCases = []struct {
	name string
	pool kernels.Adaptive
}{
	{"global (resnet, mobilenet)", kernels.Adaptive{H: 7, W: 6, P: 1, Q: 1}},
	{"global of one position", kernels.Adaptive{H: 1, W: 1, P: 1, Q: 1}},
	{"13 to 6 (alexnet)", kernels.Adaptive{H: 13, W: 11, P: 6, Q: 6}},
	{"7 to 7 (vgg)", kernels.Adaptive{H: 7, W: 7, P: 7, Q: 7}},
	{"10 to 7, windows overlap", kernels.Adaptive{H: 10, W: 9, P: 7, Q: 7}},
	{"2 to 5, more than there is", kernels.Adaptive{H: 2, W: 3, P: 5, Q: 7}},
}

func (s *suite) adaptiveAvgPoolForward(t *testing.T) {
	s.adaptive(t, func(d kernels.Adaptive, random func(n int) []float32) call {
		return call{
			args: []arg{
				{name: "x", data: random(d.N * d.H * d.W * d.C), batched: true},
				{name: "y", data: zeros(d.N * d.P * d.Q * d.C), role: out, batched: true},
			},
			run: func(dev kernels.Device, b []kernels.Buffer) error { return dev.AdaptiveAvgPoolForward(d, b[0], b[1]) },
		}
	})
}

func (s *suite) adaptiveAvgPoolBackward(t *testing.T) {
	s.adaptive(t, func(d kernels.Adaptive, random func(n int) []float32) call {
		return call{
			args: []arg{
				{name: "dy", data: random(d.N * d.P * d.Q * d.C), batched: true},
				{name: "dx", data: zeros(d.N * d.H * d.W * d.C), role: out, batched: true},
			},
			run: func(dev kernels.Device, b []kernels.Buffer) error { return dev.AdaptiveAvgPoolBackward(d, b[0], b[1]) },
		}
	})
}

// adaptive checks one direction over all cases and numbers of channels.
func (s *suite) adaptive(t *testing.T, build func(d kernels.Adaptive, random func(n int) []float32) call) {
	for _, test := range adaptiveCases {
		for _, c := range channelCounts {
			t.Run(fmt.Sprintf("%s of %d", test.name, c), func(t *testing.T) {
				batch := func(n int) call {
					d := test.pool
					d.N, d.C = n, c
					return build(d, newSource(test.name).normal)
				}
				s.check(t, batch(3), pointwise)
				s.checkPictures(t, batch)
			})
		}
	}
}
