#define _GNU_SOURCE
#include "fake.h"

#include <string.h>

/* Events, and the time that they see: that of the work which the thread has done, as fake_spend has it. */

struct CUevent_st {
	CUcontext context;
	CUstream stream; /* of the last record; null before */
	unsigned long position; /* up to the record */
	struct order order;
	int recorded;    /* the stream has come by */
	double at;
};

static __thread double now;

void fake_spend(double milliseconds) { now += milliseconds; }

CUresult cuEventCreate(CUevent *e, unsigned flags) {
	if (!fake_context()) return CUDA_ERROR_INVALID_CONTEXT;
	if (flags & ~7u) return CUDA_ERROR_INVALID_VALUE;
	*e = calloc(1, sizeof **e);
	(*e)->context = fake_context();
	return CUDA_SUCCESS;
}

CUresult cuEventDestroy_v2(CUevent e) {
	if (e->context != fake_context()) return CUDA_ERROR_INVALID_CONTEXT;
	free(e);
	return CUDA_SUCCESS;
}

static CUresult record(const void *arguments) {
	CUevent e = *(const CUevent *)arguments;
	e->recorded = 1;
	e->at = now;
	return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent e, CUstream s) {
	if (e->context != fake_context() || fake_stream_context(s) != e->context) return CUDA_ERROR_INVALID_HANDLE;
	e->stream = s;
	e->recorded = 0;
	CUresult r = fake_enqueue(s, record, &e, sizeof e);
	e->position = fake_position(s, &e->order);
	return r;
}

CUresult cuEventSynchronize(CUevent e) {
	if (e->context != fake_context()) return CUDA_ERROR_INVALID_CONTEXT;
	if (!e->stream || !fake_stream_context(e->stream)) return CUDA_SUCCESS;
	if (fake_capturing(e->stream)) return fake_spoil(e->stream);
	fake_host_after(&e->order);
	return fake_reach(e->stream, e->position);
}

struct wait {
	CUstream stream;
	unsigned long position;
};

static CUresult await(const void *arguments) {
	struct wait w;
	memcpy(&w, arguments, sizeof w);
	return fake_reach(w.stream, w.position);
}

/* An event that nothing has recorded holds nothing up. */
CUresult cuStreamWaitEvent(CUstream s, CUevent e, unsigned flags) {
	if (e->context != fake_context() || fake_stream_context(s) != e->context) return CUDA_ERROR_INVALID_HANDLE;
	if (flags) return CUDA_ERROR_INVALID_VALUE;
	if (!e->stream) return CUDA_SUCCESS;
	if (fake_capturing(s) || fake_capturing(e->stream)) return CUDA_ERROR_STREAM_CAPTURE_ISOLATION; /* which no caller needs yet */
	fake_stream_after(s, &e->order);
	struct wait w = {e->stream, e->position};
	return fake_enqueue(s, await, &w, sizeof w);
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent begin, CUevent end) {
	if (begin->context != end->context || !begin->stream || !end->stream) return CUDA_ERROR_INVALID_HANDLE;
	if (!begin->recorded || !end->recorded) return CUDA_ERROR_NOT_READY;
	*milliseconds = (float)(end->at - begin->at);
	return CUDA_SUCCESS;
}
