//go:build !amd64

package cpu

// streams is the portable kernels: there is assembly for amd64 only.
func (d *Device) streams() *streams { return &genericStreams }
