package speed

import (
	"math"

	"github.com/ftrun/ftrun/internal/kernels"
)

// Recorder is a Meter that writes down the operations that are asked of it.
type Recorder struct {
	*kernels.Hollow
	Ops []Op
}

// NewRecorder returns one for a device.
func NewRecorder(of kernels.Device) *Recorder { return &Recorder{Hollow: kernels.NewHollow(of)} }

// Take gives the operations so far and forgets them.
func (r *Recorder) Take() []Op {
	ops := r.Ops
	r.Ops = nil
	return ops
}

func (r *Recorder) see(o Op) error {
	r.Ops = append(r.Ops, o)
	return nil
}

func (r *Recorder) conv(kind Kind, d kernels.Conv) error {
	return r.see(Op{Kind: kind, Conv: d})
}

func (r *Recorder) ConvForward(d kernels.Conv, _, _, _, _ kernels.Buffer, _ kernels.Activation) error {
	return r.conv(ConvForward, d)
}
func (r *Recorder) PackWeights(d kernels.Conv, _, _ kernels.Buffer) error {
	return r.conv(PackWeights, d)
}
func (r *Recorder) ConvForwardPacked(d kernels.Conv, _, _, _, _, _ kernels.Buffer, _ kernels.Activation) error {
	return r.conv(ConvForwardPacked, d)
}
func (r *Recorder) ConvBackwardData(d kernels.Conv, _, _, _ kernels.Buffer) error {
	return r.conv(ConvBackwardData, d)
}
func (r *Recorder) ConvBackwardWeights(d kernels.Conv, _, _, _ kernels.Buffer) error {
	return r.conv(ConvBackwardWeights, d)
}

func (r *Recorder) LinearForward(d kernels.Linear, _, _, _, _ kernels.Buffer, _ kernels.Activation) error {
	return r.see(Op{Kind: LinearForward, Linear: d})
}
func (r *Recorder) LinearBackwardData(d kernels.Linear, _, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: LinearBackwardData, Linear: d})
}
func (r *Recorder) LinearBackwardWeights(d kernels.Linear, _, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: LinearBackwardWeights, Linear: d})
}

func (r *Recorder) SumRows(n, c int, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: SumRows, Rows: n, Columns: c})
}

func (r *Recorder) BatchNormStats(n, c int, _, _, _, _, _ kernels.Buffer, _, _ float32) error {
	return r.see(Op{Kind: BatchNormStats, Rows: n, Columns: c})
}
func (r *Recorder) BatchNormInvStd(c int, _, _ kernels.Buffer, _ float32) error {
	return r.see(Op{Kind: Few, Rows: 1, Columns: c})
}
func (r *Recorder) BatchNormApply(n, c int, _, _, _, _, _, residual, _ kernels.Buffer, _ kernels.Activation) error {
	terms := 1
	if residual != nil {
		terms = 2
	}
	return r.see(Op{Kind: BatchNormApply, Rows: n, Columns: c, Terms: terms})
}
func (r *Recorder) BatchNormReduce(n, c int, _, _, _, _, _, _, _, _ kernels.Buffer, _ kernels.Activation) error {
	return r.see(Op{Kind: BatchNormReduce, Rows: n, Columns: c})
}
func (r *Recorder) BatchNormBackwardData(n, c int, _, _, _, _, _, _, _, _, _ kernels.Buffer, _ kernels.Activation) error {
	return r.see(Op{Kind: BatchNormBackward, Rows: n, Columns: c})
}

func (r *Recorder) Activate(_ kernels.Activation, x, _ kernels.Buffer) error {
	return r.see(Op{Kind: Activate, Rows: x.Len(), Columns: 1})
}
func (r *Recorder) ActivateBackward(_ kernels.Activation, y, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: ActivateBackward, Rows: y.Len(), Columns: 1})
}
func (r *Recorder) ActivateBackwardChannels(_ kernels.Activation, rows, n int, _, _ kernels.Buffer, _, _ int, _ kernels.Buffer) error {
	return r.see(Op{Kind: ActivateBackward, Rows: rows, Columns: n})
}
func (r *Recorder) Add(xs []kernels.Buffer, y kernels.Buffer, _ kernels.Activation) error {
	return r.see(Op{Kind: Add, Rows: y.Len(), Columns: 1, Terms: len(xs)})
}
func (r *Recorder) Dropout(_ float32, _ kernels.DropoutKey, x, _ kernels.Buffer) error {
	return r.see(Op{Kind: Dropout, Rows: x.Len(), Columns: 1})
}

func (r *Recorder) MaxPoolForward(d kernels.Pool, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: MaxPoolForward, Rows: d.N * d.H * d.W, Columns: d.C})
}
func (r *Recorder) MaxPoolBackward(d kernels.Pool, _, _, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: MaxPoolBackward, Rows: d.N * d.H * d.W, Columns: d.C})
}
func (r *Recorder) AvgPoolForward(d kernels.Pool, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: AvgPoolForward, Rows: d.N * d.H * d.W, Columns: d.C})
}
func (r *Recorder) AvgPoolBackward(d kernels.Pool, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: AvgPoolBackward, Rows: d.N * d.H * d.W, Columns: d.C})
}
func (r *Recorder) AdaptiveAvgPoolForward(d kernels.Adaptive, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: GlobalPoolForward, Rows: d.N * d.H * d.W, Columns: d.C})
}
func (r *Recorder) AdaptiveAvgPoolBackward(d kernels.Adaptive, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: GlobalPoolBackward, Rows: d.N * d.H * d.W, Columns: d.C})
}

func (r *Recorder) CopyChannels(rows, n int, _ kernels.Buffer, _, _ int, _ kernels.Buffer, _, _ int) error {
	return r.see(Op{Kind: CopyChannels, Rows: rows, Columns: n})
}
func (r *Recorder) ToNCHW(n, h, w, c int, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: Reorder, Rows: n * h * w, Columns: c})
}
func (r *Recorder) FromNCHW(n, h, w, c int, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: Reorder, Rows: n * h * w, Columns: c})
}

func (r *Recorder) CrossEntropyForward(d kernels.CrossEntropy, _, _, _, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: Few, Rows: d.N, Columns: d.Classes})
}
func (r *Recorder) CrossEntropyBackward(d kernels.CrossEntropy, _, _, _ kernels.Buffer, _ float32, _ kernels.Buffer) error {
	return r.see(Op{Kind: Few, Rows: d.N, Columns: d.Classes})
}

func (r *Recorder) SGD(_ kernels.SGD, w, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: SGD, Rows: w.Len(), Columns: 1})
}
func (r *Recorder) Adam(_ kernels.Adam, w, _, _, _ kernels.Buffer) error {
	return r.see(Op{Kind: Adam, Rows: w.Len(), Columns: 1})
}

// SumSquares says that the sum is infinite, so that gradients are clipped.
func (r *Recorder) SumSquares(x kernels.Buffer) (float64, error) {
	return math.Inf(1), r.see(Op{Kind: SumSquares, Rows: x.Len(), Columns: 1})
}
func (r *Recorder) Scale(_ float32, x kernels.Buffer) error {
	return r.see(Op{Kind: Scale, Rows: x.Len(), Columns: 1})
}
