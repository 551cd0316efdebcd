package kerneltest

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// capable is the suite's devices as those of a capability; it skips the test where they have it not.
func capable[T kernels.Device](t *testing.T, s *suite) (devices []T) {
	t.Helper()
	for _, d := range s.devices {
		with, ok := d.Device.(T)
		if !ok {
			t.Skipf("%s has no such capability", d.Name())
		}
		devices = append(devices, with)
	}
	return devices
}

// uploaded is data in a device's memory.
func uploaded(t *testing.T, d kernels.Device, data []float32) kernels.Buffer {
	t.Helper()
	b, err := d.Alloc(len(data))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Free(b) })
	if err := d.Upload(b, data); err != nil {
		t.Fatal(err)
	}
	return b
}

func downloaded(t *testing.T, d kernels.Device, b kernels.Buffer) []float32 {
	t.Helper()
	data := make([]float32, b.Len())
	if err := d.Download(data, b); err != nil {
		t.Fatal(err)
	}
	return data
}

// rule is an optimizer, by single parameters and by all at once.
type rule struct {
	name    string
	moments int
	limit   float64
	single  func(d kernels.Device, step, i int, w, g kernels.Buffer, moments []kernels.Buffer) error
	set     func(u kernels.Update, step, parameters int) error
}

func sgdRule(name string, moments int, limit float64, at func(step, i int) kernels.SGD) rule {
	return rule{name, moments, limit,
		func(d kernels.Device, step, i int, w, g kernels.Buffer, m []kernels.Buffer) error {
			var v kernels.Buffer
			if moments > 0 {
				v = m[0]
			}
			return d.SGD(at(step, i), w, g, v)
		},
		func(u kernels.Update, step, parameters int) error {
			all := make([]kernels.SGD, parameters)
			for i := range all {
				all[i] = at(step, i)
			}
			return u.SetSGD(all)
		}}
}

func adamRule(name string, limit float64, at func(step, i int) kernels.Adam) rule {
	return rule{name, 2, limit,
		func(d kernels.Device, step, i int, w, g kernels.Buffer, m []kernels.Buffer) error {
			return d.Adam(at(step, i), w, g, m[0], m[1])
		},
		func(u kernels.Update, step, parameters int) error {
			all := make([]kernels.Adam, parameters)
			for i := range all {
				all[i] = at(step, i)
			}
			return u.SetAdam(all)
		}}
}

// update compares the bits of three updates of all parameters at once, each by other settings, with those of one parameter
// after the other; the last gradients are not finite.
func (s *suite) update(t *testing.T) {
	lengths := []int{1, 7, 64, 1023, 1024, 1025, 100000, 3}
	rate := func(step, i int) float64 { return 0.1/float64(step+1) + 0.01*float64(i) }
	rules := []rule{
		sgdRule("plain", 0, 0, func(step, i int) kernels.SGD { return kernels.SGD{LR: float32(rate(step, i)), WeightDecay: 0.1} }),
		sgdRule("momentum", 1, 0, func(step, i int) kernels.SGD {
			return kernels.SGD{LR: float32(rate(step, i)), Momentum: 0.9, WeightDecay: float32(i) / 10}
		}),
		sgdRule("nesterov, clipped", 1, 2, func(step, i int) kernels.SGD {
			return kernels.SGD{LR: float32(rate(step, i)), Momentum: 0.9, Nesterov: true}
		}),
		sgdRule("below the limit", 1, 1e6, func(step, i int) kernels.SGD {
			return kernels.SGD{LR: float32(rate(step, i)), Momentum: 0.9}
		}),
		adamRule("adam", 0, func(step, i int) kernels.Adam {
			return kernels.Adam{LR: rate(step, i), Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1, Step: step + 1}
		}),
		adamRule("adamw, clipped", 0.5, func(step, i int) kernels.Adam {
			return kernels.Adam{LR: rate(step, i), Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: float64(i) / 10, Decoupled: true, Step: step + 1}
		}),
	}
	for _, d := range capable[kernels.Updater](t, s) {
		for _, r := range rules {
			t.Run(r.name, func(t *testing.T) {
				source := newSource("update " + r.name)
				var one, all []kernels.Updated
				for _, n := range lengths {
					w, g, m, v := source.normal(n), zeros(n), source.normal(n), source.uniform(n, 0.01, 2)
					for _, list := range []*[]kernels.Updated{&one, &all} {
						p := kernels.Updated{W: uploaded(t, d, w), G: uploaded(t, d, g)}
						for _, m := range [][]float32{m, v}[:r.moments] {
							p.Moments = append(p.Moments, uploaded(t, d, m))
						}
						*list = append(*list, p)
					}
				}
				u, err := d.NewUpdate(all, r.limit)
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := u.Close(); err != nil {
						t.Error(err)
					}
				}()
				for step := range 3 {
					for i, n := range lengths {
						g := source.normal(n)
						if step == 2 && i == 1 {
							g[n/2] = float32(math.Inf(1))
						}
						for _, p := range []kernels.Updated{one[i], all[i]} {
							if err := d.Upload(p.G, g); err != nil {
								t.Fatal(err)
							}
						}
					}
					if err := updateSingly(d, r, step, one); err != nil {
						t.Fatal(err)
					}
					if err := errors.Join(r.set(u, step, len(all)), u.Apply()); err != nil {
						t.Fatal(err)
					}
					for i := range lengths {
						what := fmt.Sprintf("step %d, parameter %d", step, i)
						sameBits(t, what, downloaded(t, d, one[i].W), downloaded(t, d, all[i].W))
						for j := range one[i].Moments {
							sameBits(t, what+", a moment", downloaded(t, d, one[i].Moments[j]), downloaded(t, d, all[i].Moments[j]))
						}
					}
				}
			})
		}
	}
}

// updateSingly does what an Update says it does.
func updateSingly(d kernels.Device, r rule, step int, of []kernels.Updated) error {
	if r.limit > 0 {
		sum := 0.0
		for _, p := range of {
			squares, err := d.SumSquares(p.G)
			if err != nil {
				return err
			}
			sum += squares
		}
		if f := kernels.ClipFactor(r.limit, math.Sqrt(sum)); !(f >= 1) {
			for _, p := range of {
				if err := d.Scale(float32(f), p.G); err != nil {
					return err
				}
			}
		}
	}
	for i, p := range of {
		if err := r.single(d, step, i, p.W, p.G, p.Moments); err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) countRight(t *testing.T) {
	nan := float32(math.NaN())
	tests := []struct {
		name    string
		classes int
		logits  []float32
		labels  []float32
		want    float32
	}{
		{"one", 2, []float32{1, 2}, []float32{1}, 1},
		{"none", 2, []float32{1, 2, 4, 3}, []float32{0, 1}, 0},
		{"first of equals", 3, []float32{1, 1, 1, 0, 2, 2}, []float32{0, 2}, 1},
		{"not numbers", 3, []float32{nan, 1, 2, 0, nan, 1}, []float32{0, 2}, 2},
	}
	many := struct{ logits, labels []float32 }{labels: make([]float32, 77)}
	for i := range many.labels {
		many.labels[i] = float32(i % 5)
		row := make([]float32, 5)
		row[(i+i%2)%5] = 1 // every second is wrong
		many.logits = append(many.logits, row...)
	}
	tests = append(tests, struct {
		name    string
		classes int
		logits  []float32
		labels  []float32
		want    float32
	}{"many", 5, many.logits, many.labels, 39})
	for _, d := range capable[kernels.Counter](t, s) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				right := uploaded(t, d, []float32{nan})
				logits, labels := uploaded(t, d, test.logits), uploaded(t, d, test.labels)
				if err := d.CountRight(len(test.labels), test.classes, logits, labels, right); err != nil {
					t.Fatal(err)
				}
				if got := downloaded(t, d, right)[0]; got != test.want {
					t.Errorf("%v right, want %v", got, test.want)
				}
			})
		}
	}
}

// capture holds a replay to compute over what its buffers hold then, dropout to draw for its step and an update to go by its
// last settings; and what can't be captured to be an error after which the device goes on.
func (s *suite) capture(t *testing.T) {
	for _, d := range capable[kernels.Capturer](t, s) {
		const n, classes, p = 50, 3, 0.4
		key := kernels.DropoutKey{Key: [2]uint32{1, 2}, Stream: 3}
		loss := kernels.CrossEntropy{N: n, Classes: classes, Smoothing: 0.1}
		labels := make([]float32, n)
		for i := range labels {
			labels[i] = float32(i % classes)
		}
		type state struct{ x, dropped, label, loss, prob, dx kernels.Buffer }
		fresh := func() state {
			many := func() kernels.Buffer { return uploaded(t, d, zeros(n*classes)) }
			return state{many(), many(), uploaded(t, d, labels), uploaded(t, d, zeros(1)), many(), many()}
		}
		compute := func(b state, step uint64) error {
			at := key
			at.Step = step
			return errors.Join(d.Dropout(p, at, b.x, b.dropped), d.CrossEntropyForward(loss, b.dropped, b.label, nil, b.loss, b.prob),
				d.CrossEntropyBackward(loss, b.prob, b.label, nil, 1, b.dx), d.SGD(kernels.SGD{LR: 0.5}, b.x, b.dx, nil))
		}
		plain, captured := fresh(), fresh()
		if err := compute(captured, 0); err != nil { // so that all is ready
			t.Fatal(err)
		}
		x := newSource("capture").normal(n * classes)
		for _, b := range []state{plain, captured} {
			if err := d.Upload(b.x, x); err != nil {
				t.Fatal(err)
			}
		}
		c, err := d.Capture(func() error { return compute(captured, 9) })
		if err != nil {
			t.Fatal(err)
		}
		sameBits(t, "x after the capture", x, downloaded(t, d, captured.x))
		for _, step := range []uint64{0, 1, 5, 1 << 40} {
			if err := compute(plain, step); err != nil {
				t.Fatal(err)
			}
			if c.Stale() {
				t.Fatal("stale")
			}
			if err := c.Replay(step); err != nil {
				t.Fatal(err)
			}
			sameBits(t, fmt.Sprintf("loss of step %d", step), downloaded(t, d, plain.loss), downloaded(t, d, captured.loss))
			sameBits(t, fmt.Sprintf("x after step %d", step), downloaded(t, d, plain.x), downloaded(t, d, captured.x))
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}

		mine := errors.New("mine")
		for _, bad := range []struct {
			name string
			do   func() error
		}{
			{"an error of its own", func() error { return mine }},
			{"Alloc", func() error { _, err := d.Alloc(1); return err }},
			{"Upload", func() error { return d.Upload(plain.x, x) }},
			{"Download", func() error { return d.Download(make([]float32, n*classes), plain.x) }},
			{"SumSquares", func() error { _, err := d.SumSquares(plain.x); return err }},
		} {
			if _, err := d.Capture(bad.do); err == nil || bad.name == "an error of its own" && !errors.Is(err, mine) {
				t.Errorf("%s: %v", bad.name, err)
			}
			if err := compute(plain, 1); err != nil {
				t.Errorf("after %s: %v", bad.name, err)
			}
		}
	}
}
