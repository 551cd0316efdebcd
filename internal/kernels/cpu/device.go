// Package cpu is the fast device: the operations of kernels.Device on the processor, spread over a fixed number of
// threads, with vector assembly chosen at run time.
//
// The package is laid out by operation, forward and backward together. Convolutions and linear layers come down to a few
// micro-kernels (see micro.go) that exist once in portable Go, once in AVX2 and once in AVX-512; gen/ writes the
// assembly. The drivers above them are shared by all paths, so that edges and the order of sums are decided in one place.
//
// # The same bits
//
// Every element of a result is one fixed sequence of additions that follows from the shape of the layer. Cutting work
// into tiles, bands and threads only decides which elements are computed together.
package cpu

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ftrun/ftrun/internal/kernels"
)

// Device computes on the processor. Make one with New and close it after use.
type Device struct {
	path    path
	micro   *micro
	threads int
	pool    *pool // nil where threads is 1

	// choose is the rule by which convolutions are computed as Winograd's; a variable for tests.
	choose func(f correlation, numerics kernels.Numerics) winogradChoice

	phases  []phase   // of the last backward data, for the memory
	shared  scratch   // packed weights and partial sums, written by all workers
	workers []scratch // one per worker

	task     runner           // the parallel region under way
	runShare func(worker int) // computes a worker's share of task
	kept     []any            // a task of each type that has run
}

var _ kernels.Device = (*Device)(nil)

// New makes a device that computes on the given number of threads; 0 stands for as many as Go may run on. It takes the
// widest vector instructions of the processor, or those that the environment variable FTRUN_CPU names.
func New(threads int) (*Device, error) {
	if threads < 0 {
		return nil, fmt.Errorf("cpu device: %d threads: give a positive number, or 0 for all of them", threads)
	}
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	p, err := detect()
	if err != nil {
		return nil, err
	}
	d := &Device{path: p, micro: microOf(p), threads: threads, choose: chooseWinograd, workers: make([]scratch, threads)}
	if threads > 1 {
		d.runShare = func(worker int) { d.task.run(d, worker) }
		d.pool = newPool(threads)
	}
	return d, nil
}

// Name is "cpu".
func (d *Device) Name() string { return "cpu" }

// Path names the instructions in use: "avx512", "avx2" or "generic".
func (d *Device) Path() string { return d.path.String() }

// Alloc returns n zeroed elements that begin on a cache line.
func (d *Device) Alloc(n int) (kernels.Buffer, error) {
	if n < 0 {
		panic(fmt.Sprintf("cpu: Alloc(%d)", n))
	}
	return kernels.Host(aligned(n)), nil
}

// Free leaves the memory to the garbage collector.
func (d *Device) Free(kernels.Buffer) {}

// Upload copies src to dst.
func (d *Device) Upload(dst kernels.Buffer, src []float32) error {
	copy(floats(dst, len(src)), src)
	return nil
}

// Download copies src to dst.
func (d *Device) Download(dst []float32, src kernels.Buffer) error {
	copy(dst, floats(src, len(dst)))
	return nil
}

// Close ends the threads and drops the scratch memory. The device must not be used afterwards.
func (d *Device) Close() error {
	if d.pool != nil {
		d.pool.close()
		d.pool = nil
	}
	d.shared, d.workers, d.kept = scratch{}, nil, nil
	return nil
}

// split cuts n units evenly among the workers: worker's share is [lo, hi).
func (d *Device) split(n, worker int) (lo, hi int) {
	return share(n, worker, d.threads)
}

// share is part i of n units that are cut into parts whose sizes differ by at most one.
func share(n, i, parts int) (lo, hi int) {
	return n * i / parts, n * (i + 1) / parts
}

// floats is the memory of a buffer of n elements.
func floats(b kernels.Buffer, n int) []float32 {
	h, ok := b.(kernels.Host)
	if !ok {
		panic(fmt.Sprintf("cpu: a %T is not a buffer of this device", b))
	}
	if len(h) != n {
		panic(fmt.Sprintf("cpu: a buffer of %d elements where the shape has %d", len(h), n))
	}
	return h
}

// optional is floats, or nil for a buffer that was left out.
func optional(b kernels.Buffer, n int) []float32 {
	if b == nil {
		return nil
	}
	return floats(b, n)
}

const cacheLine = 64 // bytes

// aligned returns n zeroed elements that begin on a cache line.
func aligned(n int) []float32 {
	const line = cacheLine / 4
	b := make([]float32, n+line-1)
	off := 0
	if r := uintptr(unsafe.Pointer(unsafe.SliceData(b))) % cacheLine; r != 0 {
		off = int(cacheLine-r) / 4
	}
	return b[off : off+n : off+n]
}

// at is the address off elements after p. The caller keeps it inside p's array.
func at(p *float32, off int) *float32 {
	return (*float32)(unsafe.Add(unsafe.Pointer(p), 4*off))
}
