//go:build gpu

package cuda_test

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ftrun/ftrun/internal/cli"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cuda"
)

// childVariable tells the test's program that it is a child: the libraries are looked up once in a process, so each
// failure wants one of its own.
const childVariable = "FTRUN_CUDA_CHILD"

// TestChild is what a child runs.
func TestChild(t *testing.T) {
	switch os.Getenv(childVariable) {
	case "":
		t.Skip("for the children of other tests")
	case "open":
		_, err := cuda.New(0)
		fmt.Printf("error: %v\n", err)
	default: // a command of ftrun
		if code := cli.Main(strings.Fields(os.Getenv(childVariable))); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

// child runs the child for a purpose, over the libraries of these folders and in a folder of its own, and returns what it
// prints.
func child(t *testing.T, purpose, dir string, folders []string, env ...string) string {
	t.Helper()
	out, err := run(purpose, dir, folders, env...)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return out
}

// run is child, whose failure, told by "exit code N", is for the caller to judge.
func run(purpose, dir string, folders []string, env ...string) (string, error) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), childVariable+"="+purpose, "FTRUN_CUDA_LIBRARIES="+strings.Join(folders, ":"),
		"XDG_CACHE_HOME="+filepath.Join(dir, ".cache")), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestDevicesCommand: the command lists GPUs, or says in one line why there is none.
func TestDevicesCommand(t *testing.T) {
	const first = "\ncuda:0  Fake GPU, compute capability 9.0, 4.0 GiB, 4.0 GiB free\n"
	const second = "\ncuda:0  Fake GPU, compute capability 7.5, 4.0 GiB, 4.0 GiB free"
	const libraries = "\ncuda  driver serves CUDA 13.0, cuDNN 9.10.2, cuBLAS 13.1.0\n"
	const cpuOnly = "\nauto  cpu, for want of a GPU that can be used\n"
	for _, test := range []struct{ env, want string }{
		{"", first + "cuda:1  Fake GPU, compute capability 9.0, 4.0 GiB, 4.0 GiB free" + libraries +
			"auto  cuda:0, cuda:1; bench and predict take the first\n"},
		{"FAKE_CUDNN_VERSION=8902", "\ncuda  none: there is a GPU, but cuDNN has version 8.9.2; install version 9" + cpuOnly},
		{"FAKE_CAPABILITY=90,70", first + "cuda:1  Fake GPU, compute capability 7.0, 4.0 GiB, not used: cuda:1 (Fake GPU) can't be used: " +
			"its compute capability is 7.0; 7.5 or newer is needed" + libraries + "auto  cuda:0; "},
		{"FAKE_BUSY=0,1", "not used: opening cuda:1 (Fake GPU): UnknownErrorCode:46" + libraries + "auto  cuda:0; "},
		{"CUDA_VISIBLE_DEVICES=1", second + libraries + "auto  cuda:0; "},
		{"CUDA_VISIBLE_DEVICES=1,0", second + "\ncuda:1  Fake GPU, compute capability 9.0, "},
		{"CUDA_VISIBLE_DEVICES=GPU-fa4e0001", second + libraries},
		{"CUDA_VISIBLE_DEVICES=0,9,1", first[1:] + libraries[1:] + "auto  cuda:0; "},
		{"CUDA_VISIBLE_DEVICES=-1", "\ncuda  none: the NVIDIA driver does not start: no CUDA-capable device is detected (CUDA_ERROR_NO_DEVICE); " +
			"CUDA_VISIBLE_DEVICES is \"-1\"" + cpuOnly},
		{"CUDA_VISIBLE_DEVICES=", "CUDA_VISIBLE_DEVICES is \"\"" + cpuOnly},
	} {
		capability := "" // the second GPU is told apart by it where that is what is looked at
		if strings.HasPrefix(test.env, "CUDA_VISIBLE_DEVICES") {
			capability = "FAKE_CAPABILITY=90,75"
		}
		if out := child(t, "devices", t.TempDir(), []string{fakes}, capability, test.env); !strings.HasPrefix(out, "cpu  ") || !strings.Contains(out, test.want) {
			t.Errorf("%s\nwant %s", out, test.want)
		}
	}
}

// TestWhyThereIsNone: what is missing or old is named, with the version that is needed.
func TestWhyThereIsNone(t *testing.T) {
	// A library without functions, a file that is no library, and the fakes but for one.
	hollow, broken := t.TempDir(), t.TempDir()
	source := filepath.Join(hollow, "hollow.c")
	if err := os.WriteFile(source, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-shared", "-o", filepath.Join(hollow, "libcudnn.so.9"), source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(broken, "libcuda.so.1"), []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	without := func(library string) string {
		dir := t.TempDir()
		for _, name := range []string{"libcuda.so.1", "libcublas.so.13", "libcudnn.so.9"} {
			if name != library {
				if err := os.Symlink(filepath.Join(fakes, name), filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		return dir
	}
	tests := []struct {
		name    string
		folders []string
		env     string
		lacking string // a library that the system must not have either
		want    string
	}{
		{name: "no driver", lacking: "libcuda.so.1",
			want: "no NVIDIA driver: libcuda.so.1 was not found; install version 525 or newer, which serves CUDA 12"},
		{name: "a driver that is none", folders: []string{broken}, want: "no NVIDIA driver: " + broken + "/libcuda.so.1: "},
		{name: "no GPU", folders: []string{fakes}, env: "FAKE_NO_GPU=1",
			want: "the NVIDIA driver does not start: no CUDA-capable device is detected (CUDA_ERROR_NO_DEVICE)"},
		{name: "an old driver", folders: []string{fakes}, env: "FAKE_DRIVER_VERSION=11040",
			want: "the NVIDIA driver serves CUDA 11.4 only; install version 525 or newer"},
		{name: "no cuBLAS", folders: []string{without("libcublas.so.13")}, lacking: "libcublas",
			want: "no cuBLAS: libcublas.so.13 was not found, libcublas.so.12 was not found; install that of CUDA 12 or 13, or name its folder in FTRUN_CUDA_LIBRARIES"},
		{name: "a cuBLAS that is too new for the driver", folders: []string{fakes}, env: "FAKE_DRIVER_VERSION=12040", lacking: "libcublas",
			want: "no cuBLAS: libcublas.so.12 was not found;"},
		{name: "no cuDNN", folders: []string{without("libcudnn.so.9")}, lacking: "libcudnn",
			want: "no cuDNN: libcudnn.so.9 was not found; install version 9"},
		{name: "a cuDNN that lacks a function", folders: []string{hollow, fakes},
			want: "no cuDNN: " + hollow + "/libcudnn.so.9 lacks cudnnCreate; install version 9"},
		{name: "an old cuDNN", folders: []string{fakes}, env: "FAKE_CUDNN_VERSION=8902", want: "cuDNN has version 8.9.2; install version 9"},
		{name: "all there", folders: []string{fakes}, want: "error: <nil>"},
	}
	cache, _ := exec.Command("ldconfig", "-p").Output()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.lacking != "" && strings.Contains(string(cache), test.lacking) {
				t.Skipf("this machine has a %s", test.lacking)
			}
			if out := child(t, "open", t.TempDir(), test.folders, test.env); !strings.Contains(out, test.want) {
				t.Errorf("%s\nwant %s", out, test.want)
			}
		})
	}
}

func open(t *testing.T, index int) *cuda.Device {
	t.Helper()
	d, err := cuda.New(index)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil { // also where something was left
			t.Error(err)
		}
	})
	return d
}

func TestNoSuchGPU(t *testing.T) {
	_, err := cuda.New(7)
	if want := "there is no cuda:7: this machine has 2 that CUDA shows"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestOutOfMemory: the error says how much there is, and the device goes on.
func TestOutOfMemory(t *testing.T) {
	d := open(t, 0)
	if _, err := d.Alloc(2 << 30); err == nil || !strings.Contains(err.Error(), "cuda:0 has not 8590 MB left: 4261 of its 4295 MB are free") {
		t.Errorf("%v", err)
	}
	b, err := d.Alloc(16)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Free(b)
	if err := d.Scale(2, b); err != nil {
		t.Error(err)
	}
}

// TestDevicesSideBySide: devices of two GPUs, and two of one, each called from threads of all kinds, get their own results.
func TestDevicesSideBySide(t *testing.T) {
	var wg sync.WaitGroup
	for i, index := range []int{0, 1, 1} {
		d := open(t, index)
		b, err := d.Alloc(1000)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Free(b) })
		wg.Go(func() {
			x := make([]float32, b.Len())
			for j := range x {
				x[j] = float32(j * (i + 1))
			}
			for step := range 50 {
				done := make(chan error) // each call in a goroutine of its own, as Gorgonia's machine makes them
				go func() {
					if step == 0 {
						done <- d.Upload(b, x)
					} else {
						done <- d.Add([]kernels.Buffer{b, b}, b, kernels.ReLU6)
					}
				}()
				if err := <-done; err != nil {
					t.Error(err)
					return
				}
			}
			if err := d.Download(x, b); err != nil {
				t.Error(err)
			}
			for j, v := range x {
				if want := math.Min(6, float64(j)*1e9); float64(v) != want {
					t.Errorf("device %d: element %d is %v, want %v", i, j, v, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestBufferOfAnotherDevice: memory of one is a programmer's mistake to another, also on the same GPU.
func TestBufferOfAnotherDevice(t *testing.T) {
	a, b := open(t, 0), open(t, 0)
	x, err := a.Alloc(3)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Free(x)
	defer func() {
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "not memory of cuda:0") {
			t.Errorf("panic %v", p)
		}
	}()
	_ = b.Scale(2, x)
}
