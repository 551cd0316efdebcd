// Package cuda is the device of an NVIDIA GPU. It is built with the tag gpu, which needs a C compiler and nothing of
// NVIDIA's: the driver, cuBLAS and cuDNN are looked up when the first device is opened, so that the same program runs
// where they are missing (docs/gpu.md).
//
// gorgonia.org/cu gives contexts, memory, streams, modules and launches; it is linked against the archive that
// driver/forward.c makes. Convolutions of one group are cuDNN's (conv.go, and algorithm.go for which of its algorithms), matrix
// products cuBLAS's, both by deterministic algorithms and in float32 without TF32 unless Tune says otherwise (precision.go).
// Everything else is in kernels.cu, of which clang makes kernels.ptx.
//
// # The same bits
//
// Results do not depend on how many threads a launch has, and two calls give the same bits. The kernels of kernels.cu also
// compute each picture for itself. Whether cuDNN and cuBLAS do is theirs to say: their algorithms are named here without
// regard to N, but which of their kernels serve a large batch they choose themselves.
package cuda

//go:generate sh generate.sh
