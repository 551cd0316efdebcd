//go:build gpu

package cuda

// #include "libraries.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

var _ kernels.Capturer = (*Device)(nil)

// errCapturing is what operations give that can't be captured.
var errCapturing = errors.New("not while operations are captured")

// driverError is the error that a status of the driver stands for, of the functions that gorgonia.org/cu lacks: one of those
// that it gives itself.
func driverError(status C.int) error { return result(cu.Success, int(status)) }

// result makes an error of the type of success, to which gorgonia.org/cu gives no name that can be used.
func result[T interface {
	~int
	error
}](success T, status int) error {
	if T(status) == success {
		return nil
	}
	return T(status)
}

// gates hold one for each GPU, by index, that captures on it pass side by side, and alone what apart runs.
var gates sync.Map

func gateOf(index int) *sync.RWMutex {
	gate, _ := gates.LoadOrStore(index, new(sync.RWMutex))
	return gate.(*sync.RWMutex)
}

// apart is within, for what may wait for all that a GPU does: opening and closing the libraries, freeing memory. The driver
// refuses to wait for a GPU of which a stream captures, whosever it is and whatever the capture's mode, and the capture is
// lost. Other runs of the process on the same GPU have their own Device, so they wait for each other here.
func (d *Device) apart(f func() error) error {
	d.gate.Lock()
	defer d.gate.Unlock()
	return d.within(f)
}

// capture is a CUDA graph, ready to be launched.
type capture struct {
	device  *Device
	graph   unsafe.Pointer // CUgraphExec
	draws   bool           // it reads the step
	changes int            // the device's, when it was made
}

// Capture keeps the operations that do asks for in a CUDA graph.
//
// The mode is the thread's: other devices of the process go on as if nothing were, and this thread, which must also end what
// it begins, is kept from calls that don't belong into a graph. Gorgonia's machine asks from a thread of its own.
func (d *Device) Capture(do func() error) (kernels.Capture, error) {
	d.gate.RLock()
	defer d.gate.RUnlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := &capture{device: d, changes: d.changes}
	stream := unsafe.Pointer(d.stream.C())
	err := d.within(func() error {
		return driverError(C.call_cuStreamBeginCapture_v2(stream, C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))
	})
	if err != nil {
		return nil, fmt.Errorf("%s: capturing operations: %w", d.name, err)
	}
	d.capturing, d.draws = true, false
	defer func() { d.capturing = false }()
	asked := do()
	c.draws = d.draws
	err = d.within(func() error {
		var captured unsafe.Pointer
		if err := driverError(C.call_cuStreamEndCapture(stream, &captured)); err != nil || captured == nil {
			return errors.Join(err, asked)
		}
		err := asked
		if err == nil {
			err = driverError(C.call_cuGraphInstantiateWithFlags(&c.graph, captured, 0))
		}
		return errors.Join(err, driverError(C.call_cuGraphDestroy(captured)))
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: capturing operations: %w", d.name, err), c.Close())
	}
	return c, nil
}

// Replay launches the graph, after what was called before.
func (c *capture) Replay(step uint64) error {
	d := c.device
	err := d.within(func() error {
		if c.draws {
			for i, word := range []uint32{uint32(step), uint32(step >> 32)} {
				if err := cu.MemsetD32Async(d.step+cu.DevicePtr(4*i), uint(word), 1, d.stream); err != nil {
					return err
				}
			}
		}
		return driverError(C.call_cuGraphLaunch(c.graph, unsafe.Pointer(d.stream.C())))
	})
	if err != nil {
		return fmt.Errorf("%s: replaying operations: %w", d.name, err)
	}
	return nil
}

// Stale says that the scratch memory, whose address is in the graph, has moved, or that the device has been told to compute
// otherwise.
func (c *capture) Stale() bool { return c.changes != c.device.changes }

// Close frees the graph, when it is not under way any more.
func (c *capture) Close() error {
	d := c.device
	if c.graph == nil {
		return nil
	}
	return d.within(func() error {
		err := errors.Join(d.stream.Synchronize(), driverError(C.call_cuGraphExecDestroy(c.graph)))
		c.graph = nil
		return err
	})
}
