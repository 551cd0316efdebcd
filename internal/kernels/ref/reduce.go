package ref

import "github.com/ftrun/ftrun/internal/kernels"

// SumRows: x (M,C) → y (C) = Σ_m x.
func (Device) SumRows(m, c int, x, y kernels.Buffer) error {
	const op = "SumRows"
	xs, ys := slice(op, "x", x, m*c), slice(op, "y", y, c)
	sum := make([]float64, c)
	for i := range m {
		for j, v := range xs[i*c : (i+1)*c] {
			sum[j] += float64(v)
		}
	}
	round(ys, sum)
	return nil
}

// SumSquares: x → Σ x².
func (Device) SumSquares(x kernels.Buffer) (float64, error) {
	sum := 0.0
	for _, v := range slice("SumSquares", "x", x, x.Len()) {
		sum += float64(v) * float64(v)
	}
	return sum, nil
}
