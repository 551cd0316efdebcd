package cpu

// scratch is memory that an operation needs while it runs, kept between calls so that the steady state does not
// allocate. Each field belongs to one use; what it held before is not cleared.
type scratch struct {
	weights  []float32    // packed panels of weights (shared)
	partial  []float32    // partial sums of gradients (shared)
	factors  []float32    // of the columns of a batch norm (shared)
	squares  []squareSums // partial sums of squares (shared)
	band     []float32    // zero-padded input rows (per worker)
	panel    []float32    // the zero-padded last panel of a block (per worker)
	segments []segment    // tiles of a band (per worker)
	maxima   []int32      // where the windows of some rows have their maxima (per worker)

	// Of Winograd's convolution: transformed input (shared), transformed filters of a panel, products of a panel, a tile
	// at the edge of a picture, and what lies between the two halves of a transform (per worker).
	winograd, filters, products, edge, between []float32
}

// grow returns *b with at least n elements, kept for the next call.
func grow(b *[]float32, n int) []float32 {
	if cap(*b) < n {
		*b = aligned(n)
	}
	return (*b)[:n]
}

// keep is grow for a buffer that is already filled up to used.
func keep(b *[]float32, used, n int) []float32 {
	if cap(*b) < n {
		bigger := aligned(n)
		copy(bigger, (*b)[:used])
		*b = bigger
	}
	return (*b)[:n]
}
