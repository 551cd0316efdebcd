package executor

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/host"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

func TestFindRoom(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name        string
		runs        []int64 // memory in MiB
		weights     bool    // they start from a file
		launcher    string  // kind; "" is this machine
		memory      int64   // MiB
		parallelism int
		cache       int64 // MiB

		wantCache, wantRuns int64 // MiB
		told                string
		err                 []string
	}{
		{name: "plenty", runs: []int64{10, 20}, memory: 1000, parallelism: 2, cache: 250, wantCache: 250, wantRuns: 750},
		{name: "pictures get what is left", runs: []int64{700, 200}, memory: 1000, parallelism: 2, cache: 250, wantCache: 100, wantRuns: 900,
			told: "decoded pictures get 100 MiB of memory instead of 250 MiB: runs hold the rest"},
		{name: "no pictures", runs: []int64{300, 300}, memory: 1000, parallelism: 1, cache: 0, wantRuns: 1000},
		{name: "weights that stay between runs", runs: []int64{10, 20}, weights: true, memory: 1000, parallelism: 2, cache: 250,
			wantCache: 250, wantRuns: 747}, // 723,522 parameters
		{name: "fewer at once", runs: []int64{400, 10, 400, 400, 400}, memory: 1000, parallelism: 3, cache: 200, wantCache: 200, wantRuns: 800,
			told: "memory has room for 2 of the largest runs at once, not for 3: these would hold 1.2 GiB, and 1000 MiB are left for runs"},
		{name: "no more than there are", runs: []int64{400, 400}, memory: 1000, parallelism: 8, cache: 200, wantCache: 200, wantRuns: 800},
		{name: "not known", runs: []int64{0, 0}, memory: 1000, parallelism: 2, cache: 250, wantCache: 250, wantRuns: 750},
		{name: "not known, and nothing is left", runs: []int64{0, 0}, memory: -10, parallelism: 2, cache: 250,
			told: "decoded pictures get 0 MiB of memory instead of 250 MiB: runs hold the rest"},
		{name: "too large", runs: []int64{10, 1500, 3000, 10}, memory: 1000, parallelism: 1, cache: 250,
			err: []string{"sweep2", "needs 2.9 GiB of memory, and of 1.0 GiB that are available ftrun itself needs 24 MiB, which leaves 1000 MiB for runs", "another run does not fit", "batch_size", "-memory-mib"}},
		{name: "too large for a job", runs: []int64{1500}, launcher: planner.Slurm, memory: 1000, parallelism: 1,
			err: []string{"sweep0", "memory in launcher.slurm.there says how much a job gets"}},
		{name: "several too large", runs: []int64{1400, 1400, 1400}, memory: 1000, parallelism: 1, cache: 0,
			err: []string{"sweep0", "2 other runs do not fit"}},
		{name: "nothing to do", memory: 1000, parallelism: 1, cache: 250, wantCache: 250, wantRuns: 750},
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
			}
			if test.launcher != "" {
				l.plan.Launches = []planner.Launch{{Kind: test.launcher, Name: "there"}}
			}
			l.opt.Memory, l.opt.Parallelism = test.memory*mib+BaseMemory, test.parallelism
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
			if e.CacheBytes/mib != test.wantCache || room.memory/mib != test.wantRuns {
				t.Errorf("%d MiB for pictures, %d for runs, want %d, %d", e.CacheBytes/mib, room.memory/mib, test.wantCache, test.wantRuns)
			}
		})
	}
}

// A run that computes features is given room for that beside its own, for smaller batches where memory is short, and for none
// where not even one picture fits.
func TestFindRoomForFeatures(t *testing.T) {
	const total, limit = 300 << 20, 50 << 20
	l := newLab(t)
	for i := range 2 {
		l.run(frozen("", "", "squeezenet1_1", "head"))
		l.plan.Settings[i].Weights.Kind, l.plan.Settings[i].Image.Crop = "none", 224
		l.plan.Runs[i].Estimate = i
	}
	l.dataset(planner.Synthetic{Task: "shapes", Classes: 3, Pictures: map[string]int{"train": 35, "val": 34}, Size: 32, Seed: 7})
	l.plan.Runs[0].Dataset, l.plan.Runs[1].Dataset = 1, 1
	l.plan.Estimates = []planner.Estimate{{Memory: 10 << 20}, {Memory: 20 << 20}}
	l.opt.Memory, l.opt.FeatureMemory, l.opt.CacheBytes = total+BaseMemory, limit, 0
	find := func() (*execution, room, []string) {
		t.Helper()
		e, err := newExecution(l.opt)
		if err != nil {
			t.Fatal(err)
		}
		room, told, err := e.findRoom()
		if err != nil {
			t.Fatal(err)
		}
		return e, room, told
	}
	wants := func(e *execution, want ...want) {
		t.Helper()
		if d := cmp.Diff(want, e.wants, cmp.AllowUnexported(want[0])); d != "" {
			t.Error(d)
		}
	}
	e, room, told := find()
	wants(e, want{memory: 10 << 20, making: 0, sharing: -1}, want{memory: 20 << 20, making: 0, sharing: -1}) // they share nothing
	if room.memory != total || len(told) > 0 {
		t.Errorf("%d bytes for runs, want %d; told %q", room.memory, total, told)
	}

	l.sharing()
	device, err := l.opt.Places[0].Open(1)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	needs := func(limits FeatureLimits) int64 {
		t.Helper()
		n, _, err := FeatureMemory(device, l.opt.Threads, &l.plan.Settings[0], &l.plan.Datasets[1], &l.plan.Sharing[0], limits)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	most, least := needs(FeatureLimits{Results: limit, All: math.MaxInt64}), needs(FeatureLimits{})
	if least <= 20<<20 || most <= least+20<<20 || most > total-20<<20 {
		t.Fatalf("features take %d to %d bytes", least, most)
	}
	e, room, told = find()
	wants(e, want{memory: 10 << 20, making: most, sharing: 0}, want{memory: 20 << 20, making: most, sharing: 1})
	if room.memory != total || len(told) > 0 {
		t.Errorf("%d bytes for runs, want %d; told %q", room.memory, total, told)
	}

	// The second leaves less than the features of a block take, and they are computed in smaller batches.
	beside := most - 1<<20
	l.plan.Estimates[1].Memory = total - beside
	smaller := needs(FeatureLimits{Results: limit, All: beside})
	if smaller > beside || smaller < least {
		t.Fatalf("features take %d bytes, of %d to %d, within %d", smaller, least, most, beside)
	}
	e, _, told = find()
	wants(e, want{memory: 10 << 20, making: most, sharing: 0}, want{memory: total - beside, making: smaller, sharing: 1})
	if len(told) > 0 {
		t.Errorf("told %q", told)
	}

	// It leaves too little for one picture, so it shares nothing.
	alone, err := RunMemory(device, l.opt.Threads, &l.plan.Settings[1], &l.plan.Datasets[1], &planner.Sharing{})
	if err != nil || alone.Peak() <= 20<<20 {
		t.Fatalf("without sharing it holds %d bytes, %v", alone.Peak(), err)
	}
	l.plan.Estimates[1].Memory = total - least + 1
	e, _, told = find()
	wants(e, want{memory: 10 << 20, making: most, sharing: 0}, want{memory: alone.Peak(), making: 0, sharing: -1})
	wantText(t, told, "sweep1 seed 1 computes its frozen part itself", "MiB of memory to compute")

	l.opt.NoShare = true
	e, _, told = find()
	wants(e, want{memory: alone.Peak(), making: 0, sharing: -1}, want{memory: alone.Peak(), making: 0, sharing: -1})
	if len(told) > 0 {
		t.Errorf("told %q", told)
	}
	l.opt.Memory = alone.Peak() - 1 + BaseMemory
	if e, err = newExecution(l.opt); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.findRoom(); err == nil {
		t.Error("runs that do not fit without sharing were let be")
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
	if elsewhere := CheckDisk(l.plan, l.store); elsewhere == nil || elsewhere.Error() != err.Error() {
		t.Errorf("of runs that are trained elsewhere it is said: %v", elsewhere)
	}
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
