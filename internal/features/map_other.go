//go:build !linux && !darwin && !freebsd

package features

// open opens a file to be read piece by piece: such systems are not asked to map it.
func open(path string) (source, error) { return openPlain(path) }
