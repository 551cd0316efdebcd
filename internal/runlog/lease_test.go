package runlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hasty is a store whose leases are given up after a fraction of a second.
func hasty(dir string) *Store {
	s := Open(dir)
	s.Heartbeat, s.LeaseTimeout = 20*time.Millisecond, 300*time.Millisecond
	return s
}

// takeOver acquires a run that another store has, within the time that it takes to watch.
func takeOver(t *testing.T, r *Run, owner string) *Lease {
	t.Helper()
	for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(5 * time.Millisecond) {
		lease, err := r.Acquire(owner)
		if err == nil {
			return lease
		}
		var busy *BusyError
		if !errors.As(err, &busy) {
			t.Fatal(err)
		}
	}
	t.Fatal("the lease was not to be had")
	return nil
}

// stall ends the heartbeat of a lease, as a process does that is stopped.
func stall(l *Lease) {
	close(l.stop)
	l.done.Wait()
	l.once.Do(func() {})
}

func TestALeaseIsHeldByOne(t *testing.T) {
	dir := t.TempDir()
	r := hasty(dir).Run("aa")
	first, err := r.Acquire("process 1")
	if err != nil {
		t.Fatal(err)
	}
	other := hasty(dir).Run("aa")
	var busy *BusyError
	for range 50 { // of 10 ms: longer than the timeout
		if _, err := other.Acquire("process 2"); !errors.As(err, &busy) || busy.Owner != "process 1" {
			t.Fatalf("second owner got %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	first.Release()
	second, err := other.Acquire("process 2")
	if err != nil {
		t.Fatal(err)
	}
	first.Release() // again
	if !second.Held() || first.Held() {
		t.Errorf("held: first %v, second %v", first.Held(), second.Held())
	}
	second.Release()
	if entries, err := os.ReadDir(r.Dir); err != nil || len(entries) != 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// What time the lease's file has plays no part: machines' clocks differ.
func TestALeaseIsWatchedByTheOwnClockOnly(t *testing.T) {
	for name, shift := range map[string]time.Duration{"old": -time.Hour, "of the future": time.Hour} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := hasty(dir).Run("aa")
			first, err := r.Acquire("process 1")
			if err != nil {
				t.Fatal(err)
			}
			stall(first)
			at := time.Now().Add(shift)
			if err := os.Chtimes(r.path(leaseFile), at, at); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			second := takeOver(t, hasty(dir).Run("aa"), "process 2")
			if took := time.Since(start); took < 300*time.Millisecond {
				t.Errorf("taken over after %v", took)
			}
			if first.Held() || !second.Held() {
				t.Errorf("held: first %v, second %v", first.Held(), second.Held())
			}
			second.Release()
		})
	}
}

// A watcher that stood still itself has not seen whether the owner lives.
func TestTimeWithoutLookingCountsLittle(t *testing.T) {
	s := hasty(t.TempDir())
	if s.watch("lease", "x") {
		t.Fatal("stale at first sight")
	}
	time.Sleep(s.LeaseTimeout + 10*time.Millisecond)
	if s.watch("lease", "x") {
		t.Error("stale after one look back")
	}
}

// An owner that stalled and comes back can write nothing any more, whatever it was about to write.
func TestAnOwnerThatStalledWritesNothing(t *testing.T) {
	dir := t.TempDir()
	slow := hasty(dir).Run("aa")
	first, err := slow.Acquire("process 1")
	if err != nil {
		t.Fatal(err)
	}
	if err := slow.WriteStatus(Status{State: Running, Attempts: 1}); err != nil {
		t.Fatal(err)
	}
	stall(first)

	quick := hasty(dir).Run("aa")
	second := takeOver(t, quick, "process 2")
	if err := quick.WriteStatus(Status{State: Finished, Attempts: 2}); err != nil {
		t.Fatal(err)
	}
	if err := writeCheckpoint(quick, "new"); err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func() error{
		"status":      func() error { return slow.WriteStatus(Status{State: Interrupted, Attempts: 1}) },
		"config":      func() error { return slow.WriteConfig(Status{}) },
		"checkpoint":  func() error { return writeCheckpoint(slow, "old") },
		"epochs":      func() error { _, err := slow.WriteEpochs(nil); return err },
		"predictions": func() error { _, err := slow.WritePredictions(nil); return err },
		"best":        func() error { _, err := slow.WriteBest(nil); return err },
	} {
		if err := write(); err == nil {
			t.Errorf("%s: it was written", name)
		}
	}
	if err := slow.Clear(); err != nil {
		t.Error(err)
	}
	first.Release()
	if !second.Held() {
		t.Error("the second lost its lease")
	}
	st, _, err := quick.Status()
	if err != nil || st.State != Finished || st.Attempts != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	if raw, err := os.ReadFile(quick.CheckpointPath()); err != nil || string(raw) != "new" {
		t.Errorf("%q, %v", raw, err)
	}
	second.Release()
}

func writeCheckpoint(r *Run, content string) error {
	_, err := r.WriteCheckpoint(func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	})
	return err
}

func TestTheCheckpointBeforeIsKept(t *testing.T) {
	r := Open(t.TempDir()).Run("aa")
	lease, err := r.Acquire("process 1")
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	if r.HasCheckpoint() {
		t.Error("there is one before any was written")
	}
	want := []string{}
	for _, content := range []string{"1", "2", "3"} {
		if err := writeCheckpoint(r, content); err != nil {
			t.Fatal(err)
		}
		want = append([]string{content}, want...)
		for i, path := range r.CheckpointPaths() {
			if i >= len(want) {
				break
			}
			if raw, err := os.ReadFile(path); err != nil || string(raw) != want[i] {
				t.Errorf("%s holds %q, %v; want %q", path, raw, err, want[i])
			}
		}
	}
}

func TestAcquireClearsWhatIsHalfWritten(t *testing.T) {
	r := Open(t.TempDir()).Run("aa")
	if err := r.WriteStatus(Status{State: Running}); err != nil {
		t.Fatal(err)
	}
	for _, half := range []string{".best.safetensors.42", "attempt.7.8/.last.ckpt.1", ".attempt.1.2/x"} {
		if err := os.MkdirAll(filepath.Dir(r.path(half)), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(r.path(half), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	lease, err := r.Acquire("process 1")
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	entries, err := os.ReadDir(r.Dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("%v, %v: want the lease, the status and a desk", entries, err)
	}
}

// Many that find the same stale lease: one gets it.
func TestAStaleLeaseIsTakenOverByOne(t *testing.T) {
	dir := t.TempDir()
	r := hasty(dir).Run("aa")
	first, err := r.Acquire("process 1")
	if err != nil {
		t.Fatal(err)
	}
	stall(first)
	type answer struct {
		lease *Lease
		err   error
	}
	const many = 8
	answers := make(chan answer, many)
	taken := make(chan struct{}, many)
	enough := make(chan struct{})
	for i := range many {
		go func() {
			r := hasty(dir).Run("aa")
			for {
				l, err := r.Acquire(fmt.Sprintf("watcher %d", i))
				if err == nil {
					taken <- struct{}{}
					answers <- answer{lease: l}
					return
				}
				select {
				case <-enough:
					answers <- answer{err: err}
					return
				case <-time.After(time.Millisecond):
				}
			}
		}()
	}
	// Only looks count as watching, and on a busy machine they are few: how long it takes is not known.
	select {
	case <-taken:
	case <-time.After(20 * time.Second):
		t.Error("none has taken it over")
	}
	time.Sleep(100 * time.Millisecond) // for the others to try
	close(enough)
	var held []*Lease
	for range many {
		a := <-answers
		if a.lease != nil && a.lease.Held() {
			held = append(held, a.lease)
		} else if a.lease == nil && !strings.Contains(a.err.Error(), "is being trained by") {
			t.Error(a.err)
		}
	}
	if len(held) != 1 {
		t.Errorf("%d hold it", len(held))
	}
	for _, l := range held {
		l.Release()
	}
}

// Who means to remove a run learns that its owner lives, or watches its lease; only one that stands still is taken.
func TestAcquireWatching(t *testing.T) {
	const elsewhere = "process 1\n5\nhost boot pid:[1] 7\n"
	tests := map[string]struct {
		lease  string               // of the other process; "": none
		during func(path string)    // what it does while it is watched
		told   int                  // times that there is something to watch
		want   func(err error) bool // nil: the lease is acquired
	}{
		"nobody's": {},
		"its owner is known to live": {lease: "process 1\n5\n" + processIdentity() + "\n", want: func(err error) bool {
			var busy *BusyError
			return errors.As(err, &busy) && busy.Lives
		}},
		"it changes": {
			lease: elsewhere, told: 1,
			during: func(path string) { _ = os.WriteFile(path, []byte(elsewhere+"1"), 0o666) },
			want: func(err error) bool {
				var busy *BusyError
				return errors.As(err, &busy)
			},
		},
		"it is given back": {
			lease: elsewhere, told: 1,
			during: func(path string) { _ = os.Remove(path) },
			want:   func(err error) bool { return strings.Contains(err.Error(), "was given back just now") },
		},
		"it stands still": {lease: elsewhere, told: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.told == 0 && test.lease != "" && processIdentity() == "" {
				t.Skip("processes can't be told apart here")
			}
			r := hasty(t.TempDir()).Run("aa")
			if test.lease != "" {
				if err := os.MkdirAll(r.Dir, 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(r.path(leaseFile), []byte(test.lease), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			told := 0
			lease, err := r.AcquireWatching(t.Context(), "process 2", func(*BusyError) {
				told++
				if test.during != nil {
					test.during(r.path(leaseFile))
				}
			})
			if told != test.told || (test.want == nil) != (err == nil) || err != nil && !test.want(err) {
				t.Errorf("told %d times, %v", told, err)
			}
			if lease != nil {
				lease.Release()
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	lease, err := hasty(t.TempDir()).Run("bb").AcquireWatching(ctx, "process 2", nil)
	if err != nil {
		t.Fatalf("free: %v", err)
	}
	lease.Release()
}

func TestRemoveForgetsTheTrajectory(t *testing.T) {
	s := Open(t.TempDir())
	for _, id := range []string{"aa", "bb"} {
		for range 2 {
			if err := s.Run(id).Enrol("ffff"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Remove("aa"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Trajectories(); err != nil || len(got) != 1 || len(got["ffff"]) != 1 || got["ffff"][0] != "bb" {
		t.Errorf("%v, %v", got, err)
	}
}

// What is being trained is no garbage, whatever it looks like.
func TestNothingOfARunUnderWayIsGarbage(t *testing.T) {
	s := Open(t.TempDir())
	r := s.Run("aa")
	lease, err := r.Acquire("process 1")
	if err != nil {
		t.Fatal(err)
	}
	needs := Needs{Run: func(string) bool { return false }, Checkpoint: func(*Run) bool { return false }, Features: func(string) bool { return false }}
	if found, err := s.Garbage(needs); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	other := Open(s.Dir)
	if err := other.Discard(Garbage{Path: other.within(r.Dir), run: "aa"}); err == nil {
		t.Error("it was discarded")
	}
	lease.Release()
	found, err := s.Garbage(needs)
	if err != nil || len(found) != 1 || found[0].run != "aa" {
		t.Fatalf("%v, %v", found, err)
	}
	if err := s.Discard(found[0]); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.Dir); err == nil {
		t.Error("it is still there")
	}
}
