#define _GNU_SOURCE
#include "fake.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What fake_leftovers counts, by context. */
struct owned {
	CUcontext context;
	char *memory; /* of the host, null for another thing */
	size_t len;
	struct owned *next;
};
static struct owned *owned;

static void own(struct owned *o, CUcontext context) {
	o->context = context;
	pthread_mutex_lock(&lock);
	o->next = owned;
	owned = o;
	pthread_mutex_unlock(&lock);
}

/* Gives null where there is no such thing. */
static struct owned *disown(const void *o, const void *memory) {
	pthread_mutex_lock(&lock);
	struct owned **at = &owned;
	while (*at && *at != o && (!memory || (*at)->memory != memory)) at = &(*at)->next;
	struct owned *found = *at;
	if (found) *at = found->next;
	pthread_mutex_unlock(&lock);
	return found;
}

int fake_leftovers(CUcontext context) {
	int n = 0;
	pthread_mutex_lock(&lock);
	for (struct owned *o = owned; o; o = o->next) n += o->context == context;
	pthread_mutex_unlock(&lock);
	return n;
}

/* ---- memory of the host that is not pageable ---- */

CUresult cuMemAllocHost_v2(void **p, size_t n) {
	if (!fake_context()) return CUDA_ERROR_INVALID_CONTEXT;
	SAFE;
	if (!n) return CUDA_ERROR_INVALID_VALUE;
	struct owned *o = calloc(1, sizeof *o);
	*p = o->memory = malloc(n);
	if (!*p) {
		free(o);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	o->len = n;
	memset(o->memory, 0xff, n);
	own(o, fake_context());
	return CUDA_SUCCESS;
}

CUresult cuMemFreeHost(void *p) {
	if (!fake_context()) return CUDA_ERROR_INVALID_CONTEXT;
	SAFE;
	struct owned *o = p ? disown(NULL, p) : NULL;
	if (!o) return CUDA_ERROR_INVALID_VALUE;
	memset(o->memory, 0xff, o->len); /* a copy under way is found */
	free(o->memory);
	free(o);
	return CUDA_SUCCESS;
}

int fake_pinned(const void *p, size_t n) {
	int found = 0;
	pthread_mutex_lock(&lock);
	for (struct owned *o = owned; o; o = o->next)
		found |= o->memory && (const char *)p >= o->memory && (const char *)p + n <= o->memory + o->len;
	pthread_mutex_unlock(&lock);
	return found;
}

/* ---- capture ---- */

enum { GLOBAL, THREAD_LOCAL, RELAXED }; /* CUstreamCaptureMode */

struct CUgraph_st {
	struct owned owned;
	struct work *works;
	size_t len;
};

/* A capture that is going on. */
struct capture {
	CUstream stream;
	CUgraph graph;
	int mode, spoilt;
	pthread_t thread;
	struct capture *next;
};
static struct capture *captures;

static struct capture *capture_of(CUstream s) {
	pthread_mutex_lock(&lock);
	struct capture *c = captures;
	while (c && c->stream != s) c = c->next;
	pthread_mutex_unlock(&lock);
	return c;
}

int fake_capturing(CUstream s) { return capture_of(s) != NULL; }

CUresult fake_spoil(CUstream s) {
	capture_of(s)->spoilt = 1;
	return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

int fake_spoil_all(CUcontext context) {
	int n = 0;
	pthread_mutex_lock(&lock);
	for (struct capture *c = captures; c; c = c->next)
		if (c->graph->owned.context == context) {
			c->spoilt = 1;
			n++;
		}
	pthread_mutex_unlock(&lock);
	return n;
}

CUresult fake_unsafe(void) {
	CUresult r = CUDA_SUCCESS;
	pthread_mutex_lock(&lock);
	for (struct capture *c = captures; c; c = c->next)
		if (c->mode == GLOBAL || (c->mode == THREAD_LOCAL && pthread_equal(c->thread, pthread_self()))) {
			c->spoilt = 1;
			r = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
		}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult fake_capture(CUstream s, const struct work *w) {
	struct capture *c = capture_of(s);
	if (c->spoilt) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	CUgraph g = c->graph;
	g->works = realloc(g->works, (g->len + 1) * sizeof *g->works);
	g->works[g->len++] = *w;
	return CUDA_SUCCESS;
}

static CUgraph new_graph(void) {
	CUgraph g = calloc(1, sizeof *g);
	own(&g->owned, fake_context());
	return g;
}

static CUresult destroy(CUgraph g) {
	if (!g || !disown(&g->owned, NULL)) return CUDA_ERROR_INVALID_VALUE;
	free(g->works);
	free(g);
	return CUDA_SUCCESS;
}

/* FAKE_NO_CAPTURE has a driver refuse it. */
CUresult cuStreamBeginCapture_v2(CUstream s, int mode) {
	if (!fake_context()) return CUDA_ERROR_INVALID_CONTEXT;
	if (!s || fake_stream_context(s) != fake_context()) return CUDA_ERROR_INVALID_HANDLE;
	if (mode < GLOBAL || mode > RELAXED) return CUDA_ERROR_INVALID_VALUE;
	if (fake_capturing(s)) return CUDA_ERROR_ILLEGAL_STATE;
	if (getenv("FAKE_NO_CAPTURE")) return CUDA_ERROR_NOT_SUPPORTED;
	struct capture *c = calloc(1, sizeof *c);
	c->stream = s;
	c->mode = mode;
	c->thread = pthread_self();
	c->graph = new_graph();
	pthread_mutex_lock(&lock);
	c->next = captures;
	captures = c;
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

CUresult cuStreamEndCapture(CUstream s, CUgraph *g) {
	*g = NULL;
	struct capture *c = capture_of(s);
	if (!c) return CUDA_ERROR_ILLEGAL_STATE;
	if (c->mode != RELAXED && !pthread_equal(c->thread, pthread_self())) return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
	pthread_mutex_lock(&lock);
	struct capture **at = &captures;
	while (*at != c) at = &(*at)->next;
	*at = c->next;
	pthread_mutex_unlock(&lock);
	CUresult r = CUDA_SUCCESS;
	if (c->spoilt) {
		destroy(c->graph);
		r = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	} else
		*g = c->graph;
	free(c);
	return r;
}

/* ---- graphs that can be launched ---- */

struct CUgraphExec_st {
	struct owned owned;
	CUgraph graph; /* null when it is destroyed: what is left stays, so that a launch under way finds it */
};

CUresult cuGraphInstantiateWithFlags(CUgraphExec *e, CUgraph g, unsigned long long flags) {
	if (!fake_context() || g->owned.context != fake_context()) return CUDA_ERROR_INVALID_CONTEXT;
	if (flags) return CUDA_ERROR_INVALID_VALUE;
	*e = calloc(1, sizeof **e);
	(*e)->graph = calloc(1, sizeof *g);
	(*e)->graph->len = g->len;
	(*e)->graph->works = malloc(g->len * sizeof *g->works + 1);
	memcpy((*e)->graph->works, g->works, g->len * sizeof *g->works);
	own(&(*e)->owned, fake_context());
	return CUDA_SUCCESS;
}

CUresult cuGraphDestroy(CUgraph g) { return destroy(g); }

CUresult cuGraphExecDestroy(CUgraphExec e) {
	if (!e || !disown(&e->owned, NULL)) return CUDA_ERROR_INVALID_VALUE;
	free(e->graph->works);
	free(e->graph);
	e->graph = NULL;
	return CUDA_SUCCESS;
}

static CUresult replay(const void *arguments) {
	CUgraphExec e;
	memcpy(&e, arguments, sizeof e);
	if (!e->graph) return CUDA_ERROR_INVALID_HANDLE;
	for (size_t i = 0; i < e->graph->len; i++) {
		CUresult r = e->graph->works[i].run(e->graph->works[i].arguments);
		if (r) return r;
	}
	return CUDA_SUCCESS;
}

CUresult cuGraphLaunch(CUgraphExec e, CUstream s) {
	if (!e || !e->graph) return CUDA_ERROR_INVALID_VALUE;
	if (e->owned.context != fake_context()) return CUDA_ERROR_INVALID_CONTEXT;
	return fake_enqueue(s, replay, &e, sizeof e);
}
