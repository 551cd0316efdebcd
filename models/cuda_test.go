//go:build gpu

package models_test

import (
	"errors"
	"os"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cuda"
)

// With FTRUN_GOLDEN_DEVICE=cuda the golden tests compute on the first GPU, within the same bands; with
// FTRUN_GOLDEN_PRECISION=tf32 in TF32, within those of that.
func init() {
	if os.Getenv("FTRUN_GOLDEN_DEVICE") != "cuda" {
		return
	}
	precision := kernels.FP32
	if os.Getenv("FTRUN_GOLDEN_PRECISION") == kernels.TF32.String() {
		precision, coarse = kernels.TF32, 1e-2
	}
	openDevice = func() (kernels.Device, error) {
		d, err := cuda.New(0)
		if err != nil {
			return nil, err
		}
		if err := d.Tune(kernels.Tuning{Precision: precision}); err != nil {
			return nil, errors.Join(err, d.Close())
		}
		return d, nil
	}
}
