//go:build gpu

package cuda_test

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
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
    epochs     = 3
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
	other := "cuda:0"
	if fakes != "" { // which have two GPUs
		other = "cuda:1"
	}
	cpu, gpu, again := train(t, "cpu"), train(t, other), train(t, "cuda:0")
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

// train applies the sweep on a device, and returns the epochs by run.
func train(t *testing.T, device string) map[string][]runlog.Epoch {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sweep.hcl"), []byte(sweep), 0o644); err != nil {
		t.Fatal(err)
	}
	child(t, "apply -auto-approve -device "+device+" sweep.hcl", dir, filepath.SplitList(os.Getenv("FTRUN_CUDA_LIBRARIES")), "")
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
