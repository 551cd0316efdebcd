package cli

import (
	"maps"
	"path/filepath"
	"sync"
	"time"

	"github.com/adrg/xdg"

	"github.com/ftrun/ftrun/internal/durable"
)

// timings is a file in the user's cache, beside that of the machine's speeds, that holds which algorithms were the fastest on
// the GPUs that were used: kernels.Timings. It serves all stores. Of two processes that replace it at once one's news may be
// lost, and is measured again.
type timings struct {
	path string

	mu   sync.Mutex
	read *fastest // nil: not yet
}

// fastest is what the file holds.
type fastest struct {
	Format  int                  `json:"format"`
	Devices map[string]*measured `json:"devices"` // by arithmetic
}

// measured is what is known of a device, by what is computed.
type measured struct {
	At         time.Time      `json:"at"` // of the newest
	Algorithms map[string]int `json:"algorithms"`
}

const (
	// timingsFormat goes up when what is kept means something else.
	timingsFormat = 1
	// The file stays small: the oldest devices go, and one of which more is known than this begins anew.
	mostDevices, mostAlgorithms = 16, 20000
)

func timingsPath() string { return filepath.Join(xdg.CacheHome, "ftrun", "algorithms.json") }

// newTimings reads the file where something is asked, and not before.
func newTimings(path string) *timings { return &timings{path: path} }

// load reads the file. One that is not there, damaged or of another format is as an empty one.
func (t *timings) load() *fastest {
	f := &fastest{}
	raw, err := durable.ReadFile(t.path)
	if err == nil {
		err = durable.OpenJSON(raw, f)
	}
	maps.DeleteFunc(f.Devices, func(_ string, m *measured) bool { return m == nil })
	if err != nil || f.Format != timingsFormat || f.Devices == nil {
		return &fastest{Format: timingsFormat, Devices: map[string]*measured{}}
	}
	return f
}

// Fastest tells which algorithm was the fastest.
func (t *timings) Fastest(on, what string) (algorithm int, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.read == nil {
		t.read = t.load()
	}
	if d := t.read.Devices[on]; d != nil {
		algorithm, known = d.Algorithms[what]
	}
	return algorithm, known
}

// Keep notes which algorithm was. What can't be kept is measured again another time.
func (t *timings) Keep(on, what string, algorithm int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.load() // what other processes have found meanwhile, and then what this one has
	if t.read != nil {
		for name, d := range t.read.Devices {
			f.add(name, d.At, d.Algorithms)
		}
	}
	f.add(on, time.Now().UTC(), map[string]int{what: algorithm})
	dropOldest(f.Devices, mostDevices, func(m *measured) time.Time { return m.At })
	t.read = f
	if raw, err := durable.SealJSON(f); err == nil {
		_ = durable.Write(t.path, raw)
	}
}

// add notes algorithms of a device.
func (f *fastest) add(on string, at time.Time, algorithms map[string]int) {
	d := f.Devices[on]
	if d == nil || d.Algorithms == nil || len(d.Algorithms)+len(algorithms) > mostAlgorithms {
		d = &measured{Algorithms: map[string]int{}}
		f.Devices[on] = d
	}
	if at.After(d.At) {
		d.At = at
	}
	maps.Copy(d.Algorithms, algorithms)
}
