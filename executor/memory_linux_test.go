package executor

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/models"
	"github.com/ftrun/ftrun/planner"
)

var memoryRuns = flag.String("memory", "", "architectures to hold, at their own picture size, to the memory that is told of them: names with commas")

// memoryRun is a run of a process of its own.
type memoryRun struct {
	Arch, Mode string
	Batch      int
	Crop       int // 0: the architecture's own
	Shared     bool
	Together   int    // runs that go on at once; 0: one
	Weights    string // file
	SHA256     string
}

const memoryRunVariable = "FTRUN_TEST_MEMORY_RUN"

// TestMemoryOfAProcess trains in processes of their own and holds the most memory that they had to what is told. With
// -memory it prints the table of docs/performance.md.
func TestMemoryOfAProcess(t *testing.T) {
	if raw := os.Getenv(memoryRunVariable); raw != "" {
		memoryRunHere(t, raw)
		return
	}
	runs := []memoryRun{
		{Arch: "resnet18", Mode: "finetune", Batch: 8, Crop: 64},
		{Arch: "resnet18", Mode: "extract", Batch: 8, Together: 2},
	}
	if *memoryRuns != "" {
		runs = nil
		for _, arch := range strings.Split(*memoryRuns, ",") {
			for _, mode := range []string{"finetune", "extract", "extract shared"} {
				for _, batch := range []int{8, 32} {
					runs = append(runs, memoryRun{Arch: arch, Mode: mode, Batch: batch})
				}
			}
		}
	}
	if testing.Short() {
		t.Skip("it trains in processes of their own")
	}
	dir := t.TempDir()
	for _, r := range runs {
		t.Run(fmt.Sprintf("%s %s %d, %d at once", r.Arch, r.Mode, r.Batch, max(r.Together, 1)), func(t *testing.T) {
			if r.Crop == 0 {
				info, _ := models.Lookup(r.Arch)
				r.Crop = info.Crop
			}
			r.Shared = r.Mode == "extract shared"
			r.Weights = filepath.Join(dir, r.Arch)
			r.SHA256 = writeWeights(t, r.Weights, r.Arch, nil)
			raw, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			c := exec.Command(os.Args[0], "-test.run=^TestMemoryOfAProcess$", "-test.v")
			c.Env = append(os.Environ(), "GOGC=", memoryRunVariable+"="+string(raw))
			out, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var told, least, had int64
			_, line, _ := bytes.Cut(out, []byte("memory: "))
			if _, err := fmt.Sscan(string(line), &told, &least, &had); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if float64(told) < 0.9*float64(had) || float64(least) > 1.1*float64(had) {
				t.Errorf("%d MiB told, %d at the least, %d MiB held: %.2f", told>>20, least>>20, had>>20, float64(told)/float64(had))
			}
			if *memoryRuns != "" {
				t.Logf("| %s | %s | %d | %d | %d | %.2f |", r.Arch, r.Mode, r.Batch, told>>20, had>>20, float64(told)/float64(had))
			}
		})
	}
}

// gathering is a sink that has runs wait for each other at the end of their first epoch, where each holds all that it trains
// with: how far one has come when another begins is the machine's to say.
type gathering struct {
	runlog.Sink
	all sync.WaitGroup
}

func (g *gathering) Emit(e runlog.Event) {
	switch e := e.(type) {
	case runlog.EpochDone:
		if e.Metrics.Epoch == 1 {
			g.all.Done()
			g.all.Wait()
		}
	case runlog.RunFailed:
		panic(e.Error) // the others would wait for ever
	}
	g.Sink.Emit(e)
}

// memoryRunHere trains and prints what was told, how much of that is held whenever what happens, and what the process held.
func memoryRunHere(t *testing.T, raw string) {
	var r memoryRun
	if err := json.Unmarshal([]byte(raw), &r); err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	l.dataset(planner.Synthetic{Task: "textures", Classes: 2, Pictures: map[string]int{"train": r.Batch + 2, "val": r.Batch}, Size: 256, Seed: 7})
	together := max(r.Together, 1)
	for i := range together {
		l.run(func(s *planner.Settings) {
			s.Arch, s.BatchSize, s.Image.Resize, s.Image.Crop = r.Arch, r.Batch, r.Crop, r.Crop
			s.Mode, s.Weights = "finetune", planner.Weights{Kind: "file", Path: r.Weights, SHA256: r.SHA256}
			s.Augment, s.Optimizer.LR, s.Epochs = nil, 1e-5, 2
			if r.Mode != "finetune" {
				s.Mode, s.Trainable, s.BatchNorm = "extract", []string{"head"}, "frozen"
			}
			s.Optimizer.LR *= float64(1 + i)
		})
	}
	if r.Shared {
		l.sharing()
	}
	l.opt.Threads, l.opt.Parallelism, l.opt.FeatureMemory = 2, together, 512<<20
	device, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	set, of, sharing := &l.plan.Settings[0], &l.plan.Datasets[l.plan.Runs[0].Dataset], &l.plan.Sharing[0]
	m, err := RunMemory(device, l.opt.Threads/together, set, of, sharing)
	if err != nil {
		t.Fatal(err)
	}
	f, _, err := FeatureMemory(device, l.opt.Threads, set, of, sharing, FeatureLimits{Results: l.opt.FeatureMemory, All: math.MaxInt64})
	if err != nil {
		t.Fatal(err)
	}
	told := BaseMemory + m.Peak()
	least := told
	if together > 1 {
		others := int64(together - 1)
		// The others may train while the last one reads the weights, which are let go then. Whether they come to hold their
		// most at one moment is not said.
		told, least = told+others*m.Train, BaseMemory+m.Train+others*m.Device
		g := &gathering{Sink: l.log}
		g.all.Add(together)
		l.opt.Events = g
	}
	if f > 0 { // computed by the run, before it trains
		told = max(told, BaseMemory+m.Start+m.Weights+f)
		least = told
	}
	l.apply(together, 0, 0, 0)
	fmt.Printf("memory: %d %d %d\n", told, least, resident(t, "VmHWM"))
}

// resident is a line of /proc/self/status, in bytes.
func resident(t *testing.T, name string) int64 {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, line, _ := bytes.Cut(raw, []byte(name+":"))
	var kib int64
	if _, err := fmt.Sscan(string(line), &kib); err != nil {
		t.Skip(err)
	}
	return kib << 10
}
