package ref

import (
	"fmt"
	"math"

	"github.com/ftrun/ftrun/internal/kernels"
)

// BatchNormStats: x (M,C) → mean (C), invstd (C), and the running statistics (C) moved. The variance takes two passes. A
// single position has no unbiased variance; the running one then moves towards the biased one, 0.
func (Device) BatchNormStats(m, c int, x, mean, invstd, runningMean, runningVar kernels.Buffer,
	momentum, eps float32) error {
	const op = "BatchNormStats"
	xs, means, invstds := slice(op, "x", x, m*c), slice(op, "mean", mean, c), slice(op, "invstd", invstd, c)
	mu, variance := make([]float64, c), make([]float64, c)
	for i := range m {
		for j, v := range xs[i*c : (i+1)*c] {
			mu[j] += float64(v)
		}
	}
	for j := range mu {
		mu[j] /= float64(m)
	}
	for i := range m {
		for j, v := range xs[i*c : (i+1)*c] {
			e := float64(v) - mu[j]
			variance[j] += e * e
		}
	}
	for j := range variance {
		variance[j] /= float64(m)
		means[j] = float32(mu[j])
		invstds[j] = float32(1 / math.Sqrt(variance[j]+float64(eps)))
	}
	if runningMean == nil {
		return nil
	}
	rm, rv := slice(op, "runningMean", runningMean, c), slice(op, "runningVar", runningVar, c)
	keep, move := 1-float64(momentum), float64(momentum)
	bessel := float64(m) / float64(max(m-1, 1))
	for j := range rm {
		rm[j] = float32(keep*float64(rm[j]) + move*mu[j])
		rv[j] = float32(keep*float64(rv[j]) + move*variance[j]*bessel)
	}
	return nil
}

// BatchNormInvStd: variance (C) → invstd (C) = 1/sqrt(variance+eps).
func (Device) BatchNormInvStd(c int, variance, invstd kernels.Buffer, eps float32) error {
	const op = "BatchNormInvStd"
	in, out := slice(op, "variance", variance, c), slice(op, "invstd", invstd, c)
	for j, v := range in {
		out[j] = float32(1 / math.Sqrt(float64(v)+float64(eps)))
	}
	return nil
}

// BatchNormApply: x, residual (M,C), the rest (C) → y (M,C) = act((x−mean)·invstd·gamma + beta + residual).
func (Device) BatchNormApply(m, c int, x, mean, invstd, gamma, beta, residual, y kernels.Buffer,
	act kernels.Activation) error {
	const op = "BatchNormApply"
	xs, means, invstds := slice(op, "x", x, m*c), slice(op, "mean", mean, c), slice(op, "invstd", invstd, c)
	gammas, betas := slice(op, "gamma", gamma, c), slice(op, "beta", beta, c)
	res, ys := optional(op, "residual", residual, m*c), slice(op, "y", y, m*c)
	for i := range m {
		for j := range c {
			at := i*c + j
			v := (float64(xs[at])-float64(means[j]))*float64(invstds[j])*float64(gammas[j]) + float64(betas[j])
			if res != nil {
				v += float64(res[at])
			}
			ys[at] = float32(activate(act, v))
		}
	}
	return nil
}

// BatchNormReduce: dy, x (M,C), mean, invstd, gamma, beta (C) → dgamma (C) = Σ_m g·xhat, dbeta (C) = Σ_m g.
func (Device) BatchNormReduce(m, c int, dy, x, mean, invstd, gamma, beta, dgamma, dbeta kernels.Buffer,
	act kernels.Activation) error {
	const op = "BatchNormReduce"
	dys, xs := slice(op, "dy", dy, m*c), slice(op, "x", x, m*c)
	means, invstds := slice(op, "mean", mean, c), slice(op, "invstd", invstd, c)
	gammas, betas := slice(op, "gamma", gamma, c), slice(op, "beta", beta, c)
	dgammas, dbetas := slice(op, "dgamma", dgamma, c), slice(op, "dbeta", dbeta, c)
	sumXhat, sum := make([]float64, c), make([]float64, c)
	for i := range m {
		for j := range c {
			xhat := (float64(xs[i*c+j]) - float64(means[j])) * float64(invstds[j])
			g := float64(gate(act, float32(xhat*float64(gammas[j])+float64(betas[j])), dys[i*c+j]))
			sum[j] += g
			sumXhat[j] += g * xhat
		}
	}
	round(dgammas, sumXhat)
	round(dbetas, sum)
	return nil
}

// BatchNormBackwardData: dy, x (M,C), the rest (C) → dx (M,C), with batch statistics
// gamma·invstd·(g − dbeta/M − xhat·dgamma/M), with frozen ones gamma·invstd·dy.
func (Device) BatchNormBackwardData(m, c int, dy, x, mean, invstd, gamma, beta, dgamma, dbeta, dx kernels.Buffer,
	act kernels.Activation) error {
	const op = "BatchNormBackwardData"
	dys, dxs := slice(op, "dy", dy, m*c), slice(op, "dx", dx, m*c)
	invstds, gammas := slice(op, "invstd", invstd, c), slice(op, "gamma", gamma, c)
	if dgamma == nil && dbeta == nil {
		if act != kernels.Identity {
			panic(fmt.Sprintf("ref: %s of frozen statistics with %v", op, act))
		}
		for i := range m {
			for j := range c {
				dxs[i*c+j] = float32(float64(gammas[j]) * float64(invstds[j]) * float64(dys[i*c+j]))
			}
		}
		return nil
	}
	xs, means, betas := slice(op, "x", x, m*c), slice(op, "mean", mean, c), slice(op, "beta", beta, c)
	dgammas, dbetas := slice(op, "dgamma", dgamma, c), slice(op, "dbeta", dbeta, c)
	for i := range m {
		for j := range c {
			at, invstd, gamma := i*c+j, float64(invstds[j]), float64(gammas[j])
			xhat := (float64(xs[at]) - float64(means[j])) * invstd
			g := float64(gate(act, float32(xhat*gamma+float64(betas[j])), dys[at]))
			dxs[at] = float32(gamma * invstd * (g - (float64(dbetas[j])+xhat*float64(dgammas[j]))/float64(m)))
		}
	}
	return nil
}
