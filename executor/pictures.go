package executor

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/planner"
)

// Pictures go to a device that can normalise them as bytes, and it keeps those of a split where it has room: as they are
// shown, where the same pixels come again; and else as they are before anything is drawn for them, to be cropped there. The
// results are the same bits either way (docs/decisions/0031-pictures-are-cropped-where-they-are-kept.md).

// pictures is how pictures get to a device.
type pictures struct {
	device kernels.Normalizer // nil: it takes normalised ones
	room   kernels.Pixels     // for one batch
	kept   []kernels.Pixels   // for those of whole splits
	crop   int
	norm   kernels.Normalization
	batch  int // most pictures of one
}

// newPictures makes room for batches of so many pictures, where the device normalises.
func newPictures(device kernels.Device, image planner.Image, batch int) (*pictures, error) {
	p := &pictures{crop: image.Crop, norm: kernels.Normalization{Mean: image.Mean, Std: image.Std}, batch: batch}
	var err error
	if d, ok := device.(kernels.Normalizer); ok {
		p.device = d
		p.room, err = d.NewPixels(kernels.Room{Bytes: batch * p.size(), Windows: batch, Crop: p.crop})
	}
	return p, err
}

// load makes the input of n pictures, of which none is kept.
func (p *pictures) load(pix []uint8, n int, input kernels.Buffer) error {
	windows := p.windows(input)
	for i := range n {
		windows[i] = kernels.Window{At: i * p.size(), H: p.crop, W: p.crop}
	}
	if err := p.room.Put(0, pix); err != nil {
		return err
	}
	return p.room.Normalize(p.norm, windows, input)
}

// windows are those that make an input. A larger program than its batch gets black ones beside those of the pictures.
func (p *pictures) windows(input kernels.Buffer) []kernels.Window {
	return make([]kernels.Window, input.Len()/p.size())
}

// size is the bytes of a picture as it is shown.
func (p *pictures) size() int { return 3 * p.crop * p.crop }

func (p *pictures) close() error {
	var errs []error
	if p.room != nil {
		errs = append(errs, p.room.Close())
	}
	for _, k := range p.kept {
		errs = append(errs, k.Close())
	}
	p.room, p.kept = nil, nil
	return errors.Join(errs...)
}

// pictureBatches yields a loader's batches.
type pictureBatches struct {
	*data.Loader
	to *pictures

	keeps bool        // its pictures may be kept yet
	views int         // how often a picture is another one; 0: each epoch draws anew
	shown int         // epochs that this process began
	sizes []data.Size // by item: before anything is drawn for it; 0×0 as long as that is not known
	kept  *album      // the views of all items, one view after the other, or where views is 0 the items; nil: nothing is
}

// batchesOf makes a source of pictures of cfg, which it completes. alone says that no other run wants the device's memory.
func (p *pictures) batchesOf(cfg data.LoaderConfig, alone bool) (*pictureBatches, error) {
	b := &pictureBatches{to: p, views: cfg.Views, sizes: make([]data.Size, len(cfg.Split.Items))}
	if !cfg.Pipeline.Random() {
		b.views = 1
	}
	if p.device != nil {
		cfg.Bytes, cfg.Held = true, b.holds
		b.keeps = alone && (b.views > 0 || cfg.Pipeline.Cuts())
	}
	var err error
	b.Loader, err = data.NewLoader(cfg)
	return b, err
}

// holds tells whether the loader need not make a picture.
func (b *pictureBatches) holds(view, index int) bool {
	return b.kept != nil && (b.views == 0 || b.kept.held[view*len(b.sizes)+index])
}

func (b *pictureBatches) Epoch(ctx context.Context, epoch, from int) iter.Seq2[batch, error] {
	return func(yield func(batch, error) bool) {
		b.keep()
		b.shown++
		missing, stop := iter.Pull2(b.Pictures(b.missing(epoch, from)))
		defer stop()
		for d, err := range b.Loader.Epoch(ctx, epoch, from) {
			next := batch{Batch: d}
			if err == nil && b.to.device != nil {
				b.learn(d)
				next.load = func(input kernels.Buffer) error { return b.load(d, epoch, missing, input) }
			}
			if !yield(next, err) {
				return
			}
		}
	}
}

// learn notes of what size a batch's pictures were.
func (b *pictureBatches) learn(d *data.Batch) {
	for i, index := range d.Index {
		if d.Sizes[i] != (data.Size{}) {
			b.sizes[index] = d.Sizes[i]
		}
	}
}

// keep makes room for all pictures. In the second epoch all else that a run holds is there, and the sizes are known, unless
// the first was gone on with.
func (b *pictureBatches) keep() {
	if !b.keeps || b.shown == 0 {
		return
	}
	sizes, side := b.sizes, 0
	if b.views > 0 {
		sizes = slices.Repeat([]data.Size{{W: b.to.crop, H: b.to.crop}}, b.views*len(b.sizes))
	} else {
		for _, s := range sizes {
			if s == (data.Size{}) {
				return
			}
			side = max(side, s.W, s.H)
		}
	}
	b.keeps = false
	b.kept = b.to.newAlbum(sizes, side)
}

// missing are the items, in the order in which the rest of an epoch shows them, that are to be kept before anything is
// drawn for them, and are not there.
func (b *pictureBatches) missing(epoch, from int) (items []int) {
	if b.kept == nil || b.views > 0 {
		return nil
	}
	for _, index := range b.Order(epoch)[from*b.to.batch:] {
		if !b.kept.held[index] {
			items = append(items, index)
		}
	}
	return items
}

// load makes the input of a batch of an epoch. missing gives the next of the missing items.
func (b *pictureBatches) load(d *data.Batch, epoch int, missing func() (*data.Image, error, bool), input kernels.Buffer) error {
	if b.kept == nil {
		return b.to.load(d.Pix, d.N, input)
	}
	windows := b.to.windows(input)
	var err error
	if b.views > 0 {
		err = b.show(d, b.View(epoch), windows)
	} else {
		err = b.cut(d, epoch, missing, windows)
	}
	if err != nil {
		return err
	}
	return b.kept.pixels.Normalize(b.to.norm, windows, input)
}

// show shows pictures that are kept as they are shown, and copies those that are not there yet.
func (b *pictureBatches) show(d *data.Batch, view int, windows []kernels.Window) error {
	size := b.to.size()
	for i, index := range d.Index {
		number := view*len(b.sizes) + index
		if !b.kept.held[number] {
			if err := b.kept.put(number, d.Pix[i*size:(i+1)*size]); err != nil {
				return err
			}
		}
		windows[i] = b.kept.window(number)
	}
	return nil
}

// cut shows of pictures that are kept what an epoch draws, and copies those that are not there yet.
func (b *pictureBatches) cut(d *data.Batch, epoch int, missing func() (*data.Image, error, bool), windows []kernels.Window) error {
	for i, index := range d.Index {
		if !b.kept.held[index] {
			img, err, ok := missing()
			if !ok {
				return errors.New("pictures are loaded in another order than an epoch's")
			}
			if err != nil {
				return err
			}
			if err := b.kept.put(index, img.Pix); err != nil {
				return err
			}
		}
		c, err := b.Cut(epoch, index, b.sizes[index])
		if err != nil {
			return err
		}
		w := b.kept.window(index)
		w.Top, w.Left, w.Rows, w.Columns, w.Mirrored, w.Upturned = c.Box.Y, c.Box.X, c.Box.H, c.Box.W, c.Mirrored, c.Upturned
		windows[i] = w
	}
	return nil
}
