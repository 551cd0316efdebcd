package cpu

import (
	"unsafe"

	"github.com/ftrun/ftrun/internal/kernels"
)

// A sum over M rows is cut into chunks of reduceRows rows, and the columns into blocks that the kernels take; chunks are
// summed in float32 and added in float64, in order. So the sum is the same for any number of threads, and errs like one
// over reduceRows terms however many rows there are.
const reduceRows = 256

// reducible is a struct of arguments with a method that sums over rows; *T is one. It gets the element of the arrays where
// a block begins, its first column, its rows and columns, and where its results go: the first for sums of one kind, the
// others of a chunk following at distances of all columns.
type reducible[T any] interface {
	*T
	sum(s *streams, first, column, rows, n int, sums *float32)
}

// reduce calls sum of t for each chunk of rows and block of columns, spread over the threads. It returns the results of
// all chunks, [chunk][kind][c].
func reduce[T any, P reducible[T]](d *Device, m, c, kinds int, t T) []float32 {
	s := d.streams()
	chunks := (m + reduceRows - 1) / reduceRows
	wide := c / s.wide
	blocks := wide + (c-wide*s.wide+s.narrow-1)/s.narrow
	partial := grow(&d.shared.partial, chunks*kinds*c)
	eachRow(d, chunks*blocks, min(reduceRows, m)*min(c, s.wide), reduction[T, P]{m, c, kinds, wide, blocks, partial, t})
	return partial
}

// reduction is the work of reduce, in chunks·blocks units.
type reduction[T any, P reducible[T]] struct {
	m, c, kinds  int
	wide, blocks int // of columns: blocks of s.wide, and all
	partial      []float32
	body         T
}

func (r *reduction[T, P]) part(s *streams, lo, hi int) {
	for unit := lo; unit < hi; unit++ {
		chunk, block := unit/r.blocks, unit%r.blocks
		column, n := block*s.wide, s.wide
		if block >= r.wide {
			column = r.wide*s.wide + (block-r.wide)*s.narrow
			n = min(s.narrow, r.c-column)
		}
		row := chunk * reduceRows
		P(&r.body).sum(s, row*r.c+column, column, min(reduceRows, r.m-row), n, &r.partial[chunk*r.kinds*r.c+column])
	}
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
	partial := reduce(d, m, c, 1, sumRows{xs, c})
	for j := range ys {
		ys[j] = float32(total(partial, 1, c, 0, j))
	}
	return nil
}

type sumRows struct {
	x []float32
	c int
}

func (t *sumRows) sum(s *streams, first, _, rows, n int, sums *float32) {
	s.sumColumns.of(n, s)(&t.x[first], sums, rows, t.c, n)
}

// SumSquares: x → Σ x², in float64. Chunks of callElements elements are added in order.
func (d *Device) SumSquares(x kernels.Buffer) (float64, error) {
	xs := floats(x, x.Len())
	chunks := (len(xs) + callElements - 1) / callElements
	if chunks > cap(d.shared.squares) {
		d.shared.squares = make([]squareSums, chunks)
	}
	sums := d.shared.squares[:chunks]
	eachRow(d, chunks, callElements, sumSquares{xs, sums})
	sum := 0.0
	for i := range sums {
		ofChunk := 0.0
		for _, v := range sums[i] {
			ofChunk += v
		}
		sum += ofChunk
	}
	return sum, nil
}

// squareSums are the sums of squares of a chunk, by lanes.
type squareSums [maxSquareLanes]float64

type sumSquares struct {
	x    []float32
	sums []squareSums // of the chunks
}

func (t *sumSquares) part(s *streams, lo, hi int) {
	for chunk := lo; chunk < hi; chunk++ {
		part := t.x[chunk*callElements : min((chunk+1)*callElements, len(t.x))]
		whole := len(part) / s.squareLanes * s.squareLanes
		lanes := &t.sums[chunk]
		clear(lanes[:])
		s.sumSquares(unsafe.SliceData(part), &lanes[0], whole)
		for i, v := range part[whole:] {
			lanes[i] += float64(v) * float64(v)
		}
	}
}
