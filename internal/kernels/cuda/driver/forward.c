/* Makes libcuda.a, against which gorgonia.org/cu is linked: each function of the driver, handed on to libcuda.so.1 as soon
 * as ftrun_driver_open has opened it. Until then, and for a function that the driver at hand lacks, it gives an error
 * code. So one program starts on machines with and without a GPU, and asks a driver for nothing before it is needed. */
#define _GNU_SOURCE
#include <dlfcn.h>

#include "cuda.h"

static void *driver;

/* Hands the functions below on to the library of this handle, as dlopen gave it. */
void ftrun_driver_open(void *handle) { driver = handle; }

#define PARAMS0(a) void
#define PARAMS1(a) a x1
#define PARAMS2(a, ...) a x2, PARAMS1(__VA_ARGS__)
#define PARAMS3(a, ...) a x3, PARAMS2(__VA_ARGS__)
#define PARAMS4(a, ...) a x4, PARAMS3(__VA_ARGS__)
#define PARAMS5(a, ...) a x5, PARAMS4(__VA_ARGS__)
#define PARAMS6(a, ...) a x6, PARAMS5(__VA_ARGS__)
#define PARAMS7(a, ...) a x7, PARAMS6(__VA_ARGS__)
#define PARAMS8(a, ...) a x8, PARAMS7(__VA_ARGS__)
#define PARAMS9(a, ...) a x9, PARAMS8(__VA_ARGS__)
#define PARAMS10(a, ...) a x10, PARAMS9(__VA_ARGS__)
#define PARAMS11(a, ...) a x11, PARAMS10(__VA_ARGS__)

#define NAMES0
#define NAMES1 x1
#define NAMES2 x2, NAMES1
#define NAMES3 x3, NAMES2
#define NAMES4 x4, NAMES3
#define NAMES5 x5, NAMES4
#define NAMES6 x6, NAMES5
#define NAMES7 x7, NAMES6
#define NAMES8 x8, NAMES7
#define NAMES9 x9, NAMES8
#define NAMES10 x10, NAMES9
#define NAMES11 x11, NAMES10

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
