//go:build gpu

package cuda_test

import (
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cuda"
	"github.com/ftrun/ftrun/internal/kernels/kerneltest"
)

func TestConformance(t *testing.T) {
	kerneltest.Run(t, func(int) (kernels.Device, error) { return cuda.New(0) })
}
