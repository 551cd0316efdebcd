package cpu

import (
	"fmt"
	"math"

	"github.com/ftrun/ftrun/internal/kernels"
)

// The loss of a batch is a few thousand numbers at most, so it is computed in float64 on one thread.

// CrossEntropyForward: logits (N,Classes), labels (N), weights (Classes) or nil → loss (1), prob (N,Classes).
//
// With l = log Σ_j exp(logit[j]), −log p[j] is l − logit[j], and the smoothed part Σ_j w[j]·(l − logit[j]).
func (d *Device) CrossEntropyForward(e kernels.CrossEntropy, logits, labels, weights, loss, prob kernels.Buffer) error {
	in, out := floats(logits, e.N*e.Classes), floats(prob, e.N*e.Classes)
	ls, ws, result := floats(labels, e.N), optional(weights, e.Classes), floats(loss, 1)
	smoothing := float64(e.Smoothing)
	sum, divisor := 0.0, 0.0
	for n := range e.N {
		row, probs := in[n*e.Classes:(n+1)*e.Classes], out[n*e.Classes:(n+1)*e.Classes]
		top := float32(math.Inf(-1))
		for _, v := range row {
			top = max(top, v)
		}
		total := 0.0
		for _, v := range row {
			total += math.Exp(float64(v) - float64(top))
		}
		for j, v := range row {
			probs[j] = float32(math.Exp(float64(v)-float64(top)) / total)
		}
		logTotal := float64(top) + math.Log(total)
		label := labelOf(ls[n], e.Classes)
		weight := weightOf(ws, label)
		sum += (1 - smoothing) * weight * (logTotal - float64(row[label]))
		if smoothing != 0 {
			spread := 0.0
			for j, v := range row {
				spread += weightOf(ws, j) * (logTotal - float64(v))
			}
			sum += smoothing / float64(e.Classes) * spread
		}
		divisor += weight
	}
	result[0] = float32(sum / divisor)
	return nil
}

// CrossEntropyBackward: prob (N,Classes), labels (N), weights (Classes) or nil → dlogits (N,Classes)
//
//	dlogits[n,j] = scale·[(1−ε)·w[label]·(p[j] − 1{j=label}) + ε/Classes·(p[j]·Σ_i w[i] − w[j])] / Σ_n w[label]
func (d *Device) CrossEntropyBackward(e kernels.CrossEntropy, prob, labels, weights kernels.Buffer, scale float32,
	dlogits kernels.Buffer) error {
	in, out := floats(prob, e.N*e.Classes), floats(dlogits, e.N*e.Classes)
	ls, ws := floats(labels, e.N), optional(weights, e.Classes)
	divisor, all := 0.0, 0.0
	for _, label := range ls {
		divisor += weightOf(ws, labelOf(label, e.Classes))
	}
	for j := range e.Classes {
		all += weightOf(ws, j)
	}
	even := float64(e.Smoothing) / float64(e.Classes)
	factor := float64(scale) / divisor
	for n, l := range ls {
		label := labelOf(l, e.Classes)
		hard := (1 - float64(e.Smoothing)) * weightOf(ws, label)
		for j := range e.Classes {
			p := float64(in[n*e.Classes+j])
			g := hard*p + even*(p*all-weightOf(ws, j))
			if j == label {
				g -= hard
			}
			out[n*e.Classes+j] = float32(factor * g)
		}
	}
	return nil
}

// labelOf is the class index that a label holds; labels come from our own data sets, so one that is none is a mistake of
// the program.
func labelOf(label float32, classes int) int {
	if !(label >= 0 && label < float32(classes)) || label != float32(int(label)) {
		panic(fmt.Sprintf("cpu: label %v is not the index of one of %d classes", label, classes))
	}
	return int(label)
}

// weightOf is the weight of class j: 1 where there are none.
func weightOf(weights []float32, j int) float64 {
	if weights == nil {
		return 1
	}
	return float64(weights[j])
}
