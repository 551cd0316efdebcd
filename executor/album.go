package executor

import (
	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/kernels"
)

// album is room on a device for pictures that stay there.
type album struct {
	pixels kernels.Pixels
	sizes  []data.Size // by number
	at     []int       // by number: the first byte
	held   []bool      // by number: the picture is there
}

// newAlbum makes room for pictures of these sizes, of which parts of up to side rows or columns are scaled. It returns nil
// where they would take more than half of the device's memory that is free, or it has none of its own.
func (p *pictures) newAlbum(sizes []data.Size, side int) *album {
	a := &album{sizes: sizes, at: make([]int, len(sizes)), held: make([]bool, len(sizes))}
	bytes := 0
	for i, size := range sizes {
		a.at[i] = bytes
		bytes += 3 * size.W * size.H
	}
	d, own := p.device.(kernels.Separate)
	if !own {
		return nil
	}
	if free, _, err := d.Memory(); err != nil || int64(bytes) > free/2 {
		return nil
	}
	var err error
	// Without room the pictures come from the host, as before.
	if a.pixels, err = p.device.NewPixels(kernels.Room{Bytes: bytes, Windows: p.batch, Crop: p.crop, Side: side}); err != nil {
		return nil
	}
	p.kept = append(p.kept, a.pixels)
	return a
}

// put gives a number its picture.
func (a *album) put(number int, pix []uint8) error {
	err := a.pixels.Put(a.at[number], pix)
	a.held[number] = err == nil
	return err
}

// window shows a picture.
func (a *album) window(number int) kernels.Window {
	return kernels.Window{At: a.at[number], H: a.sizes[number].H, W: a.sizes[number].W}
}
