package cpu

import (
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// TestBatchNormPastCaches holds a batch norm whose result is so large that it is stored past the caches to the bits of its
// halves, which are not.
func TestBatchNormPastCaches(t *testing.T) {
	const c = 32
	const m = pastElements / 2 / c
	x, residual, whole, halves := randomHost(m*c), randomHost(m*c), randomHost(m*c), randomHost(m*c)
	mean, invstd, gamma, beta := randomHost(c), randomHost(c), randomHost(c), randomHost(c)
	if !isPast(whole, c, x, residual) || isPast(whole[:m*c/2], c, x[:m*c/2], residual[:m*c/2]) || isPast(whole, c, x, whole) {
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

// TestMaxPoolPastCaches does so for the gradient of a max pool and its pictures one by one.
func TestMaxPoolPastCaches(t *testing.T) {
	const pictures = 8
	one := kernels.Pool{N: 1, H: 112, W: 112, C: 48, P: 56, Q: 56, R: 3, S: 3, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}
	all := one
	all.N = pictures
	x, y, dy, together, apart := randomHost(all.LenX()), randomHost(all.LenY()), randomHost(all.LenY()),
		randomHost(all.LenX()), randomHost(all.LenX())
	if !isPast(together, all.C, x, y, dy) || isPast(apart[:one.LenX()], one.C, x[:one.LenX()]) {
		t.Fatal("not the results that are meant are stored past the caches")
	}
	for p := generic; p <= bestPath(); p++ {
		t.Setenv(pathVariable, p.String())
		d, err := New(2)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		backward := func(pool kernels.Pool, first int, dx kernels.Host) {
			xs, ys := x[first*one.LenX():][:pool.LenX()], y[first*one.LenY():][:pool.LenY()]
			if err := d.MaxPoolForward(pool, xs, ys); err != nil {
				t.Fatal(err)
			}
			err := d.MaxPoolBackward(pool, xs, ys, dy[first*one.LenY():][:pool.LenY()], dx[first*one.LenX():][:pool.LenX()])
			if err != nil {
				t.Fatal(err)
			}
		}
		backward(all, 0, together)
		for n := range pictures {
			backward(one, n, apart)
		}
		for i, want := range apart {
			if together[i] != want {
				t.Fatalf("%s: element %d is %v, want %v", p, i, together[i], want)
			}
		}
	}
}
