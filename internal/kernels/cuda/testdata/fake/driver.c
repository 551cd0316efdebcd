#define _GNU_SOURCE
#include "fake.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* Declared as NVIDIA's library exports them, without the names that cuda.h gives to older editions. */

enum { GPUS = 2, PAGE = 4096, QUEUE = 64 };

/* The machine is what the environment says, lists by GPU:
 * FAKE_MEMORY_MIB=4096,64, FAKE_CAPABILITY=90,75, FAKE_LOST_AT=0,5000, the launch at which a GPU is lost, FAKE_BUSY=0,3, the opening from
 * which on another process has one for itself, and FAKE_TORN_MIB=0,4000, what is free and can't be had. */
static long setting(const char *name, int gpu, long otherwise) {
	const char *at = getenv(name);
	for (; at && gpu; gpu--) at = (at = strchr(at, ',')) ? at + 1 : NULL;
	return at ? strtol(at, NULL, 10) : otherwise;
}

/* visible are the GPUs that CUDA_VISIBLE_DEVICES leaves, by number or by the beginning of the name GPU-fa4e000N; what it does not
 * know ends it. */
static int visible[GPUS], gpus;

static void see(void) {
	const char *list = getenv("CUDA_VISIBLE_DEVICES");
	gpus = 0;
	if (!list)
		for (; gpus < GPUS; gpus++) visible[gpus] = gpus;
	while (list && *list && gpus < GPUS) {
		char *end;
		long gpu = strncmp(list, "GPU-fa4e000", 11) ? strtol(list, &end, 10) : strtol(list + 11, &end, 10);
		if (end == list || gpu < 0 || gpu >= GPUS) return;
		visible[gpus++] = (int)gpu;
		list = (list = strchr(list, ',')) ? list + 1 : NULL;
	}
}

struct CUctx_st {
	int gpu, retained;
	size_t used;
	long launches, opened;
	CUresult lost; /* what it gives for good */
};
static struct CUctx_st contexts[GPUS];
static __thread CUcontext current;
static int started;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct CUstream_st {
	CUcontext context;
	CUresult fault;
	unsigned number; /* no other living stream's */
	unsigned long done; /* how much work of the stream is; of the queue it has begun as much as is */
	unsigned begun, queued;
	struct work queue[QUEUE];
	struct order order;
	CUstream next;
};
static CUstream streams;

/* What the host has waited for; all that it asks for afterwards comes after that. */
static struct order host;
static uint64_t ticks;

/* The work that this thread runs, and the number of its stream. */
static __thread const struct work *running;
static __thread unsigned running_in;

struct allocation {
	char *map, *data;
	size_t mapped, len;
	CUcontext context;
	uint64_t touched[STREAMS]; /* when each stream has last */
	struct allocation *next;
};
static struct allocation *allocations;

struct CUmod_st {
	CUcontext context;
	char *text;
};
struct CUfunc_st {
	CUmodule module;
	const struct fake_kernel *kernel;
};

#define STARTED \
	if (!started) return CUDA_ERROR_NOT_INITIALIZED
#define CONTEXT \
	STARTED;    \
	if (!current || !current->retained) return CUDA_ERROR_INVALID_CONTEXT; \
	if (current->lost) return current->lost

CUcontext fake_context(void) { return current; }

static int living(CUstream stream) {
	pthread_mutex_lock(&lock);
	CUstream s = streams;
	while (s && s != stream) s = s->next;
	pthread_mutex_unlock(&lock);
	return s != NULL;
}

CUcontext fake_stream_context(CUstream stream) { return living(stream) ? stream->context : NULL; }

static struct allocation *find(CUdeviceptr p) {
	char *host = (char *)(uintptr_t)(p - OFFSET);
	for (struct allocation *a = allocations; a; a = a->next)
		if (host >= a->data && host < a->data + a->len) return a;
	return NULL;
}

/* Whether all that other streams have done with an allocation is ordered before the work that runs. */
static int ordered(struct allocation *a) {
	if (!running) return 1;
	for (unsigned i = 0; i < STREAMS; i++)
		if (i != running_in && a->touched[i] > running->order.at[i]) return 0;
	a->touched[running_in] = running->order.at[running_in];
	return 1;
}

void *fake_memory(CUdeviceptr p, size_t n) {
	pthread_mutex_lock(&lock);
	struct allocation *a = find(p);
	char *host = (char *)(uintptr_t)(p - OFFSET);
	if (a && (host + n > a->data + a->len || a->context != current || !ordered(a))) a = NULL;
	pthread_mutex_unlock(&lock);
	return a ? host : NULL;
}

void *fake_operand(CUdeviceptr p, int *bad) {
	if (!p) return NULL;
	void *host = fake_memory(p, 1);
	if (!host) *bad = 1;
	return host;
}

void *host_pointer(uint64_t p, uint64_t n) {
	if (!p) return NULL;
	void *host = fake_memory(p, n);
	if (!host) longjmp(fake_fault, 1);
	return host;
}
__thread jmp_buf fake_fault;

/* Does the first `until` works of a stream. One of them may do those of another stream that it waits for. */
static CUresult drain(CUstream s, unsigned long until) {
	while (s->begun < s->queued && s->done < until) {
		const struct work *before = running, *w = &s->queue[s->begun++];
		unsigned before_in = running_in;
		s->done++;
		running = w;
		running_in = s->number;
		CUresult r = s->fault ? s->fault : w->run(w->arguments);
		running = before;
		running_in = before_in;
		s->fault = r;
	}
	if (s->begun == s->queued) s->begun = s->queued = 0;
	return s->fault;
}

void fake_order(struct order *o, const struct order *after) {
	for (unsigned i = 0; i < STREAMS; i++)
		if (o->at[i] < after->at[i]) o->at[i] = after->at[i];
}

unsigned long fake_position(CUstream s, struct order *o) {
	*o = s->order;
	return s->done + s->queued - s->begun;
}

CUresult fake_reach(CUstream s, unsigned long position) { return living(s) ? drain(s, position) : CUDA_SUCCESS; }

void fake_host_after(const struct order *o) {
	pthread_mutex_lock(&lock);
	fake_order(&host, o);
	pthread_mutex_unlock(&lock);
}

void fake_stream_after(CUstream s, const struct order *o) { fake_order(&s->order, o); }

CUresult fake_enqueue(CUstream s, CUresult (*run)(const void *), const void *arguments, size_t n) {
	CONTEXT;
	if (!living(s) || s->context != current) return CUDA_ERROR_INVALID_HANDLE;
	if (n > ARGUMENTS) return CUDA_ERROR_INVALID_VALUE;
	struct work w = {.run = run};
	memcpy(w.arguments, arguments, n);
	if (fake_capturing(s)) return fake_capture(s, &w);
	if (s->queued == QUEUE) drain(s, -1ul);
	if (s->fault) return s->fault;
	pthread_mutex_lock(&lock);
	fake_order(&s->order, &host);
	s->order.at[s->number] = ++ticks;
	pthread_mutex_unlock(&lock);
	w.order = s->order;
	s->queue[s->queued++] = w;
	return CUDA_SUCCESS;
}

CUresult fake_wait(CUstream s) {
	CONTEXT;
	if (!living(s) || s->context != current) return CUDA_ERROR_INVALID_HANDLE;
	if (fake_capturing(s)) return fake_spoil(s);
	fake_host_after(&s->order);
	return drain(s, -1ul);
}

/* ---- start, GPUs, contexts ---- */

CUresult cuInit(unsigned flags) {
	see();
	if (getenv("FAKE_NO_GPU") || !gpus) return CUDA_ERROR_NO_DEVICE;
	started = 1;
	return flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGetErrorName(int code, const char **name) {
	*name = code == CUDA_ERROR_NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR";
	return CUDA_SUCCESS;
}

CUresult cuGetErrorString(int code, const char **text) {
	*text = code == CUDA_ERROR_NO_DEVICE ? "no CUDA-capable device is detected" : "error";
	return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *v) {
	const char *version = getenv("FAKE_DRIVER_VERSION");
	*v = version ? atoi(version) : 13000;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *n) {
	STARTED;
	*n = gpus;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *d, int i) {
	STARTED;
	if (i < 0 || i >= gpus) return CUDA_ERROR_INVALID_DEVICE;
	*d = i;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int n, CUdevice d) {
	STARTED;
	snprintf(name, (size_t)n, "Fake GPU");
	(void)d;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *v, CUdevice_attribute a, CUdevice d) {
	STARTED;
	if (a == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
		*v = (int)setting("FAKE_CAPABILITY", visible[d], 90) / 10;
	else if (a == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
		*v = (int)setting("FAKE_CAPABILITY", visible[d], 90) % 10;
	else
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static size_t memory(int gpu) { return (size_t)setting("FAKE_MEMORY_MIB", gpu, 4096) << 20; }

CUresult cuDeviceTotalMem_v2(size_t *n, CUdevice d) {
	STARTED;
	*n = memory(visible[d]);
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice d) {
	STARTED;
	long taken = setting("FAKE_BUSY", visible[d], 0);
	if (taken && ++contexts[d].opened >= taken) return 46; /* CUDA_ERROR_DEVICE_UNAVAILABLE, which is newer than cuda.h */
	contexts[d].gpu = visible[d];
	contexts[d].retained++;
	*c = &contexts[d];
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice d) {
	STARTED;
	if (!contexts[d].retained) return CUDA_ERROR_INVALID_CONTEXT;
	/* The real one frees what is left; here it is a leak. */
	int left = contexts[d].used || fake_leftovers(&contexts[d]);
	if (contexts[d].retained == 1 && left && !contexts[d].lost) return CUDA_ERROR_ILLEGAL_STATE;
	contexts[d].retained--;
	return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext c) {
	STARTED;
	if (c && !c->retained) return CUDA_ERROR_INVALID_CONTEXT;
	current = c;
	return CUDA_SUCCESS;
}

CUresult fake_wait_for_all(void) { return current && fake_spoil_all(current) ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS; }

CUresult cuCtxSynchronize(void) {
	CONTEXT;
	CUresult r = fake_wait_for_all();
	if (r) return r;
	pthread_mutex_lock(&lock);
	CUresult fault = CUDA_SUCCESS;
	for (CUstream s = streams; s && !fault; s = s->next) /* other threads' work is left to them */
		if (s->context == current) fault = s->fault;
	pthread_mutex_unlock(&lock);
	return fault;
}

/* ---- memory ---- */

CUresult cuMemAlloc_v2(CUdeviceptr *p, size_t n) {
	CONTEXT;
	SAFE;
	if (!n) return CUDA_ERROR_INVALID_VALUE;
	if (current->used + n + ((size_t)setting("FAKE_TORN_MIB", current->gpu, 0) << 20) > memory(current->gpu)) return CUDA_ERROR_OUT_OF_MEMORY;
	/* Between pages that nobody may touch, as near to the one behind as 256 bytes allow. Fresh memory is not zero. */
	size_t pages = (n + PAGE - 1) / PAGE * PAGE;
	struct allocation *a = calloc(1, sizeof *a);
	a->mapped = pages + 2 * PAGE;
	a->map = mmap(NULL, a->mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (a->map == MAP_FAILED || mprotect(a->map + PAGE, pages, PROT_READ | PROT_WRITE)) return CUDA_ERROR_OUT_OF_MEMORY;
	a->data = a->map + PAGE + (pages - n) / 256 * 256;
	a->len = n;
	a->context = current;
	if (n < 1 << 20) memset(a->data, 0xff, n);
	pthread_mutex_lock(&lock);
	a->next = allocations;
	allocations = a;
	current->used += n;
	pthread_mutex_unlock(&lock);
	*p = (CUdeviceptr)(uintptr_t)a->data + OFFSET;
	return CUDA_SUCCESS;
}

CUresult cuMemFree_v2(CUdeviceptr p) {
	CONTEXT;
	SAFE;
	CUresult r = fake_wait_for_all();
	if (r) return r;
	pthread_mutex_lock(&lock);
	struct allocation **at = &allocations;
	while (*at && (CUdeviceptr)(uintptr_t)(*at)->data + OFFSET != p) at = &(*at)->next;
	struct allocation *a = *at;
	if (a) {
		*at = a->next;
		a->context->used -= a->len;
	}
	pthread_mutex_unlock(&lock);
	if (!a) return CUDA_ERROR_INVALID_VALUE;
	munmap(a->map, a->mapped);
	free(a);
	return CUDA_SUCCESS;
}

CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
	CONTEXT;
	*total = memory(current->gpu);
	*free = *total - current->used;
	return CUDA_SUCCESS;
}

struct copy {
	CUdeviceptr device;
	char *host;
	size_t n;
	unsigned fill;
};

static CUresult upload(const void *arguments) {
	const struct copy *c = arguments;
	void *to = fake_memory(c->device, c->n);
	if (!to) return CUDA_ERROR_ILLEGAL_ADDRESS;
	memcpy(to, c->host, c->n);
	return CUDA_SUCCESS;
}

static CUresult download(const void *arguments) {
	const struct copy *c = arguments;
	void *from = fake_memory(c->device, c->n);
	if (!from) return CUDA_ERROR_ILLEGAL_ADDRESS;
	memcpy(c->host, from, c->n);
	return CUDA_SUCCESS;
}

static CUresult fill(const void *arguments) {
	const struct copy *c = arguments;
	void *to = fake_memory(c->device, c->n);
	if (!to) return CUDA_ERROR_ILLEGAL_ADDRESS;
	memset(to, (int)c->fill, c->n);
	return CUDA_SUCCESS;
}

static CUresult fill_words(const void *arguments) {
	const struct copy *c = arguments;
	char *to = fake_memory(c->device, c->n);
	if (!to) return CUDA_ERROR_ILLEGAL_ADDRESS;
	for (size_t i = 0; i < c->n; i += 4) memcpy(to + i, &c->fill, 4);
	return CUDA_SUCCESS;
}

static CUresult copying(CUstream s, CUresult (*how)(const void *), struct copy c) {
	CONTEXT;
	if (!fake_memory(c.device, c.n)) return CUDA_ERROR_INVALID_VALUE;
	/* A copy from or to pageable memory is no part of a graph. */
	if (c.host && fake_capturing(s) && !fake_pinned(c.host, c.n)) return fake_spoil(s);
	return fake_enqueue(s, how, &c, sizeof c);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t n, CUstream s) {
	return copying(s, upload, (struct copy){to, (char *)from, n, 0});
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t n, CUstream s) {
	return copying(s, download, (struct copy){from, to, n, 0});
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char v, size_t n, CUstream s) {
	return copying(s, fill, (struct copy){to, NULL, n, v});
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned v, size_t n, CUstream s) {
	if (to % 4) return CUDA_ERROR_INVALID_VALUE;
	return copying(s, fill_words, (struct copy){to, NULL, 4 * n, v});
}

/* ---- streams ---- */

CUresult cuStreamCreate(CUstream *s, unsigned flags) {
	CONTEXT;
	if (flags & ~1u) return CUDA_ERROR_INVALID_VALUE;
	*s = calloc(1, sizeof **s);
	(*s)->context = current;
	pthread_mutex_lock(&lock);
	for (CUstream t = streams; t;)
		if (t->number == (*s)->number) {
			(*s)->number++;
			t = streams;
		} else
			t = t->next;
	if ((*s)->number >= STREAMS) abort();
	(*s)->order = host;
	(*s)->next = streams;
	streams = *s;
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream s) { return fake_wait(s); }

CUresult cuStreamDestroy_v2(CUstream s) {
	CONTEXT;
	if (!living(s) || s->context != current) return CUDA_ERROR_INVALID_HANDLE;
	if (fake_capturing(s)) return fake_spoil(s);
	drain(s, -1ul);
	fake_host_after(&s->order);
	pthread_mutex_lock(&lock);
	CUstream *at = &streams;
	while (*at != s) at = &(*at)->next;
	*at = s->next;
	pthread_mutex_unlock(&lock);
	free(s);
	return CUDA_SUCCESS;
}

/* ---- modules and launches ---- */

CUresult cuModuleLoadData(CUmodule *m, const void *image) {
	CONTEXT;
	SAFE;
	if (!strstr(image, ".target sm_")) return CUDA_ERROR_INVALID_PTX;
	*m = calloc(1, sizeof **m);
	(*m)->context = current;
	(*m)->text = strdup(image);
	return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule m) {
	CONTEXT;
	SAFE;
	if (m->context != current) return CUDA_ERROR_INVALID_CONTEXT;
	free(m->text);
	m->context = NULL; /* what is left of it stays, so that its functions find it unloaded */
	return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *f, CUmodule m, const char *name) {
	CONTEXT;
	if (m->context != current) return CUDA_ERROR_INVALID_CONTEXT;
	char entry[256];
	snprintf(entry, sizeof entry, ".visible .entry %s(", name);
	if (!strstr(m->text, entry)) return CUDA_ERROR_NOT_FOUND;
	for (const struct fake_kernel *k = fake_kernels; k->name; k++)
		if (!strcmp(k->name, name)) {
			*f = calloc(1, sizeof **f);
			(*f)->module = m;
			(*f)->kernel = k;
			return CUDA_SUCCESS;
		}
	return CUDA_ERROR_NOT_FOUND;
}

__thread unsigned host_thread, host_threads; /* what kernels.cu asks for */
static __thread unsigned launches; /* of the thread, for the order must not change within one */

unsigned fake_thread(unsigned t, unsigned threads) {
	switch (launches % 3) {
	case 0: return t;
	case 1: return threads - 1 - t;
	default: return t % 2 ? threads - 1 - t / 2 : t / 2; /* from both ends */
	}
}

struct launch {
	CUfunction function;
	unsigned threads;
	uint64_t words[28];
};

static CUresult run(const void *arguments) {
	const struct launch *l = arguments;
	if (l->function->module->context != current) return CUDA_ERROR_INVALID_CONTEXT;
	long end = setting("FAKE_LOST_AT", current->gpu, 0);
	if (end && ++current->launches >= end) return current->lost = CUDA_ERROR_LAUNCH_FAILED;
	host_threads = l->threads;
	launches++;
	fake_watch(l->function->kernel->name);
	CUresult r = l->function->kernel->run(l->words);
	return fake_raced() ? CUDA_ERROR_LAUNCH_FAILED : r;
}

CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
	unsigned shared, CUstream s, void **parameters, void **extra) {
	CONTEXT;
	if (!gx || !bx || gy != 1 || gz != 1 || by != 1 || bz != 1 || bx > 1024 || shared || extra) return CUDA_ERROR_INVALID_VALUE;
	if (f->module->context != current) return CUDA_ERROR_INVALID_CONTEXT;
	struct launch l = {.function = f, .threads = gx * bx};
	for (unsigned i = 0; i < f->kernel->parameters; i++) memcpy(&l.words[i], parameters[i], f->kernel->sizes[i]);
	return fake_enqueue(s, run, &l, sizeof l);
}
