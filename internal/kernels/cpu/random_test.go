package cpu

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/ref"
)

// TestRandomConvolutions holds all three directions against the reference on shapes that no network has: unequal strides
// and paddings, filters larger than the picture, padding wider than the filter.
func TestRandomConvolutions(t *testing.T) {
	const shapes = 150
	for p := generic; p <= bestPath(); p++ {
		t.Run(p.String(), func(t *testing.T) {
			t.Setenv(pathVariable, p.String())
			d, err := New(3)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			r := rand.New(rand.NewPCG(7, uint64(p)))
			for range shapes {
				checkConvolution(t, d, r, randomConv(r))
			}
		})
	}
}

// FuzzConvolutions is TestRandomConvolutions for shapes that follow from a number.
func FuzzConvolutions(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, p uint8) {
		t.Setenv(pathVariable, path(p%uint8(bestPath()+1)).String())
		d, err := New(2)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		r := rand.New(rand.NewPCG(seed, 1))
		checkConvolution(t, d, r, randomConv(r))
	})
}

func randomConv(r *rand.Rand) kernels.Conv {
	for {
		g := 1
		if r.IntN(2) == 0 {
			g = 1 + r.IntN(20)
		}
		c := kernels.Conv{
			N: 1 + r.IntN(3), H: 1 + r.IntN(24), W: 1 + r.IntN(24), C: g * (1 + r.IntN(40/g)), K: g * (1 + r.IntN(50/g)),
			R: 1 + r.IntN(5), S: 1 + r.IntN(7), StrideH: 1 + r.IntN(3), StrideW: 1 + r.IntN(3),
			PadH: r.IntN(4), PadW: r.IntN(5), Groups: g,
		}
		if r.IntN(3) == 0 {
			c.K = c.C // often depthwise
		}
		switch r.IntN(4) {
		case 0:
			c.R, c.S = 1, 1
		case 1: // Winograd's
			c.C, c.K, c.Groups = 16+r.IntN(30), 16+r.IntN(30), 1
			c.R, c.S, c.StrideH, c.StrideW = 3, 3, 1, 1
			c.Numerics = kernels.Numerics(r.IntN(3))
		}
		if c.H+2*c.PadH >= c.R && c.W+2*c.PadW >= c.S {
			return c
		}
	}
}

func checkConvolution(t *testing.T, d *Device, r *rand.Rand, c kernels.Conv) {
	t.Helper()
	normal := func(n int) kernels.Host {
		x := make(kernels.Host, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	right := ref.New()
	x, w, bias, dy := normal(c.LenX()), normal(c.LenW()), normal(c.K), normal(c.LenY())
	compare := func(what string, terms int, run func(d kernels.Device, out kernels.Host) error, n int) {
		t.Helper()
		want, got := make(kernels.Host, n), make(kernels.Host, n)
		for i := range got {
			got[i] = nan
		}
		if err := run(right, want); err != nil {
			t.Fatal(err)
		}
		if err := run(d, got); err != nil {
			t.Fatal(err)
		}
		bound := 1e-6 * (8 + 4*float64(terms))
		if c.Numerics == kernels.Fast {
			bound *= 10
		}
		for i, v := range want {
			if diff := math.Abs(float64(v - got[i])); !(diff <= bound) {
				t.Fatalf("%v, %s: element %d is %v, want %v", c, what, i, got[i], v)
			}
		}
	}
	act := kernels.Activation(r.IntN(3))
	compare("forward", c.R*c.S*c.C/c.Groups, func(d kernels.Device, out kernels.Host) error {
		return d.ConvForward(c, x, w, bias, out, act)
	}, len(dy))
	compare("forward from packed weights, with a residual", c.R*c.S*c.C/c.Groups, func(d kernels.Device, out kernels.Host) error {
		packed := make(kernels.Host, d.PackedLen(c))
		if err := d.PackWeights(c, w, packed); err != nil {
			return err
		}
		return d.ConvForwardPacked(c, x, packed, bias, dy, out, act)
	}, len(dy))
	compare("backward data", c.R*c.S*c.K/c.Groups, func(d kernels.Device, out kernels.Host) error {
		return d.ConvBackwardData(c, w, dy, out)
	}, len(x))
	compare("backward weights", c.N*c.P()*c.Q(), func(d kernels.Device, out kernels.Host) error {
		return d.ConvBackwardWeights(c, x, dy, out)
	}, len(w))
}

// TestRandomPools holds the gradient of a max pool to the reference on shapes that no network has.
func TestRandomPools(t *testing.T) {
	const shapes = 150
	right := ref.New()
	for p := generic; p <= bestPath(); p++ {
		t.Setenv(pathVariable, p.String())
		d, err := New(3)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		r := rand.New(rand.NewPCG(11, uint64(p)))
		for range shapes {
			pool := randomPool(r)
			x, dy := make(kernels.Host, pool.LenX()), make(kernels.Host, pool.LenY())
			for i := range x {
				x[i] = float32(r.IntN(9)) // with ties
			}
			for i := range dy {
				dy[i] = float32(r.IntN(9) - 4) // whose sums are exact
			}
			y, want, got := make(kernels.Host, pool.LenY()), make(kernels.Host, pool.LenX()), make(kernels.Host, pool.LenX())
			for i := range got {
				got[i] = nan
			}
			if err := errors.Join(d.MaxPoolForward(pool, x, y), right.MaxPoolBackward(pool, x, y, dy, want),
				d.MaxPoolBackward(pool, x, y, dy, got)); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("%s: %+v: element %d is %v, want %v", p, pool, i, got[i], want[i])
				}
			}
		}
	}
}

func randomPool(r *rand.Rand) kernels.Pool {
	// Every window meets the picture: a padding is less than the window, and the last begins inside or before.
	axis := func() (n, count, size, stride, pad int) {
		n, size, stride = 1+r.IntN(15), 1+r.IntN(5), 1+r.IntN(4)
		pad = r.IntN(size)
		return n, 1 + r.IntN((n+pad-1)/stride+1), size, stride, pad
	}
	p := kernels.Pool{N: 1 + r.IntN(3), C: 1 + r.IntN(80)}
	p.H, p.P, p.R, p.StrideH, p.PadH = axis()
	p.W, p.Q, p.S, p.StrideW, p.PadW = axis()
	return p
}
