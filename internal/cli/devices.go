package cli

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/executor"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/reports"
)

// deviceFlag is the text of -device, of every command that computes on one, and devicesFlag of those that train on several.
const (
	deviceFlag  = "`DEVICE` to compute on: auto, cpu or cuda:N; auto is the first GPU that can be used, and else the CPU"
	devicesFlag = "`DEVICE` to train on: auto, cpu, cuda, or some as in cuda:0,cuda:2; auto is all GPUs that can be used, and else the CPU"
)

const (
	autoDevice = "auto"
	cpuDevice  = "cpu"
	allGPUs    = "cuda"
)

// noGPUError says that this machine has no GPU, or that this program can't use any: nothing is wrong then.
type noGPUError struct{ error }

// chosen are the devices that a -device stands for, "cpu" alone or GPUs as "cuda:0".
type chosen []string

// onGPU tells whether they are GPUs.
func (c chosen) onGPU() bool { return c[0] != cpuDevice }

// threads are those of each run, of so many, where one goes on on each GPU.
func (c chosen) threads(all int) int { return max(all/len(c), 1) }

// places are the devices as the executor wants them.
func (c chosen) places() []executor.Place {
	places := make([]executor.Place, len(c))
	for i, name := range c {
		places[i].Open = func(threads int) (kernels.Device, error) { return openNamed(name, threads) }
	}
	return places
}

// openNamed opens "cpu" for as many threads, or "cuda:N".
func openNamed(name string, threads int) (kernels.Device, error) {
	if gpu, ok := gpuIndex(name); ok {
		return openGPU(gpu)
	}
	return cpu.New(threads)
}

// chooseDevices finds out which devices a -device stands for here. A GPU that was not asked for by its number and can't be
// used is told and passed over, once in a command.
func (a *app) chooseDevices(flag string) (chosen, error) {
	if flag == autoDevice || flag == allGPUs {
		if a.found != nil {
			return a.found, nil
		}
		found, err := a.usableGPUs()
		switch {
		case len(found) > 0:
			a.found = found
			return found, nil
		case flag == allGPUs:
			return nil, unknownDevice(flag, err)
		case !errors.As(err, new(noGPUError)):
			a.warn("%v; the CPU is used", err)
		}
		a.found = chosen{cpuDevice}
		return a.found, nil
	}
	return strings.Split(flag, ","), checkDevices(flag)
}

// usableGPUs opens each GPU for a moment, and names those with which that went well.
func (a *app) usableGPUs() (names chosen, err error) {
	n, err := countGPUs()
	for i := range n {
		d, e := openGPU(i)
		if e == nil {
			e = d.Close()
		}
		if e == nil {
			names = append(names, fmt.Sprintf("cuda:%d", i))
		} else {
			err = e
			a.warn("cuda:%d is not used: %v", i, e)
		}
	}
	if len(names) == 0 && n > 0 {
		err = errors.New("no GPU can be used")
	}
	return names, err
}

// openDevice opens the one device that a -device stands for, for as many threads, which mean nothing to a GPU.
func (a *app) openDevice(flag string, threads int) (kernels.Device, error) {
	if strings.Contains(flag, ",") {
		return nil, fmt.Errorf("-device %s names several devices: this command computes on one", flag)
	}
	devices, err := a.chooseDevices(flag)
	if err != nil {
		return nil, err
	}
	return openNamed(devices[0], threads)
}

// checkDevices says why a -device names what is not there. Whether a GPU can be used is seen when it is opened.
func checkDevices(flag string) error {
	if flag == autoDevice || flag == cpuDevice {
		return nil
	}
	n, err := countGPUs()
	if flag == allGPUs {
		if n == 0 {
			return unknownDevice(flag, err)
		}
		return nil
	}
	seen := map[int]bool{}
	for name := range strings.SplitSeq(flag, ",") {
		gpu, ok := gpuIndex(name)
		switch {
		case !ok:
			return unknownDevice(flag, nil)
		case seen[gpu]:
			return fmt.Errorf("-device names cuda:%d twice", gpu)
		case gpu >= n:
			return unknownDevice(name, err)
		}
		seen[gpu] = true
	}
	return nil
}

func unknownDevice(name string, why error) error {
	if why == nil {
		return fmt.Errorf("there is no device %q here: `ftrun devices` lists what there is", name)
	}
	return fmt.Errorf("there is no device %q here: `ftrun devices` lists what there is (%w)", name, why)
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
		a.warn("-threads %d is more than the %s here, which are used.", threads, reports.Plural(there, "processor", "processors"))
	}
	return min(threads, there)
}

func (a *app) devicesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "devices",
		Short: "List what this machine can train on",
		Long: `devices lists what this machine can train on, with the arithmetic that its results come from: within one, the same
run gives the same bits. FTRUN_CPU=avx2 or FTRUN_CPU=generic asks for a plainer one than the processor has. Of each GPU it tells
how much memory it has and how much of that is free, of what serves them the versions, and otherwise why there is none to train
on; FTRUN_CUDA_LIBRARIES names folders in which cuBLAS and cuDNN are looked for. It ends with what -device auto stands for.`,
		Example: "  ftrun devices",
		Args:    arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			d, err := openNamed(cpuDevice, 1)
			if err != nil {
				return err
			}
			defer d.Close()
			if _, err := fmt.Fprintf(a.out, "%s  %s, %d threads\n", d.Name(), d.Path(), runtime.GOMAXPROCS(0)); err != nil {
				return err
			}
			gpus, usable, err := listGPUs()
			if err != nil {
				gpus = []string{fmt.Sprintf("cuda  none: %v", err)}
			}
			auto := "cpu, for want of a GPU that can be used"
			if len(usable) > 0 {
				auto = strings.Join(usable, ", ") + "; bench and predict take the first"
			}
			_, err = fmt.Fprintf(a.out, "%s\nauto  %s\n", strings.Join(gpus, "\n"), auto)
			return err
		},
	}
}
