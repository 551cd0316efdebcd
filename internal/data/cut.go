package data

import "iter"

// Pictures may be cut elsewhere, as on a GPU that keeps them. What is drawn for them is drawn here all the same, and is all
// that is asked of the host then.

// Size is the columns and rows of a picture.
type Size struct{ W, H int }

// Cut is what an epoch shows of a picture: its part Box, scaled to Crop×Crop as Resize does, then mirrored. A Box of
// Crop×Crop is not scaled, and may reach beyond the picture: what lies there is black.
type Cut struct {
	Box      Rect
	Mirrored bool // left and right
	Upturned bool // top and bottom
}

// Cuts reports whether a Cut can say what is drawn for a picture. It can where the first operation that draws is a crop or
// a flip, and flips alone follow.
func (p *Pipeline) Cuts() bool {
	if !p.Random() {
		return false
	}
	for i, op := range p.ops[p.fixed:] {
		switch op.(type) {
		case HFlip, VFlip:
		case RandomResizedCrop, RandomCrop:
			if i > 0 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// cut says what draw would make of a picture of that size.
func (p *Pipeline) cut(of Size, draws func(op int) stream) (c Cut, err error) {
	c.Box = Rect{0, 0, of.W, of.H}
	for i, op := range p.ops[p.fixed:] {
		r := draws(p.fixed + i)
		switch op := op.(type) {
		case RandomResizedCrop:
			c.Box = op.box(of.W, of.H, &r)
		case RandomCrop:
			if c.Box, err = op.box(of.W, of.H, p.crop, &r); err != nil {
				return c, err
			}
		case HFlip:
			c.Mirrored = c.Mirrored != flips(op.P, &r)
		case VFlip:
			c.Upturned = c.Upturned != flips(op.P, &r)
		default:
			panic("data: a cut can't say " + op.Kind())
		}
	}
	return c, nil
}

// Cut says what an epoch (from 1) shows of item index, which Pictures gives in that size. The error is a *PictureError.
func (l *Loader) Cut(epoch, index int, of Size) (Cut, error) {
	c, err := l.cfg.Pipeline.cut(of, l.draws(epoch, index))
	if err != nil {
		err = &PictureError{Path: l.cfg.Split.Items[index].Path, Err: err}
	}
	return c, err
}

// Pictures yields items as they are before anything is drawn for them, in that order, and reads as many further as it has
// workers. They are not to be written to. An error, a *PictureError, is the last thing that is yielded. When the iteration
// ends, so have its goroutines.
func (l *Loader) Pictures(items []int) iter.Seq2[*Image, error] {
	type answer struct {
		img *Image
		err error
	}
	return func(yield func(*Image, error) bool) {
		under := make(chan (<-chan answer), l.cfg.Workers)
		done := make(chan struct{})
		go func() {
			defer close(under)
			for _, index := range items {
				one := make(chan answer, 1)
				select {
				case under <- one:
				case <-done:
					return
				}
				go func() {
					img, err := l.undrawn(index, &scratch{})
					one <- answer{img, err}
				}()
			}
		}()
		defer func() { // waits for what is under way
			close(done)
			for one := range under {
				<-one
			}
		}()
		for one := range under {
			a := <-one
			if !yield(a.img, a.err) || a.err != nil {
				return
			}
		}
	}
}
