package layout

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLicencesAreNamed: docs/licences.md names every module that the program is linked from.
func TestLicencesAreNamed(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "licences.md"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", module+"cmd/ftrun").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, m := range strings.Fields(string(out)) {
		if m+"/" != module && !strings.Contains(string(doc), "| "+m+" |") {
			t.Errorf("docs/licences.md does not name %s", m)
		}
	}
}
