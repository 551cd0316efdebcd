package kernels

// Pictures leave the host as they came from a file, a byte a channel: a quarter of what a network's input takes, and few
// enough that a device may keep those that are shown again.

// Normalizer is a Device that makes a network's input of pictures in bytes.
type Normalizer interface {
	Device
	// NewPixels returns room for that many bytes of pictures, of which one call of Normalize shows so many windows at most.
	NewPixels(bytes, windows int) (Pixels, error)
	// Available is the number of bytes of the device's memory that nobody has taken.
	Available() (int64, error)
}

// Pixels is pictures in a device's memory, each of rows of pixels of three bytes (R, G, B).
type Pixels interface {
	// Put copies bytes to those from at on, after the calls of Normalize so far and before those that follow. It is done with
	// pix when it returns. The device may compute something else meanwhile.
	Put(at int, pix []uint8) error
	// Normalize computes x (N,Crop,Crop,3), N windows of Crop rows and columns. Not to be called while operations are captured.
	Normalize(n Normalization, crop int, of []Window, x Buffer) error
	// Close frees the room.
	Close() error
}

// Normalization is what becomes of a byte u of channel c: (u/255 − Mean[c]) / Std[c], in float32, each of the three
// operations rounded, as torchvision's ToTensor and Normalize do.
type Normalization struct{ Mean, Std [3]float32 }

// Window is a part of a picture, or more than the picture: what lies outside is black.
type Window struct {
	At, H, W  int  // where the picture begins, its rows and columns
	Top, Left int  // the row and the column of the picture that the window begins with
	Mirrored  bool // left and right
	Upturned  bool // top and bottom
}
