package nn

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/ref"
)

func newStore(t *testing.T, net *Net) *ParamStore {
	t.Helper()
	s, err := NewParamStore(ref.New(), net)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestParamStoreLayout(t *testing.T) {
	net := build(t, Shape{4, 4, 2}, func(b *Builder) Ref {
		x := b.Conv2d("conv", Input, Conv2d{Out: 3, Kernel: [2]int{2, 3}, Bias: true}, Default)
		return b.Linear("fc", b.Flatten("flatten", b.BatchNorm2d("norm", x, BatchNorm2d{})), Linear{Out: 2}, Default)
	})
	s := newStore(t, net)
	for i, p := range net.Params {
		if p.Kind == Counter {
			s.SetCounter(i, 7)
			if s.Counter(i) != 7 {
				t.Errorf("%s = %d, want 7", p.Name, s.Counter(i))
			}
			continue
		}
		want := numbers(uint64(i), p.Len())
		if err := s.Set(i, want); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(i); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s comes back as %v, error %v; want %v", p.Name, got, err, want)
		}
		onDevice := s.Buffer(i).(kernels.Host)
		if p.Name != "conv.weight" {
			if !slices.Equal(onDevice, want) {
				t.Errorf("%s lies on the device as %v, want %v", p.Name, onDevice, want)
			}
			continue
		}
		// torch's w[k=1][c=0][r=1][s=2] is the device's [r=1][s=2][c=0][k=1]
		if got, want := onDevice[((1*3+2)*2+0)*3+1], want[((1*2+0)*2+1)*3+2]; got != want {
			t.Errorf("element of conv.weight on the device %g, want %g", got, want)
		}
	}
}

// TestCopyFrom copies a parameter of several parts and a short one, and leaves the others be.
func TestCopyFrom(t *testing.T) {
	net := build(t, Shape{1, 1, 700}, func(b *Builder) Ref {
		x := b.Linear("long", b.Flatten("flatten", Input), Linear{Out: 800}, Default)
		return b.Linear("left", b.BatchNorm2d("norm", x, BatchNorm2d{}), Linear{Out: 2}, Default)
	})
	from, to := newStore(t, net), newStore(t, net)
	for i, p := range net.Params {
		if p.Kind != Counter {
			if err := from.Set(i, numbers(uint64(i), p.Len())); err != nil {
				t.Fatal(err)
			}
		}
	}
	copied := func(i int) bool { return !strings.HasPrefix(net.Params[i].Name, "left") }
	if err := to.CopyFrom(from, copied); err != nil {
		t.Fatal(err)
	}
	parts := 0
	for i, p := range net.Params {
		if p.Kind == Counter {
			continue
		}
		want := make([]float32, p.Len())
		if copied(i) {
			want = numbers(uint64(i), p.Len())
			parts = max(parts, (4*p.Len()+CopyMemory-1)/CopyMemory)
		}
		if got, err := to.Get(i); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s is not what it should be, error %v", p.Name, err)
		}
		if moved := to.versions[i] > 0; moved != copied(i) {
			t.Errorf("%s: programs are told of a change: %v", p.Name, moved)
		}
	}
	if parts < 2 {
		t.Error("no parameter is copied in parts")
	}
}

func TestInit(t *testing.T) {
	const n = 40000
	tests := []struct {
		name      string
		init      Init
		mean, std float64
		lo, hi    float64
	}{
		{"constant", Init{Dist: Constant, A: 0.25}, 0.25, 0, 0.25, 0.25},
		{"uniform", Init{Dist: Uniform, A: -0.5, B: 1.5}, 0.5, 2 / math.Sqrt(12), -0.5, 1.5},
		{"normal", Init{Dist: Normal, A: 0.1, B: 0.3}, 0.1, 0.3, math.Inf(-1), math.Inf(1)},
		{"narrow truncated normal", Init{Dist: TruncNormal, B: 0.1}, 0, 0.1, -2, 2},
		// A standard normal distribution cut to ±2 has variance 1 − 4φ(2)/(2Φ(2)−1) = 0.77374.
		{"truncated normal", Init{Dist: TruncNormal, B: 1}, 0, math.Sqrt(0.77374), -2, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x := make([]float32, n)
			test.init.fill(x, 1, "w")
			var sum, squares, below float64
			for _, v := range x {
				sum += float64(v)
				squares += (float64(v) - test.mean) * (float64(v) - test.mean)
				if float64(v) < test.mean-test.std {
					below++
				}
			}
			// three standard errors, and room for rounding
			if got := sum / n; math.Abs(got-test.mean) > 3*test.std/math.Sqrt(n)+1e-7 {
				t.Errorf("mean %g, want %g", got, test.mean)
			}
			if got := math.Sqrt(squares / n); math.Abs(got-test.std) > 3*test.std/math.Sqrt(2*n)+1e-7 {
				t.Errorf("standard deviation %g, want %g", got, test.std)
			}
			if lo, hi := float64(slices.Min(x)), float64(slices.Max(x)); lo < test.lo || hi > test.hi {
				t.Errorf("values from %g to %g, want them within %g to %g", lo, hi, test.lo, test.hi)
			}
			if test.init.Dist == Normal { // Φ(−1) = 0.15866
				if got := below / n; math.Abs(got-0.15866) > 3*math.Sqrt(0.15866*0.84134/n) {
					t.Errorf("%g are more than a standard deviation below the mean, want 0.15866", got)
				}
			}
			same := make([]float32, n/2)
			test.init.fill(same, 1, "w")
			if !slices.Equal(same, x[:n/2]) {
				t.Error("a longer parameter begins with other values")
			}
			if test.init.Dist == Constant {
				return
			}
			for other, fill := range map[string]func([]float32){
				"seed": func(x []float32) { test.init.fill(x, 2, "w") },
				"name": func(x []float32) { test.init.fill(x, 1, "v") },
			} {
				y := make([]float32, n)
				fill(y)
				if equal := countEqual(x, y); equal > n/1000 {
					t.Errorf("%d of %d values are those of another %s", equal, n, other)
				}
			}
			for d := 1; d <= 4; d++ {
				if equal := countEqual(x[d:], x[:n-d]); equal > n/1000 {
					t.Errorf("%d of %d values are those of their neighbour at distance %d", equal, n, d)
				}
			}
		})
	}
}

func countEqual(a, b []float32) int {
	n := 0
	for i := range a {
		if a[i] == b[i] {
			n++
		}
	}
	return n
}

// TestInitOrder wants the values in torch's order of elements, whatever the device's.
func TestInitOrder(t *testing.T) {
	net := build(t, Shape{4, 4, 2}, func(b *Builder) Ref {
		x := b.Conv2d("conv", Input, Conv2d{Out: 3, Kernel: [2]int{2, 3}, Bias: true}, KaimingNormalOut)
		return b.Linear("fc", b.Flatten("flatten", b.BatchNorm2d("norm", x, BatchNorm2d{})), Linear{Out: 2}, Default)
	})
	s := newStore(t, net)
	for i, p := range net.Params {
		if p.Kind == Counter {
			s.SetCounter(i, 5)
		}
	}
	if err := s.Init(3, func(p Param) bool { return p.Name != "fc.bias" }); err != nil {
		t.Fatal(err)
	}
	for i, p := range net.Params {
		if p.Kind == Counter {
			if s.Counter(i) != 0 {
				t.Errorf("%s = %d, want 0", p.Name, s.Counter(i))
			}
			continue
		}
		want := make([]float32, p.Len())
		if p.Name != "fc.bias" {
			p.Init.fill(want, 3, p.Name)
		}
		if got, err := s.Get(i); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s = %v, error %v; want %v", p.Name, got, err, want)
		}
	}
}
