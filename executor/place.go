package executor

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

// place is what is known of a Place.
type place struct {
	Place
	name, path string
	kind       int   // the number of the first place with the same path
	memory     int64 // bytes free of its own memory when apply began, less what is set aside; without bound where it has none
	total      int64 // bytes of its own memory; 0 where it has none
	// refusals say of those precisions of the runs that it has not why it computes in none of them.
	refusals map[kernels.Precision]error
}

// setAside is what is left of a GPU's memory, in bytes, beside what is rehearsed: for what the driver and the libraries load and
// hold when they are first asked to compute. It is an allowance: nobody has measured it yet.
const setAside = 256 << 20

// lookAtPlaces opens a device at each place for a moment to learn what it calls itself and what it has.
func (e *execution) lookAtPlaces() error {
	precisions, err := e.precisions()
	if err != nil {
		return err
	}
	e.places = make([]place, len(e.Places))
	for i := range e.places {
		if err := e.places[i].look(e.Places[i], precisions); err != nil {
			return err
		}
		p := &e.places[i]
		for p.kind = 0; e.places[p.kind].path != p.path; p.kind++ {
		}
	}
	return nil
}

func (p *place) look(of Place, precisions []kernels.Precision) (err error) {
	device, err := of.Open(1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, device.Close()) }()
	*p = place{Place: of, name: device.Name(), path: device.Path(), memory: math.MaxInt64, refusals: refusals(device, precisions)}
	if d, own := device.(kernels.Separate); own {
		p.memory, p.total, err = d.Memory()
		p.memory = max(p.memory+device.Meter(1).Scratch()-setAside, 0) // what it has taken by being opened is a run's own
	}
	return err
}

// describePlaces are the names of all places, and their paths, each once.
func (e *execution) describePlaces() (names, paths string) {
	var all, distinct []string
	for i := range e.places {
		all = append(all, e.places[i].name)
		if e.places[i].kind == i {
			distinct = append(distinct, e.places[i].path)
		}
	}
	return strings.Join(all, ", "), strings.Join(distinct, "; ")
}

// placeRooms are the places as the queue sees them. So many runs go on at once, as many on each as on any other.
func (e *execution) placeRooms(runs int) []placeRoom {
	rooms := make([]placeRoom, len(e.places))
	for i, p := range e.places {
		rooms[i] = placeRoom{runs: (runs + len(rooms) - 1) / len(rooms), memory: p.memory, kind: p.kind}
		for precision := range p.refusals {
			rooms[i].lacks |= 1 << precision
		}
	}
	return rooms
}

// largestPlace is, of the places that have a precision, of which there is one, the one with the most memory that is free.
func (e *execution) largestPlace(p kernels.Precision) (largest *place) {
	for i := range e.places {
		at := &e.places[i]
		if at.refusals[p] == nil && (largest == nil || at.memory > largest.memory) {
			largest = at
		}
	}
	return largest
}

// unopenedError says why a device can't be opened at a place where one could be when apply began.
type unopenedError struct{ err error }

func (e *unopenedError) Error() string { return e.err.Error() }
func (e *unopenedError) Unwrap() error { return e.err }

// isPlaceLost tells whether what failed a run would fail any other at the same place: its device is lost, or can't be opened, and
// not for want of memory.
func isPlaceLost(err error) bool {
	return errors.Is(err, kernels.ErrLost) || errors.As(err, new(*unopenedError)) && !errors.Is(err, kernels.ErrMemory)
}

// losePlace has no run start any more where a job lost its device: what is wrong with it stays so for this process.
func (e *execution) losePlace(job int32) {
	others, first := e.queue.lose(job)
	if !first {
		return
	}
	text := fmt.Sprintf("%s is lost: this process starts no other run on it", e.places[e.queue.jobs[job].place].name)
	if !others {
		text += ", and there is nothing else to train on"
	}
	e.emit(runlog.Note{Text: text + "; what its runs had saved is there for the next apply"})
}

// checkPlaces refuses a run that finds room in no place, and says with what batch it would.
func (e *execution) checkPlaces() error {
	i, others := e.unfit(func(w want) (need, room int64) { return w.device, e.largestPlace(w.precision).memory })
	if i < 0 {
		return nil
	}
	run, largest := e.runs[i], e.largestPlace(e.wants[i].precision)
	return fmt.Errorf("%s needs %s of a GPU's memory, and of the %s of %s there are %s for runs%s: %s", e.Plan.Name(run), amount(e.wants[i].device),
		amount(largest.total), largest.name, amount(largest.memory), others, e.smaller(run, largest, e.Threads, largest.memory))
}

// adviseBatch adds to the error of a run whose device had not enough memory what was estimated of it, and with what batch it
// would fit into what is free now, without it.
func (e *execution) adviseBatch(err error, run *planner.Run, at *place, threads int) error {
	want := e.wants[e.queue.index[run.ID]].device
	now := &place{}
	if now.look(at.Place, nil) != nil {
		return err
	}
	// Where it should have fitted, the estimate was too low, or somebody else had the memory for a while.
	fits := min(now.memory, want*3/4)
	return fmt.Errorf("%w; it was estimated to hold %s of the GPU's memory, of which %s are free for it: %s", err, amount(want),
		amount(now.memory), e.smaller(run, at, threads, fits))
}

// smaller says with which smaller batch a run would hold no more than so many bytes of a place's own memory.
func (e *execution) smaller(run *planner.Run, at *place, threads int, fits int64) string {
	none := "not even a batch_size of 1 would fit; a smaller crop or architecture needs less"
	device, err := at.Open(threads)
	if err != nil {
		return none
	}
	defer device.Close() // of which nothing was asked that could fail
	set := e.Plan.Settings[run.Settings]
	for set.BatchSize /= 2; set.BatchSize >= 1; set.BatchSize /= 2 {
		m, err := RunMemory(device, threads, &set, &e.Plan.Datasets[run.Dataset], e.sharing(run))
		if err == nil && m.Device <= fits {
			return fmt.Sprintf("a batch_size of %d would fit, with %s", set.BatchSize, amount(m.Device))
		}
	}
	return none
}

// sharing is what a run is let to share.
func (e *execution) sharing(run *planner.Run) *planner.Sharing {
	if e.NoShare {
		return &planner.Sharing{}
	}
	return &e.Plan.Sharing[run.Sharing]
}
