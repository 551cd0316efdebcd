package cpu

import (
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/kerneltest"
	"github.com/ftrun/ftrun/internal/kernels/ref"
)

// TestMatrixConformance runs the suite over the matrix half of the device; the reference stands in for the rest.
func TestMatrixConformance(t *testing.T) {
	type rest struct{ kernels.Device }
	type half struct {
		*Device
		rest
	}
	for p := generic; p <= bestPath(); p++ {
		t.Run(p.String(), func(t *testing.T) {
			t.Setenv(pathVariable, p.String())
			kerneltest.Run(t, func(threads int) (kernels.Device, error) {
				d, err := New(threads)
				return half{d, rest{ref.New()}}, err
			})
		})
	}
}
