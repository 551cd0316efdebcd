//go:build gpu

package cuda

// #include "libraries.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

// Device computes on one GPU, in one stream of the GPU's primary context: what is called first is computed first. Copies of
// pictures go beside it. Calls come from any thread; each makes the context that of its thread.
type Device struct {
	name, path string
	libraries  string // by name and version
	gpu        cu.Device
	context    cu.CUContext
	stream     cu.Stream
	copies     cu.Stream // of Pixels.Put, beside the other; ordered with it by events
	module     cu.Module
	functions  map[string]function
	mostBlocks int            // of a launch; a variable for tests
	blas       unsafe.Pointer // cublasHandle_t
	dnn        unsafe.Pointer // cudnnHandle_t

	// blasMemory is cuBLAS's workspace: one of its own choosing could differ from call to call, and its results with it.
	blasMemory   cu.DevicePtr
	scratch      cu.DevicePtr // what one operation needs beside its operands
	scratchLen   int          // bytes
	changes      int          // of what captures hold on to: the scratch memory's place, how convolutions are computed
	step         cu.DevicePtr // the step of the capture that is replayed, in two words
	capturing    bool         // see Capture
	draws        bool         // the capture has a dropout
	staged       staging
	convolutions map[kernels.Conv]*convolution
	unsupported  map[string]bool // see Unsupported
	lost         bool            // see kernels.ErrLost
	gate         *sync.RWMutex   // the GPU's: see apart

	model      string // what its maker calls it
	capability int    // as sm_ has it
	tuning     kernels.Tuning
	algorithms kernels.Algorithms // chosen by measuring
	workspaces map[workspaceKey]int
}

var (
	_ kernels.Device     = (*Device)(nil)
	_ kernels.Tunable    = (*Device)(nil)
	_ kernels.Chooser    = (*Device)(nil)
	_ kernels.BatchBound = (*Device)(nil)
)

// blasMemoryLen is what NVIDIA recommends for the newest GPUs, in bytes; older ones do with less.
const blasMemoryLen = 32 << 20

// stepLen is what the step's number takes, in bytes.
const stepLen = 8

// New opens the GPU of that index. The error says what is missing, and what to install.
func New(index int) (*Device, error) {
	gpus, err := GPUs()
	if err != nil {
		return nil, err
	}
	if index < 0 || index >= len(gpus) {
		return nil, fmt.Errorf("there is no cuda:%d: this machine has %d that CUDA shows", index, len(gpus))
	}
	g := gpus[index]
	if err := g.tooOld(); err != nil {
		return nil, fmt.Errorf("cuda:%d (%s) can't be used: %w", index, g.Name, err)
	}
	d := &Device{name: fmt.Sprintf("cuda:%d", index), mostBlocks: mostBlocks, convolutions: map[kernels.Conv]*convolution{},
		unsupported: map[string]bool{}, model: g.Name, capability: 10*g.Major + g.Minor, algorithms: kernels.Algorithms{},
		gate: gateOf(index)}
	if err := d.open(g); err != nil {
		d.Close()
		return nil, fmt.Errorf("opening %s (%s): %w", d.name, g.Name, err)
	}
	return d, nil
}

func (d *Device) open(g GPU) (err error) {
	if d.gpu, err = cu.GetDevice(g.Index); err != nil {
		return err
	}
	if d.context, err = d.gpu.RetainPrimaryCtx(); err != nil {
		return err
	}
	return d.apart(func() error {
		if d.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
			return err
		}
		if d.copies, err = cu.MakeStream(cu.NonBlocking); err != nil {
			return err
		}
		if err := d.load(); err != nil {
			return err
		}
		if d.blasMemory, err = d.allocate(blasMemoryLen); err != nil {
			return err
		}
		if d.step, err = d.allocate(stepLen); err != nil {
			return err
		}
		if err := d.staged.open(); err != nil {
			return err
		}
		stream := unsafe.Pointer(d.stream.C())
		var version C.int
		for _, step := range []func() C.int{
			func() C.int { return C.call_cublasCreate_v2(&d.blas) },
			func() C.int { return C.call_cublasGetVersion_v2(d.blas, &version) },
			func() C.int { return C.call_cublasSetMathMode(d.blas, C.CUBLAS_DEFAULT_MATH) },
			func() C.int { return C.call_cublasSetAtomicsMode(d.blas, C.CUBLAS_ATOMICS_NOT_ALLOWED) },
			func() C.int { return C.call_cublasSetStream_v2(d.blas, stream) },
			func() C.int { // after the stream, which takes it away
				return C.call_cublasSetWorkspace_v2(d.blas, C.uintptr_t(d.blasMemory), blasMemoryLen)
			},
		} {
			if err := cublasError(step()); err != nil {
				return err
			}
		}
		if err := cudnnError(C.call_cudnnCreate(&d.dnn)); err != nil {
			return err
		}
		d.libraries = fmt.Sprintf("cuDNN %s, cuBLAS %s", cudnnVersion(int(C.call_cudnnGetVersion())), cublasVersion(int(version)))
		d.path = fmt.Sprintf("%s, sm_%d%d, %s", g.Name, g.Major, g.Minor, d.libraries)
		return cudnnError(C.call_cudnnSetStream(d.dnn, stream))
	})
}

// cublasError is the error that a status of cuBLAS stands for.
func cublasError(status C.int) error {
	if status == 0 {
		return nil
	}
	err := fmt.Errorf("cuBLAS: status %d", status)
	if status == C.CUBLAS_STATUS_ALLOC_FAILED {
		return fault{err, kernels.ErrMemory}
	}
	return err
}

// cudnnError is the error that a status of cuDNN stands for.
func cudnnError(status C.int) error {
	if status == 0 {
		return nil
	}
	name := C.GoString(C.call_cudnnGetErrorString(status))
	var says [256]C.char
	C.call_cudnnGetLastErrorString(&says[0], C.size_t(len(says)))
	if text := strings.TrimSpace(C.GoString(&says[0])); text != "" && text != name {
		name += " (" + text + ")"
	}
	err := errors.New("cuDNN: " + name)
	switch status {
	case C.CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER, C.CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDART,
		C.CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING, C.CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE:
		return err
	case C.CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER:
		return unsupportedError{err}
	case C.CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED:
		return fault{err, kernels.ErrMemory}
	}
	if status-status%1000 == C.CUDNN_STATUS_NOT_SUPPORTED {
		return unsupportedError{err}
	}
	return err
}

// errUnsupported stands for the statuses by which cuDNN 9 says that it has no kernel for a computation, or for operands
// that lie where these do: a family that grows from version to version. Those of the family that tell of a broken
// installation, such as a driver that is too old, are not among them.
var errUnsupported = errors.New("not supported")

type unsupportedError struct{ error }

func (unsupportedError) Is(target error) bool { return target == errUnsupported }

// within runs f on a thread whose context is the device's. Its error says what became of the device (see blame).
func (d *Device) within(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(d.context); err != nil {
		return fmt.Errorf("the context of %s: %w", d.name, d.blame(err))
	}
	return d.blame(f())
}

// Name is "cuda:" and the GPU's index.
func (d *Device) Name() string { return d.name }

// Path names what decides the bits: the GPU's model and generation, and the libraries' versions.
func (d *Device) Path() string { return d.path }

// Libraries names the libraries that serve the device, with their versions.
func (d *Device) Libraries() string { return d.libraries }

// Close frees what the device holds. Its buffers must not be used any more. What a lost device held is gone already, which its
// last error told.
func (d *Device) Close() error {
	if d.context == (cu.CUContext{}) {
		return nil
	}
	err := d.apart(func() error {
		var errs []error
		streams := slices.DeleteFunc([]*cu.Stream{&d.copies, &d.stream}, func(s *cu.Stream) bool { return *s == cu.NoStream })
		for _, s := range streams {
			errs = append(errs, s.Synchronize())
		}
		for _, c := range d.convolutions {
			errs = append(errs, c.close())
		}
		if d.dnn != nil {
			errs = append(errs, cudnnError(C.call_cudnnDestroy(d.dnn)))
		}
		if d.blas != nil {
			errs = append(errs, cublasError(C.call_cublasDestroy_v2(d.blas)))
		}
		errs = append(errs, d.staged.close())
		for _, memory := range []cu.DevicePtr{d.scratch, d.blasMemory, d.step} {
			if memory != 0 {
				errs = append(errs, cu.MemFree(memory))
			}
		}
		if d.module != (cu.Module{}) {
			errs = append(errs, d.module.Unload())
		}
		for _, s := range streams {
			errs = append(errs, s.Destroy())
		}
		return errors.Join(errs...)
	})
	err = errors.Join(err, d.gpu.ReleasePrimaryCtx())
	if d.lost {
		err = nil
	}
	*d = Device{name: d.name, path: d.path}
	if err != nil {
		return fmt.Errorf("closing %s: %w", d.name, err)
	}
	return nil
}

// buffer is float32 in a device's memory.
type buffer struct {
	device *Device
	at     cu.DevicePtr
	len    int
}

func (b buffer) Len() int { return b.len }

func (b buffer) Slice(lo, hi int) kernels.Buffer {
	if lo < 0 || hi < lo || hi > b.len {
		panic(fmt.Sprintf("cuda: elements [%d, %d) of a buffer of %d", lo, hi, b.len))
	}
	return buffer{b.device, b.at + cu.DevicePtr(4*lo), hi - lo}
}

// memory is where the n elements of b lie, a buffer that operation op calls name. It panics where they are not n.
func (d *Device) memory(op, name string, b kernels.Buffer, n int) cu.DevicePtr {
	own, ok := b.(buffer)
	if !ok || own.device != d {
		panic(fmt.Sprintf("cuda: %s: %s is a %T, not memory of %s", op, name, b, d.name))
	}
	if own.len != n {
		panic(fmt.Sprintf("cuda: %s: %s has %d elements, want %d", op, name, own.len, n))
	}
	return own.at
}

// optional is memory, or null for a buffer that was left out.
func (d *Device) optional(op, name string, b kernels.Buffer, n int) cu.DevicePtr {
	if b == nil {
		return 0
	}
	return d.memory(op, name, b, n)
}

// Alloc returns n zeroed elements.
func (d *Device) Alloc(n int) (kernels.Buffer, error) {
	if n < 0 {
		panic(fmt.Sprintf("cuda: Alloc(%d)", n))
	}
	b := buffer{device: d, len: n}
	err := d.within(func() (err error) {
		if d.capturing {
			return errCapturing
		}
		bytes := 4 * max(n, 1) // the driver gives no memory of length 0
		if b.at, err = d.allocate(bytes); err != nil {
			return err
		}
		return cu.MemsetD8Async(b.at, 0, int64(bytes), d.stream)
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// allocate is the driver's allocation, with an error that says how much there is.
func (d *Device) allocate(bytes int) (cu.DevicePtr, error) {
	at, err := cu.MemAlloc(int64(bytes))
	if err == nil {
		return at, nil
	}
	if err != cu.OutOfMemory {
		return 0, fmt.Errorf("%s: %w", d.name, err)
	}
	text := fmt.Sprintf("%s has not %.0f MB left", d.name, float64(bytes)/1e6)
	if free, total, err := cu.MemInfo(); err == nil {
		text += fmt.Sprintf(": %.0f of its %.0f MB are free", float64(free)/1e6, float64(total)/1e6)
	}
	return 0, fault{errors.New(text), kernels.ErrMemory}
}

// Free gives a buffer back, when what was called before is done with it.
func (d *Device) Free(b kernels.Buffer) {
	at := d.memory("Free", "the buffer", b, b.Len())
	if d.capturing {
		panic("cuda: Free while operations are captured")
	}
	// An error here is that of an operation before, and the next one gives it again.
	_ = d.apart(func() error {
		if err := d.stream.Synchronize(); err != nil {
			return err
		}
		return cu.MemFree(at)
	})
}

// Upload copies src to dst. It is done with src when it returns, not with the copy.
func (d *Device) Upload(dst kernels.Buffer, src []float32) error {
	return upload(d, d.memory("Upload", "dst", dst, len(src)), src)
}

// Download copies src to dst, when what was called before is computed.
func (d *Device) Download(dst []float32, src kernels.Buffer) error {
	return download(d, dst, d.memory("Download", "src", src, len(dst)))
}

// scratchAlign is where parts of the scratch memory begin, in bytes: what the driver's own allocations give.
const scratchAlign = 256

// take gives one part of the scratch memory for each number of bytes, good until the next call. Operations run one after
// the other, so they may all use the same.
func (d *Device) take(bytes ...int) ([]cu.DevicePtr, error) {
	parts := make([]cu.DevicePtr, len(bytes))
	for i := range bytes {
		parts[i] = cu.DevicePtr(taken(bytes[:i]...))
	}
	if n := taken(bytes...); n > d.scratchLen && d.capturing {
		return nil, fmt.Errorf("scratch memory: %w", errCapturing)
	} else if n > d.scratchLen {
		if err := d.apart(func() error { return d.growScratch(n) }); err != nil {
			return nil, fmt.Errorf("scratch memory: %w", err)
		}
	}
	for i := range parts {
		parts[i] += d.scratch
	}
	return parts, nil
}

// taken is how many bytes the parts of the scratch memory take together.
func taken(bytes ...int) (n int) {
	for _, b := range bytes {
		n += (b + scratchAlign - 1) / scratchAlign * scratchAlign
	}
	return n
}

// shrinkScratch leaves so much of the scratch memory, which may have been more for a while.
func (d *Device) shrinkScratch(bytes int) error {
	if d.scratchLen <= bytes {
		return nil
	}
	return d.apart(func() error { return d.growScratch(bytes) })
}

// growScratch replaces the scratch memory by so much.
func (d *Device) growScratch(bytes int) (err error) {
	if d.scratch != 0 {
		if err := d.stream.Synchronize(); err != nil {
			return err
		}
		if err := cu.MemFree(d.scratch); err != nil {
			return err
		}
		d.scratch, d.scratchLen = 0, 0
	}
	d.changes++
	if bytes == 0 {
		return nil
	}
	if d.scratch, err = d.allocate(bytes); err == nil {
		d.scratchLen = bytes
	}
	return err
}
