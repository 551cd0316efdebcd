package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ftrun/ftrun/executor"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

func TestPaceIsTheMiddleOfTheLast(t *testing.T) {
	m := &machine{}
	if _, known := m.pace("a"); known {
		t.Error("a pace of a sort that never ran is known")
	}
	for i, train := range []float64{9, 1, 4, 2} { // the first is forgotten
		m.add("a", executor.Pace{Train: train}, time.Unix(int64(i), 0))
	}
	if p, known := m.pace("a"); !known || p.Train != 2 {
		t.Errorf("pace %v, want 2: the middle one of 1, 4, 2", p.Train)
	}
	if got := m.Paces["a"].At; !got.Equal(time.Unix(3, 0)) {
		t.Errorf("the newest is of %v", got)
	}
}

func TestSpeedsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ftrun", "speeds.json")
	now := time.Now()
	for i := range mostMachines + 2 {
		updateSpeeds(path, fmt.Sprint("machine ", i), func(m *machine) {
			m.Measured = now.Add(time.Duration(i) * time.Second)
			m.Speeds.Call = float64(i)
		})
	}
	updateSpeeds(path, "machine 9", func(m *machine) {
		for i := range mostSorts + 5 {
			m.add(executor.Sort(fmt.Sprint("sort ", i)), executor.Pace{Train: 1}, now.Add(time.Duration(i)*time.Second))
		}
	})
	s := readSpeeds(path)
	if len(s.Machines) != mostMachines || s.Machines["machine 1"] != nil || s.Machines["machine 2"] == nil {
		t.Errorf("%d machines are kept, want %d, the newest", len(s.Machines), mostMachines)
	}
	m := s.Machines["machine 9"]
	if m.Speeds.Call != 9 || len(m.Paces) != mostSorts {
		t.Errorf("a machine has the speed %v and %d sorts, want 9 and %d", m.Speeds.Call, len(m.Paces), mostSorts)
	}
	if _, oldest := m.pace("sort 0"); oldest {
		t.Error("the oldest sort is kept")
	}

	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := len(readSpeeds(path).Machines); n != 0 {
		t.Errorf("%d machines were read from a damaged file", n)
	}
}

// TestStopwatch: the pace of a run is that of its epochs but the first.
func TestStopwatch(t *testing.T) {
	p := &planner.Plan{
		Settings: []planner.Settings{{Arch: "resnet18", Trainable: []string{"**"}}},
		Datasets: []planner.Dataset{{Pictures: map[string]int{"train": 10, "val": 4}}},
		Sharing:  []planner.Sharing{{Val: &planner.Features{Layer: "flatten"}}},
		Runs:     []planner.Run{{ID: "a"}, {ID: "b"}},
	}
	for _, share := range []bool{true, false} {
		t.Run(fmt.Sprintf("share %v", share), func(t *testing.T) {
			log := &events{}
			w := newStopwatch(log, p, share, 1<<30)
			epoch := func(run string, train, val float64) {
				w.Emit(runlog.EpochDone{Head: runlog.Head{Run: run}, Metrics: runlog.Epoch{TrainSeconds: train, ValSeconds: val}})
			}
			epoch("a", 100, 100)
			epoch("b", 1, 1)
			epoch("a", 30, 8)
			epoch("a", 20, 4)
			epoch("a", 90, 12)
			result := runlog.Result{Device: "cpu", Path: "avx2", Threads: 2}
			w.Emit(runlog.RunFinished{Head: runlog.Head{Run: "a"}, Result: result})
			w.Emit(runlog.RunFinished{Head: runlog.Head{Run: "b"}, Result: result}) // too short to tell
			if len(*log) != 7 {
				t.Errorf("%d events were handed on, want 7", len(*log))
			}
			path := filepath.Join(t.TempDir(), "speeds.json")
			w.keep(path)
			m := readSpeeds(path).Machines[machineName("cpu", "avx2", 2)]
			if m == nil || len(m.Paces) != 1 {
				t.Fatalf("kept %+v, want one pace", m)
			}
			sharing := &planner.Sharing{}
			if share {
				sharing = &p.Sharing[0]
			}
			if got, known := m.pace(executor.SortOf(&p.Settings[0], &p.Datasets[0], sharing, 1<<30)); !known || got != (executor.Pace{Train: 3, Val: 2}) {
				t.Errorf("pace %+v, want 3 s and 2 s a picture", got)
			}
		})
	}
}

// events is a sink that keeps them.
type events []runlog.Event

func (e *events) Emit(ev runlog.Event) { *e = append(*e, ev) }

func TestWhenSpeedIsMeasured(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration, busy bool) *machine { return &machine{Measured: now.Add(-d), Busy: busy} }
	for _, c := range []struct {
		name string
		m    *machine
		due  bool
	}{
		{"never before", nil, true},
		{"paces alone are known", &machine{}, true},
		{"long ago", ago(1000*time.Hour, false), false},
		{"busy just now", ago(9*time.Minute, true), false},
		{"busy a while ago", ago(11*time.Minute, true), true},
	} {
		if got := c.m.due(now); got != c.due {
			t.Errorf("%s: due %v", c.name, got)
		}
	}
	for _, c := range []struct {
		used    time.Duration
		threads int
		busy    bool
	}{{9 * time.Second, 1, false}, {18 * time.Second, 2, false}, {15 * time.Second, 2, true}, {0, 2, false}} {
		if got := wasBusy(c.used, 10*time.Second, c.threads); got != c.busy {
			t.Errorf("%v of 10 s on %d threads: busy %v", c.used, c.threads, got)
		}
	}
}

// Where the machine's speed can't be measured, memory and disk are known all the same.
func TestMemoryIsKnownWithoutSpeeds(t *testing.T) {
	a, _, _ := newApp("plan")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()                                                                  // so the measuring fails
	costs := a.costs(ctx, cpuDevice, 7, 0, func(string) bool { return true }) // on threads for which nothing was measured
	defer costs.close()
	set := &planner.Settings{
		Arch: "squeezenet1_1", Trainable: []string{"**"}, BatchNorm: "auto", Epochs: 1, BatchSize: 2, Image: planner.Image{Crop: 64},
		Optimizer: planner.Optimizer{Kind: "sgd"}, Weights: planner.Weights{Kind: "none"}, Numerics: "default", Precision: "fp32",
	}
	of := &planner.Dataset{Classes: []string{"a", "b"}, Pictures: map[string]int{"train": 10, "val": 4}}
	if e := costs.Training(set, of, &planner.Sharing{}, 0); e.Memory == 0 || e.Disk == 0 || e.Seconds != 0 {
		t.Errorf("estimated %+v, want memory and disk, and no time", e)
	}
}
