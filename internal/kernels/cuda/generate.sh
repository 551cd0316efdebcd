#!/bin/sh
# Makes kernels.ptx of kernels.cu. The compiler is named by its version, so that the same text comes out everywhere.
# compute capability 7.5 is the oldest that both CUDA 12 and CUDA 13 serve; nothing here needs a newer one, and the
# driver compiles PTX for the GPU that it finds.
set -eu
if ! command -v clang-16 >/dev/null; then
	echo "kernels.ptx is not made anew: there is no clang-16 here (Debian: apt-get install clang-16)"
	exit 0
fi
clang-16 -x cuda --cuda-device-only --cuda-gpu-arch=sm_75 -nocudainc -nocudalib -O3 -ffp-contract=off -Wall -Wextra -Werror \
	-S kernels.cu -o kernels.ptx
