/* cuBLAS, cuDNN, and what gorgonia.org/cu lacks of the driver: functions that are looked up at run time, so that the
 * program needs none of them to be built or to start. */
#ifndef FTRUN_LIBRARIES_H
#define FTRUN_LIBRARIES_H

#include <stddef.h>
#include <stdint.h>

#include "driver/params.h"

enum library { DRIVER, CUBLAS, CUDNN };

/* The address of device memory, a pointer that the host must not follow, and where a new handle is stored. headers_test.go
 * defines them as pointers to anything, to compare the rest with NVIDIA's headers. */
#ifndef DEVICE_MEMORY
#define DEVICE_MEMORY uintptr_t
#define NEW_HANDLE void **
#define NUMBERS
#endif

/* FUNCTION(library, number of parameters, name, types of the parameters). Handles and descriptors are void *;
 * enumerations are int, as the compiler passes them; all give an int, the status. */
#define FUNCTIONS                                                                                               \
	FUNCTION(DRIVER, 1, cuInit, unsigned)                                                                   \
	FUNCTION(DRIVER, 2, cuGetErrorName, int, const char **)                                                 \
	FUNCTION(DRIVER, 2, cuGetErrorString, int, const char **)                                               \
	FUNCTION(DRIVER, 2, cuMemAllocHost_v2, void **, size_t)                                                 \
	FUNCTION(DRIVER, 2, cuStreamBeginCapture_v2, void *, int)                                               \
	FUNCTION(DRIVER, 2, cuStreamEndCapture, void *, NEW_HANDLE)                                             \
	FUNCTION(DRIVER, 3, cuGraphInstantiateWithFlags, NEW_HANDLE, void *, unsigned long long)                \
	FUNCTION(DRIVER, 1, cuGraphDestroy, void *)                                                             \
	FUNCTION(DRIVER, 2, cuGraphLaunch, void *, void *)                                                      \
	FUNCTION(DRIVER, 1, cuGraphExecDestroy, void *)                                                         \
	FUNCTION(CUBLAS, 1, cublasCreate_v2, NEW_HANDLE)                                                        \
	FUNCTION(CUBLAS, 1, cublasDestroy_v2, void *)                                                           \
	FUNCTION(CUBLAS, 2, cublasGetVersion_v2, void *, int *)                                                 \
	FUNCTION(CUBLAS, 2, cublasSetStream_v2, void *, void *)                                                 \
	FUNCTION(CUBLAS, 3, cublasSetWorkspace_v2, void *, DEVICE_MEMORY, size_t)                               \
	FUNCTION(CUBLAS, 2, cublasSetMathMode, void *, int)                                                     \
	FUNCTION(CUBLAS, 2, cublasSetAtomicsMode, void *, int)                                                  \
	FUNCTION(CUBLAS, 14, cublasSgemm_v2, void *, int, int, int, int, int, const float *, DEVICE_MEMORY, int, \
		DEVICE_MEMORY, int, const float *, DEVICE_MEMORY, int)                                          \
	FUNCTION(CUBLAS, 19, cublasGemmEx, void *, int, int, int, int, int, const void *, DEVICE_MEMORY, int, int, \
		DEVICE_MEMORY, int, int, const void *, DEVICE_MEMORY, int, int, int, int)                       \
	FUNCTION(CUDNN, 1, cudnnCreate, NEW_HANDLE)                                                             \
	FUNCTION(CUDNN, 1, cudnnDestroy, void *)                                                                \
	FUNCTION(CUDNN, 2, cudnnSetStream, void *, void *)                                                      \
	FUNCTION(CUDNN, 1, cudnnCreateTensorDescriptor, NEW_HANDLE)                                             \
	FUNCTION(CUDNN, 7, cudnnSetTensor4dDescriptor, void *, int, int, int, int, int, int)                    \
	FUNCTION(CUDNN, 1, cudnnDestroyTensorDescriptor, void *)                                                \
	FUNCTION(CUDNN, 1, cudnnCreateFilterDescriptor, NEW_HANDLE)                                             \
	FUNCTION(CUDNN, 7, cudnnSetFilter4dDescriptor, void *, int, int, int, int, int, int)                    \
	FUNCTION(CUDNN, 1, cudnnDestroyFilterDescriptor, void *)                                                \
	FUNCTION(CUDNN, 1, cudnnCreateConvolutionDescriptor, NEW_HANDLE)                                        \
	FUNCTION(CUDNN, 9, cudnnSetConvolution2dDescriptor, void *, int, int, int, int, int, int, int, int)     \
	FUNCTION(CUDNN, 2, cudnnSetConvolutionMathType, void *, int)                                            \
	FUNCTION(CUDNN, 1, cudnnDestroyConvolutionDescriptor, void *)                                           \
	FUNCTION(CUDNN, 7, cudnnGetConvolutionForwardWorkspaceSize, void *, void *, void *, void *, void *, int, \
		size_t *)                                                                                       \
	FUNCTION(CUDNN, 7, cudnnGetConvolutionBackwardDataWorkspaceSize, void *, void *, void *, void *, void *, \
		int, size_t *)                                                                                  \
	FUNCTION(CUDNN, 7, cudnnGetConvolutionBackwardFilterWorkspaceSize, void *, void *, void *, void *, void *, \
		int, size_t *)                                                                                  \
	FUNCTION(CUDNN, 13, cudnnConvolutionForward, void *, const void *, void *, DEVICE_MEMORY, void *,       \
		DEVICE_MEMORY, void *, int, DEVICE_MEMORY, size_t, const void *, void *, DEVICE_MEMORY)         \
	FUNCTION(CUDNN, 13, cudnnConvolutionBackwardData, void *, const void *, void *, DEVICE_MEMORY, void *,  \
		DEVICE_MEMORY, void *, int, DEVICE_MEMORY, size_t, const void *, void *, DEVICE_MEMORY)         \
	FUNCTION(CUDNN, 13, cudnnConvolutionBackwardFilter, void *, const void *, void *, DEVICE_MEMORY, void *, \
		DEVICE_MEMORY, void *, int, DEVICE_MEMORY, size_t, const void *, void *, DEVICE_MEMORY)

/* Those that give something else than a status. */
size_t call_cudnnGetVersion(void);
const char *call_cudnnGetErrorString(int);
void call_cudnnGetLastErrorString(char *, size_t); /* what the last call had to say; it need not be there */

/* Numbers of the driver, cuBLAS and cuDNN, by their names there. */
#ifdef NUMBERS
enum {
	CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1,

	CUBLAS_OP_N = 0,
	CUBLAS_OP_T = 1,
	CUBLAS_DEFAULT_MATH = 0,
	CUBLAS_TF32_TENSOR_OP_MATH = 3,
	CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION = 16,
	CUBLAS_COMPUTE_32F = 68,
	CUDA_R_32F = 0,
	CUDA_R_16BF = 14,
	CUBLAS_GEMM_DEFAULT = -1,
	CUBLAS_ATOMICS_NOT_ALLOWED = 0,
	CUBLAS_STATUS_ALLOC_FAILED = 3,

	CUDNN_DATA_FLOAT = 0,
	CUDNN_DATA_BFLOAT16 = 9,
	CUDNN_TENSOR_NHWC = 1,
	CUDNN_CROSS_CORRELATION = 1,
	CUDNN_DEFAULT_MATH = 0,
	CUDNN_TENSOR_OP_MATH = 1,
	CUDNN_FMA_MATH = 3,
	CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM = 0,
	CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM = 1,
	CUDNN_CONVOLUTION_FWD_ALGO_GEMM = 2,
	CUDNN_CONVOLUTION_FWD_ALGO_FFT = 4,
	CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING = 5,
	CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD = 6,
	CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED = 7,
	CUDNN_CONVOLUTION_BWD_DATA_ALGO_0 = 0,
	CUDNN_CONVOLUTION_BWD_DATA_ALGO_1 = 1,
	CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT = 2,
	CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING = 3,
	CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD = 4,
	CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED = 5,
	CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0 = 0,
	CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1 = 1,
	CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT = 2,
	CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3 = 3,
	CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED = 5,
	CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING = 6,
	CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER = 2003,
	CUDNN_STATUS_NOT_SUPPORTED = 3000,
	CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER = 3005,
	CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDART = 3006,
	CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING = 3008,
	CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE = 3009,
	CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED = 4004,
};
#endif

#define FUNCTION(library, n, name, ...) int call_##name(PARAMS##n(__VA_ARGS__));
FUNCTIONS
#undef FUNCTION

/* Opens a library by file name, or path. Gives null, and dlerror's text, where that fails. */
void *open_library(const char *file, const char **why);

/* Looks up the functions of a library in what open_library gave. Gives the name of the first that is missing, null where
 * none is. */
const char *resolve_library(enum library library, void *handle);

/* Of the archive that forwards the driver's other functions. */
void ftrun_driver_open(void *handle);

#endif
