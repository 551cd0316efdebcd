package kernels

import "errors"

// What may become of a device whatever it is asked for. A device's errors are of one of these kinds where errors.Is says so.
var (
	// ErrMemory: the device has not as much memory left as was asked for. What it held it still holds.
	ErrMemory = errors.New("the device has not enough memory")
	// ErrLost: the device can't be used any more by this process, and what it held is gone.
	ErrLost = errors.New("the device is lost")
)

// Separate is a device whose memory is its own and not the machine's.
type Separate interface {
	Device
	// Memory is how many bytes of that are free, and how many there are.
	Memory() (free, total int64, err error)
}
