// Package kerneltest is the conformance suite of kernels.Device: one set of tests that every device runs.
//
// Each operation is compared with the reference device over the shapes that torchvision's networks need, scaled down,
// with channel counts on both sides of every vector width. Every call works on slices in the middle of larger buffers,
// at an odd offset, with guard values on both sides: what is written outside a result, or read outside an input and
// used, is found. Results are filled with NaN beforehand, so that what is not overwritten is found too.
//
// "The same bits" of the contract is held literally: results are compared bit by bit between 1, 2 and 4 threads, between
// two calls, between in-place and ordinary calls, and, picture by picture, between batches of 1, 4, 8 and 32, a
// permuted batch and a batch in which another picture is all NaN. What a kernels.BatchBound device has of a library, which
// chooses its kernels by the whole shape, is held to the reference's bounds between batches instead, and to the same bits
// between calls.
package kerneltest

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/ref"
)

// Run runs the whole suite, one subtest an operation. open opens a device that computes with the given number of threads;
// a device to which threads mean nothing ignores it.
func Run(t *testing.T, open func(threads int) (kernels.Device, error)) {
	s := &suite{ref: ref.New()}
	for _, threads := range []int{1, 2, 4} {
		d, err := open(threads)
		if err != nil {
			t.Fatalf("open with %d threads: %v", threads, err)
		}
		defer func() {
			if err := d.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}()
		s.devices = append(s.devices, threaded{d, threads})
	}
	t.Run("Memory", s.memory)
	t.Run("WrongLength", s.wrongLength)

	t.Run("ConvForward", s.convForward)
	t.Run("ConvForwardPacked", s.convForwardPacked)
	t.Run("ConvBackwardData", s.convBackwardData)
	t.Run("ConvBackwardWeights", s.convBackwardWeights)

	t.Run("LinearForward", s.linearForward)
	t.Run("LinearBackwardData", s.linearBackwardData)
	t.Run("LinearBackwardWeights", s.linearBackwardWeights)

	t.Run("BatchNormStats", s.batchNormStats)
	t.Run("BatchNormInvStd", s.batchNormInvStd)
	t.Run("BatchNormApply", s.batchNormApply)
	t.Run("BatchNormReduce", s.batchNormReduce)
	t.Run("BatchNormBackwardData", s.batchNormBackwardData)
	t.Run("BatchNormOfActivation", s.batchNormOfActivation)

	t.Run("Activate", s.activate)
	t.Run("ActivateBackward", s.activateBackward)
	t.Run("ActivateBackwardChannels", s.activateBackwardChannels)
	t.Run("Add", s.add)
	t.Run("Dropout", s.dropout)
	t.Run("Scale", s.scale)
	t.Run("SumRows", s.sumRows)
	t.Run("SumSquares", s.sumSquares)

	t.Run("MaxPoolForward", s.maxPoolForward)
	t.Run("MaxPoolBackward", s.maxPoolBackward)
	t.Run("AvgPoolForward", s.avgPoolForward)
	t.Run("AvgPoolBackward", s.avgPoolBackward)
	t.Run("AdaptiveAvgPoolForward", s.adaptiveAvgPoolForward)
	t.Run("AdaptiveAvgPoolBackward", s.adaptiveAvgPoolBackward)

	t.Run("CopyChannels", s.copyChannels)
	t.Run("ToNCHW", s.toNCHW)
	t.Run("FromNCHW", s.fromNCHW)

	t.Run("CrossEntropyForward", s.crossEntropyForward)
	t.Run("CrossEntropyBackward", s.crossEntropyBackward)

	t.Run("SGD", s.sgd)
	t.Run("Adam", s.adam)

	t.Run("Pixels", s.pixels)
	t.Run("Update", s.update)
	t.Run("CountRight", s.countRight)
	t.Run("Capture", s.capture)
}

type suite struct {
	ref     kernels.Device
	devices []threaded // the same device with 1, 2 and 4 threads
}

type threaded struct {
	kernels.Device
	threads int
}

// role says what an operation does with a buffer.
type role uint8

const (
	in    role = iota // reads it
	out               // overwrites it wholly
	inout             // updates it
)

// arg is one buffer of a call.
type arg struct {
	name string
	role role
	// data is the contents before the call; for a result only its length counts. An arg without data (nil) is a nil Buffer.
	data []float32
	// batched says that the elements are those of the pictures, one after the other.
	batched bool
}

// call is one call of one operation.
type call struct {
	args []arg
	run  func(d kernels.Device, b []kernels.Buffer) error
	// inPlace lists pairs {result, input} of args that may be the same buffer.
	inPlace [][2]int
}

// bound is how far a result may be from the reference: the root of the mean square of the error, and its maximum, both
// relative to the root mean square of the reference.
type bound struct{ rms, max float64 }

// Half a unit in the last place of a float32 is 6e-8, relative to the result of one operation.
var (
	// exact: the operation only moves or selects numbers, or rounds once.
	exact = bound{}
	// pointwise: some five roundings an element; the largest elements of a normal sample, and cancelling terms, make the
	// maximum.
	pointwise = bound{rms: 3e-7, max: 4e-6}
	// reduction: a float32 sum of L terms of random sign errs by about 6e-8·sqrt(L/6) of itself; L is a chunk of up to 1024
	// rows before a device changes to wider sums or a tree. The maximum is taken over few elements.
	reduction = bound{rms: 2e-6, max: 1e-5}
	// convolution: as a reduction over R·S·C, L up to 4608 here, but in the order and the splits that a device likes, and
	// Winograd's F(2×2,3×3): measured up to 7e-7, and three times that where ReLU6 cuts the reference down. A forgotten or
	// doubled tap errs by at least 1/sqrt(R·S·C), 1e-2.
	convolution = bound{rms: 3e-6, max: 8e-5}
	// fastConvolution: Winograd's F(4×4,3×3), whose transforms multiply the error: measured up to 4e-6.
	fastConvolution = bound{rms: 1e-5, max: 2e-4}
)

// guard is the number of guard elements before and after each buffer. It is odd, so that the data lie unaligned.
const guard = 37

// sentinel fills guards and results before a call: a quiet NaN that no arithmetic makes.
var sentinel = math.Float32frombits(0x7fe5a5a5)

// execute makes the call on d, with the pairs of share in one buffer each, and returns the contents of every arg
// afterwards. It fails the test where a guard or an input was changed.
func execute(t *testing.T, d kernels.Device, c call, share ...[2]int) [][]float32 {
	t.Helper()
	whole := make([]kernels.Buffer, len(c.args))
	part := make([]kernels.Buffer, len(c.args))
	shared := make(map[int]int) // result → input
	overwritten := make(map[int]bool)
	for _, pair := range share {
		shared[pair[0]] = pair[1]
		overwritten[pair[1]] = true
	}
	for i, a := range c.args {
		if _, ok := shared[i]; ok || a.data == nil {
			continue
		}
		b, err := d.Alloc(len(a.data) + 2*guard)
		if err != nil {
			t.Fatalf("alloc: %v", err)
		}
		defer d.Free(b)
		contents := make([]float32, b.Len())
		for j := range contents {
			contents[j] = sentinel
		}
		if a.role != out {
			copy(contents[guard:], a.data)
		}
		if err := d.Upload(b, contents); err != nil {
			t.Fatalf("upload: %v", err)
		}
		whole[i], part[i] = b, b.Slice(guard, guard+len(a.data))
	}
	for result, input := range shared {
		whole[result], part[result] = whole[input], part[input]
	}
	if err := c.run(d, part); err != nil {
		t.Fatal(err)
	}
	results := make([][]float32, len(c.args))
	for i, a := range c.args {
		if a.data == nil {
			continue
		}
		contents := make([]float32, whole[i].Len())
		if err := d.Download(contents, whole[i]); err != nil {
			t.Fatalf("download: %v", err)
		}
		for j, v := range contents {
			if (j < guard || j >= guard+len(a.data)) && math.Float32bits(v) != math.Float32bits(sentinel) {
				t.Fatalf("%s: element %d of %d was written, outside the buffer", a.name, j-guard, len(a.data))
			}
		}
		results[i] = contents[guard : guard+len(a.data)]
		if a.role == in && !overwritten[i] {
			sameBits(t, a.name+", an input, after the call", a.data, results[i])
		}
	}
	return results
}

// check compares the call with the reference, and the bits of its results between threads, calls and places.
func (s *suite) check(t *testing.T, c call, b bound) {
	t.Helper()
	want := execute(t, s.ref, c)
	got := execute(t, s.devices[0], c)
	for i, a := range c.args {
		if a.role != in && a.data != nil {
			compare(t, a.name, want[i], got[i], b)
		}
	}
	s.sameBitsEverywhere(t, c, got)
}

// sameBitsEverywhere makes the call again, with each number of threads and with each pair of buffers shared, and compares
// the bits of the results with those of got.
func (s *suite) sameBitsEverywhere(t *testing.T, c call, got [][]float32) {
	t.Helper()
	for _, d := range s.devices {
		again := execute(t, d, c)
		for i, a := range c.args {
			if a.role != in {
				sameBits(t, fmt.Sprintf("%s with %d threads", a.name, d.threads), got[i], again[i])
			}
		}
	}
	for _, pair := range c.inPlace {
		if c.args[pair[1]].data == nil {
			continue
		}
		again := execute(t, s.devices[len(s.devices)-1], c, pair)
		for i, a := range c.args {
			if a.role != in {
				sameBits(t, fmt.Sprintf("%s in place of %s", a.name, c.args[pair[1]].name), got[i], again[i])
			}
		}
	}
}

// batches are the numbers of pictures of which each must be computed alike.
var batches = []int{1, 4, 8, 32}

// checkPictures compares the bits of each picture's results between batches. build makes the call for n pictures, its
// args that are not batched always the same.
func (s *suite) checkPictures(t *testing.T, build func(n int) call) {
	t.Helper()
	s.checkBatches(t, batches, exact, build)
}

// checkBatches is checkPictures for these batches, the largest last; where the device is BatchBound, results may be as far
// from one another as b.
func (s *suite) checkBatches(t *testing.T, batches []int, b bound, build func(n int) call) {
	t.Helper()
	most := batches[len(batches)-1]
	d := s.devices[1].Device
	if _, ok := d.(kernels.BatchBound); !ok {
		b = exact
	}
	full := build(most)
	want := execute(t, d, full)

	compareWith := func(what string, pick []int, change func(c call), skip int) {
		t.Helper()
		c := gather(full, build(len(pick)), most, pick)
		if change != nil {
			change(c)
		}
		got := execute(t, d, c)
		for i, a := range c.args {
			if a.role == in || !a.batched || a.data == nil {
				continue
			}
			each := len(a.data) / len(pick)
			for at, picture := range pick {
				if at == skip {
					continue
				}
				name, w, g := fmt.Sprintf("%s of picture %d, %s,", a.name, at, what), want[i][picture*each:(picture+1)*each], got[i][at*each:(at+1)*each]
				if b == exact {
					sameBits(t, name, w, g)
				} else if !slices.Equal(w, g) {
					t.Log("the bits of a picture depend on the batch")
					compare(t, name, w, g, b)
				}
			}
		}
	}
	for _, n := range batches {
		first := most - n // the last n, so that they move
		pick := make([]int, n)
		for i := range pick {
			pick[i] = first + i
		}
		compareWith(fmt.Sprintf("batch of %d against batch of %d", n, most), pick, nil, -1)
	}
	turned := make([]int, min(8, most))
	for i := range turned {
		turned[i] = len(turned) - 1 - i
	}
	compareWith("pictures turned round", turned, nil, -1)
	const bad = 1
	compareWith("another picture NaN", turned, func(c call) {
		for _, a := range c.args {
			if a.batched && a.role != out && a.data != nil {
				each := len(a.data) / len(turned)
				for i := range each {
					a.data[bad*each+i] = sentinel
				}
			}
		}
	}, bad)
}

// gather returns the call small, for len(pick) pictures, with the inputs of those pictures of full, a call for n.
func gather(full, small call, n int, pick []int) call {
	small.args = append([]arg(nil), small.args...)
	for i, a := range full.args {
		if a.data == nil {
			continue
		}
		if !a.batched {
			small.args[i].data = append([]float32(nil), a.data...)
			continue
		}
		each := len(a.data) / n
		data := make([]float32, 0, each*len(pick))
		for _, picture := range pick {
			data = append(data, a.data[picture*each:(picture+1)*each]...)
		}
		small.args[i].data = data
	}
	return small
}

// compare fails the test where got is further from want than b; a NaN or an infinity must be met exactly.
func compare(t *testing.T, name string, want, got []float32, b bound) {
	t.Helper()
	var sumWant, sumErr, most float64
	at := 0
	for i, w := range want {
		g := got[i]
		if w != w || math.IsInf(float64(w), 0) {
			if g != w && (g == g || w == w) {
				t.Errorf("%s[%d] = %v, want %v", name, i, g, w)
				return
			}
			continue
		}
		if g != g || math.IsInf(float64(g), 0) {
			t.Errorf("%s[%d] = %v, want %v", name, i, g, w)
			return
		}
		e := math.Abs(float64(g) - float64(w))
		sumWant += float64(w) * float64(w)
		sumErr += e * e
		if e > most {
			most, at = e, i
		}
	}
	if sumErr == 0 {
		return
	}
	n := float64(len(want))
	scale := math.Sqrt(sumWant / n) // 0: every error is too large
	rms := math.Sqrt(sumErr / n)
	if rms > b.rms*scale || most > b.max*scale {
		t.Errorf("%s: relative error %.2g (at most %.2g wanted), largest %.2g (at most %.2g wanted) at %d of %d: %v, want %v",
			name, rms/scale, b.rms, most/scale, b.max, at, len(want), got[at], want[at])
	}
	if testing.Verbose() {
		t.Logf("%s: relative error %.2g, largest %.2g", name, rms/scale, most/scale)
	}
}

// sameBits fails the test where two runs of numbers are not the same bit by bit.
func sameBits(t *testing.T, what string, want, got []float32) {
	t.Helper()
	for i, w := range want {
		if math.Float32bits(w) != math.Float32bits(got[i]) {
			t.Errorf("%s: element %d of %d is %v (%08x), not %v (%08x): not the same bits", what, i, len(want),
				got[i], math.Float32bits(got[i]), w, math.Float32bits(w))
			return
		}
	}
}

// source draws test data from a name, so that a test always gets the same.
type source struct{ *rand.Rand }

func newSource(name string) source {
	h := fnv.New64a()
	h.Write([]byte(name))
	return source{rand.New(rand.NewPCG(h.Sum64(), 1))}
}

// normal returns n normally distributed numbers with mean 0 and variance 1.
func (s source) normal(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(s.NormFloat64())
	}
	return x
}

// uniform returns n numbers uniform in [lo, hi).
func (s source) uniform(n int, lo, hi float32) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = lo + (hi-lo)*s.Float32()
	}
	return x
}

// coarse returns n numbers from −2, −1, 0, 1, 2: most windows have ties, and sums are exact.
func (s source) coarse(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(s.IntN(5) - 2)
	}
	return x
}

// shifted returns x + by.
func shifted(x []float32, by float32) []float32 {
	for i := range x {
		x[i] += by
	}
	return x
}

func zeros(n int) []float32 { return make([]float32, n) }

// memory tests Alloc, Slice, Upload, Download and the names.
func (s *suite) memory(t *testing.T) {
	d := s.devices[0]
	if d.Name() == "" || d.Path() == "" {
		t.Errorf("Name %q, Path %q: empty", d.Name(), d.Path())
	}
	for _, n := range []int{0, 1, 15, 16, 17, 1000} {
		b, err := d.Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		got := shifted(make([]float32, n), 1)
		if err := d.Download(got, b); err != nil {
			t.Fatal(err)
		}
		sameBits(t, "a fresh buffer", zeros(n), got)
		want := newSource("memory").normal(n)
		if err := d.Upload(b, want); err != nil {
			t.Fatal(err)
		}
		part := b.Slice(n/3, n)
		if part.Len() != n-n/3 {
			t.Errorf("Slice(%d, %d) has %d elements", n/3, n, part.Len())
		}
		got = make([]float32, part.Len())
		if err := d.Download(got, part); err != nil {
			t.Fatal(err)
		}
		sameBits(t, "a slice", want[n/3:], got)
		d.Free(b)
	}
}

// wrongLength tests that a buffer which does not fit the shape is found before memory is harmed: the operation panics.
func (s *suite) wrongLength(t *testing.T) {
	d := s.devices[0]
	buffer := func(n int) kernels.Buffer {
		b, err := d.Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Free(b) })
		return b
	}
	shape := conv(4, 4, 3, 5, 3, 3, 1, 1, 1, 1)
	x, w, y := buffer(shape.LenX()), buffer(shape.LenW()), buffer(shape.LenY())
	window := kernels.Pool{N: 1, H: 4, W: 4, C: 1, P: 2, Q: 2, R: 2, S: 2, StrideH: 2, StrideW: 2}
	tests := []struct {
		name string
		run  func() error
	}{
		{"upload", func() error { return d.Upload(buffer(3), make([]float32, 4)) }},
		{"download", func() error { return d.Download(make([]float32, 4), buffer(5)) }},
		{"convolution, x", func() error { return d.ConvForward(shape, w, w, nil, y, kernels.Identity) }},
		{"convolution, bias", func() error { return d.ConvForward(shape, x, w, buffer(4), y, kernels.Identity) }},
		{"convolution, dw", func() error { return d.ConvBackwardWeights(shape, x, y, x) }},
		{"linear, w", func() error {
			return d.LinearForward(kernels.Linear{N: 2, I: 3, O: 4}, buffer(6), buffer(13), nil, buffer(8), kernels.Identity)
		}},
		{"batch norm, mean", func() error {
			return d.BatchNormStats(4, 3, buffer(12), buffer(4), buffer(3), nil, nil, 0.1, 1e-5)
		}},
		{"activation", func() error { return d.Activate(kernels.ReLU, buffer(7), buffer(8)) }},
		{"add", func() error { return d.Add([]kernels.Buffer{buffer(7), buffer(8)}, buffer(7), kernels.Identity) }},
		{"max pool, y", func() error { return d.MaxPoolForward(window, buffer(16), buffer(5)) }},
		{"copy, channels outside", func() error { return d.CopyChannels(2, 3, buffer(8), 4, 2, buffer(8), 4, 0) }},
		{"sgd, v", func() error { return d.SGD(kernels.SGD{LR: 1, Momentum: 0.9}, buffer(4), buffer(4), buffer(3)) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			if err := test.run(); err != nil {
				t.Errorf("an error, %v, where the mistake is the programmer's", err)
			}
		})
	}
}
