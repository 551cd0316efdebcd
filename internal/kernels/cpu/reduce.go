package cpu

import (
	"unsafe"

	"github.com/ftrun/ftrun/internal/kernels"
)

// A sum over M rows is cut into chunks of reduceRows rows, and the columns into blocks that the kernels take; chunks are
// summed in float32 and added in float64, in order. So the sum is the same for any number of threads, and errs like one
// over reduceRows terms however many rows there are.
const reduceRows = 256

// reduce runs kernel for each chunk of rows and block of columns, spread over the threads. kernel gets the element of the
// arrays where the block begins, its first column, its rows and columns, and where its results go: the first for sums of one
// kind, the others of a chunk following at distances of c. It returns the results of all chunks, [chunk][kind][c].
func (d *Device) reduce(m, c, kinds int, kernel func(first, column, rows, n int, sums *float32)) []float32 {
	s := d.streams()
	chunks := (m + reduceRows - 1) / reduceRows
	wide := c / s.wide
	blocks := wide + (c-wide*s.wide+s.narrow-1)/s.narrow
	partial := grow(&d.shared.partial, chunks*kinds*c)
	d.eachUnit(chunks*blocks, min(reduceRows, m)*min(c, s.wide), func(unit int) {
		chunk, block := unit/blocks, unit%blocks
		column, n := block*s.wide, s.wide
		if block >= wide {
			column = wide*s.wide + (block-wide)*s.narrow
			n = min(s.narrow, c-column)
		}
		row := chunk * reduceRows
		kernel(row*c+column, column, min(reduceRows, m-row), n, &partial[chunk*kinds*c+column])
	})
	return partial
}

// total adds the results of one kind of all chunks for column j.
func total(partial []float32, kinds, c, kind, j int) float64 {
	sum := 0.0
	for i := kind*c + j; i < len(partial); i += kinds * c {
		sum += float64(partial[i])
	}
	return sum
}

// SumRows: x (M,C) → y (C) = Σ_m x.
func (d *Device) SumRows(m, c int, x, y kernels.Buffer) error {
	xs, ys := floats(x, m*c), floats(y, c)
	s := d.streams()
	partial := d.reduce(m, c, 1, func(first, _, rows, n int, sums *float32) {
		s.sumColumns.of(n, s)(&xs[first], sums, rows, c, n)
	})
	for j := range ys {
		ys[j] = float32(total(partial, 1, c, 0, j))
	}
	return nil
}

// SumSquares: x → Σ x², in float64. Chunks of callElements elements are added in order.
func (d *Device) SumSquares(x kernels.Buffer) (float64, error) {
	xs := floats(x, x.Len())
	chunks := (len(xs) + callElements - 1) / callElements
	sums := make([]float64, chunks)
	s := d.streams()
	d.eachUnit(chunks, callElements, func(chunk int) {
		part := xs[chunk*callElements : min((chunk+1)*callElements, len(xs))]
		whole := len(part) / s.squareLanes * s.squareLanes
		var lanes [maxSquareLanes]float64
		s.sumSquares(unsafe.SliceData(part), &lanes[0], whole)
		for i, v := range part[whole:] {
			lanes[i] += float64(v) * float64(v)
		}
		for _, v := range lanes {
			sums[chunk] += v
		}
	})
	sum := 0.0
	for _, v := range sums {
		sum += v
	}
	return sum, nil
}
