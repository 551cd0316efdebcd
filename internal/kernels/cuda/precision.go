//go:build gpu

package cuda

// #include "libraries.h"
import "C"

import (
	"fmt"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

// In bfloat16 the operands of each convolution and product are rounded on the way in, and what cuDNN gives is widened on the
// way out: all that outlives an operation is float32. cuDNN's gradient of the weights is rounded once, at its end, as that of
// torch's autocast is. What kernels of ours compute in cuDNN's place they compute in float32.

// Tune says how convolutions and products are computed from now on. It refuses a precision for which the GPU has no
// arithmetic.
func (d *Device) Tune(how kernels.Tuning) error {
	if how.Precision != kernels.FP32 && d.capability < 80 {
		return fmt.Errorf("%s (%s, compute capability %d.%d) has no %s: that needs 8.0, which GPUs have since Ampere; set precision to \"fp32\", or choose other GPUs (-device)",
			d.name, d.model, d.capability/10, d.capability%10, how.Precision)
	}
	mode := C.int(C.CUBLAS_DEFAULT_MATH)
	switch how.Precision {
	case kernels.TF32:
		mode = C.CUBLAS_TF32_TENSOR_OP_MATH
	case kernels.BF16: // the sums stay float32, also where parts of them are added
		mode = C.CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION
	}
	if err := d.within(func() error { return cublasError(C.call_cublasSetMathMode(d.blas, mode)) }); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	if err := d.forgetConvolutions(); err != nil {
		return err
	}
	d.tuning = how
	return nil
}

// FixedBatch is how many pictures a frozen part is computed with where what it says of them is kept for all runs.
func (d *Device) FixedBatch() int { return fixedBatch }

const fixedBatch = 32

// narrow: x (n) → y (n), bfloat16.
func (d *Device) narrow(n int, x, y cu.DevicePtr) error {
	return d.launch("to_bfloat16", n, x, y, n, 1)
}

// narrowFilter: w (R,S,C,K) → filter (K,R,S,C), bfloat16.
func (d *Device) narrowFilter(c kernels.Conv, w, filter cu.DevicePtr) error {
	return d.launch("to_bfloat16", c.LenW(), w, filter, c.R*c.S*c.C, c.K)
}

// widen: x (rows,cols), bfloat16 → y (cols,rows).
func (d *Device) widen(rows, cols int, x, y cu.DevicePtr) error {
	return d.launch("from_bfloat16", rows*cols, x, y, rows, cols)
}
