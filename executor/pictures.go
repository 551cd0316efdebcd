package executor

import (
	"context"
	"errors"
	"iter"

	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/planner"
)

// Pictures go to a device that can normalise them as bytes, and those that are shown again, the same pixels, are kept there
// where it has room. The results are the same bits either way.

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
		p.room, err = d.NewPixels(batch*p.size(), batch)
	}
	return p, err
}

// load makes the input of n pictures, of which none is kept.
func (p *pictures) load(pix []uint8, n int, input kernels.Buffer) error {
	windows := make([]kernels.Window, input.Len()/p.size()) // a larger program gets black ones beside them
	for i := range n {
		windows[i] = kernels.Window{At: i * p.size(), H: p.crop, W: p.crop}
	}
	if err := p.room.Put(0, pix); err != nil {
		return err
	}
	return p.room.Normalize(p.norm, p.crop, windows, input)
}

// size is the bytes of a picture.
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

	keeps bool           // what is shown again may be kept
	shown int            // epochs that this process began
	kept  kernels.Pixels // nil: nothing is
	held  []bool         // by view and item: kept has it
	items int
}

// batchesOf makes a source of pictures of cfg, which it completes. alone says that no other run wants the device's memory.
func (p *pictures) batchesOf(cfg data.LoaderConfig, alone bool) (*pictureBatches, error) {
	b := &pictureBatches{to: p, items: len(cfg.Split.Items)}
	if p.device != nil {
		cfg.Bytes, cfg.Held = true, b.holds
		if views := views(&cfg); alone {
			b.held, b.keeps = make([]bool, views*b.items), views > 0
		}
	}
	var err error
	b.Loader, err = data.NewLoader(cfg)
	return b, err
}

// views is how often a picture is another one; 0 where each epoch shows new ones.
func views(cfg *data.LoaderConfig) int {
	if !cfg.Pipeline.Random() {
		return 1
	}
	return cfg.Views
}

func (b *pictureBatches) holds(view, index int) bool {
	return b.kept != nil && b.held[view*b.items+index]
}

func (b *pictureBatches) Epoch(ctx context.Context, epoch, from int) iter.Seq2[batch, error] {
	return func(yield func(batch, error) bool) {
		b.keep()
		b.shown++
		for d, err := range b.Loader.Epoch(ctx, epoch, from) {
			next := batch{Batch: d}
			if err == nil && b.to.device != nil {
				next.load = func(input kernels.Buffer) error { return b.load(d, b.View(epoch), input) }
			}
			if !yield(next, err) {
				return
			}
		}
	}
}

// keep makes room for all pictures. In the second epoch all else that a run holds is there, and of what is left then pictures
// may take half.
func (b *pictureBatches) keep() {
	if !b.keeps || b.shown == 0 {
		return
	}
	b.keeps = false
	bytes := len(b.held) * b.to.size()
	if available, err := b.to.device.Available(); err != nil || int64(bytes) > available/2 {
		return
	}
	// Without room the pictures come from the host, as before.
	if kept, err := b.to.device.NewPixels(bytes, b.to.batch); err == nil {
		b.kept, b.to.kept = kept, append(b.to.kept, kept)
	}
}

// load makes the input of a batch.
func (b *pictureBatches) load(d *data.Batch, view int, input kernels.Buffer) error {
	if b.kept == nil {
		return b.to.load(d.Pix, d.N, input)
	}
	size := b.to.size()
	windows := make([]kernels.Window, input.Len()/size) // as those of pictures that are not kept
	for i, index := range d.Index {
		at := view*b.items + index
		windows[i] = kernels.Window{At: at * size, H: b.to.crop, W: b.to.crop}
		if b.held[at] {
			continue
		}
		if err := b.kept.Put(at*size, d.Pix[i*size:(i+1)*size]); err != nil {
			return err
		}
		b.held[at] = true
	}
	return b.kept.Normalize(b.to.norm, b.to.crop, windows, input)
}
