package kerneltest

import (
	"cmp"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// pixels compares the bits of windows of pictures with those of the equation, while what they show changes: each Put lands
// between the calls before and after it.
func (s *suite) pixels(t *testing.T) {
	norm := kernels.Normalization{Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}}
	const crop, rounds, side = 19, 6, 100
	pictures := []kernels.Window{{H: 19, W: 19}, {H: 30, W: 23}, {H: 5, W: 40}, {H: 1, W: 1}, {H: 67, W: side}}
	bytes := 0
	for i := range pictures {
		pictures[i].At = bytes
		bytes += 3 * pictures[i].H * pictures[i].W
	}
	for _, d := range capable[kernels.Normalizer](t, s) {
		r := rand.New(rand.NewPCG(1, 2))
		p, err := d.NewPixels(kernels.Room{Bytes: bytes, Windows: 64, Crop: crop, Side: side})
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
			for i := range 30 {
				w := pictures[i%len(pictures)]
				if i >= len(pictures) {
					w.Mirrored, w.Upturned = r.IntN(2) == 0, r.IntN(2) == 0
				}
				switch i / len(pictures) {
				case 0:
				case 1, 2:
					w.Top, w.Left = r.IntN(w.H+crop)-crop, r.IntN(w.W+crop)-crop
				default:
					w.Rows, w.Columns = 1+r.IntN(w.H), 1+r.IntN(w.W)
					if i%7 == 0 && w.H > crop { // scaled along one axis
						w.Rows = crop
					}
					w.Top, w.Left = r.IntN(w.H-w.Rows+1), r.IntN(w.W-w.Columns+1)
				}
				of = append(of, w)
			}
			b := uploaded(t, d, zeros(3*crop*crop*len(of)))
			if err := p.Normalize(norm, of, b); err != nil {
				t.Fatal(err)
			}
			x, want = append(x, b), append(want, Normalized(norm, crop, of, host))
		}
		for i := range x {
			sameBits(t, "pictures", want[i], downloaded(t, d, x[i]))
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Normalized is x (N,crop,crop,3) of windows of pictures by the equations of kernels.Normalization and Window.
func Normalized(n kernels.Normalization, crop int, of []kernels.Window, pix []uint8) (x []float32) {
	for _, w := range of {
		down, across := taps(cmp.Or(w.Rows, crop), crop), taps(cmp.Or(w.Columns, crop), crop)
		for p := range crop {
			for q := range crop {
				row, column := p, q
				if w.Upturned {
					row = crop - 1 - p
				}
				if w.Mirrored {
					column = crop - 1 - q
				}
				for c := range 3 {
					u := filtered(down[row], func(y int) int {
						return filtered(across[column], func(x int) int {
							y, x := y+w.Top, x+w.Left
							if 0 <= y && y < w.H && 0 <= x && x < w.W {
								return int(pix[w.At+3*(y*w.W+x)+c])
							}
							return 0
						})
					})
					v := float32(u) / 255
					v = v - n.Mean[c]
					x = append(x, v/n.Std[c])
				}
			}
		}
	}
	return x
}

// tap is what an output takes of an input: so many of 2²².
type tap struct{ input, share int }

// taps are those of Pillow's bilinear filter from n inputs to so many outputs, for each of these.
func taps(n, outputs int) [][]tap {
	all := make([][]tap, outputs)
	scale := float64(n) / float64(outputs)
	support := math.Max(scale, 1)
	for i := range all {
		center := (float64(i) + 0.5) * scale
		first, end := max(int(center-support+0.5), 0), min(int(center+support+0.5), n)
		weight := func(j int) float64 { return math.Max(1-math.Abs((float64(j)-center+0.5)*(1/support)), 0) }
		sum := 0.0
		for j := first; j < end; j++ {
			sum += weight(j)
		}
		for j := first; j < end; j++ {
			all[i] = append(all[i], tap{j, int(0.5 + weight(j)/sum*(1<<22))})
		}
	}
	return all
}

// filtered is the sum of what taps take of an input, rounded to a byte.
func filtered(by []tap, input func(i int) int) int {
	sum := 1 << 21
	for _, t := range by {
		sum += t.share * input(t.input)
	}
	return min(sum>>22, 255)
}
