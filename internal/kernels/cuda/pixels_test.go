//go:build gpu

package cuda

import (
	"errors"
	"os"
	"testing"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
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
	before, err := d.Available()
	if err != nil {
		t.Fatal(err)
	}
	m := d.Meter(1)
	if _, err := m.(kernels.Normalizer).NewPixels(12345, 7); err != nil {
		t.Fatal(err)
	}
	p, err := d.NewPixels(12345, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if after, err := d.Available(); err != nil || before-after != m.Held() {
		t.Errorf("%d bytes are told, %d kept (%v)", m.Held(), before-after, err)
	}
}
