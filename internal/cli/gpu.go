//go:build gpu

package cli

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cuda"
)

// openGPU opens the GPU of that index.
func openGPU(index int) (kernels.Device, error) {
	d, err := cuda.New(index)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// listGPUs describes each GPU in a line, in the order of their indices.
func listGPUs() ([]string, error) {
	gpus, err := cuda.GPUs()
	lines := make([]string, len(gpus))
	for i, g := range gpus {
		lines[i] = fmt.Sprintf("cuda:%d  %s, compute capability %d.%d, %.1f GiB", g.Index, g.Name, g.Major, g.Minor,
			float64(g.Memory)/(1<<30))
	}
	return lines, err
}
