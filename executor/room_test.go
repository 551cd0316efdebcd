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
		weights     bool    // they start from a file
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
			err: []string{"sweep2", "needs 2.9 GiB of memory, and of 1.0 GiB that are available 1000 MiB are left", "another run does not fit", "batch_size", "-memory-mib"}},
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

// The computation of features is counted once, and makes do with what the largest run leaves.
func TestFindRoomForFeatures(t *testing.T) {
	const total, limit = 100 << 20, 50 << 20
	l := newLab(t)
	for i := range 2 {
		l.run(frozen("", "", "squeezenet1_1", "head"))
		l.plan.Settings[i].Weights.Kind = "none"
		l.plan.Runs[i].Estimate = i
	}
	l.plan.Estimates = []planner.Estimate{{Memory: 10 << 20}, {Memory: 20 << 20}}
	l.opt.Memory, l.opt.FeatureMemory, l.opt.CacheBytes = total+BaseMemory, limit, 0
	find := func() (*execution, room) {
		t.Helper()
		e, err := newExecution(l.opt)
		if err != nil {
			t.Fatal(err)
		}
		room, _, err := e.findRoom()
		if err != nil {
			t.Fatal(err)
		}
		return e, room
	}
	if _, room := find(); room.memory != total {
		t.Errorf("%d bytes for runs that share nothing, want %d", room.memory, total)
	}
	l.sharing()
	device, err := l.opt.Device(1)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	need, err := FeatureMemory(device, 1, &l.plan.Settings[0], &l.plan.Datasets[0], &l.plan.Sharing[0], limit)
	if err != nil || need <= 1<<20 {
		t.Fatalf("features take %d bytes, %v", need, err)
	}
	if e, room := find(); room.memory != total-need || e.FeatureMemory != limit {
		t.Errorf("%d bytes for runs, %d for features, want %d, %d", room.memory, e.FeatureMemory, total-need, limit)
	}
	l.plan.Estimates[1].Memory = total - 1<<20
	if e, room := find(); room.memory != total-1<<20 || e.FeatureMemory != 1<<20 {
		t.Errorf("%d bytes for runs, %d for features, want %d, %d", room.memory, e.FeatureMemory, total-1<<20, 1<<20)
	}
	l.opt.NoShare, l.plan.Estimates[1].Memory = true, 1<<20
	e, room := find()
	if room.memory != total {
		t.Errorf("%d bytes for runs without sharing, want %d", room.memory, total)
	}
	alone, err := RunMemory(device, 1, &l.plan.Settings[0], &l.plan.Datasets[0], &planner.Sharing{})
	if want := (want{alone.Peak(), -1}); err != nil || e.wants[0] != want || e.wants[1] != want || want.memory <= 1<<20 {
		t.Errorf("they want %+v, %v, want %+v each", e.wants, err, want)
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
