package cli

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/reports"
)

// deviceFlag is the text of -device, of every command that has one.
const deviceFlag = "`DEVICE` to compute on: auto, cpu or cuda:N; auto is the CPU"

// openDevice opens the device of that name for as many threads, which mean nothing to a GPU.
func openDevice(name string, threads int) (kernels.Device, error) {
	if err := checkDevice(name); err != nil {
		return nil, err
	}
	if gpu, ok := gpuIndex(name); ok {
		return openGPU(gpu)
	}
	return cpu.New(threads)
}

// checkDevice says why a name is none of a device that this program can open here.
func checkDevice(name string) error {
	if name == "auto" || name == "cpu" {
		return nil
	}
	why := ""
	if gpu, ok := gpuIndex(name); ok {
		gpus, err := listGPUs()
		switch {
		case err != nil:
			why = fmt.Sprintf(" (%v)", err)
		case gpu < len(gpus):
			return nil
		}
	}
	return fmt.Errorf("there is no device %q here: `ftrun devices` lists what there is%s", name, why)
}

// gpuIndex is the number in "cuda:N".
func gpuIndex(name string) (index int, ok bool) {
	number, ok := strings.CutPrefix(name, "cuda:")
	index, err := strconv.Atoi(number)
	return index, ok && err == nil && index >= 0
}

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
run gives the same bits. FTRUN_CPU=avx2 or FTRUN_CPU=generic asks for a plainer one than the processor has. Where there is
no GPU to train on it says why; FTRUN_CUDA_LIBRARIES names folders in which cuBLAS and cuDNN are looked for.`,
		Example: "  ftrun devices",
		Args:    arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			d, err := openDevice("cpu", 1)
			if err != nil {
				return err
			}
			defer d.Close()
			if _, err := fmt.Fprintf(a.out, "%s  %s, %d threads\n", d.Name(), d.Path(), runtime.GOMAXPROCS(0)); err != nil {
				return err
			}
			gpus, err := listGPUs()
			if err != nil {
				gpus = []string{fmt.Sprintf("cuda  none: %v", err)}
			}
			_, err = fmt.Fprintln(a.out, strings.Join(gpus, "\n"))
			return err
		},
	}
}
