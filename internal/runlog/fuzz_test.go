package runlog

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/ftrun/ftrun/internal/durable"
)

// FuzzFiles reads what may lie in a run's folder: whatever it is, reading it ends with a value or an error.
func FuzzFiles(f *testing.F) {
	status, err := durable.SealJSON(Status{ID: "00112233445566aa", State: Finished, Result: &Result{}, Files: &Files{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(status, []byte(`{"epoch":1,"val_acc":0.5}`+"\n"), []byte("process 1\n2.3\nhost boot pid:[1] 4\n00000000000000000005\n"))
	f.Add([]byte(`{"id":"00112233445566aa","status":"finished","files":null}`), []byte(`{"path":"a","class":-1,"probabilities":[]}`), []byte{})
	f.Add([]byte("null"), []byte("{}{}[]"), []byte("\n\n\n"))
	store := Open(f.TempDir())
	r := store.Run("00112233445566aa")
	if err := os.MkdirAll(r.Dir, 0o777); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status, lines, lease []byte) {
		// As it is, and as one that passes for whole.
		contents := [][]byte{status}
		var v any
		if json.Unmarshal(status, &v) == nil {
			if sealed, err := durable.SealJSON(v); err == nil {
				contents = append(contents, sealed)
			}
		}
		for _, content := range contents {
			for name, raw := range map[string][]byte{
				statusFile: content, configFile: content, metricsFile: lines, predictionsFile: lines, bestFile: lines, leaseFile: lease,
			} {
				if err := os.WriteFile(filepath.Join(r.Dir, name), raw, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			st, known, err := r.Status()
			if known != (err == nil) {
				t.Errorf("known %v, error %v", known, err)
			}
			if err == nil {
				_ = r.Damage(st)
				_ = r.CheckBest(st, "")
			}
			_ = r.ReadConfig(&struct{}{})
			_, _ = r.Epochs(st)
			predictions, _ := r.Predictions(Status{})
			for _, p := range predictions {
				if k := p.Predicted(); k != 0 && k >= len(p.Probs) {
					t.Errorf("predicted %d of %d", k, len(p.Probs))
				}
			}
			r.live()
			if _, err := store.Garbage(Needs{Checkpoint: func(*Run) bool { return false }}); err != nil {
				t.Error(err)
			}
		}
	})
}
