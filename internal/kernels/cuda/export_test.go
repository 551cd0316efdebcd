//go:build gpu

package cuda

// LaunchAtMost has the device launch no more blocks at once.
func (d *Device) LaunchAtMost(blocks int) { d.mostBlocks = blocks }
