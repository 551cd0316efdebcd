//go:build !gpu

package cli

import (
	"errors"

	"github.com/ftrun/ftrun/internal/kernels"
)

var errNoGPU = errors.New("this program was built for the CPU alone; `make build` with a C compiler makes one for both")

func openGPU(int) (kernels.Device, error) { return nil, errNoGPU }

func listGPUs() ([]string, error) { return nil, errNoGPU }
