//go:build unix

package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is a machine, and what is run on it.
type bench struct {
	options
	gpu, version string // as ftrun names them
	machine      string // what else speed depends on
	sum          string // SHA-256 of the programs that are run
	libraries    string // the folders that FTRUN_CUDA_LIBRARIES names
	python       string // "" where there is none with PyTorch
	torch        string // its version
	steps        *steps // PyTorch's, nil without it
}

// changing is what ftrun devices tells of a GPU that is another the next time.
var changing = regexp.MustCompile(`, [^,]* free$`)

func newBench(ctx context.Context, o options) (*bench, error) {
	b := &bench{options: o}
	if err := os.MkdirAll(b.file("work"), 0o755); err != nil {
		return nil, err
	}
	if o.results != "" {
		if err := os.MkdirAll(o.results, 0o755); err != nil {
			return nil, err
		}
	}
	b.libraries = os.Getenv("FTRUN_CUDA_LIBRARIES")
	if o.device == fake {
		b.libraries = b.file("fakes")
	} else {
		b.findPython(ctx)
		if b.libraries == "" && o.device == gpu {
			b.libraries = b.findLibraries(ctx)
		}
	}
	out, err := b.command(ctx, b.file("ftrun"), "devices").Output()
	if err != nil {
		return nil, fmt.Errorf("ftrun devices: %w", complaint(err))
	}
	name := "cuda:0"
	if o.device == host {
		name = "cpu"
	}
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			b.gpu = changing.ReplaceAllString(strings.TrimSpace(rest), "")
		}
	}
	if b.gpu == "" || strings.Contains(b.gpu, "not used") {
		return nil, fmt.Errorf("there is no GPU to check:\n%s\nlibraries were looked for where the system has them, and in %q", bytes.TrimSpace(out),
			b.libraries)
	}
	out, err = b.command(ctx, b.file("ftrun"), "version").Output()
	b.version = strings.TrimSpace(string(out))
	if err != nil {
		return nil, fmt.Errorf("ftrun version: %w", complaint(err))
	}
	hash := sha256.New()
	for _, name := range []string{"ftrun", "cuda.test", "models.test"} {
		data, err := os.ReadFile(b.file(name))
		if err != nil {
			return nil, fmt.Errorf("%w: make gpu-check-pack makes the folder", err)
		}
		hash.Write(data)
	}
	b.sum = hex.EncodeToString(hash.Sum(nil))
	b.machine = fmt.Sprintf("%d processors", runtime.NumCPU())
	if o.device == gpu {
		const ask = "--query-gpu=driver_version,power.limit,clocks.max.sm,clocks.max.mem,compute_mode"
		if out, err := b.command(ctx, "nvidia-smi", "-i", "0", ask, "--format=csv,noheader").Output(); err == nil {
			b.machine += "; driver, power limit, highest clocks, mode: " + strings.TrimSpace(string(out))
		}
	}
	if b.torch != "" {
		b.steps = &steps{bench: b}
	}
	return b, nil
}

// complaint is an error of a command with what it complained of.
func complaint(err error) error {
	if exit, ok := err.(*exec.ExitError); ok && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}

// findPython looks for an interpreter that has PyTorch and torchvision, without importing them, which can take a minute.
func (b *bench) findPython(ctx context.Context) {
	const ask = `from importlib.metadata import version; print(version("torch")) if version("torchvision") else None`
	names := []string{"python3", "python"}
	for _, place := range []string{"/opt/*/bin/python3", "/opt/*/.venv/bin/python3", "/opt/*/venv/bin/python3", "/usr/local/bin/python3",
		"/usr/bin/python3", "/venv/bin/python3", filepath.Join(os.Getenv("HOME"), "*/bin/python3")} {
		found, _ := filepath.Glob(place) // its only error is a bad pattern
		names = append(names, found...)
	}
	if only := os.Getenv("PYTHON"); only != "" {
		names = []string{only}
	}
	for _, name := range names {
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		out, err := b.command(limited, name, "-c", ask).Output()
		cancel()
		if version := strings.TrimSpace(string(out)); err == nil && version != "" {
			b.python, b.torch = name, version
			return
		}
	}
}

// wanted are the names of NVIDIA's libraries, by any of which a folder is one that is looked for.
var wanted = []string{"libcuda.so.1", "libcublas.so.1[23]", "libcudnn.so.9", "libnvrtc.so.1[23]"}

// findLibraries looks for the folders of NVIDIA's libraries where the system's linker may not: those of Python's packages,
// of PyTorch's interpreter first, and those that toolkits and containers have.
func (b *bench) findLibraries(ctx context.Context) string {
	const ask = `import glob, importlib.util, sys
for name in "nvidia", "torch":
    spec = importlib.util.find_spec(name)
    for place in spec.submodule_search_locations or [] if spec else []:
        for folder in [place + "/lib"] + sorted(glob.glob(place + "/*/lib")):
            print(folder)
print(sys.prefix + "/lib")`
	// Without an interpreter the others remain.
	out, _ := b.command(ctx, cmp.Or(b.python, os.Getenv("PYTHON"), "python3"), "-c", ask).Output()
	folders := strings.Fields(string(out))
	for _, place := range []string{"/usr/local/nvidia/lib64", "/usr/local/cuda/lib64", "/usr/local/cuda-1[23]*/lib64",
		"/usr/local/cuda*/targets/*/lib", "/usr/local/lib/python3*/*-packages/nvidia/*/lib", "/usr/lib/python3*/*-packages/nvidia/*/lib",
		"/opt/*/lib/python3*/site-packages/nvidia/*/lib", "/opt/*/.venv/lib/python3*/site-packages/nvidia/*/lib",
		"/usr/lib/x86_64-linux-gnu", "/usr/lib/wsl/lib", "/usr/lib64"} {
		found, _ := filepath.Glob(place)
		folders = append(folders, found...)
	}
	var list []string
	for _, folder := range folders {
		if holdsAny(folder, wanted) && !slices.Contains(list, folder) {
			list = append(list, folder)
		}
	}
	return strings.Join(list, ":")
}

func holdsAny(folder string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		found, _ := filepath.Glob(filepath.Join(folder, pattern))
		return len(found) > 0
	})
}

func (b *bench) file(name string) string { return filepath.Join(b.folder, name) }

// command is one in the folder, told where the libraries and the test data are. What it keeps for later calls lies in the
// folder too, so that it wants nothing of the machine's user.
func (b *bench) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if _, set := os.LookupEnv("PATH"); !set {
		os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/cuda/bin")
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = b.folder
	cmd.Env = append(os.Environ(), "FTRUN_CUDA_LIBRARIES="+b.libraries, "FTRUN_CUDA_REAL=1", "FTRUN_SHARED="+b.file("shared"),
		"FTRUN_GOLDEN=all", "FTRUN_GOLDEN_DEVICE=cuda", "XDG_CACHE_HOME="+b.file("work"), "CUDA_CACHE_PATH="+b.file("work/ptx"),
		"TORCHINDUCTOR_CACHE_DIR="+b.file("work/inductor"), "HOME="+cmp.Or(os.Getenv("HOME"), b.file("work")))
	if name != b.python { // cuDNN loads parts of itself, and NVRTC; PyTorch finds its own
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+strings.Trim(b.libraries+":"+os.Getenv("LD_LIBRARY_PATH"), ":"))
	}
	// What it starts in its turn ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

func (b *bench) close() {
	if b.steps != nil {
		b.steps.stop()
	}
}
