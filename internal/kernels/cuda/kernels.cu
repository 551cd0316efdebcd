/* The kernels of the CUDA device: every operation of the numeric contract that is not a convolution of one group or a
 * matrix product. clang makes kernels.ptx of them (go generate); the tests compile the same text for the host.
 *
 * Letters are those of the package kernels. Memory is float32, contiguous, NHWC; n is a number of elements. Pointers that
 * may be missing are null.
 *
 * No kernel uses shared memory, barriers or atomic operations. Each thread computes whole elements of the result, in an
 * order of additions that follows from the shape, so results are the same bits whatever the launch. Sums over many rows
 * are made in two kernels: chunks of rows, of a number that the shape decides, in float32 and one after the other; then,
 * a column a thread, the chunks' sums in float64. Between the two many chunks of few columns are folded to fewer. */

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

/* An address that a table in memory holds, of n elements, as a pointer. Null stays null. */
#define ELEMENTS(address, n) ((float *)POINTER(address, 4 * (u64)(n)))

#ifdef __CUDA__
#define KERNEL(name) extern "C" __attribute__((global)) void name
#define FUNCTION static inline __attribute__((device))
#define THREAD (__nvvm_read_ptx_sreg_ctaid_x() * __nvvm_read_ptx_sreg_ntid_x() + __nvvm_read_ptx_sreg_tid_x())
#define THREADS (__nvvm_read_ptx_sreg_nctaid_x() * __nvvm_read_ptx_sreg_ntid_x())
#define POINTER(address, bytes) (address)
#else
/* On the host one thread after the other runs the kernel, as the fake driver of the tests has it. */
extern __thread u32 host_thread, host_threads;
extern void *host_pointer(u64 address, u64 bytes);
#define KERNEL(name) void name
#define FUNCTION static inline
#define THREAD host_thread
#define THREADS host_threads
#define POINTER(address, bytes) host_pointer(address, bytes)
#endif

/* Runs over i in [0, count), the threads of the launch taking turns. count is at most 2^31, so i does not overflow. */
#define EACH(i, count) for (u32 i = THREAD; i < (count); i += THREADS)

/* ---- pictures ---- */

/* Words of a window: where its picture begins, in two, then as kernels.Window; see pixels.go. */
enum { WINDOW = 9, WIDTH = 3, TOP, LEFT, ROWS, COLUMNS, FLIPS };

/* Pillow's filters are of whole numbers: a tap is in units of 1/2^PRECISION, and each of two passes rounds to bytes. */
enum { PRECISION = 32 - 8 - 2, HALF = 1 << (PRECISION - 1) };

FUNCTION u32 to_byte(u32 sum) {
	sum >>= PRECISION;
	return sum < 255 ? sum : 255;
}

/* What an input at a distance weighs: a triangle. */
FUNCTION double weight(double distance, double inverse) {
	double t = distance * inverse;
	if (t < 0) t = -t;
	return t < 1 ? 1 - t : 0;
}

/* windows → taps (N,2,crop,step), for each row, then for each column of a scaled window: the first input, how many there
 * are, and the factor of each. Pillow's bilinear filter, whose support grows with the scale where a picture shrinks
 * (Resample.c: precompute_coeffs, normalize_coeffs_8bpc). A thread makes those of one row or column. */
KERNEL(scale_windows)(const u32 *windows, u32 *taps, u32 step, u32 crop, u32 count) {
	EACH(i, count) {
		const u32 *w = windows + i / (2 * crop) * WINDOW;
		if (w[ROWS] == crop && w[COLUMNS] == crop) continue;
		u32 *t = taps + (u64)i * step;
		int in = w[i / crop % 2 ? COLUMNS : ROWS];
		double scale = (double)in / crop, support = scale < 1 ? 1 : scale, inverse = 1 / support;
		double center = (i % crop + 0.5) * scale, sum = 0;
		int first = center - support + 0.5, end = center + support + 0.5;
		if (first < 0) first = 0;
		if (end > in) end = in;
		for (int j = first; j < end; j++) sum += weight(j - center + 0.5, inverse);
		t[0] = first;
		t[1] = end - first;
		for (int j = first; j < end; j++) t[2 + j - first] = 0.5 + weight(j - center + 0.5, inverse) / sum * (1 << PRECISION);
	}
}

/* One pixel of a scaled window, by the taps of its row and its column: sideways first, then down. */
FUNCTION void scaled_pixel(const unsigned char *in, u32 width, const u32 *down, const u32 *across, float *c) {
	u32 sums[3] = {HALF, HALF, HALF};
	in += 3 * ((u64)down[0] * width + across[0]);
	for (u32 j = 0; j < down[1]; j++, in += 3 * (u64)width) {
		u32 row[3] = {HALF, HALF, HALF};
		for (u32 k = 0; k < across[1]; k++) {
			for (u32 l = 0; l < 3; l++) row[l] += across[2 + k] * in[3 * k + l];
		}
		for (u32 l = 0; l < 3; l++) sums[l] += down[2 + j] * to_byte(row[l]);
	}
	for (u32 l = 0; l < 3; l++) c[l] = to_byte(sums[l]);
}

/* windows of pictures in bytes → x (N,crop,crop,3). A thread makes a whole pixel. taps, see scale_windows, may be missing
 * where no window is scaled. */
KERNEL(normalize_pictures)(const unsigned char *pixels, const u32 *windows, const u32 *taps, float *x, float mean0,
	float mean1, float mean2, float std0, float std1, float std2, u32 step, u32 crop, u32 count) {
	EACH(i, count) {
		u32 n = i / (crop * crop);
		const u32 *w = windows + n * WINDOW;
		u32 row = i / crop % crop, column = i % crop, h = w[2], width = w[WIDTH];
		if (w[FLIPS] & 1) column = crop - 1 - column;
		if (w[FLIPS] & 2) row = crop - 1 - row;
		const unsigned char *picture = pixels + ((u64)w[1] << 32 | w[0]);
		float c[3] = {0, 0, 0};
		if (w[ROWS] != crop || w[COLUMNS] != crop) {
			const u32 *down = taps + ((u64)n * 2 * crop + row) * step, *across = taps + ((u64)(n * 2 + 1) * crop + column) * step;
			scaled_pixel(picture + 3 * ((u64)w[TOP] * width + w[LEFT]), width, down, across, c);
		} else {
			row += w[TOP]; /* both may be negative: then they are large */
			column += w[LEFT];
			if (row < h && column < width) {
				for (u32 j = 0; j < 3; j++) c[j] = picture[3 * ((u64)row * width + column) + j];
			}
		}
		x[3 * i] = (c[0] / 255 - mean0) / std0;
		x[3 * i + 1] = (c[1] / 255 - mean1) / std1;
		x[3 * i + 2] = (c[2] / 255 - mean2) / std2;
	}
}

/* ---- pointwise ---- */

enum { IDENTITY, RELU, RELU6 }; /* kernels.Activation */

/* A NaN stays one. */
FUNCTION float activated(u32 act, float x) {
	if (act != IDENTITY && x < 0) x = 0;
	if (act == RELU6 && x > 6) x = 6;
	return x;
}

/* dy times the slope at the result y. */
FUNCTION float gated(u32 act, float y, float dy) {
	return act == IDENTITY || (y > 0 && (act == RELU || y < 6)) ? dy : 0;
}

KERNEL(activate)(u32 act, const float *x, float *y, u32 n) {
	EACH(i, n) y[i] = activated(act, x[i]);
}

/* channels [off, off+n) of y, dy (M,C) → dx (M,n) */
KERNEL(activate_backward)(u32 act, u32 m, u32 n, const float *y, const float *dy, u32 c, u32 off, float *dx) {
	EACH(i, m * n) {
		u32 at = i / n * c + off + i % n;
		dx[i] = gated(act, y[at], dy[at]);
	}
}

/* y = act(a + b + c + d); b, c and d may be missing. */
KERNEL(add)(const float *a, const float *b, const float *c, const float *d, float *y, u32 act, u32 n) {
	EACH(i, n) {
		float sum = a[i];
		if (b) sum += b[i];
		if (c) sum += c[i];
		if (d) sum += d[i];
		y[i] = activated(act, sum);
	}
}

KERNEL(scale)(float factor, float *x, u32 n) {
	EACH(i, n) x[i] *= factor;
}

/* x (M,K), bias (K), residual (M,K) → the first K channels of y (M,step) = act(x + residual + bias) */
KERNEL(finish_convolution)(const float *x, const float *bias, const float *residual, float *y, u32 m, u32 k,
	u32 step, u32 act) {
	EACH(i, m * k) {
		u32 row = i / k, column = i % k;
		float v = x[i];
		if (residual) v += residual[i];
		if (bias) v += bias[column];
		y[row * step + column] = activated(act, v);
	}
}

FUNCTION u32 high(u32 a, u32 b) { return (u32)((u64)a * b >> 32); }

/* Philox4x32-10, as in the package philox: y = x·factor where the element's word is at least threshold, else 0. Where
 * step (2) is not missing, it holds the step in the place of step0 and step1: that of a captured launch changes. */
KERNEL(dropout)(const float *x, float *y, u32 key0, u32 key1, u32 step0, u32 step1, const u32 *step, u32 stream,
	u64 threshold, float factor, u32 n) {
	if (step) {
		step0 = step[0];
		step1 = step[1];
	}
	EACH(block, (n + 3) / 4) {
		u32 c[4] = {block, step0, step1, stream}, k0 = key0, k1 = key1;
		for (int round = 0; round < 10; round++) {
			u32 hi0 = high(0xd2511f53, c[0]), lo0 = 0xd2511f53 * c[0];
			u32 hi1 = high(0xcd9e8d57, c[2]), lo1 = 0xcd9e8d57 * c[2];
			c[0] = hi1 ^ c[1] ^ k0;
			c[1] = lo1;
			c[2] = hi0 ^ c[3] ^ k1;
			c[3] = lo0;
			k0 += 0x9e3779b9;
			k1 += 0xbb67ae85;
		}
		for (u32 j = 0; j < 4 && 4 * block + j < n; j++) {
			u32 i = 4 * block + j;
			y[i] = c[j] >= threshold ? x[i] * factor : 0;
		}
	}
}

/* ---- layout ---- */

KERNEL(copy_channels)(u32 m, u32 n, const float *src, u32 src_c, u32 src_off, float *dst, u32 dst_c, u32 dst_off) {
	EACH(i, m * n) {
		u32 row = i / n, column = i % n;
		dst[row * dst_c + dst_off + column] = src[row * src_c + src_off + column];
	}
}

/* x (N,rows,cols) → y (N,cols,rows) */
KERNEL(transpose)(const float *x, float *y, u32 n, u32 rows, u32 cols) {
	EACH(i, n * rows * cols) {
		u32 row = i % rows, column = i / rows % cols, matrix = i / rows / cols;
		y[i] = x[(matrix * rows + row) * cols + column];
	}
}

/* ---- bfloat16: the upper half of a float32 ---- */

typedef union {
	float value;
	u32 bits;
} word;

/* The nearest, of two the even one. A NaN stays one. */
FUNCTION u16 rounded(float x) {
	word w = {x};
	if (x != x) return (u16)(w.bits >> 16 | 0x40);
	return (u16)((w.bits + 0x7fff + (w.bits >> 16 & 1)) >> 16);
}

FUNCTION float widened(u16 x) {
	word w;
	w.bits = (u32)x << 16;
	return w.value;
}

/* x (rows,cols) → y (cols,rows) */
KERNEL(to_bfloat16)(const float *x, u16 *y, u32 rows, u32 cols) {
	EACH(i, rows * cols) y[i] = rounded(x[i % rows * cols + i / rows]);
}

/* x (rows,cols) → y (cols,rows) */
KERNEL(from_bfloat16)(const u16 *x, float *y, u32 rows, u32 cols) {
	EACH(i, rows * cols) y[i] = widened(x[i % rows * cols + i / rows]);
}

/* As finish_convolution. */
KERNEL(finish_bfloat16)(const u16 *x, const float *bias, const float *residual, float *y, u32 m, u32 k, u32 step, u32 act) {
	EACH(i, m * k) {
		u32 row = i / k, column = i % k;
		float v = widened(x[i]);
		if (residual) v += residual[i];
		if (bias) v += bias[column];
		y[row * step + column] = activated(act, v);
	}
}

/* ---- sums over rows ---- */

/* x (M,C) → partial (chunks,C), each the sum of the given number of rows */
KERNEL(sum_rows)(const float *x, float *partial, u32 m, u32 c, u32 rows, u32 chunks) {
	EACH(i, chunks * c) {
		u32 first = i / c * rows, last = first + rows < m ? first + rows : m;
		float sum = 0;
		for (u32 row = first; row < last; row++) sum += x[row * c + i % c];
		partial[i] = sum;
	}
}

/* Σ over chunks of partial (chunks,parts,C) */
FUNCTION double total(const float *partial, u32 chunks, u32 parts, u32 c, u32 part, u32 column) {
	double sum = 0;
	for (u32 chunk = 0; chunk < chunks; chunk++) sum += partial[(chunk * parts + part) * c + column];
	return sum;
}

/* partial (chunks,C) → folded (folds,C), the sums of every folds-th chunk: what one thread a column would be long about */
KERNEL(fold_chunks)(const float *partial, float *folded, u32 chunks, u32 c, u32 folds) {
	EACH(i, folds * c) {
		double sum = 0;
		for (u32 chunk = i / c; chunk < chunks; chunk += folds) sum += partial[chunk * c + i % c];
		folded[i] = (float)sum;
	}
}

/* partial (chunks,C) → y (C) */
KERNEL(sum_chunks)(const float *partial, float *y, u32 chunks, u32 c) {
	EACH(column, c) y[column] = (float)total(partial, chunks, 1, c, 0, column);
}

/* Σ of the squares of every count-th element of x (n), from the first on */
FUNCTION double squares(const float *x, u32 n, u32 first, u32 count) {
	double sum = 0;
	for (u32 i = first; i < n; i += count) sum += (double)x[i] * x[i];
	return sum;
}

/* Σ of every count-th element of x (n), from the first on */
FUNCTION double doubles(const double *x, u32 n, u32 first, u32 count) {
	double sum = 0;
	for (u32 i = first; i < n; i += count) sum += x[i];
	return sum;
}

/* x → partial (count), the sums of the squares of every count-th element */
KERNEL(sum_squares)(const float *x, double *partial, u32 n, u32 count) {
	EACH(i, count) partial[i] = squares(x, n, i, count);
}

/* x (n) → partial (count), the sums of every count-th element */
KERNEL(sum_doubles)(const double *x, double *partial, u32 n, u32 count) {
	EACH(i, count) partial[i] = doubles(x, n, i, count);
}

/* x (n) → y (1), by one thread */
KERNEL(finish_doubles)(const double *x, float *y, u32 n) {
	EACH(one, 1) y[one] = (float)doubles(x, n, 0, 1);
}

/* ---- batch norm ---- */

/* x (M,C) → shift (C), the mean of up to 16 rows, evenly spaced: a first guess at the mean */
KERNEL(guess_mean)(const float *x, float *shift, u32 m, u32 c) {
	u32 picked = m < 16 ? m : 16;
	EACH(column, c) {
		float sum = 0;
		for (u32 i = 0; i < picked; i++) sum += x[(u32)((u64)i * m / picked) * c + column] / (float)picked;
		shift[column] = sum;
	}
}

/* x (M,C), shift (C) → partial (chunks,2,C), the sums of x−shift and of its squares. With a shift near the mean nothing
 * cancels when the variance is made of them, whatever the mean. */
KERNEL(moments)(const float *x, const float *shift, float *partial, u32 m, u32 c, u32 rows, u32 chunks) {
	EACH(i, chunks * c) {
		u32 chunk = i / c, column = i % c, first = chunk * rows, last = first + rows < m ? first + rows : m;
		float sum = 0, squares = 0;
		for (u32 row = first; row < last; row++) {
			float d = x[row * c + column] - shift[column];
			sum += d;
			squares += d * d;
		}
		partial[2 * chunk * c + column] = sum;
		partial[(2 * chunk + 1) * c + column] = squares;
	}
}

/* partial, shift → mean, invstd (C), and the running statistics (C) moved where they are there */
KERNEL(finish_moments)(const float *partial, const float *shift, float *mean, float *invstd, float *running_mean,
	float *running_var, float momentum, float eps, u32 m, u32 c, u32 chunks) {
	EACH(column, c) {
		double off = total(partial, chunks, 2, c, 0, column) / m;
		double variance = total(partial, chunks, 2, c, 1, column) / m - off * off;
		if (variance < 0) variance = 0;
		double mu = shift[column] + off;
		mean[column] = (float)mu;
		invstd[column] = (float)(1 / __builtin_sqrt(variance + eps));
		if (running_mean) {
			double keep = 1 - (double)momentum, move = momentum, bessel = (double)m / (m > 1 ? m - 1 : 1);
			running_mean[column] = (float)(keep * running_mean[column] + move * mu);
			running_var[column] = (float)(keep * running_var[column] + move * variance * bessel);
		}
	}
}

KERNEL(inverse_deviation)(const float *variance, float *invstd, float eps, u32 c) {
	EACH(column, c) invstd[column] = (float)(1 / __builtin_sqrt((double)variance[column] + eps));
}

/* What forward computes, and what backward must find again to the bit, for the slope of the activation behind it. */
FUNCTION float normalized(float x, float mean, float factor, float beta) { return (x - mean) * factor + beta; }

/* y = act((x−mean)·invstd·gamma + beta + residual); residual may be missing. */
KERNEL(normalize)(const float *x, const float *mean, const float *invstd, const float *gamma, const float *beta,
	const float *residual, float *y, u32 act, u32 m, u32 c) {
	EACH(i, m * c) {
		u32 column = i % c;
		float v = normalized(x[i], mean[column], invstd[column] * gamma[column], beta[column]);
		if (residual) v += residual[i];
		y[i] = activated(act, v);
	}
}

/* dy, x (M,C) → partial (chunks,2,C), the sums of g and of g·(x−mean), g being dy times the activation's slope */
KERNEL(project)(const float *dy, const float *x, const float *mean, const float *invstd, const float *gamma,
	const float *beta, float *partial, u32 act, u32 m, u32 c, u32 rows, u32 chunks) {
	EACH(i, chunks * c) {
		u32 chunk = i / c, column = i % c, first = chunk * rows, last = first + rows < m ? first + rows : m;
		float mu = mean[column], factor = invstd[column] * gamma[column], sum = 0, projection = 0;
		for (u32 row = first; row < last; row++) {
			float v = x[row * c + column];
			float g = gated(act, normalized(v, mu, factor, beta[column]), dy[row * c + column]);
			sum += g;
			projection += g * (v - mu);
		}
		partial[2 * chunk * c + column] = sum;
		partial[(2 * chunk + 1) * c + column] = projection;
	}
}

KERNEL(finish_projection)(const float *partial, const float *invstd, float *dgamma, float *dbeta, u32 c, u32 chunks) {
	EACH(column, c) {
		dbeta[column] = (float)total(partial, chunks, 2, c, 0, column);
		dgamma[column] = (float)(total(partial, chunks, 2, c, 1, column) * invstd[column]);
	}
}

/* dx = gamma·invstd·(g − dbeta/M − xhat·dgamma/M) */
KERNEL(normalize_backward)(const float *dy, const float *x, const float *mean, const float *invstd, const float *gamma,
	const float *beta, const float *dgamma, const float *dbeta, float *dx, u32 act, u32 m, u32 c) {
	EACH(i, m * c) {
		u32 column = i % c;
		float mu = mean[column], factor = invstd[column] * gamma[column];
		float g = gated(act, normalized(x[i], mu, factor, beta[column]), dy[i]);
		float a = dbeta[column] / (float)m, b = dgamma[column] / (float)m * invstd[column];
		dx[i] = factor * (g - a - (x[i] - mu) * b);
	}
}

/* dx = gamma·invstd·dy */
KERNEL(scale_columns)(const float *dy, const float *invstd, const float *gamma, float *dx, u32 m, u32 c) {
	EACH(i, m * c) dx[i] = invstd[i % c] * gamma[i % c] * dy[i];
}

/* ---- pooling ---- */

/* The windows [first, last) of an axis of n input elements that hold element i: those p with p·stride−pad ≤ i and
 * i < p·stride−pad+size. */
FUNCTION int first_window(int i, int pad, int stride, int size) {
	int over = i + pad - size + 1;
	return over <= 0 ? 0 : (over + stride - 1) / stride;
}
FUNCTION int last_window(int i, int pad, int stride, int outputs) {
	int last = (i + pad) / stride + 1;
	return last < outputs ? last : outputs;
}
FUNCTION int at_least(int v, int lo) { return v > lo ? v : lo; }
FUNCTION int at_most(int v, int hi) { return v < hi ? v : hi; }

/* x (N,H,W,C) → y (N,P,Q,C); a NaN wins. */
KERNEL(max_pool)(const float *x, float *y, u32 n, int h, int w, u32 c, int p, int q, int r, int s, int stride_h, int stride_w,
	int pad_h, int pad_w) {
	EACH(i, n * (u32)p * (u32)q * c) {
		u32 position = i / c, channel = i % c, picture = position / (u32)(p * q);
		int row = (int)(position / (u32)q % (u32)p) * stride_h - pad_h, column = (int)(position % (u32)q) * stride_w - pad_w;
		float top = -__builtin_inff();
		for (int a = at_least(row, 0); a < at_most(row + r, h); a++)
			for (int b = at_least(column, 0); b < at_most(column + s, w); b++) {
				float v = x[((picture * (u32)h + (u32)a) * (u32)w + (u32)b) * c + channel];
				if (v > top || v != v) top = v;
			}
		y[i] = top;
	}
}

FUNCTION int same(float a, float b) { return a == b || (a != a && b != b); }

/* Each element of dx gathers the dy of the windows in which it is the first that equals y, so nothing depends on the order
 * in which threads run. */
KERNEL(max_pool_backward)(const float *x, const float *y, const float *dy, float *dx, u32 n, int h, int w, u32 c, int p,
	int q, int r, int s, int stride_h, int stride_w, int pad_h, int pad_w) {
	EACH(i, n * (u32)h * (u32)w * c) {
		u32 position = i / c, channel = i % c, picture = position / (u32)(h * w);
		int row = (int)(position / (u32)w % (u32)h), column = (int)(position % (u32)w);
		const float *from = x + picture * (u32)(h * w) * c + channel;
		float v = x[i], sum = 0;
		for (int j = first_window(row, pad_h, stride_h, r); j < last_window(row, pad_h, stride_h, p); j++)
			for (int k = first_window(column, pad_w, stride_w, s); k < last_window(column, pad_w, stride_w, q); k++) {
				u32 at = ((picture * (u32)p + (u32)j) * (u32)q + (u32)k) * c + channel;
				if (!same(v, y[at])) continue;
				int earlier = 0; /* whether an element before this one equals y too */
				int left = at_least(k * stride_w - pad_w, 0), right = at_most(k * stride_w - pad_w + s, w);
				for (int a = at_least(j * stride_h - pad_h, 0); a <= row && !earlier; a++)
					for (int b = left; b < (a < row ? right : column) && !earlier; b++)
						earlier = same(from[(u32)(a * w + b) * c], v);
				if (!earlier) sum += dy[at];
			}
		dx[i] = sum;
	}
}

KERNEL(average_pool)(const float *x, float *y, u32 n, int h, int w, u32 c, int p, int q, int r, int s, int stride_h,
	int stride_w, int pad_h, int pad_w) {
	EACH(i, n * (u32)p * (u32)q * c) {
		u32 position = i / c, channel = i % c, picture = position / (u32)(p * q);
		int row = (int)(position / (u32)q % (u32)p) * stride_h - pad_h, column = (int)(position % (u32)q) * stride_w - pad_w;
		float sum = 0;
		for (int a = at_least(row, 0); a < at_most(row + r, h); a++)
			for (int b = at_least(column, 0); b < at_most(column + s, w); b++)
				sum += x[((picture * (u32)h + (u32)a) * (u32)w + (u32)b) * c + channel];
		y[i] = sum / (float)(r * s);
	}
}

KERNEL(average_pool_backward)(const float *dy, float *dx, u32 n, int h, int w, u32 c, int p, int q, int r, int s,
	int stride_h, int stride_w, int pad_h, int pad_w) {
	EACH(i, n * (u32)h * (u32)w * c) {
		u32 position = i / c, channel = i % c, picture = position / (u32)(h * w);
		int row = (int)(position / (u32)w % (u32)h), column = (int)(position % (u32)w);
		float sum = 0;
		for (int j = first_window(row, pad_h, stride_h, r); j < last_window(row, pad_h, stride_h, p); j++)
			for (int k = first_window(column, pad_w, stride_w, s); k < last_window(column, pad_w, stride_w, q); k++)
				sum += dy[((picture * (u32)p + (u32)j) * (u32)q + (u32)k) * c + channel];
		dx[i] = sum / (float)(r * s);
	}
}

/* Output p of an adaptive pooling averages the inputs [p·n/outputs, ceil((p+1)·n/outputs)). */
FUNCTION int adaptive_first(int p, int n, int outputs) { return p * n / outputs; }
FUNCTION int adaptive_last(int p, int n, int outputs) { return ((p + 1) * n + outputs - 1) / outputs; }

KERNEL(adaptive_pool)(const float *x, float *y, u32 n, int h, int w, u32 c, int p, int q) {
	EACH(i, n * (u32)p * (u32)q * c) {
		u32 position = i / c, channel = i % c, picture = position / (u32)(p * q);
		int row = (int)(position / (u32)q % (u32)p), column = (int)(position % (u32)q);
		int top = adaptive_first(row, h, p), bottom = adaptive_last(row, h, p);
		int left = adaptive_first(column, w, q), right = adaptive_last(column, w, q);
		double sum = 0;
		for (int a = top; a < bottom; a++)
			for (int b = left; b < right; b++) sum += x[((picture * (u32)h + (u32)a) * (u32)w + (u32)b) * c + channel];
		y[i] = (float)(sum / ((bottom - top) * (right - left)));
	}
}

KERNEL(adaptive_pool_backward)(const float *dy, float *dx, u32 n, int h, int w, u32 c, int p, int q) {
	EACH(i, n * (u32)h * (u32)w * c) {
		u32 position = i / c, channel = i % c, picture = position / (u32)(h * w);
		int row = (int)(position / (u32)w % (u32)h), column = (int)(position % (u32)w);
		double sum = 0;
		/* Window j holds the row where j·h/p ≤ row < (j+1)·h/p, rounded outwards: from row·p/h to (row+1)·p/h. */
		for (int j = row * p / h; j < p && adaptive_first(j, h, p) <= row; j++) {
			int rows = adaptive_last(j, h, p) - adaptive_first(j, h, p);
			for (int k = column * q / w; k < q && adaptive_first(k, w, q) <= column; k++) {
				int columns = adaptive_last(k, w, q) - adaptive_first(k, w, q);
				sum += (double)dy[((picture * (u32)p + (u32)j) * (u32)q + (u32)k) * c + channel] / (rows * columns);
			}
		}
		dx[i] = (float)sum;
	}
}

/* ---- convolutions of several groups, directly ---- */

/* x (N,H,W,C), w (R,S,C/G,K), bias (K), residual (N,P,Q,K) → the first K channels of y (N,P,Q,step) */
KERNEL(group_convolution)(const float *x, const float *w, const float *bias, const float *residual, float *y, u32 n, int h,
	int wide, u32 c, u32 k, int p, int q, int r, int s, int stride_h, int stride_w, int pad_h, int pad_w, u32 groups, u32 step,
	u32 act) {
	u32 cg = c / groups, kg = k / groups;
	EACH(i, n * (u32)p * (u32)q * k) {
		u32 position = i / k, output = i % k, picture = position / (u32)(p * q), input = output / kg * cg;
		int row = (int)(position / (u32)q % (u32)p) * stride_h - pad_h, column = (int)(position % (u32)q) * stride_w - pad_w;
		float sum = 0;
		for (int a = at_least(row, 0); a < at_most(row + r, h); a++)
			for (int b = at_least(column, 0); b < at_most(column + s, wide); b++) {
				const float *pixel = x + ((picture * (u32)h + (u32)a) * (u32)wide + (u32)b) * c + input;
				const float *tap = w + (u32)((a - row) * s + b - column) * cg * k + output;
				for (u32 j = 0; j < cg; j++) sum += pixel[j] * tap[j * k];
			}
		if (residual) sum += residual[i];
		if (bias) sum += bias[output];
		y[position * step + output] = activated(act, sum);
	}
}

/* w (R,S,C/G,K), dy (N,P,Q,K) → dx (N,H,W,C) */
KERNEL(group_convolution_data)(const float *w, const float *dy, float *dx, u32 n, int h, int wide, u32 c, u32 k, int p, int q,
	int r, int s, int stride_h, int stride_w, int pad_h, int pad_w, u32 groups) {
	u32 cg = c / groups, kg = k / groups;
	EACH(i, n * (u32)h * (u32)wide * c) {
		u32 position = i / c, channel = i % c, picture = position / (u32)(h * wide), output = channel / cg * kg;
		int row = (int)(position / (u32)wide % (u32)h), column = (int)(position % (u32)wide);
		float sum = 0;
		for (int a = first_window(row, pad_h, stride_h, r); a < last_window(row, pad_h, stride_h, p); a++)
			for (int b = first_window(column, pad_w, stride_w, s); b < last_window(column, pad_w, stride_w, q); b++) {
				u32 tap = (u32)((row + pad_h - a * stride_h) * s + column + pad_w - b * stride_w);
				const float *weights = w + (tap * cg + channel % cg) * k + output;
				const float *from = dy + ((picture * (u32)p + (u32)a) * (u32)q + (u32)b) * k + output;
				for (u32 j = 0; j < kg; j++) sum += weights[j] * from[j];
			}
		dx[i] = sum;
	}
}

/* x (N,H,W,C), dy (N,P,Q,K) → partial (chunks,R·S·C/G·K), each the sum over the given number of positions of dy */
KERNEL(group_convolution_weights)(const float *x, const float *dy, float *partial, u32 n, int h, int wide, u32 c, u32 k, int p,
	int q, int r, int s, int stride_h, int stride_w, int pad_h, int pad_w, u32 groups, u32 rows, u32 chunks) {
	u32 cg = c / groups, kg = k / groups, len = (u32)(r * s) * cg * k, m = n * (u32)(p * q);
	EACH(i, chunks * len) {
		u32 output = i % k, tap = i % len / k / cg, channel = output / kg * cg + i % len / k % cg;
		int up = (int)(tap / (u32)s) - pad_h, left = (int)(tap % (u32)s) - pad_w;
		u32 first = i / len * rows, last = first + rows < m ? first + rows : m;
		float sum = 0;
		for (u32 position = first; position < last; position++) {
			u32 picture = position / (u32)(p * q);
			int a = (int)(position / (u32)q % (u32)p) * stride_h + up, b = (int)(position % (u32)q) * stride_w + left;
			if (a >= 0 && a < h && b >= 0 && b < wide)
				sum += x[((picture * (u32)h + (u32)a) * (u32)wide + (u32)b) * c + channel] * dy[position * k + output];
		}
		partial[i] = sum;
	}
}

/* ---- loss ---- */

FUNCTION double of_bits(u64 bits) {
	double v;
	__builtin_memcpy(&v, &bits, sizeof v);
	return v;
}

/* exp(x) for x ≤ 0, to about one unit in the last place: x = n·log 2 + r with |r| ≤ log(2)/2, of whose exponential the
 * Taylor polynomial of degree 13 leaves 4e-18. log 2 is cut in two, so that n times the first part is exact. */
FUNCTION double exponential(double x) {
	if (!(x > -745)) return x == x ? 0 : x;
	int n = (int)(x * 1.4426950408889634 - 0.5);
	double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
	double sum = 1;
	for (int i = 13; i > 0; i--) sum = 1 + sum * (r * (1.0 / i));
	int half = n / 2;
	return sum * of_bits((u64)(half + 1023) << 52) * of_bits((u64)(n - half + 1023) << 52);
}

/* log(x) for x ≥ 1: x = m·2^e with m in [1/√2, √2), and log m = 2·artanh((m−1)/(m+1)), whose series after 11 terms leaves
 * 1e-18. */
FUNCTION double logarithm(double x) {
	if (!(x < 1e300)) return x;
	u64 bits;
	__builtin_memcpy(&bits, &x, sizeof bits);
	int e = (int)(bits >> 52) - 1023;
	double m = of_bits((bits & 0xfffffffffffffULL) | 0x3ff0000000000000ULL);
	if (m > 1.4142135623730951) {
		m /= 2;
		e++;
	}
	double t = (m - 1) / (m + 1), square = t * t, sum = 0;
	for (int i = 21; i > 0; i -= 2) sum = sum * square + 1.0 / i;
	return 2 * t * sum + e * 0.6931471805599453;
}

FUNCTION double class_weight(const float *weights, u32 j) { return weights ? weights[j] : 1; }

/* The class that a label holds, or classes where it holds none: then the loss is NaN. */
FUNCTION u32 class_of(float label, u32 classes) { return label >= 0 && label < (float)classes ? (u32)label : classes; }

/* logits (N,classes) → prob (N,classes), and terms (N,2): each picture's part of the loss's numerator and divisor */
KERNEL(cross_entropy)(const float *logits, const float *labels, const float *weights, float *prob, double *terms,
	float smoothing, u32 n, u32 classes) {
	EACH(picture, n) {
		const float *row = logits + picture * classes;
		float top = -__builtin_inff();
		for (u32 j = 0; j < classes; j++)
			if (row[j] > top || row[j] != row[j]) top = row[j];
		double sum = 0;
		for (u32 j = 0; j < classes; j++) sum += exponential((double)row[j] - top);
		for (u32 j = 0; j < classes; j++) prob[picture * classes + j] = (float)(exponential((double)row[j] - top) / sum);
		double log_sum = top + logarithm(sum);
		u32 label = class_of(labels[picture], classes);
		double weight = label < classes ? class_weight(weights, label) : __builtin_nan("");
		double term = label < classes ? (1 - (double)smoothing) * weight * (log_sum - row[label]) : 0;
		if (smoothing != 0) {
			double spread = 0;
			for (u32 j = 0; j < classes; j++) spread += class_weight(weights, j) * (log_sum - row[j]);
			term += (double)smoothing / classes * spread;
		}
		terms[2 * picture] = term;
		terms[2 * picture + 1] = weight;
	}
}

/* terms (n,2), or sums of them → loss (1), by one thread */
KERNEL(finish_cross_entropy)(const double *terms, float *loss, u32 n) {
	EACH(one, 1) loss[one] = (float)(doubles(terms, 2 * n, 0, 2) / doubles(terms, 2 * n, 1, 2));
}

/* → partial (count,2): the sums over every count-th picture of w[label], and over every count-th class of w */
KERNEL(sum_weights)(const float *labels, const float *weights, double *partial, u32 n, u32 classes, u32 count) {
	EACH(i, count) {
		double divisor = 0, all = 0;
		for (u32 j = i; j < n; j += count) {
			u32 label = class_of(labels[j], classes);
			divisor += label < classes ? class_weight(weights, label) : __builtin_nan("");
		}
		for (u32 j = i; j < classes; j += count) all += class_weight(weights, j);
		partial[2 * i] = divisor;
		partial[2 * i + 1] = all;
	}
}

/* logits (N,classes), labels (N) → right (N), 1 where the greatest logit, the first of equals, is the label's, else 0 */
KERNEL(right_answers)(const float *logits, const float *labels, double *right, u32 n, u32 classes) {
	EACH(picture, n) {
		const float *row = logits + picture * classes;
		u32 best = 0;
		for (u32 j = 1; j < classes; j++)
			if (row[j] > row[best]) best = j;
		right[picture] = class_of(labels[picture], classes) == best;
	}
}

/* prob (N,classes), sums (2) → dlogits (N,classes) */
KERNEL(cross_entropy_backward)(const float *prob, const float *labels, const float *weights, const double *sums,
	float *dlogits, float factor, float smoothing, u32 n, u32 classes) {
	EACH(i, n * classes) {
		u32 label = class_of(labels[i / classes], classes), j = i % classes;
		double hard = label < classes ? (1 - (double)smoothing) * class_weight(weights, label) : 0;
		double p = prob[i], g = hard * p + (double)smoothing / classes * (p * sums[1] - class_weight(weights, j));
		if (j == label) g -= hard;
		dlogits[i] = (float)(factor / sums[0] * g);
	}
}

/* ---- optimizers ---- */

/* v may be missing. */
FUNCTION void sgd_step(float *w, float g, float *v, float rate, float momentum, float decay, u32 nesterov) {
	float gradient = g + decay * *w, step = gradient;
	if (v) {
		float velocity = momentum * *v + gradient;
		*v = velocity;
		step = nesterov ? gradient + momentum * velocity : velocity;
	}
	*w -= rate * step;
}

KERNEL(sgd)(float *w, const float *g, float *v, float rate, float momentum, float decay, u32 nesterov, u32 n) {
	EACH(i, n) sgd_step(w + i, g[i], v ? v + i : v, rate, momentum, decay, nesterov);
}

/* w ← shrink·w − rate·m/(√v·unbias + eps), of the moments m ← keep1·m + new1·g and v ← keep2·v + new2·g², g ← g + decay·w */
FUNCTION void adam_step(float *w, float g, float *m, float *v, float keep1, float new1, float keep2, float new2, float rate,
	float unbias, float eps, float decay, float shrink) {
	float gradient = g + decay * *w;
	float first = keep1 * *m + new1 * gradient, second = keep2 * *v + new2 * gradient * gradient;
	*m = first;
	*v = second;
	*w = shrink * *w - rate * first / (__builtin_sqrtf(second) * unbias + eps);
}

KERNEL(adam)(float *w, const float *g, float *m, float *v, float keep1, float new1, float keep2, float new2, float rate,
	float unbias, float eps, float decay, float shrink, u32 n) {
	EACH(i, n) adam_step(w + i, g[i], m + i, v + i, keep1, new1, keep2, new2, rate, unbias, eps, decay, shrink);
}

/* ---- optimizers, of all parameters at once ---- */

/* A table has a row for each parameter: the addresses of w, g, m or v, and v, of which those of moments may be null, how
 * many elements each has, and from which place on the sums of its squares stand. Settings, which are others in each
 * step, have a row for each too. A launch works through pieces: (parameter, first element) of PIECE elements, or fewer at a
 * parameter's end. */
enum { W, G, M, V, LEN, SUMS, ROW };
enum { SETTINGS = 9, PIECE = 1024, CHUNKS = 128 };

/* The settings of a row: rate, momentum, decay, nesterov. */
KERNEL(sgd_all)(const u64 *table, const u32 *pieces, const float *settings, const float *factor, u32 count) {
	EACH(i, count) {
		const u32 *piece = pieces + i / PIECE * 2;
		const u64 *row = table + piece[0] * ROW;
		const float *set = settings + piece[0] * SETTINGS;
		u32 at = piece[1] + i % PIECE, n = (u32)row[LEN];
		if (at >= n) continue;
		float *v = ELEMENTS(row[M], n), g = ELEMENTS(row[G], n)[at];
		if (factor) g *= *factor;
		sgd_step(ELEMENTS(row[W], n) + at, g, v ? v + at : v, set[0], set[1], set[2], set[3] != 0);
	}
}

/* The settings of a row: those of adam, in its order. */
KERNEL(adam_all)(const u64 *table, const u32 *pieces, const float *settings, const float *factor, u32 count) {
	EACH(i, count) {
		const u32 *piece = pieces + i / PIECE * 2;
		const u64 *row = table + piece[0] * ROW;
		const float *set = settings + piece[0] * SETTINGS;
		u32 at = piece[1] + i % PIECE, n = (u32)row[LEN];
		if (at >= n) continue;
		float g = ELEMENTS(row[G], n)[at];
		if (factor) g *= *factor;
		adam_step(ELEMENTS(row[W], n) + at, g, ELEMENTS(row[M], n) + at, ELEMENTS(row[V], n) + at, set[0], set[1], set[2], set[3],
			set[4], set[5], set[6], set[7], set[8]);
	}
}

/* table of that many parameters → partial (count), each gradient's part as sum_squares makes it */
KERNEL(sum_squares_all)(const u64 *table, double *partial, u32 parameters, u32 count) {
	EACH(i, count) {
		u32 lo = 0, hi = parameters; /* the last parameter whose sums begin at i or before is in [lo, hi) */
		while (hi - lo > 1) {
			u32 mid = (lo + hi) / 2;
			if (table[mid * ROW + SUMS] <= i)
				lo = mid;
			else
				hi = mid;
		}
		const u64 *row = table + lo * ROW;
		u32 n = (u32)row[LEN], first = (u32)row[SUMS];
		u32 sums = (lo + 1 < parameters ? (u32)row[ROW + SUMS] : count) - first;
		partial[i] = squares(ELEMENTS(row[G], n), n, i - first, sums);
	}
}

/* partial (count) → sums (parameters,CHUNKS), each gradient's as sum_doubles makes them */
KERNEL(sum_partial_all)(const u64 *table, const double *partial, double *sums, u32 parameters, u32 count) {
	EACH(i, parameters * CHUNKS) {
		const u64 *row = table + i / CHUNKS * ROW;
		u32 first = (u32)row[SUMS], last = i / CHUNKS + 1 < parameters ? (u32)row[ROW + SUMS] : count;
		sums[i] = doubles(partial + first, last - first, i % CHUNKS, CHUNKS);
	}
}

/* sums (parameters,CHUNKS) → total (parameters) */
KERNEL(sum_chunks_all)(const double *sums, double *total, u32 parameters) {
	EACH(i, parameters) total[i] = doubles(sums + i * CHUNKS, CHUNKS, 0, 1);
}

/* total (parameters), the bits of a limit → factor (1), what the gradients are scaled by: kernels.ClipFactor, or 1. By one
 * thread. */
KERNEL(clip_factor)(const double *total, float *factor, u64 limit, u32 parameters) {
	EACH(one, 1) {
		double f = of_bits(limit) / (__builtin_sqrt(doubles(total, parameters, 0, 1)) + 1e-6);
		factor[one] = f >= 1 ? 1 : (float)f;
	}
}
