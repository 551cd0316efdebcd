package ref_test

import (
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/kerneltest"
	"github.com/ftrun/ftrun/internal/kernels/ref"
)

func TestConformance(t *testing.T) {
	kerneltest.Run(t, func(int) (kernels.Device, error) { return ref.New(), nil })
}
