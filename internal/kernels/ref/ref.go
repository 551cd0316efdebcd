// Package ref is the reference device: every operation of the numeric contract as the plainest Go that says it, summed
// in float64 and rounded to float32 once at the end. It defines what is right; other devices are held against it by
// package kerneltest. It runs on one goroutine and is fast enough for the tests of small networks, not for training.
package ref

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/kernels"
)

// Device is the reference device. It has no state.
type Device struct{}

var _ kernels.Device = Device{}

// New returns the reference device.
func New() kernels.Device { return Device{} }

// Name is "ref".
func (Device) Name() string { return "ref" }

// Path is "ref".
func (Device) Path() string { return "ref" }

// Alloc returns n zeroed elements.
func (Device) Alloc(n int) (kernels.Buffer, error) { return make(kernels.Host, n), nil }

// Free does nothing: the garbage collector does.
func (Device) Free(kernels.Buffer) {}

// Upload copies src to dst.
func (Device) Upload(dst kernels.Buffer, src []float32) error {
	copy(slice("Upload", "dst", dst, len(src)), src)
	return nil
}

// Download copies src to dst.
func (Device) Download(dst []float32, src kernels.Buffer) error {
	copy(dst, slice("Download", "src", src, len(dst)))
	return nil
}

// Close does nothing.
func (Device) Close() error { return nil }

// Meter counts buffers; what the operations hold while they run is not counted.
func (d Device) Meter(int) kernels.Meter { return kernels.NewHollow(d) }

// slice returns the elements of the buffer that operation op calls name, and panics where they are not n.
func slice(op, name string, b kernels.Buffer, n int) []float32 {
	host, ok := b.(kernels.Host)
	if !ok {
		panic(fmt.Sprintf("ref: %s: %s is a %T, not memory of this device", op, name, b))
	}
	if len(host) != n {
		panic(fmt.Sprintf("ref: %s: %s has %d elements, want %d", op, name, len(host), n))
	}
	return host
}

// optional is slice for a buffer that may be nil, which gives a nil slice.
func optional(op, name string, b kernels.Buffer, n int) []float32 {
	if b == nil {
		return nil
	}
	return slice(op, name, b, n)
}

// activate returns act(x); a NaN stays one.
func activate(act kernels.Activation, x float64) float64 {
	if act != kernels.Identity {
		x = max(x, 0)
	}
	if act == kernels.ReLU6 {
		x = min(x, 6)
	}
	return x
}

// round stores src in dst, rounded to float32.
func round(dst []float32, src []float64) {
	for i, v := range src {
		dst[i] = float32(v)
	}
}
