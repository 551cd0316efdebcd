package runlog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
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
	file *os.File // stays the lease's own, wherever another process moves it
	mark []byte
	stop chan struct{}
	once sync.Once
	done sync.WaitGroup
}

// Acquire takes the run's lease for owner (a line that names process and host), or fails with a *BusyError. The lease of
// a process that is known to have ended is taken over at once, another one when it has not been touched for LeaseTimeout.
// What an attempt that was killed has left half-written is removed.
func (r *Run) Acquire(owner string) (*Lease, error) {
	if err := os.MkdirAll(r.Dir, 0o777); err != nil {
		return nil, err
	}
	path := r.path(leaseFile)
	mark := fmt.Appendf(nil, "%s\n%d\n%s\n", owner, time.Now().UnixNano(), processIdentity())
	for range 3 {
		file, err := createExclusive(path, mark)
		if err == nil {
			r.tidy()
			l := &Lease{path: path, file: file, mark: mark, stop: make(chan struct{})}
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
		first, rest, _ := strings.Cut(string(old), "\n")
		_, identity, _ := strings.Cut(rest, "\n")
		stale := processEnded(strings.TrimSpace(identity))
		if !stale {
			if stale, err = r.stale(path); err != nil {
				return nil, err
			}
		}
		if !stale {
			if first == "" {
				first = "a process that started just now"
			}
			return nil, &BusyError{Run: r.ID, Owner: first}
		}
		// Two processes may find the same stale lease. Moving it away and looking at what was moved tells which lease it
		// was: one that has been renewed meanwhile is put back.
		away := fmt.Sprintf("%s.%d", r.path("."+leaseFile), time.Now().UnixNano())
		if err := os.Rename(path, away); err != nil {
			continue
		}
		if moved, err := os.ReadFile(away); err == nil && !bytes.Equal(moved, old) {
			_ = os.Link(away, path)
		}
		_ = os.Remove(away)
	}
	return nil, &BusyError{Run: r.ID, Owner: "a process that started just now"}
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

func createExclusive(path string, content []byte) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(content); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

func (l *Lease) beat() {
	tick := time.NewTicker(Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			// Writing, not setting a time, so that the file system's clock gives it, as it does where others look. What
			// can't be written now is tried again, and lost in the end.
			if _, err := l.file.WriteAt(l.mark, 0); err == nil {
				_ = l.file.Sync()
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
		_ = l.file.Close() // nothing in it is of use any more
		if l.Held() {
			_ = os.Remove(l.path)
		}
	})
}
