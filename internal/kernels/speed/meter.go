package speed

import "github.com/ftrun/ftrun/internal/kernels"

// Meter is a device that computes nothing: it writes down what is asked of it. Its buffers have a length and no memory, so
// that they may be as large as they like.
type Meter struct {
	Ops       []Op
	Allocated int // elements of all buffers so far
}

var _ kernels.Device = (*Meter)(nil)

// phantom is a buffer without memory.
type phantom int

func (p phantom) Len() int                      { return int(p) }
func (phantom) Slice(lo, hi int) kernels.Buffer { return phantom(hi - lo) }
func (*Meter) Name() string                     { return "meter" }
func (*Meter) Path() string                     { return "meter" }
func (m *Meter) Alloc(n int) (kernels.Buffer, error) {
	m.Allocated += n
	return phantom(n), nil
}
func (*Meter) Free(kernels.Buffer)          {}
func (*Meter) Close() error                 { return nil }
func (*Meter) PackedLen(d kernels.Conv) int { return d.LenW() }

func (*Meter) Upload(kernels.Buffer, []float32) error   { return nil }
func (*Meter) Download([]float32, kernels.Buffer) error { return nil }

func (m *Meter) see(o Op) error {
	m.Ops = append(m.Ops, o)
	return nil
}

func (m *Meter) conv(kind Kind, d kernels.Conv) error {
	return m.see(Op{Kind: kind, Conv: d})
}

func (m *Meter) ConvForward(d kernels.Conv, _, _, _, _ kernels.Buffer, _ kernels.Activation) error {
	return m.conv(ConvForward, d)
}
func (m *Meter) PackWeights(d kernels.Conv, _, _ kernels.Buffer) error { return m.conv(PackWeights, d) }
func (m *Meter) ConvForwardPacked(d kernels.Conv, _, _, _, _, _ kernels.Buffer, _ kernels.Activation) error {
	return m.conv(ConvForwardPacked, d)
}
func (m *Meter) ConvBackwardData(d kernels.Conv, _, _, _ kernels.Buffer) error {
	return m.conv(ConvBackwardData, d)
}
func (m *Meter) ConvBackwardWeights(d kernels.Conv, _, _, _ kernels.Buffer) error {
	return m.conv(ConvBackwardWeights, d)
}

func (m *Meter) LinearForward(d kernels.Linear, _, _, _, _ kernels.Buffer, _ kernels.Activation) error {
	return m.see(Op{Kind: LinearForward, Linear: d})
}
func (m *Meter) LinearBackwardData(d kernels.Linear, _, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: LinearBackwardData, Linear: d})
}
func (m *Meter) LinearBackwardWeights(d kernels.Linear, _, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: LinearBackwardWeights, Linear: d})
}

func (m *Meter) SumRows(n, c int, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: SumRows, Rows: n, Columns: c})
}

func (m *Meter) BatchNormStats(n, c int, _, _, _, _, _ kernels.Buffer, _, _ float32) error {
	return m.see(Op{Kind: BatchNormStats, Rows: n, Columns: c})
}
func (m *Meter) BatchNormInvStd(c int, _, _ kernels.Buffer, _ float32) error {
	return m.see(Op{Kind: Few, Rows: 1, Columns: c})
}
func (m *Meter) BatchNormApply(n, c int, _, _, _, _, _, residual, _ kernels.Buffer, _ kernels.Activation) error {
	terms := 1
	if residual != nil {
		terms = 2
	}
	return m.see(Op{Kind: BatchNormApply, Rows: n, Columns: c, Terms: terms})
}
func (m *Meter) BatchNormReduce(n, c int, _, _, _, _, _, _, _, _ kernels.Buffer, _ kernels.Activation) error {
	return m.see(Op{Kind: BatchNormReduce, Rows: n, Columns: c})
}
func (m *Meter) BatchNormBackwardData(n, c int, _, _, _, _, _, _, _, _, _ kernels.Buffer, _ kernels.Activation) error {
	return m.see(Op{Kind: BatchNormBackward, Rows: n, Columns: c})
}

func (m *Meter) Activate(_ kernels.Activation, x, _ kernels.Buffer) error {
	return m.see(Op{Kind: Activate, Rows: x.Len(), Columns: 1})
}
func (m *Meter) ActivateBackward(_ kernels.Activation, y, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: ActivateBackward, Rows: y.Len(), Columns: 1})
}
func (m *Meter) ActivateBackwardChannels(_ kernels.Activation, rows, n int, _, _ kernels.Buffer, _, _ int, _ kernels.Buffer) error {
	return m.see(Op{Kind: ActivateBackward, Rows: rows, Columns: n})
}
func (m *Meter) Add(xs []kernels.Buffer, y kernels.Buffer, _ kernels.Activation) error {
	return m.see(Op{Kind: Add, Rows: y.Len(), Columns: 1, Terms: len(xs)})
}
func (m *Meter) Dropout(_ float32, _ kernels.DropoutKey, x, _ kernels.Buffer) error {
	return m.see(Op{Kind: Dropout, Rows: x.Len(), Columns: 1})
}

func (m *Meter) MaxPoolForward(d kernels.Pool, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: MaxPoolForward, Rows: d.N * d.H * d.W, Columns: d.C})
}
func (m *Meter) MaxPoolBackward(d kernels.Pool, _, _, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: MaxPoolBackward, Rows: d.N * d.H * d.W, Columns: d.C})
}
func (m *Meter) AvgPoolForward(d kernels.Pool, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: AvgPoolForward, Rows: d.N * d.H * d.W, Columns: d.C})
}
func (m *Meter) AvgPoolBackward(d kernels.Pool, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: AvgPoolBackward, Rows: d.N * d.H * d.W, Columns: d.C})
}
func (m *Meter) AdaptiveAvgPoolForward(d kernels.Adaptive, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: GlobalPoolForward, Rows: d.N * d.H * d.W, Columns: d.C})
}
func (m *Meter) AdaptiveAvgPoolBackward(d kernels.Adaptive, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: GlobalPoolBackward, Rows: d.N * d.H * d.W, Columns: d.C})
}

func (m *Meter) CopyChannels(rows, n int, _ kernels.Buffer, _, _ int, _ kernels.Buffer, _, _ int) error {
	return m.see(Op{Kind: CopyChannels, Rows: rows, Columns: n})
}
func (m *Meter) ToNCHW(n, h, w, c int, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: Reorder, Rows: n * h * w, Columns: c})
}
func (m *Meter) FromNCHW(n, h, w, c int, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: Reorder, Rows: n * h * w, Columns: c})
}

func (m *Meter) CrossEntropyForward(d kernels.CrossEntropy, _, _, _, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: Few, Rows: d.N, Columns: d.Classes})
}
func (m *Meter) CrossEntropyBackward(d kernels.CrossEntropy, _, _, _ kernels.Buffer, _ float32, _ kernels.Buffer) error {
	return m.see(Op{Kind: Few, Rows: d.N, Columns: d.Classes})
}

func (m *Meter) SGD(_ kernels.SGD, w, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: SGD, Rows: w.Len(), Columns: 1})
}
func (m *Meter) Adam(_ kernels.Adam, w, _, _, _ kernels.Buffer) error {
	return m.see(Op{Kind: Adam, Rows: w.Len(), Columns: 1})
}
func (m *Meter) SumSquares(x kernels.Buffer) (float64, error) {
	return 0, m.see(Op{Kind: SumSquares, Rows: x.Len(), Columns: 1})
}
func (m *Meter) Scale(_ float32, x kernels.Buffer) error {
	return m.see(Op{Kind: Scale, Rows: x.Len(), Columns: 1})
}
