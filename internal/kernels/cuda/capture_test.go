//go:build gpu

package cuda

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

// TestCaptureRules: what the driver forbids while a stream captures spoils the capture and nothing else, and so does what this
// package forbids before the driver would. Other threads may do what they like.
func TestCaptureRules(t *testing.T) {
	if os.Getenv("FTRUN_CUDA_REAL") != "" {
		t.Skip("how a driver words its errors is its own")
	}
	d, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil { // also where something was left
			t.Error(err)
		}
	}()
	b, err := d.Alloc(100)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Free(b)
	scale := func() error { return d.Scale(2, b) }
	pageable := make([]float32, 100)
	var allocated cu.DevicePtr
	for _, test := range []struct {
		name string
		do   func() error
		want string // "": it may be
	}{
		{"a launch", func() error { return nil }, ""},
		{"waiting for the stream", func() error { return d.stream.Synchronize() }, "StreamCaptureUnsupported"},
		{"waiting for the device", cu.Synchronize, "StreamCaptureUnsupported"},
		{"an error of ours, for which the device is not asked", func() error {
			_ = d.within(func() error { return errors.New("of ours") })
			return nil
		}, ""},
		{"a launch after that", func() error { _ = d.stream.Synchronize(); return d.Scale(2, b) }, "StreamCaptureInvalidated"},
		{"an error that is passed over", func() error { _ = d.stream.Synchronize(); return nil }, "StreamCaptureInvalidated"},
		{"memory of the device", func() error { _, err := cu.MemAlloc(100); return err }, "StreamCaptureUnsupported"},
		{"memory of the device, freed", func() error { return cu.MemFree(d.scratch) }, "StreamCaptureUnsupported"},
		{"memory of the host", func() error { return new(place).grow(100) }, "StreamCaptureUnsupported"},
		{"pageable memory", func() error {
			return cu.MemcpyHtoDAsync(b.(buffer).at, unsafe.Pointer(&pageable[0]), 400, d.stream)
		}, "StreamCaptureUnsupported"},
		{"scratch memory that grows", func() error { _, err := d.take(d.scratchLen + 1); return err }, errCapturing.Error()},
		{"another thread's memory", func() error {
			done := make(chan error)
			go func() {
				done <- d.within(func() (err error) { allocated, err = cu.MemAlloc(100); return err })
			}()
			return <-done
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := d.Capture(func() error { return errors.Join(scale(), test.do()) })
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if err == nil {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
			if d.capturing {
				t.Error("the device still captures")
			}
			if err := errors.Join(scale(), d.within(d.stream.Synchronize)); err != nil {
				t.Errorf("then: %v", err)
			}
		})
	}
	if err := d.within(func() error { return cu.MemFree(allocated) }); err != nil {
		t.Error(err)
	}
}

// TestCaptureBesideOthers: a run that captures and others on the same GPU that open it, free memory and close it, as where several
// go on at once, leave each other alone.
func TestCaptureBesideOthers(t *testing.T) {
	d, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	b, err := d.Alloc(100)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Free(b)
	begun, over := make(chan struct{}), make(chan error)
	go func() {
		close(begun)
		other, err := New(0)
		if err == nil {
			var b kernels.Buffer
			if b, err = other.Alloc(100); err == nil {
				other.Free(b)
			}
			err = errors.Join(err, other.Close())
		}
		over <- err
	}()
	<-begun
	for others := true; others; {
		c, err := d.Capture(func() error {
			err := d.Scale(2, b)
			time.Sleep(5 * time.Millisecond) // the others come to it
			return errors.Join(err, d.Scale(2, b))
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		select {
		case err := <-over:
			others = false
			if err != nil {
				t.Error(err)
			}
		default:
		}
	}
}

// noTimings are Timings that keep nothing, and count what is measured.
type noTimings struct{ measured int }

func (n *noTimings) Fastest(string, string) (int, bool) { return 0, false }
func (n *noTimings) Keep(string, string, int)           { n.measured++ }

// TestNothingIsMeasuredWhileCaptured: a convolution whose algorithm is not chosen yet spoils a capture and is not measured in it;
// one whose algorithm is chosen can be captured, until the device is told to compute otherwise.
func TestNothingIsMeasuredWhileCaptured(t *testing.T) {
	d, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	kept := &noTimings{}
	if err := d.Tune(kernels.Tuning{Timings: kept}); err != nil {
		t.Fatal(err)
	}
	c := kernels.Conv{N: 2, H: 6, W: 6, C: 3, K: 8, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 1}
	var buffers []kernels.Buffer
	for _, n := range []int{c.LenX(), c.LenW(), c.LenY()} {
		b, err := d.Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Free(b)
		buffers = append(buffers, b)
	}
	if _, err := d.take(1 << 20); err != nil { // room for all workspaces, so that only the measuring is in the way
		t.Fatal(err)
	}
	convolve := func() error { return d.ConvForward(c, buffers[0], buffers[1], nil, buffers[2], kernels.Identity) }
	if _, err := d.Capture(convolve); err == nil || !strings.Contains(err.Error(), "measuring algorithms: "+errCapturing.Error()) {
		t.Errorf("the first call is captured: %v", err)
	}
	if kept.measured != 0 {
		t.Error("it is measured")
	}
	if err := convolve(); err != nil {
		t.Fatal(err)
	}
	if kept.measured != 1 {
		t.Errorf("%d measured, want 1: nothing is tested", kept.measured)
	}
	captured, err := d.Capture(convolve)
	if err != nil {
		t.Fatal(err)
	}
	if err := captured.Replay(0); err != nil {
		t.Error(err)
	}
	if kept.measured != 1 || captured.Stale() {
		t.Errorf("%d measured, want 1; stale: %v", kept.measured, captured.Stale())
	}
	if err := d.Tune(kernels.Tuning{}); err != nil {
		t.Fatal(err)
	}
	if !captured.Stale() {
		t.Error("what was captured outlives the tuning")
	}
	if err := captured.Close(); err != nil {
		t.Error(err)
	}
}

// TestNoRoomInTheHost: memory of the host that runs out is not the GPU's.
func TestNoRoomInTheHost(t *testing.T) {
	d, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = d.within(func() error { return new(place).grow(1 << 55) })
	if err == nil || errors.Is(err, kernels.ErrMemory) || !strings.Contains(err.Error(), "of the host's memory") {
		t.Errorf("%v", err)
	}
}

// TestCaptureOfFreedMemory: a capture that outlives memory that it uses is an error when it is replayed, not another's numbers.
func TestCaptureOfFreedMemory(t *testing.T) {
	if os.Getenv("FTRUN_CUDA_REAL") != "" {
		t.Skip("a GPU need not notice")
	}
	d, err := New(1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Alloc(100)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Capture(func() error { return d.Scale(2, b) })
	if err != nil {
		t.Fatal(err)
	}
	d.Free(b)
	if err := errors.Join(c.Replay(0), d.within(d.stream.Synchronize)); !errors.Is(err, kernels.ErrLost) {
		t.Errorf("%v, want that the device is lost", err)
	}
	_ = c.Close()
	if err := d.Close(); err != nil { // which was told
		t.Error(err)
	}
}
