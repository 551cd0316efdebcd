//go:build gpu

package cuda

import (
	"fmt"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

// chunks says how rows are cut for a sum over them.
type chunks struct{ chunks, rows int }

const (
	// sumThreads is how many threads a sum is cut into where it has the rows: enough for the largest GPU.
	sumThreads = 1 << 17
	// Chunks have leastRows at least, so that their sums are few, and mostRows at most, so that float32 does for them.
	leastRows, mostRows = 32, 1024
)

// cut cuts m rows of c columns, by the shape alone.
func cut(m, c int) chunks {
	rows := min(max((m*c+sumThreads-1)/sumThreads, leastRows), mostRows)
	return chunks{(m + rows - 1) / rows, rows}
}

const (
	// A thread that adds up the chunks of a column is done soon with so many.
	fewChunks = 64
	folds     = 32
	// mostFolded is how many columns are folded at most: of more, one a thread keeps a GPU busy.
	mostFolded = 4096
)

// folds is how many sums the chunks of so many columns are folded to; 0: they are not.
func (s chunks) folds(columns int) int {
	if s.chunks <= fewChunks || columns > mostFolded {
		return 0
	}
	return folds
}

// bytes is what so many sums of each chunk take, with those that they are folded to.
func (s chunks) bytes(kinds, c int) int { return 4 * (s.chunks + s.folds(kinds*c)) * kinds * c }

// fold folds the sums of chunks, partial (chunks,columns), where they are many and the columns few, and says where the sums
// are that are left, and of how many chunks.
func (d *Device) fold(s chunks, columns int, partial cu.DevicePtr) (cu.DevicePtr, int, error) {
	n := s.folds(columns)
	if n == 0 {
		return partial, s.chunks, nil
	}
	folded := partial + cu.DevicePtr(4*s.chunks*columns)
	return folded, n, d.launch("fold_chunks", n*columns, partial, folded, s.chunks, columns, n)
}

// SumRows: x (M,C) → y (C) = Σ_m x.
func (d *Device) SumRows(m, c int, x, y kernels.Buffer) error {
	const op = "SumRows"
	xs, ys, s := d.memory(op, "x", x, m*c), d.memory(op, "y", y, c), cut(m, c)
	parts, err := d.take(s.bytes(1, c))
	if err != nil {
		return err
	}
	if err := d.launch("sum_rows", s.chunks*c, xs, parts[0], m, c, s.rows, s.chunks); err != nil {
		return err
	}
	return d.sumChunks(s, c, parts[0], ys)
}

// sumChunks: partial (chunks,C) → y (C)
func (d *Device) sumChunks(s chunks, c int, partial, y cu.DevicePtr) error {
	sums, n, err := d.fold(s, c, partial)
	if err != nil {
		return err
	}
	return d.launch("sum_chunks", c, sums, y, n, c)
}

// A sum of squares goes in three stages: squareSums sums, of them squareChunks, of them one.
const squareChunks = 128

// squareSums is how many sums the first stage makes of the squares of n elements.
func squareSums(n int) int {
	const most, each = 1 << 14, 64 // elements a sum, where there are not too many
	return min((n+each-1)/each, most)
}

// SumSquares: x → Σ x², in float64.
func (d *Device) SumSquares(x kernels.Buffer) (float64, error) {
	n := x.Len()
	xs := d.memory("SumSquares", "x", x, n)
	if n == 0 {
		return 0, nil
	}
	if n > mostElements {
		return 0, fmt.Errorf("%s: the sum of %d squares: a kernel counts to %d", d.name, n, mostElements)
	}
	sums := squareSums(n)
	parts, err := d.take(8*sums, 8*squareChunks, 8)
	if err != nil {
		return 0, err
	}
	if err := d.launch("sum_squares", sums, xs, parts[0], n, sums); err != nil {
		return 0, err
	}
	if err := d.launch("sum_doubles", squareChunks, parts[0], parts[1], sums, squareChunks); err != nil {
		return 0, err
	}
	if err := d.launch("sum_doubles", 1, parts[1], parts[2], squareChunks, 1); err != nil {
		return 0, err
	}
	var sum [1]float64
	err = download(d, sum[:], parts[2])
	return sum[0], err
}
