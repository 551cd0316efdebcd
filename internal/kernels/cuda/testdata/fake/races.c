#define _GNU_SOURCE
#include "fake.h"

#include <pthread.h>
#include <stdio.h>

/* Who of a launch's threads has touched what: where kernels.cu is compiled with -fsanitize=thread, each of its reads and
 * writes of memory calls one of the functions below. Two threads of a launch must not touch the same memory unless both
 * read it, whatever their order, for on a GPU they have none. */

extern __thread unsigned host_thread, host_threads;

static __thread const char *kernel; /* that runs; null: none, or one that has been found out */
static __thread int raced;
static __thread uint64_t launch;
static uint64_t launches;

/* What is known of memory, by blocks of it. A word of two bytes is enough: no thread writes single bytes. */
enum { BLOCK = 1 << 16, BLOCKS = 1 << 14 };
static struct {
	uintptr_t block;
	uint64_t *words;
} blocks[BLOCKS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Of a word, in 20 bits the launch that touched it last, and in 22 bits each who wrote it and who read it there: a thread's
 * number and 1, or several readers. */
enum { LAUNCHES = 1 << 20, BITS = 22, SEVERAL = (1 << BITS) - 1 };

static uint64_t *word(uintptr_t at) {
	uintptr_t block = at / BLOCK + 1;
	unsigned i = (unsigned)(block * 0x9e3779b97f4a7c15u >> 50);
	while (__atomic_load_n(&blocks[i].block, __ATOMIC_ACQUIRE) != block) {
		if (blocks[i].block) {
			i = (i + 1) % BLOCKS;
			continue;
		}
		pthread_mutex_lock(&lock);
		if (!blocks[i].block) {
			if (!(blocks[i].words = calloc(BLOCK / 2, sizeof *blocks[i].words))) abort();
			__atomic_store_n(&blocks[i].block, block, __ATOMIC_RELEASE);
		}
		pthread_mutex_unlock(&lock);
	}
	return blocks[i].words + at % BLOCK / 2;
}

static void touch(uintptr_t at, size_t n, int write) {
	uintptr_t stack = (uintptr_t)__builtin_frame_address(0);
	if (!kernel || at - (stack - (1 << 20)) < 2 << 20) return; /* what is the thread's own */
	if (at == (uintptr_t)&host_thread || at == (uintptr_t)&host_threads) return;
	uint64_t me = host_thread + 1;
	for (uintptr_t end = at + n; at < end; at += 4) {
		uint64_t *w = word(at), seen = *w >> 2 * BITS == launch ? *w : launch << 2 * BITS;
		uint64_t writer = seen >> BITS & SEVERAL, reader = seen & SEVERAL;
		if ((writer && writer != me) || (write && reader && reader != me)) {
			uint64_t other = writer && writer != me ? writer : reader;
			char who[32] = "several others";
			if (other != SEVERAL) snprintf(who, sizeof who, "thread %u", (unsigned)other - 1);
			fprintf(stderr, "a race: %s: thread %u %s what %s %s\n", kernel, host_thread, write ? "writes" : "reads", who,
				other == writer ? "writes" : "reads");
			raced = 1;
			kernel = NULL;
			return;
		}
		if (write)
			writer = me;
		else
			reader = !reader || reader == me ? me : SEVERAL;
		*w = launch << 2 * BITS | writer << BITS | reader;
	}
}

void fake_watch(const char *name) {
	launch = __atomic_add_fetch(&launches, 1, __ATOMIC_RELAXED);
	kernel = launch < LAUNCHES && host_threads < SEVERAL - 1 ? name : NULL;
	raced = 0;
}

int fake_raced(void) {
	kernel = NULL;
	return raced;
}

#define TOUCHED(n)                                                                 \
	void __tsan_read##n(void *at) { touch((uintptr_t)at, n, 0); }              \
	void __tsan_write##n(void *at) { touch((uintptr_t)at, n, 1); }             \
	void __tsan_unaligned_read##n(void *at) { touch((uintptr_t)at, n, 0); }    \
	void __tsan_unaligned_write##n(void *at) { touch((uintptr_t)at, n, 1); }
TOUCHED(1)
TOUCHED(2)
TOUCHED(4)
TOUCHED(8)
TOUCHED(16)
void __tsan_read_range(void *at, size_t n) { touch((uintptr_t)at, n, 0); }
void __tsan_write_range(void *at, size_t n) { touch((uintptr_t)at, n, 1); }
void __tsan_init(void) {}
void __tsan_func_entry(void *caller) { (void)caller; }
void __tsan_func_exit(void) {}
