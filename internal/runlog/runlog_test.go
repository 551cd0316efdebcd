package runlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/durable"
)

func TestStatusOfSomethingElseIsRefused(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"a copied folder": {`{"id": "00ff", "status": "finished"}`, `it is that of run "00ff"`},
		"no status":       {`null`, "it has none at its end"},
		"no state":        {`{"id": "abcd"}`, `there is no state ""`},
		"another state":   {`{"id": "abcd", "status": "done"}`, `there is no state "done"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := Open(t.TempDir()).Run("abcd")
			if err := os.MkdirAll(r.Dir, 0o777); err != nil {
				t.Fatal(err)
			}
			var content any
			if err := json.Unmarshal([]byte(test.content), &content); err != nil {
				t.Fatal(err)
			}
			raw, err := durable.SealJSON(content)
			if err != nil { // no object
				raw = []byte(test.content)
			}
			if err := os.WriteFile(filepath.Join(r.Dir, "status.json"), raw, 0o666); err != nil {
				t.Fatal(err)
			}
			var damage *DamageError
			if _, ok, err := r.Status(); ok || !errors.As(err, &damage) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v; want an error with %q", ok, err, test.want)
			}
		})
	}
}

func TestStoreRoundTrip(t *testing.T) {
	s := Open(t.TempDir())
	if all, err := s.Statuses(); err != nil || len(all) != 0 {
		t.Fatalf("an empty store has %v, %v", all, err)
	}
	r := s.Run("abc123")
	want := Status{ID: "abc123", State: Finished, Arch: "resnet18", Started: time.Unix(5, 0).UTC(), Result: &Result{Metrics: Metrics{ValAcc: 0.75, BestEpoch: 2}}}
	epochs := []Epoch{{Epoch: 1, ValAcc: 0.5, Confusion: [][]int{{1, 1}, {1, 1}}}, {Epoch: 2, ValAcc: 0.75}}
	want.Files = &Files{}
	var err error
	if want.Files.Metrics, err = r.WriteEpochs(epochs); err != nil {
		t.Fatal(err)
	}
	preds := []Prediction{{Path: "val/a/1.jpg", Class: 1, Probs: []float32{0.25, 0.75}}}
	if want.Files.Predictions, err = r.WritePredictions(preds); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteStatus(want); err != nil {
		t.Fatal(err)
	}

	all, err := s.Statuses()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]Status{"abc123": want}, all); d != "" {
		t.Error(d)
	}
	gotE, err := r.Epochs(want)
	if d := cmp.Diff(epochs, gotE); d != "" || err != nil {
		t.Error(d, err)
	}
	gotP, err := r.Predictions(want)
	if d := cmp.Diff(preds, gotP); d != "" || err != nil {
		t.Error(d, err)
	}
	if gotP[0].Predicted() != 1 {
		t.Error("wrong class predicted")
	}
}

func TestStoreFindsRunsByPrefix(t *testing.T) {
	s := Open(t.TempDir())
	for _, id := range []string{"aa11", "aa22", "bb"} {
		if err := s.Run(id).WriteStatus(Status{State: Finished}); err != nil {
			t.Fatal(err)
		}
	}
	for prefix, want := range map[string]string{"b": "bb", "aa1": "aa11", "aa": "", "c": "", "": ""} {
		r, err := s.Find(prefix)
		if (err == nil) != (want != "") || err == nil && r.ID != want {
			t.Errorf("Find(%q) = %v, %v; want %q", prefix, r, err, want)
		}
	}
}

func TestADamagedStatusCountsAsFailed(t *testing.T) {
	s := Open(t.TempDir())
	r := s.Run("aa")
	if err := r.WriteStatus(Status{State: Finished}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.path(statusFile), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	all, err := s.Statuses()
	if err != nil || all["aa"].State != Failed || all["aa"].Error == "" {
		t.Errorf("got %+v, %v", all["aa"], err)
	}
}

func TestJSONLines(t *testing.T) {
	var out bytes.Buffer
	sink := NewJSONLines(&out)
	sink.now = func() time.Time { return time.Unix(0, 0) }
	sink.Emit(Step{Loss: 1})
	sink.Emit(RunFailed{Head: Head{Run: "aa"}, Name: "s[arch=x]", Error: "no"})
	sink.Emit(EpochDone{Head: Head{Run: "aa"}, Metrics: Epoch{Epoch: 1}, Best: true})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := `{"time":"1970-01-01T00:00:00Z","event":"run_failed","run":"aa","name":"s[arch=x]","error":"no"}`
	if len(lines) != 2 || lines[0] != want {
		t.Errorf("got %s", out.String())
	}
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("not JSON: %s", l)
		}
	}
}

func TestWritable(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "a", "b"))
	if err := s.Writable(); err != nil {
		t.Fatal(err)
	}
	if ids, err := s.IDs(); err != nil || len(ids) != 0 {
		t.Errorf("it left %v, %v", ids, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := Open(file).Writable(); err == nil || !strings.Contains(err.Error(), "-store") {
		t.Errorf("a file as a store: %v", err)
	}
}
