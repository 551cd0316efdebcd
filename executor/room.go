package executor

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/ftrun/ftrun/internal/host"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

// What runs will hold and leave is held against what the machine has before the first of them starts: what can't be is told
// now and not in the night. Where the plan has no estimate, or the system does not tell what there is, nothing is checked.

// findRoom divides the machine between the runs. Memory that is short is taken from decoded pictures first, then from what
// goes on at once, then from the computation of features; told is what people should know of that. An error says which run
// does not fit even alone, or that the disk is too small.
func (e *execution) findRoom() (r room, told []string, err error) {
	if told, err = e.checkPrecisions(); err != nil {
		return room{}, nil, err
	}
	if err := e.checkDisk(); err != nil {
		return room{}, nil, err
	}
	r = room{runs: max(e.Parallelism, 1), memory: math.MaxInt64}
	r.threads = max(e.Threads, r.runs)
	available := e.Memory
	if available == 0 {
		m, known := host.OwnMemory()
		if !known {
			e.runMemory = r.memory
			if _, err := e.findWants(r.memory); err != nil {
				return room{}, nil, err
			}
			return r, told, e.checkPlaces()
		}
		available = m.Available
	}
	own := BaseMemory + e.keptWeights()
	left := max(available-own, 0)
	unshared, err := e.findWants(left)
	if err != nil {
		return room{}, nil, err
	}
	told = append(told, unshared...)
	if err := e.checkMemory(available, own, left); err != nil {
		return room{}, nil, err
	}
	if err := e.checkPlaces(); err != nil {
		return room{}, nil, err
	}
	demands := e.demands()
	asked := min(r.runs, len(e.runs))
	fit, need := demands.fit(left, asked)
	if fit < asked {
		_, all := demands.fit(math.MaxInt64, asked)
		told = append(told, fmt.Sprintf("memory has room for %d of the largest runs at once, not for %d: these would hold %s, and %s are left for runs",
			fit, asked, amount(all), amount(left)))
	}
	making := int64(0) // of one run at a time
	for _, w := range e.wants {
		making = max(making, w.making)
	}
	if pictures := max(left-need-making, 0); pictures < e.CacheBytes {
		told = append(told, fmt.Sprintf("decoded pictures get %s of memory instead of %s: runs hold the rest", amount(pictures), amount(e.CacheBytes)))
		e.CacheBytes = pictures
	}
	r.memory = left - e.CacheBytes
	e.runMemory = r.memory
	return r, told, nil
}

// findWants says what each run wants, of so much memory that is left for runs. Those that could share features hold more than
// is estimated of them where they are not let to, or where memory has no room to compute features even of one picture at a
// time; told is of the latter.
func (e *execution) findWants(left int64) (told []string, err error) {
	device, err := e.places[0].Open(1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, device.Close()) }()
	type sort struct {
		courseKey
		memory int64
	}
	alone, shared, making := map[sort]want{}, map[sort]want{}, map[sort]want{}
	once := func(known map[sort]want, of sort, rehearse func() (want, error)) (w want, err error) {
		w, ok := known[of]
		if !ok {
			w, err = rehearse()
			known[of] = w
		}
		return w, err
	}
	e.wants = make([]want, len(e.runs))
	short := 0
	for i, run := range e.runs {
		w := &e.wants[i]
		estimate := e.Plan.Estimate(run)
		*w = want{memory: estimate.Memory, sharing: -1, precision: e.precision(run)}
		sharing := &e.Plan.Sharing[run.Sharing]
		shares := sharing.Train != nil || sharing.Val != nil
		other := separate(device) || estimate.DeviceMemory > 0 // the plan may have been made for another device
		if !shares && !other {
			continue
		}
		set, data := &e.Plan.Settings[run.Settings], &e.Plan.Datasets[run.Dataset]
		of := sort{courseKeyOf(set, data, sharing), w.memory}
		if other {
			if *w, err = once(shared, of, func() (want, error) { return e.holds(device, run, sharing) }); err != nil {
				return nil, err
			}
		}
		if !shares {
			continue
		}
		if !e.NoShare {
			beside, besideOnDevice := max(left-w.memory, 0), max(e.largestPlace(w.precision).memory-w.device, 0)
			need, err := once(making, of, func() (need want, err error) {
				limits := FeatureLimits{Results: e.FeatureMemory, All: beside, Device: besideOnDevice}
				need.making, need.deviceMaking, err = FeatureMemory(device, e.Threads, set, data, sharing, limits)
				return need, err
			})
			if err != nil {
				return nil, err
			}
			if need.making <= beside && need.deviceMaking <= besideOnDevice {
				w.making, w.deviceMaking, w.sharing = need.making, need.deviceMaking, run.Sharing
				continue
			}
			if short++; short == 1 {
				of, takes, left := "memory", need.making, beside
				if takes <= left {
					of, takes, left = "a GPU's memory", need.deviceMaking, besideOnDevice
				}
				told = []string{fmt.Sprintf("%s computes its frozen part itself: its features take %s of %s to compute, and %s are left beside it",
					e.Plan.Name(run), amount(takes), of, amount(left))}
			}
		}
		if *w, err = once(alone, of, func() (want, error) { return e.holds(device, run, &planner.Sharing{}) }); err != nil {
			return nil, err
		}
	}
	if short > 1 {
		told[0] += fmt.Sprintf("; so do %d others", short-1)
	}
	return told, nil
}

// holds is what a run wants that takes this from files of features; nothing where the plan has no estimates. device is one
// like the run's.
func (e *execution) holds(device kernels.Device, run *planner.Run, sharing *planner.Sharing) (want, error) {
	w := want{sharing: -1, precision: e.precision(run)}
	if e.Plan.Estimate(run).Memory == 0 {
		return w, nil
	}
	m, err := RunMemory(device, e.Threads, &e.Plan.Settings[run.Settings], &e.Plan.Datasets[run.Dataset], sharing)
	w.memory = m.Peak()
	if separate(device) {
		w.device = m.Device
	}
	return w, err
}

// checkMemory refuses a run that would not fit into what the process itself leaves of the available memory.
func (e *execution) checkMemory(available, own, left int64) error {
	i, others := e.unfit(func(w want) (need, room int64) { return w.memory, left })
	if i < 0 {
		return nil
	}
	says := "-memory-mib says how much there is where this is not right"
	if l := e.Plan.LaunchOf(e.runs[i]); l.Kind != planner.Local {
		says = fmt.Sprintf("memory in %s says how much a job gets", l)
	}
	return fmt.Errorf("%s needs %s of memory, and of %s that are available ftrun itself needs %s, which leaves %s for runs%s: a smaller batch_size or crop needs less, and %s",
		e.Plan.Name(e.runs[i]), amount(e.wants[i].memory), amount(available), amount(own), amount(left), others, says)
}

// unfit is the run that needs the most of those that need more than there is room for, with what is to be said of the others;
// -1 where there is none.
func (e *execution) unfit(of func(want) (need, room int64)) (run int, others string) {
	run = -1
	var most int64
	n := -1
	for i, w := range e.wants {
		if need, room := of(w); need > room {
			n++
			if need > most {
				run, most = i, need
			}
		}
	}
	switch {
	case n == 1:
		others = "; another run does not fit either"
	case n > 1:
		others = fmt.Sprintf("; %d other runs do not fit either", n)
	}
	return run, others
}

// checkDisk refuses runs that would leave more than their disk has room for. Features are not counted: those that have no
// room beside what runs leave are not kept.
func (e *execution) checkDisk() error {
	var need int64
	e.leaves = make([]int64, len(e.runs))
	for i, run := range e.runs {
		_, begun := e.seen[run.ID]
		e.leaves[i] = adds(e.Plan, e.Store, run, begun)
		need += e.leaves[i]
	}
	e.toLeave.Store(need)
	return fits(e.Store, need)
}

// CheckDisk refuses, as Apply does, runs that would leave more than the store's disk has room for. It is for who has them
// trained elsewhere: each task by itself knows nothing of what the others are going to leave.
func CheckDisk(p *planner.Plan, store *runlog.Store) error {
	var need int64
	counted := make(map[string]bool, len(p.Runs))
	for i := range p.Runs {
		run := &p.Runs[i]
		if run.Action == planner.Done || counted[run.ID] {
			continue
		}
		counted[run.ID] = true
		need += adds(p, store, run, true)
	}
	return fits(store, need)
}

// adds is how many bytes a run is going to leave beside what an earlier attempt, where it was begun, has left already.
func adds(p *planner.Plan, store *runlog.Store, run *planner.Run, begun bool) int64 {
	leaves := p.Estimate(run).Disk
	if begun && leaves > 0 {
		has, _ := store.Run(run.ID).Size()
		leaves = max(leaves-has, 0)
	}
	return leaves
}

// fits refuses to leave more bytes in a store than its disk has room for.
func fits(store *runlog.Store, need int64) error {
	free, known := host.Free(store.Dir)
	if !known || need <= free {
		return nil
	}
	return fmt.Errorf("the runs are going to leave about %s in %s, and its disk has %s free: make room (`ftrun gc` removes what is of no use any more), "+
		"train fewer runs, or choose another disk with -store", amount(need), store.Dir, amount(free))
}

// keptWeights is the largest file of weights that stays in memory between runs, in bytes: they start from the same one,
// which each run's estimate has only while that run begins.
func (e *execution) keptWeights() (most int64) {
	if len(e.runs) < 2 {
		return 0
	}
	for _, run := range e.runs {
		if e.Plan.Settings[run.Settings].Weights.Kind != "none" && e.Plan.Estimate(run).Memory > 0 {
			most = max(most, 4*run.Params.Total)
		}
	}
	return most
}

// demands are how much memory runs want, the most first.
type demands []demand

type demand struct {
	memory int64
	runs   int
}

func (e *execution) demands() demands {
	runs := map[int64]int{}
	for _, w := range e.wants {
		runs[w.memory]++
	}
	var d demands
	for _, memory := range slices.SortedFunc(maps.Keys(runs), func(a, b int64) int { return cmp.Compare(b, a) }) {
		d = append(d, demand{memory, runs[memory]})
	}
	return d
}

// fit is how many of the largest runs, up to a number, find room together, and the memory that they want.
func (d demands) fit(memory int64, most int) (runs int, need int64) {
	for _, one := range d {
		for range one.runs {
			if runs == most || need+one.memory > memory {
				return runs, need
			}
			need += one.memory
			runs++
		}
	}
	return runs, need
}

// amount writes a number of bytes.
func amount(bytes int64) string {
	if bytes >= 1<<30 {
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	}
	return fmt.Sprintf("%d MiB", (bytes+1<<19)>>20)
}
