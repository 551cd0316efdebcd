//go:build gpu

package cuda

// #include "libraries.h"
import "C"

import (
	"errors"
	"fmt"
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

// convolution is a shape as cuDNN knows it.
type convolution struct {
	x, y, filter, how unsafe.Pointer // descriptors
	directions        [3]direction   // by pass.index
}

// convolution returns the descriptors of c, made at its first use. StepY makes no difference to them; the numerics do to what
// may be chosen.
func (d *Device) convolution(c kernels.Conv) (*convolution, error) {
	c.StepY = 0
	if c.Numerics != kernels.Fast {
		c.Numerics = kernels.Exact
	}
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
	const nhwc = C.CUDNN_TENSOR_NHWC
	kind, math := C.int(C.CUDNN_DATA_FLOAT), C.int(C.CUDNN_DEFAULT_MATH) // which has TF32 for float32
	switch d.tuning.Precision {
	case kernels.FP32:
		math = C.CUDNN_FMA_MATH
	case kernels.BF16: // tensor cores, and no further rounding of the operands
		kind, math = C.CUDNN_DATA_BFLOAT16, C.CUDNN_TENSOR_OP_MATH
	}
	steps := []func() C.int{
		func() C.int { return C.call_cudnnCreateTensorDescriptor(&v.x) },
		func() C.int {
			return C.call_cudnnSetTensor4dDescriptor(v.x, nhwc, kind, size(c.N), size(c.C), size(c.H), size(c.W))
		},
		func() C.int { return C.call_cudnnCreateTensorDescriptor(&v.y) },
		func() C.int {
			return C.call_cudnnSetTensor4dDescriptor(v.y, nhwc, kind, size(c.N), size(c.K), size(c.P()), size(c.Q()))
		},
		func() C.int { return C.call_cudnnCreateFilterDescriptor(&v.filter) },
		func() C.int {
			return C.call_cudnnSetFilter4dDescriptor(v.filter, kind, nhwc, size(c.K), size(c.C), size(c.R), size(c.S))
		},
		func() C.int { return C.call_cudnnCreateConvolutionDescriptor(&v.how) },
		func() C.int {
			return C.call_cudnnSetConvolution2dDescriptor(v.how, size(c.PadH), size(c.PadW), size(c.StrideH), size(c.StrideW), 1, 1,
				C.CUDNN_CROSS_CORRELATION, C.CUDNN_DATA_FLOAT) // the sums, whatever the operands are
		},
		func() C.int { return C.call_cudnnSetConvolutionMathType(v.how, math) },
	}
	for _, step := range steps {
		if err := cudnnError(step()); err != nil {
			return err
		}
	}
	return nil
}

// forgetConvolutions closes the descriptors of all.
func (d *Device) forgetConvolutions() error {
	d.changes++
	err := d.within(func() error {
		var errs []error
		for c, v := range d.convolutions {
			errs = append(errs, v.close())
			delete(d.convolutions, c)
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	return nil
}

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
		return d.move(c.LenW(), from, to)
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
	narrow := d.tuning.Precision == kernels.BF16
	scratch := forwardScratch(c, d.tuning.Precision, packed && !crooked(ws), rs == ys || crooked(ys))
	if !narrow && crooked(xs) {
		scratch = append(scratch, 4*c.LenX())
	}
	at := func(parts []cu.DevicePtr) operands {
		if narrow {
			return operands{x: parts[0], filter: parts[1], y: parts[2]}
		}
		o := operands{x: xs, filter: ws, y: ys}
		if scratch[0] > 0 {
			o.filter = parts[0]
		}
		if scratch[1] > 0 {
			o.y = parts[1]
		}
		if len(scratch) > 2 {
			o.x = parts[2]
		}
		return o
	}
	way, o, err := d.prepare(forwardPass, v, c, scratch, at)
	if err != nil {
		return err
	}
	if way.own {
		return instead()
	}
	switch {
	case narrow:
		err = d.narrow(c.LenX(), xs, o.x)
		if err == nil && packed {
			err = d.narrow(c.LenW(), ws, o.filter)
		} else if err == nil {
			err = d.narrowFilter(c, ws, o.filter)
		}
	case !packed:
		err = d.toFilter(c, ws, o.filter)
	default:
		err = d.straighten(c.LenW(), ws, o.filter)
	}
	if err == nil && !narrow {
		err = d.straighten(c.LenX(), xs, o.x)
	}
	if err != nil {
		return err
	}
	err = d.runPass(forwardPass, v, c, way.algorithm, o)
	if d.isUnsupported(forwardPass, c, err) {
		return instead()
	}
	if narrow && err == nil {
		return d.launch("finish_bfloat16", m*c.K, o.y, bs, rs, ys, m, c.K, c.PositionY(), act)
	}
	if err != nil || o.y == ys && bs == 0 && rs == 0 && act == kernels.Identity {
		return err
	}
	return d.launch("finish_convolution", m*c.K, o.y, bs, rs, ys, m, c.K, c.PositionY(), act)
}

// straight is where cuDNN wants what it reads and writes to begin, in bytes: its kernels take several elements at once. All
// that a network's memory plan lays out begins so. What does not is copied there and back.
const straight = 16

func crooked(at cu.DevicePtr) bool { return at%straight != 0 }

// straighten copies n elements, where they are not in their place.
func (d *Device) straighten(n int, from, to cu.DevicePtr) error {
	if from == to {
		return nil
	}
	return d.move(n, from, to)
}

// move: from (n) → to (n).
func (d *Device) move(n int, from, to cu.DevicePtr) error {
	return d.launch("copy_channels", n, 1, n, from, n, 0, to, n, 0)
}

// prepare chooses how a pass is computed, takes the scratch memory that it needs, with a workspace where it is cuDNN's, and
// says where its operands lie: see choose.
func (d *Device) prepare(p *pass, v *convolution, c kernels.Conv, scratch []int, at func([]cu.DevicePtr) operands) (*direction, operands, error) {
	way, err := d.choose(p, v, c, scratch, at)
	if err != nil || way.own {
		return way, operands{}, err
	}
	parts, err := d.take(append([]int{int(way.workspace)}, scratch...)...)
	if err != nil {
		return nil, operands{}, err
	}
	o := at(parts[1:])
	o.workspace, o.workspaceLen = parts[0], way.workspace
	return way, o, nil
}

// forwardScratch is how many bytes a forward pass needs beside its operands and cuDNN's workspace: in bfloat16 for x, the
// filter and y; else for the filter where the weights are not packed, and for the result where it has to pass the residual,
// which y holds, or other channels.
func forwardScratch(c kernels.Conv, p kernels.Precision, packed, overResidual bool) []int {
	results := c.N * c.P() * c.Q() * c.K
	if p == kernels.BF16 {
		return []int{2 * c.LenX(), 2 * c.LenW(), 2 * results}
	}
	filter, result := 0, 0
	if !packed {
		filter = 4 * c.LenW()
	}
	if c.StepY != 0 || overResidual {
		result = 4 * results
	}
	return []int{filter, result}
}

// gradientScratch is the same for the two gradients, of which one reads the filter and the other one writes it.
func gradientScratch(c kernels.Conv, p kernels.Precision) []int {
	if p == kernels.BF16 {
		return []int{2 * c.LenX(), 2 * c.LenW(), 2 * c.LenY()}
	}
	return []int{4 * c.LenW()}
}

// gradientOperands is where those of a gradient lie, x and dy, or dx and dy, and what scratch memory that takes: they lie where
// they are in float32, but for what is crooked, and all in scratch memory in bfloat16.
func (d *Device) gradientOperands(c kernels.Conv, xs, dys cu.DevicePtr) (scratch []int, at func(parts []cu.DevicePtr) operands) {
	scratch = gradientScratch(c, d.tuning.Precision)
	if d.tuning.Precision == kernels.BF16 {
		return scratch, func(parts []cu.DevicePtr) operands { return operands{x: parts[0], filter: parts[1], y: parts[2]} }
	}
	for _, o := range []struct {
		at cu.DevicePtr
		n  int
	}{{xs, c.LenX()}, {dys, c.LenY()}} {
		if crooked(o.at) {
			scratch = append(scratch, 4*o.n)
		}
	}
	return scratch, func(parts []cu.DevicePtr) operands {
		o := operands{x: xs, filter: parts[0], y: dys}
		if crooked(xs) {
			o.x = parts[1]
		}
		if crooked(dys) {
			o.y = parts[len(parts)-1]
		}
		return o
	}
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
	scratch, at := d.gradientOperands(c, dxs, dys)
	way, o, err := d.prepare(dataPass, v, c, scratch, at)
	if err != nil {
		return err
	}
	if way.own {
		return own()
	}
	narrow := d.tuning.Precision == kernels.BF16
	if narrow {
		if err = d.narrowFilter(c, ws, o.filter); err == nil {
			err = d.narrow(c.LenY(), dys, o.y)
		}
	} else if err = d.toFilter(c, ws, o.filter); err == nil {
		err = d.straighten(c.LenY(), dys, o.y)
	}
	if err != nil {
		return err
	}
	err = d.runPass(dataPass, v, c, way.algorithm, o)
	if d.isUnsupported(dataPass, c, err) {
		return own()
	}
	if err != nil {
		return err
	}
	if narrow {
		return d.widen(c.LenX(), 1, o.x, dxs)
	}
	return d.straighten(c.LenX(), o.x, dxs)
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
		return d.sumChunks(s, c.LenW(), parts[0], dws)
	}
	if c.Groups > 1 {
		return own()
	}
	v, err := d.convolution(c)
	if err != nil {
		return err
	}
	scratch, at := d.gradientOperands(c, xs, dys)
	way, o, err := d.prepare(weightPass, v, c, scratch, at)
	if err != nil {
		return err
	}
	if way.own {
		return own()
	}
	narrow := d.tuning.Precision == kernels.BF16
	if narrow {
		if err = d.narrow(c.LenX(), xs, o.x); err == nil {
			err = d.narrow(c.LenY(), dys, o.y)
		}
	} else if err = d.straighten(c.LenX(), xs, o.x); err == nil {
		err = d.straighten(c.LenY(), dys, o.y)
	}
	if err != nil {
		return err
	}
	err = d.runPass(weightPass, v, c, way.algorithm, o)
	if d.isUnsupported(weightPass, c, err) {
		return own()
	}
	if err != nil {
		return err
	}
	if narrow {
		return d.widen(c.K, c.R*c.S*c.C, o.filter, dws)
	}
	return d.fromFilter(c, o.filter, dws)
}

func address(p cu.DevicePtr) C.uintptr_t { return C.uintptr_t(p) }
