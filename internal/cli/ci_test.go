package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCIWorkflows runs what the workflows of examples/ci run, in order, on a small version of their sweep, once a baseline is
// set: every command is one, with flags that it has, and nothing is worse than itself.
func TestCIWorkflows(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", "..", "examples", "ci"))
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		raw, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	sweep := read("ci.hcl")
	for _, small := range [][2]string{{"train = 240, val = 100", "train = 16, val = 8"}, {`"resnet18"`, `"squeezenet1_1"`}, {"range(6)", "range(2)"}} {
		if !strings.Contains(sweep, small[0]) {
			t.Fatalf("ci.hcl lacks %s, which this test makes smaller", small[0])
		}
		sweep = strings.Replace(sweep, small[0], small[1], 1)
	}
	t.Chdir(t.TempDir())
	writeFile(t, "ci.hcl", sweep)
	ftrun := func(args ...string) {
		t.Helper()
		a, out, errs := newApp(args...)
		if code := a.run(t.Context()); code != exitOK {
			t.Fatalf("ftrun %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
		}
	}
	ftrun("plan", "ci.hcl")
	ftrun("apply")
	ftrun("baseline", "set")

	command := regexp.MustCompile(`(?m)^ *(?:- )?(?:run: )?ftrun ([^>|\n]*)`)
	for _, name := range []string{"github.yml", "gitlab-ci.yml"} {
		lines := command.FindAllStringSubmatch(read(name), -1)
		steps := map[string]int{}
		for _, line := range lines {
			args := strings.Fields(line[1])
			steps[args[0]]++
			ftrun(args...)
		}
		if steps["plan"] != 1 || steps["apply"] != 1 || steps["compare"] < 2 {
			t.Errorf("%s doesn't plan, apply and compare: %v", name, lines)
		}
		if n := strings.Count(read(name), "ftrun compare"); steps["compare"] != n {
			t.Errorf("%s: %d of %d comparisons were run", name, steps["compare"], n)
		}
	}
}
