package cpu

import (
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// TestPastCaches holds a batch norm whose result is so large that it is stored past the caches to the bits of its halves,
// which are not.
func TestPastCaches(t *testing.T) {
	const c = 32
	const m = pastElements / c
	x, residual, whole, halves := randomHost(m*c), randomHost(m*c), randomHost(m*c), randomHost(m*c)
	mean, invstd, gamma, beta := randomHost(c), randomHost(c), randomHost(c), randomHost(c)
	if !isPast(whole, c, x, residual) || isPast(whole[:m*c/2], c, x, residual) || isPast(whole, c, x, whole) {
		t.Fatal("not the results that are meant are stored past the caches")
	}
	for p := generic; p <= bestPath(); p++ {
		t.Setenv(pathVariable, p.String())
		d, err := New(2)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for _, residual := range []kernels.Host{nil, residual} {
			apply := func(lo, hi int, y kernels.Host) {
				var res kernels.Buffer
				if residual != nil {
					res = residual[lo*c : hi*c]
				}
				err := d.BatchNormApply(hi-lo, c, x[lo*c:hi*c], mean, invstd, gamma, beta, res, y[lo*c:hi*c], kernels.ReLU)
				if err != nil {
					t.Fatal(err)
				}
			}
			apply(0, m, whole)
			apply(0, m/2, halves)
			apply(m/2, m, halves)
			for i, want := range halves {
				if whole[i] != want {
					t.Fatalf("%s: element %d is %v, want %v", p, i, whole[i], want)
				}
			}
		}
	}
}
