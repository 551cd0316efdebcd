//go:build gpu

package cuda_test

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ftrun/ftrun/internal/runlog"
)

// sweep trains two networks from scratch, and then the last layer of one over its frozen rest.
const sweep = `
dataset "shapes" {
  kind     = "synthetic"
  task     = "shapes"
  classes  = 2
  pictures = { train = 10, val = 4 }
  size     = 64
}
sweep "plain" {
  dataset = dataset.shapes
  run {
    arch       = "squeezenet1_1"
    mode       = "scratch"
    epochs     = 1
    batch_size = 4
    image { crop = 64 }
    optimizer {
      kind     = "sgd"
      lr       = 0.001
      momentum = 0.9
    }
  }
}
sweep "residual" {
  dataset = dataset.shapes
  run {
    arch       = "resnet18"
    mode       = "scratch"
    epochs     = 1
    batch_size = 4
    image { crop = 64 }
    optimizer {
      kind         = "adamw"
      lr           = 0.0001
      weight_decay = 0.01
    }
  }
}
sweep "last_layer" {
  dataset = dataset.shapes
  run {
    arch       = "resnet18"
    mode       = "extract"
    weights    = sweep.residual.best
    batch_size = 4
    epochs     = 2
    image { crop = 64 }
  }
}
`

// TestTraining trains the same sweep on the CPU and on a GPU, by the command that a person gives, and compares what
// was logged. Batch norm over a batch of 2, the last, makes much of a rounding: the losses of the CPU's own instruction
// paths are 2e-4 apart here.
func TestTraining(t *testing.T) {
	// As on a machine that people use, what is measured once is known to all that follows.
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	other := "cuda:0"
	if fakes != "" { // which have two GPUs
		other = "cuda:1"
	}
	cpu, gpu, again := train(t, "cpu", sweep), train(t, other, sweep), train(t, "cuda:0", sweep)
	furthest := 0.0
	if len(cpu) != 3 || len(gpu) != 3 {
		t.Fatalf("%d runs on the CPU, %d on the GPU", len(cpu), len(gpu))
	}
	for run, want := range cpu {
		got := gpu[run]
		if len(got) != len(want) {
			t.Errorf("%s: %d epochs on the GPU, %d on the CPU", run, len(got), len(want))
			continue
		}
		for i := range want {
			if other := again[run]; len(other) != len(got) || other[i].TrainLoss != got[i].TrainLoss || other[i].ValLoss != got[i].ValLoss {
				t.Errorf("%s: epoch %d has other bits when it is trained again", run, i+1)
			}
			for _, v := range []struct {
				name string
				w, g float64
			}{{"training", want[i].TrainLoss, got[i].TrainLoss}, {"validation", want[i].ValLoss, got[i].ValLoss}} {
				furthest = max(furthest, math.Abs(v.g-v.w))
				if math.IsNaN(v.g) || math.Abs(v.g-v.w) > 1e-3 {
					t.Errorf("%s: %s loss of epoch %d is %v on the GPU, %v on the CPU", run, v.name, i+1, v.g, v.w)
				}
			}
		}
	}
	t.Logf("losses are at most %.2g apart", furthest)
}

// precise trains a network in the precisions that only a GPU has.
const precise = `
dataset "shapes" {
  kind     = "synthetic"
  task     = "shapes"
  classes  = 2
  pictures = { train = 10, val = 4 }
  size     = 64
}
sweep "coarse" {
  dataset = dataset.shapes
  matrix {
    precision = ["fp32", "tf32", "bf16"]
  }
  run {
    arch       = "squeezenet1_1"
    mode       = "scratch"
    epochs     = 1
    batch_size = 4
    precision  = matrix.precision
    image { crop = 64 }
  }
}
`

// TestTrainingInEachPrecision trains the same network in each precision by the command: losses are near each other and none
// is another's, so each run has what it asks for; and what was chosen is kept for the next apply.
func TestTrainingInEachPrecision(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	losses := map[float64]string{}
	var first float64
	runs := train(t, "cuda:0", precise)
	if len(runs) != 3 {
		t.Fatalf("%d runs, want 3", len(runs))
	}
	for run, epochs := range runs {
		loss := epochs[len(epochs)-1].TrainLoss
		if first == 0 {
			first = loss
		}
		if math.IsNaN(loss) || math.Abs(loss-first) > 5e-2 {
			t.Errorf("%s: training loss %v, another's is %v", run, loss, first)
		}
		if losses[loss] != "" {
			t.Errorf("%s and %s have the same training loss, %v", run, losses[loss], loss)
		}
		losses[loss] = run
	}
	kept, err := os.ReadFile(filepath.Join(cache, "ftrun", "algorithms.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"convolution, `, `, batch 4, fp32"`, `, batch 4, tf32"`, `, batch 4, bf16"`} {
		if fakes != "" && !strings.Contains(string(kept), want) {
			t.Errorf("algorithms.json has no %s", want)
		}
	}
}

// train applies a sweep on a device, and returns the epochs by run.
func train(t *testing.T, device, sweep string) map[string][]runlog.Epoch {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sweep.hcl"), []byte(sweep), 0o644); err != nil {
		t.Fatal(err)
	}
	child(t, "apply -auto-approve -device "+device+" sweep.hcl", dir, filepath.SplitList(os.Getenv("FTRUN_CUDA_LIBRARIES")),
		"XDG_CACHE_HOME="+os.Getenv("XDG_CACHE_HOME"))
	return epochs(t, dir)
}

// epochs are those that the runs in a folder's store have left, by run.
func epochs(t *testing.T, dir string) map[string][]runlog.Epoch {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, ".ftrun/runs/*/metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	runs := map[string][]runlog.Epoch{}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for dec := json.NewDecoder(f); ; {
			var e runlog.Epoch
			if err := dec.Decode(&e); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			run := filepath.Base(filepath.Dir(path))
			runs[run] = append(runs[run], e)
		}
	}
	return runs
}
