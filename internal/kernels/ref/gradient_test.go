package ref_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/ref"
)

// The reference is held against the equations of the contract where it is their most direct reading (forward), and
// against the forward where it is a derivative: a linear operation A and its gradient satisfy <dy, A·x> = <Aᵀ·dy, x>
// exactly; the others are compared with central differences.

var device = ref.New()

func normal(r *rand.Rand, n int) kernels.Host {
	x := make(kernels.Host, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func seeded() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func dot(a, b kernels.Host) (sum, scale float64) {
	var aa, bb float64
	for i, v := range a {
		sum += float64(v) * float64(b[i])
		aa += float64(v) * float64(v)
		bb += float64(b[i]) * float64(b[i])
	}
	return sum, math.Sqrt(aa * bb)
}

// adjoint fails the test where <dy, y> and <dx, x> differ by more than the rounding of y and dx to float32.
func adjoint(t *testing.T, what string, dy, y, dx, x kernels.Host) {
	t.Helper()
	left, scale := dot(dy, y)
	right, _ := dot(dx, x)
	if math.Abs(left-right) > 1e-6*scale {
		t.Errorf("%s: <dy, Ax> = %v, <A'dy, x> = %v", what, left, right)
	}
}

var convs = []kernels.Conv{
	{N: 2, H: 5, W: 6, C: 3, K: 4, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 1},
	{N: 2, H: 7, W: 6, C: 4, K: 6, R: 3, S: 2, StrideH: 2, StrideW: 3, PadH: 1, PadW: 0, Groups: 2},
	{N: 1, H: 6, W: 5, C: 3, K: 3, R: 3, S: 3, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1, Groups: 3},
	{N: 2, H: 4, W: 5, C: 3, K: 6, R: 1, S: 4, StrideH: 1, StrideW: 1, PadH: 2, PadW: 3, Groups: 3},
	{N: 3, H: 1, W: 1, C: 5, K: 2, R: 1, S: 1, StrideH: 1, StrideW: 1, Groups: 1},
}

func TestConv(t *testing.T) {
	for _, d := range convs {
		t.Run(d.String(), func(t *testing.T) {
			r := seeded()
			x, w, bias, dy := normal(r, d.LenX()), normal(r, d.LenW()), normal(r, d.K), normal(r, d.LenY())
			y, dx, dw := make(kernels.Host, d.LenY()), make(kernels.Host, d.LenX()), make(kernels.Host, d.LenW())

			must(t, device.ConvForward(d, x, w, bias, y, kernels.Identity))
			i := 0
			for n := range d.N {
				for p := range d.P() {
					for q := range d.Q() {
						for k := range d.K {
							if want := convAt(d, x, w, n, p, q, k) + float64(bias[k]); math.Abs(want-float64(y[i])) > 1e-5 {
								t.Fatalf("y[%d,%d,%d,%d] = %v, want %v", n, p, q, k, y[i], want)
							}
							i++
						}
					}
				}
			}

			must(t, device.ConvForward(d, x, w, nil, y, kernels.Identity))
			must(t, device.ConvBackwardData(d, w, dy, dx))
			must(t, device.ConvBackwardWeights(d, x, dy, dw))
			adjoint(t, "data", dy, y, dx, x)
			adjoint(t, "weights", dy, y, dw, w)
		})
	}
}

// convAt is the equation of the contract for one element of y, without the bias.
func convAt(d kernels.Conv, x, w kernels.Host, n, p, q, k int) float64 {
	perGroup := d.C / d.Groups
	group := k / (d.K / d.Groups)
	sum := 0.0
	for r := range d.R {
		for s := range d.S {
			for c := range perGroup {
				h, col := p*d.StrideH+r-d.PadH, q*d.StrideW+s-d.PadW
				if h >= 0 && h < d.H && col >= 0 && col < d.W {
					sum += float64(x[((n*d.H+h)*d.W+col)*d.C+group*perGroup+c]) * float64(w[((r*d.S+s)*perGroup+c)*d.K+k])
				}
			}
		}
	}
	return sum
}

func TestLinear(t *testing.T) {
	d := kernels.Linear{N: 3, I: 5, O: 4}
	r := seeded()
	x, w, bias, dy := normal(r, d.N*d.I), normal(r, d.O*d.I), normal(r, d.O), normal(r, d.N*d.O)
	y, dx, dw := make(kernels.Host, d.N*d.O), make(kernels.Host, d.N*d.I), make(kernels.Host, d.O*d.I)

	must(t, device.LinearForward(d, x, w, bias, y, kernels.Identity))
	for n := range d.N {
		for o := range d.O {
			want, _ := dot(x[n*d.I:(n+1)*d.I], w[o*d.I:(o+1)*d.I])
			if want += float64(bias[o]); math.Abs(want-float64(y[n*d.O+o])) > 1e-5 {
				t.Errorf("y[%d,%d] = %v, want %v", n, o, y[n*d.O+o], want)
			}
		}
	}

	must(t, device.LinearForward(d, x, w, nil, y, kernels.Identity))
	must(t, device.LinearBackwardData(d, w, dy, dx))
	must(t, device.LinearBackwardWeights(d, x, dy, dw))
	adjoint(t, "data", dy, y, dx, x)
	adjoint(t, "weights", dy, y, dw, w)
}

func TestAveragePools(t *testing.T) {
	pools := []kernels.Pool{
		{N: 2, H: 5, W: 6, C: 3, P: 5, Q: 6, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1},
		{N: 2, H: 6, W: 7, C: 2, P: 3, Q: 3, R: 2, S: 3, StrideH: 2, StrideW: 2},
	}
	for _, d := range pools {
		r := seeded()
		x, dy, y, dx := normal(r, d.LenX()), normal(r, d.LenY()), make(kernels.Host, d.LenY()), make(kernels.Host, d.LenX())
		must(t, device.AvgPoolForward(d, x, y))
		must(t, device.AvgPoolBackward(d, dy, dx))
		adjoint(t, fmt.Sprintf("%+v", d), dy, y, dx, x)
	}
	for _, d := range []kernels.Adaptive{{N: 2, H: 7, W: 5, C: 3, P: 1, Q: 1}, {N: 2, H: 7, W: 5, C: 2, P: 3, Q: 4}} {
		r := seeded()
		n, m := d.N*d.H*d.W*d.C, d.N*d.P*d.Q*d.C
		x, dy, y, dx := normal(r, n), normal(r, m), make(kernels.Host, m), make(kernels.Host, n)
		must(t, device.AdaptiveAvgPoolForward(d, x, y))
		must(t, device.AdaptiveAvgPoolBackward(d, dy, dx))
		adjoint(t, fmt.Sprintf("%+v", d), dy, y, dx, x)
	}
}

// Values that follow by hand from the definitions.
func TestPoolValues(t *testing.T) {
	x := kernels.Host{
		1, 2, 3,
		4, 5, 6,
		7, 8, 9,
	}
	pool := kernels.Pool{N: 1, H: 3, W: 3, C: 1, P: 2, Q: 2, R: 2, S: 2, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}
	ceil := pool
	ceil.PadH, ceil.PadW = 0, 0
	adaptive := kernels.Adaptive{N: 1, H: 3, W: 3, C: 1, P: 2, Q: 2}
	tests := []struct {
		name string
		run  func(y kernels.Buffer) error
		want [4]float32
	}{
		{"max", func(y kernels.Buffer) error { return device.MaxPoolForward(pool, x, y) }, [4]float32{1, 3, 7, 9}},
		{"max, ceil", func(y kernels.Buffer) error { return device.MaxPoolForward(ceil, x, y) }, [4]float32{5, 6, 8, 9}},
		{"average counts padding", func(y kernels.Buffer) error { return device.AvgPoolForward(pool, x, y) },
			[4]float32{1. / 4, 5. / 4, 11. / 4, 28. / 4}},
		{"adaptive", func(y kernels.Buffer) error { return device.AdaptiveAvgPoolForward(adaptive, x, y) },
			[4]float32{3, 4, 6, 7}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			y := make(kernels.Host, 4)
			must(t, test.run(y))
			if got := [4]float32(y); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// The gradient of a maximum is the selection of one element of each window.
func TestMaxPoolBackward(t *testing.T) {
	d := kernels.Pool{N: 2, H: 5, W: 6, C: 3, P: 3, Q: 3, R: 3, S: 3, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}
	r := seeded()
	x, dy := normal(r, d.LenX()), normal(r, d.LenY())
	y, dx := make(kernels.Host, d.LenY()), make(kernels.Host, d.LenX())
	must(t, device.MaxPoolForward(d, x, y))
	must(t, device.MaxPoolBackward(d, x, y, dy, dx))
	adjoint(t, "max pool", dy, y, dx, x)

	// Ties: the first in rows, then columns.
	tied := kernels.Pool{N: 1, H: 2, W: 2, C: 1, P: 1, Q: 1, R: 2, S: 2, StrideH: 1, StrideW: 1}
	x, dx = kernels.Host{0, 3, 3, 3}, make(kernels.Host, 4)
	must(t, device.MaxPoolBackward(tied, x, kernels.Host{3}, kernels.Host{5}, dx))
	if [4]float32(dx) != [4]float32{0, 5, 0, 0} {
		t.Errorf("ties: %v", dx)
	}
}

// differences fails the test where grad is not the gradient of f in x by central differences. Steps of 2⁻⁷ keep both the
// truncation (h²) and the rounding of f's float32 parts (1e-7/h) below the tolerance.
func differences(t *testing.T, what string, x, grad kernels.Host, f func() float64) {
	t.Helper()
	const h = 1. / 128
	for i := range x {
		at := x[i]
		x[i] = at + h
		up := f()
		x[i] = at - h
		down := f()
		x[i] = at
		if want := (up - down) / (2 * h); math.Abs(want-float64(grad[i])) > 2e-3*(1+math.Abs(want)) {
			t.Errorf("%s[%d] = %v, want %v", what, i, grad[i], want)
		}
	}
}

func TestBatchNormGradient(t *testing.T) {
	const m, c = 6, 3
	r := seeded()
	x, gamma, beta, dy := normal(r, m*c), normal(r, c), normal(r, c), normal(r, m*c)
	mean, invstd, y := make(kernels.Host, c), make(kernels.Host, c), make(kernels.Host, m*c)
	dgamma, dbeta, dx := make(kernels.Host, c), make(kernels.Host, c), make(kernels.Host, m*c)
	const eps = 1e-5
	frozen := false
	f := func() float64 {
		if !frozen {
			must(t, device.BatchNormStats(m, c, x, mean, invstd, nil, nil, 0, eps))
		}
		must(t, device.BatchNormApply(m, c, x, mean, invstd, gamma, beta, nil, y, kernels.Identity))
		sum, _ := dot(dy, y)
		return sum
	}
	f()
	must(t, device.BatchNormReduce(m, c, dy, x, mean, invstd, gamma, beta, dgamma, dbeta, kernels.Identity))
	must(t, device.BatchNormBackwardData(m, c, dy, x, mean, invstd, gamma, beta, dgamma, dbeta, dx, kernels.Identity))
	differences(t, "dx", x, dx, f)
	differences(t, "dgamma", gamma, dgamma, f)
	differences(t, "dbeta", beta, dbeta, f)

	f()
	frozen = true
	must(t, device.BatchNormBackwardData(m, c, dy, nil, nil, invstd, gamma, nil, nil, nil, dx, kernels.Identity))
	differences(t, "dx with frozen statistics", x, dx, f)
}

func TestBatchNormValues(t *testing.T) {
	// Two channels: 1, 2, 3, 6 (mean 3, biased variance 3.5, unbiased 14/3) and the constant 5.
	x := kernels.Host{1, 5, 2, 5, 3, 5, 6, 5}
	mean, invstd, rm, rv := make(kernels.Host, 2), make(kernels.Host, 2), kernels.Host{1, 1}, kernels.Host{1, 1}
	must(t, device.BatchNormStats(4, 2, x, mean, invstd, rm, rv, 0.25, 0.5))
	want := []struct {
		name      string
		got, want float32
	}{
		{"mean[0]", mean[0], 3}, {"mean[1]", mean[1], 5},
		{"invstd[0]", invstd[0], 0.5}, {"invstd[1]", invstd[1], float32(math.Sqrt2)},
		{"runningMean[0]", rm[0], 1.5}, {"runningMean[1]", rm[1], 2},
		{"runningVar[0]", rv[0], 0.75 + 14./12}, {"runningVar[1]", rv[1], 0.75},
	}
	for _, w := range want {
		if math.Abs(float64(w.got-w.want)) > 1e-6 {
			t.Errorf("%s = %v, want %v", w.name, w.got, w.want)
		}
	}
}

func TestActivationGradient(t *testing.T) {
	for _, act := range []kernels.Activation{kernels.Identity, kernels.ReLU, kernels.ReLU6} {
		x := kernels.Host{-7, -1, -0.1, 0.1, 1, 5.9, 6.1, 9} // more than a step away from the corners
		dy := kernels.Host{1, 2, 3, 4, 5, 6, 7, 8}
		y, dx := make(kernels.Host, len(x)), make(kernels.Host, len(x))
		f := func() float64 {
			must(t, device.Activate(act, x, y))
			sum, _ := dot(dy, y)
			return sum
		}
		f()
		must(t, device.ActivateBackward(act, y, dy, dx))
		differences(t, act.String(), x, dx, f)
	}
}

func TestCrossEntropyGradient(t *testing.T) {
	for _, smoothing := range []float32{0, 0.2} {
		for _, weights := range []kernels.Buffer{nil, kernels.Host{0.5, 3, 1, 0.2}} {
			d := kernels.CrossEntropy{N: 3, Classes: 4, Smoothing: smoothing}
			logits, labels := normal(seeded(), d.N*d.Classes), kernels.Host{2, 0, 1}
			prob, loss, dlogits := make(kernels.Host, len(logits)), make(kernels.Host, 1), make(kernels.Host, len(logits))
			const scale = 3
			f := func() float64 {
				must(t, device.CrossEntropyForward(d, logits, labels, weights, loss, prob))
				return scale * float64(loss[0])
			}
			f()
			must(t, device.CrossEntropyBackward(d, prob, labels, weights, scale, dlogits))
			differences(t, fmt.Sprintf("dlogits, smoothing %v, weights %v", smoothing, weights), logits, dlogits, f)
		}
	}
}

// Two pictures with probabilities (1/4, 3/4) and (1/2, 1/2), labels 1 and 0.
func TestCrossEntropyValues(t *testing.T) {
	ln := math.Log
	logits, labels := kernels.Host{0, float32(ln(3)), 1, 1}, kernels.Host{1, 0}
	tests := []struct {
		name      string
		smoothing float32
		weights   kernels.Buffer
		want      float64
	}{
		{"plain", 0, nil, (ln(4./3) + ln(2)) / 2},
		{"weights", 0, kernels.Host{1, 3}, (3*ln(4./3) + ln(2)) / 4},
		{"smoothing", 0.2, nil, (0.9*ln(4./3) + 0.1*ln(4) + ln(2)) / 2},
		// torch: the smoothed part sums w[j]·(−log p[j]) over all classes; the divisor stays Σ w[label].
		{"both", 0.2, kernels.Host{1, 3}, (0.8*(3*ln(4./3)+ln(2)) + 0.1*(ln(4)+3*ln(4./3)+ln(2)+3*ln(2))) / 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			prob, loss := make(kernels.Host, 4), make(kernels.Host, 1)
			d := kernels.CrossEntropy{N: 2, Classes: 2, Smoothing: test.smoothing}
			must(t, device.CrossEntropyForward(d, logits, labels, test.weights, loss, prob))
			if math.Abs(float64(loss[0])-test.want) > 1e-6 {
				t.Errorf("loss %v, want %v", loss[0], test.want)
			}
			for i, p := range []float64{0.25, 0.75, 0.5, 0.5} {
				if math.Abs(float64(prob[i])-p) > 1e-6 {
					t.Errorf("prob[%d] = %v, want %v", i, prob[i], p)
				}
			}
		})
	}
}

func TestSGDValues(t *testing.T) {
	tests := []struct {
		name  string
		o     kernels.SGD
		wants []float64 // w after each step, from w = 0 with g = 1
	}{
		{"plain", kernels.SGD{LR: 0.1}, []float64{-0.1, -0.2, -0.3}},
		{"momentum", kernels.SGD{LR: 0.1, Momentum: 0.9}, []float64{-0.1, -0.29, -0.561}},
		{"nesterov", kernels.SGD{LR: 0.1, Momentum: 0.9, Nesterov: true}, []float64{-0.19, -0.461, -0.8049}},
		{"decay", kernels.SGD{LR: 0.1, WeightDecay: 0.5}, []float64{-0.1, -0.195, -0.28525}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, g, v := kernels.Host{0}, kernels.Host{1}, kernels.Host{0}
			for step, want := range test.wants {
				must(t, device.SGD(test.o, w, g, v))
				if math.Abs(float64(w[0])-want) > 1e-6 {
					t.Errorf("step %d: %v, want %v", step+1, w[0], want)
				}
			}
		})
	}
}

// With a constant gradient the bias-corrected moments are g and g² at every step, so each step moves w by LR·sign(g).
func TestAdamValues(t *testing.T) {
	const lr, steps = 0.1, 5
	w, g, m, v := kernels.Host{1, 1}, kernels.Host{3, -0.2}, make(kernels.Host, 2), make(kernels.Host, 2)
	o := kernels.Adam{LR: lr, Beta1: 0.9, Beta2: 0.999, Eps: 1e-12}
	for o.Step = 1; o.Step <= steps; o.Step++ {
		must(t, device.Adam(o, w, g, m, v))
	}
	for i, want := range []float64{1 - lr*steps, 1 + lr*steps} {
		if math.Abs(float64(w[i])-want) > 1e-5 {
			t.Errorf("w[%d] = %v, want %v", i, w[i], want)
		}
	}

	// The decay is added to the gradient (here it turns its sign), or shrinks w apart from it.
	for decoupled, want := range map[bool]float64{false: 1 - lr, true: 1 - lr*2 + lr} {
		w, m, v := kernels.Host{1}, kernels.Host{0}, kernels.Host{0}
		o := kernels.Adam{LR: lr, Beta1: 0.9, Beta2: 0.999, Eps: 1e-12, WeightDecay: 2, Decoupled: decoupled, Step: 1}
		must(t, device.Adam(o, w, kernels.Host{-1}, m, v))
		if math.Abs(float64(w[0])-want) > 1e-6 {
			t.Errorf("decoupled %v: w = %v, want %v", decoupled, w[0], want)
		}
	}
}

func TestWrongLengthNamesOperation(t *testing.T) {
	defer func() {
		if got, want := fmt.Sprint(recover()), "ref: SumRows: x has 7 elements, want 6"; got != want {
			t.Errorf("panic %q, want %q", got, want)
		}
	}()
	_ = device.SumRows(2, 3, make(kernels.Host, 7), make(kernels.Host, 3))
}
