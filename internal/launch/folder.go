package launch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

// Folder is <store>/launches/<id>: what the tasks of a launch read, what they print, and what is known of their jobs.
type Folder struct {
	ID  string
	Dir string
}

// PlanPath is the plan of an array alone, by its index; the tasks read it.
func (f *Folder) PlanPath(array int) string {
	return filepath.Join(f.Dir, fmt.Sprintf("%d.plan.json", array+1))
}

// LogPath is where a task of an array prints. task is its index, or what a scheduler's pattern has for it.
func (f *Folder) LogPath(array int, task string) string {
	return filepath.Join(f.Dir, "logs", fmt.Sprintf("%d_%s.out", array+1, task))
}

func (f *Folder) recordPath() string { return filepath.Join(f.Dir, "launch.json") }

// Prepare writes the folder of a launch under a store: the plan of each array alone. The same arrays have the same folder
// as long as apply has submitted none of them; afterwards they are another launch, and so they are in another store, whose
// jobs must not be taken for these.
func Prepare(store *runlog.Store, p *planner.Plan, arrays []Array) (*Folder, error) {
	dir, err := filepath.Abs(store.Dir)
	if err != nil {
		return nil, err
	}
	var f *Folder
	for again := 0; ; again++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", ID(arrays), again, dir))
		f = openFolder(store, hex.EncodeToString(sum[:])[:idDigits])
		record, err := f.read()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !record.submitted() {
			break
		}
	}
	if err := os.MkdirAll(filepath.Join(f.Dir, "logs"), 0o777); err != nil {
		return nil, err
	}
	for i := range arrays {
		if err := planner.Save(f.PlanPath(i), arrays[i].Plan(p)); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// JobName is the name of an array's job, by its index: by it the job is found where its id is not known.
func (f *Folder) JobName(array int) string { return fmt.Sprintf("ftrun-%s-%d", f.ID, array+1) }

func openFolder(store *runlog.Store, id string) *Folder {
	return &Folder{ID: id, Dir: filepath.Join(store.Launches().Dir, id)}
}

// Record is a launch's launch.json: its arrays and their jobs. It is written before and after each submission, so that
// whoever reads it knows of every job, or by which name to look for it.
type Record struct {
	ID       string    `json:"id"`
	Launcher string    `json:"launcher"` // "slurm"
	Cluster  string    `json:"cluster,omitempty"`
	Version  string    `json:"ftrun_version"`
	Begun    time.Time `json:"begun"`
	// Closed says that nothing of it is queued or running any more.
	Closed bool    `json:"closed"`
	Arrays []Batch `json:"arrays"`
}

// Batch is an array of a launch as it was submitted.
type Batch struct {
	Job string `json:"job,omitempty"` // Slurm's id; "" where it was not submitted, or that is not known yet
	// Name is the job's, by which it is found where its id could not be written down any more.
	Name      string    `json:"name"`
	Clusters  string    `json:"clusters,omitempty"` // where that is not the default one (--clusters)
	Tried     bool      `json:"tried"`              // it is about to be submitted, or was
	Submitted time.Time `json:"submitted,omitzero"`
	Features  bool      `json:"features,omitempty"`
	Memory    int64     `json:"memory_bytes,omitempty"` // that a task asked for; 0: the cluster's default
	// Tasks are the tasks' runs in order; of features, the run that each is first wanted by.
	Tasks []string `json:"tasks"`
}

// unknown tells whether it was about to be submitted, and nobody knows what became of that.
func (b Batch) unknown() bool { return b.Tried && b.Job == "" }

// submitted tells whether any of its jobs may have come to be.
func (r *Record) submitted() bool {
	return slices.ContainsFunc(r.Arrays, func(b Batch) bool { return b.Tried })
}

// jobs lists the jobs that are known of it.
func (r *Record) jobs() (ids []string) {
	for _, b := range r.Arrays {
		if b.Job != "" {
			ids = append(ids, b.Job)
		}
	}
	return ids
}

func (f *Folder) read() (*Record, error) {
	raw, err := durable.ReadFile(f.recordPath())
	if err != nil {
		return nil, err
	}
	r := new(Record)
	if err := durable.OpenJSON(raw, r); err != nil {
		return nil, fmt.Errorf("%s: %w", f.recordPath(), err)
	}
	if r.ID != f.ID {
		return nil, fmt.Errorf("%s is that of launch %q", f.recordPath(), r.ID)
	}
	return r, nil
}

func (f *Folder) write(r *Record) error {
	raw, err := durable.SealJSON(r)
	if err != nil {
		return err
	}
	return durable.Write(f.recordPath(), raw)
}

// Over tells whether no task reads a launch's folder any more, by its id. Of one that was printed, and not submitted by apply,
// that is so when all of its runs have finished.
func Over(store *runlog.Store, id string) bool {
	f := openFolder(store, id)
	record, err := f.read()
	if !errors.Is(err, fs.ErrNotExist) {
		return err == nil && record.Closed
	}
	for array := 0; ; array++ {
		p, err := planner.Load(f.PlanPath(array))
		if errors.Is(err, fs.ErrNotExist) {
			return array > 0
		}
		if err != nil {
			return false
		}
		for i := range p.Runs {
			if st, _, err := store.Run(p.Runs[i].ID).Status(); err != nil || st.State != runlog.Finished {
				return false
			}
		}
	}
}
