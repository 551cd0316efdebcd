//go:build !amd64

package cpu

// bestPath is generic: there is assembly for amd64 only.
func bestPath() path { return generic }
