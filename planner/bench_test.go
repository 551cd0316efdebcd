package planner

import (
	"context"
	"path/filepath"
	"testing"
)

// 100,000 runs, planned and saved: the promise is two seconds.
func BenchmarkPlan100k(b *testing.B) {
	for _, bench := range []struct{ name, src string }{
		{"10k settings", `sweep "s" {
  dataset = dataset.ants
  seeds   = range(10)
  matrix {
    lr = range(1, 101)
    wd = range(100)
  }
  run {
    arch = "resnet18"
    mode = "finetune"
    optimizer {
      kind         = "sgd"
      lr           = matrix.lr / 1000
      weight_decay = matrix.wd / 100000
    }
  }
}`},
		{"10k settings, launchers", `launcher "slurm" "cluster" { gpus = matrix.lr > 50 ? 2 : 1 }
sweep "s" {
  dataset  = dataset.ants
  launcher = launcher.slurm.cluster
  seeds    = range(10)
  matrix {
    lr = range(1, 101)
    wd = range(100)
  }
  run {
    arch = "resnet18"
    mode = "finetune"
    optimizer {
      kind         = "sgd"
      lr           = matrix.lr / 1000
      weight_decay = matrix.wd / 100000
    }
  }
}`},
		{"100k settings", `sweep "s" {
  dataset = dataset.ants
  matrix {
    lr   = range(1, 101)
    wd   = range(100)
    arch = ["resnet18", "resnet34"]
    mode = ["finetune", "extract", "scratch", "finetune2", "finetune3"]
  }
  run {
    arch   = matrix.arch
    mode   = startswith(matrix.mode, "finetune") ? "finetune" : matrix.mode
    epochs = matrix.mode == "finetune2" ? 20 : matrix.mode == "finetune3" ? 30 : 15
    augment {
      ops = ["random_resized_crop", "hflip"]
    }
    optimizer {
      kind         = "sgd"
      lr           = matrix.lr / 1000
      weight_decay = matrix.wd / 100000
    }
  }
}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "plan.json")
			for b.Loop() {
				p, diags := Make(context.Background(), load(b, bench.src), newFakeWorld().World, Options{})
				if diags.HasErrors() {
					b.Fatal(texts(diags))
				}
				if len(p.Runs) != 100_000 {
					b.Fatalf("%d runs", len(p.Runs))
				}
				if err := Save(path, p); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bench.name+", load", func(b *testing.B) {
			p, _ := Make(context.Background(), load(b, bench.src), newFakeWorld().World, Options{})
			path := filepath.Join(b.TempDir(), "plan.json")
			if err := Save(path, p); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := Load(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A million runs with estimates, planned and saved: the promise is twenty seconds.
func BenchmarkPlanMillion(b *testing.B) {
	s := load(b, `sweep "s" {
  dataset = dataset.ants
  seeds   = range(10)
  matrix {
    lr = range(1, 1001)
    wd = range(100)
  }
  run {
    arch = "resnet18"
    mode = "extract"
    optimizer {
      kind         = "sgd"
      lr           = matrix.lr / 1000
      weight_decay = matrix.wd / 100000
    }
  }
}`)
	w := newFakeWorld()
	w.Costs = &fakeCosts{}
	path := filepath.Join(b.TempDir(), "plan.json")
	for b.Loop() {
		p, diags := Make(context.Background(), s, w.World, Options{MaxRuns: 1_000_000})
		if diags.HasErrors() {
			b.Fatal(texts(diags))
		}
		if err := Save(path, p); err != nil {
			b.Fatal(err)
		}
	}
}
