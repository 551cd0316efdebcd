//go:build !unix

package cli

// peakResident is the most memory, in bytes, that the process has held at a time; 0 where the system does not tell.
func peakResident() int64 { return 0 }
