//go:build gpu

package cuda

import (
	"cmp"
	"errors"
	"fmt"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

var _ kernels.Normalizer = (*Device)(nil)

// windowRow is what kernels.cu calls WINDOW.
const windowRow = 9

// pixels is pictures in bytes. They are copied in a stream of their own, and two events keep a copy behind the normalisation
// that reads what it overwrites, and a normalisation behind the copies before it.
type pixels struct {
	device       *Device
	room         kernels.Room
	memory       kernels.Buffer
	at, table    cu.DevicePtr // the pictures; the windows
	taps         cu.DevicePtr // of windows that are scaled
	read, copied cu.Event     // the last normalisation, in the device's stream; the last copy, in the other
	behind       bool         // the copies are behind read
	ahead        bool         // the device's stream does not wait for the last of them yet
	rows         []uint32     // of the windows
}

// pixelParts are what room for pictures takes, in bytes: they, the table of the windows, and that of their taps.
func pixelParts(r kernels.Room) []int {
	return []int{r.Bytes, 4 * windowRow * r.Windows, 4 * r.Windows * 2 * r.Crop * tapStep(r)}
}

// tapStep is how many words of kernels.cu's taps a row or a column of a scaled window has: the first input, how many there
// are, and the factors of as many as the filter may meet.
func tapStep(r kernels.Room) int {
	if r.Side == 0 {
		return 0
	}
	return 2 + 2*max((r.Side+r.Crop-1)/r.Crop, 1) + 1
}

// pixelsLen is how many elements of float32 room for pictures takes.
func pixelsLen(r kernels.Room) int { return taken(pixelParts(r)...) / 4 }

// NewPixels makes room for pictures.
func (d *Device) NewPixels(r kernels.Room) (kernels.Pixels, error) {
	p := &pixels{device: d, room: r}
	var err error
	if p.memory, err = d.Alloc(pixelsLen(r)); err != nil {
		return nil, err
	}
	parts := pixelParts(r)
	p.at = d.memory("NewPixels", "the room", p.memory, p.memory.Len())
	p.table = p.at + cu.DevicePtr(taken(parts[:1]...))
	p.taps = p.at + cu.DevicePtr(taken(parts[:2]...))
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

// Put copies bytes beside what the device computes.
func (p *pixels) Put(at int, pix []uint8) error {
	if at < 0 || at+len(pix) > p.room.Bytes {
		panic(fmt.Sprintf("cuda: Put of bytes [%d, %d) of %d", at, at+len(pix), p.room.Bytes))
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

// Normalize: windows of the pictures → x (N,Crop,Crop,3).
func (p *pixels) Normalize(n kernels.Normalization, of []kernels.Window, x kernels.Buffer) error {
	const op = "Normalize"
	if len(of) > p.room.Windows {
		panic(fmt.Sprintf("cuda: %s of %d windows, at most %d", op, len(of), p.room.Windows))
	}
	d, crop := p.device, p.room.Crop
	count, step, scaled := len(of)*crop*crop, tapStep(p.room), false
	to := d.memory(op, "x", x, 3*count)
	p.rows = p.rows[:0]
	for _, w := range of {
		p.check(w)
		scaled = scaled || w.Scaled(crop)
		flips := uint32(0)
		if w.Mirrored {
			flips |= 1
		}
		if w.Upturned {
			flips |= 2
		}
		p.rows = append(p.rows, uint32(w.At), uint32(uint64(w.At)>>32), uint32(w.H), uint32(w.W), uint32(int32(w.Top)),
			uint32(int32(w.Left)), uint32(cmp.Or(w.Rows, crop)), uint32(cmp.Or(w.Columns, crop)), flips)
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
	taps := cu.DevicePtr(0)
	if scaled {
		taps = p.taps
		axes := len(of) * 2 * crop
		if err := d.launch("scale_windows", axes, p.table, taps, step, crop, axes); err != nil {
			return err
		}
	}
	err := d.launch("normalize_pictures", count, p.at, p.table, taps, to, n.Mean[0], n.Mean[1], n.Mean[2], n.Std[0], n.Std[1], n.Std[2],
		step, crop, count)
	if err != nil {
		return err
	}
	p.behind = false
	if err := d.within(func() error { return p.read.Record(d.stream) }); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	return nil
}

// check panics where a window is not of a picture that the room holds, or is scaled and not of what it has room for.
func (p *pixels) check(w kernels.Window) {
	if w.At < 0 || w.H < 0 || w.W < 0 || w.At+3*w.H*w.W > p.room.Bytes {
		panic(fmt.Sprintf("cuda: a picture of %d x %d at byte %d of %d", w.H, w.W, w.At, p.room.Bytes))
	}
	rows, columns := cmp.Or(w.Rows, p.room.Crop), cmp.Or(w.Columns, p.room.Crop)
	if w.Scaled(p.room.Crop) && (rows < 1 || columns < 1 || max(rows, columns) > p.room.Side ||
		w.Top < 0 || w.Left < 0 || w.Top+rows > w.H || w.Left+columns > w.W) {
		panic(fmt.Sprintf("cuda: a window of %d x %d from (%d, %d) of a picture of %d x %d is scaled; room is for %d at most", rows, columns,
			w.Top, w.Left, w.H, w.W, p.room.Side))
	}
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

func (m *meter) NewPixels(r kernels.Room) (kernels.Pixels, error) {
	memory, err := m.Alloc(pixelsLen(r))
	return &hollowPixels{m, memory}, err
}

func (p *hollowPixels) Put(int, []uint8) error { return nil }
func (p *hollowPixels) Normalize(kernels.Normalization, []kernels.Window, kernels.Buffer) error {
	return nil
}
func (p *hollowPixels) Close() error {
	p.meter.Free(p.memory)
	return nil
}
