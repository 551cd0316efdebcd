package runlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/ftrun/ftrun/internal/durable"
)

// State is where a run stands.
type State string

const (
	Pending     State = "pending"
	Running     State = "running"
	Interrupted State = "interrupted"
	Finished    State = "finished"
	Failed      State = "failed"
)

// Status is a run's status.json.
type Status struct {
	ID       string    `json:"id"`
	State    State     `json:"status"`
	Arch     string    `json:"arch"`
	Name     string    `json:"name"` // sweep and labels under which it was first run
	Started  time.Time `json:"started"`
	Updated  time.Time `json:"updated"`
	Classes  []string  `json:"classes"`
	Error    string    `json:"error,omitempty"`
	Epoch    int       `json:"epoch,omitempty"` // epochs that the last checkpoint has done
	Attempts int       `json:"attempts"`
	Result   *Result   `json:"result,omitempty"` // of a finished run
	Files    *Files    `json:"files,omitempty"`  // of a finished run
	// Checkpoint is last.ckpt, which is written a moment before.
	Checkpoint *File `json:"checkpoint,omitempty"`

	Damaged bool `json:"-"` // it can't be read: Error says why
}

// Store is a folder of runs: <dir>/runs/<id>/.
type Store struct {
	Dir string
	// Heartbeat and LeaseTimeout are the constants of that name, unless a test is in a hurry.
	Heartbeat, LeaseTimeout time.Duration

	mu   sync.Mutex
	seen map[string]sighting // leases of other processes, by path
}

// Open names a store. The folder is made when something is first written.
func Open(dir string) *Store {
	return &Store{Dir: dir, Heartbeat: Heartbeat, LeaseTimeout: LeaseTimeout, seen: map[string]sighting{}}
}

// PlanPath is where the last plan lies.
func (s *Store) PlanPath() string { return filepath.Join(s.Dir, "plan.json") }

// HashCachePath is where the content hashes of pictures are remembered.
func (s *Store) HashCachePath() string { return filepath.Join(s.Dir, "hashes.json") }

// FeaturesPath is the file of the features with that hash.
func (s *Store) FeaturesPath(hash string) string { return filepath.Join(s.FeaturesDir(), hash) }

// Workshop names the folder in which the features with that hash are made, by the one who has its lease.
func (s *Store) Workshop(hash string) *Run {
	return &Run{ID: hash, Dir: s.FeaturesPath(hash) + makingSuffix, store: s}
}

// Launches names the folder of what was handed to schedulers; who submits has its lease.
func (s *Store) Launches() *Run {
	return &Run{ID: launchesDir, Dir: filepath.Join(s.Dir, launchesDir), store: s}
}

const launchesDir = "launches"

var launchName = regexp.MustCompile(`^[0-9a-f]{12}$`)

// LaunchIDs lists what was handed to schedulers, sorted: the folders in Launches that are named by twelve hex digits.
func (s *Store) LaunchIDs() ([]string, error) {
	entries, err := os.ReadDir(s.Launches().Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the store: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && launchName.MatchString(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

const makingSuffix = ".making"

// Run names one run's folder.
func (s *Store) Run(id string) *Run {
	return &Run{ID: id, Dir: filepath.Join(s.Dir, "runs", id), store: s}
}

// entries lists what lies among the runs.
func (s *Store) entries() ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(filepath.Join(s.Dir, "runs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the store: %w", err)
	}
	return entries, nil
}

// IDs lists the runs that have a folder, sorted.
func (s *Store) IDs() ([]string, error) {
	entries, err := s.entries()
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			ids = append(ids, e.Name())
		}
	}
	sort.Strings(ids)
	return ids, nil
}

// Statuses reads the status of every run in the store. A run whose status can't be read counts as failed, with the
// reason in Error, so that it is planned again.
func (s *Store) Statuses() (map[string]Status, error) {
	ids, err := s.IDs()
	if err != nil {
		return nil, err
	}
	all := make(map[string]Status, len(ids))
	for _, id := range ids {
		st, ok, err := s.Run(id).Status()
		if err != nil {
			st, ok = Status{ID: id, State: Failed, Error: err.Error(), Damaged: true}, true
		}
		if ok {
			all[id] = st
		}
	}
	return all, nil
}

var runName = regexp.MustCompile(`^[0-9a-f]{16}$`)

// Strays lists by name what lies among the runs and is none.
func (s *Store) Strays() ([]string, error) {
	entries, err := s.entries()
	if err != nil {
		return nil, err
	}
	var strays []string
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, ".") && (!e.IsDir() || !runName.MatchString(name)) {
			strays = append(strays, name)
		}
	}
	return strays, nil
}

// Find returns the one run whose id starts with prefix.
func (s *Store) Find(prefix string) (*Run, error) {
	ids, err := s.IDs()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, id := range ids {
		if id == prefix {
			return s.Run(id), nil
		}
		if prefix != "" && strings.HasPrefix(id, prefix) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("there is no run %q in %s: `ftrun runs list` shows those that are there", prefix, s.Dir)
	case 1:
		return s.Run(found[0]), nil
	}
	return nil, fmt.Errorf("%q is the beginning of %d runs (%s, %s …): give more of the id", prefix, len(found), found[0], found[1])
}

// Writable makes the store's folder and fails where nothing can be written into it.
func (s *Store) Writable() error {
	dir := filepath.Join(s.Dir, "runs")
	err := os.MkdirAll(dir, 0o777)
	if err == nil {
		err = durable.Write(filepath.Join(dir, ".writable"), nil)
	}
	if err == nil {
		err = os.Remove(filepath.Join(dir, ".writable"))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // another process may have removed it
		return fmt.Errorf("the store can't be written: %w; make room or change its permissions, or choose another with -store", err)
	}
	return nil
}

// Remove deletes a run.
func (s *Store) Remove(id string) error {
	r := s.Run(id)
	return errors.Join(os.RemoveAll(r.Dir), r.unenrol())
}

// Run is one run's folder.
type Run struct {
	ID  string
	Dir string

	store *Store
	desk  string // where files are written before they are whole, while the run's lease is held; "": beside the others
}

func (r *Run) path(name string) string { return filepath.Join(r.Dir, name) }

// Obstructed says that something else lies in the place of the run's folder; nil where nothing does.
func (r *Run) Obstructed() error {
	if info, err := os.Stat(r.Dir); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is in the place of the run's folder: move it away", r.Dir)
	}
	return nil
}

// BestPath, CheckpointPath: the weights of the best epoch and the state to go on from.
func (r *Run) BestPath() string       { return r.path(bestFile) }
func (r *Run) CheckpointPath() string { return r.path(checkpointFile) }

// Status reads status.json; ok is false where there is none. An error is a *DamageError.
func (r *Run) Status() (st Status, ok bool, err error) {
	raw, err := durable.ReadFile(r.path(statusFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Status{}, false, nil
	}
	if err == nil {
		err = durable.OpenJSON(raw, &st)
	}
	switch {
	case err != nil:
	case st.ID != r.ID: // a folder that was copied or renamed must not pass for another run
		err = fmt.Errorf("it is that of run %q", st.ID)
	case !slices.Contains([]State{Pending, Running, Interrupted, Finished, Failed}, st.State):
		err = fmt.Errorf("there is no state %q", st.State)
	}
	if err != nil {
		return Status{}, false, r.damaged(statusFile, err)
	}
	return st, true, nil
}

// WriteStatus replaces status.json.
func (r *Run) WriteStatus(st Status) error {
	st.ID = r.ID
	return r.writeJSON(statusFile, st)
}

// WriteConfig replaces config.json: the run as planned, for people and for later.
func (r *Run) WriteConfig(v any) error { return r.writeJSON(configFile, v) }

// ReadConfig decodes config.json into v. An error is a *DamageError.
func (r *Run) ReadConfig(v any) error {
	raw, err := durable.ReadFile(r.path(configFile))
	if err == nil {
		err = durable.OpenJSON(raw, v)
	}
	if err != nil {
		return r.damaged(configFile, err)
	}
	return nil
}

func (r *Run) writeJSON(name string, v any) error {
	raw, err := durable.SealJSON(v)
	if err != nil {
		return err
	}
	return r.replace(name, func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
}

// WriteEpochs replaces metrics.jsonl.
func (r *Run) WriteEpochs(epochs []Epoch) (File, error) { return writeLines(r, metricsFile, epochs) }

// Epochs reads metrics.jsonl. Of a finished run, whose status is given, an altered one is a *DamageError.
func (r *Run) Epochs(st Status) ([]Epoch, error) {
	var want *File
	if st.Files != nil {
		want = &st.Files.Metrics
	}
	return readLines[Epoch](r, metricsFile, want)
}

// WritePredictions replaces predictions.jsonl.
func (r *Run) WritePredictions(p []Prediction) (File, error) {
	return writeLines(r, predictionsFile, p)
}

// Predictions reads predictions.jsonl, as Epochs does metrics.jsonl.
func (r *Run) Predictions(st Status) ([]Prediction, error) {
	var want *File
	if st.Files != nil {
		want = &st.Files.Predictions
	}
	return readLines[Prediction](r, predictionsFile, want)
}

// Size is the number of bytes that the run's files take.
func (r *Run) Size() (int64, error) { return size(r.Dir) }

// Clear removes what earlier attempts left. It wants the lease.
func (r *Run) Clear() error {
	// The status last: until then it is plain that something is to be done.
	for _, name := range runFiles {
		// By way of the desk, as all that an attempt writes.
		away := filepath.Join(r.desk, "."+name)
		err := os.Rename(r.path(name), away)
		if err == nil {
			err = os.Remove(away)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func writeLines[T any](r *Run, name string, items []T) (File, error) {
	return r.write(name, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		for _, it := range items {
			if err := enc.Encode(it); err != nil {
				return err
			}
		}
		return nil
	})
}

// readLines reads a file of one item a line. want is what was kept of it, nil where nothing was.
func readLines[T any](r *Run, name string, want *File) ([]T, error) {
	raw, err := durable.ReadFile(r.path(name))
	if err != nil {
		return nil, err
	}
	if want != nil {
		sum := sha256.Sum256(raw)
		if err := r.check(name, hex.EncodeToString(sum[:]), *want); err != nil {
			return nil, err
		}
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	var items []T
	for {
		var it T
		err := dec.Decode(&it)
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return nil, r.damaged(name, fmt.Errorf("line %d: %w", len(items)+1, err))
		}
		items = append(items, it)
	}
}
