package layout

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/ftrun/ftrun/"

// allowed names, for each folder, the folders of ours that it may import. A folder that is not listed is under the
// nearest one above it that is. docs/architecture.md explains the directions.
var allowed = map[string][]string{
	"cmd/ftrun":                   {"internal/cli"},
	"internal/cli":                {"spec", "planner", "executor", "models", "reports", "internal/runlog", "internal/nn", "internal/kernels", "internal/data", "internal/weights", "internal/stats", "internal/durable", "internal/host", "internal/launch", "internal/slurm"},
	"spec":                        {},
	"planner":                     {"spec", "internal/stats", "internal/settings", "internal/durable"},
	"executor":                    {"planner", "models", "internal/runlog", "internal/nn", "internal/kernels", "internal/data", "internal/features", "internal/weights", "internal/durable", "internal/host"},
	"models":                      {"internal/nn"},
	"reports":                     {"internal/runlog", "internal/stats", "internal/settings", "internal/durable"},
	"internal/settings":           {},
	"internal/launch":             {"planner", "internal/runlog", "internal/slurm", "internal/durable"},
	"internal/slurm":              {},
	"internal/runlog":             {"internal/durable"},
	"internal/nn":                 {"internal/kernels"},
	"internal/nn/optim":           {"internal/nn", "internal/kernels"},
	"internal/kernels":            {},
	"internal/kernels/ref":        {"internal/kernels"},
	"internal/kernels/speed":      {"internal/kernels"},
	"internal/kernels/cpu":        {"internal/kernels", "internal/host"},
	"internal/kernels/cuda":       {"internal/kernels"},
	"internal/kernels/kerneltest": {"internal/kernels"},
	"internal/data":               {"internal/jpeg", "internal/durable", "internal/host"},
	"internal/features":           {"internal/durable"},
	"internal/jpeg":               {"internal/host"},
	"internal/weights":            {"internal/durable"},
	"internal/durable":            {},
	"internal/host":               {},
	"internal/stats":              {},
	"internal/benchtable":         {},
	"internal/gpucheck":           {"internal/durable"},
	"internal/cluster":            {},
	"internal/testdata":           {},
	"internal/layout":             {},
}

// seesGorgonia names the folders that may import it: everything before and behind them tests in milliseconds, and a
// network's description (models) and its training (executor) stay free of how it is differentiated. The CUDA device takes
// the driver's interface from there, and nothing else.
var seesGorgonia = []string{"internal/nn", "internal/kernels/cuda"}

func TestImportsGoOneWay(t *testing.T) {
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == ".git" || name == "testdata" && path != filepath.Join(root, "internal", "testdata") || name == "gen") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(rel))
		owner := listed(folder)
		if owner == "" {
			t.Errorf("%s: the folder %s has no place in the table of this test", rel, folder)
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		files++
		for _, imp := range file.Imports {
			p, _ := strconv.Unquote(imp.Path.Value)
			if strings.HasPrefix(p, "gorgonia.org/") && !within(folder, seesGorgonia) {
				t.Errorf("%s imports %s; only %v sees Gorgonia", rel, p, seesGorgonia)
			}
			ours, ok := strings.CutPrefix(p, module)
			if !ok || listed(ours) == owner {
				continue
			}
			if !within(ours, allowed[owner]) {
				t.Errorf("%s imports %s; %s may import only %v", rel, ours, owner, allowed[owner])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatal("no file was read")
	}
}

// listed is the nearest folder at or above folder that the table names.
func listed(folder string) string {
	for folder != "." && folder != "/" {
		if _, ok := allowed[folder]; ok {
			return folder
		}
		folder = filepath.ToSlash(filepath.Dir(folder))
	}
	return ""
}

func within(folder string, list []string) bool {
	for _, l := range list {
		if folder == l || strings.HasPrefix(folder, l+"/") {
			return true
		}
	}
	return false
}
