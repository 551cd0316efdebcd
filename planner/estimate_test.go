package planner

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeCosts: a run takes 10 s and, for each epoch, 2 s; 1 s with shared features, which take 7 s to compute. A head holds 5
// bytes, a whole network 50, and leaves 100.
type fakeCosts struct {
	asked    int
	by       []string // the launchers that it was told of
	onDevice int64    // bytes of a GPU's memory
}

func (f *fakeCosts) Training(s *Settings, _ *Dataset, sharing *Sharing, done int) Estimate {
	f.asked++
	e := Estimate{Memory: 50, Seconds: 10 + 2*float64(s.Epochs-done), Disk: 100, DeviceMemory: f.onDevice}
	if sharing.Train != nil {
		e.Memory, e.Seconds = 5, 10+float64(s.Epochs-done)
	}
	return e
}

func (f *fakeCosts) Features(*Settings, *Dataset, *Sharing) Estimate {
	return Estimate{Seconds: 7, Memory: 3}
}

func (f *fakeCosts) Process() (int, int64) { return 4, 1 }

func (f *fakeCosts) StartedBy(l *Launch) { f.by = append(f.by, l.String()) }

func TestEstimates(t *testing.T) {
	const src = `
sweep "heads" {
  dataset = dataset.ants
  seeds   = range(3)
  matrix {
    lr = [0.1, 0.2]
  }
  run {
    arch   = "resnet18"
    mode   = "extract"
    epochs = 20
    optimizer {
      kind = "sgd"
      lr   = matrix.lr
    }
  }
}
sweep "again" {
  dataset = dataset.ants
  run {
    arch   = "resnet18"
    mode   = "extract"
    epochs = 20
    optimizer {
      kind = "sgd"
      lr   = 0.1
    }
  }
}
sweep "whole" {
  dataset = dataset.ants
  seeds   = range(3)
  run {
    arch   = "resnet18"
    mode   = "finetune"
    epochs = 20
  }
}`
	w, costs := newFakeWorld(), &fakeCosts{}
	w.Costs = costs
	p := plan(t, w, src, Options{})
	// Two rates of heads, with and without what they share, and one whole network.
	if costs.asked != 5 {
		t.Errorf("costs were asked %d times, want 5: once a sort of run", costs.asked)
	}
	if diff := cmp.Diff([]Estimate{{Memory: 5, Seconds: 30, Disk: 100}, {Memory: 50, Seconds: 50, Disk: 100}}, p.Estimates); diff != "" {
		t.Errorf("estimates (-want +got):\n%s", diff)
	}
	// Six heads save 20 s each, less what the features take.
	if s := p.Sharing[p.Runs[0].Sharing]; s.Seconds != 7 || s.Saves != 6*20-7 {
		t.Errorf("the features take %v s and save %v s, want 7 and 113", s.Seconds, s.Saves)
	}
	disk := int64(9*100 + 20*(244+153))
	s := p.Summarize()
	if got, want := [5]any{s.Seconds, s.Shared, s.Unshared, s.Memory, s.Disk}, [5]any{6.0*30 + 3*50 + 7, 7.0, 6.0*50 + 3*50, int64(50), disk}; got != want {
		t.Errorf("in all %v, want %v", got, want)
	}

	// One is done, two have checkpoints, of which one is that of a shorter training in the store.
	whole := p.Runs[len(p.Runs)-3:]
	w.store[p.Runs[0].ID] = RunState{Finished: true}
	w.store[whole[0].ID] = RunState{Checkpoint: true, Epochs: 15}
	check := func(t *testing.T, p *Plan) {
		whole := p.Runs[len(p.Runs)-3:]
		if e := p.Estimate(&p.Runs[0]); e != (Estimate{}) {
			t.Errorf("a run that is done takes %+v", e)
		}
		if e, want := p.Estimate(&whole[0]), (Estimate{Memory: 50, Seconds: 20, Disk: 100}); e != want || whole[0].FromEpoch != 15 {
			t.Errorf("a run with 15 of 20 epochs done takes %+v from epoch %d, want %+v", e, whole[0].FromEpoch, want)
		}
		if e, want := p.Estimate(&whole[1]), (Estimate{Memory: 50, Seconds: 50, Disk: 100}); e != want {
			t.Errorf("a run from the start takes %+v, want %+v", e, want)
		}
		if s := p.Summarize(); s.Seconds != 5*30+20+2*50+7 {
			t.Errorf("all that is left takes %v s, want 277", s.Seconds)
		}
	}
	t.Run("planned", func(t *testing.T) { check(t, plan(t, w, src, Options{})) })
	t.Run("refreshed", func(t *testing.T) {
		if err := Refresh(p, w.store, costs); err != nil {
			t.Fatal(err)
		}
		check(t, p)
	})
	t.Run("nothing left", func(t *testing.T) {
		for _, r := range p.Runs {
			w.store[r.ID] = RunState{Finished: true}
		}
		costs.asked = 0
		if p := plan(t, w, src, Options{}); costs.asked != 0 || len(p.Estimates) > 0 {
			t.Errorf("costs were asked %d times for a plan of which all is done", costs.asked)
		}
	})
}

func TestALongerRunTakesWhatIsLeft(t *testing.T) {
	w := newFakeWorld()
	w.Costs = &fakeCosts{}
	p := plan(t, w, `
sweep "s" {
  dataset = dataset.ants
  matrix {
    epochs = [5, 20]
  }
  run {
    arch   = "resnet18"
    mode   = "finetune"
    epochs = matrix.epochs
  }
}`, Options{})
	for i, want := range []float64{10 + 2*5, 10 + 2*15} {
		if got := p.Estimate(&p.Runs[i]).Seconds; got != want {
			t.Errorf("run %d takes %v s, want %v", i, got, want)
		}
	}
}

// TestBudget: a run of e epochs takes 10+2e seconds.
func TestBudget(t *testing.T) {
	const two = `
sweep "s" {
  dataset = dataset.ants
  seeds   = range(4)
  matrix {
    epochs = [10, 20]
  }
  run {
    arch   = "resnet18"
    mode   = "finetune"
    epochs = matrix.epochs
    schedule {
      kind = "cosine"
    }
  }
}`
	const chain = `
sweep "first" {
  dataset = dataset.ants
  run {
    arch   = "resnet18"
    mode   = "finetune"
    epochs = 1
  }
}
sweep "second" {
  dataset = dataset.ants
  run {
    arch    = "resnet18"
    mode    = "finetune"
    weights = sweep.first.best
    epochs  = 40
  }
}
sweep "alone" {
  dataset = dataset.ants
  run {
    arch   = "resnet18"
    mode   = "finetune"
    epochs = 30
  }
}`
	tests := []struct {
		name, src     string
		seconds       float64
		due           []float64 // when each finishes
		fit           int
		epochs, seeds int
	}{
		{"all fit", two, 320, []float64{30, 60, 90, 120, 170, 220, 270, 320}, 8, 0, 0},
		{"in the plan's order", two, 200, []float64{30, 60, 90, 120, 170, 220, 270, 320}, 5, 7, 2},
		{"a second too little", two, 319, []float64{30, 60, 90, 120, 170, 220, 270, 320}, 7, 19, 3},
		{"no number of epochs helps", two, 95, []float64{30, 60, 90, 120, 170, 220, 270, 320}, 3, 0, 1},
		{"nothing fits", two, 29, []float64{30, 60, 90, 120, 170, 220, 270, 320}, 0, 0, 0},
		{"what others wait for comes first", chain, 110, []float64{12, 80, 170}, 2, 20, 0}, // the second goes on from the first
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, costs := newFakeWorld(), &fakeCosts{}
			w.Costs = costs
			b := plan(t, w, test.src, Options{}).Budget(costs, test.seconds)
			var due []float64
			for _, d := range b.Due {
				due = append(due, d.Seconds)
			}
			if diff := cmp.Diff(test.due, due); diff != "" {
				t.Errorf("runs finish (-want +got):\n%s", diff)
			}
			if got, want := [3]int{b.Fit, b.Epochs, b.Seeds}, [3]int{test.fit, test.epochs, test.seeds}; got != want {
				t.Errorf("fit, epochs, seeds %v, want %v", got, want)
			}
		})
	}
}

// TestMemoryOfAPlan holds planning to a kilobyte a run beyond the settings: of what is alive at any moment, looked at now
// and then. It does so in a process of its own, which the collector stops while it looks: else what comes up meanwhile would
// count as alive, the more of it the busier the machine.
func TestMemoryOfAPlan(t *testing.T) {
	const stopped = "gcstoptheworld=1"
	if os.Getenv("GODEBUG") != stopped {
		cmd := exec.Command(os.Args[0], "-test.run=^TestMemoryOfAPlan$", "-test.v")
		cmd.Env = append(os.Environ(), "GODEBUG="+stopped)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("%s", out)
		return
	}
	const runs, limit = 40_000, 1024
	s := load(t, fmt.Sprintf(`sweep "s" {
  dataset = dataset.ants
  seeds   = range(%d)
  matrix {
    lr = range(1, 101)
  }
  run {
    arch = "resnet18"
    mode = "extract"
    optimizer {
      kind = "sgd"
      lr   = matrix.lr / 1000
    }
  }
}`, runs/100))
	w := newFakeWorld()
	w.Costs = &fakeCosts{}
	alive := func() uint64 {
		runtime.GC()
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}} // unlike HeapAlloc, without what was allocated since
		metrics.Read(live)
		return live[0].Value.Uint64()
	}
	before := alive()
	most := before
	ctx, made := context.WithCancel(context.Background())
	looking := make(chan struct{})
	go func() {
		defer close(looking)
		for ctx.Err() == nil {
			most = max(most, alive())
			time.Sleep(10 * time.Millisecond)
		}
	}()
	p, _ := Make(context.Background(), s, w.World, Options{})
	made()
	<-looking
	most = max(most, alive())
	if len(p.Runs) != runs {
		t.Fatalf("%d runs, want %d", len(p.Runs), runs)
	}
	if each := float64(most-before) / runs; each > limit {
		t.Errorf("%.0f bytes a run, want %d at most", each, limit)
	} else {
		t.Logf("%.0f bytes a run", each)
	}
	runtime.KeepAlive(s)
}
