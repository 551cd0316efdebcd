// Package runlogtest reads of a store what tests compare: what depends on a run's settings and seed alone. Tests only.
package runlogtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ftrun/ftrun/internal/runlog"
)

// Trained is what a run leaves that depends on its settings and seed alone.
type Trained struct {
	Metrics           runlog.Metrics
	Epochs            []runlog.Epoch // without times
	Best, Predictions string         // content
}

// Outcome reads what the runs of a store have left, by id. Each is to have finished, and its files to be whole.
func Outcome(t testing.TB, dir string) map[string]Trained {
	t.Helper()
	store := runlog.Open(dir)
	statuses, err := store.Statuses()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Trained{}
	for id, st := range statuses {
		if st.State != runlog.Finished {
			t.Errorf("run %s is %s (%s)", id, st.State, st.Error)
			continue
		}
		run := store.Run(id)
		if err := run.Damage(st); err != nil {
			t.Error(err)
		}
		epochs, err := run.Epochs(st)
		if err != nil {
			t.Fatal(err)
		}
		for i := range epochs {
			epochs[i].TrainSeconds, epochs[i].ValSeconds, epochs[i].ImagesPerSecond = 0, 0, 0
		}
		read := func(path string) string {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return string(raw)
		}
		all[id] = Trained{st.Result.Metrics, epochs, read(run.BestPath()), read(filepath.Join(run.Dir, "predictions.jsonl"))}
	}
	return all
}
