package kernels

import "cmp"

// Pictures leave the host as they came from a file, a byte a channel: a quarter of what a network's input takes, and few
// enough that a device may keep those that are shown again.

// Normalizer is a Device that makes a network's input of pictures in bytes.
type Normalizer interface {
	Device
	// NewPixels makes room for pictures.
	NewPixels(r Room) (Pixels, error)
}

// Room is what Pixels have room for.
type Room struct {
	Bytes   int // of pictures
	Windows int // of one call of Normalize, at most
	Crop    int // rows and columns of what becomes of a window
	Side    int // rows, or columns, of a window that is scaled, at most; 0: none is
}

// Pixels is pictures in a device's memory, each of rows of pixels of three bytes (R, G, B).
type Pixels interface {
	// Put copies bytes to those from at on, after the calls of Normalize so far and before those that follow. It is done with
	// pix when it returns. The device may compute something else meanwhile.
	Put(at int, pix []uint8) error
	// Normalize computes x (N,Crop,Crop,3), N windows. Not to be called while operations are captured.
	Normalize(n Normalization, of []Window, x Buffer) error
	// Close frees the room.
	Close() error
}

// Normalization is what becomes of a byte u of channel c: (u/255 − Mean[c]) / Std[c], in float32, each of the three
// operations rounded, as torchvision's ToTensor and Normalize do.
type Normalization struct{ Mean, Std [3]float32 }

// Window is a part of a picture. One of Crop rows and columns may be more than the picture: what lies outside is black. Any
// other lies within it, and is scaled to that by Pillow's antialiased bilinear filter, in its whole numbers:
//
//	along an axis of n inputs      output i is Σ_j k_j·input_j, j from max(⌊c−s+½⌋, 0) up to min(⌊c+s+½⌋, n)
//	                               with s = max(n/Crop, 1) and c = (i+½)·n/Crop
//	a tap                          k_j = w_j / Σw, w_j = max(1 − |(j−c+½)·(1/s)|, 0), in float64, rounded to a multiple of 2⁻²²
//	along the rows, then down      both times rounded to a byte, halves up
type Window struct {
	At, H, W      int  // where the picture begins, its rows and columns
	Top, Left     int  // the row and the column of the picture that the window begins with
	Rows, Columns int  // of the window; 0: Crop
	Mirrored      bool // left and right, when it is scaled
	Upturned      bool // top and bottom
}

// Scaled says whether what becomes of the window, of crop rows and columns, is of another size.
func (w Window) Scaled(crop int) bool {
	return cmp.Or(w.Rows, crop) != crop || cmp.Or(w.Columns, crop) != crop
}
