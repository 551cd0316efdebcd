//go:build gpu

package cuda

import (
	"errors"
	"maps"

	"github.com/ftrun/ftrun/internal/kernels"
)

// meter tells what memory the device would hold. It follows the operations in what scratch memory they take, and asks the
// device's cuDNN, as long as that is open, for its workspaces: TestMeter holds it to what they leave.
type meter struct {
	*kernels.Hollow
	device  *Device
	scratch int // bytes
	tuning  kernels.Tuning
}

// Tune says how the device would be told to compute.
func (m *meter) Tune(how kernels.Tuning) error {
	m.tuning = how
	return nil
}

// FixedBatch is the device's.
func (m *meter) FixedBatch() int { return fixedBatch }

// Meter returns a Meter for a device like this one, and told the same. Threads mean nothing to it.
func (d *Device) Meter(int) kernels.Meter {
	return &meter{Hollow: kernels.NewHollow(d), device: d, tuning: d.tuning}
}

func (m *meter) Scratch() int64 { return int64(blasMemoryLen + stepLen + m.scratch) }

// take notes what Device.take would be asked for.
func (m *meter) take(bytes ...int) error {
	m.scratch = max(m.scratch, taken(bytes...))
	return nil
}

// workspaceKey is what a workspace depends on.
type workspaceKey struct {
	pass   *pass
	conv   kernels.Conv
	tuning kernels.Tuning // but for where timings are kept
	faster bool           // what is the fastest is measured
}

// workspace is what cuDNN wants beside the operands of a pass, in bytes: for the algorithm that is taken unmeasured, or, as it
// is not known which will be the fastest, for the one that wants the most.
func (m *meter) workspace(p *pass, c kernels.Conv) (most int, err error) {
	d := m.device
	c.StepY = 0
	key := workspaceKey{p, c, m.tuning, m.tuning.Timings != nil}
	key.tuning.Timings = nil
	if most, known := d.workspaces[key]; known || d.dnn == nil {
		return most, nil
	}
	// The device may be told otherwise, and must not take what it is asked for here for what it has computed.
	as := *d
	as.tuning, as.unsupported = m.tuning, maps.Clone(d.unsupported)
	var v convolution
	defer func() { err = errors.Join(err, as.within(v.close)) }()
	if err := as.within(func() error { return v.open(&as, c) }); err != nil {
		return 0, err
	}
	candidates, err := as.supported(p, &v, c)
	if err != nil {
		return 0, err
	}
	for i, a := range candidates {
		if i == 0 || key.faster {
			most = max(most, int(a.workspace))
		}
	}
	if d.workspaces == nil {
		d.workspaces = map[workspaceKey]int{}
	}
	d.workspaces[key] = most
	return most, nil
}

// pass notes what Device.prepare would take.
func (m *meter) pass(p *pass, c kernels.Conv, scratch []int) error {
	workspace, err := m.workspace(p, c)
	if err != nil {
		return err
	}
	return m.take(append([]int{workspace}, scratch...)...)
}

func (m *meter) convForward(c kernels.Conv, packed, overResidual bool) error {
	if c.Groups > 1 {
		return nil
	}
	return m.pass(forwardPass, c, forwardScratch(c, m.tuning.Precision, packed, overResidual))
}

func (m *meter) ConvForward(c kernels.Conv, x, w, bias, y kernels.Buffer, act kernels.Activation) error {
	return m.convForward(c, false, false)
}

// A buffer here does not tell whether it is another, so y is taken to be the residual.
func (m *meter) ConvForwardPacked(c kernels.Conv, x, packed, bias, residual, y kernels.Buffer, act kernels.Activation) error {
	return m.convForward(c, true, residual != nil)
}

func (m *meter) ConvBackwardData(c kernels.Conv, w, dy, dx kernels.Buffer) error {
	if c.Groups > 1 {
		return nil
	}
	return m.pass(dataPass, c, gradientScratch(c, m.tuning.Precision))
}

func (m *meter) ConvBackwardWeights(c kernels.Conv, x, dy, dw kernels.Buffer) error {
	if c.Groups > 1 {
		return m.take(cut(c.N*c.P()*c.Q(), c.LenW()).bytes(1, c.LenW()))
	}
	return m.pass(weightPass, c, gradientScratch(c, m.tuning.Precision))
}

func (m *meter) LinearForward(l kernels.Linear, x, w, bias, y kernels.Buffer, act kernels.Activation) error {
	return m.multiply(l.N*l.I, l.O*l.I)
}

func (m *meter) LinearBackwardData(l kernels.Linear, w, dy, dx kernels.Buffer) error {
	return m.multiply(l.O*l.I, l.N*l.O)
}

func (m *meter) LinearBackwardWeights(l kernels.Linear, x, dy, dw kernels.Buffer) error {
	return m.multiply(l.N*l.I, l.N*l.O)
}

// multiply is the product of matrices of so many elements.
func (m *meter) multiply(a, b int) error {
	if m.tuning.Precision != kernels.BF16 {
		return nil
	}
	return m.take(2*a, 2*b)
}

func (m *meter) SumRows(rows, c int, x, y kernels.Buffer) error {
	return m.take(cut(rows, c).bytes(1, c))
}

func (m *meter) BatchNormStats(rows, c int, x, mean, invstd, runningMean, runningVar kernels.Buffer, momentum, eps float32) error {
	return m.take(cut(rows, c).bytes(2, c), 4*c)
}

func (m *meter) BatchNormReduce(rows, c int, dy, x, mean, invstd, gamma, beta, dgamma, dbeta kernels.Buffer,
	act kernels.Activation) error {
	return m.take(cut(rows, c).bytes(2, c))
}

func (m *meter) CrossEntropyForward(e kernels.CrossEntropy, logits, labels, weights, loss, prob kernels.Buffer) error {
	return m.take(8*2*e.N, 8*2*lossSums)
}

func (m *meter) CrossEntropyBackward(e kernels.CrossEntropy, prob, labels, weights kernels.Buffer, scale float32,
	dlogits kernels.Buffer) error {
	return m.take(8*2*lossSums, 8*2)
}

func (m *meter) CountRight(n, classes int, logits, labels, right kernels.Buffer) error {
	return m.take(8*n, 8*lossSums)
}

func (m *meter) SumSquares(x kernels.Buffer) (float64, error) {
	return 0, m.take(8*squareSums(x.Len()), 8*squareChunks, 8)
}
