package layout

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLicencesAreNamed: docs/licences.md names every module that the program is linked from, with the CUDA device.
func TestLicencesAreNamed(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "licences.md"))
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command("go", "list", "-deps", "-tags", "gpu", "-f", "{{with .Module}}{{.Path}}{{end}}", module+"cmd/ftrun")
	list.Env = append(os.Environ(), "CGO_ENABLED=1") // which lists more, and compiles nothing
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, m := range strings.Fields(string(out)) {
		if m+"/" != module && !strings.Contains(string(doc), "| "+m+" |") {
			t.Errorf("docs/licences.md does not name %s", m)
		}
	}
}
