package executor

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// Go's collector by itself lets memory grow to twice of what is in use before it looks for garbage. Nearly all that a run
// holds is in a few large arrays of numbers, which cost the collector nothing to look at, so that it may look more often:
// what a process holds is then what its runs need.
const (
	garbageMin   = 8 << 20 // bytes of garbage that are let be
	garbageShare = 20      // and, where that is more, this part of what is in use
	// largeGarbage is from how many bytes on what was dropped is given back to the system at once. The next large array
	// may not fit where it lay.
	largeGarbage = 64 << 20
)

// boundGarbage lets the collector begin where there is as much garbage as said above, until it is called off: after each
// collection it says anew when the next one is to come. Where the environment has GOGC, that counts.
func boundGarbage() (callOff func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(100)
	var off atomic.Bool
	var after func(*[16]byte)
	after = func(cycle *[16]byte) {
		if off.Load() {
			return
		}
		debug.SetGCPercent(garbagePercent(heapInUse()))
		runtime.SetFinalizer(cycle, after) // which is called after the next collection
	}
	after(new([16]byte)) // smaller things share their memory, and their end
	return func() {
		off.Store(true)
		debug.SetGCPercent(before)
	}
}

// garbagePercent is what to tell the collector when so many bytes are in use.
func garbagePercent(inUse int64) int {
	inUse = max(inUse, garbageMin) // 0 before the first collection
	return int(100 * garbageAllowed(inUse) / inUse)
}

// garbageAllowed is the most garbage beside so many bytes in use.
func garbageAllowed(inUse int64) int64 { return max(garbageMin, inUse/garbageShare) }

// heapInUse is what the last collection left.
func heapInUse() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// dropped is called when nothing needs so many bytes any more.
func dropped(bytes int64) {
	if bytes >= largeGarbage {
		debug.FreeOSMemory()
	}
}
