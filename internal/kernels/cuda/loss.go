//go:build gpu

package cuda

import "github.com/ftrun/ftrun/internal/kernels"

// CrossEntropyForward: logits (N,Classes), labels (N), weights (Classes) or nil → loss (1), prob (N,Classes). A label that
// is none makes the loss NaN: the host does not see it.
func (d *Device) CrossEntropyForward(e kernels.CrossEntropy, logits, labels, weights, loss, prob kernels.Buffer) error {
	const op = "CrossEntropyForward"
	in, out := d.memory(op, "logits", logits, e.N*e.Classes), d.memory(op, "prob", prob, e.N*e.Classes)
	ls, ws, result := d.memory(op, "labels", labels, e.N), d.optional(op, "weights", weights, e.Classes), d.memory(op, "loss", loss, 1)
	parts, err := d.take(8 * 2 * e.N)
	if err != nil {
		return err
	}
	if err := d.launch("cross_entropy", e.N, in, ls, ws, out, parts[0], e.Smoothing, e.N, e.Classes); err != nil {
		return err
	}
	return d.launch("finish_cross_entropy", 1, parts[0], result, e.N)
}

// CrossEntropyBackward: prob (N,Classes), labels (N), weights (Classes) or nil → dlogits (N,Classes)
//
//	dlogits[n,j] = scale·[(1−ε)·w[label]·(p[j] − 1{j=label}) + ε/Classes·(p[j]·Σ_i w[i] − w[j])] / Σ_n w[label]
func (d *Device) CrossEntropyBackward(e kernels.CrossEntropy, prob, labels, weights kernels.Buffer, scale float32,
	dlogits kernels.Buffer) error {
	const op = "CrossEntropyBackward"
	in, out := d.memory(op, "prob", prob, e.N*e.Classes), d.memory(op, "dlogits", dlogits, e.N*e.Classes)
	ls, ws := d.memory(op, "labels", labels, e.N), d.optional(op, "weights", weights, e.Classes)
	parts, err := d.take(8 * 2)
	if err != nil {
		return err
	}
	if err := d.launch("sum_weights", 1, ls, ws, parts[0], e.N, e.Classes); err != nil {
		return err
	}
	return d.launch("cross_entropy_backward", e.N*e.Classes, in, ls, ws, parts[0], out, scale, e.Smoothing, e.N, e.Classes)
}
