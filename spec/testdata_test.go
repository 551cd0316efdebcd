package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

// loadAndExpand does with a file what validate does: Load, then every combination and its run with the first seed.
func loadAndExpand(path string, opt Options) (*Spec, Diagnostics) {
	s, diags := Load(path, opt)
	return s, append(diags, expand(s, diags)...)
}

// expand evaluates a sweep's runs up to a bound that no test file reaches, but a fuzzer may.
func expand(s *Spec, loaded Diagnostics) Diagnostics {
	if loaded.HasErrors() {
		return nil
	}
	var diags Diagnostics
	for _, sw := range s.Sweeps {
		if sw.Size() > 5000 {
			continue
		}
		for c, d := range sw.Combinations() {
			diags = append(diags, d...)
			if d.HasErrors() {
				continue
			}
			_, d := sw.Run(c, sw.Seeds[0])
			diags = append(diags, d...)
			_, d = sw.Launcher(c, sw.Seeds[0])
			diags = append(diags, d...)
			for _, g := range s.GatesOf(sw.Name) {
				_, d := g.Judges(c)
				diags = append(diags, d...)
			}
		}
	}
	return Distinct(diags)
}

// TestValidFiles loads and expands every file and directory of testdata/valid.
func TestValidFiles(t *testing.T) {
	t.Setenv("FTRUN_VAR_from_environment", "3")
	for _, path := range entries(t, "testdata/valid") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			s, diags := loadAndExpand(path, Options{Version: "0.1.0", Environ: os.Environ})
			if len(diags) > 0 {
				t.Errorf("unexpected diagnostics:\n%s", text(t, s, diags))
			}
		})
	}
}

// TestInvalidFiles loads and expands every file and directory of testdata/invalid. A comment "# ERROR: text" says that
// its line has a diagnostic whose "summary: detail" contains the text; there may be no other.
func TestInvalidFiles(t *testing.T) {
	for _, path := range entries(t, "testdata/invalid") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			s, diags := loadAndExpand(path, Options{Version: "0.1.0"})
			type expectation struct {
				file, text string
				line       int
			}
			var want []expectation
			for name, file := range s.Files() {
				for i, line := range strings.Split(string(file.Bytes), "\n") {
					for _, text := range strings.Split(line, "# ERROR: ")[1:] {
						want = append(want, expectation{name, strings.TrimSpace(text), i + 1})
					}
				}
			}
			if len(want) == 0 {
				t.Fatal("the file says no error that it expects")
			}
			var unexpected Diagnostics
		next:
			for _, d := range diags {
				for i, w := range want {
					if d.Subject != nil && d.Subject.Filename == w.file && d.Subject.Start.Line == w.line &&
						strings.Contains(d.Summary+": "+d.Detail, w.text) {
						want = append(want[:i], want[i+1:]...)
						continue next
					}
				}
				unexpected = append(unexpected, d)
			}
			for _, w := range want {
				t.Errorf("%s:%d: no error with %q", w.file, w.line, w.text)
			}
			if len(unexpected) > 0 {
				t.Errorf("unexpected diagnostics:\n%s", text(t, s, unexpected))
			}
		})
	}
}

// TestDiagnosticStyle holds the texts of every invalid file to the style: a short summary without quotes or a full stop,
// a detail of full sentences, a place in a file that is there.
func TestDiagnosticStyle(t *testing.T) {
	for _, path := range entries(t, "testdata/invalid") {
		s, diags := loadAndExpand(path, Options{Version: "0.1.0"})
		for _, d := range diags {
			if d.Severity == hcl.DiagError && (strings.ContainsAny(d.Summary, "\"`") || strings.HasSuffix(d.Summary, ".") ||
				len(d.Summary) > 50) {
				t.Errorf("%s: summary %q", path, d.Summary)
			}
			if !strings.HasSuffix(d.Detail, ".") && !strings.HasSuffix(d.Detail, "?") {
				t.Errorf("%s: detail %q is no sentence", path, d.Detail)
			}
			if d.Subject == nil || s.Files()[d.Subject.Filename] == nil {
				t.Errorf("%s: %q has no place", path, d.Detail)
			}
		}
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, e := range list {
		paths = append(paths, filepath.Join(dir, e.Name()))
	}
	return paths
}
