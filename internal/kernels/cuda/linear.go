//go:build gpu

package cuda

// #include "libraries.h"
import "C"

import (
	"fmt"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

// cuBLAS counts matrices by columns: what is (rows, columns) here is (columns, rows) there, so products are turned round.

// LinearForward: x (N,I), w (O,I), bias (O) → y (N,O) = act(x·wᵀ + bias).
func (d *Device) LinearForward(l kernels.Linear, x, w, bias, y kernels.Buffer, act kernels.Activation) error {
	const op = "LinearForward"
	xs, ws := d.memory(op, "x", x, l.N*l.I), d.memory(op, "w", w, l.O*l.I)
	bs, ys := d.optional(op, "bias", bias, l.O), d.memory(op, "y", y, l.N*l.O)
	err := d.multiply(C.CUBLAS_OP_T, C.CUBLAS_OP_N, l.O, l.N, l.I, ws, l.I, xs, l.I, ys)
	if err != nil || bs == 0 && act == kernels.Identity {
		return err
	}
	return d.launch("finish_convolution", l.N*l.O, ys, bs, cu.DevicePtr(0), ys, l.N, l.O, l.O, act)
}

// LinearBackwardData: w (O,I), dy (N,O) → dx (N,I) = dy·w.
func (d *Device) LinearBackwardData(l kernels.Linear, w, dy, dx kernels.Buffer) error {
	const op = "LinearBackwardData"
	ws, dys := d.memory(op, "w", w, l.O*l.I), d.memory(op, "dy", dy, l.N*l.O)
	return d.multiply(C.CUBLAS_OP_N, C.CUBLAS_OP_N, l.I, l.N, l.O, ws, l.I, dys, l.O, d.memory(op, "dx", dx, l.N*l.I))
}

// LinearBackwardWeights: x (N,I), dy (N,O) → dw (O,I) = dyᵀ·x.
func (d *Device) LinearBackwardWeights(l kernels.Linear, x, dy, dw kernels.Buffer) error {
	const op = "LinearBackwardWeights"
	xs, dys := d.memory(op, "x", x, l.N*l.I), d.memory(op, "dy", dy, l.N*l.O)
	return d.multiply(C.CUBLAS_OP_N, C.CUBLAS_OP_T, l.I, l.O, l.N, xs, l.I, dys, l.O, d.memory(op, "dw", dw, l.O*l.I))
}

// multiply computes c (m,n) = op(a) (m,k) · op(b) (k,n), all counted by columns, which are lda, ldb and m elements apart, and dense.
func (d *Device) multiply(opA, opB C.int, m, n, k int, a cu.DevicePtr, lda int, b cu.DevicePtr, ldb int, c cu.DevicePtr) error {
	one, zero := C.float(1), C.float(0)
	if d.tuning.Precision == kernels.BF16 {
		parts, err := d.take(2*m*k, 2*k*n)
		if err != nil {
			return err
		}
		if err := d.narrow(m*k, a, parts[0]); err != nil {
			return err
		}
		if err := d.narrow(k*n, b, parts[1]); err != nil {
			return err
		}
		a, b = parts[0], parts[1]
	}
	err := d.within(func() error {
		if d.tuning.Precision == kernels.BF16 {
			return cublasError(C.call_cublasGemmEx(d.blas, opA, opB, C.int(m), C.int(n), C.int(k), unsafe.Pointer(&one), address(a),
				C.CUDA_R_16BF, C.int(lda), address(b), C.CUDA_R_16BF, C.int(ldb), unsafe.Pointer(&zero), address(c), C.CUDA_R_32F, C.int(m),
				C.CUBLAS_COMPUTE_32F, C.CUBLAS_GEMM_DEFAULT))
		}
		return cublasError(C.call_cublasSgemm_v2(d.blas, opA, opB, C.int(m), C.int(n), C.int(k), &one, address(a), C.int(lda),
			address(b), C.int(ldb), &zero, address(c), C.int(m)))
	})
	if err != nil {
		return fmt.Errorf("%s: product of %dx%d and %dx%d: %w", d.name, m, k, k, n, err)
	}
	return nil
}
