//go:build unix

package cli

import (
	"runtime"
	"syscall"
)

// peakResident is the most memory, in bytes, that the process has held at a time; 0 where the system does not tell.
func peakResident() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int64(u.Maxrss) // bytes there, KiB elsewhere
	}
	return int64(u.Maxrss) << 10
}
