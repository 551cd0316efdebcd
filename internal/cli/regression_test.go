package cli

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
)

// A change that makes models worse is told from one that does not, on generated pictures: a whole network that is trained a
// little, and heads over what a first one has learnt, which are cheap enough for many seeds. The last epoch is compared,
// since the best hides what a wrong label does.
func TestWhatMakesModelsWorseIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir := t.TempDir()
	t.Chdir(dir)
	drawHues(t, "right", false)
	drawHues(t, "swapped", true)
	writeFile(t, "sweep.hcl", heads)
	run := func(t *testing.T, want int, args ...string) string {
		t.Helper()
		a, out, errs := newApp(args...)
		if got := a.run(t.Context()); got != want {
			t.Fatalf("%q: exit code %d, want %d\n%s%s", args, got, want, out, errs)
		}
		return out.String()
	}
	run(t, exitOK, "apply", "-auto-approve", "sweep.hcl")
	run(t, exitOK, "baseline", "set")
	for _, test := range []struct {
		name  string
		args  []string
		code  int
		wants string
	}{
		{"nothing", nil, exitOK, "the same runs on both sides"},
		{"another learning rate", []string{"-var", "faster=100"}, exitRegression, "optimizer.lr: 0.0003 → 0.03"},
		{"swapped labels", []string{"-var", "pictures=swapped"}, exitRegression, "its validation pictures are"},
		{"other seeds", []string{"-var", "first=16"}, exitOK, "are not paired"},
		{"other seeds again", []string{"-var", "first=32"}, exitOK, "are not paired"},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, exitOK, append([]string{"apply", "-auto-approve", "sweep.hcl"}, test.args...)...)
			text := run(t, test.code, "compare", "-metric", "last_val_acc", "-max-drop", "0.002")
			if !strings.Contains(strings.Join(strings.Fields(text), " "), test.wants) {
				t.Errorf("it does not say %q:\n%s", test.wants, text)
			}
			if said := strings.Contains(text, " worse"); said != (test.code == exitRegression) {
				t.Errorf("that it is worse is said: %v\n%s", said, text)
			}
		})
	}
}

const heads = `
variable "faster" {
  type    = number
  default = 1
}
variable "first" {
  type    = number
  default = 0
}
variable "pictures" {
  type    = string
  default = "right"
}
dataset "first" {
  kind = "imagefolder"
  path = "right"
}
dataset "hues" {
  kind = "imagefolder"
  path = var.pictures
}
sweep "pretrain" {
  dataset = dataset.first
  run {
    arch       = "mobilenet_v2"
    mode       = "scratch"
    epochs     = 6
    batch_size = 16
    image {
      resize = 32
      crop   = 32
    }
    optimizer {
      kind = "adam"
      lr   = 0.002
    }
    schedule { kind = "onecycle" }
  }
}
sweep "whole" {
  dataset = dataset.first
  seeds   = range(6)
  run {
    arch       = "mobilenet_v2"
    mode       = "finetune"
    weights    = sweep.pretrain.best
    epochs     = 2
    batch_size = 16
    image {
      resize = 32
      crop   = 32
    }
    optimizer {
      kind = "adam"
      lr   = 0.0003 * var.faster
    }
  }
}
sweep "heads" {
  dataset = dataset.hues
  seeds   = range(var.first, var.first + 16)
  run {
    arch       = "mobilenet_v2"
    mode       = "extract"
    weights    = sweep.pretrain.best
    epochs     = 40
    batch_size = 16
    image {
      resize = 32
      crop   = 32
    }
    optimizer {
      kind = "sgd"
      lr   = 0.01 * var.faster
    }
  }
}
`

// drawHues makes a data set of noisy pictures in four hues that overlap; swapped gives every tenth training picture the
// label of another class.
func drawHues(t *testing.T, dir string, swapped bool) {
	t.Helper()
	for split, n := range map[string]int{"train": 200, "val": 600} {
		random := rand.New(rand.NewPCG(uint64(n), 1))
		for i := range n {
			class := i % 4
			angle := (float64(class) + 0.3*random.NormFloat64()) * math.Pi / 2
			img := image.NewRGBA(image.Rect(0, 0, 32, 32))
			for k := 0; k < len(img.Pix); k += 4 {
				for c := range 3 {
					v := 128 + 100*math.Cos(angle-float64(c)*2*math.Pi/3) + 30*random.NormFloat64()
					img.Pix[k+c] = uint8(min(max(v, 0), 255))
				}
				img.Pix[k+3] = 255
			}
			if swapped && split == "train" && i/4%10 == 0 {
				class = (class + 1) % 4
			}
			var b bytes.Buffer
			if err := png.Encode(&b, img); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, split, fmt.Sprint("hue", class), fmt.Sprintf("%04d.png", i)), b.String())
		}
	}
}
