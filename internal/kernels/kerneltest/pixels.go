package kerneltest

import (
	"math/rand/v2"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// pixels compares the bits of windows of pictures with those of the equation, while what they show changes: each Put lands
// between the calls before and after it.
func (s *suite) pixels(t *testing.T) {
	norm := kernels.Normalization{Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}}
	const crop, rounds = 19, 6
	pictures := []kernels.Window{{H: 19, W: 19}, {H: 30, W: 23}, {H: 5, W: 40}, {H: 1, W: 1}}
	bytes := 0
	for i := range pictures {
		pictures[i].At = bytes
		bytes += 3 * pictures[i].H * pictures[i].W
	}
	for _, d := range capable[kernels.Normalizer](t, s) {
		r := rand.New(rand.NewPCG(1, 2))
		p, err := d.NewPixels(bytes, 64)
		if err != nil {
			t.Fatal(err)
		}
		host := make([]uint8, bytes)
		var x []kernels.Buffer
		var want [][]float32
		for round := range rounds {
			// All pictures, and then one of them at a time.
			part := host
			at := 0
			if round > 0 {
				w := pictures[round%len(pictures)]
				at, part = w.At, host[w.At:w.At+3*w.H*w.W]
			}
			for i := range part {
				part[i] = uint8(r.Uint32())
			}
			if err := p.Put(at, part); err != nil {
				t.Fatal(err)
			}
			var of []kernels.Window
			for i := range 13 {
				w := pictures[i%len(pictures)]
				if i >= len(pictures) {
					w.Top, w.Left = r.IntN(w.H+crop)-crop, r.IntN(w.W+crop)-crop
					w.Mirrored, w.Upturned = r.IntN(2) == 0, r.IntN(2) == 0
				}
				of = append(of, w)
			}
			b := uploaded(t, d, zeros(3*crop*crop*len(of)))
			if err := p.Normalize(norm, crop, of, b); err != nil {
				t.Fatal(err)
			}
			x, want = append(x, b), append(want, normalized(norm, crop, of, host))
		}
		for i := range x {
			sameBits(t, "pictures", want[i], downloaded(t, d, x[i]))
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// normalized is the equation of kernels.Normalization and Window.
func normalized(n kernels.Normalization, crop int, of []kernels.Window, pix []uint8) (x []float32) {
	for _, w := range of {
		for p := range crop {
			for q := range crop {
				row, column := p, q
				if w.Upturned {
					row = crop - 1 - p
				}
				if w.Mirrored {
					column = crop - 1 - q
				}
				row, column = row+w.Top, column+w.Left
				for c := range 3 {
					u := uint8(0)
					if 0 <= row && row < w.H && 0 <= column && column < w.W {
						u = pix[w.At+3*(row*w.W+column)+c]
					}
					v := float32(u) / 255
					v = v - n.Mean[c]
					x = append(x, v/n.Std[c])
				}
			}
		}
	}
	return x
}
