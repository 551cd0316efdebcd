package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
)

func TestModule(t *testing.T) {
	s, diags := Load("testdata/valid/module", Options{Environ: func() []string { return []string{"FTRUN_VAR_from_environment=2"} }})
	if len(diags) > 0 {
		t.Fatalf("unexpected diagnostics:\n%s", text(t, s, diags))
	}
	var sources []string
	for _, src := range s.Sources {
		sources = append(sources, strings.TrimPrefix(filepath.ToSlash(src.Path), "testdata/valid/module/"))
		if len(src.SHA256) != 64 {
			t.Errorf("%s has the hash %q", src.Path, src.SHA256)
		}
	}
	if diff := cmp.Diff([]string{"data.hcl", "main.hcl", "a.auto.ftvars", "b.auto.ftvars", "archs.txt"}, sources); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if len(s.Datasets) != 1 || s.Datasets[0].Fractions["val"] != 0.25 || s.Datasets[0].Path != "testdata/valid/module/flowers" {
		t.Errorf("data sets are %+v", s.Datasets)
	}
	all := combinations(t, s, s.Sweeps[0])
	r, diags := s.Sweeps[0].Run(all[1], 0)
	if len(diags) > 0 || r.Arch != "alexnet" || *r.Epochs != 6 {
		t.Errorf("run is %+v, %v", r, diags)
	}
}

// TestWorkingDirectory: paths are given relative to Options.Dir, wherever the process is.
func TestWorkingDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sub", "a.hcl"), []byte("dataset \"d\" {\n  kind = \"imagefolder\"\n  path = \"../x\"\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"sub/a.hcl", "./sub/../sub/a.hcl", filepath.Join(dir, "sub", "a.hcl"), "sub"} {
		s, diags := Load(target, Options{Dir: dir})
		if len(diags) > 0 {
			t.Fatalf("unexpected diagnostics:\n%s", text(t, s, diags))
		}
		if got := s.Datasets[0].Path; got != "x" {
			t.Errorf("%s: the data set is at %q, want x", target, got)
		}
		if got := s.Sources[0].Path; got != "sub/a.hcl" {
			t.Errorf("%s: the source is %q", target, got)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	empty := t.TempDir()
	big := filepath.Join(t.TempDir(), "big.hcl")
	if err := os.WriteFile(big, make([]byte, maxFileSize+1), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, target, want string }{
		{"missing", "testdata/none.hcl", "cannot be read: no such file"},
		{"directory without files", empty, "holds no file that ends in .hcl"},
		{"too large", big, "bigger than 1 MiB"},
		{"empty path", "", "The path is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, diags := Load(test.target, Options{})
			if out := text(t, s, diags); !strings.Contains(strings.Join(strings.Fields(out), " "), test.want) {
				t.Errorf("no %q in:\n%s", test.want, out)
			}
		})
	}
}

// TestFileWithoutEnd: its size is 0, which says nothing of what reading it gives.
func TestFileWithoutEnd(t *testing.T) {
	const zeros = "/dev/zero"
	if _, err := os.Stat(zeros); err != nil {
		t.Skip("there is no " + zeros)
	}
	if _, diags := Load(zeros, Options{}); !strings.Contains(diags.Error(), "bigger than 1 MiB") {
		t.Errorf("diagnostics: %v", diags)
	}
}

func TestVariablePrecedence(t *testing.T) {
	declare := "variable \"x\" {\n  type    = number\n  default = 1\n}\n"
	sources := func(extra ...string) map[string][]byte {
		m := map[string][]byte{"main.hcl": []byte(declare)}
		for i := 0; i < len(extra); i += 2 {
			m[extra[i]] = []byte(extra[i+1])
		}
		return m
	}
	env := func() []string { return []string{"FTRUN_VAR_x=2", "FTRUN_VAR_other=1"} }
	for _, test := range []struct {
		name    string
		sources map[string][]byte
		opt     Options
		want    int64
	}{
		{"default", sources(), Options{}, 1},
		{"environment over default", sources(), Options{Environ: env}, 2},
		{"auto file over environment", sources("a.auto.ftvars", "x = 3"), Options{Environ: env}, 3},
		{"later auto file over earlier", sources("a.auto.ftvars", "x = 3", "b.auto.ftvars", "x = 4"), Options{}, 4},
		{"var-file over auto file", sources("a.auto.ftvars", "x = 3", "v.ftvars", "x = 5"), Options{VarFiles: []string{"v.ftvars"}}, 5},
		{"later var-file over earlier", sources("v.ftvars", "x = 5", "w.ftvars", "x = 6"),
			Options{VarFiles: []string{"w.ftvars", "v.ftvars"}}, 5},
		{"var over all", sources("a.auto.ftvars", "x = 3", "v.ftvars", "x = 5"),
			Options{Environ: env, VarFiles: []string{"v.ftvars"}, Vars: map[string]string{"x": "7"}}, 7},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, diags := LoadSources(test.sources, test.opt)
			if len(diags) > 0 {
				t.Fatalf("unexpected diagnostics:\n%s", text(t, s, diags))
			}
			if got, _ := s.Inputs["x"].AsBigFloat().Int64(); got != test.want {
				t.Errorf("x = %d, want %d", got, test.want)
			}
		})
	}
}

func TestVariableText(t *testing.T) {
	for _, test := range []struct {
		name, typ, text string
		want            cty.Value // cty.NilVal: an error
	}{
		{"string as it is", "string", "10", cty.StringVal("10")},
		{"number", "number", "10", cty.NumberIntVal(10)},
		{"no number", "number", "ten", cty.NilVal},
		{"bool", "bool", "true", cty.True},
		{"list", "list(number)", "[1, 2]", cty.ListVal([]cty.Value{cty.NumberIntVal(1), cty.NumberIntVal(2)})},
		{"no list", "list(number)", "[1, 2", cty.NilVal},
		{"untyped number", "", "0.5", cty.NumberFloatVal(0.5)},
		{"untyped bool", "", "false", cty.False},
		{"untyped name", "", "resnet18", cty.StringVal("resnet18")},
		{"untyped text with blanks", "", "two words", cty.StringVal("two words")},
		{"untyped quoted", "", `"10"`, cty.StringVal("10")},
		{"untyped empty", "", "", cty.StringVal("")},
	} {
		t.Run(test.name, func(t *testing.T) {
			typ := ""
			if test.typ != "" {
				typ = "type = " + test.typ
			}
			s, diags := LoadSources(map[string][]byte{"main.hcl": []byte("variable \"x\" {\n" + typ + "\n}\n")},
				Options{Vars: map[string]string{"x": test.text}})
			if test.want == cty.NilVal {
				if !diags.HasErrors() {
					t.Errorf("x = %s, want an error", describe(s.Inputs["x"]))
				}
				return
			}
			if len(diags) > 0 {
				t.Fatalf("unexpected diagnostics:\n%s", text(t, s, diags))
			}
			if got := s.Inputs["x"]; !got.RawEquals(test.want) {
				t.Errorf("x = %s, want %s", describe(got), describe(test.want))
			}
		})
	}
}

func TestUndeclaredVariables(t *testing.T) {
	sources := map[string][]byte{
		"main.hcl":      []byte("variable \"epochs\" {\n  default = 1\n}\n"),
		"a.auto.ftvars": []byte("epcohs = 1\n"),
		"v.ftvars":      []byte("epcohs = 1\n"),
	}
	s, diags := LoadSources(sources, Options{})
	if diags.HasErrors() || len(diags) != 1 {
		t.Errorf("an auto file should warn once:\n%s", text(t, s, diags))
	}
	s, diags = LoadSources(sources, Options{VarFiles: []string{"v.ftvars"}, Vars: map[string]string{"epcohs": "1"}})
	if out := text(t, s, diags); strings.Count(out, "Error: Unknown variable") != 2 || strings.Count(out, `mean "epochs"?`) != 3 {
		t.Errorf("-var and -var-file should each be an error:\n%s", out)
	}
}

func TestVersion(t *testing.T) {
	for _, test := range []struct {
		constraint, version string
		ok                  bool
	}{
		{"~> 0.1", "0.1.0", true},
		{"~> 0.1", "0.9.3", true},
		{"~> 0.1", "1.0.0", false},
		{"~> 0.1.0", "0.2.0", false},
		{">= 0.1, < 0.3", "0.2.5", true},
		{"0.1.0", "0.1.1", false},
		{"~> 0.2", "0.2.0-dev", true},
		{"~> 0.2", "v0.2.0-dev+abc", true},
	} {
		_, diags := LoadSources(map[string][]byte{"main.hcl": []byte("ftrun {\n  required_version = \"" + test.constraint + "\"\n}\n")},
			Options{Version: test.version})
		if diags.HasErrors() == test.ok {
			t.Errorf("%s against %s: %v", test.version, test.constraint, diags)
		}
	}
}

// TestLongFile: the bound on nesting is none on length.
func TestLongFile(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "dataset \"d%d\" { # one of many\n  kind = \"synthetic\"\n}\n", i)
	}
	b.WriteString("locals {\n  l = [" + strings.Repeat("{ a = [1, 2], b = -1 },\n", 5000) + "]\n}\n")
	if s := load(t, b.String()); len(s.Datasets) != 5000 {
		t.Errorf("%d data sets", len(s.Datasets))
	}
}
