package cpu

// scratch is memory that an operation needs while it runs, kept between calls so that the steady state does not
// allocate. What a field held before is not cleared. No operation has two uses of one at a time.
type scratch struct {
	weights  []float32    // weights as an operation wants them: panels, Winograd's filters or sums, turned taps (shared)
	partial  []float32    // partial sums of gradients, a result before its residual is added (shared)
	factors  []float32    // of the columns of a batch norm (shared)
	squares  []squareSums // partial sums of squares (shared)
	band     []float32    // zero-padded input rows, or Winograd's transformed tiles (per worker)
	panel    []float32    // the zero-padded last panel of a block (per worker); zeros for a bias (shared)
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
