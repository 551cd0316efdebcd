//go:build gpu

package cuda

// #include "libraries.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

// staging is memory of the host that the driver copies from and to by itself, because the system can't take it away. What is
// uploaded goes there first, so that the caller need not wait for its turn in the stream. There are places for a few numbers,
// such as labels and learning rates, and two for much, such as pictures, which serve by turns.
type staging struct {
	few, many []place
	fewNext   int
	manyNext  int
	back      []*place // for what comes back
	free      []*place // those of back that nothing comes back to
}

// place is a piece of staging.
type place struct {
	memory unsafe.Pointer
	len    int
	done   cu.Event // when the copy is
}

const (
	fewPlaces, fewBytes = 16, 1 << 16
	manyPlaces          = 2
	// mostStaged is how much is copied at once, in bytes: a batch of 200 pictures of 224 x 224.
	mostStaged = 128 << 20
)

// Staged is what the places take where so many bytes are uploaded at once, at most.
func (m *meter) Staged(most int64) int64 {
	n := int64(fewPlaces * fewBytes)
	if most > fewBytes {
		n += manyPlaces * min(most, mostStaged)
	}
	return n
}

// open makes the places, those for much without memory. The context is the thread's.
func (s *staging) open() error {
	s.few, s.many = make([]place, fewPlaces), make([]place, manyPlaces)
	for _, list := range [][]place{s.few, s.many} {
		for i := range list {
			var err error
			if list[i].done, err = cu.MakeEvent(cu.DisableTiming); err != nil {
				return err
			}
		}
	}
	for i := range s.few {
		if err := s.few[i].grow(fewBytes); err != nil {
			return err
		}
	}
	return nil
}

func (s *staging) close() error {
	places := slices.Clone(s.back)
	for _, list := range [][]place{s.few, s.many} {
		for i := range list {
			places = append(places, &list[i])
		}
	}
	var errs []error
	for _, p := range places {
		errs = append(errs, p.free())
		if p.done != (cu.Event{}) {
			errs = append(errs, cu.DestroyEvent(&p.done))
		}
	}
	return errors.Join(errs...)
}

func (p *place) grow(bytes int) error {
	if p.len >= bytes {
		return nil
	}
	if err := p.free(); err != nil {
		return err
	}
	if err := driverError(C.call_cuMemAllocHost_v2(&p.memory, C.size_t(bytes))); err != nil {
		p.memory = nil
		// Not with %w: out of memory is what the host is here, and not the GPU.
		return fmt.Errorf("%.1f MB of the host's memory that stay in place: %v", float64(bytes)/1e6, err)
	}
	p.len = bytes
	return nil
}

func (p *place) free() error {
	if p.memory == nil {
		return nil
	}
	memory := p.memory
	p.memory, p.len = nil, 0
	return cu.MemFreeHost(memory)
}

// next is a place for so many bytes that no copy uses any more.
func (s *staging) next(bytes int) (*place, error) {
	list, at := s.few, &s.fewNext
	if bytes > fewBytes {
		list, at = s.many, &s.manyNext
	}
	p := &list[*at]
	*at = (*at + 1) % len(list)
	if err := p.done.Synchronize(); err != nil {
		return nil, err
	}
	return p, p.grow(bytes)
}

// bytesOf is the memory of a slice.
func bytesOf[T any](x []T) []byte {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), len(x)*int(unsafe.Sizeof(x[0])))
}

// upload copies src to device memory, after what was called before. It is done with src when it returns.
func upload[T any](d *Device, at cu.DevicePtr, src []T) error { return uploadIn(d, d.stream, at, src) }

// uploadIn is upload, after what was called before of one stream.
func uploadIn[T any](d *Device, stream cu.Stream, at cu.DevicePtr, src []T) error {
	rest := bytesOf(src)
	err := d.within(func() error {
		if d.capturing {
			return errCapturing
		}
		for len(rest) > 0 {
			n := min(len(rest), mostStaged)
			p, err := d.staged.next(n)
			if err != nil {
				return err
			}
			copy(unsafe.Slice((*byte)(p.memory), n), rest)
			if err := cu.MemcpyHtoDAsync(at, p.memory, int64(n), stream); err != nil {
				return err
			}
			if err := p.done.Record(stream); err != nil {
				return err
			}
			rest, at = rest[n:], at+cu.DevicePtr(n)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: upload: %w", d.name, err)
	}
	return nil
}

// download copies device memory to dst, and waits for it.
func download[T any](d *Device, dst []T, at cu.DevicePtr) error {
	to := bytesOf(dst)
	if len(to) == 0 {
		return nil
	}
	err := d.within(func() error {
		if d.capturing {
			return errCapturing
		}
		memory, staged := unsafe.Pointer(&to[0]), len(to) <= fewBytes
		if staged {
			p, err := d.staged.next(len(to))
			if err != nil {
				return err
			}
			memory = p.memory
		}
		if err := cu.MemcpyDtoHAsync(memory, at, int64(len(to)), d.stream); err != nil {
			return err
		}
		if err := d.stream.Synchronize(); err != nil {
			return err
		}
		if staged {
			copy(to, unsafe.Slice((*byte)(memory), len(to)))
		}
		return nil
	})
	runtime.KeepAlive(dst) // the copy may be under way after its call
	if err != nil {
		return fmt.Errorf("%s: download: %w", d.name, err)
	}
	return nil
}

// Fetch copies src to memory of the host, of which each fetch that is not waited for has its own.
func (d *Device) Fetch(src kernels.Buffer) (wait func(dst []float32) error, err error) {
	at, n := d.memory("Fetch", "src", src, src.Len()), 4*src.Len()
	var p *place
	err = d.within(func() (err error) {
		if d.capturing {
			return errCapturing
		}
		if p, err = d.staged.backPlace(n); err != nil {
			return err
		}
		if err := cu.MemcpyDtoHAsync(p.memory, at, int64(n), d.stream); err != nil {
			return err
		}
		return p.done.Record(d.stream)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: download: %w", d.name, err)
	}
	return func(dst []float32) error {
		if len(dst) != n/4 {
			panic(fmt.Sprintf("cuda: Fetch of %d elements to %d", n/4, len(dst)))
		}
		if err := d.within(p.done.Synchronize); err != nil {
			return fmt.Errorf("%s: download: %w", d.name, err)
		}
		copy(bytesOf(dst), unsafe.Slice((*byte)(p.memory), n))
		d.staged.free = append(d.staged.free, p)
		return nil
	}, nil
}

// backPlace takes a place that nothing comes back to.
func (s *staging) backPlace(bytes int) (p *place, err error) {
	if last := len(s.free) - 1; last >= 0 {
		p, s.free = s.free[last], s.free[:last]
	} else {
		p = &place{}
		s.back = append(s.back, p)
		if p.done, err = cu.MakeEvent(cu.DisableTiming); err != nil {
			return nil, err
		}
	}
	return p, p.grow(max(bytes, 1))
}
