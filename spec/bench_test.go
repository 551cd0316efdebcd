package spec

import (
	"fmt"
	"strings"
	"testing"
)

// bigSweep is a sweep of 10 × 3 × 3334 combinations, 100,020 in all, with settings of every form that depends on them.
func bigSweep() string {
	return `
dataset "d" { kind = "synthetic" }
variable "epochs" { default = 15 }
sweep "big" {
  dataset = dataset.d
  matrix {
    arch = ["resnet18", "resnet34", "alexnet", "vgg11_bn", "squeezenet1_0", "densenet121", "inception_v3", "a", "b", "c"]
    mode = ["finetune", "extract", "scratch"]
    lr   = [` + rates(3334) + `]
  }
  exclude { when = matrix.mode == "scratch" && matrix.arch == "inception_v4" }
  run {
    arch       = matrix.arch
    mode       = matrix.mode
    epochs     = matrix.mode == "scratch" ? 2 * var.epochs : var.epochs
    batch_size = 8
    augment { ops = ["random_resized_crop", "hflip"] }
    optimizer {
      kind     = "sgd"
      lr       = matrix.lr
      momentum = 0.9
    }
    schedule {
      kind      = "step"
      step_size = 7
    }
  }
}
`
}

func rates(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%g, ", float64(i+1)*1e-5)
	}
	return b.String()
}

func BenchmarkExpand100k(b *testing.B) {
	s := load(b, bigSweep())
	sw := s.Sweeps[0]
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for c, diags := range sw.Combinations() {
			if len(diags) > 0 {
				b.Fatal(diags)
			}
			if _, diags := sw.Run(c, 0); len(diags) > 0 {
				b.Fatal(diags)
			}
			n++
		}
		if n != 100020 {
			b.Fatalf("%d combinations", n)
		}
	}
}

func BenchmarkLoadTutorial(b *testing.B) {
	for b.Loop() {
		if _, diags := Load("testdata/valid/tutorial.hcl", Options{}); len(diags) > 0 {
			b.Fatal(diags)
		}
	}
}
