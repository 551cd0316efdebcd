//go:build !amd64

package cpu

// microOf is the micro-kernels of a path.
func microOf(path) *micro { return &genericMicro }
