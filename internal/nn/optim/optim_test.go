package optim_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/ref"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/internal/nn/optim"
)

// store returns the parameters of a convolution and a linear layer: conv.weight, conv.bias, fc.weight, fc.bias.
func store(t *testing.T) *nn.ParamStore {
	t.Helper()
	b := nn.NewBuilder("test", nn.Shape{H: 3, W: 3, C: 2})
	x := b.Conv2d("conv", nn.Input, nn.Conv2d{Out: 3, Kernel: [2]int{2, 2}, Bias: true}, nn.Default)
	net, err := b.Net(b.Linear("fc", b.Flatten("flatten", x), nn.Linear{Out: 2}, nn.Default))
	if err != nil {
		t.Fatal(err)
	}
	s, err := nn.NewParamStore(ref.New(), net)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Init(1, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// gradients are arbitrary ones of a step for every parameter, in torch's order, with buffers that hold them.
func gradients(t *testing.T, s *nn.ParamStore, step int) ([][]float32, func(int) kernels.Buffer) {
	t.Helper()
	all := make([][]float32, len(s.Net().Params))
	buffers := make([]kernels.Buffer, len(all))
	for i, p := range s.Net().Params {
		all[i] = make([]float32, p.Len())
		for j := range all[i] {
			all[i][j] = float32(math.Sin(float64(1 + 7*step + 13*i + 5*j)))
		}
		buffers[i] = make(kernels.Host, p.Len())
		if err := s.FromTorch(i, all[i], buffers[i]); err != nil {
			t.Fatal(err)
		}
	}
	return all, func(i int) kernels.Buffer { return buffers[i] }
}

func get(t *testing.T, s *nn.ParamStore) [][]float32 {
	t.Helper()
	out := make([][]float32, len(s.Net().Params))
	for i := range out {
		v, err := s.Get(i)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = v
	}
	return out
}

// rule is an update of one element by the formulas of torch.optim's documentation, in float64.
type rule func(w, g float64, m []float64, step int, lr, decay float64) (next float64)

func torchSGD(momentum float64, nesterov bool) rule {
	return func(w, g float64, m []float64, step int, lr, decay float64) float64 {
		g += decay * w
		if momentum != 0 {
			if step > 1 {
				m[0] = momentum*m[0] + g
			} else {
				m[0] = g
			}
			if nesterov {
				g += momentum * m[0]
			} else {
				g = m[0]
			}
		}
		return w - lr*g
	}
}

func torchAdam(b1, b2, eps float64, decoupled bool) rule {
	return func(w, g float64, m []float64, step int, lr, decay float64) float64 {
		if decoupled {
			w -= lr * decay * w
		} else {
			g += decay * w
		}
		m[0] = b1*m[0] + (1-b1)*g
		m[1] = b2*m[1] + (1-b2)*g*g
		mHat := m[0] / (1 - math.Pow(b1, float64(step)))
		vHat := m[1] / (1 - math.Pow(b2, float64(step)))
		return w - lr*mHat/(math.Sqrt(vHat)+eps)
	}
}

func TestTrajectories(t *testing.T) {
	tests := []struct {
		name  string
		cfg   optim.Config
		decay float64
		rule  rule
	}{
		{"sgd", optim.Config{Kind: optim.SGD}, 0, torchSGD(0, false)},
		{"sgd with weight decay", optim.Config{Kind: optim.SGD}, 0.1, torchSGD(0, false)},
		{"momentum", optim.Config{Kind: optim.SGD, Momentum: 0.9}, 0, torchSGD(0.9, false)},
		{"momentum with weight decay", optim.Config{Kind: optim.SGD, Momentum: 0.8}, 0.1, torchSGD(0.8, false)},
		{"nesterov", optim.Config{Kind: optim.SGD, Momentum: 0.9, Nesterov: true}, 0.1, torchSGD(0.9, true)},
		{"adam", optim.Config{Kind: optim.Adam, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}, 0, torchAdam(0.9, 0.999, 1e-8, false)},
		{"adam with weight decay", optim.Config{Kind: optim.Adam, Beta1: 0.8, Beta2: 0.95, Eps: 1e-3}, 0.1, torchAdam(0.8, 0.95, 1e-3, false)},
		{"adamw", optim.Config{Kind: optim.AdamW, Beta1: 0.9, Beta2: 0.99, Eps: 1e-8}, 0.1, torchAdam(0.9, 0.99, 1e-8, true)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := store(t)
			// fc.weight has a rate and a decay of its own; fc.bias is not trained.
			groups := []optim.Group{{Params: []int{0, 1}, LR: 0.1, WeightDecay: test.decay}, {Params: []int{2}, LR: 0.03}}
			o, err := optim.New(test.cfg, s, groups)
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			want := make([][]float64, 4)
			moments := make([][][2]float64, 4)
			for i, v := range get(t, s) {
				moments[i] = make([][2]float64, len(v))
				for _, x := range v {
					want[i] = append(want[i], float64(x))
				}
			}
			for step := 1; step <= 6; step++ {
				g, buffers := gradients(t, s, step)
				factor := 1 / float64(step)
				if err := o.Step(func(base float64) float64 { return base * factor }, buffers); err != nil {
					t.Fatal(err)
				}
				for _, group := range groups {
					for _, i := range group.Params {
						for j := range want[i] {
							want[i][j] = test.rule(want[i][j], float64(g[i][j]), moments[i][j][:], step, group.LR*factor, group.WeightDecay)
						}
					}
				}
				for i, v := range get(t, s) {
					for j, x := range v {
						if math.Abs(float64(x)-want[i][j]) > 1e-6 {
							t.Fatalf("step %d: parameter %d[%d] = %g, want %g", step, i, j, x, want[i][j])
						}
					}
				}
			}
		})
	}
}

func TestResume(t *testing.T) {
	for _, cfg := range []optim.Config{
		{Kind: optim.SGD, Momentum: 0.9},
		{Kind: optim.AdamW, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8},
	} {
		t.Run(string(cfg.Kind), func(t *testing.T) {
			groups := []optim.Group{{Params: []int{0, 1, 2, 3}, LR: 0.1, WeightDecay: 0.01}}
			steps := func(s *nn.ParamStore, o *optim.Optimizer, from, to int) {
				for step := from; step < to; step++ {
					_, g := gradients(t, s, step)
					if err := o.Step(func(lr float64) float64 { return lr }, g); err != nil {
						t.Fatal(err)
					}
				}
			}
			create := func(s *nn.ParamStore) *optim.Optimizer {
				o, err := optim.New(cfg, s, groups)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { o.Close() })
				return o
			}
			straight := store(t)
			o := create(straight)
			steps(straight, o, 0, 7)

			first := store(t)
			o = create(first)
			steps(first, o, 0, 3)
			state, err := o.State()
			if err != nil {
				t.Fatal(err)
			}
			second := store(t)
			for i, v := range get(t, first) {
				if err := second.Set(i, v); err != nil {
					t.Fatal(err)
				}
			}
			o = create(second)
			if err := o.LoadState(state); err != nil {
				t.Fatal(err)
			}
			steps(second, o, 3, 7)
			if diff := cmp.Diff(get(t, straight), get(t, second)); diff != "" {
				t.Errorf("interrupted and resumed differ: %s", diff)
			}
		})
	}
}

func TestLoadStateOfAnother(t *testing.T) {
	s := store(t)
	create := func(cfg optim.Config, params ...int) *optim.Optimizer {
		o, err := optim.New(cfg, s, []optim.Group{{Params: params}})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	momentum := optim.Config{Kind: optim.SGD, Momentum: 0.9}
	state, err := create(momentum, 0, 1).State()
	if err != nil {
		t.Fatal(err)
	}
	short, err := create(momentum, 0).State()
	if err != nil {
		t.Fatal(err)
	}
	short.Moments[0].Values = short.Moments[0].Values[1:]
	tests := []struct {
		name  string
		into  *optim.Optimizer
		state optim.State
		want  string
	}{
		{"more parameters", create(momentum, 0, 1, 2), state, "lacks fc.weight/momentum_buffer"},
		{"fewer parameters", create(momentum, 0), state, "2 moments, want 1"},
		{"another kind", create(optim.Config{Kind: optim.Adam}, 0, 1), state, "lacks conv.weight/exp_avg"},
		{"another shape", create(momentum, 0), short, "23 elements of conv.weight/momentum_buffer, want 24"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := test.into.LoadState(test.state); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestMissingGradient(t *testing.T) {
	s := store(t)
	o, err := optim.New(optim.Config{Kind: optim.SGD, Momentum: 0.9}, s, []optim.Group{{Params: []int{0, 1}, LR: 1, WeightDecay: 1}})
	if err != nil {
		t.Fatal(err)
	}
	before := get(t, s)
	if err := o.Step(func(lr float64) float64 { return lr }, func(int) kernels.Buffer { return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, get(t, s)); diff != "" {
		t.Errorf("a parameter without a gradient moved: %s", diff)
	}
}

func TestClipGradNorm(t *testing.T) {
	tests := []struct {
		name  string
		limit float64
		want  []float32 // of 3, 0, 4, whose norm is 5
	}{
		{"below the limit", 10, []float32{3, 0, 4}},
		{"above", 1, []float32{3. / 5, 0, 4. / 5}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := kernels.Host{3, 0}, kernels.Host{4}
			norm, err := optim.ClipGradNorm(ref.New(), test.limit, []kernels.Buffer{a, nil, b})
			if err != nil || norm != 5 {
				t.Errorf("norm %g, error %v, want 5", norm, err)
			}
			for i, got := range append(append([]float32{}, a...), b...) {
				if math.Abs(float64(got-test.want[i])) > 1e-6 {
					t.Errorf("gradient %d is %g, want %g", i, got, test.want[i])
				}
			}
		})
	}
}
