package ref

import "github.com/ftrun/ftrun/internal/kernels"

// LinearForward: x (N,I), w (O,I), bias (O) → y (N,O) = act(x·wᵀ + bias).
func (Device) LinearForward(d kernels.Linear, x, w, bias, y kernels.Buffer, act kernels.Activation) error {
	const op = "LinearForward"
	xs, ws := slice(op, "x", x, d.N*d.I), slice(op, "w", w, d.O*d.I)
	bs, ys := optional(op, "bias", bias, d.O), slice(op, "y", y, d.N*d.O)
	for n := range d.N {
		in := xs[n*d.I : (n+1)*d.I]
		for o := range d.O {
			row := ws[o*d.I:][:len(in)]
			sum := 0.0
			for i, v := range in {
				sum += float64(v) * float64(row[i])
			}
			if bs != nil {
				sum += float64(bs[o])
			}
			ys[n*d.O+o] = float32(activate(act, sum))
		}
	}
	return nil
}

// LinearBackwardData: w (O,I), dy (N,O) → dx (N,I) = dy·w.
func (Device) LinearBackwardData(d kernels.Linear, w, dy, dx kernels.Buffer) error {
	const op = "LinearBackwardData"
	ws, dys, dxs := slice(op, "w", w, d.O*d.I), slice(op, "dy", dy, d.N*d.O), slice(op, "dx", dx, d.N*d.I)
	sum := make([]float64, d.I)
	for n := range d.N {
		clear(sum)
		for o := range d.O {
			addScaled(sum, float64(dys[n*d.O+o]), ws[o*d.I:(o+1)*d.I])
		}
		round(dxs[n*d.I:(n+1)*d.I], sum)
	}
	return nil
}

// LinearBackwardWeights: x (N,I), dy (N,O) → dw (O,I) = dyᵀ·x.
func (Device) LinearBackwardWeights(d kernels.Linear, x, dy, dw kernels.Buffer) error {
	const op = "LinearBackwardWeights"
	xs, dys, dws := slice(op, "x", x, d.N*d.I), slice(op, "dy", dy, d.N*d.O), slice(op, "dw", dw, d.O*d.I)
	sum := make([]float64, d.I)
	for o := range d.O {
		clear(sum)
		for n := range d.N {
			addScaled(sum, float64(dys[n*d.O+o]), xs[n*d.I:(n+1)*d.I])
		}
		round(dws[o*d.I:(o+1)*d.I], sum)
	}
	return nil
}

// addScaled adds f·x to sum.
func addScaled(sum []float64, f float64, x []float32) {
	sum = sum[:len(x)]
	for i, v := range x {
		sum[i] += f * float64(v)
	}
}
