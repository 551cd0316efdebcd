/* Makes libcuda.a, against which gorgonia.org/cu is linked: each function of the driver, handed on to libcuda.so.1 as soon
 * as ftrun_driver_open has opened it. Until then, and for a function that the driver at hand lacks, it gives an error
 * code. So one program starts on machines with and without a GPU, and asks a driver for nothing before it is needed. */
#define _GNU_SOURCE
#include <dlfcn.h>

#include "cuda.h"
#include "params.h"

static void *driver;

/* Hands the functions below on to the library of this handle, as dlopen gave it. */
void ftrun_driver_open(void *handle) { driver = handle; }

/* Looking a name up again and again until it is found costs nothing where it counts, and needs no lock: all callers store
 * the same address. */
#define FORWARD(n, name, ...)                                                            \
	CUresult name(PARAMS##n(__VA_ARGS__)) {                                          \
		static CUresult (*function)(__VA_ARGS__);                                \
		if (!function) {                                                         \
			if (!driver) return CUDA_ERROR_NOT_INITIALIZED;                  \
			function = (CUresult(*)(__VA_ARGS__))dlsym(driver, #name);       \
			if (!function) return CUDA_ERROR_NOT_FOUND;                      \
		}                                                                        \
		return function(NAMES##n);                                               \
	}

#include "functions.h"

/* gorgonia.org/cu calls cuInit when the program starts, and ends the program where that fails: the package cuda calls the
 * driver's own when it opens it. */
CUresult cuInit(unsigned int flags) {
	(void)flags;
	return CUDA_SUCCESS;
}
