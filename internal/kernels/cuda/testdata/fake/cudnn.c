#include "fake.h"

#include <string.h>

/* Statuses of cuDNN 9. */
enum { OK = 0, NOT_INITIALIZED = 1001, BAD_PARAM = 2000, NOT_SUPPORTED = 3000, NOT_SUPPORTED_LAYOUT = 3004, EXECUTION_FAILED = 5000 };

struct handle {
	CUcontext context;
	CUstream stream;
};
struct tensor { /* also a filter: n is then k */
	int n, c, h, w, narrow; /* of bfloat16 */
};
struct convolution {
	int pad_h, pad_w, stride_h, stride_w, math;
};

size_t cudnnGetVersion(void) {
	const char *version = getenv("FAKE_CUDNN_VERSION");
	return version ? (size_t)atoi(version) : 91002;
}

const char *cudnnGetErrorString(int status) {
	switch (status) {
	case NOT_INITIALIZED: return "CUDNN_STATUS_NOT_INITIALIZED";
	case BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
	case NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
	case NOT_SUPPORTED_LAYOUT: return "CUDNN_STATUS_NOT_SUPPORTED_LAYOUT";
	default: return "CUDNN_STATUS_EXECUTION_FAILED";
	}
}

int cudnnCreate(void **p) {
	if (!fake_context() || fake_wait_for_all()) return NOT_INITIALIZED;
	struct handle *h = calloc(1, sizeof *h);
	h->context = fake_context();
	*p = h;
	return OK;
}

int cudnnDestroy(void *p) {
	struct handle *h = p;
	if (h->context != fake_context()) return NOT_INITIALIZED;
	if (fake_wait_for_all()) return EXECUTION_FAILED;
	free(h);
	return OK;
}

int cudnnSetStream(void *p, CUstream s) {
	struct handle *h = p;
	if (fake_stream_context(s) != h->context) return BAD_PARAM;
	h->stream = s;
	return OK;
}

static int create(void **p, size_t n) {
	*p = calloc(1, n);
	return OK;
}

static int destroy(void *p) {
	free(p);
	return OK;
}

int cudnnCreateTensorDescriptor(void **p) { return create(p, sizeof(struct tensor)); }
int cudnnDestroyTensorDescriptor(void *p) { return destroy(p); }
int cudnnCreateFilterDescriptor(void **p) { return create(p, sizeof(struct tensor)); }
int cudnnDestroyFilterDescriptor(void *p) { return destroy(p); }
int cudnnCreateConvolutionDescriptor(void **p) { return create(p, sizeof(struct convolution)); }
int cudnnDestroyConvolutionDescriptor(void *p) { return destroy(p); }

/* The two take format and type the other way round. */
int cudnnSetTensor4dDescriptor(void *p, int format, int type, int n, int c, int h, int w) {
	if (format != 1 || (type != 0 && type != 9)) return NOT_SUPPORTED; /* NHWC of float or bfloat16 */
	if (n < 1 || c < 1 || h < 1 || w < 1) return BAD_PARAM;
	*(struct tensor *)p = (struct tensor){n, c, h, w, type == 9};
	return OK;
}

int cudnnSetFilter4dDescriptor(void *p, int type, int format, int k, int c, int h, int w) {
	return cudnnSetTensor4dDescriptor(p, format, type, k, c, h, w);
}

int cudnnSetConvolution2dDescriptor(void *p, int pad_h, int pad_w, int stride_h, int stride_w, int dilation_h, int dilation_w,
	int mode, int type) {
	if (mode != 1 || type != 0 || dilation_h != 1 || dilation_w != 1) return NOT_SUPPORTED; /* cross-correlation of float */
	if (pad_h < 0 || pad_w < 0 || stride_h < 1 || stride_w < 1) return BAD_PARAM;
	*(struct convolution *)p = (struct convolution){pad_h, pad_w, stride_h, stride_w, 0};
	return OK;
}

int cudnnSetConvolutionMathType(void *p, int math) {
	((struct convolution *)p)->math = math;
	return OK;
}

/* One computation, in each of the three directions. */
struct job {
	struct tensor x, y, filter;
	struct convolution how;
	float alpha, beta;
	CUdeviceptr from_x, from_y, from_filter, workspace;
	size_t workspace_len;
	int direction; /* 0 forward, 1 the gradient of x, 2 of the filter */
	int algorithm;
};

static size_t len(struct tensor t) { return (size_t)t.n * (size_t)t.c * (size_t)t.h * (size_t)t.w; }

enum { FLOAT_ONLY = 1, UNORDERED = 2 };

/* The algorithms of each direction: whether they are for float alone, and whether they add in any order. Those that are
 * left out, here as in the real one, are refused. */
static const struct {
	int there, is;
} algorithms[3][8] = {
	{{1, 0}, {1, 0}, {1, FLOAT_ONLY}, {0, 0}, {1, FLOAT_ONLY}, {0, 0}, {1, FLOAT_ONLY}, {1, FLOAT_ONLY}},
	{{1, UNORDERED}, {1, 0}, {0, 0}, {0, 0}, {1, FLOAT_ONLY}, {1, FLOAT_ONLY}},
	{{1, UNORDERED}, {1, 0}, {1, FLOAT_ONLY}, {1, UNORDERED}, {0, 0}, {1, FLOAT_ONLY}},
};

/* Shapes that go together, by an algorithm that is there. FAKE_CUDNN_LACKS is the number of one that is not. */
static int check(const struct job *j, int algorithm) {
	const struct tensor *x = &j->x, *y = &j->y, *f = &j->filter;
	const struct convolution *c = &j->how;
	const char *lacks = getenv("FAKE_CUDNN_LACKS");
	if (algorithm < 0 || algorithm > 7 || !algorithms[j->direction][algorithm].there) return NOT_SUPPORTED;
	if (lacks && atoi(lacks) == algorithm) return NOT_SUPPORTED;
	if (x->narrow ? c->math != 1 : c->math != 0 && c->math != 3) return NOT_SUPPORTED; /* tensor cores; TF32, or float alone */
	if (x->narrow != y->narrow || x->narrow != f->narrow) return NOT_SUPPORTED;
	if (x->narrow && algorithms[j->direction][algorithm].is == FLOAT_ONLY) return NOT_SUPPORTED;
	if (x->n != y->n || f->c != x->c || f->n != y->c) return BAD_PARAM;
	if (y->h != (x->h + 2 * c->pad_h - f->h) / c->stride_h + 1) return BAD_PARAM;
	if (y->w != (x->w + 2 * c->pad_w - f->w) / c->stride_w + 1) return BAD_PARAM;
	return OK;
}

/* Some memory, different in each direction and for each algorithm, so that one taken for another is found; that of the
 * explicit product, forward, is large. */
static size_t workspace(const struct job *j, int algorithm) {
	size_t n = 4 * len(j->filter) + 1024 * (size_t)(j->direction + 1);
	if (algorithm == 1) return n;
	return n + 512 * (size_t)(algorithm + 1) + (j->direction == 0 && algorithm == 2 ? 4 * len(j->y) : 0);
}

/* Milliseconds, of which which algorithm needs the fewest changes with the shape. */
static double cost(const struct job *j, int algorithm) {
	unsigned mix = (unsigned)(j->filter.n * 31 + j->filter.c * 17 + j->filter.h * 7 + j->y.h * 3 + algorithm * 13 + j->direction);
	mix = (mix ^ mix >> 5) * 2654435761u;
	mix = (mix ^ mix >> 15) * 2246822519u;
	return 0.1 + (double)(mix >> 24) / 256;
}

/* Whether FAKE_CUDNN_REFUSES asks that all convolutions be refused here: by "queries" of a workspace, or by "calls". */
static int refused(const char *where) {
	const char *refuses = getenv("FAKE_CUDNN_REFUSES");
	return refuses && !strcmp(refuses, where);
}

static int size_of(struct job j, int algorithm, size_t *n) {
	int status = check(&j, algorithm);
	if (refused("queries")) return NOT_SUPPORTED_LAYOUT;
	if (status == OK) *n = workspace(&j, algorithm);
	return status;
}

int cudnnGetConvolutionForwardWorkspaceSize(void *h, void *x, void *f, void *c, void *y, int algorithm, size_t *n) {
	(void)h;
	return size_of((struct job){.x = *(struct tensor *)x, .y = *(struct tensor *)y, .filter = *(struct tensor *)f,
		.how = *(struct convolution *)c, .direction = 0}, algorithm, n);
}

int cudnnGetConvolutionBackwardDataWorkspaceSize(void *h, void *f, void *y, void *c, void *x, int algorithm, size_t *n) {
	(void)h;
	return size_of((struct job){.x = *(struct tensor *)x, .y = *(struct tensor *)y, .filter = *(struct tensor *)f,
		.how = *(struct convolution *)c, .direction = 1}, algorithm, n);
}

int cudnnGetConvolutionBackwardFilterWorkspaceSize(void *h, void *x, void *y, void *c, void *f, int algorithm, size_t *n) {
	(void)h;
	return size_of((struct job){.x = *(struct tensor *)x, .y = *(struct tensor *)y, .filter = *(struct tensor *)f,
		.how = *(struct convolution *)c, .direction = 2}, algorithm, n);
}

static void finish(const struct job *j, void *to, const double *sum, size_t n) {
	for (size_t i = 0; i < n; i++) {
		union { float value; uint32_t word; } u = {(float)(j->alpha * sum[i])};
		if (j->x.narrow) {
			u.value = fake_bfloat16(u.value);
			((uint16_t *)to)[i] = (uint16_t)(u.word >> 16);
		} else
			((float *)to)[i] = u.value;
	}
}

/* The operand as the algorithm reads it: rounded to TF32 where the math mode lets it be. */
static float *operand(const struct job *j, const void *from, struct tensor t) {
	float *x = fake_read(from, len(t), t.narrow);
	if (!j->how.math && !t.narrow)
		for (size_t i = 0; i < len(t); i++) x[i] = fake_tf32(x[i]);
	return x;
}

static CUresult convolve(const void *arguments) {
	const struct job *j = arguments;
	struct tensor x = j->x, y = j->y, f = j->filter;
	size_t element = x.narrow ? 2 : 4;
	void *at_xs = fake_memory(j->from_x, element * len(x)), *at_ys = fake_memory(j->from_y, element * len(y));
	void *at_fs = fake_memory(j->from_filter, element * len(f)), *ws = fake_memory(j->workspace, j->workspace_len);
	if (!at_xs || !at_ys || !at_fs || !ws) return CUDA_ERROR_ILLEGAL_ADDRESS;
	memset(ws, 0xff, j->workspace_len); /* where it overlaps an operand, the result shows it */
	float *xs = operand(j, at_xs, x), *ys = operand(j, at_ys, y), *fs = operand(j, at_fs, f);
	fake_spend(cost(j, j->algorithm));
	size_t results = len(j->direction == 0 ? y : j->direction == 1 ? x : f);
	double *sum = calloc(results, sizeof *sum);
	/* Forward reads the filter by k, as RSCK: what lies side by side in the innermost loop goes faster. */
	float *turned = malloc(4 * len(f));
	for (int k = 0; k < f.n; k++)
		for (int i = 0; i < f.c * f.h * f.w; i++) turned[i * f.n + k] = fs[k * f.c * f.h * f.w + i];
	for (int n = 0; n < x.n; n++)
		for (int p = 0; p < y.h; p++)
			for (int q = 0; q < y.w; q++)
				for (int r = 0; r < f.h; r++)
					for (int s = 0; s < f.w; s++) {
						int h = p * j->how.stride_h + r - j->how.pad_h, w = q * j->how.stride_w + s - j->how.pad_w;
						if (h < 0 || h >= x.h || w < 0 || w >= x.w) continue;
						size_t at_x = (((size_t)n * x.h + h) * x.w + w) * x.c, at_y = (((size_t)n * y.h + p) * y.w + q) * y.c;
						size_t tap = (size_t)(r * f.w + s) * f.c;
						if (j->direction == 0) {
							for (int c = 0; c < x.c; c++)
								for (int k = 0; k < y.c; k++)
									sum[at_y + k] += (double)xs[at_x + c] * turned[(tap + c) * y.c + k];
							continue;
						}
						for (int k = 0; k < y.c; k++) {
							size_t at_f = (size_t)k * f.h * f.w * f.c + tap;
							if (j->direction == 1)
								for (int c = 0; c < x.c; c++) sum[at_x + c] += (double)ys[at_y + k] * fs[at_f + c];
							else
								for (int c = 0; c < x.c; c++) sum[at_f + c] += (double)ys[at_y + k] * xs[at_x + c];
						}
					}
	/* Another algorithm is another order of additions: to be seen in the last bits. One that adds in any order has others
	 * each time. */
	static unsigned calls;
	int unordered = algorithms[j->direction][j->algorithm].is == UNORDERED;
	double other = 1 + 6e-8 * (j->algorithm - 1) + (unordered ? 3e-7 * (__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % 4) : 0);
	for (size_t i = 0; i < results; i++) sum[i] *= other;
	finish(j, j->direction == 0 ? at_ys : j->direction == 1 ? at_xs : at_fs, sum, results);
	free(xs);
	free(ys);
	free(fs);
	free(sum);
	free(turned);
	return CUDA_SUCCESS;
}

static int start(struct handle *h, const void *alpha, const void *beta, struct job j, int algorithm) {
	if (h->context != fake_context() || !h->stream) return NOT_INITIALIZED;
	int status = check(&j, algorithm);
	if (status != OK) return status;
	if (refused("calls")) return NOT_SUPPORTED;
	if (j.workspace_len != workspace(&j, algorithm) || !fake_memory(j.workspace, j.workspace_len)) return BAD_PARAM;
	/* The real one's kernels load 16 bytes at once: where that does not go it says so, or the context is lost. */
	if (j.from_x % 16 || j.from_y % 16 || j.from_filter % 16 || j.workspace % 16) return EXECUTION_FAILED;
	j.alpha = *(const float *)alpha;
	j.beta = *(const float *)beta;
	j.algorithm = algorithm;
	if (j.alpha != 1 || j.beta != 0) return BAD_PARAM; /* what is asked for nowhere */
	return fake_enqueue(h->stream, convolve, &j, sizeof j) ? EXECUTION_FAILED : OK;
}

int cudnnConvolutionForward(void *h, const void *alpha, void *x, CUdeviceptr from_x, void *f, CUdeviceptr from_filter, void *c,
	int algorithm, CUdeviceptr ws, size_t n, const void *beta, void *y, CUdeviceptr to) {
	return start(h, alpha, beta, (struct job){*(struct tensor *)x, *(struct tensor *)y, *(struct tensor *)f,
		*(struct convolution *)c, 0, 0, from_x, to, from_filter, ws, n, 0, 0}, algorithm);
}

int cudnnConvolutionBackwardData(void *h, const void *alpha, void *f, CUdeviceptr from_filter, void *y, CUdeviceptr from_y,
	void *c, int algorithm, CUdeviceptr ws, size_t n, const void *beta, void *x, CUdeviceptr to) {
	return start(h, alpha, beta, (struct job){*(struct tensor *)x, *(struct tensor *)y, *(struct tensor *)f,
		*(struct convolution *)c, 0, 0, to, from_y, from_filter, ws, n, 1, 0}, algorithm);
}

int cudnnConvolutionBackwardFilter(void *h, const void *alpha, void *x, CUdeviceptr from_x, void *y, CUdeviceptr from_y,
	void *c, int algorithm, CUdeviceptr ws, size_t n, const void *beta, void *f, CUdeviceptr to) {
	return start(h, alpha, beta, (struct job){*(struct tensor *)x, *(struct tensor *)y, *(struct tensor *)f,
		*(struct convolution *)c, 0, 0, from_x, from_y, to, ws, n, 2, 0}, algorithm);
}
