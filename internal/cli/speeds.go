package cli

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/adrg/xdg"

	"github.com/ftrun/ftrun/executor"
	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/internal/kernels/speed"
)

// speeds is a file in the user's cache that holds how fast this machine, and others that share the folder, computes: what
// was measured of single operations, once, and how fast trainings went. It serves all stores. It is read and replaced as a
// whole; of two processes that do so at once one's news is lost, which costs nothing but a little of an estimate.
type speeds struct {
	Format   int                 `json:"format"`
	Machines map[string]*machine `json:"machines"` // by name
}

// speedsFormat goes up when what is kept means something else, as when an estimate is made in another way.
const speedsFormat = 3

// machine is what is known of a machine with a number of threads.
type machine struct {
	Measured time.Time               `json:"measured"`
	Busy     bool                    `json:"busy,omitempty"` // it was, with other programs' work, while it was measured
	Speeds   speed.Profile           `json:"speeds"`
	Paces    map[executor.Sort]paces `json:"paces,omitempty"`
}

// paces are the last few of a sort.
type paces struct {
	At   time.Time       `json:"at"` // of the newest
	Last []executor.Pace `json:"last"`
}

// The file stays small: what is oldest goes.
const (
	mostMachines = 32
	mostSorts    = 256
	mostPaces    = 3
)

func speedsPath() string { return filepath.Join(xdg.CacheHome, "ftrun", "speeds.json") }

// machineName names this machine with so many threads of a device.
func machineName(device, path string, threads int) string {
	host, err := os.Hostname()
	if err != nil {
		host = "a machine without a name"
	}
	if _, ok := gpuIndex(device); ok { // of one model all are as fast
		device = allGPUs
	}
	return fmt.Sprintf("%s, %s %s, threads %d", host, device, path, threads)
}

// due tells whether the machine's speed is to be measured: for the first time, or again where it was busy, but not so often
// that a machine that always is makes every plan wait.
func (m *machine) due(now time.Time) bool {
	return m == nil || m.Measured.IsZero() || m.Busy && now.Sub(m.Measured) > 10*time.Minute
}

// readSpeeds reads the file. One that is not there, damaged or of another format is as an empty one.
func readSpeeds(path string) *speeds {
	s := &speeds{}
	raw, err := durable.ReadFile(path)
	if err == nil {
		err = durable.OpenJSON(raw, s)
	}
	if err != nil || s.Format != speedsFormat || s.Machines == nil {
		return &speeds{Format: speedsFormat, Machines: map[string]*machine{}}
	}
	return s
}

// updateSpeeds changes what the file says of a machine, and gives that. What can't be kept is measured again another time.
func updateSpeeds(path, name string, change func(*machine)) *machine {
	s := readSpeeds(path)
	m := s.Machines[name]
	if m == nil {
		m = &machine{}
		s.Machines[name] = m
	}
	change(m)
	dropOldest(m.Paces, mostSorts, func(p paces) time.Time { return p.At })
	dropOldest(s.Machines, mostMachines, func(m *machine) time.Time { return m.Measured })
	if raw, err := durable.SealJSON(s); err == nil {
		_ = durable.Write(path, raw)
	}
	return m
}

// dropOldest leaves so many entries of a map, the newest.
func dropOldest[K comparable, V any](m map[K]V, most int, at func(V) time.Time) {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b K) int { return cmp.Compare(at(m[b]).UnixNano(), at(m[a]).UnixNano()) })
	for _, k := range keys[min(most, len(keys)):] {
		delete(m, k)
	}
}

// add notes a pace.
func (m *machine) add(of executor.Sort, p executor.Pace, at time.Time) {
	last := append(m.Paces[of].Last, p)
	if m.Paces == nil {
		m.Paces = map[executor.Sort]paces{}
	}
	m.Paces[of] = paces{At: at, Last: last[max(len(last)-mostPaces, 0):]}
}

// pace is the middle one of the last few: a training that other programs disturbed does not count for long.
func (m *machine) pace(of executor.Sort) (executor.Pace, bool) {
	last := slices.Clone(m.Paces[of].Last)
	if len(last) == 0 {
		return executor.Pace{}, false
	}
	slices.SortFunc(last, func(a, b executor.Pace) int { return cmp.Compare(a.Train, b.Train) })
	return last[(len(last)-1)/2], true
}
