package ref

import (
	"fmt"
	"math"

	"github.com/ftrun/ftrun/internal/kernels"
)

// CrossEntropyForward: logits (N,Classes), labels (N), weights (Classes) or nil → loss (1), prob (N,Classes).
//
//	loss = Σ_n [(1−ε)·w[label]·(−log p[label]) + ε/Classes·Σ_j w[j]·(−log p[j])] / Σ_n w[label]
func (Device) CrossEntropyForward(d kernels.CrossEntropy, logits, labels, weights, loss, prob kernels.Buffer) error {
	const op = "CrossEntropyForward"
	in, out := slice(op, "logits", logits, d.N*d.Classes), slice(op, "prob", prob, d.N*d.Classes)
	ls, ws := slice(op, "labels", labels, d.N), optional(op, "weights", weights, d.Classes)
	eps := float64(d.Smoothing)
	sum, divisor := 0.0, 0.0
	for n := range d.N {
		row := in[n*d.Classes : (n+1)*d.Classes]
		label := class(op, ls[n], d.Classes)
		top := math.Inf(-1)
		for _, v := range row {
			top = max(top, float64(v))
		}
		total := 0.0
		for _, v := range row {
			total += math.Exp(float64(v) - top)
		}
		for j, v := range row {
			logp := float64(v) - top - math.Log(total)
			out[n*d.Classes+j] = float32(math.Exp(logp))
			target := eps / float64(d.Classes)
			if j == label {
				target += 1 - eps
			}
			if target != 0 { // a class of probability 0 costs nothing where nothing is asked of it
				sum -= target * weight(ws, j) * logp
			}
		}
		divisor += weight(ws, label)
	}
	slice(op, "loss", loss, 1)[0] = float32(sum / divisor)
	return nil
}

// CrossEntropyBackward: prob (N,Classes), labels (N), weights (Classes) or nil → dlogits (N,Classes)
//
//	dlogits[n,j] = scale·[(1−ε)·w[label]·(p[j] − 1{j=label}) + ε/Classes·(p[j]·Σ_i w[i] − w[j])] / Σ_n w[label]
func (Device) CrossEntropyBackward(d kernels.CrossEntropy, prob, labels, weights kernels.Buffer, scale float32,
	dlogits kernels.Buffer) error {
	const op = "CrossEntropyBackward"
	in, out := slice(op, "prob", prob, d.N*d.Classes), slice(op, "dlogits", dlogits, d.N*d.Classes)
	ls, ws := slice(op, "labels", labels, d.N), optional(op, "weights", weights, d.Classes)
	eps := float64(d.Smoothing)
	divisor, all := 0.0, 0.0
	for n := range d.N {
		divisor += weight(ws, class(op, ls[n], d.Classes))
	}
	for j := range d.Classes {
		all += weight(ws, j)
	}
	for n := range d.N {
		label := class(op, ls[n], d.Classes)
		for j := range d.Classes {
			p := float64(in[n*d.Classes+j])
			hard := p
			if j == label {
				hard--
			}
			g := (1-eps)*weight(ws, label)*hard + eps/float64(d.Classes)*(p*all-weight(ws, j))
			out[n*d.Classes+j] = float32(float64(scale) * g / divisor)
		}
	}
	return nil
}

// class returns the class index that label holds, and panics where it is none.
func class(op string, label float32, classes int) int {
	if !(label >= 0 && label < float32(classes)) || label != float32(int(label)) {
		panic(fmt.Sprintf("ref: %s: label %v is not the index of one of %d classes", op, label, classes))
	}
	return int(label)
}

// weight is the weight of class j: 1 where there are none.
func weight(ws []float32, j int) float64 {
	if ws == nil {
		return 1
	}
	return float64(ws[j])
}
