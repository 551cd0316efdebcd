//go:build gpu

package cuda

import (
	"errors"
	"fmt"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

var _ kernels.Normalizer = (*Device)(nil)

// windowRow is what kernels.cu calls WINDOW.
const windowRow = 7

// pixels is pictures in bytes. They are copied in a stream of their own, and two events keep a copy behind the normalisation
// that reads what it overwrites, and a normalisation behind the copies before it.
type pixels struct {
	device       *Device
	memory       kernels.Buffer
	at, table    cu.DevicePtr
	bytes, most  int      // of pictures; windows
	read, copied cu.Event // the last normalisation, in the device's stream; the last copy, in the other
	behind       bool     // the copies are behind read
	ahead        bool     // the device's stream does not wait for the last of them yet
	rows         []uint32 // of the windows
}

// pixelsLen is how many elements of float32 that many bytes take, with the table of the windows.
func pixelsLen(bytes, windows int) int { return taken(bytes, 4*windowRow*windows) / 4 }

// NewPixels returns room for pictures.
func (d *Device) NewPixels(bytes, windows int) (kernels.Pixels, error) {
	p := &pixels{device: d, bytes: bytes, most: windows}
	var err error
	if p.memory, err = d.Alloc(pixelsLen(bytes, windows)); err != nil {
		return nil, err
	}
	p.at = d.memory("NewPixels", "the room", p.memory, p.memory.Len())
	p.table = p.at + cu.DevicePtr(taken(bytes))
	err = d.within(func() (err error) {
		for _, e := range []*cu.Event{&p.read, &p.copied} {
			if *e, err = cu.MakeEvent(cu.DisableTiming); err != nil {
				return err
			}
		}
		return p.read.Record(d.stream) // the zeroes of a fresh buffer
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: room for pictures: %w", d.name, err), p.Close())
	}
	return p, nil
}

// Available asks the driver.
func (d *Device) Available() (bytes int64, err error) {
	err = d.within(func() (err error) {
		bytes, _, err = cu.MemInfo()
		return err
	})
	return bytes, err
}

// Put copies bytes beside what the device computes.
func (p *pixels) Put(at int, pix []uint8) error {
	if at < 0 || at+len(pix) > p.bytes {
		panic(fmt.Sprintf("cuda: Put of bytes [%d, %d) of %d", at, at+len(pix), p.bytes))
	}
	d := p.device
	if !p.behind {
		if err := d.within(func() error { return d.copies.Wait(p.read, 0) }); err != nil {
			return fmt.Errorf("%s: upload of pictures: %w", d.name, err)
		}
		p.behind = true
	}
	p.ahead = true
	return uploadIn(d, d.copies, p.at+cu.DevicePtr(at), pix)
}

// Normalize: windows of the pictures → x (N,crop,crop,3).
func (p *pixels) Normalize(n kernels.Normalization, crop int, of []kernels.Window, x kernels.Buffer) error {
	const op = "Normalize"
	if len(of) > p.most {
		panic(fmt.Sprintf("cuda: %s of %d windows, at most %d", op, len(of), p.most))
	}
	d, count := p.device, len(of)*crop*crop
	to := d.memory(op, "x", x, 3*count)
	p.rows = p.rows[:0]
	for _, w := range of {
		if w.At < 0 || w.H < 0 || w.W < 0 || w.At+3*w.H*w.W > p.bytes {
			panic(fmt.Sprintf("cuda: %s of a picture of %d x %d at byte %d of %d", op, w.H, w.W, w.At, p.bytes))
		}
		flips := uint32(0)
		if w.Mirrored {
			flips |= 1
		}
		if w.Upturned {
			flips |= 2
		}
		p.rows = append(p.rows, uint32(w.At), uint32(uint64(w.At)>>32), uint32(w.H), uint32(w.W), uint32(int32(w.Top)),
			uint32(int32(w.Left)), flips)
	}
	if p.ahead {
		err := d.within(func() error { return errors.Join(p.copied.Record(d.copies), d.stream.Wait(p.copied, 0)) })
		if err != nil {
			return fmt.Errorf("%s: pictures that are copied: %w", d.name, err)
		}
		p.ahead = false
	}
	if err := upload(d, p.table, p.rows); err != nil {
		return err
	}
	err := d.launch("normalize_pictures", count, p.at, p.table, to, n.Mean[0], n.Mean[1], n.Mean[2], n.Std[0], n.Std[1], n.Std[2], crop, count)
	if err != nil {
		return err
	}
	p.behind = false
	if err := d.within(func() error { return p.read.Record(d.stream) }); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	return nil
}

// Close frees the room, when nothing uses it any more.
func (p *pixels) Close() error {
	d := p.device
	if p.memory == nil {
		return nil
	}
	err := d.within(func() error {
		errs := []error{d.copies.Synchronize(), d.stream.Synchronize()}
		for _, e := range []*cu.Event{&p.read, &p.copied} {
			if *e != (cu.Event{}) {
				errs = append(errs, cu.DestroyEvent(e))
			}
		}
		return errors.Join(errs...)
	})
	d.Free(p.memory)
	p.memory = nil
	return err
}

// hollowPixels is what a meter gives: the room.
type hollowPixels struct {
	meter  *meter
	memory kernels.Buffer
}

func (m *meter) NewPixels(bytes, windows int) (kernels.Pixels, error) {
	memory, err := m.Alloc(pixelsLen(bytes, windows))
	return &hollowPixels{m, memory}, err
}

func (m *meter) Available() (int64, error) { return 0, nil }

func (p *hollowPixels) Put(int, []uint8) error { return nil }
func (p *hollowPixels) Normalize(kernels.Normalization, int, []kernels.Window, kernels.Buffer) error {
	return nil
}
func (p *hollowPixels) Close() error {
	p.meter.Free(p.memory)
	return nil
}
