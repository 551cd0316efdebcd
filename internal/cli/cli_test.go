package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ftrun/ftrun/executor"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

// newApp is a command line whose streams are memory.
func newApp(args ...string) (a *app, out, err *bytes.Buffer) {
	out, err = new(bytes.Buffer), new(bytes.Buffer)
	return &app{
		in: strings.NewReader(""), out: &stream{w: out}, err: &stream{w: err},
		environ: func() []string { return nil }, args: args, store: defaultStore,
	}, out, err
}

// commands lists every command with its path.
func commands(t *testing.T) map[string]*cobra.Command {
	t.Helper()
	a, _, _ := newApp()
	all := map[string]*cobra.Command{}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.InitDefaultHelpFlag()
		all[c.CommandPath()] = c
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	root := a.root()
	root.InitDefaultHelpCmd()
	walk(root)
	return all
}

func TestHelpOfEveryCommand(t *testing.T) {
	for path, c := range commands(t) {
		text := helpText(c, 80)
		for line := range strings.Lines(text) {
			// What is typed stays on its line; so do completion's scripts, which are not ours.
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 && !strings.HasPrefix(line, "  ftrun") && !strings.HasPrefix(path, "ftrun completion") {
				t.Errorf("%s -help has a line of %d characters: %s", path, n, line)
			}
		}
		if path != "ftrun" && !strings.Contains(text, "Examples:\n  ") {
			t.Errorf("%s -help has no example", path)
		}
		if strings.Contains(text, "--") && !strings.HasPrefix(path, "ftrun completion") {
			t.Errorf("%s -help shows flags with two dashes:\n%s", path, text)
		}
	}
}

// Whatever can be typed stands in docs/cli.md, under its command.
func TestDocumentationNamesEveryCommandAndFlag(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, s := range strings.Split(string(raw), "\n## ")[1:] {
		title, body, _ := strings.Cut(s, "\n")
		sections[strings.Trim(title, "` ")] = body
	}
	for path, c := range commands(t) {
		top := strings.Fields(path + " ")
		if len(top) < 2 {
			continue
		}
		body, ok := sections["ftrun "+top[1]]
		if !ok {
			t.Errorf("docs/cli.md has no section `ftrun %s`", top[1])
			continue
		}
		if !strings.Contains(body, strings.Join(top[1:], " ")) && len(top) > 2 {
			t.Errorf("docs/cli.md doesn't name %s", path)
		}
		if strings.HasPrefix(path, "ftrun completion") {
			continue
		}
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !strings.Contains(body, "| `-"+f.Name) && !strings.Contains(body, ", -"+f.Name) {
				t.Errorf("docs/cli.md doesn't list -%s under %s", f.Name, path)
			}
		})
		for _, line := range strings.Split(body, "\n") {
			flag, isFlag := strings.CutPrefix(line, "| `-")
			if !isFlag || strings.ContainsRune("/`", rune(flag[0])) { // the signs -/+ of a plan and - of a diff
				continue
			}
			name := strings.FieldsFunc(flag, func(r rune) bool { return strings.ContainsRune("`, ", r) })[0]
			if len(top) == 2 && !hasFlag(c, name) {
				t.Errorf("docs/cli.md lists -%s under %s, which has no such flag", name, path)
			}
		}
	}
	for _, code := range []string{"| 0 |", "| 1 |", "| 2 |", "| 3 |", "| 130 |"} {
		if !strings.Contains(string(raw), code) {
			t.Errorf("docs/cli.md doesn't explain exit code %s", code)
		}
	}
}

// hasFlag tells whether a command, or one under it, has a flag of that name or letter.
func hasFlag(c *cobra.Command, name string) bool {
	return c.Flags().Lookup(name) != nil || c.Flags().ShorthandLookup(name[:1]) != nil ||
		slices.ContainsFunc(c.Commands(), func(sub *cobra.Command) bool { return hasFlag(sub, name) })
}

func TestLongFlags(t *testing.T) {
	got := longFlags((&app{}).root(), []string{"plan", "-json", "--var", "a=-1", "-var", "-ab", "-var=b=2", "-checkpoint-every", "-1s", "-o", "-xy", "-h", "-o", "x", "-o=x", "-", "--", "-json"})
	want := []string{"plan", "--json", "--var", "a=-1", "--var", "-ab", "--var=b=2", "--checkpoint-every", "-1s", "-o", "-xy", "-h", "-o", "x", "-o=x", "-", "--", "-json"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCommandLineIsForAShell(t *testing.T) {
	tests := map[string]struct {
		words []string
		want  string
	}{
		"plain":   {[]string{"ftrun", "apply", "a/b_c-1.hcl"}, "ftrun apply a/b_c-1.hcl"},
		"letters": {[]string{"ünï"}, "ünï"},
		"blank":   {[]string{"ünï cödé / x"}, "'ünï cödé / x'"},
		"quote":   {[]string{"it's"}, `'it'\''s'`},
		"shell":   {[]string{"$HOME", "~", "a;b", "*"}, "'$HOME' '~' 'a;b' '*'"},
		"empty":   {[]string{""}, "''"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := commandLine(test.words...); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestVersionIsAlwaysSemantic(t *testing.T) {
	for linked, want := range map[string]string{
		"v0.1.0":            "0.1.0",
		"v0.1.0-3-gabc1234": "0.1.0-3-gabc1234",
		"f3bca6b":           base + "+f3bca6b",
		"f3bca6b-dirty":     base + "+f3bca6b-dirty",
	} {
		if got := versionOf(linked); got != want {
			t.Errorf("versionOf(%q) = %q, want %q", linked, got, want)
		}
	}
	for _, linked := range []string{"", "dev", "not a version!"} {
		if got := versionOf(linked); !semantic.MatchString(got) {
			t.Errorf("versionOf(%q) = %q, which is no version", linked, got)
		}
	}
}

// Ctrl-C at the prompt leaves with 130 and does nothing.
func TestInterruptAtThePrompt(t *testing.T) {
	a, out, _ := newApp()
	in, _ := io.Pipe() // nobody types
	a.in = in
	ctx, interrupt := context.WithCancel(context.Background())
	interrupt()
	if err := a.prompt(ctx); !errors.Is(err, exit(exitInterrupted)) {
		t.Errorf("error %v", err)
	}
	if !strings.HasSuffix(out.String(), "\nNothing was done.\n") {
		t.Errorf("said %q", out)
	}
}

func TestPromptTakesYesOnly(t *testing.T) {
	for answer, want := range map[string]error{"yes\n": nil, "  yes \n": nil, "y\n": exit(exitError), "no\n": exit(exitError), "": exit(exitError)} {
		a, _, _ := newApp()
		a.in = strings.NewReader(answer)
		if err := a.prompt(context.Background()); !errors.Is(err, want) {
			t.Errorf("%q gives %v, want %v", answer, err, want)
		}
	}
}

func TestInterruptedPlanning(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("a.hcl", []byte("dataset \"d\" { kind = \"synthetic\" }\nsweep \"s\" {\n dataset = dataset.d\n run {\n arch = \"alexnet\"\n mode = \"scratch\"\n }\n}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"plan", "apply", "graph", "init", "validate", "diff a.hcl"} {
		ctx, interrupt := context.WithCancel(context.Background())
		interrupt()
		a, _, err := newApp(append(strings.Fields(command), "a.hcl")...)
		if code := a.run(ctx); code != exitInterrupted || err.String() != "Interrupted.\n" {
			t.Errorf("%s: exit code %d, said %q", command, code, err)
		}
		if _, err := os.Stat(".ftrun/plan.json"); err == nil {
			t.Errorf("%s saved a plan", command)
		}
	}
}

// Of several exit codes the first of 130, 1, 3, 4, 5 wins.
func TestConclude(t *testing.T) {
	for _, c := range []struct {
		name     string
		sum      executor.Summary
		failFast bool
		judged   exit
		want     error
		says     string
	}{
		{"all well", executor.Summary{Finished: 3}, true, 0, nil, ""},
		{"some failed", executor.Summary{Finished: 1, Failed: 2}, false, 0, exit(3), "2 runs failed; what finished is kept. When the cause is mended, `ftrun apply x.plan` trains"},
		{"some skipped", executor.Summary{Skipped: 1}, false, 0, exit(3), "1 run was skipped; "},
		{"failed and stopped by -fail-fast", executor.Summary{Failed: 1, Skipped: 2}, true, 0, exit(3), "1 run failed, -fail-fast stopped the others; "},
		{"-fail-fast with nothing left to stop", executor.Summary{Failed: 1}, true, 0, exit(3), "1 run failed; "},
		{"a regression", executor.Summary{Finished: 3}, false, 4, exit(4), ""},
		{"inconclusive", executor.Summary{}, false, 5, exit(5), ""},
		{"failed, and a regression", executor.Summary{Failed: 1}, false, 4, exit(3), "1 run failed; "},
		{"failed, and a gate that can't be evaluated", executor.Summary{Failed: 1}, false, 1, exit(1), "1 run failed; "},
		{"interrupted with a failure before", executor.Summary{Failed: 1, Interrupted: true}, false, 0, exit(130), "`ftrun apply x.plan` goes on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, _, err := newApp()
			if got := a.conclude(c.sum, "ftrun apply x.plan", c.failFast, c.judged); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if !strings.Contains(err.String(), c.says) || (c.says == "") != (err.Len() == 0) {
				t.Errorf("said %q, want %q", err, c.says)
			}
		})
	}
}

func TestLockOfWeights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.hcl")
	l, err := readLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.pin("b.pth", "22", false), l.pin("a.pth", "11", false), l.pin("a.pth", "11", false)); err != nil {
		t.Fatal(err)
	}
	// Another process adds to the file meanwhile; what it wrote stays.
	other, err := readLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.pin("c.pth", "33", false), other.pin("d.pth", "44", false)); err != nil {
		t.Fatal(err)
	}
	if err := other.pin("a.pth", "99", false); err == nil || !strings.Contains(err.Error(), "a.pth is not the file that") || !strings.Contains(err.Error(), "init -upgrade") {
		t.Errorf("another hash gives %v", err)
	}
	if err := other.pin("a.pth", "99", true); err != nil {
		t.Fatal(err)
	}
	got, err := readLock(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []lockedWeights{{"a.pth", "99"}, {"b.pth", "22"}, {"c.pth", "33"}, {"d.pth", "44"}}
	if d := cmp.Diff(want, got.Weights); d != "" {
		t.Error(d)
	}
}

func TestLockOfDatasets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.hcl")
	l, err := readLock(path)
	if err != nil {
		t.Fatal(err)
	}
	set := func(name, kind, path, hash string) planner.Dataset {
		return planner.Dataset{Name: name, Kind: kind, Path: path, Hash: hash}
	}
	if err := l.pinDatasets([]planner.Dataset{set("made", "synthetic", "", "1")}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a generated data set was locked")
	}
	// Two files may give the same name to two folders.
	if err := l.pinDatasets([]planner.Dataset{set("d", "imagefolder", "x", "1"), set("d", "imagefolder", "y", "2")}, false); err != nil {
		t.Fatal(err)
	}
	changed := []planner.Dataset{set("d", "imagefolder", "y", "3")}
	if err := l.checkDatasets(changed); err == nil || !strings.Contains(err.Error(), `the data set "d" in y,`) {
		t.Errorf("a changed data set gives %v", err)
	}
	if err := l.pinDatasets(changed, false); err == nil {
		t.Error("a changed data set is locked anew without being asked for")
	}
	if err := l.pinDatasets(changed, true); err != nil {
		t.Fatal(err)
	}
	got, err := readLock(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []lockedDataset{{"d", "x", "1"}, {"d", "y", "3"}}
	if d := cmp.Diff(want, got.Datasets); d != "" {
		t.Error(d)
	}
}

func TestShortNames(t *testing.T) {
	label := func(axis, value string) planner.Label {
		return planner.Label{Axis: axis, Value: json.RawMessage(strconv.Quote(value))}
	}
	config := func(sweep string, labels ...planner.Label) planner.Config {
		return planner.Config{Sweep: sweep, Labels: labels}
	}
	for _, test := range []struct {
		name    string
		configs []planner.Config
		seeds   []int64 // of a run of each configuration
		want    []string
	}{
		{"a lone run has its sweep's", []planner.Config{config("s", label("arch", "alexnet"))}, []int64{0}, []string{"s"}},
		{"what does not vary is left out", []planner.Config{
			config("s", label("arch", "alexnet"), label("mode", "extract")), config("s", label("arch", "vgg11"), label("mode", "extract")),
		}, []int64{0, 0}, []string{"alexnet", "vgg11"}},
		{"seeds", []planner.Config{config("s", label("arch", "alexnet")), config("s", label("arch", "vgg11"))},
			[]int64{0, 1}, []string{"alexnet, seed 0", "vgg11, seed 1"}},
		{"an inactive axis", []planner.Config{config("s", label("arch", "alexnet"), label("momentum", "0.9")), config("s", label("arch", "alexnet"))},
			[]int64{0, 0}, []string{"0.9", "s"}},
		{"several sweeps", []planner.Config{config("a"), config("b", label("arch", "alexnet")), config("b", label("arch", "vgg11"))},
			[]int64{0, 0, 0}, []string{"a", "b, alexnet", "b, vgg11"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &planner.Plan{Configs: test.configs}
			for i, seed := range test.seeds {
				p.Runs = append(p.Runs, planner.Run{ID: strconv.Itoa(i), Config: i, Seed: seed})
			}
			names := shortNames(p)
			for i, want := range test.want {
				if got := names[strconv.Itoa(i)]; got != want {
					t.Errorf("run %d is called %q, want %q", i, got, want)
				}
			}
		})
	}
}

// Labels that tell runs apart are not cut where the names of the axes can go instead.
func TestRunsListLeavesOutAxes(t *testing.T) {
	t.Chdir(t.TempDir())
	a, out, _ := newApp("runs", "list")
	store, err := a.runs()
	if err != nil {
		t.Fatal(err)
	}
	for id, arch := range map[string]string{"00112233445566aa": "squeezenet1_0", "00112233445566bb": "squeezenet1_1"} {
		err := errors.Join(store.Run(id).WriteConfig(planner.Description{Run: planner.Run{ID: id}, Config: planner.Config{Sweep: "two", Labels: []planner.Label{
			{Axis: "arch", Value: json.RawMessage(strconv.Quote(arch))}, {Axis: "mode", Value: json.RawMessage(`"extract"`)},
		}}}), store.Run(id).WriteStatus(runlog.Status{State: runlog.Failed, Error: "x"}))
		if err != nil {
			t.Fatal(err)
		}
	}
	if code := a.run(t.Context()); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	for _, want := range []string{" two[squeezenet1_0, extract] ", " two[squeezenet1_1, extract] "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(strings.TrimSpace(line))); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
