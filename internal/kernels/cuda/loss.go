//go:build gpu

package cuda

import "github.com/ftrun/ftrun/internal/kernels"

// CrossEntropyForward: logits (N,Classes), labels (N), weights (Classes) or nil → loss (1), prob (N,Classes). A label that
// is none makes the loss NaN: the host does not see it.
func (d *Device) CrossEntropyForward(e kernels.CrossEntropy, logits, labels, weights, loss, prob kernels.Buffer) error {
	const op = "CrossEntropyForward"
	in, out := d.memory(op, "logits", logits, e.N*e.Classes), d.memory(op, "prob", prob, e.N*e.Classes)
	ls, ws, result := d.memory(op, "labels", labels, e.N), d.optional(op, "weights", weights, e.Classes), d.memory(op, "loss", loss, 1)
	parts, err := d.take(8*2*e.N, 8*2*lossSums)
	if err != nil {
		return err
	}
	if err := d.launch("cross_entropy", e.N, in, ls, ws, out, parts[0], e.Smoothing, e.N, e.Classes); err != nil {
		return err
	}
	if err := d.launch("sum_doubles", 2*lossSums, parts[0], parts[1], 2*e.N, 2*lossSums); err != nil {
		return err
	}
	return d.launch("finish_cross_entropy", 1, parts[1], result, lossSums)
}

// lossSums is how many threads share a sum over the pictures of a batch, or over classes, before one adds up the rest.
const lossSums = 32

// CrossEntropyBackward: prob (N,Classes), labels (N), weights (Classes) or nil → dlogits (N,Classes)
//
//	dlogits[n,j] = scale·[(1−ε)·w[label]·(p[j] − 1{j=label}) + ε/Classes·(p[j]·Σ_i w[i] − w[j])] / Σ_n w[label]
func (d *Device) CrossEntropyBackward(e kernels.CrossEntropy, prob, labels, weights kernels.Buffer, scale float32,
	dlogits kernels.Buffer) error {
	const op = "CrossEntropyBackward"
	in, out := d.memory(op, "prob", prob, e.N*e.Classes), d.memory(op, "dlogits", dlogits, e.N*e.Classes)
	ls, ws := d.memory(op, "labels", labels, e.N), d.optional(op, "weights", weights, e.Classes)
	parts, err := d.take(8*2*lossSums, 8*2)
	if err != nil {
		return err
	}
	if err := d.launch("sum_weights", lossSums, ls, ws, parts[0], e.N, e.Classes, lossSums); err != nil {
		return err
	}
	if err := d.launch("sum_doubles", 2, parts[0], parts[1], 2*lossSums, 2); err != nil {
		return err
	}
	return d.launch("cross_entropy_backward", e.N*e.Classes, in, ls, ws, parts[1], out, scale, e.Smoothing, e.N, e.Classes)
}

// CountRight: logits (N,Classes), labels (N) → right (1).
func (d *Device) CountRight(n, classes int, logits, labels, right kernels.Buffer) error {
	const op = "CountRight"
	in, ls, out := d.memory(op, "logits", logits, n*classes), d.memory(op, "labels", labels, n), d.memory(op, "right", right, 1)
	parts, err := d.take(8*n, 8*lossSums)
	if err != nil {
		return err
	}
	if err := d.launch("right_answers", n, in, ls, parts[0], n, classes); err != nil {
		return err
	}
	if err := d.launch("sum_doubles", lossSums, parts[0], parts[1], n, lossSums); err != nil {
		return err
	}
	return d.launch("finish_doubles", 1, parts[1], out, lossSums)
}
