//go:build gpu

package cuda

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/kernels"
)

// BatchNormStats: x (M,C) → mean (C), invstd (C), and the running statistics (C) moved.
func (d *Device) BatchNormStats(m, c int, x, mean, invstd, runningMean, runningVar kernels.Buffer,
	momentum, eps float32) error {
	const op = "BatchNormStats"
	xs, means, invstds := d.memory(op, "x", x, m*c), d.memory(op, "mean", mean, c), d.memory(op, "invstd", invstd, c)
	rm, rv := d.optional(op, "runningMean", runningMean, c), d.optional(op, "runningVar", runningVar, c)
	s := cut(m, c)
	parts, err := d.take(s.bytes(2, c), 4*c)
	if err != nil {
		return err
	}
	partial, shift := parts[0], parts[1]
	if err := d.launch("guess_mean", c, xs, shift, m, c); err != nil {
		return err
	}
	if err := d.launch("moments", s.chunks*c, xs, shift, partial, m, c, s.rows, s.chunks); err != nil {
		return err
	}
	sums, n, err := d.fold(s, 2*c, partial)
	if err != nil {
		return err
	}
	return d.launch("finish_moments", c, sums, shift, means, invstds, rm, rv, momentum, eps, m, c, n)
}

// BatchNormInvStd: variance (C) → invstd (C) = 1/sqrt(variance+eps).
func (d *Device) BatchNormInvStd(c int, variance, invstd kernels.Buffer, eps float32) error {
	const op = "BatchNormInvStd"
	return d.launch("inverse_deviation", c, d.memory(op, "variance", variance, c), d.memory(op, "invstd", invstd, c), eps, c)
}

// BatchNormApply: x, residual (M,C), the rest (C) → y (M,C) = act((x−mean)·invstd·gamma + beta + residual).
func (d *Device) BatchNormApply(m, c int, x, mean, invstd, gamma, beta, residual, y kernels.Buffer,
	act kernels.Activation) error {
	const op = "BatchNormApply"
	return d.launch("normalize", m*c, d.memory(op, "x", x, m*c), d.memory(op, "mean", mean, c), d.memory(op, "invstd", invstd, c),
		d.memory(op, "gamma", gamma, c), d.memory(op, "beta", beta, c), d.optional(op, "residual", residual, m*c),
		d.memory(op, "y", y, m*c), act, m, c)
}

// BatchNormReduce: dy, x (M,C), mean, invstd, gamma, beta (C) → dgamma (C) = Σ_m g·xhat, dbeta (C) = Σ_m g, where g is dy
// times act's slope.
func (d *Device) BatchNormReduce(m, c int, dy, x, mean, invstd, gamma, beta, dgamma, dbeta kernels.Buffer,
	act kernels.Activation) error {
	const op = "BatchNormReduce"
	dys, xs := d.memory(op, "dy", dy, m*c), d.memory(op, "x", x, m*c)
	means, invstds := d.memory(op, "mean", mean, c), d.memory(op, "invstd", invstd, c)
	gammas, betas := d.memory(op, "gamma", gamma, c), d.memory(op, "beta", beta, c)
	dgammas, dbetas := d.memory(op, "dgamma", dgamma, c), d.memory(op, "dbeta", dbeta, c)
	s := cut(m, c)
	parts, err := d.take(s.bytes(2, c))
	if err != nil {
		return err
	}
	err = d.launch("project", s.chunks*c, dys, xs, means, invstds, gammas, betas, parts[0], act, m, c, s.rows, s.chunks)
	if err != nil {
		return err
	}
	sums, n, err := d.fold(s, 2*c, parts[0])
	if err != nil {
		return err
	}
	return d.launch("finish_projection", c, sums, invstds, dgammas, dbetas, c, n)
}

// BatchNormBackwardData: dy, x (M,C), the rest (C) → dx (M,C), with batch statistics
// gamma·invstd·(g − dbeta/M − xhat·dgamma/M), where g is dy times act's slope, with frozen ones gamma·invstd·dy.
func (d *Device) BatchNormBackwardData(m, c int, dy, x, mean, invstd, gamma, beta, dgamma, dbeta, dx kernels.Buffer,
	act kernels.Activation) error {
	const op = "BatchNormBackwardData"
	dys, dxs := d.memory(op, "dy", dy, m*c), d.memory(op, "dx", dx, m*c)
	invstds, gammas := d.memory(op, "invstd", invstd, c), d.memory(op, "gamma", gamma, c)
	if dgamma == nil && dbeta == nil {
		if act != kernels.Identity {
			panic(fmt.Sprintf("cuda: %s of frozen statistics with %v", op, act))
		}
		return d.launch("scale_columns", m*c, dys, invstds, gammas, dxs, m, c)
	}
	return d.launch("normalize_backward", m*c, dys, d.memory(op, "x", x, m*c), d.memory(op, "mean", mean, c), invstds, gammas,
		d.memory(op, "beta", beta, c), d.memory(op, "dgamma", dgamma, c), d.memory(op, "dbeta", dbeta, c), dxs, act, m, c)
}
