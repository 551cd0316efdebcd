package nn

import (
	"gorgonia.org/tensor"

	"github.com/ftrun/ftrun/internal/kernels"
)

// lower adds the statistics, of the batch or the running ones, and their application.
func (o BatchNorm2d) lower(at site) *node {
	x, c := at.in[0], at.out.C
	m := at.batch * at.out.H * at.out.W
	gamma, beta, runningMean, runningVar := at.params[0], at.params[1], at.params[2], at.params[3]
	mean, invstd := runningMean, (*node)(nil)
	if at.batchStats {
		stats := at.apply(batchStats{m, c, o.Momentum, o.Eps}, tensor.Shape{2, c}, x, runningMean, runningVar)
		mean, invstd = at.part(stats, 0, c), at.part(stats, c, 2*c)
	} else {
		invstd = at.apply(invStd{c, o.Eps}, tensor.Shape{c}, runningVar)
	}
	in := []*node{x, mean, invstd, gamma, beta}
	if at.residual != nil {
		in = append(in, at.residual)
	}
	return at.apply(batchNorm{m, c, at.batchStats, at.act}, x.Shape().Clone(), in...)
}

// batchStats: x (M,C) → y (2,C), mean and 1/sqrt(variance+eps) of the batch; moves the running statistics (C).
type batchStats struct {
	m, c          int
	momentum, eps float32
}

func (batchStats) String() string { return "batch statistics" }

func (k batchStats) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	return dev.BatchNormStats(k.m, k.c, in[0], y.Slice(0, k.c), y.Slice(k.c, 2*k.c), in[1], in[2], k.momentum, k.eps)
}

// invStd: variance (C) → y (C) = 1/sqrt(variance+eps).
type invStd struct {
	c   int
	eps float32
}

func (invStd) String() string { return "inverse deviation" }

func (k invStd) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	return dev.BatchNormInvStd(k.c, in[0], y, k.eps)
}

// batchNorm: x (M,C), mean, invstd, gamma, beta (C), residual (M,C), which may be missing
// → y (M,C) = act((x−mean)·invstd·gamma + beta + residual).
//
// The statistics get no gradient of their own: those of the batch are part of dx's formula.
type batchNorm struct {
	m, c  int
	batch bool // mean and invstd are functions of x
	act   kernels.Activation
}

func (batchNorm) String() string    { return "batch norm" }
func (batchNorm) overwrites() []int { return []int{0, 5} }

func (k batchNorm) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	var residual kernels.Buffer
	if len(in) == 6 {
		residual = in[5]
	}
	return dev.BatchNormApply(k.m, k.c, in[0], in[1], in[2], in[3], in[4], residual, y, k.act)
}

func (k batchNorm) gradient(at place, in []*node, y, dy *node) []*node {
	x, mean, invstd, gamma, beta := in[0], in[1], in[2], in[3], in[4]
	act := k.act
	if !k.batch || len(in) == 6 {
		// With frozen statistics y may have taken x's place; a residual is not at hand, and gets the same gradient as x's
		// branch. Else the activation's gradient is part of the batch norm's, which reads its slope off x.
		dy, act = at.activateBackward(act, y, dy), kernels.Identity
	}
	grads := make([]*node, len(in))
	var dgamma, dbeta *node
	if at.wants[gamma] || at.wants[beta] || k.batch && at.wants[x] {
		sums := at.apply(batchNormReduce{k.m, k.c, act}, tensor.Shape{2, k.c}, dy, x, mean, invstd, gamma, beta)
		dgamma, dbeta = at.part(sums, 0, k.c), at.part(sums, k.c, 2*k.c)
	}
	if at.wants[gamma] {
		grads[3] = dgamma
	}
	if at.wants[beta] {
		grads[4] = dbeta
	}
	if at.wants[x] {
		b := batchNormBackward{k.m, k.c, act}
		if k.batch {
			grads[0] = at.apply(b, x.Shape().Clone(), dy, invstd, gamma, x, mean, beta, dgamma, dbeta)
		} else {
			grads[0] = at.apply(b, x.Shape().Clone(), dy, invstd, gamma)
		}
	}
	if len(in) == 6 && at.wants[in[5]] {
		grads[5] = dy
	}
	return grads
}

// batchNormReduce: dy, x (M,C), mean, invstd, gamma, beta (C) → y (2,C), dgamma and dbeta, of dy before act.
type batchNormReduce struct {
	m, c int
	act  kernels.Activation
}

func (batchNormReduce) String() string { return "batch norm reduce" }

func (k batchNormReduce) run(dev kernels.Device, in []kernels.Buffer, y kernels.Buffer) error {
	return dev.BatchNormReduce(k.m, k.c, in[0], in[1], in[2], in[3], in[4], in[5], y.Slice(0, k.c), y.Slice(k.c, 2*k.c), k.act)
}

// batchNormBackward: dy (M,C), invstd, gamma (C) and, with batch statistics, x (M,C), mean, beta, dgamma, dbeta (C)
// → dx (M,C), of dy before act.
type batchNormBackward struct {
	m, c int
	act  kernels.Activation
}

func (batchNormBackward) String() string    { return "batch norm backward" }
func (batchNormBackward) overwrites() []int { return []int{0} }

func (k batchNormBackward) run(dev kernels.Device, in []kernels.Buffer, dx kernels.Buffer) error {
	dy, invstd, gamma := in[0], in[1], in[2]
	if len(in) == 3 {
		return dev.BatchNormBackwardData(k.m, k.c, dy, nil, nil, invstd, gamma, nil, nil, nil, dx, k.act)
	}
	x, mean, beta, dgamma, dbeta := in[3], in[4], in[5], in[6], in[7]
	return dev.BatchNormBackwardData(k.m, k.c, dy, x, mean, invstd, gamma, beta, dgamma, dbeta, dx, k.act)
}
