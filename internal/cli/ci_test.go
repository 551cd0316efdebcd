package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCIWorkflows runs what the workflows of examples/ci run, in order and in a shell as CI does, on a small version of their
// sweep, once a baseline is set. Where nothing is worse, all steps end well. Where something is, all do but the last, which
// gives the verdict: what is to be commented is written before.
func TestCIWorkflows(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell here")
	}
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
	change := func(text string, pairs ...string) string {
		t.Helper()
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(text, pairs[i]) {
				t.Fatalf("ci.hcl lacks %s, which this test changes", pairs[i])
			}
			text = strings.Replace(text, pairs[i], pairs[i+1], 1)
		}
		return text
	}
	// Parameters follow from the settings: a gate for them needs neither training nor many seeds to be certain.
	sweep := change(read("ci.hcl"), "train = 240, val = 100", "train = 16, val = 8", `"resnet18"`, `"squeezenet1_1"`, "range(6)", "range(2)",
		`"val_acc"`, `"params_total"`, "max_drop = 0.01", "max_rise = 0")
	larger := change(sweep, "classes  = 2", "classes  = 3")

	t.Chdir(t.TempDir())
	itself, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(itself, filepath.Join(bin, "ftrun")); err != nil {
		t.Skip(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	run := func(line string) (code int, output string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), shell, "-e", "-c", line).CombinedOutput()
		var ended *exec.ExitError
		if err != nil && !errors.As(err, &ended) {
			t.Fatal(err)
		}
		if ended != nil {
			code = ended.ExitCode()
		}
		return code, string(out)
	}
	writeFile(t, "ci.hcl", sweep)
	for _, line := range []string{"ftrun plan ci.hcl", "ftrun apply -auto-approve", "ftrun baseline set"} {
		if code, out := run(line); code != exitOK {
			t.Fatalf("%s: exit code %d\n%s", line, code, out)
		}
	}

	step := regexp.MustCompile(`(?m)^ *(?:- )?(?:run: )?(ftrun (\w+).*)$`)
	for _, name := range []string{"github.yml", "gitlab-ci.yml"} {
		steps := step.FindAllStringSubmatch(read(name), -1)
		if n := strings.Count(read(name), " ftrun "); len(steps) != n {
			t.Errorf("%s: %d of %d commands are run here", name, len(steps), n)
		}
		for _, test := range []struct {
			name, sweep, told string
			verdict           int
		}{
			{"nothing changed", sweep, "Nothing is worse", exitOK},
			{"more parameters", larger, "Worse: 2 configurations", exitRegression},
		} {
			t.Run(name+", "+test.name, func(t *testing.T) {
				writeFile(t, "ci.hcl", test.sweep)
				os.Remove("comparison.md")
				commands := map[string]int{}
				for i, line := range steps {
					commands[line[2]]++
					want := exitOK
					if i == len(steps)-1 {
						want = test.verdict
					}
					if code, out := run(line[1]); code != want {
						t.Fatalf("%s: exit code %d, want %d\n%s", line[1], code, want, out)
					}
				}
				if commands["plan"] != 1 || commands["apply"] != 1 || commands["compare"] < 2 {
					t.Errorf("it doesn't plan, apply and compare: %v", commands)
				}
				comment, err := os.ReadFile("comparison.md")
				if err != nil || !strings.Contains(string(comment), test.told) {
					t.Errorf("the comment does not say %q: %s (%v)", test.told, comment, err)
				}
			})
		}
		if code, out := run(strings.Replace(steps[1][1], "apply", "apply -nosuch", 1)); code != exitError {
			t.Errorf("%s: an error of apply passes with exit code %d\n%s", name, code, out)
		}
	}
}
