package ref

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/kernels"
)

// checkConv panics where the shape is none: groups that do not divide the channels, or a filter larger than the padded
// picture.
func checkConv(op string, d kernels.Conv) {
	if d.Groups < 1 || d.C%d.Groups != 0 || d.K%d.Groups != 0 {
		panic(fmt.Sprintf("ref: %s: groups do not divide the channels of %v", op, d))
	}
	if d.H+2*d.PadH < d.R || d.W+2*d.PadW < d.S {
		panic(fmt.Sprintf("ref: %s: the filter is larger than the padded picture of %v", op, d))
	}
}

// eachTap calls f for every filter tap that lies inside the picture when the filter stands at output position (n,p,q),
// with the offsets of its element in x (at c = 0) and of the tap in w (at c = k = 0).
func eachTap(d kernels.Conv, n, p, q int, f func(x, w int)) {
	perTap := d.C / d.Groups * d.K
	for r := range d.R {
		h := p*d.StrideH + r - d.PadH
		if h < 0 || h >= d.H {
			continue
		}
		for s := range d.S {
			w := q*d.StrideW + s - d.PadW
			if w < 0 || w >= d.W {
				continue
			}
			f(((n*d.H+h)*d.W+w)*d.C, (r*d.S+s)*perTap)
		}
	}
}

// ConvForward: x (N,H,W,C), w (R,S,C/G,K), bias (K) → y (N,P,Q,K).
func (r Device) ConvForward(d kernels.Conv, x, w, bias, y kernels.Buffer, act kernels.Activation) error {
	return r.ConvForwardPacked(d, x, w, bias, nil, y, act)
}

// PackedLen is the number of elements of w, which is packed as it is.
func (Device) PackedLen(d kernels.Conv) int { return d.LenW() }

// PackWeights copies w.
func (Device) PackWeights(d kernels.Conv, w, packed kernels.Buffer) error {
	const op = "PackWeights"
	copy(slice(op, "packed", packed, d.LenW()), slice(op, "w", w, d.LenW()))
	return nil
}

// ConvForwardPacked: x (N,H,W,C), w (R,S,C/G,K), bias (K), residual (N,P,Q,K) → y (N,P,Q,K).
func (Device) ConvForwardPacked(d kernels.Conv, x, w, bias, residual, y kernels.Buffer, act kernels.Activation) error {
	const op = "ConvForwardPacked"
	checkConv(op, d)
	xs, ws := slice(op, "x", x, d.LenX()), slice(op, "w", w, d.LenW())
	bs, ys := optional(op, "bias", bias, d.K), slice(op, "y", y, d.LenY())
	rs := optional(op, "residual", residual, d.LenY())
	if rs != nil && d.StepY != 0 {
		panic(fmt.Sprintf("ref: %s: a residual beside other channels: %v", op, d))
	}
	cg, kg := d.C/d.Groups, d.K/d.Groups
	sum := make([]float64, d.K)
	for n := range d.N {
		for p := range d.P() {
			for q := range d.Q() {
				clear(sum)
				eachTap(d, n, p, q, func(xo, wo int) {
					for g := range d.Groups {
						out := sum[g*kg : (g+1)*kg]
						for c := range cg {
							xv := float64(xs[xo+g*cg+c])
							row := ws[wo+c*d.K+g*kg:][:len(out)]
							for k, wv := range row {
								out[k] += xv * float64(wv)
							}
						}
					}
				})
				at := ((n*d.P()+p)*d.Q() + q) * d.PositionY()
				row := ys[at:][:d.K]
				for k, v := range sum {
					if rs != nil {
						v += float64(rs[at+k])
					}
					if bs != nil {
						v += float64(bs[k])
					}
					row[k] = float32(activate(act, v))
				}
			}
		}
	}
	return nil
}

// ConvBackwardData: w (R,S,C/G,K), dy (N,P,Q,K) → dx (N,H,W,C).
func (Device) ConvBackwardData(d kernels.Conv, w, dy, dx kernels.Buffer) error {
	const op = "ConvBackwardData"
	checkConv(op, d)
	ws, dys, dxs := slice(op, "w", w, d.LenW()), slice(op, "dy", dy, d.LenY()), slice(op, "dx", dx, d.LenX())
	cg, kg := d.C/d.Groups, d.K/d.Groups
	sum := make([]float64, d.LenX())
	for n := range d.N {
		for p := range d.P() {
			for q := range d.Q() {
				dyRow := dys[((n*d.P()+p)*d.Q()+q)*d.K:][:d.K]
				eachTap(d, n, p, q, func(xo, wo int) {
					for g := range d.Groups {
						in := dyRow[g*kg : (g+1)*kg]
						for c := range cg {
							row := ws[wo+c*d.K+g*kg:][:len(in)]
							dot := 0.0
							for k, wv := range row {
								dot += float64(in[k]) * float64(wv)
							}
							sum[xo+g*cg+c] += dot
						}
					}
				})
			}
		}
	}
	round(dxs, sum)
	return nil
}

// ConvBackwardWeights: x (N,H,W,C), dy (N,P,Q,K) → dw (R,S,C/G,K).
func (Device) ConvBackwardWeights(d kernels.Conv, x, dy, dw kernels.Buffer) error {
	const op = "ConvBackwardWeights"
	checkConv(op, d)
	xs, dys, dws := slice(op, "x", x, d.LenX()), slice(op, "dy", dy, d.LenY()), slice(op, "dw", dw, d.LenW())
	cg, kg := d.C/d.Groups, d.K/d.Groups
	sum := make([]float64, d.LenW())
	for n := range d.N {
		for p := range d.P() {
			for q := range d.Q() {
				dyRow := dys[((n*d.P()+p)*d.Q()+q)*d.K:][:d.K]
				eachTap(d, n, p, q, func(xo, wo int) {
					for g := range d.Groups {
						in := dyRow[g*kg : (g+1)*kg]
						for c := range cg {
							xv := float64(xs[xo+g*cg+c])
							row := sum[wo+c*d.K+g*kg:][:len(in)]
							for k, v := range in {
								row[k] += xv * float64(v)
							}
						}
					}
				})
			}
		}
	}
	round(dws, sum)
	return nil
}
