//go:build gpu

package cuda

// #include "libraries.h"
import "C"

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

// A convolution of one group is cuDNN's, over NHWC tensors and KRSC filters: the weights, RSCK, are transposed on the way
// in, once where they are packed, and their gradient on the way out. What follows a convolution is a kernel of ours: cuDNN
// has its fused form for ReLU only, not for ReLU6 and a residual, and does not say that it keeps NaN.
//
// A convolution of several groups is a kernel of ours (see kernels.cu), which reads the weights as they are. So is one that
// cuDNN says it does not support: slower by far, but right. Which those are follows from the call alone, never from what
// was called before, so that a run has the same bits again; Unsupported tells them.

// The algorithms are those of cuDNN that are deterministic and need no more memory than a transformed operand.
const (
	forwardAlgorithm = C.CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM
	dataAlgorithm    = C.CUDNN_CONVOLUTION_BWD_DATA_ALGO_1
	filterAlgorithm  = C.CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1
)

// convolution is a shape as cuDNN knows it.
type convolution struct {
	x, y, filter, how     unsafe.Pointer // descriptors
	forward, data, weight direction
}

// direction is one of the three computations of a convolution.
type direction struct {
	own       bool     // cuDNN does not support it
	workspace C.size_t // bytes
}

// convolution returns the descriptors of c, made at its first use. StepY and the numerics make no difference to them.
func (d *Device) convolution(c kernels.Conv) (*convolution, error) {
	c.StepY, c.Numerics = 0, 0
	if v, ok := d.convolutions[c]; ok {
		return v, nil
	}
	v := &convolution{}
	if err := d.within(func() error { return v.open(d, c) }); err != nil {
		return nil, fmt.Errorf("%s: %v: %w", d.name, c, errors.Join(err, v.close()))
	}
	d.convolutions[c] = v
	return v, nil
}

func (v *convolution) open(d *Device, c kernels.Conv) error {
	size := func(n int) C.int { return C.int(n) }
	const f, nhwc = C.CUDNN_DATA_FLOAT, C.CUDNN_TENSOR_NHWC
	steps := []func() C.int{
		func() C.int { return C.call_cudnnCreateTensorDescriptor(&v.x) },
		func() C.int {
			return C.call_cudnnSetTensor4dDescriptor(v.x, nhwc, f, size(c.N), size(c.C), size(c.H), size(c.W))
		},
		func() C.int { return C.call_cudnnCreateTensorDescriptor(&v.y) },
		func() C.int {
			return C.call_cudnnSetTensor4dDescriptor(v.y, nhwc, f, size(c.N), size(c.K), size(c.P()), size(c.Q()))
		},
		func() C.int { return C.call_cudnnCreateFilterDescriptor(&v.filter) },
		func() C.int {
			return C.call_cudnnSetFilter4dDescriptor(v.filter, f, nhwc, size(c.K), size(c.C), size(c.R), size(c.S))
		},
		func() C.int { return C.call_cudnnCreateConvolutionDescriptor(&v.how) },
		func() C.int {
			return C.call_cudnnSetConvolution2dDescriptor(v.how, size(c.PadH), size(c.PadW), size(c.StrideH), size(c.StrideW), 1, 1,
				C.CUDNN_CROSS_CORRELATION, f)
		},
		func() C.int { return C.call_cudnnSetConvolutionMathType(v.how, C.CUDNN_FMA_MATH) }, // without TF32
	}
	for _, step := range steps {
		if err := cudnnError(step()); err != nil {
			return err
		}
	}
	for _, ask := range []struct {
		what   string
		of     *direction
		status C.int
	}{
		{forwardPass, &v.forward, C.call_cudnnGetConvolutionForwardWorkspaceSize(d.dnn, v.x, v.filter, v.how, v.y,
			forwardAlgorithm, &v.forward.workspace)},
		{dataGradient, &v.data, C.call_cudnnGetConvolutionBackwardDataWorkspaceSize(d.dnn, v.filter, v.y, v.how, v.x,
			dataAlgorithm, &v.data.workspace)},
		{weightGradient, &v.weight, C.call_cudnnGetConvolutionBackwardFilterWorkspaceSize(d.dnn, v.x, v.y, v.how, v.filter,
			filterAlgorithm, &v.weight.workspace)},
	} {
		err := cudnnError(ask.status)
		if ask.of.own = d.isUnsupported(ask.what, c, err); err != nil && !ask.of.own {
			return err
		}
	}
	return nil
}

// The three directions, as errors name them.
const (
	forwardPass    = "convolution"
	dataGradient   = "gradient of the input of a convolution"
	weightGradient = "gradient of the weights of a convolution"
)

// isUnsupported says whether an error is cuDNN's word that it does not support a computation, and keeps which that is.
func (d *Device) isUnsupported(what string, c kernels.Conv, err error) bool {
	if !errors.Is(err, errUnsupported) {
		return false
	}
	c.StepY, c.Numerics = 0, 0
	d.unsupported[fmt.Sprintf("%s (%v)", what, c)] = true
	return true
}

// Unsupported lists the convolutions asked for so far that cuDNN does not support, and that kernels of ours compute.
func (d *Device) Unsupported() []string { return slices.Sorted(maps.Keys(d.unsupported)) }

func (v *convolution) close() error {
	var errs []error
	if v.how != nil {
		errs = append(errs, cudnnError(C.call_cudnnDestroyConvolutionDescriptor(v.how)))
	}
	if v.filter != nil {
		errs = append(errs, cudnnError(C.call_cudnnDestroyFilterDescriptor(v.filter)))
	}
	for _, t := range []unsafe.Pointer{v.x, v.y} {
		if t != nil {
			errs = append(errs, cudnnError(C.call_cudnnDestroyTensorDescriptor(t)))
		}
	}
	return errors.Join(errs...)
}

// checkConv panics where the shape is none.
func checkConv(op string, c kernels.Conv) {
	if c.Groups < 1 || c.C%c.Groups != 0 || c.K%c.Groups != 0 {
		panic(fmt.Sprintf("cuda: %s: groups do not divide the channels of %v", op, c))
	}
	if c.H+2*c.PadH < c.R || c.W+2*c.PadW < c.S {
		panic(fmt.Sprintf("cuda: %s: the filter is larger than the padded picture of %v", op, c))
	}
}

// ConvForward: x (N,H,W,C), w (R,S,C/G,K), bias (K) → y (N,P,Q,K).
func (d *Device) ConvForward(c kernels.Conv, x, w, bias, y kernels.Buffer, act kernels.Activation) error {
	return d.convForward("ConvForward", c, x, w, false, bias, nil, y, act)
}

// PackedLen is the number of elements of w.
func (d *Device) PackedLen(c kernels.Conv) int { return c.LenW() }

// PackWeights: w (R,S,C/G,K) → packed, KRSC for cuDNN, the same for several groups.
func (d *Device) PackWeights(c kernels.Conv, w, packed kernels.Buffer) error {
	const op = "PackWeights"
	from, to := d.memory(op, "w", w, c.LenW()), d.memory(op, "packed", packed, c.LenW())
	if c.Groups > 1 {
		return d.launch("copy_channels", c.LenW(), 1, c.LenW(), from, c.LenW(), 0, to, c.LenW(), 0)
	}
	return d.toFilter(c, from, to)
}

// toFilter: w (R,S,C,K) → filter (K,R,S,C).
func (d *Device) toFilter(c kernels.Conv, w, filter cu.DevicePtr) error {
	return d.transpose(1, c.R*c.S*c.C, c.K, w, filter)
}

// fromFilter: filter (K,R,S,C) → w (R,S,C,K).
func (d *Device) fromFilter(c kernels.Conv, filter, w cu.DevicePtr) error {
	return d.transpose(1, c.K, c.R*c.S*c.C, filter, w)
}

// ConvForwardPacked: x (N,H,W,C), packed, bias (K), residual (N,P,Q,K) → y (N,P,Q,K).
func (d *Device) ConvForwardPacked(c kernels.Conv, x, packed, bias, residual, y kernels.Buffer, act kernels.Activation) error {
	return d.convForward("ConvForwardPacked", c, x, packed, true, bias, residual, y, act)
}

func (d *Device) convForward(op string, c kernels.Conv, x, w kernels.Buffer, packed bool, bias, residual, y kernels.Buffer,
	act kernels.Activation) error {
	checkConv(op, c)
	if residual != nil && c.StepY != 0 {
		panic(fmt.Sprintf("cuda: %s: a residual beside other channels: %v", op, c))
	}
	xs, ws, ys := d.memory(op, "x", x, c.LenX()), d.memory(op, "w", w, c.LenW()), d.memory(op, "y", y, c.LenY())
	bs, rs := d.optional(op, "bias", bias, c.K), d.optional(op, "residual", residual, c.LenY())
	m := c.N * c.P() * c.Q()
	own := func(ws cu.DevicePtr) error {
		return d.launch("group_convolution", m*c.K, xs, ws, bs, rs, ys, c.N, c.H, c.W, c.C, c.K, c.P(), c.Q(), c.R, c.S, c.StrideH,
			c.StrideW, c.PadH, c.PadW, c.Groups, c.PositionY(), act)
	}
	if c.Groups > 1 {
		return own(ws)
	}
	instead := func() error {
		if !packed {
			return own(ws)
		}
		parts, err := d.take(4 * c.LenW())
		if err != nil {
			return err
		}
		if err := d.fromFilter(c, ws, parts[0]); err != nil {
			return err
		}
		return own(parts[0])
	}
	v, err := d.convolution(c)
	if err != nil {
		return err
	}
	if v.forward.own {
		return instead()
	}
	filter, result := forwardScratch(c, packed, rs == ys)
	parts, err := d.take(int(v.forward.workspace), filter, result)
	if err != nil {
		return err
	}
	from, to := ws, ys
	if !packed {
		from = parts[1]
		if err := d.toFilter(c, ws, from); err != nil {
			return err
		}
	}
	if result > 0 {
		to = parts[2]
	}
	err = d.dnnCall(forwardPass, c, func(one, zero unsafe.Pointer) C.int {
		return C.call_cudnnConvolutionForward(d.dnn, one, v.x, address(xs), v.filter, address(from), v.how, forwardAlgorithm,
			address(parts[0]), v.forward.workspace, zero, v.y, address(to))
	})
	if d.isUnsupported(forwardPass, c, err) {
		return instead()
	}
	if err != nil || to == ys && bs == 0 && rs == 0 && act == kernels.Identity {
		return err
	}
	return d.launch("finish_convolution", m*c.K, to, bs, rs, ys, m, c.K, c.PositionY(), act)
}

// forwardScratch is how many bytes a forward pass needs beside its operands and cuDNN's workspace: for the filter where the
// weights are not packed, and for the result where it has to pass the residual, which y holds, or other channels.
func forwardScratch(c kernels.Conv, packed, overResidual bool) (filter, result int) {
	if !packed {
		filter = 4 * c.LenW()
	}
	if c.StepY != 0 || overResidual {
		result = 4 * c.N * c.P() * c.Q() * c.K
	}
	return filter, result
}

// ConvBackwardData: w (R,S,C/G,K), dy (N,P,Q,K) → dx (N,H,W,C).
func (d *Device) ConvBackwardData(c kernels.Conv, w, dy, dx kernels.Buffer) error {
	const op = "ConvBackwardData"
	checkConv(op, c)
	ws, dys, dxs := d.memory(op, "w", w, c.LenW()), d.memory(op, "dy", dy, c.LenY()), d.memory(op, "dx", dx, c.LenX())
	own := func() error {
		return d.launch("group_convolution_data", c.LenX(), ws, dys, dxs, c.N, c.H, c.W, c.C, c.K, c.P(), c.Q(), c.R, c.S, c.StrideH,
			c.StrideW, c.PadH, c.PadW, c.Groups)
	}
	if c.Groups > 1 {
		return own()
	}
	v, err := d.convolution(c)
	if err != nil {
		return err
	}
	if v.data.own {
		return own()
	}
	parts, err := d.take(int(v.data.workspace), 4*c.LenW())
	if err != nil {
		return err
	}
	if err := d.toFilter(c, ws, parts[1]); err != nil {
		return err
	}
	err = d.dnnCall(dataGradient, c, func(one, zero unsafe.Pointer) C.int {
		return C.call_cudnnConvolutionBackwardData(d.dnn, one, v.filter, address(parts[1]), v.y, address(dys), v.how,
			dataAlgorithm, address(parts[0]), v.data.workspace, zero, v.x, address(dxs))
	})
	if d.isUnsupported(dataGradient, c, err) {
		return own()
	}
	return err
}

// ConvBackwardWeights: x (N,H,W,C), dy (N,P,Q,K) → dw (R,S,C/G,K).
func (d *Device) ConvBackwardWeights(c kernels.Conv, x, dy, dw kernels.Buffer) error {
	const op = "ConvBackwardWeights"
	checkConv(op, c)
	xs, dys, dws := d.memory(op, "x", x, c.LenX()), d.memory(op, "dy", dy, c.LenY()), d.memory(op, "dw", dw, c.LenW())
	own := func() error {
		s := cut(c.N*c.P()*c.Q(), c.LenW())
		parts, err := d.take(s.bytes(1, c.LenW()))
		if err != nil {
			return err
		}
		err = d.launch("group_convolution_weights", s.chunks*c.LenW(), xs, dys, parts[0], c.N, c.H, c.W, c.C, c.K, c.P(), c.Q(), c.R,
			c.S, c.StrideH, c.StrideW, c.PadH, c.PadW, c.Groups, s.rows, s.chunks)
		if err != nil {
			return err
		}
		return d.launch("sum_chunks", c.LenW(), parts[0], dws, s.chunks, c.LenW())
	}
	if c.Groups > 1 {
		return own()
	}
	v, err := d.convolution(c)
	if err != nil {
		return err
	}
	if v.weight.own {
		return own()
	}
	parts, err := d.take(int(v.weight.workspace), 4*c.LenW())
	if err != nil {
		return err
	}
	err = d.dnnCall(weightGradient, c, func(one, zero unsafe.Pointer) C.int {
		return C.call_cudnnConvolutionBackwardFilter(d.dnn, one, v.x, address(xs), v.y, address(dys), v.how, filterAlgorithm,
			address(parts[0]), v.weight.workspace, zero, v.filter, address(parts[1]))
	})
	if d.isUnsupported(weightGradient, c, err) {
		return own()
	}
	if err != nil {
		return err
	}
	return d.fromFilter(c, parts[1], dws)
}

// dnnCall makes a call of cuDNN that computes a result anew: 1 times it, and 0 times what was there.
func (d *Device) dnnCall(what string, c kernels.Conv, call func(one, zero unsafe.Pointer) C.int) error {
	one, zero := C.float(1), C.float(0)
	err := d.within(func() error { return cudnnError(call(unsafe.Pointer(&one), unsafe.Pointer(&zero))) })
	if err != nil {
		return fmt.Errorf("%s: %s (%v): %w", d.name, what, c, err)
	}
	return nil
}

func address(p cu.DevicePtr) C.uintptr_t { return C.uintptr_t(p) }
