//go:build gpu

package cuda_test

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ftrun/ftrun/internal/runlog"
)

// seeds is a sweep of four runs that differ in their seeds.
const seeds = `
dataset "shapes" {
  kind     = "synthetic"
  task     = "shapes"
  classes  = 2
  pictures = { train = 16, val = 2 }
  size     = 64
}
sweep "seeds" {
  dataset = dataset.shapes
  seeds   = range(4)
  run {
    arch       = "squeezenet1_1"
    mode       = "scratch"
    epochs     = 2
    batch_size = 16
    image { crop = 64 }
    optimizer {
      kind = "sgd"
      lr   = 0.001
    }
  }
}
`

// heads is a sweep of three last layers over one frozen rest, which another run trains.
const heads = `
dataset "shapes" {
  kind     = "synthetic"
  task     = "shapes"
  classes  = 2
  pictures = { train = 16, val = 4 }
  size     = 64
}
sweep "rest" {
  dataset = dataset.shapes
  run {
    arch       = "squeezenet1_1"
    mode       = "scratch"
    epochs     = 1
    batch_size = 8
    image { crop = 64 }
  }
}
sweep "heads" {
  dataset = dataset.shapes
  matrix {
    lr = [0.01, 0.001, 0.0001]
  }
  run {
    arch       = "squeezenet1_1"
    mode       = "extract"
    weights    = sweep.rest.best
    epochs     = 2
    batch_size = 8
    image { crop = 64 }
    optimizer {
      kind = "sgd"
      lr   = matrix.lr
    }
  }
}
`

// sweepFolder is a new folder with a sweep.
func sweepFolder(t *testing.T, sweep string) string {
	t.Helper()
	if fakes == "" {
		t.Skip("only the fakes have the GPUs that this is about")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sweep.hcl"), []byte(sweep), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// statuses are those of the runs in a folder's store.
func statuses(t *testing.T, dir string) (all []runlog.Status) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, ".ftrun/runs/*/status.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		store := runlog.Open(filepath.Join(dir, ".ftrun"))
		s, known, err := store.Run(filepath.Base(filepath.Dir(path))).Status()
		if err != nil || !known {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, s)
	}
	return all
}

// devices are those that finished runs were trained on, with how many each.
func devices(all []runlog.Status) map[string]int {
	n := map[string]int{}
	for _, s := range all {
		if s.State == runlog.Finished {
			n[s.Result.Device]++
		}
	}
	return n
}

// TestSeveralGPUs: an apply trains on all GPUs that can be used, one run on each at a time, with the results that one gives.
func TestSeveralGPUs(t *testing.T) {
	one, all := sweepFolder(t, seeds), sweepFolder(t, seeds)
	child(t, "apply -auto-approve -device cuda:1 sweep.hcl", one, []string{fakes})
	out := child(t, "apply -auto-approve sweep.hcl", all, []string{fakes})
	if !strings.Contains(out, "Training on cuda:0, cuda:1.") {
		t.Errorf("it is not said what is trained on:\n%s", out)
	}
	if got := devices(statuses(t, one)); !maps.Equal(got, map[string]int{"cuda:1": 4}) {
		t.Errorf("on cuda:1 alone: %v", got)
	}
	if got := devices(statuses(t, all)); got["cuda:0"] == 0 || got["cuda:1"] == 0 || got["cuda:0"]+got["cuda:1"] != 4 {
		t.Errorf("on all: %v", got)
	}
	want, got := epochs(t, one), epochs(t, all)
	for run, epochs := range want {
		if len(got[run]) != 2 || got[run][0].TrainLoss != epochs[0].TrainLoss || got[run][0].ValLoss != epochs[0].ValLoss {
			t.Errorf("%s: %+v on all, %+v on one", run, got[run], epochs)
		}
	}

	// What a run takes of a GPU is known, and how long from what others took.
	if out := child(t, "plan -device cuda:1 -replace sweep.seeds sweep.hcl", one, []string{fakes}); !strings.Contains(out, "\nAbout ") {
		t.Errorf("the plan does not tell a time:\n%s", out)
	}
	if out := child(t, "plan -replace sweep.seeds sweep.hcl", one, []string{fakes}); !strings.Contains(out, " of a GPU's, ") {
		t.Errorf("the plan does not tell of a GPU's memory:\n%s", out)
	}
	if out := child(t, "plan -device cpu -replace sweep.seeds sweep.hcl", one, []string{fakes}); strings.Contains(out, "GPU") {
		t.Errorf("the plan for the CPU tells of a GPU:\n%s", out)
	}
}

// TestSeveralGPUsShareFeatures: what a frozen part says is computed on one GPU for the runs of all, and the results are those
// of one GPU. Those of runs that share nothing are near: they compute it with their own batch, by algorithms that are measured.
func TestSeveralGPUsShareFeatures(t *testing.T) {
	shared, one, alone := sweepFolder(t, heads), sweepFolder(t, heads), sweepFolder(t, heads)
	child(t, "apply -auto-approve sweep.hcl", shared, []string{fakes})
	child(t, "apply -auto-approve -device cuda:0 sweep.hcl", one, []string{fakes})
	child(t, "apply -auto-approve -no-share -device cuda:0 sweep.hcl", alone, []string{fakes})
	if got := devices(statuses(t, shared)); got["cuda:0"] == 0 || got["cuda:1"] == 0 || got["cuda:0"]+got["cuda:1"] != 4 {
		t.Errorf("trained on %v", got)
	}
	if files, _ := filepath.Glob(filepath.Join(shared, ".ftrun/features/*")); len(files) == 0 {
		t.Error("no features were kept")
	}
	got := epochs(t, shared)
	for _, other := range []struct {
		what, dir string
		apart     float64
	}{{"one GPU", one, 0}, {"runs that share nothing", alone, 1e-5}} {
		near := func(a, b runlog.Epoch) bool {
			return math.Abs(a.TrainLoss-b.TrainLoss) <= other.apart && math.Abs(a.ValLoss-b.ValLoss) <= other.apart
		}
		for run, want := range epochs(t, other.dir) {
			if !slices.EqualFunc(got[run], want, near) {
				t.Errorf("%s: %+v, of %s %+v", run, got[run], other.what, want)
			}
		}
	}
}

// TestLostGPU: a GPU that is lost fails the run that is on it; the others are trained on those that are left, and the next apply
// trains what is missing.
func TestLostGPU(t *testing.T) {
	dir := sweepFolder(t, seeds)
	out, err := run("apply -auto-approve sweep.hcl", dir, []string{fakes}, "FAKE_LOST_AT=0,100")
	if err == nil || !strings.Contains(out, "exit code 3") {
		t.Errorf("%v, want the exit code of runs that failed\n%s", err, out)
	}
	if !strings.Contains(out, "cuda:1 is lost: this process starts no other run on it; what its runs had saved") ||
		!strings.Contains(out, "LaunchFailed") || !strings.Contains(out, ", after which this process can't use the GPU any more") {
		t.Errorf("what happened is not told:\n%s", out)
	}
	all := statuses(t, dir)
	failed := slices.DeleteFunc(slices.Clone(all), func(s runlog.Status) bool { return s.State != runlog.Failed })
	if got := devices(all); len(failed) != 1 || !maps.Equal(got, map[string]int{"cuda:0": 3}) {
		t.Errorf("%d runs failed, %v finished", len(failed), got)
	}
	child(t, "apply -auto-approve sweep.hcl", dir, []string{fakes})
	if got := devices(statuses(t, dir)); got["cuda:0"]+got["cuda:1"] != 4 {
		t.Errorf("after another apply: %v", got)
	}

	// One that another process takes for itself meanwhile.
	dir = sweepFolder(t, seeds)
	out, err = run("apply -auto-approve sweep.hcl", dir, []string{fakes}, "FAKE_BUSY=0,3")
	if err == nil || !strings.Contains(out, "exit code 3") || !strings.Contains(out, "cuda:1 is lost") {
		t.Errorf("%v, want a run that failed\n%s", err, out)
	}
	if got := devices(statuses(t, dir)); !maps.Equal(got, map[string]int{"cuda:0": 3}) {
		t.Errorf("%v finished beside a GPU that is taken", got)
	}

	// Where none is left, the rest is left for another time.
	dir = sweepFolder(t, seeds)
	out, err = run("apply -auto-approve sweep.hcl", dir, []string{fakes}, "FAKE_LOST_AT=50,100")
	if err == nil || !strings.Contains(out, "exit code 3") || !strings.Contains(out, "there is nothing else to train on") ||
		!strings.Contains(out, "2 runs failed, 2 runs were skipped") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestGPUsThatLackAPrecision: runs go to the GPU that has theirs, the others to any; where none has it nothing is started, and a
// plan warns.
func TestGPUsThatLackAPrecision(t *testing.T) {
	dir := sweepFolder(t, precise)
	out := child(t, "apply -auto-approve sweep.hcl", dir, []string{fakes}, "FAKE_CAPABILITY=75,80")
	for _, p := range []string{"tf32", "bf16"} {
		if want := "runs in " + p + " are trained on cuda:1 only: there is no " + p + " on cuda:0"; !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if got := devices(statuses(t, dir)); got["cuda:0"] > 1 || got["cuda:0"]+got["cuda:1"] != 3 {
		t.Errorf("trained on %v", got)
	}

	dir = sweepFolder(t, precise)
	const old = "FAKE_CAPABILITY=75,75"
	const why = "none of the 2 devices has its precision: cuda:0 (Fake GPU, compute capability 7.5) has no tf32"
	if out := child(t, "plan sweep.hcl", dir, []string{fakes}, old); !strings.Contains(out, "apply would refuse this here: ") || !strings.Contains(out, why) {
		t.Errorf("the plan says\n%s", out)
	}
	out, err := run("apply -auto-approve sweep.hcl", dir, []string{fakes}, old)
	if err == nil || !strings.Contains(out, why) || len(statuses(t, dir)) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestRunsThatDoNotFit: what is estimated not to fit is refused before the start; what does not fit all the same fails, and the
// others go on. Both tell a batch that would.
func TestRunsThatDoNotFit(t *testing.T) {
	dir := sweepFolder(t, seeds)
	out, err := run("apply -auto-approve -device cuda sweep.hcl", dir, []string{fakes}, "FAKE_MEMORY_MIB=310,280")
	if err == nil || !strings.Contains(out, "of a GPU's memory, and of the 310 MiB of cuda:0 there are 54 MiB for runs; 3 other runs do not fit either: a batch_size of 8 would fit, with 51 MiB") {
		t.Errorf("%v\n%s", err, out)
	}
	if all := statuses(t, dir); len(all) > 0 {
		t.Errorf("%d runs were begun", len(all))
	}

	out, err = run("apply -auto-approve sweep.hcl", dir, []string{fakes}, "FAKE_TORN_MIB=0,4056")
	if err == nil || !strings.Contains(out, "exit code 3") ||
		!strings.Contains(out, "it was estimated to hold ") || !strings.Contains(out, "a batch_size of ") {
		t.Errorf("%v\n%s", err, out)
	}
	if got := devices(statuses(t, dir)); got["cuda:0"] == 0 || got["cuda:1"] > 0 {
		t.Errorf("finished: %v", got)
	}
}

// TestAuto: -device auto takes what can be used, and tells why it passes a GPU by. Without any it is the CPU, without a word
// where there is none to be used.
func TestAuto(t *testing.T) {
	if fakes == "" {
		t.Skip("only the fakes have the GPUs that this is about")
	}
	const cpu = `"device":"cpu"`
	for _, test := range []struct{ name, flag, env, device, told string }{
		{"the first", "auto", "", `"device":"cuda:0"`, ""},
		{"one that another process has", "auto", "FAKE_BUSY=1,0", `"device":"cuda:1"`, "cuda:0 is not used: opening cuda:0 (Fake GPU): "},
		{"one that is too old", "cuda", "FAKE_CAPABILITY=61,75", `"device":"cuda:1"`, "its compute capability is 6.1; 7.5 or newer is needed"},
		{"none left", "auto", "FAKE_BUSY=1,1", cpu, "no GPU can be used; the CPU is used"},
		{"a library is missing", "auto", "FAKE_CUDNN_VERSION=8902", cpu, "there is a GPU, but cuDNN has version 8.9.2; install version 9; the CPU is used"},
		{"no GPU", "auto", "FAKE_NO_GPU=1", cpu, ""},
		{"hidden", "auto", "CUDA_VISIBLE_DEVICES=", cpu, ""},
		{"the CPU", "cpu", "", cpu, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := child(t, "bench -arch squeezenet1_1 -mode infer -batch 1 -steps 1 -format json -device "+test.flag, t.TempDir(), []string{fakes}, test.env)
			if !strings.Contains(out, test.device) || !strings.Contains(out, test.told) {
				t.Errorf("%s\nwant %s and %q", out, test.device, test.told)
			}
			if test.told == "" && strings.Contains(out, "Warning") {
				t.Errorf("a warning:\n%s", out)
			}
		})
	}
	for flag, want := range map[string]string{
		"cuda:0,cuda:0": "-device names cuda:0 twice",
		"cuda:0,cuda:5": `there is no device "cuda:5" here`,
		"cuda:0,cpu":    `there is no device "cuda:0,cpu" here`,
		"gpu":           `there is no device "gpu" here`,
	} {
		out, err := run("apply -auto-approve -device "+flag+" sweep.hcl", sweepFolder(t, seeds), []string{fakes})
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v\n%s\nwant %s", flag, err, out, want)
		}
	}
}
