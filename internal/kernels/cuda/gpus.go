//go:build gpu

package cuda

import (
	"errors"
	"fmt"
	"os"
	"regexp"

	"gorgonia.org/cu"
)

// GPU is what this machine has of one.
type GPU struct {
	Index        int    // as the driver counts those that CUDA_VISIBLE_DEVICES leaves
	Name         string // as its maker calls it
	Major, Minor int    // the compute capability
	Memory       int64  // bytes
}

// ErrNoGPU is the kind of error that says that this machine has no GPU, or shows none, rather than that something is wrong.
var ErrNoGPU = errors.New("no GPU")

// oldestMajor and oldestMinor are the compute capability from which on kernels.ptx, CUDA 12 and CUDA 13 serve a GPU.
const oldestMajor, oldestMinor = 7, 5

// GPUs lists those of this machine. The error says why none can be used: the driver or a library is missing.
func GPUs() ([]GPU, error) {
	if err := openDriver(); err != nil {
		return nil, err
	}
	n, err := cu.NumDevices()
	if err != nil {
		return nil, fmt.Errorf("counting GPUs: %w", err)
	}
	if n == 0 {
		return nil, fault{errors.New("the NVIDIA driver shows no GPU" + hidden()), ErrNoGPU}
	}
	if err := openLibraries(); err != nil {
		return nil, fmt.Errorf("there is a GPU, but %w", err)
	}
	list := make([]GPU, n)
	for i := range list {
		if list[i], err = describe(i); err != nil {
			return nil, fmt.Errorf("cuda:%d: %w", i, err)
		}
	}
	return list, nil
}

func describe(index int) (g GPU, err error) {
	g.Index = index
	d, err := cu.GetDevice(index)
	if err != nil {
		return g, err
	}
	if g.Name, err = d.Name(); err != nil {
		return g, err
	}
	if g.Major, err = d.Attribute(cu.ComputeCapabilityMajor); err != nil {
		return g, err
	}
	if g.Minor, err = d.Attribute(cu.ComputeCapabilityMinor); err != nil {
		return g, err
	}
	g.Memory, err = d.TotalMem()
	return g, err
}

// tooOld says why a GPU can't be used, nil where it can.
func (g GPU) tooOld() error {
	if g.Major > oldestMajor || g.Major == oldestMajor && g.Minor >= oldestMinor {
		return nil
	}
	return fmt.Errorf("its compute capability is %d.%d; %d.%d or newer is needed", g.Major, g.Minor, oldestMajor, oldestMinor)
}

// hidden says what CUDA_VISIBLE_DEVICES is, where it is set, for an error that it may be the cause of.
func hidden() string {
	if visible, ok := os.LookupEnv("CUDA_VISIBLE_DEVICES"); ok {
		return fmt.Sprintf("; CUDA_VISIBLE_DEVICES is %q", visible)
	}
	return ""
}

// driverNumber finds the driver's own version in what its part in the kernel tells.
var driverNumber = regexp.MustCompile(`NVRM version:.*?\s(\d+\.\d+(\.\d+)?)\s`)

// Driver names the version of the NVIDIA driver, which must be open, such as "535.129.03, which serves CUDA 12.2". Its own
// number is known where the system tells it.
func Driver() string {
	serves := "serves CUDA " + cudaVersion(cu.Version())
	text, _ := os.ReadFile("/proc/driver/nvidia/version")
	if found := driverNumber.FindSubmatch(text); found != nil {
		return fmt.Sprintf("%s, which %s", found[1], serves)
	}
	return serves
}
