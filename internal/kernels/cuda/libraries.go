//go:build gpu

package cuda

// #include <stdlib.h>
// #include "driver/cuda.h"
// #include "libraries.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"

	"gorgonia.org/cu"
)

// A library is one that is looked up at run time.
type library struct {
	id    uint32
	name  string
	needs string // the versions that do
	files []file // the first that is there is taken
}

// file is the name of a library's file, and the oldest driver that serves it.
type file struct {
	name   string
	driver int
}

var (
	driverLibrary = library{C.DRIVER, "NVIDIA driver", "version 525 or newer, which serves CUDA 12", []file{{"libcuda.so.1", 0}}}
	cublasLibrary = library{C.CUBLAS, "cuBLAS", "that of CUDA 12 or 13", []file{{"libcublas.so.13", 13000}, {"libcublas.so.12", 12000}}}
	cudnnLibrary  = library{C.CUDNN, "cuDNN", "version 9", []file{{"libcudnn.so.9", 0}}}
)

// oldestDriver is the CUDA version that a driver must serve, as cuDriverGetVersion counts: that of the oldest cuBLAS.
const oldestDriver = 12000

// foldersVariable names folders, separated by colons, in which the libraries are looked for before the system's own places.
const foldersVariable = "FTRUN_CUDA_LIBRARIES"

// errNotFound is the kind of error that says that a library is nowhere.
var errNotFound = errors.New("not found")

// open opens the library, for a driver of the given version, and looks up its functions.
func (l library) open(driver int) (unsafe.Pointer, error) {
	var reasons []string
	broken := false // one is there and can't be opened
	for _, f := range l.files {
		if driver < f.driver {
			continue
		}
		path, found := f.name, false
		for _, folder := range filepath.SplitList(os.Getenv(foldersVariable)) {
			if p := filepath.Join(folder, f.name); !found && exists(p) {
				path, found = p, true
			}
		}
		handle, err := openLibrary(path)
		if err != nil {
			reason := err.Error()
			if !found && strings.HasSuffix(reason, "No such file or directory") {
				reason = f.name + " was not found"
			} else {
				broken = true
			}
			reasons = append(reasons, reason)
			continue
		}
		if missing := C.resolve_library(l.id, handle); missing != nil {
			return nil, fmt.Errorf("no %s: %s lacks %s; install %s", l.name, path, C.GoString(missing), l.needs)
		}
		return handle, nil
	}
	err := fmt.Errorf("no %s: %s; install %s, or name its folder in %s", l.name, strings.Join(reasons, ", "), l.needs, foldersVariable)
	if !broken {
		return nil, fault{err, errNotFound}
	}
	return nil, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func openLibrary(path string) (unsafe.Pointer, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var why *C.char
	handle := C.open_library(name, &why)
	if handle == nil {
		return nil, errors.New(C.GoString(why))
	}
	return handle, nil
}

// openDriver opens the driver and starts it, once in a process. Without it nothing of gorgonia.org/cu works.
var openDriver = sync.OnceValue(func() error {
	handle, err := driverLibrary.open(0)
	if errors.Is(err, errNotFound) {
		return fault{err, ErrNoGPU}
	}
	if err != nil {
		return err
	}
	C.ftrun_driver_open(handle)
	if status := C.call_cuInit(0); status != 0 {
		var name, text *C.char
		C.call_cuGetErrorName(status, &name)
		C.call_cuGetErrorString(status, &text)
		err := fmt.Errorf("the NVIDIA driver does not start: %s (%s)%s", C.GoString(text), C.GoString(name), hidden())
		if status == C.CUDA_ERROR_NO_DEVICE {
			return fault{err, ErrNoGPU}
		}
		return err
	}
	if v := cu.Version(); v < oldestDriver {
		return fmt.Errorf("the NVIDIA driver serves CUDA %s only; install %s", cudaVersion(v), driverLibrary.needs)
	}
	return nil
})

// openLibraries opens cuBLAS and cuDNN, once in a process. The driver is open.
var openLibraries = sync.OnceValue(func() error {
	_, blas := cublasLibrary.open(cu.Version())
	_, dnn := cudnnLibrary.open(cu.Version())
	if err := errors.Join(blas, dnn); err != nil {
		return err
	}
	if v := int(C.call_cudnnGetVersion()); v < 90000 {
		return fmt.Errorf("cuDNN has version %s; install %s", cudnnVersion(v), cudnnLibrary.needs)
	}
	return nil
})

// cudaVersion is a version as the driver counts it, 12040, as a person does, 12.4.
func cudaVersion(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// cudnnVersion is a version as cuDNN 9 counts it, 90102, as a person does, 9.1.2.
func cudnnVersion(v int) string {
	if v < 90000 { // before, it was 8902
		return fmt.Sprintf("%d.%d.%d", v/1000, v%1000/100, v%100)
	}
	return fmt.Sprintf("%d.%d.%d", v/10000, v%10000/100, v%100)
}

// cublasVersion is a version as cuBLAS counts it, 120901, as a person does, 12.9.1.
func cublasVersion(v int) string { return fmt.Sprintf("%d.%d.%d", v/10000, v%10000/100, v%100) }
