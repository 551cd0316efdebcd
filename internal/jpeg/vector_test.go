package jpeg

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// guarded is n random bytes with margin on either side, for kernels that write too much to end in.
func guarded(r *rand.Rand, n int) []uint8 {
	b := make([]uint8, margin+n+margin)
	for i := range b {
		b[i] = uint8(r.Uint32())
	}
	return b
}

func TestInverseIsTheSameBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const pairs, stride = 7, 16*7 + 5
	for _, c := range []struct {
		name string
		coef func(k int) int16
	}{
		{"sound", func(k int) int16 { return int16(r.IntN(400)-200) / int16(1+k) }},
		{"sparse", func(k int) int16 { return int16(r.IntN(1000)-500) * int16(r.IntN(10)/9) }},
		{"first row", func(k int) int16 { return int16(r.Uint32()) * int16(1-min(k/8, 1)) }},
		{"first column", func(k int) int16 { return int16(r.Uint32()) * int16(1-min(k%8, 1)) }},
		{"overflowing", func(int) int16 { return int16(r.Uint32()) }},
		{"nothing", func(int) int16 { return 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 50 {
				var quant [128]int16
				for i := range quant {
					quant[i] = int16(1 + r.IntN(60))
					if i%16 >= 8 {
						quant[i] = quant[i-8]
					}
				}
				coef := make([]int16, 128*pairs)
				for i := range coef {
					coef[i] = c.coef(i % 64)
				}
				again := slices.Clone(coef)
				pix := guarded(r, 8*stride)
				want := bytes.Clone(pix)
				inverse(coef, &quant, pix[margin:], stride)
				inverseGeneric(again, &quant, want[margin:], stride)
				if !bytes.Equal(pix, want) {
					t.Fatal("other samples")
				}
				if slices.Max(coef) != 0 || slices.Min(coef) != 0 || !slices.Equal(coef, again) {
					t.Fatal("the coefficients are not cleared")
				}
			}
		})
	}
}

func TestUpsamplingIsTheSameBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := 1; n <= 70; n++ {
		pix := guarded(r, 2*n+2*margin)
		near, far := margin, 2*margin+n
		out, want := make([]uint8, 2*n+margin), make([]uint8, 2*n)
		h2v1(out, pix, near, n)
		h2v1Generic(want, pix, near, n)
		if !bytes.Equal(out[:2*n], want) {
			t.Errorf("h2v1 of %d samples differs", n)
		}
		h2v2(out, pix, near, far, n)
		h2v2Generic(want, pix, near, far, n)
		if !bytes.Equal(out[:2*n], want) {
			t.Errorf("h2v2 of %d samples differs", n)
		}
	}
}

func TestColorIsTheSameBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for n := 1; n <= 100; n++ {
		y, cb, cr := guarded(r, n), guarded(r, n), guarded(r, n)
		out := guarded(r, 3*n)
		want := bytes.Clone(out)
		yccRow(out[margin:margin+3*n], y, cb, cr)
		yccRowGeneric(want[margin:margin+3*n], y, cb, cr)
		if !bytes.Equal(out, want) {
			t.Errorf("%d pixels differ, or what lies beside them", n)
		}
	}
	// All chroma, at luma that clips and luma that does not.
	var cb, cr [1 << 16]uint8
	for i := range cb {
		cb[i], cr[i] = uint8(i), uint8(i>>8)
	}
	for _, luma := range []uint8{0, 1, 100, 254, 255} {
		y := bytes.Repeat([]uint8{luma}, 1<<16)
		out, want := make([]uint8, 3<<16), make([]uint8, 3<<16)
		yccRow(out, y, cb[:], cr[:])
		yccRowGeneric(want, y, cb[:], cr[:])
		if !bytes.Equal(out, want) {
			t.Errorf("colours of luma %d differ", luma)
		}
	}
}
