package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

// finish leaves in the store what a finished run of about 1 MB would have left.
func finish(tb testing.TB, store *runlog.Store, p *planner.Plan, i int) {
	tb.Helper()
	r := &p.Runs[i]
	dir := store.Run(r.ID)
	content := func(n int) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := w.Write(make([]byte, n))
			return err
		}
	}
	best, err1 := dir.WriteBest(content(1 << 20))
	predictions, err2 := dir.WritePredictions(nil)
	metrics, err3 := dir.WriteEpochs([]runlog.Epoch{{Epoch: 1, ValAcc: 0.5}})
	checkpoint, err4 := dir.WriteCheckpoint(content(1000))
	err := errors.Join(err1, err2, err3, err4, dir.Enrol(r.Trajectory),
		dir.WriteConfig(p.Describe(r)), dir.WriteStatus(runlog.Status{
			State: runlog.Finished, Arch: p.Settings[r.Settings].Arch, Name: p.Name(r), Started: time.Now(), Updated: time.Now(),
			Epoch: 1, Attempts: 1, Classes: p.Datasets[r.Dataset].Classes,
			Result: &runlog.Result{Metrics: runlog.Metrics{ValAcc: 0.5, BestEpoch: 1, Epochs: 1}},
			Files:  &runlog.Files{Best: best, Predictions: predictions, Metrics: metrics}, Checkpoint: &checkpoint,
		}))
	if err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkSecondApply applies a sweep that has finished: it is planned, found done, and its table printed.
func BenchmarkSecondApply(b *testing.B) {
	for _, runs := range []int{1000} {
		b.Run(fmt.Sprint(runs), func(b *testing.B) {
			b.Chdir(b.TempDir())
			writeFile(b, "sweep.hcl", fmt.Sprintf(`
dataset "shapes" {
  kind     = "synthetic"
  pictures = { train = 400, val = 100 }
}
sweep "wide" {
  dataset = dataset.shapes
  seeds   = range(10)
  matrix { lr = [for i in range(%d) : (i + 1) / 1000] }
  run {
    arch = "resnet18"
    mode = "scratch"
    optimizer {
      kind = "sgd"
      lr   = matrix.lr
    }
  }
}
`, runs/10))
			a, _, errs := newApp("plan", "sweep.hcl")
			if code := a.run(b.Context()); code != exitOK {
				b.Fatal(errs.String())
			}
			store := runlog.Open(defaultStore)
			p, err := planner.Load(filepath.Join(defaultStore, "plan.json"))
			if err != nil {
				b.Fatal(err)
			}
			for i := range p.Runs {
				finish(b, store, p, i)
			}
			for b.Loop() {
				a, _, errs := newApp("apply", "sweep.hcl")
				if code := a.run(b.Context()); code != exitOK {
					b.Fatal(errs.String())
				}
			}
		})
	}
}
