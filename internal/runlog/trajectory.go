package runlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Runs of one trajectory go through the same states up to the end of the shorter, so that a longer one can go on from a
// shorter one's checkpoint. An empty file trajectories/<trajectory>.<id> for each run tells them apart without a look at
// every run.

func (s *Store) trajectories() string { return filepath.Join(s.Dir, "trajectories") }

// Enrol notes that the run is of a trajectory.
func (r *Run) Enrol(trajectory string) error {
	path := filepath.Join(r.store.trajectories(), trajectory+"."+r.ID)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return os.WriteFile(path, nil, 0o666)
}

// Trajectories lists the runs of each trajectory. Some may have left nothing else.
func (s *Store) Trajectories() (map[string][]string, error) {
	entries, err := os.ReadDir(s.trajectories())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the store: %w", err)
	}
	all := make(map[string][]string, len(entries))
	for _, e := range entries {
		if trajectory, id, ok := strings.Cut(e.Name(), "."); ok {
			all[trajectory] = append(all[trajectory], id)
		}
	}
	return all, nil
}

// unenrol forgets the run's trajectory.
func (r *Run) unenrol() error {
	found, err := filepath.Glob(filepath.Join(r.store.trajectories(), "*."+r.ID))
	for _, path := range found {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
