package cpu

import (
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/kerneltest"
)

// Every path that this processor has is held to the contract.
func TestConformance(t *testing.T) {
	for p := generic; p <= bestPath(); p++ {
		t.Run(p.String(), func(t *testing.T) {
			t.Setenv(pathVariable, p.String())
			kerneltest.Run(t, func(threads int) (kernels.Device, error) { return New(threads) })
		})
	}
}
