package executor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

func diverging(s *planner.Settings) { s.Optimizer.LR = 1e30 }

func TestFailedRunIsToldAndTheOthersGoOn(t *testing.T) {
	l := newLab(t)
	bad := l.run(diverging)
	good := l.run(nil)
	needs := l.run(from("squeezenet1_1", planner.Weights{Kind: "run", Runs: []string{bad}}))
	further := l.run(from("squeezenet1_1", planner.Weights{Kind: "run", Runs: []string{needs}}))
	l.plan.Runs[2].Needs, l.plan.Runs[3].Needs = []string{bad}, []string{needs}
	l.apply(1, 0, 1, 2)
	wantText(t, l.log.texts(), bad+" failed", "epoch 1, step ", "learning rate (1e+30)", "grad_clip")
	wantText(t, l.log.texts(), needs+" skipped", "run "+bad+", which did not finish")
	wantText(t, l.log.texts(), further+" skipped", "run "+needs+", which did not finish")
	if st := l.status(bad); st.State != runlog.Failed || !strings.Contains(st.Error, "the loss is") {
		t.Errorf("status %+v", st)
	}
	l.result(good)
	if _, ok, _ := l.store.Run(needs).Status(); ok {
		t.Error("a skipped run left a status")
	}

	// Planned again, the failed one is replaced; what finished is kept.
	started := l.status(bad).Started
	l.plan.Runs[0].Action, l.plan.Settings[0].Optimizer.LR = planner.Replace, 0.01
	l.apply(3, 1, 0, 0)
	if st := l.status(bad); st.State != runlog.Finished || st.Error != "" || st.Attempts != 1 || !st.Started.After(started) {
		t.Errorf("status %+v", st)
	}
}

func TestReplaceStartsFromNothing(t *testing.T) {
	l := newLab(t)
	id := l.run(nil)
	l.interruptAt(step(2, 1))
	l.plan.Runs[0].Action = planner.Replace
	first := 0
	l.log.on = func(e runlog.Event) {
		if s, ok := e.(runlog.RunStarted); ok {
			first = s.Epoch + s.Step
		}
	}
	l.apply(1, 0, 0, 0)
	if first != 0 {
		t.Error("it went on from the checkpoint")
	}
	was := l.status(id).Started
	l.apply(1, 0, 0, 0) // finished, and to be replaced still
	if !l.status(id).Started.After(was) {
		t.Error("it was not replaced")
	}
}

func TestFailFast(t *testing.T) {
	l := newLab(t)
	l.run(diverging)
	later := l.run(nil)
	l.opt.FailFast = true
	l.apply(0, 0, 1, 1)
	if l.log.started(later) != 0 {
		t.Error("a run was started after the failure")
	}
	// With two at once, the other one is saved.
	l = newLab(t)
	l.run(diverging)
	long := l.run(func(s *planner.Settings) { s.Epochs = 1000 })
	l.opt.FailFast, l.opt.Parallelism, l.opt.Threads = true, 2, 2
	l.apply(0, 0, 1, 1)
	if _, ok, _ := l.store.Run(long).Status(); ok {
		if st := l.status(long); st.State != runlog.Interrupted {
			t.Errorf("the other run is %s", st.State)
		}
	}
}

func TestTheSameRunOfTwoSweepsIsTrainedOnce(t *testing.T) {
	l := newLab(t)
	id := l.run(nil)
	l.run(nil)
	l.plan.Runs[1].ID = id
	l.apply(1, 0, 0, 0)
	l.apply(0, 1, 0, 0)
	if n := l.log.started(id); n != 1 {
		t.Errorf("started %d times", n)
	}
}

// folders makes a data set of 8 pictures to train on and 4 for validation, in files.
func folders(t *testing.T, l *lab) (root string) {
	root = t.TempDir()
	for i := range 12 {
		split := "train"
		if i >= 8 {
			split = "val"
		}
		writePicture(t, filepath.Join(root, split, []string{"a", "b"}[i%2], fmt.Sprintf("%d.png", i)), i)
	}
	return root
}

func TestPictures(t *testing.T) {
	describe := func(l *lab, root string) {
		l.describe(planner.Dataset{Name: "files", Kind: "imagefolder", Path: root, Splits: map[string]string{"train": "train", "val": "val"}})
	}
	write := func(t *testing.T, path, content string) {
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("broken before it starts", func(t *testing.T) {
		l := newLab(t)
		root := folders(t, l)
		write(t, filepath.Join(root, "train", "a", "2.png"), "no picture")
		write(t, filepath.Join(root, "val", "b", "9.png"), "none either")
		describe(l, root)
		id := l.run(nil)
		_, err := Apply(t.Context(), l.opt)
		if err == nil {
			t.Fatal("no error")
		}
		wantText(t, []string{err.Error()}, "train/a/2.png", "val/b/9.png")
		if l.log.started(id) != 0 {
			t.Error("training was started")
		}
	})
	t.Run("changed since the plan", func(t *testing.T) {
		l := newLab(t)
		root := folders(t, l)
		describe(l, root)
		l.run(nil)
		writePicture(t, filepath.Join(root, "train", "a", "new.png"), 20)
		_, err := Apply(t.Context(), l.opt)
		if err == nil {
			t.Fatal("no error")
		}
		wantText(t, []string{err.Error()}, `data set "files"`, "plan again")
	})
	t.Run("gone while it trains", func(t *testing.T) {
		l := newLab(t)
		root := folders(t, l)
		describe(l, root)
		id := l.run(nil)
		other := l.plan.Datasets[0]
		l.plan.Datasets = append(l.plan.Datasets, other)
		fine := l.run(nil)
		l.log.on = func(e runlog.Event) {
			if _, ok := e.(runlog.ApplyStarted); ok {
				if err := os.Remove(filepath.Join(root, "val", "a", "10.png")); err != nil {
					t.Error(err)
				}
			}
		}
		l.apply(1, 0, 1, 0)
		wantText(t, l.log.texts(), id+" failed", "val/a/10.png")
		l.result(fine)
	})
	t.Run("replaced while it trains", func(t *testing.T) {
		l := newLab(t)
		root := folders(t, l)
		describe(l, root)
		id := l.run(nil)
		l.log.on = func(e runlog.Event) {
			if _, ok := e.(runlog.ApplyStarted); ok {
				writePicture(t, filepath.Join(root, "train", "a", "2.png"), 250)
			}
		}
		l.apply(0, 0, 1, 0)
		wantText(t, l.log.texts(), id+" failed", "train/a/2.png", "plan again")
	})
	t.Run("what was found out is remembered", func(t *testing.T) {
		l := newLab(t)
		root := folders(t, l)
		old := time.Now().Add(-time.Hour)
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				err = os.Chtimes(path, old, old)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		describe(l, root)
		l.run(func(s *planner.Settings) { s.Epochs = 1 })
		l.apply(1, 0, 0, 0)
		raw, err := os.ReadFile(l.store.HashCachePath())
		if err != nil || strings.Count(string(raw), ".png") != 12 {
			t.Errorf("the index is %q, %v", raw, err)
		}
	})
}

func TestBatchLargerThanTheDataSetIsRefused(t *testing.T) {
	l := newLab(t)
	l.run(func(s *planner.Settings) { s.BatchSize = 15 })
	l.apply(0, 0, 1, 0)
	wantText(t, l.log.texts(), "batch size 15", "14 pictures")
}

func TestStoreThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	l.run(nil)
	l.opt.Store = runlog.Open(filepath.Join(file, ".ftrun"))
	_, err := Apply(t.Context(), l.opt)
	if err == nil {
		t.Fatal("no error")
	}
	wantText(t, []string{err.Error()}, file)
}

func TestInterruptedBeforeTheFirstRun(t *testing.T) {
	l := newLab(t)
	l.run(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := Apply(ctx, l.opt)
	if err != nil || !got.Interrupted {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTwoAppliesOverOneStore(t *testing.T) {
	l := newLab(t)
	for i := range 4 {
		l.run(func(s *planner.Settings) { s.Optimizer.LR = 0.001 * float64(i+1) })
	}
	l.run(from("squeezenet1_1", planner.Weights{Kind: "best", Runs: []string{"run0", "run1", "run2", "run3"}}))
	l.plan.Runs[4].Needs = []string{"run0", "run1", "run2", "run3"}
	var wg sync.WaitGroup
	summaries := make([]Summary, 2)
	for i := range summaries {
		wg.Go(func() {
			var err error
			if summaries[i], err = Apply(t.Context(), l.opt); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range summaries {
		if s.Finished+s.Done != 5 || s.Failed+s.Skipped != 0 || s.Interrupted {
			t.Errorf("summary %+v\n%s", s, strings.Join(l.log.texts(), "\n"))
		}
	}
	for _, run := range l.plan.Runs {
		if n := l.log.started(run.ID); n != 1 {
			t.Errorf("%s was started %d times", run.ID, n)
		}
		l.result(run.ID)
	}
}

func TestRunThatAnotherProcessHas(t *testing.T) {
	l := newLab(t)
	id := l.run(nil)
	other := l.run(func(s *planner.Settings) { s.Epochs = 1 })
	lease, err := l.store.Run(id).Acquire("process 7 on moon")
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()

	// It is left to it and told once, the rest goes on, and Ctrl-C ends the wait.
	ctx, cancel := context.WithTimeout(t.Context(), 4*retryBusy)
	defer cancel()
	got, err := Apply(ctx, l.opt)
	if want := (Summary{Finished: 1, Interrupted: true}); err != nil || got != want {
		t.Fatalf("%+v, %v, want %+v", got, err, want)
	}
	l.result(other)
	texts := l.log.texts()
	if len(texts) != 1 {
		t.Errorf("told %q", texts)
	}
	wantText(t, texts, "sweep0", "process 7 on moon")

	// What the other process makes of it counts.
	for _, state := range []runlog.State{runlog.Failed, runlog.Finished} {
		l.log.on = func(e runlog.Event) {
			if _, ok := e.(runlog.Note); !ok {
				return
			}
			status := runlog.Status{State: state, Updated: time.Now(), Error: "the moon is dark"}
			if state == runlog.Finished {
				l.pretend(id, status, nil)
			} else if err := l.store.Run(id).WriteStatus(status); err != nil {
				t.Error(err)
			}
			lease.Release()
		}
		if state == runlog.Failed {
			l.apply(0, 1, 1, 0)
			wantText(t, l.log.texts(), id+" failed", "in another process: the moon is dark")
			if lease, err = l.store.Run(id).Acquire("process 7 on moon"); err != nil {
				t.Fatal(err)
			}
		} else {
			l.apply(1, 1, 0, 0)
		}
	}
	if n := l.log.started(id); n != 0 {
		t.Errorf("started %d times", n)
	}
}

func TestStaleLeaseIsTakenOver(t *testing.T) {
	l := newLab(t)
	id := l.run(nil)
	if _, err := l.store.Run(id).Acquire("process 7 on moon"); err != nil {
		t.Fatal(err)
	}
	l.opt.Store = runlog.Open(l.store.Dir) // of a process that watches the first one, whose heart beats every 10 s
	l.opt.Store.Heartbeat, l.opt.Store.LeaseTimeout = retryBusy, retryBusy
	l.apply(1, 0, 0, 0)
	l.result(id)
}

// A process that stalled finds its run with another one: it writes nothing more and waits for what that one makes of it.
func TestProcessThatLostItsLeaseWritesNothing(t *testing.T) {
	straight := newLab(t)
	id := straight.run(nil)
	straight.apply(1, 0, 0, 0)

	l := newLab(t)
	l.run(nil)
	var other *runlog.Lease
	stalled := false
	l.log.on = func(e runlog.Event) {
		switch {
		case step(2, 2)(e) && !stalled:
			stalled = true
			if err := os.Remove(filepath.Join(l.store.Run(id).Dir, "lease")); err != nil {
				t.Error(err)
			}
			var err error
			if other, err = l.store.Run(id).Acquire("process 7 on moon"); err != nil {
				t.Error(err)
			}
		case other != nil:
			if note, ok := e.(runlog.Note); ok && strings.Contains(note.Text, "stalled") {
				if got := len(l.epochs(id)); got != 1 {
					t.Errorf("%d epochs in the store, want the 1 from before", got)
				}
				if st := l.status(id); st.State != runlog.Running {
					t.Errorf("it wrote that the run is %s", st.State)
				}
				other.Release() // without having done anything
				other = nil
			}
		}
	}
	l.apply(1, 0, 0, 0)
	if n := l.log.started(id); n != 2 {
		t.Errorf("started %d times, want 2", n)
	}
	if d := cmp.Diff(straight.result(id), l.result(id)); d != "" {
		t.Error(d)
	}
}

func TestDescribeDataset(t *testing.T) {
	d, err := DescribeDataset(t.Context(), planner.Dataset{Name: "x", Kind: "synthetic",
		Synthetic: &planner.Synthetic{Task: "shapes", Classes: 2, Pictures: map[string]int{"train": 5, "val": 3}, Size: size}}, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Classes) != 2 || d.Pictures["train"] != 5 || d.Pictures["val"] != 3 || len(d.Hash) != 64 {
		t.Errorf("%+v", d)
	}
	if _, err := DescribeDataset(t.Context(), planner.Dataset{Name: "x", Kind: "imagefolder", Path: filepath.Join(t.TempDir(), "none")}, ""); err == nil {
		t.Error("a folder that is not there gives no error")
	}
}
