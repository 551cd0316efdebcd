package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// A diff as JSON is read strictly by the schema of docs/cli.md, and counts as the text does.
func TestDiffAsJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	before := `dataset "d" {
  kind     = "synthetic"
  classes  = 2
  pictures = { train = 8, val = 4 }
}
sweep "s" {
  dataset = dataset.d
  seeds   = range(2)
  matrix {
    rate = [0.1, 0.2]
  }
  run {
    arch   = "alexnet"
    mode   = "scratch"
    epochs = 2
    optimizer {
      kind = "sgd"
      lr   = matrix.rate
    }
  }
}
`
	after := strings.NewReplacer(`sweep "s"`, `sweep "t"`, "[0.1, 0.2]", "[0.1, 0.3]").Replace(before)
	changed := strings.Replace(before, "epochs = 2", "epochs = matrix.rate == 0.1 ? 3 : 2", 1)
	for name, text := range map[string]string{"before.hcl": before, "after.hcl": after, "changed.hcl": changed} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	type run struct {
		ID, Sweep string
		Labels    map[string]float64
		Seed      int64
	}
	type diff struct {
		Before, After, Same int
		Changed             []struct {
			run
			Was      string
			Longer   bool
			Settings []struct {
				Setting       string
				Before, After any
			}
		}
		Renamed        []struct{ Before, After run }
		Added, Removed []run
	}
	read := func(b string) diff {
		a, out, errs := newApp("diff", "-format", "json", "before.hcl", b)
		if code := a.run(context.Background()); code != exitOK {
			t.Fatalf("exit code %d: %s", code, errs)
		}
		dec := json.NewDecoder(bytes.NewReader(out.Bytes()))
		dec.DisallowUnknownFields()
		var d diff
		if err := dec.Decode(&d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := read("after.hcl")
	if d.Before != 4 || d.After != 4 || d.Same != 0 || len(d.Changed) != 0 || len(d.Renamed) != 2 || len(d.Added) != 2 || len(d.Removed) != 2 {
		t.Fatalf("another name: %+v", d)
	}
	if r := d.Renamed[1]; r.Before.ID != r.After.ID || r.Before.Sweep != "s" || r.After.Sweep != "t" || r.After.Seed != 1 || r.After.Labels["rate"] != 0.1 {
		t.Errorf("renamed: %+v", r)
	}
	if r := d.Added[0]; r.Sweep != "t" || r.Labels["rate"] != 0.3 || len(r.ID) != 16 {
		t.Errorf("added: %+v", r)
	}
	d = read("changed.hcl")
	if d.Same != 2 || len(d.Changed) != 2 {
		t.Fatalf("changed: %+v", d)
	}
	c := d.Changed[0]
	if c.ID == c.Was || !c.Longer || len(c.Settings) != 1 || c.Settings[0].Setting != "epochs" || c.Settings[0].Before != 2.0 || c.Settings[0].After != 3.0 {
		t.Errorf("changed: %+v", c)
	}
}
