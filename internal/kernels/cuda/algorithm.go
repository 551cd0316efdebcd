//go:build gpu

package cuda

// #include "libraries.h"
import "C"

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

// pass is one of the three computations of a convolution, as cuDNN has it.
type pass struct {
	index int    // in convolution.directions
	what  string // as errors name it
	// The numbers of cuDNN's algorithms, by what may be asked of them. products sum the products that the equation shows, and
	// the first is what is taken where nothing is measured. transforms are Winograd's and Fourier's, of whose tiles and
	// so of whose error cuDNN says nothing. Both give the same bits at each call; unordered add atomically, and don't.
	products, transforms, unordered []C.int

	workspace func(d *Device, v *convolution, algorithm C.int, bytes *C.size_t) C.int
	run       func(d *Device, v *convolution, algorithm C.int, one, zero unsafe.Pointer, o operands) C.int
}

// operands are where a pass finds what it reads and writes.
type operands struct {
	x, filter, y, workspace cu.DevicePtr
	workspaceLen            C.size_t
}

var (
	forwardPass = &pass{
		what: "convolution",
		products: []C.int{C.CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, C.CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
			C.CUDNN_CONVOLUTION_FWD_ALGO_GEMM},
		transforms: []C.int{C.CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD, C.CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED,
			C.CUDNN_CONVOLUTION_FWD_ALGO_FFT, C.CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING},
		workspace: func(d *Device, v *convolution, algorithm C.int, bytes *C.size_t) C.int {
			return C.call_cudnnGetConvolutionForwardWorkspaceSize(d.dnn, v.x, v.filter, v.how, v.y, algorithm, bytes)
		},
		run: func(d *Device, v *convolution, algorithm C.int, one, zero unsafe.Pointer, o operands) C.int {
			return C.call_cudnnConvolutionForward(d.dnn, one, v.x, address(o.x), v.filter, address(o.filter), v.how, algorithm,
				address(o.workspace), o.workspaceLen, zero, v.y, address(o.y))
		},
	}
	dataPass = &pass{
		index:    1,
		what:     "gradient of the input of a convolution",
		products: []C.int{C.CUDNN_CONVOLUTION_BWD_DATA_ALGO_1},
		transforms: []C.int{C.CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD, C.CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED,
			C.CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT, C.CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING},
		unordered: []C.int{C.CUDNN_CONVOLUTION_BWD_DATA_ALGO_0},
		workspace: func(d *Device, v *convolution, algorithm C.int, bytes *C.size_t) C.int {
			return C.call_cudnnGetConvolutionBackwardDataWorkspaceSize(d.dnn, v.filter, v.y, v.how, v.x, algorithm, bytes)
		},
		run: func(d *Device, v *convolution, algorithm C.int, one, zero unsafe.Pointer, o operands) C.int {
			return C.call_cudnnConvolutionBackwardData(d.dnn, one, v.filter, address(o.filter), v.y, address(o.y), v.how, algorithm,
				address(o.workspace), o.workspaceLen, zero, v.x, address(o.x))
		},
	}
	weightPass = &pass{
		index:    2,
		what:     "gradient of the weights of a convolution",
		products: []C.int{C.CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1},
		transforms: []C.int{C.CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED, C.CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT,
			C.CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING},
		unordered: []C.int{C.CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, C.CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3},
		workspace: func(d *Device, v *convolution, algorithm C.int, bytes *C.size_t) C.int {
			return C.call_cudnnGetConvolutionBackwardFilterWorkspaceSize(d.dnn, v.x, v.y, v.how, v.filter, algorithm, bytes)
		},
		run: func(d *Device, v *convolution, algorithm C.int, one, zero unsafe.Pointer, o operands) C.int {
			return C.call_cudnnConvolutionBackwardFilter(d.dnn, one, v.x, address(o.x), v.y, address(o.y), v.how, algorithm,
				address(o.workspace), o.workspaceLen, zero, v.filter, address(o.filter))
		},
	}
)

// candidates are the algorithms that may be taken, the first one without measuring.
func (p *pass) candidates(numerics kernels.Numerics, how kernels.Tuning) []C.int {
	list := p.products
	if numerics == kernels.Fast && how.Precision == kernels.FP32 {
		list = slices.Concat(list, p.transforms)
	}
	if how.Nondeterministic {
		list = slices.Concat(list, p.unordered)
	}
	return list
}

// direction is what is known of a pass of a convolution.
type direction struct {
	asked bool // the rest is known
	own   bool // cuDNN does not support it
	candidate
}

// candidate is an algorithm that cuDNN has for a convolution, and the bytes of its workspace.
type candidate struct {
	algorithm C.int
	workspace C.size_t
}

// mostWorkspace is the largest workspace, in bytes, that an algorithm may have to be taken for its speed.
const mostWorkspace = 256 << 20

// choose says how a pass of a convolution is computed, and finds that out where it is asked for the first time. scratch is
// how many bytes its operands take of the scratch memory, and at is where all of them lie, given those parts.
//
// What is chosen at one batch is taken at all batches of the layer, so that what is computed for a picture does not depend on
// the batch further than one algorithm of cuDNN's has it.
func (d *Device) choose(p *pass, v *convolution, c kernels.Conv, scratch []int, at func([]cu.DevicePtr) operands) (*direction, error) {
	chosen := &v.directions[p.index]
	if chosen.asked {
		return chosen, nil
	}
	candidates, err := d.supported(p, v, c)
	if err != nil {
		return nil, err
	}
	if len(candidates) == 0 {
		*chosen = direction{asked: true, own: true}
		return chosen, nil
	}
	take, layer := candidates[0], layerName(p, c)
	if kept, ok := d.algorithms[layer]; ok {
		take, _ = find(candidates, kept) // the first where the one that was kept does not do for this batch
	} else if d.tuning.Timings != nil && len(candidates) > 1 {
		if take, err = d.fastest(p, v, c, candidates, scratch, at); err != nil {
			return nil, err
		}
		d.algorithms[layer] = int(take.algorithm)
	}
	*chosen = direction{asked: true, candidate: take}
	return chosen, nil
}

// supported lists the candidates that cuDNN has for a pass, with their workspaces. One that has no rival may take any. What it
// says of one that it has not is of account only where it has none.
func (d *Device) supported(p *pass, v *convolution, c kernels.Conv) (list []candidate, err error) {
	var refusal error
	for _, algorithm := range p.candidates(c.Numerics, d.tuning) {
		a := candidate{algorithm: algorithm}
		err := d.within(func() error { return cudnnError(p.workspace(d, v, algorithm, &a.workspace)) })
		switch {
		case errors.Is(err, kernels.ErrLost):
			return nil, fmt.Errorf("%s: %s (%v): %w", d.name, p.what, c, err)
		case err != nil:
			if refusal == nil || errors.Is(refusal, errUnsupported) {
				refusal = err
			}
		case len(list) == 0 || a.workspace <= mostWorkspace:
			list = append(list, a)
		}
	}
	if len(list) == 0 && !d.isUnsupported(p, c, refusal) {
		return nil, fmt.Errorf("%s: %s (%v): %w", d.name, p.what, c, refusal)
	}
	return list, nil
}

// find is the candidate of that number, and the first where none is.
func find(candidates []candidate, algorithm int) (_ candidate, found bool) {
	at := slices.IndexFunc(candidates, func(a candidate) bool { return int(a.algorithm) == algorithm })
	return candidates[max(at, 0)], at >= 0
}

// layerName names a pass of a layer without its batch.
func layerName(p *pass, c kernels.Conv) string {
	c.N = 0
	_, shape, _ := strings.Cut(c.String(), " n0 ")
	return p.what + ", " + shape
}

// fastest is the fastest of several candidates, as was measured before, or is now.
func (d *Device) fastest(p *pass, v *convolution, c kernels.Conv, candidates []candidate, scratch []int,
	at func([]cu.DevicePtr) operands) (candidate, error) {
	what := fmt.Sprintf("%s, batch %d, %s", layerName(p, c), c.N, d.tuning.Precision)
	if c.Numerics == kernels.Fast {
		what += ", fast numerics"
	}
	if d.tuning.Nondeterministic {
		what += ", nondeterministic"
	}
	if algorithm, known := d.tuning.Timings.Fastest(d.path, what); known {
		if a, found := find(candidates, algorithm); found {
			return a, nil
		}
	}
	a, err := d.measure(p, v, c, candidates, scratch, at)
	if err == nil {
		d.tuning.Timings.Keep(d.path, what, int(a.algorithm))
	}
	return a, err
}

// clearlyFaster is the part of the time of an earlier candidate that a later one may take at most to be preferred to it: what
// is as fast to the accuracy of a clock should be chosen alike each time.
const clearlyFaster = 0.97

// measure runs each candidate over the operands, whose contents are of no account, and gives the fastest. Nothing else is
// under way on the stream, and nothing is captured: a step's first run is not.
func (d *Device) measure(p *pass, v *convolution, c kernels.Conv, candidates []candidate, scratch []int,
	at func([]cu.DevicePtr) operands) (best candidate, err error) {
	if d.capturing {
		return candidates[0], fmt.Errorf("measuring algorithms: %w", errCapturing)
	}
	before := d.scratchLen
	var parts []cu.DevicePtr
	for {
		most := slices.MaxFunc(candidates, func(a, b candidate) int { return int(a.workspace) - int(b.workspace) })
		if parts, err = d.take(append([]int{int(most.workspace)}, scratch...)...); err == nil {
			break
		}
		// Where there is no room for the largest workspace, others may do. The first one has to.
		others := slices.DeleteFunc(slices.Clone(candidates[1:]), func(a candidate) bool { return a.workspace >= most.workspace })
		if len(others)+1 == len(candidates) {
			return candidates[0], nil
		}
		candidates = append(candidates[:1:1], others...)
	}
	o := at(parts[1:])
	o.workspace = parts[0]
	best, fastest := candidates[0], math.Inf(1)
	for _, a := range candidates {
		o.workspaceLen = a.workspace
		took, err := d.time(func() error { return d.runPass(p, v, c, a.algorithm, o) })
		if errors.Is(err, kernels.ErrLost) {
			return best, err
		}
		if err != nil { // whatever is wrong with it: where all fail, the first one tells when it is run
			continue
		}
		if took < clearlyFaster*fastest {
			best, fastest = a, took
		}
	}
	return best, d.shrinkScratch(before)
}

// Each candidate is timed several times, a few runs each time, so that the time of a launch does not count; the least is
// what it takes.
const timings, timedRuns = 3, 3

// time is how long a run of f takes on the stream, in milliseconds.
func (d *Device) time(f func() error) (least float64, err error) {
	if err := f(); err != nil { // what is loaded and prepared at the first call
		return 0, err
	}
	var begin, end cu.Event
	defer func() {
		err = errors.Join(err, d.within(func() error {
			var errs []error
			for _, e := range []*cu.Event{&begin, &end} {
				if *e != (cu.Event{}) {
					errs = append(errs, cu.DestroyEvent(e))
				}
			}
			return errors.Join(errs...)
		}))
	}()
	err = d.within(func() error {
		if begin, err = cu.MakeEvent(cu.DefaultEvent); err != nil {
			return err
		}
		end, err = cu.MakeEvent(cu.DefaultEvent)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%s: timing: %w", d.name, err)
	}
	least = math.Inf(1)
	for range timings {
		var took float64
		err := d.within(func() error {
			if err := begin.Record(d.stream); err != nil {
				return err
			}
			for range timedRuns {
				if err := f(); err != nil {
					return err
				}
			}
			if err := end.Record(d.stream); err != nil {
				return err
			}
			if err := end.Synchronize(); err != nil {
				return err
			}
			took, err = begin.Elapsed(end)
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("%s: timing: %w", d.name, err)
		}
		least = min(least, took/timedRuns)
	}
	return least, nil
}

// runPass has cuDNN compute a pass anew: 1 times its result, and 0 times what was there.
func (d *Device) runPass(p *pass, v *convolution, c kernels.Conv, algorithm C.int, o operands) error {
	one, zero := C.float(1), C.float(0)
	err := d.within(func() error {
		return cudnnError(p.run(d, v, algorithm, unsafe.Pointer(&one), unsafe.Pointer(&zero), o))
	})
	if err != nil {
		return fmt.Errorf("%s: %s (%v): %w", d.name, p.what, c, err)
	}
	return nil
}

// isUnsupported says whether an error is cuDNN's word that it does not support a computation, and keeps which that is. What it
// did support and refuses within a capture is not one of those: its bits would change with the capture, and it has an error.
func (d *Device) isUnsupported(p *pass, c kernels.Conv, err error) bool {
	if !errors.Is(err, errUnsupported) {
		return false
	}
	c.StepY, c.Numerics = 0, 0
	what := fmt.Sprintf("%s (%v)", p.what, c)
	if d.capturing && !d.unsupported[what] {
		return false
	}
	d.unsupported[what] = true
	return true
}

// Unsupported lists the convolutions asked for so far that cuDNN does not support, and that kernels of ours compute.
func (d *Device) Unsupported() []string { return slices.Sorted(maps.Keys(d.unsupported)) }

// Algorithms are those that were chosen by measuring, by the layers that they compute.
func (d *Device) Algorithms() kernels.Algorithms { return maps.Clone(d.algorithms) }

// Adopt has the device take these, and forget those that it has chosen.
func (d *Device) Adopt(algorithms kernels.Algorithms) {
	d.algorithms = maps.Clone(algorithms)
	if d.algorithms == nil {
		d.algorithms = kernels.Algorithms{}
	}
	for _, v := range d.convolutions {
		v.directions = [3]direction{}
	}
}
