package executor

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/planner"
)

// normalizing is a CPU that takes pictures as bytes, as a GPU does.
type normalizing struct {
	kernels.Device
	available int64
	copied    *int // bytes
}

type hostPixels struct {
	of   *normalizing
	room kernels.Room
	pix  []uint8
}

func (d *normalizing) Available() (int64, error) { return d.available, nil }

func (d *normalizing) NewPixels(r kernels.Room) (kernels.Pixels, error) {
	return &hostPixels{d, r, make([]uint8, r.Bytes)}, nil
}

func (p *hostPixels) Put(at int, pix []uint8) error {
	*p.of.copied += copy(p.pix[at:at+len(pix)], pix)
	return nil
}

// Normalize has internal/data scale what is to be scaled.
func (p *hostPixels) Normalize(n kernels.Normalization, of []kernels.Window, x kernels.Buffer) error {
	to, crop := x.(kernels.Host), p.room.Crop
	for i, w := range of {
		part := data.NewImage(cmp.Or(w.Columns, crop), cmp.Or(w.Rows, crop))
		for row := range part.H {
			for column := range part.W {
				if y, x := row+w.Top, column+w.Left; 0 <= y && y < w.H && 0 <= x && x < w.W {
					copy(part.Pix[3*(row*part.W+column):][:3], p.pix[w.At+3*(y*w.W+x):])
				}
			}
		}
		if w.Scaled(crop) {
			if max(part.H, part.W) > p.room.Side || w.Top < 0 || w.Left < 0 || w.Top+w.Rows > w.H || w.Left+w.Columns > w.W {
				return fmt.Errorf("%+v can't be scaled in %+v", w, p.room)
			}
			part = data.Resize(part, crop, crop)
		}
		for row := range crop {
			for column := range crop {
				from := [2]int{row, column}
				if w.Upturned {
					from[0] = crop - 1 - row
				}
				if w.Mirrored {
					from[1] = crop - 1 - column
				}
				for c := range 3 {
					v := float32(part.Pix[3*(from[0]*crop+from[1])+c]) / 255
					v = v - n.Mean[c]
					to[3*((i*crop+row)*crop+column)+c] = v / n.Std[c]
				}
			}
		}
	}
	return nil
}

func (p *hostPixels) Close() error { return nil }

// TestBytesOfPictures: a device that normalises leaves what one does that takes normalised pictures, whether it keeps
// pictures or not; and those that it keeps are copied no more.
func TestBytesOfPictures(t *testing.T) {
	const epochs, train, val, bytes = 5, 14, 9, 3 * size * size
	tests := []struct {
		name  string
		edit  func(*planner.Settings)
		train int // copied where pictures are kept
	}{
		// From the second epoch on a picture is copied once for all.
		{"not augmented", func(s *planner.Settings) { s.Augment = nil }, 2 * train},
		{"views", func(s *planner.Settings) { s.Augment.Views = 2 }, 3 * train},
		{"another in each epoch", func(*planner.Settings) {}, epochs * train},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			apply := func(device func(kernels.Device) kernels.Device) result {
				l := newLab(t)
				id := l.run(func(s *planner.Settings) {
					s.Epochs = epochs
					test.edit(s)
				})
				l.opt.Places = []Place{{Open: func(threads int) (kernels.Device, error) {
					d, err := cpu.New(threads)
					return device(d), err
				}}}
				l.apply(1, 0, 0, 0)
				return l.result(id)
			}
			want := apply(func(d kernels.Device) kernels.Device { return d })
			for available, copied := range map[int64]int{0: epochs * (train + val), 1 << 30: test.train + 2*val} {
				n := 0
				got := apply(func(d kernels.Device) kernels.Device { return &normalizing{d, available, &n} })
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%d bytes available: %s", available, d)
				}
				if n != copied*bytes {
					t.Errorf("%d bytes available: %v pictures are copied, want %d", available, float64(n)/bytes, copied)
				}
			}
		})
	}
}
