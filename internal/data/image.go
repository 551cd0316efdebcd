package data

import (
	"fmt"
)

// Image is a picture in RGB, 8 bits a channel: the byte of row y, column x, channel c is Pix[(y*W+x)*3+c]. An Image that
// a cache hands out is shared and must not be written to.
type Image struct {
	W, H int
	Pix  []uint8
}

// NewImage returns a black picture of w columns and h rows.
func NewImage(w, h int) *Image { return &Image{W: w, H: h, Pix: make([]uint8, 3*w*h)} }

// maxPixels is the size at which Pillow refuses a picture as a decompression bomb: twice Image.MAX_IMAGE_PIXELS.
const maxPixels = 2 * (1024 * 1024 * 1024 / 4 / 3)

func checkSize(w, h int) error {
	if w <= 0 || h <= 0 {
		return fmt.Errorf("%d×%d pixels: the picture is empty", w, h)
	}
	if int64(w)*int64(h) > maxPixels {
		return fmt.Errorf("%d×%d pixels are more than the %d million that one picture may have: scale it down",
			w, h, maxPixels/1_000_000)
	}
	return nil
}

// PictureError is a picture that cannot be used, and why.
type PictureError struct {
	Path string // as people know it: relative to the data set, or as they gave it
	Err  error
}

func (e *PictureError) Error() string { return fmt.Sprintf("picture %s: %v", e.Path, e.Err) }

func (e *PictureError) Unwrap() error { return e.Err }
