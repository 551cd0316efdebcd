//go:build !linux

package machine

func ownMemory() (Memory, bool) { return Memory{}, false }
