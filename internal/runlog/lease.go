package runlog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// A lease is touched every Heartbeat while its owner lives; one that was not touched for LeaseTimeout may be taken over.
const (
	Heartbeat    = 10 * time.Second
	LeaseTimeout = 60 * time.Second
)

const leaseFile = "lease"

// BusyError says that another process has a run.
type BusyError struct{ Run, Owner string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("run %s is being trained by %s", e.Run, e.Owner)
}

// Lease is the exclusive use of a run's folder by one process.
type Lease struct {
	path string
	mark []byte
	stop chan struct{}
	once sync.Once
	done sync.WaitGroup
}

// Acquire takes the run's lease for owner (a line that names process and host), or fails with a *BusyError.
func (r *Run) Acquire(owner string) (*Lease, error) {
	if err := os.MkdirAll(r.Dir, 0o777); err != nil {
		return nil, err
	}
	path := r.path(leaseFile)
	mark := fmt.Appendf(nil, "%s\n%d\n", owner, time.Now().UnixNano())
	for range 3 {
		err := createExclusive(path, mark)
		if err == nil {
			l := &Lease{path: path, mark: mark, stop: make(chan struct{})}
			l.done.Go(l.beat)
			return l, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		old, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // given back just now
		}
		if err != nil {
			return nil, err
		}
		stale, err := r.stale(path)
		if err != nil {
			return nil, err
		}
		if !stale {
			first, _, _ := bytes.Cut(old, []byte("\n"))
			return nil, &BusyError{Run: r.ID, Owner: string(first)}
		}
		// Two processes may find the same stale lease. Moving it away and looking at what was moved tells which lease it
		// was: one that has been renewed meanwhile is put back.
		away := fmt.Sprintf("%s.%d", path, time.Now().UnixNano())
		if err := os.Rename(path, away); err != nil {
			continue
		}
		if moved, err := os.ReadFile(away); err == nil && !bytes.Equal(moved, old) {
			_ = os.Link(away, path)
		}
		_ = os.Remove(away)
	}
	return nil, &BusyError{Run: r.ID, Owner: "another process that started just now"}
}

// stale compares the lease's age with a file made now in the same folder, so that only the file system's clock counts.
func (r *Run) stale(path string) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	probe, err := os.CreateTemp(r.Dir, ".clock.*")
	if err != nil {
		return false, err
	}
	defer os.Remove(probe.Name())
	defer probe.Close()
	now, err := probe.Stat()
	if err != nil {
		return false, err
	}
	return now.ModTime().Sub(info.ModTime()) > LeaseTimeout, nil
}

func createExclusive(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

func (l *Lease) beat() {
	tick := time.NewTicker(Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			if l.Held() {
				now := time.Now()
				_ = os.Chtimes(l.path, now, now)
			}
		}
	}
}

// Held tells whether the lease is still this process's: one that stalled for too long may have lost it, and must not
// publish what it made.
func (l *Lease) Held() bool {
	content, err := os.ReadFile(l.path)
	return err == nil && bytes.Equal(content, l.mark)
}

// Release gives the lease back.
func (l *Lease) Release() {
	l.once.Do(func() {
		close(l.stop)
		l.done.Wait()
		if l.Held() {
			_ = os.Remove(l.path)
		}
	})
}
