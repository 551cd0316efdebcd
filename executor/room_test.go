package executor

import (
	"math"
	"strings"
	"testing"

	"github.com/ftrun/ftrun/internal/host"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

func TestFindRoom(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name        string
		runs        []int64 // memory in MiB
		shares      bool
		weights     bool  // they start from a file
		memory      int64 // MiB
		parallelism int
		cache       int64 // MiB

		wantCache, wantFeatures, wantRuns int64 // MiB
		told                              string
		err                               []string
	}{
		{name: "plenty", runs: []int64{10, 20}, memory: 1000, parallelism: 2, cache: 250, wantCache: 250, wantFeatures: 100, wantRuns: 750},
		{name: "pictures get what is left", runs: []int64{700, 200}, memory: 1000, parallelism: 2, cache: 250, wantCache: 100, wantFeatures: 100, wantRuns: 900,
			told: "decoded pictures get 100 MiB of memory instead of 250 MiB: runs hold the rest"},
		{name: "no pictures", runs: []int64{300, 300}, memory: 1000, parallelism: 1, cache: 0, wantFeatures: 100, wantRuns: 1000},
		{name: "features take theirs once", runs: []int64{400, 300}, shares: true, memory: 1000, parallelism: 2, cache: 200,
			wantCache: 200, wantFeatures: 100, wantRuns: 700},
		{name: "features make do with less", runs: []int64{970}, shares: true, memory: 1000, parallelism: 4, cache: 0, wantFeatures: 30, wantRuns: 970},
		{name: "weights that stay between runs", runs: []int64{10, 20}, weights: true, memory: 1000, parallelism: 2, cache: 250,
			wantCache: 250, wantFeatures: 100, wantRuns: 747}, // 723,522 parameters
		{name: "fewer at once", runs: []int64{400, 10, 400, 400, 400}, memory: 1000, parallelism: 3, cache: 200, wantCache: 200, wantFeatures: 100, wantRuns: 800,
			told: "memory has room for 2 of the largest runs at once, not for 3: these would hold 1.2 GiB, and 1000 MiB are left for runs"},
		{name: "no more than there are", runs: []int64{400, 400}, memory: 1000, parallelism: 8, cache: 200, wantCache: 200, wantFeatures: 100, wantRuns: 800},
		{name: "not known", runs: []int64{0, 0}, memory: 1000, parallelism: 2, cache: 250, wantCache: 250, wantFeatures: 100, wantRuns: 750},
		{name: "too large", runs: []int64{10, 1500, 3000, 10}, memory: 1000, parallelism: 1, cache: 250,
			err: []string{"sweep2", "needs 2.9 GiB of memory, and of 1.0 GiB that are available 1000 MiB are left", "another run does not fit", "batch_size", "-memory-mib"}},
		{name: "several too large", runs: []int64{1400, 1400, 1400}, memory: 1000, parallelism: 1, cache: 0,
			err: []string{"sweep0", "2 other runs do not fit"}},
		{name: "nothing to do", memory: 1000, parallelism: 1, cache: 250, wantCache: 250, wantFeatures: 100, wantRuns: 750},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t)
			for i, n := range test.runs {
				l.run(nil)
				l.plan.Runs[i].Estimate = len(l.plan.Estimates)
				l.plan.Estimates = append(l.plan.Estimates, planner.Estimate{Memory: n * mib})
				if test.weights {
					l.plan.Settings[i].Weights.Kind = "file"
				}
				if test.shares {
					l.plan.Sharing[i].Val = &planner.Features{}
				}
			}
			l.opt.Memory, l.opt.Parallelism, l.opt.FeatureMemory = test.memory*mib+BaseMemory, test.parallelism, 100*mib
			l.opt.CacheBytes = test.cache * mib
			e, err := newExecution(l.opt)
			if err != nil {
				t.Fatal(err)
			}
			room, told, err := e.findRoom()
			if test.err != nil {
				if err == nil {
					t.Fatal("no error")
				}
				wantText(t, []string{err.Error()}, test.err...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(told, "\n"); got != test.told {
				t.Errorf("told %q, want %q", got, test.told)
			}
			if e.CacheBytes/mib != test.wantCache || e.FeatureMemory/mib != test.wantFeatures || room.memory/mib != test.wantRuns {
				t.Errorf("%d MiB for pictures, %d for features, %d for runs, want %d, %d, %d", e.CacheBytes/mib, e.FeatureMemory/mib, room.memory/mib,
					test.wantCache, test.wantFeatures, test.wantRuns)
			}
		})
	}
}

// What the machine has is asked where nothing is said of it.
func TestFindRoomOfThisMachine(t *testing.T) {
	if _, known := host.OwnMemory(); !known {
		t.Skip("this system does not tell")
	}
	l := newLab(t)
	l.run(nil)
	l.plan.Estimates = []planner.Estimate{{Memory: math.MaxInt64 / 2}}
	_, err := Apply(t.Context(), l.opt)
	if err == nil {
		t.Fatal("a run that needs more memory than there can be was started")
	}
	wantText(t, []string{err.Error()}, "sweep0", "-memory-mib")
	l.plan.Estimates = []planner.Estimate{{Disk: math.MaxInt64 / 2}}
	_, err = Apply(t.Context(), l.opt)
	if err == nil {
		t.Fatal("a run that needs more disk than there can be was started")
	}
	wantText(t, []string{err.Error()}, l.store.Dir, "GiB free", "gc", "-store")
	if l.log.started("run0") != 0 {
		t.Error("it was started")
	}
}

func TestRunsStayWithinMemory(t *testing.T) {
	l := newLab(t)
	for range 3 {
		l.run(func(s *planner.Settings) { s.Epochs = 1 })
	}
	l.plan.Runs[2].Estimate = 1
	l.plan.Estimates = []planner.Estimate{{Memory: 60 << 20}, {Memory: 20 << 20}}
	l.opt.Memory, l.opt.CacheBytes = 100<<20+BaseMemory, 1<<20
	l.opt.Parallelism, l.opt.Threads = 3, 3
	held, most := int64(0), int64(0)
	memory := map[string]int64{"run0": 60, "run1": 60, "run2": 20}
	l.log.on = func(e runlog.Event) {
		switch e := e.(type) {
		case runlog.RunStarted:
			held += memory[e.Run]
			most = max(most, held)
		case runlog.RunFinished:
			held -= memory[e.Run]
		}
	}
	l.apply(3, 0, 0, 0)
	if most > 99 {
		t.Errorf("%d MiB were held at a time", most)
	}
	wantText(t, l.log.texts(), "memory has room for 1 of the largest runs at once, not for 3")
}
