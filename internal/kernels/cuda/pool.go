//go:build gpu

package cuda

import (
	"fmt"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

// checkMaxPool panics where a window holds no element at all: it has no maximum.
func checkMaxPool(op string, p kernels.Pool) {
	if p.PadH >= p.R || p.PadW >= p.S || (p.P-1)*p.StrideH-p.PadH >= p.H || (p.Q-1)*p.StrideW-p.PadW >= p.W {
		panic(fmt.Sprintf("cuda: %s: a window of %+v lies outside the picture", op, p))
	}
}

// window launches a kernel of pooling, whose last arguments are the shape.
func (d *Device) window(kernel string, count int, p kernels.Pool, operands ...cu.DevicePtr) error {
	arguments := make([]any, 0, len(operands)+13)
	for _, o := range operands {
		arguments = append(arguments, o)
	}
	return d.launch(kernel, count, append(arguments, p.N, p.H, p.W, p.C, p.P, p.Q, p.R, p.S, p.StrideH, p.StrideW, p.PadH, p.PadW)...)
}

// MaxPoolForward: x (N,H,W,C) → y (N,P,Q,C), the maximum of each window; a NaN wins.
func (d *Device) MaxPoolForward(p kernels.Pool, x, y kernels.Buffer) error {
	const op = "MaxPoolForward"
	checkMaxPool(op, p)
	return d.window("max_pool", p.LenY(), p, d.memory(op, "x", x, p.LenX()), d.memory(op, "y", y, p.LenY()))
}

// MaxPoolBackward: x (N,H,W,C), y, dy (N,P,Q,C) → dx (N,H,W,C). Each dy goes to the first element of its window that
// equals y; where y is NaN, to the first NaN.
func (d *Device) MaxPoolBackward(p kernels.Pool, x, y, dy, dx kernels.Buffer) error {
	const op = "MaxPoolBackward"
	checkMaxPool(op, p)
	return d.window("max_pool_backward", p.LenX(), p, d.memory(op, "x", x, p.LenX()), d.memory(op, "y", y, p.LenY()),
		d.memory(op, "dy", dy, p.LenY()), d.memory(op, "dx", dx, p.LenX()))
}

// AvgPoolForward: x (N,H,W,C) → y (N,P,Q,C), the sum of each window over R·S.
func (d *Device) AvgPoolForward(p kernels.Pool, x, y kernels.Buffer) error {
	const op = "AvgPoolForward"
	return d.window("average_pool", p.LenY(), p, d.memory(op, "x", x, p.LenX()), d.memory(op, "y", y, p.LenY()))
}

// AvgPoolBackward: dy (N,P,Q,C) → dx (N,H,W,C).
func (d *Device) AvgPoolBackward(p kernels.Pool, dy, dx kernels.Buffer) error {
	const op = "AvgPoolBackward"
	return d.window("average_pool_backward", p.LenX(), p, d.memory(op, "dy", dy, p.LenY()), d.memory(op, "dx", dx, p.LenX()))
}

// AdaptiveAvgPoolForward: x (N,H,W,C) → y (N,P,Q,C), the mean of each window.
func (d *Device) AdaptiveAvgPoolForward(a kernels.Adaptive, x, y kernels.Buffer) error {
	const op = "AdaptiveAvgPoolForward"
	in, out := d.memory(op, "x", x, a.N*a.H*a.W*a.C), d.memory(op, "y", y, a.N*a.P*a.Q*a.C)
	return d.launch("adaptive_pool", y.Len(), in, out, a.N, a.H, a.W, a.C, a.P, a.Q)
}

// AdaptiveAvgPoolBackward: dy (N,P,Q,C) → dx (N,H,W,C).
func (d *Device) AdaptiveAvgPoolBackward(a kernels.Adaptive, dy, dx kernels.Buffer) error {
	const op = "AdaptiveAvgPoolBackward"
	in, out := d.memory(op, "dy", dy, a.N*a.P*a.Q*a.C), d.memory(op, "dx", dx, a.N*a.H*a.W*a.C)
	return d.launch("adaptive_pool_backward", dx.Len(), in, out, a.N, a.H, a.W, a.C, a.P, a.Q)
}
