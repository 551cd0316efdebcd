//go:build gpu

package cuda

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/kerneltest"
)

// TestOrderOfStreams: the fake driver finds memory that is read while it is copied to, and overwritten while it is read; with
// an event between them all is well.
func TestOrderOfStreams(t *testing.T) {
	if os.Getenv("FTRUN_CUDA_REAL") != "" {
		t.Skip("a real driver does not tell")
	}
	for _, test := range []struct {
		name            string
		behind, ordered bool // the copies are behind what was; the device waits for them
	}{{"ordered", true, true}, {"read while it is copied to", true, false}, {"overwritten while it is read", false, true}} {
		t.Run(test.name, func(t *testing.T) {
			d, err := New(0)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close() // which gives the fault again
			b, err := d.Alloc(100)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Free(b)
			event, err := cu.MakeEvent(cu.DisableTiming)
			if err != nil {
				t.Fatal(err)
			}
			step := func(f func() error) {
				t.Helper()
				if err := d.within(f); err != nil {
					t.Fatal(err)
				}
			}
			if test.behind {
				step(func() error { return event.Record(d.stream) })
				step(func() error { return d.copies.Wait(event, 0) })
			}
			step(func() error { return uploadIn(d, d.copies, b.(buffer).at, make([]float32, 100)) })
			if test.ordered {
				step(func() error { return event.Record(d.copies) })
				step(func() error { return d.stream.Wait(event, 0) })
			}
			step(func() error { return d.Scale(2, b) })
			err = errors.Join(d.Download(make([]float32, 100), b), d.within(d.copies.Synchronize)) // whichever comes second tells
			if (err == nil) != (test.behind && test.ordered) {
				t.Error(err)
			}
			step(func() error { return cu.DestroyEvent(&event) })
		})
	}
}

// TestMeterOfPixels: room for pictures takes the same memory of both.
func TestMeterOfPixels(t *testing.T) {
	d, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if os.Getenv("FTRUN_CUDA_REAL") != "" {
		t.Skip("a driver gives whole pages")
	}
	before, _, err := d.Memory()
	if err != nil {
		t.Fatal(err)
	}
	m := d.Meter(1)
	room := kernels.Room{Bytes: 12345, Windows: 7, Crop: 19, Side: 50}
	if _, err := m.(kernels.Normalizer).NewPixels(room); err != nil {
		t.Fatal(err)
	}
	p, err := d.NewPixels(room)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if after, _, err := d.Memory(); err != nil || before-after != m.Held() {
		t.Errorf("%d bytes are told, %d kept (%v)", m.Held(), before-after, err)
	}
}

// FuzzCuts: a window that is scaled is that of the equation, to the bit.
func FuzzCuts(f *testing.F) {
	d, err := New(0)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Close() })
	f.Add(uint16(50), uint16(37), uint16(0), uint16(0), uint16(50), uint16(37), uint8(24), int64(1))
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 100 {
		w, h := 1+r.UintN(400), 1+r.UintN(300)
		columns, rows := 1+r.UintN(w), 1+r.UintN(h)
		f.Add(uint16(w), uint16(h), uint16(r.UintN(w-columns+1)), uint16(r.UintN(h-rows+1)), uint16(columns), uint16(rows), uint8(1+r.UintN(64)), int64(i))
	}
	f.Add(uint16(3000), uint16(2), uint16(7), uint16(0), uint16(2900), uint16(2), uint8(1), int64(2)) // a thousand taps and more
	f.Fuzz(func(t *testing.T, width, height, left, top, columns, rows uint16, size uint8, seed int64) {
		w, h, crop := int(width), int(height), int(size)
		box := kernels.Window{H: h, W: w, Top: int(top), Left: int(left), Rows: int(rows), Columns: int(columns)}
		if crop == 0 || rows == 0 || columns == 0 || box.Top+box.Rows > h || box.Left+box.Columns > w || w*h > 1<<20 {
			t.Skip()
		}
		pix := make([]uint8, 3*w*h)
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		for i := range pix {
			pix[i] = uint8(r.Uint32())
			if seed%3 == 0 { // where sums are greatest
				pix[i] |= 0xf8
			}
		}
		norm := kernels.Normalization{Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}}
		want := kerneltest.Normalized(norm, crop, []kernels.Window{box}, pix)

		p, err := d.NewPixels(kernels.Room{Bytes: len(pix), Windows: 1, Crop: crop, Side: max(box.Rows, box.Columns)})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		x, err := d.Alloc(len(want))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Free(x)
		got := make([]float32, len(want))
		if err := errors.Join(p.Put(0, pix), p.Normalize(norm, []kernels.Window{box}, x), d.Download(got, x)); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
				t.Fatalf("%+v to %d: element %d is %v, want %v", box, crop, i, got[i], want[i])
			}
		}
	})
}
