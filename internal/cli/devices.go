package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/reports"
)

// openDevice opens the device that a run trains on.
func openDevice(threads int) (kernels.Device, error) { return cpu.New(threads) }

// processors bounds a number of threads by that of the processors, and says so: more of them would only stand in each
// other's way, but a command that was written for a larger machine is good on a smaller one, too.
func (a *app) processors(threads int) int {
	there := runtime.GOMAXPROCS(0)
	if threads > there {
		fmt.Fprintf(a.err, "%s -threads %d is more than the %s here, which are used.\n", a.paint(a.err, yellow, "Warning:"), threads, reports.Plural(there, "processor", "processors"))
	}
	return min(threads, there)
}

func (a *app) devicesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "devices",
		Short: "List what this machine can train on",
		Long: `devices lists what this machine can train on, with the arithmetic that its results come from: within one, the same
run gives the same bits. FTRUN_CPU=avx2 or FTRUN_CPU=generic asks for a plainer one than the processor has.`,
		Example: "  ftrun devices",
		Args:    arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			d, err := openDevice(1)
			if err != nil {
				return err
			}
			defer d.Close()
			_, err = fmt.Fprintf(a.out, "%s  %s, %d threads\n", d.Name(), d.Path(), runtime.GOMAXPROCS(0))
			return err
		},
	}
}
