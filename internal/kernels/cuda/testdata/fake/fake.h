/* Fakes of libcuda, libcublas and libcudnn, for tests on a machine without a GPU. They execute on the host what they are
 * asked for, and give the error code of the real ones where a caller breaks a rule: a context that is not the thread's, a
 * stream or memory of another one, memory that is freed or too short, also where work that is under way needs it.
 *
 * Work is queued at the call and done when the stream is waited for, so who reads a result before that finds out. Device
 * addresses are not addresses of the host: they lie OFFSET higher, where nothing is. */
#ifndef FAKE_H
#define FAKE_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "../../driver/cuda.h"

#define OFFSET 0x0100000000000000ull

/* Where the n bytes of device memory at p lie on the host; null where they are not one living allocation's, or not of the
 * context that is current. */
void *fake_memory(CUdeviceptr p, size_t n);

/* As fake_memory, of whatever lies at p, for a kernel whose operands' lengths nobody tells. Null stays null. */
void *fake_operand(CUdeviceptr p, int *bad);

/* The context of this thread; null where none is current. */
CUcontext fake_context(void);

/* The context of a stream; null where there is no such stream. */
CUcontext fake_stream_context(CUstream stream);

/* Queues work with a copy of the n bytes of its arguments. Its result is an error code, which all that follows gives too. */
CUresult fake_enqueue(CUstream stream, CUresult (*work)(const void *arguments), const void *arguments, size_t n);

/* Has the work that calls it take so many milliseconds more, as events see it: what the fakes take does not tell. Without
 * it work takes no time. */
void fake_spend(double milliseconds);

/* What something comes after: the last work of each stream. Two streams must not touch one allocation without an event, or
 * the host that waits, between them: memory is then none, whatever they do there. */
enum { STREAMS = 64 };
struct order {
	uint64_t at[STREAMS];
};
void fake_order(struct order *order, const struct order *after);

/* How much has been asked of a stream, and what comes after all that. */
unsigned long fake_position(CUstream stream, struct order *after);

/* Has a stream do what it was asked for up to a position. */
CUresult fake_reach(CUstream stream, unsigned long position);

/* What the host, or a stream, is asked for from now on comes after that. */
void fake_host_after(const struct order *order);
void fake_stream_after(CUstream stream, const struct order *order);

/* Work with a copy of its arguments. */
enum { ARGUMENTS = 256 };
struct work {
	CUresult (*run)(const void *);
	struct order order;
	char arguments[ARGUMENTS];
};

/* Waits for a stream, as cuStreamSynchronize does. */
CUresult fake_wait(CUstream stream);

/* Waits for all that a GPU does, as handles that come and go do, so that no stream may capture there, whosever it is. */
CUresult fake_wait_for_all(void);

/* ---- graph.c: capture, and memory of the host that is not pageable ---- */

/* Whether a stream captures, be it spoilt; and keeps work in its graph. */
int fake_capturing(CUstream stream);
CUresult fake_capture(CUstream stream, const struct work *work);

/* Spoils the capture of a stream by a call that must not be, and gives the error of that. */
CUresult fake_spoil(CUstream stream);

/* The same of all captures in a context, and their number. */
int fake_spoil_all(CUcontext context);

/* The error of a call that a capture forbids for what it may do behind its back, success where none forbids it: one that
 * this thread began, or any of the mode CU_STREAM_CAPTURE_MODE_GLOBAL. Relaxed ones forbid nothing. */
CUresult fake_unsafe(void);
#define SAFE                                 \
	do {                                 \
		CUresult r = fake_unsafe();  \
		if (r) return r;             \
	} while (0)

/* Whether the n bytes at p are of cuMemAllocHost. */
int fake_pinned(const void *p, size_t n);

/* How much of a context's graphs and memory of the host is left. */
int fake_leftovers(CUcontext context);

/* What a kernel finds at an address that it read from memory; where there are not n bytes it does not come back. */
void *host_pointer(uint64_t p, uint64_t n);
extern __thread jmp_buf fake_fault;

/* The nearest bfloat16, as the float32 that has its bits for its upper half; the nearest of TF32's. The even one of two. */
static inline float fake_round(float x, int bits) {
	union { float value; uint32_t word; } u = {x};
	if (x != x) return x;
	u.word += (1u << (bits - 1)) - 1 + (u.word >> bits & 1);
	u.word &= ~0u << bits;
	return u.value;
}
static inline float fake_bfloat16(float x) { return fake_round(x, 16); }
static inline float fake_tf32(float x) { return fake_round(x, 13); }

/* n floats of an array of float or of bfloat16, in memory of the host's own; and back. */
static inline float *fake_read(const void *from, size_t n, int narrow) {
	float *to = malloc(4 * n + 1);
	for (size_t i = 0; i < n; i++) {
		union { float value; uint32_t word; } u;
		if (narrow)
			u.word = (uint32_t)((const uint16_t *)from)[i] << 16;
		else
			u.value = ((const float *)from)[i];
		to[i] = u.value;
	}
	return to;
}

/* A kernel of kernels.cu, from the file that the tests write: its name, its parameters' number and sizes, and a function
 * that runs one thread after the other. */
struct fake_kernel {
	const char *name;
	unsigned parameters;
	const unsigned char *sizes;
	CUresult (*run)(const uint64_t *words);
};
extern const struct fake_kernel fake_kernels[];

/* ---- races.c: watches a kernel, and tells whether threads of its launch touched the same memory, not all to read it.
 * Nothing is seen of kernels that were not compiled for that. ---- */
void fake_watch(const char *name);
int fake_raced(void);

/* Numbers the threads of a launch in an order that changes from launch to launch; t counts from 0. */
unsigned fake_thread(unsigned t, unsigned threads);

#endif
