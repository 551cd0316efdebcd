package runlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ftrun/ftrun/internal/durable"
)

// A lease changes every Heartbeat while its owner lives; one that a process has watched for LeaseTimeout without a change
// may be taken over by it.
const (
	Heartbeat    = 10 * time.Second
	LeaseTimeout = 60 * time.Second
)

const (
	leaseFile  = "lease"
	deskPrefix = "attempt." // of the folders in which attempts write what is not whole yet
)

// BusyError says that another process has a run.
type BusyError struct {
	Run, Owner string
	Lives      bool // the owner is known to
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("run %s is being trained by %s", e.Run, e.Owner)
}

// Lease is the exclusive use of a run's folder by one process.
//
// A process may stall at any instruction and come back long after it was taken for dead. So it is not enough that it asks
// whether it still has the lease before it writes. Whatever it writes is made on its desk, a folder of this attempt alone,
// and renamed from there; who takes a lease over takes the desk away first, and renaming from it fails from then on.
type Lease struct {
	run  *Run
	file *os.File // stays the lease's own, wherever another process moves it
	mark string   // the lines that stay: owner, token, process
	stop chan struct{}
	once sync.Once
	done sync.WaitGroup
}

// Acquire takes the run's lease for owner (a line that names process and host), or fails with a *BusyError. The lease of
// a process that is known to have ended is taken over at once, another one when this process has watched it long enough,
// by its own clock: calls of Acquire are the looks. From then on r writes through the attempt's desk. What an earlier
// attempt has left half-written is removed.
func (r *Run) Acquire(owner string) (*Lease, error) {
	lease, _, err := r.acquire(owner)
	return lease, err
}

// acquire is Acquire, and tells whether the lease was taken from another process.
func (r *Run) acquire(owner string) (lease *Lease, taken bool, err error) {
	if err := r.Obstructed(); err != nil {
		return nil, false, err
	}
	if err := os.MkdirAll(r.Dir, 0o777); err != nil {
		return nil, false, err
	}
	path := r.path(leaseFile)
	token := fmt.Sprintf("%d.%d", os.Getpid(), time.Now().UnixNano())
	mark := fmt.Sprintf("%s\n%s\n%s\n", owner, token, processIdentity())
	for range 3 {
		file, err := createExclusive(path, beat(mark, 0))
		if err == nil {
			l := &Lease{run: r, file: file, mark: mark, stop: make(chan struct{})}
			if err := r.takeDesk(deskPrefix + token); err != nil {
				return nil, false, errors.Join(err, file.Close(), os.Remove(path))
			}
			if !l.Held() {
				_ = file.Close()
				continue // the owner before gave it back in the same moment
			}
			l.done.Go(l.beat)
			return l, taken, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, false, err
		}
		taken = false
		old, err := durable.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // given back just now
		}
		if errors.Is(err, durable.ErrNoFile) {
			return nil, false, fmt.Errorf("%s is in the place of the run's lease: move it away", path)
		}
		if err != nil {
			return nil, false, err
		}
		lines := strings.Split(string(old)+"\n\n\n", "\n")
		process := strings.TrimSpace(lines[2])
		if !processEnded(process) && !r.store.watch(path, string(old)) {
			if lines[0] == "" {
				lines[0] = "a process that started just now"
			}
			return nil, false, &BusyError{Run: r.ID, Owner: lines[0], Lives: processLives(process)}
		}
		// Two processes may find the same stale lease. Moving it away and looking at what was moved tells which lease it
		// was: one that has been renewed meanwhile is put back.
		away := fmt.Sprintf("%s.%s", r.path("."+leaseFile), token)
		if err := os.Rename(path, away); err != nil {
			continue
		}
		if moved, err := durable.ReadFile(away); err == nil && string(moved) != string(old) {
			_ = os.Link(away, path)
		} else {
			taken = true
		}
		_ = os.Remove(away)
	}
	r.desk = ""
	return nil, false, &BusyError{Run: r.ID, Owner: "a process that started just now"}
}

// AcquireWatching is Acquire for one who means to remove what the owner has: a lease that another process has is looked at
// until it has been watched long enough. Where its owner is known to live, or it changes meanwhile or is given back, that
// is an error, a *BusyError but for the last. waiting is called once, where there is something to watch.
func (r *Run) AcquireWatching(ctx context.Context, owner string, waiting func(*BusyError)) (*Lease, error) {
	var before []byte
	waited := false
	for {
		lease, taken, err := r.acquire(owner)
		if err == nil && waited && !taken {
			lease.Release()
			return nil, fmt.Errorf("run %s was given back just now by the process that was training it: look at what became of it first", r.ID)
		}
		var busy *BusyError
		if !errors.As(err, &busy) || busy.Lives {
			return lease, err
		}
		now, _ := durable.ReadFile(r.path(leaseFile))
		if len(before) > 0 && len(now) > 0 && !bytes.Equal(now, before) {
			return nil, err
		}
		if !waited {
			waiting(busy)
		}
		before, waited = now, true
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(r.store.Heartbeat / 10):
		}
	}
}

// sighting is what a process has seen of another's lease.
type sighting struct {
	content string
	last    time.Time
	watched time.Duration // without a change
}

// watch looks at a lease and tells whether it has not changed for so long that its owner is taken for dead. Only this
// process's clock counts, and no more than a heartbeat between two looks: where both stood still, both go on.
func (s *Store) watch(path, content string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	seen, known := s.seen[path]
	if !known || seen.content != content {
		s.seen[path] = sighting{content: content, last: now}
		return false
	}
	seen.watched += min(now.Sub(seen.last), s.Heartbeat)
	seen.last = now
	s.seen[path] = seen
	return seen.watched > s.LeaseTimeout
}

// takeDesk takes the desks of earlier attempts away, which ends their writing for good, and makes one of its own. It wants
// the lease.
func (r *Run) takeDesk(name string) error {
	entries, err := os.ReadDir(r.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		old := r.path(e.Name())
		switch {
		case strings.HasPrefix(e.Name(), deskPrefix):
			// Renamed first: a process that still writes into it could keep it from being removed.
			away := r.path("." + e.Name())
			if err := os.Rename(old, away); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			_ = os.RemoveAll(away)
		case strings.HasPrefix(e.Name(), "."):
			_ = os.RemoveAll(old)
		}
	}
	r.desk = r.path(name)
	return os.Mkdir(r.desk, 0o777)
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

// beat is a lease's content after so many heartbeats.
func beat(mark string, n int) []byte { return fmt.Appendf(nil, "%s%020d\n", mark, n) }

func (l *Lease) beat() {
	tick := time.NewTicker(l.run.store.Heartbeat)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			// What can't be written now is tried again, and lost in the end.
			if _, err := l.file.WriteAt(beat(l.mark, n), 0); err == nil {
				_ = l.file.Sync()
			}
		}
	}
}

// Held tells whether the lease is still this process's: one that stalled for too long may have lost it, and need not go
// on.
func (l *Lease) Held() bool {
	content, err := durable.ReadFile(l.run.path(leaseFile))
	return err == nil && strings.HasPrefix(string(content), l.mark)
}

// Release gives the lease back.
func (l *Lease) Release() {
	l.once.Do(func() {
		close(l.stop)
		l.done.Wait()
		_ = l.file.Close() // nothing in it is of use any more
		if l.Held() {
			// Onto the desk, which is not there any more where another process has taken over in this moment.
			_ = os.Rename(l.run.path(leaseFile), filepath.Join(l.run.desk, leaseFile))
		}
		_ = os.RemoveAll(l.run.desk)
	})
}
