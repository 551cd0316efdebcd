package planner

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// tour has every setting of the language.
const tour = `
variable "n" {
  type    = number
  default = 3
}
sweep "pre" {
  dataset = dataset.ants
  seeds   = range(2)
  run {
    arch = "resnet18"
    mode = "scratch"
  }
}
sweep "s" {
  dataset = dataset.ants
  seeds   = [0, 7]
  matrix {
    kind = [{ name = "sgd" }, { name = "adamw" }]
  }
  run {
    arch            = "resnet18"
    mode            = "finetune"
    weights         = sweep.pre.best
    trainable       = ["head", "layer4.**"]
    epochs          = var.n
    label_smoothing = 0.1
    class_weights   = "balanced"
    grad_clip       = 1
    augment {
      ops       = ["random_resized_crop", { kind = "color_jitter", hue = 0.1 }]
      views     = 3
      view_seed = 9
    }
    optimizer {
      kind = matrix.kind.name
      lr   = 0.1
    }
    param_group "layer4.**" {
      lr           = 0.01
      weight_decay = 0.5
    }
    schedule {
      kind      = "step"
      step_size = 1
      warmup    = 1
    }
    early_stop {
      monitor   = "val_loss"
      patience  = 2
      min_delta = 0.5
    }
  }
}
sweep "twice" {
  dataset = dataset.ants
  matrix { unused = [1, 2] }
  run {
    arch    = "resnet18"
    mode    = "finetune"
    weights = "a/file.pth"
  }
}
gate "worse" {
  sweep    = sweep.s
  baseline = "baseline.json"
  max_drop = 0.01
  relative = true
  when     = matrix.kind.name == "sgd"
}
gate "floor" {
  sweep = sweep.s
  min   = 0.5
}
`

func saved(tb testing.TB, p *Plan) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), ".ftrun", "plan.json")
	if err := Save(path, p); err != nil {
		tb.Fatal(err)
	}
	return path
}

func TestSaveAndLoad(t *testing.T) {
	p := plan(t, newFakeWorld(), tour, Options{Target: "tour.hcl"})
	if len(p.Warnings) != 2 || len(p.Runs) != 7 {
		t.Fatalf("the test's plan has %d runs and warnings %q", len(p.Runs), p.Warnings)
	}
	path := saved(t, p)
	back, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, back); diff != "" {
		t.Errorf("a plan doesn't survive saving (-saved +loaded):\n%s", diff)
	}
	if err := Save(path, back); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("saving twice leaves %v, %v", entries, err)
	}
}

func TestSaveKeepsTheOldPlanWhereItFails(t *testing.T) {
	p := plan(t, newFakeWorld(), sweepOf("arch = \"alexnet\"\n mode = \"scratch\""), Options{})
	path := saved(t, p)
	broken := *p
	broken.Variables = map[string]json.RawMessage{"x": json.RawMessage("{")}
	if err := Save(path, &broken); err == nil {
		t.Fatal("broken JSON was saved")
	}
	if _, err := Load(path); err != nil {
		t.Errorf("the plan before is gone: %v", err)
	}
}

// A plan of the format before is one in which nothing says how runs are started.
func TestLoadReadsFormat1(t *testing.T) {
	p := plan(t, newFakeWorld(), chain, Options{})
	want := *p
	p.Format = 1
	got, err := Load(saved(t, p))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("it is another plan (-want +got):\n%s", diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	p := plan(t, newFakeWorld(), chain, Options{})
	var b bytes.Buffer
	if err := WriteJSON(&b, p); err != nil {
		t.Fatal(err)
	}
	good := b.String()
	for _, test := range []struct{ name, old, new, want string }{
		{"half a file", good[len(good)/2:], "", "damaged"},
		{"nothing", good, "", "damaged"},
		{"something else", good, `{"a":1}`, "is no saved plan"},
		{"a later format", `"format":2`, `"format":3`, "it has format 3, by ftrun 0.1.0, and this ftrun reads formats 1 to 2"},
		{"no format", `"format":2`, `"format":0`, "it has format 0, by ftrun 0.1.0, and this ftrun reads formats 1 to 2"},
		{"a setting edited", `"lr":0.1`, `"lr":0.2`, "is not that of its settings"},
		{"a seed edited", `"seed":1`, `"seed":2`, "is not that of its settings"},
		{"a wrong index", `"settings":1`, `"settings":99`, "that it doesn't hold"},
		{"a negative index", `"configuration":1`, `"configuration":-1`, "that it doesn't hold"},
		{"an unknown action", `"action":"create"`, `"action":"destroy"`, "unknown action"},
		{"a run that waits for what is no id", `"needs":["`, `"needs":["x`, "which is no id"},
		{"a launch that isn't there", `"launch":0`, `"launch":1`, "refers to a launch that it doesn't hold"},
		{"a data set without pictures", `"train":244`, `"train":0`, "lacks classes or pictures"},
		{"a wrong type", `"epochs":15`, `"epochs":"15"`, "damaged"},
		{"a label edited", `"sweep":"`, `"sweep":"x`, "its checksum does not fit its content"},
		{"a start from no run", `"seed":0`, `"seed":0,"from":"../x"`, "is no id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(good, test.old) {
				t.Fatalf("the plan has no %s to replace", test.old)
			}
			path := filepath.Join(t.TempDir(), "plan.json")
			if err := os.WriteFile(path, []byte(strings.Replace(good, test.old, test.new, 1)), 0o666); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "`ftrun plan`") {
				t.Errorf("got %v; want %q and what to do", err, test.want)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.json")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "ftrun plan") {
		t.Errorf("no file: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	for _, src := range []string{chain, tour, withLauncher("launcher = launcher.slurm.cluster"), sweepOf("arch = \"alexnet\"\n mode = \"scratch\"")} {
		var b bytes.Buffer
		if err := WriteJSON(&b, plan(f, newFakeWorld(), src, Options{})); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
		f.Add(b.Bytes()[:b.Len()/2])
		f.Add(bytes.ReplaceAll(b.Bytes(), []byte("224"), []byte("-1")))
	}
	f.Add([]byte(`{"format":1,"runs":[{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := parse(raw)
		if err != nil {
			return
		}
		// Whatever is let through can be worked with.
		p.Summarize()
		Graph(p)
		for i := range p.Runs {
			p.Name(&p.Runs[i])
			p.Describe(&p.Runs[i])
			_ = p.LaunchOf(&p.Runs[i]).String()
		}
		_, _ = p.Launcher() // which may be several
		p.Only(func(r *Run) bool { return r.Seed == 0 })
		for i := range p.Gates {
			for _, c := range p.Judged(&p.Gates[i]) {
				p.Configs[c].Name()
			}
		}
		if err := Refresh(p, fakeStore{}, nil); err != nil {
			t.Error(err)
		}
		if err := WriteJSON(&bytes.Buffer{}, p); err != nil {
			t.Error(err)
		}
	})
}

// The document of the plan's JSON names every field.
func TestDocumentNamesEveryField(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "docs", "plan-json.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)`").FindAllStringSubmatch(string(raw), -1) {
		documented[m[1]] = true
	}
	used := map[string]bool{"summary": true, "checksum": true}
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(ty reflect.Type) {
		switch ty.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			walk(ty.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[ty] {
			return
		}
		seen[ty] = true
		for i := range ty.NumField() {
			name, _, _ := strings.Cut(ty.Field(i).Tag.Get("json"), ",")
			used[name] = true
			if !documented[name] {
				t.Errorf("docs/plan-json.md has no row for %q, a field of %s", name, ty)
			}
			walk(ty.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[Plan]())
	walk(reflect.TypeFor[Summary]())
	for name := range documented {
		if !used[name] {
			t.Errorf("docs/plan-json.md has a row for %q, which no type has", name)
		}
	}
}

func TestAnyChangedByteOfAPlanIsFound(t *testing.T) {
	path := saved(t, plan(t, newFakeWorld(), tour, Options{Target: "tour.hcl"}))
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(raw); i += 37 {
		raw[i] ^= 1 << (i % 8)
		if err := os.WriteFile(path, raw, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil {
			t.Errorf("bit %d of byte %d: it was read", i%8, i)
		}
		raw[i] ^= 1 << (i % 8)
	}
}
