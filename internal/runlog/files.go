package runlog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ftrun/ftrun/internal/durable"
)

// Files of a run.
const (
	configFile      = "config.json"
	metricsFile     = "metrics.jsonl"
	predictionsFile = "predictions.jsonl"
	bestFile        = "best.safetensors"
	checkpointFile  = "last.ckpt"
	previousFile    = "previous.ckpt"
	statusFile      = "status.json"
)

// runFiles are all of them. The status comes last: while it is there a run that is being cleared is not taken for a new one.
var runFiles = []string{checkpointFile, previousFile, bestFile, predictionsFile, metricsFile, configFile, statusFile}

// File is what is kept of a file of a run, so that it is known when it changes.
type File struct {
	SHA256   string    `json:"sha256"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

// Files are those of a finished run that hold its results.
type Files struct {
	Best        File `json:"best"`
	Predictions File `json:"predictions"`
	Metrics     File `json:"metrics"`
}

// DamageError says that a file of a run is not what was written. It is mended by training the run again, as far as its
// checkpoint does not help.
type DamageError struct {
	Run, File string
	Err       error
}

func (e *DamageError) Error() string {
	err := e.Err
	var path *fs.PathError // the file has been named
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = errors.New("it is gone")
	case errors.As(err, &path):
		err = path.Err
	}
	return fmt.Sprintf("%s of run %s: %v", e.File, e.Run, err)
}

func (e *DamageError) Unwrap() error { return e.Err }

func (r *Run) damaged(file string, err error) error {
	return &DamageError{Run: r.ID, File: file, Err: err}
}

// OfDescription tells whether it is config.json that is damaged: that is written anew without any training.
func (e *DamageError) OfDescription() bool { return e.File == configFile }

// OfBest tells whether it is best.safetensors that is damaged.
func (e *DamageError) OfBest() bool { return e.File == bestFile }

// Damage looks whether the files of a finished run are those that were written, and tells the first that is not as a
// *DamageError; config.json comes last. That is read, being small; what else has kept its size and its time of change is
// taken to be the same, and hashed otherwise.
func (r *Run) Damage(st Status) error {
	if st.Files == nil {
		return r.damaged(statusFile, errors.New("it does not say which files there are"))
	}
	for _, f := range []struct {
		name string
		want File
	}{{bestFile, st.Files.Best}, {predictionsFile, st.Files.Predictions}, {metricsFile, st.Files.Metrics}} {
		if err := r.same(f.name, f.want); err != nil {
			return r.damaged(f.name, err)
		}
	}
	config, err := durable.ReadFile(r.path(configFile))
	if err == nil {
		err = durable.CheckJSON(config)
	}
	if err != nil {
		return r.damaged(configFile, err)
	}
	return nil
}

// same holds a file against what was kept of it.
func (r *Run) same(name string, want File) error {
	path := r.path(name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("it is gone")
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return durable.ErrNoFile
	}
	if info.Size() != want.Size {
		return fmt.Errorf("it is damaged: it has %d bytes instead of %d", info.Size(), want.Size)
	}
	if info.ModTime().Equal(want.Modified) {
		return nil
	}
	got, err := hash(path)
	if err != nil {
		return err
	}
	if got != want.SHA256 {
		return durable.ErrAltered
	}
	// A copy: it need not be hashed again.
	_ = os.Chtimes(path, time.Time{}, want.Modified)
	return nil
}

func hash(path string) (string, error) {
	f, err := durable.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// check holds the SHA-256 of a file that was read whole against what was kept of it. Where they differ, the file's time of
// change is set back, so that Damage hashes it.
func (r *Run) check(name, sha256 string, want File) error {
	if sha256 == want.SHA256 {
		return nil
	}
	_ = os.Chtimes(r.path(name), time.Time{}, time.Unix(0, 0))
	return r.damaged(name, durable.ErrAltered)
}

// CheckBest holds the SHA-256 of best.safetensors, which was just read, against a finished run's status.
func (r *Run) CheckBest(st Status, sha256 string) error {
	if st.Files == nil {
		return r.damaged(statusFile, errors.New("it does not say which files there are"))
	}
	return r.check(bestFile, sha256, st.Files.Best)
}

// write replaces a file, through the attempt's desk where the run's lease was acquired, and says what is to be kept of it.
func (r *Run) write(name string, write func(io.Writer) error) (File, error) {
	sum := sha256.New()
	if err := r.replace(name, func(w io.Writer) error { return write(io.MultiWriter(w, sum)) }); err != nil {
		return File{}, err
	}
	info, err := os.Stat(r.path(name))
	if err != nil {
		return File{}, err
	}
	return File{SHA256: hex.EncodeToString(sum.Sum(nil)), Size: info.Size(), Modified: info.ModTime().UTC()}, nil
}

func (r *Run) replace(name string, write func(io.Writer) error) error {
	if r.desk == "" {
		return durable.WriteFile(r.path(name), write)
	}
	return durable.WriteFileThrough(r.desk, r.path(name), write)
}

// WriteBest replaces best.safetensors.
func (r *Run) WriteBest(write func(io.Writer) error) (File, error) { return r.write(bestFile, write) }

// WriteCheckpoint replaces last.ckpt and keeps the one before as previous.ckpt.
func (r *Run) WriteCheckpoint(write func(io.Writer) error) (File, error) {
	return r.write(checkpointFile, func(w io.Writer) error {
		if err := write(w); err != nil {
			return err
		}
		return r.keepPrevious()
	})
}

// keepPrevious makes last.ckpt the previous one too.
func (r *Run) keepPrevious() error {
	last, previous := r.path(checkpointFile), r.path(previousFile)
	if _, err := os.Stat(last); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if r.desk == "" {
		return os.Rename(last, previous)
	}
	// By way of the desk, as all that an attempt writes.
	link := filepath.Join(r.desk, previousFile)
	if err := os.Link(last, link); err != nil { // a file system without links
		if err := os.Rename(last, link); err != nil {
			return err
		}
	}
	return os.Rename(link, previous)
}

// CheckpointPaths are where the states to go on from lie, the newest first.
func (r *Run) CheckpointPaths() []string {
	return []string{r.CheckpointPath(), r.path(previousFile)}
}

// DropPrevious removes the checkpoint before the last: a run that has finished no longer goes on from either, and a longer
// one, which may, can start from the start. What can't be removed now is garbage.
func (r *Run) DropPrevious() { _ = os.Remove(r.path(previousFile)) }

// HasCheckpoint tells whether there is a state to go on from; it may be damaged.
func (r *Run) HasCheckpoint() bool { return slices.ContainsFunc(r.CheckpointPaths(), hasContent) }

// KeptCheckpoint tells whether last.ckpt is the one that a status, which may be older, was written with.
func (r *Run) KeptCheckpoint(st Status) bool {
	return st.Checkpoint != nil && r.same(checkpointFile, *st.Checkpoint) == nil
}

// HasBest tells whether there are weights of a best epoch; they may be damaged.
func (r *Run) HasBest() bool { return hasContent(r.BestPath()) }

func hasContent(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() > 0
}

// SetAside moves what is no file but lies in the place of one of the run's, such as a folder, to that name with ".damaged"
// after it, and gives the names of the files. It wants the lease.
func (r *Run) SetAside() ([]string, error) {
	var moved []string
	for _, name := range runFiles {
		info, err := os.Stat(r.path(name))
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().IsRegular() {
			continue
		}
		if _, err := os.Lstat(r.path(name)); err != nil {
			return moved, err
		}
		to := r.path(name + ".damaged")
		for n := 2; exists(to); n++ {
			to = fmt.Sprintf("%s.damaged.%d", r.path(name), n)
		}
		if err := os.Rename(r.path(name), to); err != nil {
			return moved, err
		}
		moved = append(moved, name)
	}
	return moved, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
