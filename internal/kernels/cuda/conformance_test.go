//go:build gpu

package cuda_test

import (
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cuda"
	"github.com/ftrun/ftrun/internal/kernels/kerneltest"
)

// TestConformance holds the bits to be the same whatever the launch, too: the suite's numbers of threads, which mean
// nothing to a GPU, become numbers of blocks.
func TestConformance(t *testing.T) {
	kerneltest.Run(t, func(threads int) (kernels.Device, error) {
		d, err := cuda.New(0)
		if err != nil {
			return nil, err
		}
		if threads > 1 {
			d.LaunchAtMost(threads - 1)
		}
		return d, nil
	})
}
