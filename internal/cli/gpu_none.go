//go:build !gpu

package cli

import (
	"errors"

	"github.com/ftrun/ftrun/internal/kernels"
)

var errCPUOnly = noGPUError{errors.New("this program was built for the CPU alone; `make build` with a C compiler makes one for both")}

func openGPU(int) (kernels.Device, error) { return nil, errCPUOnly }

func countGPUs() (int, error) { return 0, errCPUOnly }

func listGPUs() (lines, usable []string, err error) { return nil, nil, errCPUOnly }
