//go:build gpu

package cuda

import (
	"errors"
	"fmt"
	"slices"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

// fault is an error of a kind: kernels.ErrMemory, kernels.ErrLost, ErrNoGPU.
type fault struct {
	error
	kind error
}

func (f fault) Is(target error) bool { return target == f.kind }
func (f fault) Unwrap() error        { return f.error }

// lost are the driver's errors after which a context gives nothing else: NVIDIA's description of each says that the process
// must be started anew. The driver has had others since; blame finds those out.
var lost = []error{cu.EccUncorrectable, cu.NvlinkUncorrectable, cu.IllegalAddress, cu.LaunchTimeout, cu.ContextIsDestroyed, cu.Assert,
	cu.HardwareStackError, cu.IllegalInstruction, cu.MisalignedAddress, cu.InvalidAddressSpace, cu.InvalidPc, cu.LaunchFailed,
	cu.Unknown}

// capturing are the driver's errors about a capture of a stream, which a context gets over.
var capturing = []error{cu.StreamCaptureUnsupported, cu.StreamCaptureInvalidated, cu.StreamCaptureMerge, cu.StreamCaptureUnmatched,
	cu.StreamCaptureUnjoined, cu.StreamCaptureIsolation, cu.StreamCaptureImplicit, cu.StreamCaptureWrongThread}

// blame says of an error, in the thread that has the device's context, what became of the device. A status of cuBLAS or cuDNN
// does not tell, nor does a number of the driver that is newer than this program: then the stream is asked, which answers for the
// whole context, but not while it captures. A capture that fails is followed by the same operations without one, whose errors
// tell. The context itself is not asked: another run's stream may capture (see apart).
func (d *Device) blame(err error) error {
	if err == nil || errors.Is(err, errUnsupported) || errors.Is(err, kernels.ErrMemory) || errors.Is(err, kernels.ErrLost) {
		return err
	}
	if errors.Is(err, cu.OutOfMemory) {
		return fault{err, kernels.ErrMemory}
	}
	if !isOne(err, lost) {
		if d.capturing || d.stream == cu.NoStream {
			return err
		}
		answer := d.stream.Synchronize()
		if answer == nil || isOne(answer, capturing) {
			return err
		}
		if !errors.Is(err, answer) {
			err = fmt.Errorf("%w (%w)", err, answer)
		}
	}
	d.lost = true
	return fault{fmt.Errorf("%w, after which this process can't use the GPU any more (the system's log may say why: NVRM, Xid)", err),
		kernels.ErrLost}
}

func isOne(err error, of []error) bool {
	return slices.ContainsFunc(of, func(target error) bool { return errors.Is(err, target) })
}

var _ kernels.Separate = (*Device)(nil)

// Memory is how many bytes of the GPU's memory are free for all processes, and how many it has.
func (d *Device) Memory() (free, total int64, err error) {
	err = d.within(func() (err error) {
		free, total, err = cu.MemInfo()
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("the memory of %s: %w", d.name, err)
	}
	return free, total, nil
}
