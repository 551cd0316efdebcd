package cpu

// scratch is memory that an operation needs while it runs, kept between calls so that the steady state does not
// allocate. Each field belongs to one use; what it held before is not cleared.
type scratch struct {
	weights []float32 // packed panels of weights (shared)
	partial []float32 // partial sums of gradients (shared)
	band    []float32 // zero-padded input rows (per worker)
	panel   []float32 // the zero-padded last panel of a block (per worker)
}

// grow returns *b with at least n elements, kept for the next call.
func grow(b *[]float32, n int) []float32 {
	if cap(*b) < n {
		*b = aligned(n)
	}
	return (*b)[:n]
}
