#include "fake.h"

/* Statuses of cuBLAS. */
enum { OK = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13 };

struct handle {
	CUcontext context;
	CUstream stream;
	CUdeviceptr workspace;
	size_t workspace_len;
	int math, atomics;
};

#define HANDLE         \
	struct handle *h = p; \
	if (!h || h->context != fake_context()) return NOT_INITIALIZED

int cublasCreate_v2(void **p) {
	if (!fake_context()) return NOT_INITIALIZED;
	struct handle *h = calloc(1, sizeof *h);
	h->context = fake_context();
	h->math = h->atomics = -1; /* a caller that counts on a default is told */
	*p = h;
	return OK;
}

int cublasDestroy_v2(void *p) {
	HANDLE;
	free(h);
	return OK;
}

int cublasGetVersion_v2(void *p, int *v) {
	HANDLE;
	*v = 130100;
	return OK;
}

int cublasSetStream_v2(void *p, CUstream s) {
	HANDLE;
	if (fake_stream_context(s) != h->context) return INVALID_VALUE;
	h->stream = s;
	h->workspace_len = 0; /* the real one goes back to its own workspace */
	return OK;
}

int cublasSetWorkspace_v2(void *p, CUdeviceptr memory, size_t n) {
	HANDLE;
	if (!fake_memory(memory, n) || memory % 256) return INVALID_VALUE;
	h->workspace = memory;
	h->workspace_len = n;
	return OK;
}

int cublasSetMathMode(void *p, int mode) {
	HANDLE;
	h->math = mode;
	return OK;
}

int cublasSetAtomicsMode(void *p, int mode) {
	HANDLE;
	h->atomics = mode;
	return OK;
}

struct product {
	int ta, tb, m, n, k, lda, ldb, ldc;
	float alpha, beta;
	CUdeviceptr a, b, c;
};

/* The bytes of a matrix of that many columns, each of rows elements, ld apart. */
static size_t bytes(int rows, int columns, int ld) { return 4 * ((size_t)(columns - 1) * (size_t)ld + (size_t)rows); }

static CUresult multiply(const void *arguments) {
	const struct product *p = arguments;
	const float *a = fake_memory(p->a, p->ta ? bytes(p->k, p->m, p->lda) : bytes(p->m, p->k, p->lda));
	const float *b = fake_memory(p->b, p->tb ? bytes(p->n, p->k, p->ldb) : bytes(p->k, p->n, p->ldb));
	float *c = fake_memory(p->c, bytes(p->m, p->n, p->ldc));
	if (!a || !b || !c) return CUDA_ERROR_ILLEGAL_ADDRESS;
	for (int j = 0; j < p->n; j++)
		for (int i = 0; i < p->m; i++) {
			double sum = 0;
			for (int l = 0; l < p->k; l++)
				sum += (double)(p->ta ? a[i * p->lda + l] : a[l * p->lda + i]) * (p->tb ? b[l * p->ldb + j] : b[j * p->ldb + l]);
			float *to = &c[j * p->ldc + i];
			*to = (float)(p->alpha * sum + (p->beta != 0 ? (double)p->beta * *to : 0));
		}
	return CUDA_SUCCESS;
}

int cublasSgemm_v2(void *handle, int ta, int tb, int m, int n, int k, const float *alpha, CUdeviceptr a, int lda,
	CUdeviceptr b, int ldb, const float *beta, CUdeviceptr c, int ldc) {
	void *p = handle;
	HANDLE;
	if (!h->stream || !h->workspace_len || h->math || h->atomics) return NOT_INITIALIZED; /* what makes results repeat */
	if (m < 1 || n < 1 || k < 1 || lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m) return INVALID_VALUE;
	struct product q = {ta, tb, m, n, k, lda, ldb, ldc, *alpha, *beta, a, b, c};
	return fake_enqueue(h->stream, multiply, &q, sizeof q) ? EXECUTION_FAILED : OK;
}
