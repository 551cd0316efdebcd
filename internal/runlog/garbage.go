package runlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ftrun/ftrun/internal/durable"
)

// Garbage is something in the store that nothing needs.
type Garbage struct {
	Path  string // within the store
	Why   string
	Bytes int64

	run string // whose it is, "" where it is no run's
}

// Needs says what is still needed. The store can't know.
type Needs struct {
	// Run tells whether something names a run; nil: every run is needed.
	Run func(id string) bool
	// Checkpoint tells whether a longer training may go on from a finished run's checkpoint.
	Checkpoint func(*Run) bool
	// Features tells whether a run that is not finished needs shared features, by the name of their entry; nil: all are.
	Features func(name string) bool
	// Launch tells whether a launch may still have tasks that read its folder, by its id; nil: all may.
	Launch func(id string) bool
}

// halfWritten is the age at which a hidden file beside the runs is no write under way any more.
const halfWritten = time.Hour

var featureName = regexp.MustCompile(`^[0-9a-f]{16,64}$`)

// FeaturesDir is where features that runs share are kept, one entry named by its hash for each.
func (s *Store) FeaturesDir() string { return filepath.Join(s.Dir, "features") }

// Garbage lists what nothing needs: what killed processes have left half-written, checkpoints that no training will go on
// from, features that no run is waiting for, launches that are over, and runs that nothing names. Nothing is listed of a run that
// is being trained.
func (s *Store) Garbage(needs Needs) ([]Garbage, error) {
	ids, err := s.IDs()
	if err != nil {
		return nil, err
	}
	var all []Garbage
	for _, id := range ids {
		r := s.Run(id)
		if r.live() {
			continue
		}
		if needs.Run != nil && !needs.Run(id) {
			all = append(all, Garbage{Path: s.within(r.Dir), Why: "a run that nothing names", run: id})
			continue
		}
		entries, err := os.ReadDir(r.Dir)
		if err != nil {
			return nil, fmt.Errorf("reading the store: %w", err)
		}
		for _, e := range entries {
			if why := r.garbage(e, needs); why != "" {
				all = append(all, Garbage{Path: s.within(r.path(e.Name())), Why: why, run: id})
			}
		}
	}
	for _, dir := range []string{s.Dir, filepath.Join(s.Dir, "runs"), s.FeaturesDir()} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the store: %w", err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err == nil && strings.HasPrefix(e.Name(), ".") && e.Type().IsRegular() && time.Since(info.ModTime()) > halfWritten {
				all = append(all, Garbage{Path: s.within(filepath.Join(dir, e.Name())), Why: "half-written by a process that was killed"})
			}
			hash, making := strings.CutSuffix(e.Name(), makingSuffix)
			if making && s.Workshop(hash).live() {
				continue
			}
			if dir == s.FeaturesDir() && featureName.MatchString(hash) && needs.Features != nil && !needs.Features(hash) {
				all = append(all, Garbage{Path: s.within(filepath.Join(dir, e.Name())), Why: "features that no run is waiting for"})
			}
		}
	}
	launches, err := s.LaunchIDs()
	if err != nil {
		return nil, err
	}
	for _, id := range launches {
		if needs.Launch != nil && !needs.Launch(id) {
			all = append(all, Garbage{Path: s.within(filepath.Join(s.Launches().Dir, id)), Why: "plans and logs of jobs that have all ended"})
		}
	}
	trajectories, err := s.Trajectories()
	if err != nil {
		return nil, err
	}
	for trajectory, of := range trajectories {
		for _, id := range of {
			if _, there := slices.BinarySearch(ids, id); !there {
				all = append(all, Garbage{Path: s.within(filepath.Join(s.trajectories(), trajectory+"."+id)), Why: "of a run that is gone"})
			}
		}
	}
	for i := range all {
		if all[i].Bytes, err = size(filepath.Join(s.Dir, all[i].Path)); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b Garbage) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// within is a path of the store, relative to it.
func (s *Store) within(path string) string {
	rel, err := filepath.Rel(s.Dir, path)
	if err != nil {
		panic("runlog: " + err.Error())
	}
	return rel
}

// garbage says why an entry of a run's folder is not needed; "" where it is.
func (r *Run) garbage(e fs.DirEntry, needs Needs) string {
	switch name := e.Name(); {
	case name == leaseFile, strings.HasPrefix(name, deskPrefix), strings.HasPrefix(name, "."):
		return "left by a process that was killed"
	case name == checkpointFile, name == previousFile:
		st, _, err := r.Status()
		switch {
		case err != nil || st.State != Finished || r.Damage(st) != nil: // it may mend the run
		case name == previousFile:
			return "the checkpoint before the last, of a finished run"
		case !needs.Checkpoint(r):
			return "a checkpoint from which no training will go on"
		}
	}
	return ""
}

// live tells whether a process may be training the run.
func (r *Run) live() bool {
	content, err := durable.ReadFile(r.path(leaseFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	lines := strings.Split(string(content)+"\n\n\n", "\n")
	return !processEnded(strings.TrimSpace(lines[2]))
}

// Discard removes garbage. What belongs to a run is removed with its lease held, a *BusyError says that it is not to be had.
func (s *Store) Discard(g Garbage) error {
	path := filepath.Join(s.Dir, g.Path)
	if g.run == "" {
		return os.RemoveAll(path)
	}
	r := s.Run(g.run)
	lease, err := r.Acquire("ftrun gc") // which removes what was left half-written
	if err != nil {
		return err
	}
	defer lease.Release()
	switch name := filepath.Base(path); {
	case path == r.Dir:
		return s.Remove(g.run)
	case name == leaseFile: // this process's own by now
		return nil
	case name == checkpointFile || name == previousFile:
		if st, _, err := r.Status(); err != nil || st.State != Finished {
			return nil // begun again since it was listed
		}
	}
	return os.RemoveAll(path)
}

// size is the number of bytes that a file, or all files of a folder, take.
func size(path string) (int64, error) {
	var total int64
	err := filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed in this moment
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
