package kerneltest

import (
	"fmt"
	"math"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// channelCounts lie on both sides of the vector widths.
var channelCounts = []int{1, 2, 3, 15, 16, 17, 33, 48, 70}

// rowCounts lie on both sides of unrolled loops and of the chunks of reductions.
var rowCounts = []int{2, 7, 64, 65, 1027, 5000}

// forRows runs f for shapes (M,C): every channel count, and every row count with some.
func forRows(t *testing.T, f func(t *testing.T, m, c int)) {
	for _, c := range channelCounts {
		for _, m := range rowCounts {
			if m > 65 && c != 3 && c != 16 && c != 33 {
				continue
			}
			t.Run(fmt.Sprintf("%d rows of %d", m, c), func(t *testing.T) { f(t, m, c) })
		}
	}
}

// pictureRows are the rows of one picture where a batch is M = N·rows.
const pictureRows = 21

func (s *suite) batchNormStats(t *testing.T) {
	build := func(m, c int, x []float32, running bool) call {
		r := newSource("running")
		var runningMean, runningVar []float32
		if running {
			runningMean, runningVar = r.normal(c), r.uniform(c, 0.5, 2)
		}
		return call{
			args: []arg{
				{name: "x", data: x},
				{name: "mean", data: zeros(c), role: out},
				{name: "invstd", data: zeros(c), role: out},
				{name: "runningMean", data: runningMean, role: inout},
				{name: "runningVar", data: runningVar, role: inout},
			},
			run: func(d kernels.Device, b []kernels.Buffer) error {
				return d.BatchNormStats(m, c, b[0], b[1], b[2], b[3], b[4], 0.1, 1e-5)
			},
		}
	}
	forRows(t, func(t *testing.T, m, c int) {
		r := newSource(fmt.Sprint(m, c))
		s.check(t, build(m, c, shifted(r.normal(m*c), 0.5), true), reduction)
		s.check(t, build(m, c, shifted(r.normal(m*c), -2), false), reduction)
	})
	// Σx² − (Σx)² would lose the variance here: the mean is 30,000 times the deviation.
	t.Run("large mean", func(t *testing.T) {
		for _, c := range []int{3, 16, 33} {
			s.check(t, build(1500, c, shifted(newSource("large mean").normal(1500*c), 30000), true), reduction)
		}
	})
	t.Run("large mean of one channel of many", func(t *testing.T) {
		x := newSource("one").normal(700 * 17)
		for i := 5; i < len(x); i += 17 {
			x[i] = 1e6 + 10*x[i]
		}
		s.check(t, build(700, 17, x, true), bound{rms: 1e-5, max: 1e-4})
	})
	t.Run("constant", func(t *testing.T) {
		s.check(t, build(300, 17, shifted(zeros(300*17), 3), true), reduction)
		s.check(t, build(300, 17, zeros(300*17), true), reduction)
	})
	t.Run("one row", func(t *testing.T) { s.check(t, build(1, 17, newSource("one row").normal(17), true), reduction) })
}

func (s *suite) batchNormInvStd(t *testing.T) {
	for _, c := range channelCounts {
		variance := newSource("variance").uniform(c, 0, 3)
		variance[0] = 0
		s.check(t, call{
			args: []arg{{name: "variance", data: variance}, {name: "invstd", data: zeros(c), role: out}},
			run: func(d kernels.Device, b []kernels.Buffer) error {
				return d.BatchNormInvStd(c, b[0], b[1], 1e-3)
			},
		}, pointwise)
	}
}

func (s *suite) batchNormApply(t *testing.T) {
	build := func(m, c int, act kernels.Activation, residual bool) call {
		r := newSource(fmt.Sprint(m, c))
		mean, invstd, gamma, beta := r.normal(c), r.uniform(c, 0.5, 2), r.normal(c), r.normal(c)
		x := shifted(r.normal(m*c), 0.3)
		var res []float32
		if residual {
			res = r.normal(m * c)
		}
		x[len(x)/2] = float32(math.NaN())
		return call{
			args: []arg{
				{name: "mean", data: mean}, {name: "invstd", data: invstd}, {name: "gamma", data: gamma}, {name: "beta", data: beta},
				{name: "x", data: x, batched: true},
				{name: "residual", data: res, batched: true},
				{name: "y", data: zeros(m * c), role: out, batched: true},
			},
			run: func(d kernels.Device, b []kernels.Buffer) error {
				return d.BatchNormApply(m, c, b[4], b[0], b[1], b[2], b[3], b[5], b[6], act)
			},
			inPlace: [][2]int{{6, 4}, {6, 5}},
		}
	}
	forRows(t, func(t *testing.T, m, c int) {
		for _, act := range activations {
			s.check(t, build(m, c, act, false), pointwise)
			s.check(t, build(m, c, act, true), pointwise)
		}
	})
	for _, c := range channelCounts {
		t.Run(fmt.Sprintf("pictures of %d", c), func(t *testing.T) {
			s.checkPictures(t, func(n int) call { return build(n*pictureRows, c, kernels.ReLU, true) })
		})
	}
}

// coarseBatchNorm is numbers with which (x−mean)·invstd·gamma + beta is exact in float32, so that every device sees the
// same results of an activation: also 0 and 6, at which its slope changes.
func coarseBatchNorm(r source, m, c int, shift float32) (x, mean, invstd, gamma, beta []float32) {
	quarters := func(n int) []float32 {
		v := r.uniform(n, -10, 10)
		for i := range v {
			v[i] = float32(math.Round(float64(v[i]))) / 4
		}
		return v
	}
	invstd = quarters(c)
	for j := range invstd {
		invstd[j] = [...]float32{0.5, 1, 2}[j%3]
	}
	return shifted(quarters(m*c), shift), shifted(quarters(c), shift), invstd, quarters(c), quarters(c)
}

func (s *suite) batchNormReduce(t *testing.T) {
	forRows(t, func(t *testing.T, m, c int) {
		for _, shift := range []float32{0.5, 100} { // a large mean: dy·x − mean·Σdy would cancel
			for _, act := range activations {
				r := newSource(fmt.Sprint(m, c))
				x, mean, invstd, gamma, beta := coarseBatchNorm(r, m, c, shift)
				if act == kernels.Identity {
					x, mean, invstd = shifted(r.normal(m*c), shift), shifted(r.uniform(c, -0.1, 0.1), shift), r.uniform(c, 0.5, 2)
				}
				s.check(t, call{
					args: []arg{
						{name: "dy", data: r.normal(m * c)},
						{name: "x", data: x}, {name: "mean", data: mean}, {name: "invstd", data: invstd},
						{name: "gamma", data: gamma}, {name: "beta", data: beta},
						{name: "dgamma", data: zeros(c), role: out},
						{name: "dbeta", data: zeros(c), role: out},
					},
					run: func(d kernels.Device, b []kernels.Buffer) error {
						return d.BatchNormReduce(m, c, b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], act)
					},
				}, reduction)
			}
		}
	})
}

func (s *suite) batchNormBackwardData(t *testing.T) {
	build := func(m, c int, act kernels.Activation, frozen bool) call {
		r := newSource(fmt.Sprint(m, c))
		x, mean, invstd, gamma, beta := coarseBatchNorm(r, m, c, 0.5)
		if act == kernels.Identity {
			x, mean, invstd, gamma = r.normal(m*c), r.normal(c), r.uniform(c, 0.5, 2), r.normal(c)
		}
		dgamma, dbeta := r.normal(c), r.normal(c)
		for j := range c { // the size that they have as sums over M
			dgamma[j] *= float32(m)
			dbeta[j] *= float32(m)
		}
		if frozen {
			x, mean, beta, dgamma, dbeta = nil, nil, nil, nil, nil
		}
		return call{
			args: []arg{
				{name: "mean", data: mean}, {name: "invstd", data: invstd}, {name: "gamma", data: gamma}, {name: "beta", data: beta},
				{name: "dgamma", data: dgamma}, {name: "dbeta", data: dbeta},
				{name: "dy", data: r.normal(m * c), batched: true},
				{name: "x", data: x, batched: true},
				{name: "dx", data: zeros(m * c), role: out, batched: true},
			},
			run: func(d kernels.Device, b []kernels.Buffer) error {
				return d.BatchNormBackwardData(m, c, b[6], b[7], b[0], b[1], b[2], b[3], b[4], b[5], b[8], act)
			},
			inPlace: [][2]int{{8, 6}},
		}
	}
	forRows(t, func(t *testing.T, m, c int) {
		for _, act := range activations {
			s.check(t, build(m, c, act, false), pointwise)
		}
		s.check(t, build(m, c, kernels.Identity, true), pointwise)
	})
	// With batch statistics dx depends on M; with frozen ones each picture is for itself.
	for _, c := range channelCounts {
		t.Run(fmt.Sprintf("pictures of %d", c), func(t *testing.T) {
			s.checkPictures(t, func(n int) call { return build(n*pictureRows, c, kernels.Identity, true) })
		})
	}
}

// batchNormOfActivation holds the gradient of an activation that is joined to a batch norm's to the bits of the two
// computed one after the other.
func (s *suite) batchNormOfActivation(t *testing.T) {
	forRows(t, func(t *testing.T, m, c int) {
		for _, act := range activations {
			r := newSource(fmt.Sprint(m, c))
			dy, x, mean, invstd := r.normal(m*c), r.normal(m*c), r.normal(c), r.uniform(c, 0.5, 2)
			gamma, beta := r.normal(c), r.normal(c)
			gradients := func(joined bool) [][]float32 {
				return execute(t, s.devices[0], call{
					args: []arg{
						{name: "dy", data: dy}, {name: "x", data: x}, {name: "mean", data: mean}, {name: "invstd", data: invstd},
						{name: "gamma", data: gamma}, {name: "beta", data: beta},
						{name: "dgamma", data: zeros(c), role: out}, {name: "dbeta", data: zeros(c), role: out},
						{name: "dx", data: zeros(m * c), role: out}, {name: "y", data: zeros(m * c), role: out},
					},
					run: func(d kernels.Device, b []kernels.Buffer) error {
						dy, x, mean, invstd, gamma, beta, dgamma, dbeta, dx, y := b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9]
						act := act
						if err := d.BatchNormApply(m, c, x, mean, invstd, gamma, beta, nil, y, act); err != nil {
							return err
						}
						if !joined {
							if err := d.ActivateBackward(act, y, dy, dx); err != nil {
								return err
							}
							dy, act = dx, kernels.Identity
						}
						if err := d.BatchNormReduce(m, c, dy, x, mean, invstd, gamma, beta, dgamma, dbeta, act); err != nil {
							return err
						}
						return d.BatchNormBackwardData(m, c, dy, x, mean, invstd, gamma, beta, dgamma, dbeta, dx, act)
					},
				})[6:9]
			}
			apart, joined := gradients(false), gradients(true)
			for i, name := range []string{"dgamma", "dbeta", "dx"} {
				for j, want := range apart[i] {
					if got := joined[i][j]; math.Float32bits(got) != math.Float32bits(want) {
						t.Fatalf("%v: %s[%d] is %v where the activation's gradient is joined, else %v", act, name, j, got, want)
					}
				}
			}
		}
	})
}
