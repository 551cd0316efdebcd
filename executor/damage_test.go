package executor

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

// short is a run of three quick epochs.
func short(s *planner.Settings) {
	s.Epochs = 3
	s.Optimizer = planner.Optimizer{Kind: "sgd", LR: 0.02, Momentum: 0.9}
}

// flip changes one bit of a file at a place drawn from seed.
func flip(t *testing.T, path string, seed uint64) (at int) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	draw := rand.New(rand.NewPCG(seed, uint64(len(raw))))
	at = draw.IntN(len(raw))
	raw[at] ^= 1 << draw.IntN(8)
	if err := os.WriteFile(path, raw, 0o666); err != nil {
		t.Fatal(err)
	}
	return at
}

// TestAFlippedBitIsFoundAndTheWorkDoneAgain damages each file of a finished and of an interrupted run, FTRUN_FLIPS times (2
// unless given).
func TestAFlippedBitIsFoundAndTheWorkDoneAgain(t *testing.T) {
	straight := newLab(t)
	id := straight.run(short)
	straight.apply(1, 0, 0, 0)
	want := straight.result(id)

	interrupted := newLab(t)
	interrupted.run(short)
	interrupted.interruptAt(step(3, 2))

	const used, rewritten = true, false // what is rewritten anyhow need not be told
	flips := 2
	if n, err := strconv.Atoi(os.Getenv("FTRUN_FLIPS")); err == nil {
		flips = n
	}
	for _, test := range []struct {
		name  string
		from  *lab
		files map[string]bool
	}{
		{"finished", straight, map[string]bool{
			"status.json": used, "config.json": rewritten, "metrics.jsonl": used, "predictions.jsonl": used, "best.safetensors": used,
		}},
		{"interrupted", interrupted, map[string]bool{
			"status.json": used, "config.json": rewritten, "metrics.jsonl": rewritten, "predictions.jsonl": used, "best.safetensors": used,
			"last.ckpt": used, "previous.ckpt": rewritten,
		}},
	} {
		for name, told := range test.files {
			t.Run(test.name+" "+name, func(t *testing.T) {
				for seed := range flips {
					l := newLab(t)
					l.run(short)
					if err := os.CopyFS(l.store.Dir, os.DirFS(test.from.store.Dir)); err != nil {
						t.Fatal(err)
					}
					at := flip(t, filepath.Join(l.store.Run(id).Dir, name), uint64(seed))
					l.apply(1, 0, 0, 0)
					if d := cmp.Diff(want, l.result(id)); d != "" {
						t.Errorf("byte %d: the result is another one: %s", at, d)
					}
					texts := l.log.texts()
					if told && !slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, name) }) {
						t.Errorf("byte %d: told %q", at, texts)
					}
					l.apply(0, 1, 0, 0)
				}
			})
		}
	}
}

// A copy of a store has other times: its files are looked at, and found to be what they were.
func TestACopyOfAStoreIsNotTrainedAgain(t *testing.T) {
	l := newLab(t)
	id := l.run(nil)
	l.apply(1, 0, 0, 0)
	best := l.store.Run(id).BestPath()
	was, err := os.Stat(best)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(best, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	l.apply(0, 1, 0, 0)
	if now, err := os.Stat(best); err != nil || !now.ModTime().Equal(was.ModTime()) {
		t.Errorf("its time is %v, %v: it would be hashed each time; want %v", now.ModTime(), err, was.ModTime())
	}
}

// Bits that flip on the disk leave a file's time as it was. Who reads it finds out, and from then on it is known.
func TestDamageThatShowsOnlyWhenItIsRead(t *testing.T) {
	l := newLab(t)
	up := l.run(nil)
	l.apply(1, 0, 0, 0)
	want := l.result(up)

	best := l.store.Run(up).BestPath()
	info, err := os.Stat(best)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, best, 1)
	if err := os.Chtimes(best, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	l.apply(0, 1, 0, 0)

	down := l.run(from("squeezenet1_1", planner.Weights{Kind: "run", Runs: []string{up}}))
	l.plan.Runs[1].Needs = []string{up}
	l.apply(0, 1, 1, 0)
	wantText(t, l.log.texts(), down+" failed", "weights that are damaged", "plan again")

	l.apply(2, 0, 0, 0)
	if d := cmp.Diff(want, l.result(up)); d != "" {
		t.Error(d)
	}
	l.wantBody(down, l.best(up))
}

// A failure from outside leaves the checkpoint, and the next apply goes on from it.
func TestAFailureFromOutsideKeepsTheCheckpoint(t *testing.T) {
	straight := newLab(t)
	id := straight.run(short)
	straight.apply(1, 0, 0, 0)

	l := newLab(t)
	l.run(short)
	dir := l.store.Run(id)
	blocked := false
	l.log.on = func(e runlog.Event) { // a folder in the place of the file can't be replaced
		if step(3, 1)(e) && !blocked {
			blocked = true
			if err := os.Rename(dir.BestPath(), dir.BestPath()+".away"); err != nil {
				t.Error(err)
			}
			if err := os.Remove(filepath.Join(dir.Dir, "metrics.jsonl")); err != nil {
				t.Error(err)
			}
			if err := os.Mkdir(filepath.Join(dir.Dir, "metrics.jsonl"), 0o777); err != nil {
				t.Error(err)
			}
		}
	}
	l.apply(0, 0, 1, 0)
	wantText(t, l.log.texts(), id+" failed", "metrics.jsonl", "no regular file")
	l.log.on = nil
	if err := os.Remove(filepath.Join(dir.Dir, "metrics.jsonl")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir.BestPath()+".away", dir.BestPath()); err != nil {
		t.Fatal(err)
	}
	first := 0
	l.log.on = func(e runlog.Event) {
		if s, ok := e.(runlog.RunStarted); ok {
			first = s.Epoch
		}
	}
	l.apply(1, 0, 0, 0)
	if first != 2 {
		t.Errorf("it went on after epoch %d, want 2", first)
	}
	if d := cmp.Diff(straight.result(id), l.result(id)); d != "" {
		t.Error(d)
	}
}

// Checkpoints within an epoch change nothing but where a run goes on that was killed.
func TestCheckpointsWithinAnEpoch(t *testing.T) {
	straight := newLab(t)
	id := straight.run(short)
	straight.apply(1, 0, 0, 0)

	l := newLab(t)
	l.run(short)
	l.opt.CheckpointEvery = time.Nanosecond
	var within []byte
	l.log.on = func(e runlog.Event) {
		if step(2, 4)(e) { // what was saved after step 3
			var err error
			if within, err = os.ReadFile(l.store.Run(id).CheckpointPath()); err != nil {
				t.Error(err)
			}
		}
	}
	l.apply(1, 0, 0, 0)
	if d := cmp.Diff(straight.result(id), l.result(id)); d != "" {
		t.Error(d)
	}

	killed := newLab(t)
	killed.run(short)
	killed.interruptAt(step(2, 1))
	if err := os.WriteFile(killed.store.Run(id).CheckpointPath(), within, 0o666); err != nil {
		t.Fatal(err)
	}
	killed.log.on = func(e runlog.Event) {
		if s, ok := e.(runlog.RunStarted); ok && (s.Epoch != 1 || s.Step != 3) {
			t.Errorf("it went on after epoch %d, step %d", s.Epoch, s.Step)
		}
	}
	killed.apply(1, 0, 0, 0)
	if d := cmp.Diff(straight.result(id), killed.result(id)); d != "" {
		t.Error(d)
	}
}

// longer is a run of 2 epochs' trajectory.
func longer(epochs int, stop *planner.EarlyStop) func(*planner.Settings) {
	return func(s *planner.Settings) {
		short(s)
		s.Epochs, s.EarlyStop = epochs, stop
	}
}

func TestALongerTrainingGoesOnFromAShorterOne(t *testing.T) {
	straight := newLab(t)
	whole := straight.run(longer(4, nil))
	straight.apply(1, 0, 0, 0)
	want := straight.result(whole)

	tests := map[string]struct {
		damage string
		from   int // epoch after which it goes on
		told   string
	}{
		"whole":               {"", 2, "it goes on from the last checkpoint of run run0"},
		"predictions flipped": {"predictions.jsonl", 2, "the predictions were made again"},
		"checkpoint flipped":  {"last.ckpt", 0, "the run starts again"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			shorter := l.run(longer(2, nil))
			l.apply(1, 0, 0, 0)
			was := l.result(shorter)
			long := l.run(longer(4, nil))
			l.plan.Runs[1].From = shorter
			if test.damage != "" {
				flip(t, filepath.Join(l.store.Run(shorter).Dir, test.damage), 3)
				l.plan.Runs = l.plan.Runs[1:] // else the shorter one would be mended first
			}
			l.log.on = func(e runlog.Event) {
				if s, ok := e.(runlog.RunStarted); ok && s.Epoch != test.from {
					t.Errorf("it went on after epoch %d, want %d", s.Epoch, test.from)
				}
			}
			l.apply(1, len(l.plan.Runs)-1, 0, 0)
			wantText(t, l.log.texts(), test.told)
			got := l.result(long)
			// A file of best weights names its run.
			wantBest, gotBest := straight.best(whole), l.best(long)
			if d := cmp.Diff(wantBest, gotBest); d != "" {
				t.Error(d)
			}
			got.Best = want.Best
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if test.damage == "" {
				if d := cmp.Diff(was, l.result(shorter)); d != "" {
					t.Errorf("the shorter run has changed: %s", d)
				}
			}
		})
	}
}

// What early stopping would have ended before does not go on from beyond its end.
func TestAShorterTrainingThatEarlyStoppingWouldNotHaveComeBy(t *testing.T) {
	frozen := func(epochs int, stop *planner.EarlyStop) func(*planner.Settings) {
		return func(s *planner.Settings) { s.Epochs, s.EarlyStop, s.Optimizer.LR = epochs, stop, 0 }
	}
	l := newLab(t)
	shorter := l.run(frozen(4, nil))
	l.apply(1, 0, 0, 0)
	long := l.run(frozen(10, &planner.EarlyStop{Monitor: "val_loss", Patience: 2}))
	l.plan.Runs[1].From = shorter
	l.apply(1, 1, 0, 0)
	if n := len(l.epochs(long)); n != 3 {
		t.Errorf("%d epochs, want 3", n)
	}
	wantText(t, l.log.texts(), "lies where this run does not come by", "the run starts again")
}

// Of two runs of one trajectory in a plan the longer one waits.
func TestTheLongerOfTwoRunsWaitsForTheShorter(t *testing.T) {
	l := newLab(t)
	long := l.run(longer(3, nil))
	shorter := l.run(longer(2, nil))
	l.plan.Runs[0].From = shorter
	l.opt.Parallelism, l.opt.Threads = 2, 2
	trained := map[string]int{}
	l.log.on = func(e runlog.Event) {
		if d, ok := e.(runlog.EpochDone); ok {
			trained[d.Run]++
		}
	}
	l.apply(2, 0, 0, 0)
	if trained[shorter] != 2 || trained[long] != 1 {
		t.Errorf("epochs trained: %v", trained)
	}
}
