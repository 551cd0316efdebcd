#include "fake.h"

/* Statuses of cuBLAS. */
enum { OK = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };

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
	if (!fake_context() || fake_wait_for_all()) return NOT_INITIALIZED;
	struct handle *h = calloc(1, sizeof *h);
	h->context = fake_context();
	h->math = h->atomics = -1; /* a caller that counts on a default is told */
	*p = h;
	return OK;
}

int cublasDestroy_v2(void *p) {
	HANDLE;
	if (fake_wait_for_all()) return EXECUTION_FAILED;
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
	int ta, tb, m, n, k, lda, ldb, ldc, narrow, tf32;
	float alpha, beta;
	CUdeviceptr a, b, c;
};

/* The elements of a matrix of that many columns, each of rows elements, ld apart. */
static size_t elements(int rows, int columns, int ld) { return (size_t)(columns - 1) * (size_t)ld + (size_t)rows; }

/* What is read of a factor. */
static float *factor(const struct product *p, CUdeviceptr at, size_t n) {
	const void *memory = fake_memory(at, (p->narrow ? 2 : 4) * n);
	if (!memory) return NULL;
	float *x = fake_read(memory, n, p->narrow);
	if (p->tf32)
		for (size_t i = 0; i < n; i++) x[i] = fake_tf32(x[i]);
	return x;
}

static CUresult multiply(const void *arguments) {
	const struct product *p = arguments;
	float *a = factor(p, p->a, p->ta ? elements(p->k, p->m, p->lda) : elements(p->m, p->k, p->lda));
	float *b = factor(p, p->b, p->tb ? elements(p->n, p->k, p->ldb) : elements(p->k, p->n, p->ldb));
	float *c = fake_memory(p->c, 4 * elements(p->m, p->n, p->ldc));
	if (!a || !b || !c) return CUDA_ERROR_ILLEGAL_ADDRESS;
	for (int j = 0; j < p->n; j++)
		for (int i = 0; i < p->m; i++) {
			double sum = 0;
			for (int l = 0; l < p->k; l++)
				sum += (double)(p->ta ? a[i * p->lda + l] : a[l * p->lda + i]) * (p->tb ? b[l * p->ldb + j] : b[j * p->ldb + l]);
			float *to = &c[j * p->ldc + i];
			*to = (float)(p->alpha * sum + (p->beta != 0 ? (double)p->beta * *to : 0));
		}
	free(a);
	free(b);
	return CUDA_SUCCESS;
}

static int start(struct handle *h, struct product q) {
	if (!h->stream || !h->workspace_len || h->atomics) return NOT_INITIALIZED; /* what makes results repeat */
	if (q.m < 1 || q.n < 1 || q.k < 1 || q.lda < (q.ta ? q.k : q.m) || q.ldb < (q.tb ? q.n : q.k) || q.ldc < q.m) return INVALID_VALUE;
	return fake_enqueue(h->stream, multiply, &q, sizeof q) ? EXECUTION_FAILED : OK;
}

int cublasSgemm_v2(void *handle, int ta, int tb, int m, int n, int k, const float *alpha, CUdeviceptr a, int lda,
	CUdeviceptr b, int ldb, const float *beta, CUdeviceptr c, int ldc) {
	void *p = handle;
	HANDLE;
	if (h->math != 0 && h->math != 3) return NOT_INITIALIZED; /* float32, or TF32 */
	return start(h, (struct product){ta, tb, m, n, k, lda, ldb, ldc, 0, h->math == 3, *alpha, *beta, a, b, c});
}

/* Factors of bfloat16, a result and sums of float32, also where they are added in parts. */
int cublasGemmEx(void *handle, int ta, int tb, int m, int n, int k, const void *alpha, CUdeviceptr a, int type_a, int lda,
	CUdeviceptr b, int type_b, int ldb, const void *beta, CUdeviceptr c, int type_c, int ldc, int compute, int algorithm) {
	void *p = handle;
	HANDLE;
	if (type_a != 14 || type_b != 14 || type_c != 0 || compute != 68 || algorithm != -1 || h->math != 16) return NOT_SUPPORTED;
	return start(h, (struct product){ta, tb, m, n, k, lda, ldb, ldc, 1, 0, *(const float *)alpha, *(const float *)beta, a, b, c});
}
