package cpu

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/ftrun/ftrun/internal/kernels"
)

// shiftRows is how many rows, evenly spaced, are averaged for a first guess at the mean.
const shiftRows = 16

// BatchNormStats: x (M,C) → mean (C), invstd (C), and the running statistics (C) moved.
//
// One pass over x sums d = x − shift and d², so var = Σd²/M − (Σd/M)². The shift is the mean of a few rows: then the
// second term is small beside the first, and nothing cancels, whatever the mean of x.
func (d *Device) BatchNormStats(m, c int, x, mean, invstd, runningMean, runningVar kernels.Buffer,
	momentum, eps float32) error {
	xs, means, invstds := floats(x, m*c), floats(mean, c), floats(invstd, c)
	rm, rv := optional(runningMean, c), optional(runningVar, c)

	shift := means // until the mean is known
	clear(shift)
	picked := min(m, shiftRows)
	for i := range picked {
		row := i * m / picked * c
		for j, v := range xs[row : row+c] {
			shift[j] += v / float32(picked)
		}
	}
	partial := reduce(d, m, c, 2, batchNormStats{xs, shift, c})
	keep, move := 1-float64(momentum), float64(momentum)
	bessel := float64(m) / float64(max(m-1, 1))
	for j := range means {
		off := total(partial, 2, c, 0, j) / float64(m)
		variance := max(total(partial, 2, c, 1, j)/float64(m)-off*off, 0)
		mu := float64(shift[j]) + off
		means[j] = float32(mu)
		invstds[j] = float32(1 / math.Sqrt(variance+float64(eps)))
		if rm != nil {
			rm[j] = float32(keep*float64(rm[j]) + move*mu)
			rv[j] = float32(keep*float64(rv[j]) + move*variance*bessel)
		}
	}
	return nil
}

type batchNormStats struct {
	x, shift []float32
	c        int
}

func (t *batchNormStats) sum(s *streams, first, column, rows, n int, sums *float32) {
	s.moments.of(n, s)(&t.x[first], &t.shift[column], sums, at(sums, t.c), rows, t.c, n)
}

// BatchNormInvStd: variance (C) → invstd (C) = 1/sqrt(variance+eps).
func (d *Device) BatchNormInvStd(c int, variance, invstd kernels.Buffer, eps float32) error {
	in, out := floats(variance, c), floats(invstd, c)
	for j, v := range in {
		out[j] = float32(1 / math.Sqrt(float64(v)+float64(eps)))
	}
	return nil
}

// BatchNormApply: x, residual (M,C), the rest (C) → y (M,C) = act((x−mean)·invstd·gamma + beta + residual).
func (d *Device) BatchNormApply(m, c int, x, mean, invstd, gamma, beta, residual, y kernels.Buffer,
	act kernels.Activation) error {
	xs, ys, res := floats(x, m*c), floats(y, m*c), optional(residual, m*c)
	means, invstds, gammas, betas := floats(mean, c), floats(invstd, c), floats(gamma, c), floats(beta, c)
	f := grow(&d.shared.factors, c)
	multiply(f, invstds, gammas)
	lo, hi := bounds(act)
	eachRow(d, m, c, batchNormApply{xs, res, ys, means, f, betas, c, lo, hi, isPast(ys, c, xs, res)})
	return nil
}

type batchNormApply struct {
	x, res, y     []float32
	mean, f, beta []float32
	c             int
	floor, ceil   float32
	past          bool
}

func (t *batchNormApply) part(s *streams, lo, hi int) {
	mean, f, beta := unsafe.SliceData(t.mean), unsafe.SliceData(t.f), unsafe.SliceData(t.beta)
	first := lo * t.c
	if t.res == nil {
		s.normalize.way(t.past)(&t.x[first], &t.y[first], mean, f, beta, hi-lo, t.c, t.floor, t.ceil)
	} else {
		s.normalizeAdd.way(t.past)(&t.x[first], &t.res[first], &t.y[first], mean, f, beta, hi-lo, t.c, t.floor, t.ceil)
	}
}

// BatchNormReduce: dy, x (M,C), mean, invstd, gamma, beta (C) → dgamma (C) = Σ_m g·xhat, dbeta (C) = Σ_m g, where g is dy
// times act's slope.
func (d *Device) BatchNormReduce(m, c int, dy, x, mean, invstd, gamma, beta, dgamma, dbeta kernels.Buffer,
	act kernels.Activation) error {
	dys, xs := floats(dy, m*c), floats(x, m*c)
	means, invstds := floats(mean, c), floats(invstd, c)
	gammas, betas := floats(gamma, c), floats(beta, c)
	dgammas, dbetas := floats(dgamma, c), floats(dbeta, c)
	var partial []float32
	if act == kernels.Identity {
		partial = reduce(d, m, c, 2, batchNormReduce{dys, xs, means, c})
	} else {
		f := grow(&d.shared.factors, c)
		multiply(f, invstds, gammas)
		partial = reduce(d, m, c, 2, batchNormReduceGated{batchNormReduce{dys, xs, means, c}, f, betas, slopeTop(act)})
	}
	for j := range dgammas {
		dbetas[j] = float32(total(partial, 2, c, 0, j))
		dgammas[j] = float32(total(partial, 2, c, 1, j) * float64(invstds[j]))
	}
	return nil
}

type batchNormReduce struct {
	dy, x, mean []float32
	c           int
}

func (t *batchNormReduce) sum(s *streams, first, column, rows, n int, sums *float32) {
	s.projections.of(n, s)(&t.dy[first], &t.x[first], &t.mean[column], sums, at(sums, t.c), rows, t.c, n)
}

type batchNormReduceGated struct {
	batchNormReduce
	f, beta []float32
	top     float32
}

func (t *batchNormReduceGated) sum(s *streams, first, column, rows, n int, sums *float32) {
	s.projectionsGated.of(n, s)(&t.dy[first], &t.x[first], &t.mean[column], &t.f[column], &t.beta[column], sums,
		at(sums, t.c), rows, t.c, n, t.top)
}

// BatchNormBackwardData: dy, x (M,C), the rest (C) → dx (M,C), with batch statistics
// gamma·invstd·(g − dbeta/M − xhat·dgamma/M), where g is dy times act's slope, with frozen ones gamma·invstd·dy.
func (d *Device) BatchNormBackwardData(m, c int, dy, x, mean, invstd, gamma, beta, dgamma, dbeta, dx kernels.Buffer,
	act kernels.Activation) error {
	dys, dxs := floats(dy, m*c), floats(dx, m*c)
	invstds, gammas := floats(invstd, c), floats(gamma, c)
	factors := grow(&d.shared.factors, 3*c)
	f, a, b := factors[:c], factors[c:2*c], factors[2*c:]
	multiply(f, invstds, gammas)
	if dgamma == nil && dbeta == nil {
		if act != kernels.Identity {
			panic(fmt.Sprintf("cpu: BatchNormBackwardData of frozen statistics with %v", act))
		}
		eachRow(d, m, c, scaleRows{dys, dxs, f, c})
		return nil
	}
	xs, means, betas := floats(x, m*c), floats(mean, c), floats(beta, c)
	dgammas, dbetas := floats(dgamma, c), floats(dbeta, c)
	for j := range f {
		a[j] = dbetas[j] / float32(m)
		b[j] = dgammas[j] / float32(m) * invstds[j]
	}
	t := batchNormBackwardData{dys, xs, dxs, means, f, a, b, c}
	if act == kernels.Identity {
		eachRow(d, m, c, t)
	} else {
		eachRow(d, m, c, batchNormBackwardDataGated{t, betas, slopeTop(act)})
	}
	return nil
}

type batchNormBackwardData struct {
	dy, x, dx     []float32
	mean, f, a, b []float32
	c             int
}

func (t *batchNormBackwardData) part(s *streams, lo, hi int) {
	first := lo * t.c
	s.normalizeBackward(&t.dy[first], &t.x[first], &t.dx[first], unsafe.SliceData(t.mean), unsafe.SliceData(t.f),
		unsafe.SliceData(t.a), unsafe.SliceData(t.b), hi-lo, t.c)
}

type batchNormBackwardDataGated struct {
	batchNormBackwardData
	beta []float32
	top  float32
}

func (t *batchNormBackwardDataGated) part(s *streams, lo, hi int) {
	first := lo * t.c
	s.normalizeBackwardGated(&t.dy[first], &t.x[first], &t.dx[first], unsafe.SliceData(t.mean), unsafe.SliceData(t.f),
		unsafe.SliceData(t.a), unsafe.SliceData(t.b), unsafe.SliceData(t.beta), hi-lo, t.c, t.top)
}

type scaleRows struct {
	x, y, f []float32
	c       int
}

func (t *scaleRows) part(s *streams, lo, hi int) {
	s.scaleRows(&t.x[lo*t.c], &t.y[lo*t.c], unsafe.SliceData(t.f), hi-lo, t.c)
}

// multiply: a, b → y = a·b. Forward and backward must agree on the bits of a batch norm's factor, so that both see the
// same results of its activation.
func multiply(y, a, b []float32) {
	for j := range y {
		y[j] = a[j] * b[j]
	}
}
