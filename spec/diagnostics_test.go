package spec

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file of testdata/golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/golden/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

const typo = `dataset "d" { kind = "synthetic" }

sweep "tutorial" {
  dataset = dataset.d
  matrix {
    arch = ["resnet18"]
    rate = [0.1, 0]
  }
  run {
    arch   = matrix.arch
    mode   = "finetune"
	epcohs = 10
    optimizer {
      kind = "sgd"
      lr   = matrix.rate * 2
    }
  }
}
`

// TestText shows what a person reads for a slip in a name and, that mended, for a value of one combination, in 80
// columns.
func TestText(t *testing.T) {
	var b strings.Builder
	for _, src := range []string{typo, strings.Replace(typo, "epcohs", "epochs", 1)} {
		s, diags := LoadSources(map[string][]byte{"sweep.hcl": []byte(src)}, Options{})
		diags = append(diags, expand(s, diags)...)
		b.WriteString(text(t, s, diags))
		b.WriteString("----\n")
	}
	golden(t, "typo.txt", b.String())
}

func TestTextColor(t *testing.T) {
	s, diags := LoadSources(map[string][]byte{"sweep.hcl": []byte(typo)}, Options{})
	var b strings.Builder
	if err := WriteText(&b, diags, s.Files(), 80, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\x1b[1;31mError:\x1b[0m") {
		t.Errorf("no red Error in %q", b.String())
	}
}

func TestJSON(t *testing.T) {
	s, diags := LoadSources(map[string][]byte{"sweep.hcl": []byte(strings.Replace(typo, "epcohs", "epochs", 1))}, Options{})
	diags = append(diags, expand(s, diags)...)
	var b bytes.Buffer
	if err := WriteJSON(&b, diags, s.Files()); err != nil {
		t.Fatal(err)
	}
	golden(t, "typo.json", b.String())
	var back struct{ Diagnostics []DiagnosticJSON }
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	d := back.Diagnostics[0]
	if got := d.Snippet.Code[d.Snippet.MarkStart:d.Snippet.MarkEnd]; got != "matrix.rate * 2" {
		t.Errorf("the mark is at %q", got)
	}
}

// TestTextWithoutPlace: a diagnostic without a file, or of a file that is not known, has its text.
func TestTextWithoutPlace(t *testing.T) {
	var b strings.Builder
	diags := Diagnostics{
		{Severity: hcl.DiagWarning, Summary: "One", Detail: "No place."},
		errorAt(hcl.Range{Filename: "gone.hcl", Start: hcl.Pos{Line: 3}}, "Two", "No file."),
	}
	if err := WriteText(&b, diags, nil, 80, false); err != nil {
		t.Fatal(err)
	}
	want := "Warning: One\n\n  No place.\n\nError: Two\n\n  on gone.hcl line 3\n\n  No file.\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLongLine: a line wider than the screen is cut round its mark.
func TestLongLine(t *testing.T) {
	src := "locals {\n  a = \"" + strings.Repeat("ä", 200) + "\" + nothing.x + \"" + strings.Repeat("ö", 200) + "\"\n}\n"
	s, diags := LoadSources(map[string][]byte{"main.hcl": []byte(src)}, Options{})
	for _, line := range strings.Split(text(t, s, diags), "\n") {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if out := text(t, s, diags); !strings.Contains(out, "nothing.x") {
		t.Errorf("the mark is cut off:\n%s", out)
	}
}

func TestNearest(t *testing.T) {
	archs := []string{"resnet18", "resnet34", "alexnet", "vgg11_bn", "mobilenet_v2", "inception_v3", "val", "p", "lr"}
	for _, test := range []struct{ name, want string }{
		{"resnet81", "resnet18"},
		{"ResNet18", "resnet18"},
		{"alexnt", "alexnet"},
		{"vgg11bn", "vgg11_bn"},
		{"mobilenet", "mobilenet_v2"},
		{"vla", "val"},
		{"q", ""},
		{"transformer", ""},
		{"", ""},
		{strings.Repeat("x", 10000), ""},
	} {
		if got := Nearest(test.name, archs); got != test.want {
			t.Errorf("Nearest(%.20q) = %q, want %q", test.name, got, test.want)
		}
	}
}

func TestDistinct(t *testing.T) {
	rng := hcl.Range{Filename: "a.hcl"}
	diags := Diagnostics{errorAt(rng, "A", "x"), errorAt(rng, "A", "y"), errorAt(rng, "A", "x")}
	if got := len(Distinct(diags)); got != 2 {
		t.Errorf("%d diagnostics, want 2", got)
	}
}

func TestFormat(t *testing.T) {
	got, diags := Format([]byte("sweep \"s\" {\nseeds=range( 6 )\n      dataset   = dataset.d # why\n}\n"), "main.hcl")
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	want := "sweep \"s\" {\n  seeds   = range(6)\n  dataset = dataset.d # why\n}\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, diags := Format([]byte("sweep {"), "main.hcl"); !diags.HasErrors() {
		t.Error("a file that does not parse was formatted")
	}
}
