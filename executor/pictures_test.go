package executor

import (
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/internal/kernels/kerneltest"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

// normalizing is a CPU that takes pictures as bytes, as a GPU does, and has a memory of its own.
type normalizing struct {
	kernels.Device
	free   int64
	copied *int // bytes
}

type hostPixels struct {
	of   *normalizing
	room kernels.Room
	pix  []uint8
}

func (d *normalizing) Memory() (free, total int64, err error) { return d.free, d.free, nil }

func (d *normalizing) NewPixels(r kernels.Room) (kernels.Pixels, error) {
	return &hostPixels{d, r, make([]uint8, r.Bytes)}, nil
}

func (p *hostPixels) Put(at int, pix []uint8) error {
	*p.of.copied += copy(p.pix[at:at+len(pix)], pix)
	return nil
}

func (p *hostPixels) Normalize(n kernels.Normalization, of []kernels.Window, x kernels.Buffer) error {
	crop := p.room.Crop
	for _, w := range of {
		if w.Scaled(crop) && (max(w.Rows, w.Columns) > p.room.Side ||
			w.Top < 0 || w.Left < 0 || w.Top+w.Rows > w.H || w.Left+w.Columns > w.W) {
			return fmt.Errorf("%+v can't be scaled in %+v", w, p.room)
		}
	}
	copy(x.(kernels.Host), kerneltest.Normalized(n, crop, of, p.pix))
	return nil
}

func (p *hostPixels) Close() error { return nil }

// cropped are ways to augment, with how many bytes the 8 pictures of folders to train on have where they are kept; 0: they are
// not. What is drawn for them is drawn from pictures as they are in their files, or from ones resized to 34 rows.
var cropped = []struct {
	name string
	ops  []data.Op
	room int
}{
	{"a part, scaled", []data.Op{randomPart, data.HFlip{P: 0.5}}, undrawnBytes(36)},
	{"a part of one resized", []data.Op{data.ResizeOp{Size: 34}, randomPart}, undrawnBytes(34)},
	{"a crop with black about it", []data.Op{data.ResizeOp{Size: 34}, data.RandomCrop{Padding: 3}, data.VFlip{P: 0.5}}, undrawnBytes(34)},
	{"flips alone", []data.Op{data.HFlip{P: 0.5}, data.VFlip{P: 0.5}}, 8 * shownBytes},
	{"flipped before", []data.Op{data.HFlip{P: 0.5}, randomPart}, 0},
	{"turned", []data.Op{randomPart, data.RandomRotation{Degrees: [2]float64{-9, 9}}}, 0},
}

var randomPart = data.RandomResizedCrop{Scale: [2]float64{0.08, 1}, Ratio: [2]float64{0.75, 1.33}}

// shownBytes is what a picture as it is shown takes.
const shownBytes = 3 * size * size

// undrawnBytes is what the pictures of folders to train on take, resized to so many rows, which are fewer than their columns.
func undrawnBytes(rows int) (n int) {
	for i := range 8 {
		n += 3 * rows * (rows * (40 + i) / 36)
	}
	return n
}

// TestKeptPictures: whether pictures are kept or not, and wherever an epoch is begun, what a device is given has the bits of
// what the loader normalises; those that are kept are copied once, and take no more than half of what is free.
func TestKeptPictures(t *testing.T) {
	host, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	set, err := data.Open(t.Context(), data.Config{Kind: data.ImageFolder, Path: folders(t, nil)})
	if err != nil {
		t.Fatal(err)
	}
	image := planner.Image{Resize: 33, Crop: size, Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}}
	type part struct{ epoch, from int }
	whole := []part{{1, 0}, {2, 0}, {3, 0}, {4, 0}}
	for _, test := range cropped {
		shown := func(n int) int { return n * shownBytes }
		for _, c := range []struct {
			name   string
			free   int
			parts  []part
			copied int
		}{
			{"no room", 0, whole, shown(32)},
			{"too little", 2*test.room - 1, whole, shown(32)},
			{"just enough", 2 * test.room, whole, shown(8) + test.room},
			{"gone on with", 2 * test.room, []part{{1, 1}, {2, 0}, {3, 0}, {4, 0}}, shown(5+8) + test.room},
			{"copied in two epochs", 2 * test.room, []part{{1, 0}, {2, 2}, {3, 0}, {3, 1}}, shown(8) + test.room},
		} {
			t.Run(test.name+", "+c.name, func(t *testing.T) {
				pipe, err := data.NewPipeline(data.PipelineConfig{Resize: image.Resize, Crop: image.Crop, Augment: test.ops,
					Normalize: data.Normalize{Mean: image.Mean, Std: image.Std}})
				if err != nil {
					t.Fatal(err)
				}
				cfg := data.LoaderConfig{Split: set.Splits[data.Train], Pipeline: pipe, Key: "k", Seed: 3, BatchSize: 3, Shuffle: true, Workers: 2}
				loader, err := data.NewLoader(cfg)
				if err != nil {
					t.Fatal(err)
				}
				copied := 0
				p, err := newPictures(&normalizing{host, int64(c.free), &copied}, image, cfg.BatchSize)
				if err != nil {
					t.Fatal(err)
				}
				defer p.close()
				batches, err := p.batchesOf(cfg, true)
				if err != nil {
					t.Fatal(err)
				}
				for _, part := range c.parts {
					next, stop := iter.Pull2(loader.Epoch(t.Context(), part.epoch, part.from))
					for b, err := range batches.Epoch(t.Context(), part.epoch, part.from) {
						if err != nil {
							t.Fatal(err)
						}
						got := make(kernels.Host, 3*size*size*cfg.BatchSize)
						if err := b.load(got); err != nil {
							t.Fatal(err)
						}
						if want, _, _ := next(); !slices.Equal(got[:len(want.X)], want.X) || !slices.Equal(b.Labels, want.Labels) {
							t.Errorf("epoch %d from batch %d on: other pictures than the loader's", part.epoch, part.from)
						}
					}
					stop()
				}
				if test.room == 0 {
					for c.copied = 0; len(c.parts) > 0; c.parts = c.parts[1:] {
						c.copied += shown(8 - c.parts[0].from*cfg.BatchSize)
					}
				}
				if copied != c.copied {
					t.Errorf("%d bytes are copied, want %d", copied, c.copied)
				}
			})
		}
	}
}

// TestBytesOfPictures: a run on a device that normalises leaves what one does on a device that takes normalised pictures,
// whether its pictures are kept or not, and wherever it is interrupted; and those that are kept are copied no more.
func TestBytesOfPictures(t *testing.T) {
	const epochs, train, val = 4, 8, 4
	tests := []struct {
		name   string
		edit   func(*planner.Settings)
		copied int // bytes of the pictures to train on, where these are kept
	}{
		// From the second epoch on a picture is copied once for all.
		{"not augmented", func(s *planner.Settings) { s.Augment = nil }, 2 * train * shownBytes},
		{"views", func(s *planner.Settings) { s.Augment.Views = 2 }, 3 * train * shownBytes},
		{"another part in each epoch", func(*planner.Settings) {}, train*shownBytes + undrawnBytes(36)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			apply := func(device func(kernels.Device) kernels.Device, stops ...func(runlog.Event) bool) result {
				l := newLab(t)
				l.describe(planner.Dataset{Name: "files", Kind: "imagefolder", Path: folders(t, l), Splits: map[string]string{"train": "train", "val": "val"}})
				id := l.run(func(s *planner.Settings) {
					s.Epochs = epochs
					test.edit(s)
				})
				l.opt.Places = []Place{{Open: func(threads int) (kernels.Device, error) {
					d, err := cpu.New(threads)
					return device(d), err
				}}}
				for _, stop := range stops {
					l.interruptAt(stop)
				}
				l.apply(1, 0, 0, 0)
				return l.result(id)
			}
			want := apply(func(d kernels.Device) kernels.Device { return d })
			for available, copied := range map[int64]int{0: epochs * (train + val) * shownBytes, 1 << 30: test.copied + 2*val*shownBytes} {
				n := 0
				got := apply(func(d kernels.Device) kernels.Device { return &normalizing{d, available, &n} })
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%d bytes available: %s", available, d)
				}
				if n != copied {
					t.Errorf("%d bytes available: %d are copied, want %d", available, n, copied)
				}
			}
			for name, stops := range map[string][]func(runlog.Event) bool{
				"while pictures are copied": {step(2, 1)},
				"again and again":           {step(1, 1), step(3, 1), step(4, 1)},
			} {
				got := apply(func(d kernels.Device) kernels.Device { return &normalizing{d, 1 << 30, new(int)} }, stops...)
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("interrupted %s: %s", name, d)
				}
			}
		})
	}
}
