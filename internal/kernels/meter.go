package kernels

// Meter stands for a device and computes nothing: it tells how much memory the device would hold. Whoever wants to know
// what something takes does the same on a Meter, without the time and the memory. Buffers of it have a length and no
// memory; what is downloaded from it is not written.
type Meter interface {
	Device
	// Held is the number of bytes in buffers that are not freed, Peak the most that it has been.
	Held() int64
	Peak() int64
	// Scratch is the number of bytes that the device would keep for itself after the operations so far.
	Scratch() int64
}

// Stager is a Meter of a device that keeps memory of the host's, from which it copies to its own.
type Stager interface {
	// Staged is the number of bytes of that where no more than so many are uploaded at once.
	Staged(most int64) int64
}

// Extent is a Buffer that has a length and no memory.
type Extent int

// Len is the number of elements.
func (e Extent) Len() int { return int(e) }

// Slice is the part [lo, hi).
func (e Extent) Slice(lo, hi int) Buffer {
	if lo < 0 || lo > hi || hi > int(e) {
		panic("kernels: a slice beyond its buffer")
	}
	return Extent(hi - lo)
}

// Hollow is a Meter of the device that it is made for, one that keeps nothing for itself. Other devices' Meters are made
// of it. The zero value is not for use.
type Hollow struct {
	of         Device
	held, peak int64
}

var _ Meter = (*Hollow)(nil)

// NewHollow returns a Meter for a device, which need not be open any more.
func NewHollow(of Device) *Hollow { return &Hollow{of: of} }

func (h *Hollow) Held() int64    { return h.held }
func (h *Hollow) Peak() int64    { return h.peak }
func (h *Hollow) Scratch() int64 { return 0 }

func (h *Hollow) Name() string            { return h.of.Name() }
func (h *Hollow) Path() string            { return h.of.Path() }
func (h *Hollow) Meter(threads int) Meter { return h.of.Meter(threads) }
func (h *Hollow) PackedLen(d Conv) int    { return h.of.PackedLen(d) }

func (h *Hollow) Alloc(n int) (Buffer, error) {
	h.held += 4 * int64(n)
	h.peak = max(h.peak, h.held)
	return Extent(n), nil
}

func (h *Hollow) Free(b Buffer) { h.held -= 4 * int64(b.Len()) }

func (h *Hollow) Upload(Buffer, []float32) error   { return nil }
func (h *Hollow) Download([]float32, Buffer) error { return nil }
func (h *Hollow) Close() error                     { return nil }

func (h *Hollow) ConvForward(Conv, Buffer, Buffer, Buffer, Buffer, Activation) error { return nil }
func (h *Hollow) PackWeights(Conv, Buffer, Buffer) error                             { return nil }
func (h *Hollow) ConvForwardPacked(Conv, Buffer, Buffer, Buffer, Buffer, Buffer, Activation) error {
	return nil
}
func (h *Hollow) ConvBackwardData(Conv, Buffer, Buffer, Buffer) error    { return nil }
func (h *Hollow) ConvBackwardWeights(Conv, Buffer, Buffer, Buffer) error { return nil }

func (h *Hollow) LinearForward(Linear, Buffer, Buffer, Buffer, Buffer, Activation) error { return nil }
func (h *Hollow) LinearBackwardData(Linear, Buffer, Buffer, Buffer) error                { return nil }
func (h *Hollow) LinearBackwardWeights(Linear, Buffer, Buffer, Buffer) error             { return nil }

func (h *Hollow) SumRows(int, int, Buffer, Buffer) error { return nil }
func (h *Hollow) BatchNormStats(int, int, Buffer, Buffer, Buffer, Buffer, Buffer, float32, float32) error {
	return nil
}
func (h *Hollow) BatchNormInvStd(int, Buffer, Buffer, float32) error { return nil }
func (h *Hollow) BatchNormApply(int, int, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Activation) error {
	return nil
}
func (h *Hollow) BatchNormReduce(int, int, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Activation) error {
	return nil
}
func (h *Hollow) BatchNormBackwardData(int, int, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Activation) error {
	return nil
}

func (h *Hollow) Activate(Activation, Buffer, Buffer) error                 { return nil }
func (h *Hollow) ActivateBackward(Activation, Buffer, Buffer, Buffer) error { return nil }
func (h *Hollow) ActivateBackwardChannels(Activation, int, int, Buffer, Buffer, int, int, Buffer) error {
	return nil
}
func (h *Hollow) Add([]Buffer, Buffer, Activation) error                     { return nil }
func (h *Hollow) Dropout(float32, DropoutKey, Buffer, Buffer) error          { return nil }
func (h *Hollow) MaxPoolForward(Pool, Buffer, Buffer) error                  { return nil }
func (h *Hollow) MaxPoolBackward(Pool, Buffer, Buffer, Buffer, Buffer) error { return nil }
func (h *Hollow) AvgPoolForward(Pool, Buffer, Buffer) error                  { return nil }
func (h *Hollow) AvgPoolBackward(Pool, Buffer, Buffer) error                 { return nil }
func (h *Hollow) AdaptiveAvgPoolForward(Adaptive, Buffer, Buffer) error      { return nil }
func (h *Hollow) AdaptiveAvgPoolBackward(Adaptive, Buffer, Buffer) error     { return nil }

func (h *Hollow) CopyChannels(int, int, Buffer, int, int, Buffer, int, int) error { return nil }
func (h *Hollow) ToNCHW(int, int, int, int, Buffer, Buffer) error                 { return nil }
func (h *Hollow) FromNCHW(int, int, int, int, Buffer, Buffer) error               { return nil }

func (h *Hollow) CrossEntropyForward(CrossEntropy, Buffer, Buffer, Buffer, Buffer, Buffer) error {
	return nil
}
func (h *Hollow) CrossEntropyBackward(CrossEntropy, Buffer, Buffer, Buffer, float32, Buffer) error {
	return nil
}

func (h *Hollow) SGD(SGD, Buffer, Buffer, Buffer) error           { return nil }
func (h *Hollow) Adam(Adam, Buffer, Buffer, Buffer, Buffer) error { return nil }
func (h *Hollow) SumSquares(Buffer) (float64, error)              { return 0, nil }
func (h *Hollow) Scale(float32, Buffer) error                     { return nil }
