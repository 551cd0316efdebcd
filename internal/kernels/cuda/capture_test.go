//go:build gpu

package cuda

import (
	"errors"
	"os"
	"strings"
	"testing"
	"unsafe"

	"gorgonia.org/cu"
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
	if err := errors.Join(c.Replay(0), d.within(d.stream.Synchronize)); err == nil {
		t.Error("no error")
	}
	_ = c.Close()
	if err := d.Close(); err == nil {
		t.Error("the fault is forgotten")
	}
}
