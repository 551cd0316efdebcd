//go:build gpu

package models_test

import (
	"os"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cuda"
)

// With FTRUN_GOLDEN_DEVICE=cuda the golden tests compute on the first GPU, within the same bands.
func init() {
	if os.Getenv("FTRUN_GOLDEN_DEVICE") == "cuda" {
		openDevice = func() (kernels.Device, error) { return cuda.New(0) }
	}
}
