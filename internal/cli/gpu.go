//go:build gpu

package cli

import (
	"errors"
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

// countGPUs is how many GPUs this machine has, or shows. The error says why none can be used; it is errNoGPU where there is
// none, rather than that something is wrong.
func countGPUs() (int, error) {
	gpus, err := cuda.GPUs()
	if errors.Is(err, cuda.ErrNoGPU) {
		err = noGPUError{err}
	}
	return len(gpus), err
}

// listGPUs describes each GPU in a line, in the order of their indices, and opens it for a moment to see whether it is usable.
// The last line has the versions of what serves them.
func listGPUs() (lines, usable []string, err error) {
	gpus, err := cuda.GPUs()
	if err != nil {
		return nil, nil, err
	}
	libraries := ""
	for _, g := range gpus {
		line := fmt.Sprintf("cuda:%d  %s, compute capability %d.%d, %s", g.Index, g.Name, g.Major, g.Minor, gib(g.Memory))
		free, versions, err := inspect(g.Index)
		if err != nil {
			line += fmt.Sprintf(", not used: %v", err)
		} else {
			line += fmt.Sprintf(", %s free", gib(free))
			libraries = ", " + versions
			usable = append(usable, fmt.Sprintf("cuda:%d", g.Index))
		}
		lines = append(lines, line)
	}
	return append(lines, "cuda  driver "+cuda.Driver()+libraries), usable, nil
}

// inspect opens a GPU for a moment.
func inspect(index int) (free int64, libraries string, err error) {
	d, err := cuda.New(index)
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	free, _, err = d.Memory()
	return free, d.Libraries(), err
}

func gib(bytes int64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)) }
