//go:build gpu

package cuda_test

import (
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// TestUploadsKeepTheirValues: many uploads one after the other, of few numbers and of many, each from the same slice of the
// host, arrive as they were given, and so does what is fetched before it is overwritten.
func TestUploadsKeepTheirValues(t *testing.T) {
	d := open(t, 0)
	for _, n := range []int{3, 1 << 15} { // fewer bytes than a small place has, and more
		buffers := make([]kernels.Buffer, 20)
		for i := range buffers {
			b, err := d.Alloc(n)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Free(b)
			buffers[i] = b
		}
		x := make([]float32, n)
		waits := make([]func([]float32) error, len(buffers))
		for i, b := range buffers {
			for j := range x {
				x[j] = float32(i + j)
			}
			err := d.Upload(b, x)
			if err == nil {
				waits[i], err = d.Fetch(b)
			}
			if err == nil {
				err = d.Scale(0, b)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for i, wait := range waits {
			if err := wait(x); err != nil {
				t.Fatal(err)
			}
			for j, v := range x {
				if v != float32(i+j) {
					t.Fatalf("upload %d of %d numbers: number %d is %v", i, n, j, v)
				}
			}
		}
	}
}
