package kerneltest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// convCase is a shape of the table, for any number of pictures.
type convCase struct {
	name string
	conv kernels.Conv
	// large shapes are for the blocking of a device; they run in small batches.
	large bool
}

func (c convCase) batches() []int {
	if c.large {
		return []int{1, 4}
	}
	return batches
}

func (c convCase) at(n int) kernels.Conv {
	d := c.conv
	d.N = n
	return d
}

func conv(h, w, c, k, r, s, stride, padH, padW, groups int) kernels.Conv {
	return kernels.Conv{N: 3, H: h, W: w, C: c, K: k, R: r, S: s, StrideH: stride, StrideW: stride, PadH: padH, PadW: padW,
		Groups: groups}
}

var convCases = []convCase{
	// stems
	{name: "7x7 stride 2 of 3 (resnet, densenet)", conv: conv(21, 23, 3, 16, 7, 7, 2, 3, 3, 1)},
	{name: "7x7 stride 2 of 3 to 33, no padding (squeezenet1_0)", conv: conv(17, 15, 3, 33, 7, 7, 2, 0, 0, 1)},
	{name: "11x11 stride 4 of 3 (alexnet)", conv: conv(35, 33, 3, 17, 11, 11, 4, 2, 2, 1)},
	{name: "3x3 stride 2 of 3 (mobilenet)", conv: conv(16, 15, 3, 32, 3, 3, 2, 1, 1, 1)},
	{name: "3x3 stride 2 of 3, no padding (inception)", conv: conv(15, 16, 3, 32, 3, 3, 2, 0, 0, 1)},
	{name: "3x3 of 3 (vgg)", conv: conv(10, 12, 3, 16, 3, 3, 1, 1, 1, 1)},

	// bodies
	{name: "5x5 (alexnet)", conv: conv(7, 7, 16, 33, 5, 5, 1, 2, 2, 1)},
	{name: "3x3", conv: conv(13, 11, 16, 32, 3, 3, 1, 1, 1, 1)},
	{name: "3x3 of 15 to 17", conv: conv(9, 7, 15, 17, 3, 3, 1, 1, 1, 1)},
	{name: "3x3 of 17 to 15", conv: conv(6, 9, 17, 15, 3, 3, 1, 1, 1, 1)},
	{name: "3x3 of 33 to 48", conv: conv(7, 7, 33, 48, 3, 3, 1, 1, 1, 1)},
	{name: "3x3 of 2 to 1", conv: conv(8, 5, 2, 1, 3, 3, 1, 1, 1, 1)},
	{name: "3x3 of 1 to 2", conv: conv(5, 8, 1, 2, 3, 3, 1, 1, 1, 1)},
	{name: "3x3 stride 2", conv: conv(13, 12, 16, 33, 3, 3, 2, 1, 1, 1)},
	{name: "3x3 stride 2, even", conv: conv(14, 14, 16, 16, 3, 3, 2, 1, 1, 1)},
	{name: "3x3 no padding (inception)", conv: conv(11, 10, 17, 16, 3, 3, 1, 0, 0, 1)},
	{name: "1x1 of 48 to 17", conv: conv(9, 8, 48, 17, 1, 1, 1, 0, 0, 1)},
	{name: "1x1 of 15 to 48", conv: conv(7, 5, 15, 48, 1, 1, 1, 0, 0, 1)},
	{name: "1x1 of 16 to 16", conv: conv(5, 5, 16, 16, 1, 1, 1, 0, 0, 1)},
	{name: "1x1 of 1 to 1", conv: conv(3, 4, 1, 1, 1, 1, 1, 0, 0, 1)},
	{name: "1x1 stride 2 (resnet)", conv: conv(9, 9, 33, 16, 1, 1, 2, 0, 0, 1)},
	{name: "1x1 stride 2, even", conv: conv(8, 6, 16, 33, 1, 1, 2, 0, 0, 1)},
	{name: "1x1 of one position", conv: conv(1, 1, 48, 33, 1, 1, 1, 0, 0, 1)},
	{name: "1x7 (inception)", conv: conv(9, 9, 16, 17, 1, 7, 1, 0, 3, 1)},
	{name: "7x1 (inception)", conv: conv(9, 9, 17, 16, 7, 1, 1, 3, 0, 1)},
	{name: "1x3 (inception)", conv: conv(8, 8, 33, 16, 1, 3, 1, 0, 1, 1)},
	{name: "3x1 (inception)", conv: conv(8, 8, 16, 33, 3, 1, 1, 1, 0, 1)},
	{name: "5x5 of one position (inception's auxiliary head)", conv: conv(5, 5, 16, 33, 5, 5, 1, 0, 0, 1)},
	{name: "1x1 to 2 (squeezenet's head)", conv: conv(6, 6, 48, 2, 1, 1, 1, 0, 0, 1)},

	// groups
	{name: "grouped 3x3 (resnext)", conv: conv(9, 8, 32, 32, 3, 3, 1, 1, 1, 8)},
	{name: "grouped 3x3 stride 2", conv: conv(9, 8, 32, 32, 3, 3, 2, 1, 1, 8)},
	{name: "grouped 3x3, 5 of 15 to 6", conv: conv(7, 6, 15, 18, 3, 3, 1, 1, 1, 3)},
	{name: "grouped 1x1, 16 of 32 to 24", conv: conv(5, 6, 32, 48, 1, 1, 1, 0, 0, 2)},
	{name: "depthwise 3x3 of 16", conv: conv(9, 11, 16, 16, 3, 3, 1, 1, 1, 16)},
	{name: "depthwise 3x3 of 33", conv: conv(8, 7, 33, 33, 3, 3, 1, 1, 1, 33)},
	{name: "depthwise 3x3 of 2", conv: conv(6, 7, 2, 2, 3, 3, 1, 1, 1, 2)},
	{name: "depthwise 3x3 stride 2 of 17", conv: conv(12, 11, 17, 17, 3, 3, 2, 1, 1, 17)},
	{name: "depthwise 3x3 stride 2 of 48", conv: conv(11, 12, 48, 48, 3, 3, 2, 1, 1, 48)},
	{name: "depthwise 5x5 of 15", conv: conv(9, 8, 15, 15, 5, 5, 1, 2, 2, 15)},
	{name: "depthwise with two filters a channel", conv: conv(7, 8, 17, 34, 3, 3, 1, 1, 1, 17)},

	// edges
	{name: "3x3 padding 2", conv: conv(5, 4, 16, 17, 3, 3, 1, 2, 2, 1)},
	{name: "3x3 stride 2 padding 3", conv: conv(6, 7, 15, 16, 3, 3, 2, 3, 3, 1)},
	{name: "1x1 padding 1 (squeezenet1_0 by some)", conv: conv(4, 5, 16, 17, 1, 1, 1, 1, 1, 1)},
	{name: "1x1 stride 2 padding 1", conv: conv(4, 5, 17, 16, 1, 1, 2, 1, 1, 1)},
	{name: "3x3 of a 2x2 picture", conv: conv(2, 2, 16, 48, 3, 3, 1, 1, 1, 1)},
	{name: "3x3 of a 1x1 picture", conv: conv(1, 1, 33, 16, 3, 3, 1, 1, 1, 1)},
	{name: "5x5 of a 2x3 picture", conv: conv(2, 3, 15, 16, 5, 5, 1, 2, 2, 1)},
	{name: "3x3 stride 3", conv: conv(10, 11, 16, 16, 3, 3, 3, 0, 0, 1)},
	{name: "2x2 stride 2", conv: conv(8, 9, 16, 17, 2, 2, 2, 0, 0, 1)},
	{name: "depthwise padding 2", conv: conv(3, 4, 17, 17, 3, 3, 1, 2, 2, 17)},
	{name: "strides 1 and 2, paddings 0 and 1", conv: kernels.Conv{N: 3, H: 9, W: 8, C: 16, K: 17, R: 3, S: 3, StrideH: 1,
		StrideW: 2, PadH: 0, PadW: 1, Groups: 1}},

	// blocking
	{name: "3x3 64 wide", conv: conv(14, 14, 64, 64, 3, 3, 1, 1, 1, 1), large: true},
	{name: "3x3 deep", conv: conv(4, 4, 512, 33, 3, 3, 1, 1, 1, 1), large: true},
	{name: "3x3 deep and wide", conv: conv(4, 4, 512, 272, 3, 3, 1, 1, 1, 1), large: true},
	{name: "3x3 64 wide, large picture", conv: conv(21, 20, 64, 48, 3, 3, 1, 1, 1, 1), large: true},
	{name: "3x3 large picture", conv: conv(41, 39, 16, 17, 3, 3, 1, 1, 1, 1), large: true},
	{name: "3x3 stride 2 wide", conv: conv(15, 14, 64, 96, 3, 3, 2, 1, 1, 1), large: true},
	{name: "1x1 of 272 to 80", conv: conv(9, 10, 272, 80, 1, 1, 1, 0, 0, 1), large: true},
	{name: "1x1 of 64 to 272", conv: conv(14, 14, 64, 272, 1, 1, 1, 0, 0, 1), large: true},
	{name: "7x7 stride 2 of a large picture", conv: conv(63, 65, 3, 32, 7, 7, 2, 3, 3, 1), large: true},
	{name: "depthwise large picture", conv: conv(40, 37, 96, 96, 3, 3, 1, 1, 1, 96), large: true},
}

// eachConv runs f for every shape of the table, and, where numerics may make a difference, for each of them. Of the
// reference, which knows no blocks and no other numerics, it asks less.
func (s *suite) eachConv(t *testing.T, f func(t *testing.T, test convCase)) {
	reference := s.devices[0].Path() == s.ref.Path()
	for _, test := range convCases {
		if test.large && reference {
			continue
		}
		t.Run(test.name, func(t *testing.T) { f(t, test) })
		c := test.conv
		if reference || c.R != 3 || c.S != 3 || c.StrideH != 1 || c.StrideW != 1 || c.Groups != 1 {
			continue
		}
		for _, n := range []kernels.Numerics{kernels.Default, kernels.Fast} {
			test.conv.Numerics = n
			t.Run(fmt.Sprintf("%s, %v", test.name, n), func(t *testing.T) { f(t, test) })
		}
	}
}

// bound is how far results may be from the reference.
func (c convCase) bound() bound {
	if c.conv.Numerics == kernels.Fast {
		return fastConvolution
	}
	return convolution
}

// activations of the forward operations.
var activations = []kernels.Activation{kernels.Identity, kernels.ReLU, kernels.ReLU6}

func (s *suite) convForward(t *testing.T) {
	s.eachConv(t, func(t *testing.T, test convCase) {
		build := func(n int, act kernels.Activation, biased bool) call {
			d, r := test.at(n), newSource(test.name)
			var bias []float32
			if biased {
				bias = r.normal(d.K)
			}
			return call{
				args: []arg{
					{name: "w", data: r.normal(d.LenW())},
					{name: "bias", data: bias},
					{name: "x", data: r.normal(d.LenX()), batched: true},
					{name: "y", data: zeros(d.LenY()), role: out, batched: true},
				},
				run: func(dev kernels.Device, b []kernels.Buffer) error {
					return dev.ConvForward(d, b[2], b[0], b[1], b[3], act)
				},
			}
		}
		for _, act := range activations {
			s.check(t, build(3, act, true), test.bound())
		}
		for _, act := range []kernels.Activation{kernels.Identity, kernels.ReLU} {
			s.check(t, build(3, act, false), test.bound())
		}
		s.checkBatches(t, test.batches(), test.bound(), func(n int) call { return build(n, kernels.ReLU, true) })
	})
	t.Run("zeros", func(t *testing.T) {
		for i, c := range []int{3, 16, 33, 16, 33} {
			d := conv(26, 27, c, 17, 3, 3, 1, 1, 1, 1)
			d.Numerics = kernels.Numerics(i % 3)
			r := newSource("zeros")
			s.check(t, call{
				args: []arg{
					{name: "x", data: zeros(d.LenX())},
					{name: "w", data: r.normal(d.LenW())},
					{name: "bias", data: r.normal(d.K)},
					{name: "y", data: zeros(d.LenY()), role: out},
				},
				run: func(dev kernels.Device, b []kernels.Buffer) error {
					return dev.ConvForward(d, b[0], b[1], b[2], b[3], kernels.Identity)
				},
			}, exact)
		}
	})
	// A network that diverged must not look alive: ReLU keeps NaN.
	t.Run("NaN", func(t *testing.T) {
		for _, act := range activations {
			d := conv(3, 5, 16, 17, 1, 1, 1, 0, 0, 1)
			d.N = 1
			r := newSource("NaN")
			x := r.normal(d.LenX())
			x[7*d.C+3] = sentinel // makes position 7 NaN, and no other
			s.check(t, call{
				args: []arg{
					{name: "x", data: x},
					{name: "w", data: r.normal(d.LenW())},
					{name: "y", data: zeros(d.LenY()), role: out},
				},
				run: func(dev kernels.Device, b []kernels.Buffer) error {
					return dev.ConvForward(d, b[0], b[1], nil, b[2], act)
				},
			}, convolution)
		}
	})
}

// convForwardPacked compares the sum with a residual with the reference, and what goes without one with ConvForward's bits.
func (s *suite) convForwardPacked(t *testing.T) {
	s.eachConv(t, func(t *testing.T, test convCase) {
		build := func(n int, act kernels.Activation, residual bool) call {
			d, r := test.at(n), newSource(test.name)
			args := []arg{
				{name: "w", data: r.normal(d.LenW())},
				{name: "bias", data: r.normal(d.K)},
				{name: "x", data: r.normal(d.LenX()), batched: true},
				{name: "residual", batched: true},
				{name: "y", data: zeros(d.LenY()), role: out, batched: true},
			}
			if residual {
				args[3].data = r.normal(d.LenY())
			}
			return call{
				args: args,
				run: func(dev kernels.Device, b []kernels.Buffer) error {
					w := packWeights(t, dev, d, b[0])
					defer dev.Free(w)
					return dev.ConvForwardPacked(d, b[2], w.Slice(guard, w.Len()-guard), b[1], b[3], b[4], act)
				},
				inPlace: [][2]int{{4, 3}},
			}
		}
		s.check(t, build(3, kernels.ReLU6, true), test.bound())
		s.checkBatches(t, test.batches(), test.bound(), func(n int) call { return build(n, kernels.ReLU, true) })

		c := build(3, kernels.ReLU, false)
		plain := c
		plain.run = func(dev kernels.Device, b []kernels.Buffer) error {
			return dev.ConvForward(test.at(3), b[2], b[0], b[1], b[4], kernels.ReLU)
		}
		wide := test.at(3)
		wide.StepY = wide.K + 5
		channels := c
		channels.args = slices.Clone(c.args)
		channels.args[4] = arg{name: "y", data: make([]float32, wide.LenY()), role: inout}
		for _, dev := range append(s.devices, threaded{Device: s.ref}) {
			want := execute(t, dev, plain)[4]
			sameBits(t, "packed weights", want, execute(t, dev, c)[4])
			channels.run = func(dev kernels.Device, b []kernels.Buffer) error {
				return dev.ConvForward(wide, b[2], b[0], b[1], b[4], kernels.ReLU)
			}
			got := execute(t, dev, channels)[4]
			channels.run = func(dev kernels.Device, b []kernels.Buffer) error {
				w := packWeights(t, dev, wide, b[0])
				defer dev.Free(w)
				return dev.ConvForwardPacked(wide, b[2], w.Slice(guard, w.Len()-guard), b[1], nil, b[4], kernels.ReLU)
			}
			sameBits(t, "channels of a larger y from packed weights", got, execute(t, dev, channels)[4])
			for i := 0; i < len(got); i += wide.StepY {
				sameBits(t, "channels of a larger y", want[:wide.K], got[i:i+wide.K])
				want = want[wide.K:]
				for _, v := range got[i+wide.K : min(i+wide.StepY, len(got))] {
					if v != 0 {
						t.Fatal("channels of a larger y that are not the convolution's were written")
					}
				}
			}
		}
	})
}

// packWeights returns packed weights, with guard values on both sides, which it checks.
func packWeights(t *testing.T, dev kernels.Device, d kernels.Conv, w kernels.Buffer) kernels.Buffer {
	t.Helper()
	n := dev.PackedLen(d)
	other := d
	other.N, other.StepY = 2*d.N, d.K+3
	if got := dev.PackedLen(other); got != n {
		t.Errorf("weights take %d elements for %v, and %d for %v", n, d, got, other)
	}
	b, err := dev.Alloc(n + 2*guard)
	if err != nil {
		t.Fatalf("alloc: %v", err)
	}
	contents := make([]float32, b.Len())
	for i := range contents {
		contents[i] = sentinel
	}
	if err := dev.Upload(b, contents); err != nil {
		t.Fatalf("upload: %v", err)
	}
	if err := dev.PackWeights(d, w, b.Slice(guard, guard+n)); err != nil {
		t.Fatal(err)
	}
	if err := dev.Download(contents, b); err != nil {
		t.Fatalf("download: %v", err)
	}
	for i, v := range contents {
		switch written := math.Float32bits(v) != math.Float32bits(sentinel); {
		case written && (i < guard || i >= guard+n):
			t.Fatalf("element %d of %d was written, outside the packed weights", i-guard, n)
		case !written && i >= guard && i < guard+n:
			t.Fatalf("element %d of %d packed weights was not written", i-guard, n)
		}
	}
	return b
}

func (s *suite) convBackwardData(t *testing.T) {
	s.eachConv(t, func(t *testing.T, test convCase) {
		build := func(n int) call {
			d, r := test.at(n), newSource(test.name)
			return call{
				args: []arg{
					{name: "w", data: r.normal(d.LenW())},
					{name: "dy", data: r.normal(d.LenY()), batched: true},
					{name: "dx", data: zeros(d.LenX()), role: out, batched: true},
				},
				run: func(dev kernels.Device, b []kernels.Buffer) error {
					return dev.ConvBackwardData(d, b[0], b[1], b[2])
				},
			}
		}
		s.check(t, build(3), test.bound())
		s.checkBatches(t, test.batches(), test.bound(), build)
	})
}

func (s *suite) convBackwardWeights(t *testing.T) {
	s.eachConv(t, func(t *testing.T, test convCase) {
		for _, n := range []int{1, 3, 8} {
			d := test.at(n)
			r := newSource(fmt.Sprint(test.name, n))
			s.check(t, call{
				args: []arg{
					{name: "x", data: r.normal(d.LenX())},
					{name: "dy", data: r.normal(d.LenY())},
					{name: "dw", data: zeros(d.LenW()), role: out},
				},
				run: func(dev kernels.Device, b []kernels.Buffer) error {
					return dev.ConvBackwardWeights(d, b[0], b[1], b[2])
				},
			}, test.bound())
		}
	})
}
