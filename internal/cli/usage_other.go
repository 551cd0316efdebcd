//go:build !unix

package cli

import "time"

// peakResident is the most memory, in bytes, that the process has held at a time; 0 where the system does not tell.
func peakResident() int64 { return 0 }

// processorTime is what the process has had of all processors together; 0 where the system does not tell.
func processorTime() time.Duration { return 0 }
