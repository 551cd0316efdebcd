package runlog

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// Follower looks at a run that another process trains. It reads what has changed since the last look, and no more than the
// times and sizes of two files where nothing has.
type Follower struct {
	run     *Run
	status  mark
	metrics mark
	known   int // epochs that were given
}

// mark tells one version of a file from another.
type mark struct {
	modified time.Time
	size     int64
}

// Follow begins to look at a run. Epochs that are there by now are not given by the first look.
func (r *Run) Follow() *Follower {
	f := &Follower{run: r}
	f.metrics, _ = f.look(metricsFile)
	if epochs, err := r.Epochs(Status{}); err == nil {
		f.known = len(epochs)
	}
	return f
}

func (f *Follower) look(name string) (mark, error) {
	info, err := os.Stat(f.run.path(name))
	if err != nil {
		return mark{}, err
	}
	return mark{info.ModTime(), info.Size()}, nil
}

// Known is the number of epochs that are known of.
func (f *Follower) Known() int { return f.known }

// Look gives the run's status where that is another one than at the last look, and the epochs that have come since. A file
// that is not whole, as one on a slow file system, is looked at again the next time. An error is about the store as a whole.
func (f *Follower) Look() (status *Status, epochs []Epoch, err error) {
	now, err := f.look(statusFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if now != f.status {
		st, known, err := f.run.Status()
		if err != nil {
			return nil, nil, nil
		}
		f.status = now
		if known {
			status = &st
		}
	}
	if now, err = f.look(metricsFile); err == nil && now != f.metrics {
		all, err := f.run.Epochs(Status{})
		if err != nil {
			return status, nil, nil
		}
		f.metrics = now
		if len(all) < f.known { // begun again
			f.known = 0
		}
		epochs = all[f.known:]
		f.known = len(all)
	}
	return status, epochs, nil
}
