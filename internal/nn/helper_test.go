package nn

import (
	"math"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels/ref"
)

// numbers returns n numbers on (-1, 1) that depend on the seed.
func numbers(seed uint64, n int) []float32 {
	x := make([]float32, n)
	Init{Dist: Uniform, A: -1, B: 1}.fill(x, seed, "numbers")
	return x
}

// build describes a network.
func build(t testing.TB, input Shape, layers func(b *Builder) Ref) *Net {
	t.Helper()
	b := NewBuilder("test", input)
	net, err := b.Net(layers(b))
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// mark marks every weight that the function takes; nil takes all.
func mark(net *Net, take func(Param) bool) []bool {
	out := make([]bool, len(net.Params))
	for i, p := range net.Params {
		out[i] = p.Kind == Weight && (take == nil || take(p))
	}
	return out
}

// randomStore gives each parameter values that make gradients flow: weights about 1/sqrt(fan in), running variances
// and scales about 1.
func randomStore(t testing.TB, net *Net, seed uint64) *ParamStore {
	t.Helper()
	s, err := NewParamStore(ref.New(), net)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for i, p := range net.Params {
		if p.Kind == Counter {
			continue
		}
		v := numbers(seed+uint64(i), p.Len())
		_, norm := net.Layers[p.Layer].Op.(BatchNorm2d)
		for j := range v {
			switch {
			case norm && (p.Init.A == 1):
				v[j] = 1 + 0.5*v[j]
			case norm:
				v[j] *= 0.3
			case len(p.Shape) > 1:
				v[j] *= float32(1.7 / math.Sqrt(float64(p.Len()/p.Shape[0])))
			}
		}
		if err := s.Set(i, v); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// compile compiles and closes when the test ends.
func compile(t testing.TB, net *Net, s *ParamStore, set Settings) *Program {
	t.Helper()
	p, err := Compile(net, s, set)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// run runs a step over pictures and labels that depend on the seed.
func run(t testing.TB, p *Program, seed uint64) Result {
	t.Helper()
	x, labels := batch(p, seed)
	r, err := p.Run(x, labels, seed)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func batch(p *Program, seed uint64) ([]float32, []int) {
	x := numbers(seed+1000, p.set.Batch*p.net.Input.Len())
	labels := make([]int, p.set.Batch)
	for i := range labels {
		labels[i] = (int(seed) + 3*i) % p.shape(p.net.Logits).Len()
	}
	return x, labels
}
