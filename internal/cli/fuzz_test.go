package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

// FuzzStore shows stores whose files are whole and hold anything.
func FuzzStore(f *testing.F) {
	const id = "00112233445566aa"
	marshal := func(v any) []byte {
		raw, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		return raw
	}
	files := &runlog.Files{}
	f.Add(marshal(runlog.Status{ID: id, State: runlog.Finished, Classes: []string{"a", "b"}, Result: &runlog.Result{}, Files: files}),
		marshal(planner.Description{Run: planner.Run{ID: id}, Config: planner.Config{Sweep: "s", Labels: []planner.Label{{Axis: "a", Value: json.RawMessage("1")}}}}),
		[]byte(`{"epoch":1,"val_acc":0.5,"val_top5":1}`))
	f.Add(marshal(runlog.Status{ID: id, State: runlog.Finished}), []byte(`{"settings":null}`), []byte(`{}`))
	f.Add(marshal(runlog.Status{ID: id, State: runlog.Failed, Error: "x"}), []byte(`{"configuration":{"labels":[{}]}}`), []byte(`{"class":1}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, status, config, lines []byte) {
		store := filepath.Join(dir, "store")
		run := runlog.Open(store).Run(id)
		for name, raw := range map[string][]byte{"status.json": status, "config.json": config, "metrics.jsonl": lines, "predictions.jsonl": lines} {
			var v any
			if json.Unmarshal(raw, &v) == nil {
				if sealed, err := durable.SealJSON(v); err == nil && filepath.Ext(name) == ".json" {
					raw = sealed
				}
			}
			writeFile(t, filepath.Join(run.Dir, name), string(raw))
		}
		for _, args := range [][]string{
			{"runs", "list"}, {"report", "-all"}, {"report", "-all", "-format", "json"}, {"show", id}, {"show", "-json", id}, {"gc", "-dry-run", "-checkpoints"},
		} {
			a, _, errs := newApp(append(args, "-store", store)...)
			if code := a.run(t.Context()); code != exitOK && errs.Len() == 0 {
				t.Errorf("%q: exit code %d without a word", args, code)
			}
		}
		if _, err := (shelf{runlog.Open(store)}).Status(id); err != nil {
			t.Error(err)
		}
	})
}

// FuzzLock reads lock files; one that can be read survives being written.
func FuzzLock(f *testing.F) {
	f.Add([]byte("weights \"a.pth\" {\n  sha256 = \"00\"\n}\ndataset \"d\" {\n  path = \"p\"\n  hash = \"11\"\n}\n"))
	f.Add([]byte("weights {}"))
	f.Add([]byte("dataset \"x\" { path = 1 }"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(dir, "lock.hcl")
		if err := os.WriteFile(path, raw, 0o666); err != nil {
			t.Fatal(err)
		}
		l, err := readLock(path)
		if err != nil {
			return
		}
		weights, sets := len(l.Weights), len(l.Datasets)
		if err := l.write(); err != nil {
			t.Fatal(err)
		}
		back, err := readLock(path)
		if err != nil || len(back.Weights) != weights || len(back.Datasets) != sets {
			t.Errorf("%d weights, %d data sets came back as %+v, %v", weights, sets, back, err)
		}
	})
}
