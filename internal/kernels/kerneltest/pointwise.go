package kerneltest

import (
	"fmt"
	"math"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/philox"
)

// lengths lie on both sides of vector widths, unrolled loops and the parts of threads.
var lengths = []int{1, 3, 15, 16, 17, 31, 33, 64, 127, 257, 1000, 4099, 70001}

// special returns normal numbers with the values among them that a comparison can get wrong.
func special(r source, n int) []float32 {
	x := r.normal(n)
	values := []float32{0, 6, -1, 7, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)),
		math.SmallestNonzeroFloat32, math.Nextafter32(6, 0), math.Nextafter32(6, 7), math.MaxFloat32}
	for i := range x {
		x[i] *= 4
		if r.IntN(3) == 0 {
			x[i] = values[r.IntN(len(values))]
		}
	}
	return x
}

func forLengths(t *testing.T, f func(t *testing.T, n int)) {
	for _, n := range lengths {
		t.Run(fmt.Sprint(n), func(t *testing.T) { f(t, n) })
	}
}

func (s *suite) activate(t *testing.T) {
	build := func(n int, act kernels.Activation) call {
		return call{
			args: []arg{
				{name: "x", data: special(newSource("activate"), n), batched: true},
				{name: "y", data: zeros(n), role: out, batched: true},
			},
			run: func(d kernels.Device, b []kernels.Buffer) error {
				return d.Activate(act, b[0], b[1])
			},
			inPlace: [][2]int{{1, 0}},
		}
	}
	for _, act := range activations {
		t.Run(act.String(), func(t *testing.T) {
			forLengths(t, func(t *testing.T, n int) { s.check(t, build(n, act), exact) })
			s.checkPictures(t, func(n int) call { return build(n*37, act) })
		})
	}
}

func (s *suite) activateBackwardChannels(t *testing.T) {
	build := func(m, n, c, off int, act kernels.Activation) call {
		r := newSource("activate backward channels")
		return call{
			args: []arg{
				{name: "y", data: r.normal(m * c), batched: true},
				{name: "dy", data: special(r, m*c), batched: true},
				{name: "dx", data: zeros(m * n), role: out, batched: true},
			},
			run: func(d kernels.Device, b []kernels.Buffer) error {
				return d.ActivateBackwardChannels(act, m, n, b[0], b[1], c, off, b[2])
			},
		}
	}
	for _, act := range activations {
		t.Run(act.String(), func(t *testing.T) {
			for _, n := range []int{1, 15, 16, 33} {
				for _, off := range []int{0, 3} {
					s.check(t, build(29, n, n+off+2, off, act), exact)
				}
			}
			s.check(t, build(700, 17, 17, 0, act), exact)
			s.checkPictures(t, func(n int) call { return build(n*9, 17, 40, 16, act) })
		})
	}
}

func (s *suite) activateBackward(t *testing.T) {
	build := func(n int, act kernels.Activation) call {
		r := newSource("activate backward")
		y := r.normal(n)
		for i := range y { // results of the activation, its corners among them
			y[i] = []float32{0, 6, math.Nextafter32(6, 0), math.SmallestNonzeroFloat32, max(0, min(y[i]*4, 6)), y[i]}[r.IntN(6)]
		}
		return call{
			args: []arg{
				{name: "y", data: y, batched: true},
				{name: "dy", data: special(r, n), batched: true},
				{name: "dx", data: zeros(n), role: out, batched: true},
			},
			run: func(d kernels.Device, b []kernels.Buffer) error {
				return d.ActivateBackward(act, b[0], b[1], b[2])
			},
			inPlace: [][2]int{{2, 1}},
		}
	}
	for _, act := range activations {
		t.Run(act.String(), func(t *testing.T) {
			forLengths(t, func(t *testing.T, n int) { s.check(t, build(n, act), exact) })
			s.checkPictures(t, func(n int) call { return build(n*37, act) })
		})
	}
}

func (s *suite) add(t *testing.T) {
	build := func(n, terms int, act kernels.Activation) call {
		r := newSource("add")
		c := call{inPlace: [][2]int{{terms, 0}}}
		for i := range terms {
			c.args = append(c.args, arg{name: fmt.Sprintf("xs[%d]", i), data: r.normal(n), batched: true})
		}
		c.args = append(c.args, arg{name: "y", data: zeros(n), role: out, batched: true})
		c.run = func(d kernels.Device, b []kernels.Buffer) error {
			return d.Add(b[:terms], b[terms], act)
		}
		return c
	}
	for _, act := range activations {
		for terms := 1; terms <= 5; terms++ {
			t.Run(fmt.Sprintf("%v of %d", act, terms), func(t *testing.T) {
				for _, n := range lengths {
					s.check(t, build(n, terms, act), pointwise)
				}
				s.checkPictures(t, func(n int) call { return build(n*37, terms, act) })
			})
		}
	}
}

func (s *suite) dropout(t *testing.T) {
	build := func(n int, p float32, key kernels.DropoutKey) call {
		return call{
			args: []arg{
				{name: "x", data: newSource("dropout").normal(n)},
				{name: "y", data: zeros(n), role: out},
			},
			run: func(d kernels.Device, b []kernels.Buffer) error {
				return d.Dropout(p, key, b[0], b[1])
			},
			inPlace: [][2]int{{1, 0}},
		}
	}
	key := kernels.DropoutKey{Key: [2]uint32{0xa4093822, 0x299f31d0}, Step: 3<<32 | 7, Stream: 5}
	for _, p := range []float32{0, 0.2, 0.5, 0.75, 1} {
		t.Run(fmt.Sprint(p), func(t *testing.T) {
			forLengths(t, func(t *testing.T, n int) {
				// y is never a tiny number here, so within a bound the same elements are zero.
				s.check(t, build(n, p, key), pointwise)
			})
		})
	}
	// The address of a word and the comparison with p, against the generator itself: an element whose word has at most 24
	// bits, so that p can be exactly word·2⁻³², is kept, and is not for the next larger p.
	t.Run("threshold", func(t *testing.T) {
		const n = 4096
		found := false
		for i := range n {
			word := philox.Block(key.Key, [4]uint32{uint32(i / 4), 7, 3, 5})[i%4]
			if word%256 != 0 {
				continue
			}
			found = true
			p := float32(word>>8) * 0x1p-24
			for p, kept := range map[float32]bool{p: true, math.Nextafter32(p, 1): false} {
				c := build(n, p, key)
				c.args[0].data = shifted(zeros(n), 1)
				y := execute(t, s.devices[0], c)[1]
				if (y[i] != 0) != kept {
					t.Errorf("element %d, word %08x, p %v: %v, want kept %v", i, word, p, y[i], kept)
				}
			}
		}
		if !found {
			t.Error("no word with at most 24 bits: choose another key")
		}
	})
}

func (s *suite) scale(t *testing.T) {
	forLengths(t, func(t *testing.T, n int) {
		s.check(t, call{
			args: []arg{{name: "x", data: special(newSource("scale"), n), role: inout}},
			run: func(d kernels.Device, b []kernels.Buffer) error {
				return d.Scale(0.3, b[0])
			},
		}, exact)
	})
}

func (s *suite) sumRows(t *testing.T) {
	forRows(t, func(t *testing.T, m, c int) {
		for _, mean := range []float32{0, 10} {
			s.check(t, call{
				args: []arg{
					{name: "x", data: shifted(newSource(fmt.Sprint(m, c)).normal(m*c), mean)},
					{name: "y", data: zeros(c), role: out},
				},
				run: func(d kernels.Device, b []kernels.Buffer) error {
					return d.SumRows(m, c, b[0], b[1])
				},
			}, reduction)
		}
	})
}

func (s *suite) sumSquares(t *testing.T) {
	forLengths(t, func(t *testing.T, n int) {
		x := newSource("squares").normal(n)
		var want, first float64
		for _, v := range x {
			want += float64(v) * float64(v)
		}
		for i, d := range s.devices {
			var got float64
			execute(t, d, call{
				args: []arg{{name: "x", data: x}},
				run: func(d kernels.Device, b []kernels.Buffer) (err error) {
					got, err = d.SumSquares(b[0])
					return err
				},
			})
			if i == 0 {
				first = got
			}
			// The squares are exact in float64 and have one sign; n roundings of 1.1e-16 stay below this.
			if math.Abs(got-want) > 1e-11*want || got != first {
				t.Errorf("%d threads: %v, want %v and the same bits as %v", d.threads, got, want, first)
			}
		}
	})
}
