package executor

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/planner"
)

// resumable is a run in which all that a checkpoint holds matters: dropout, moments, a plateau schedule, early stopping,
// batch norm, a drawn augmentation.
func resumable(s *planner.Settings) {
	s.Arch, s.Epochs, s.GradClip = "mobilenet_v2", 3, 5
	s.Optimizer = planner.Optimizer{Kind: "adam", LR: 0.001, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}
	s.Schedule = &planner.Schedule{Kind: "plateau", Factor: 0.5}
	s.EarlyStop = &planner.EarlyStop{Monitor: "val_loss", Patience: 10}
}

func step(epoch, step int) func(runlog.Event) bool {
	return func(e runlog.Event) bool {
		s, ok := e.(runlog.Step)
		return ok && s.Epoch == epoch && s.Step == step
	}
}

func TestResumedRunEndsWithTheSameBits(t *testing.T) {
	straight := newLab(t)
	id := straight.run(resumable)
	straight.apply(1, 0, 0, 0)
	want := straight.result(id)

	tests := map[string][]func(runlog.Event) bool{
		"at the first step":            {step(1, 1)},
		"in the middle of an epoch":    {step(2, 2)},
		"at the last step of an epoch": {step(1, 4)}, // which stops validation at its start
		"between epochs":               {func(e runlog.Event) bool { d, ok := e.(runlog.EpochDone); return ok && d.Metrics.Epoch == 2 }},
		"before its first step":        {func(e runlog.Event) bool { _, ok := e.(runlog.RunStarted); return ok }},
		"at the very last step":        {step(3, 4)},
		"again and again":              {step(1, 1), step(1, 2), step(1, 4), step(2, 1), step(3, 3)},
	}
	for name, stops := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.run(resumable)
			for _, stop := range stops {
				l.interruptAt(stop)
				if st := l.status(id); st.State != runlog.Interrupted {
					t.Fatalf("it is %s", st.State)
				}
			}
			l.opt.Threads = 2
			l.apply(1, 0, 0, 0)
			if d := cmp.Diff(want, l.result(id)); d != "" {
				t.Errorf("differs from the run that was not interrupted: %s", d)
			}
			if st := l.status(id); st.Attempts != len(stops)+1 {
				t.Errorf("%d attempts, want %d", st.Attempts, len(stops)+1)
			}
			if texts := l.log.texts(); len(texts) > 0 {
				t.Errorf("told: %q", texts)
			}
			l.apply(0, 1, 0, 0) // finished is finished
		})
	}
}

// A run whose process was killed leaves the checkpoint of its last epoch, its status "running" and no lease that lives.
func TestKilledRunGoesOnFromItsLastEpoch(t *testing.T) {
	straight := newLab(t)
	id := straight.run(resumable)
	straight.apply(1, 0, 0, 0)

	l := newLab(t)
	l.run(resumable)
	var checkpoint []byte
	l.interruptAt(func(e runlog.Event) bool {
		if step(2, 1)(e) { // that of epoch 1 is still there
			var err error
			if checkpoint, err = os.ReadFile(l.store.Run(id).CheckpointPath()); err != nil {
				t.Error(err)
			}
			return true
		}
		return false
	})
	if err := os.WriteFile(l.store.Run(id).CheckpointPath(), checkpoint, 0o666); err != nil {
		t.Fatal(err)
	}
	st := l.status(id)
	st.State = runlog.Running
	if err := l.store.Run(id).WriteStatus(st); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(l.store.Run(id).Dir, ".best.safetensors.123")
	if err := os.WriteFile(half, []byte("half"), 0o666); err != nil {
		t.Fatal(err)
	}
	l.apply(1, 0, 0, 0)
	if d := cmp.Diff(straight.result(id), l.result(id)); d != "" {
		t.Errorf("differs from the run that was not killed: %s", d)
	}
	if _, err := os.Stat(half); err == nil {
		t.Error("what was half-written is still there")
	}
}

// What can't be gone on from is told, and the checkpoint before it serves; where there is none, the run starts again.
func TestCheckpointOfNoUse(t *testing.T) {
	shorter := func(s *planner.Settings) { resumable(s); s.Epochs = 2 }
	straight := newLab(t)
	id := straight.run(shorter)
	straight.apply(1, 0, 0, 0)
	want := straight.result(id)

	rewrite := func(t *testing.T, path string, edit func([]weights.Tensor, map[string]string) []weights.Tensor) {
		file, err := weights.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		tensors := edit(file.Tensors, file.Metadata)
		if err := weights.WriteSealed(f, tensors, file.Metadata); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		damage func(t *testing.T, l *lab, path string)
		want   string
	}{
		"truncated": {func(t *testing.T, _ *lab, path string) {
			if err := os.Truncate(path, 100_000); err != nil {
				t.Fatal(err)
			}
		}, "it is damaged or was edited"},
		"empty": {func(t *testing.T, _ *lab, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}, "it is empty"},
		"one bit": {func(t *testing.T, _ *lab, path string) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			raw[len(raw)-1000] ^= 1
			if err := os.WriteFile(path, raw, 0o666); err != nil {
				t.Fatal(err)
			}
		}, "it is damaged or was edited"},
		"another instruction path": {func(t *testing.T, _ *lab, path string) {
			rewrite(t, path, func(ts []weights.Tensor, m map[string]string) []weights.Tensor {
				var p map[string]any
				if err := json.Unmarshal([]byte(m[progressKey]), &p); err != nil {
					t.Fatal(err)
				}
				p["path"] = "abacus"
				raw, err := json.Marshal(p)
				if err != nil {
					t.Fatal(err)
				}
				m[progressKey] = string(raw)
				return ts
			})
		}, "made with abacus arithmetic"},
		"no position": {func(t *testing.T, _ *lab, path string) {
			rewrite(t, path, func(ts []weights.Tensor, m map[string]string) []weights.Tensor {
				delete(m, progressKey)
				return ts
			})
		}, "has no position"},
		"a parameter less": {func(t *testing.T, _ *lab, path string) {
			rewrite(t, path, func(ts []weights.Tensor, m map[string]string) []weights.Tensor {
				ts = slices.DeleteFunc(ts, func(t weights.Tensor) bool { return t.Name == "param/classifier.1.bias" })
				return ts
			})
		}, "lacks classifier.1.bias"},
		"a moment less": {func(t *testing.T, _ *lab, path string) {
			rewrite(t, path, func(ts []weights.Tensor, m map[string]string) []weights.Tensor {
				ts = slices.DeleteFunc(ts, func(t weights.Tensor) bool { return strings.HasPrefix(t.Name, "optim/classifier.1.bias") })
				return ts
			})
		}, "lacks classifier.1.bias/exp_avg"},
		"the best is gone": {func(t *testing.T, l *lab, _ string) {
			if err := os.Remove(l.store.Run(id).BestPath()); err != nil {
				t.Fatal(err)
			}
		}, "the weights of epoch 1, the best so far, are gone"},
	}
	for name, test := range tests {
		for _, previous := range []bool{true, false} {
			if !previous && name != "one bit" && name != "the best is gone" { // the others would take the same way
				continue
			}
			then := "the run starts again"
			if previous {
				then = "the run goes on from the checkpoint before it"
			}
			t.Run(name+", "+then, func(t *testing.T) {
				l := newLab(t)
				l.run(shorter)
				l.interruptAt(step(2, 2))
				paths := l.store.Run(id).CheckpointPaths()
				test.damage(t, l, paths[0])
				if !previous {
					if err := os.Remove(paths[1]); err != nil {
						t.Fatal(err)
					}
				}
				l.apply(1, 0, 0, 0)
				wantText(t, l.log.texts(), id, test.want, then)
				if d := cmp.Diff(want, l.result(id)); d != "" {
					t.Errorf("differs from the run that was not interrupted: %s", d)
				}
			})
		}
	}
}

func TestCheckpointHoldsWhatTrainingChangesOnly(t *testing.T) {
	l := newLab(t)
	id := l.run(func(s *planner.Settings) { s.Trainable, s.BatchNorm, s.Arch = []string{"head"}, "frozen", "resnet18" })
	l.apply(1, 0, 0, 0)
	var names []string
	for name := range tensorsOf(t, l.store.Run(id).CheckpointPath()) {
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{"optim/fc.bias/momentum_buffer", "optim/fc.weight/momentum_buffer", "param/fc.bias", "param/fc.weight"}
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
}

// What a run that is killed leaves says where it stands: its status follows its checkpoints.
func TestStatusFollowsTheCheckpoint(t *testing.T) {
	l := newLab(t)
	id := l.run(short)
	dir := l.store.Run(id)
	look := func(want int) {
		t.Helper()
		st := l.status(id)
		if got, err := LastEpoch(dir, st); err != nil || got != want || st.Epoch != want || !dir.KeptCheckpoint(st) {
			t.Errorf("%d epochs are done by the checkpoint, %d by the status, %v, want %d", got, st.Epoch, err, want)
		}
	}
	l.interruptAt(func(e runlog.Event) bool {
		switch {
		case step(1, 1)(e):
			if _, err := LastEpoch(dir, l.status(id)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("before the first checkpoint: %v", err)
			}
		case step(2, 1)(e):
			look(1)
		case step(3, 1)(e):
			look(2)
		}
		return step(3, 2)(e)
	})
	look(2)

	// A status may be older than the checkpoint, and the last checkpoint may be damaged.
	st := l.status(id)
	st.Epoch, st.Checkpoint = 1, nil
	if got, err := LastEpoch(dir, st); err != nil || got != 2 {
		t.Errorf("%d epochs, %v, want 2", got, err)
	}
	st = l.status(id)
	flip(t, dir.CheckpointPath(), 1)
	if dir.KeptCheckpoint(st) {
		t.Error("a damaged checkpoint passes for the one that was written")
	}
	if got, err := LastEpoch(dir, st); err != nil || got != 2 { // within the third epoch: the one before is of the second's end
		t.Errorf("%d epochs, %v, want 2", got, err)
	}
	flip(t, dir.CheckpointPaths()[1], 1)
	if _, err := LastEpoch(dir, st); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "last.ckpt") {
		t.Errorf("both are damaged: %v", err)
	}
}
