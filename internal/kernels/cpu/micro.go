package cpu

// The micro-kernels: what differs between the paths. Strides and counts are in elements. Asm stubs carry the exact
// loop; generic.go is the portable version.
//
// One tile of gemm or outer is a few rows and one panel of columns. All versions of a path do the same operations for an
// element, whatever the size of the tile, so drivers may cut tiles as they like.
type (
	// gemmFunc computes a tile of C (rows × width) = A·B, B a packed panel [taps·run][width]. A row of A is taps runs
	// that stand tap apart. The tile is added to what C holds, then bias and bounds are applied where bias is not nil;
	// only the columns of mask are written. next is memory to prefetch. taps may be 0.
	gemmFunc func(a, b, c, bias, next *float32, lda, tap, taps, run, ldc int, mask uint32, accumulate bool, lo, hi float32)

	// outerFunc computes a tile of C (rows × width) as a sum over pixels of the outer products of rows neighbouring
	// elements of A and width of B. Any count may be 0.
	outerFunc func(a, b, c *float32, lda, ldb, pixels, rowA, rowB, rows, imageA, imageB, images, ldc int, mask uint32, accumulate bool)

	// dotFunc computes the inner products of a few rows of x with 1 or 4 rows of w, n elements long. next is as many rows,
	// ldw apart: kernels of more than 2 rows of x and 4 of w prefetch a line of each at every vector's step, which goes
	// pace bytes further; the others leave it alone.
	dotFunc func(x, w, y, next *float32, ldx, ldw, ldy, n, pace int, accumulate bool)

	// combineFunc computes a tile of C (rows × width) = A·B, the rows of B ldb apart. The tile is added to what C holds
	// where accumulate says so; only the columns of mask are written. next is as many rows, ldb apart, to prefetch.
	combineFunc func(a, b, c, next *float32, lda, ldb, ldc, n int, mask uint32, accumulate bool)

	// depthwiseFunc convolves some neighbouring pixels of a row with one filter a channel. It prefetches as many pixels of y
	// from aheadY after y on, and fetch times as many of x, tapX apart, from aheadX after x on; where fetch is 0, nothing.
	depthwiseFunc func(x, w, y, bias *float32, stepX, tapX, rowX, tapW, rowW, stepY, rows, taps, channels, aheadX, aheadY, fetch int, lo, hi float32)

	// depthwiseOuterFunc adds to dw the gradient of a few neighbouring taps of a filter, summed over rows of pixels.
	depthwiseOuterFunc func(x, dy, dw *float32, stepX, tapX, rowX, stepY, rowY, tapW, rows, pixels, channels int)

	// squareFunc transforms squares of values, one a channel, for Winograd's convolution; between is scratch memory.
	squareFunc func(src, dst, between *float32, srcRow, srcColumn, dstRow, dstColumn, channels int)

	// finishFunc is squareFunc, with what dst holds added where accumulate says so, then bias and bounds where bias is not
	// nil.
	finishFunc func(src, dst, between, bias *float32, srcRow, srcColumn, dstRow, dstColumn, channels int, accumulate bool, lo, hi float32)

	// transposeFunc transposes a square.
	transposeFunc func(src, dst *float32, lds, ldd int)

	// peakFunc does n rounds of multiply-adds that need no memory and do not wait for each other.
	peakFunc func(n int)
)

// Upper bounds of the micro-kernels of all paths.
const (
	maxRows    = 14
	maxWidth   = 32
	maxDot     = 4          // rows of x that dot takes at once
	dotCols    = 4          // rows of w that dot takes at once, beside 1
	maxPixel   = 8          // pixels that depthwise computes at once
	maxTap     = 5          // taps that depthwiseOuter sums at once
	maxBetween = 6 * 6 * 16 // elements of scratch memory that squareFunc needs
)

// micro is the micro-kernels of one path. Tables are indexed by their number of rows, pixels or taps.
type micro struct {
	peak      peakFunc
	peakFlops int // floating-point operations of a round of peak

	rows  int    // tallest tile
	width [2]int // columns of a narrow and of a wide panel
	gemm  [2][maxRows + 1]gemmFunc
	outer [2][maxRows + 1]outerFunc

	combine [2][maxRows + 1]combineFunc

	dotRows int                 // most rows of x
	dot     [maxDot + 1]dotFunc // with dotCols rows of w
	dot1    [maxDot + 1]dotFunc // with one

	depthwise      [maxPixel + 1]depthwiseFunc
	depthwiseOuter [maxTap + 1]depthwiseOuterFunc

	winograd2, winograd4 winogradKernels // F(2×2,3×3) and F(4×4,3×3)

	side      int // of the squares that transpose takes
	transpose transposeFunc
}

// winogradKernels are the transforms of one of Winograd's convolutions.
type winogradKernels struct {
	input  squareFunc // pictures
	filter squareFunc // weights
	output finishFunc // products

	gradient squareFunc // gradients of results
	weights  squareFunc // products, to the gradient of weights
}

// panels describes how cols columns are cut into packed panels: wide ones, and a narrow one where that holds the rest.
// Panels are padded with zeros.
type panels struct {
	width [2]int
	cols  int
}

// count is the number of panels.
func (p panels) count() int { return (p.cols + p.width[1] - 1) / p.width[1] }

// panel returns which kernels panel i needs (0 for narrow), and the columns that are its own.
func (p panels) panel(i int) (kind, cols int) {
	cols = min(p.cols-i*p.width[1], p.width[1])
	if cols <= p.width[0] {
		return 0, cols
	}
	return 1, cols
}

// padded is the number of columns with the padding.
func (p panels) padded() int {
	last := p.count() - 1
	kind, _ := p.panel(last)
	return last*p.width[1] + p.width[kind]
}

// mask has a bit for each of the lowest n columns.
func mask(n int) uint32 { return uint32(1<<n - 1) }
