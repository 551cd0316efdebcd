package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every example is listed, in canonical style, valid, and can be planned; its header says how it is run and what it gives.
func TestExamples(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", "..", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		found++
		name := e.Name()
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(root, name, name+".hcl")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"#   ftrun plan " + name + ".hcl\n", "#   ftrun apply\n"} {
				if !bytes.Contains(text, []byte(want)) {
					t.Errorf("the header of %s lacks the line %q", name, want)
				}
			}
			if !bytes.Contains(index, []byte("("+name+"/"+name+".hcl)")) {
				t.Errorf("examples/README.md does not list %s", name)
			}

			work := t.TempDir()
			t.Chdir(work)
			ftrun := func(args ...string) string {
				a, out, errs := newApp(args...)
				if code := a.run(t.Context()); code != exitOK {
					t.Fatalf("ftrun %s: exit code %d\n%s%s", strings.Join(args, " "), code, out.String(), errs.String())
				}
				return out.String()
			}
			var vars []string
			if name == "hymenoptera" {
				data := filepath.Join(work, "pictures")
				drawPictures(t, data)
				vars = []string{"-var", "data=" + data}
			}
			ftrun("fmt", "-check", file)
			ftrun(append([]string{"validate"}, append(vars, file)...)...)
			plan := ftrun(append([]string{"plan"}, append(vars, file)...)...)
			if strings.Contains(plan, "Plan: 0 runs to train") || !strings.Contains(plan, "Plan: ") {
				t.Errorf("the plan of %s trains nothing:\n%s", name, plan)
			}
		})
	}
	if found < 4 {
		t.Errorf("only %d examples were found", found)
	}
}
