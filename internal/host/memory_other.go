//go:build !linux

package host

func ownMemory() (Memory, bool) { return Memory{}, false }
