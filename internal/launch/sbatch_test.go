package launch

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/planner"
)

// TestPrintedScriptSubmits runs what is printed with an sbatch that keeps what it is given.
func TestPrintedScriptSubmits(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	root := filepath.Join(t.TempDir(), "it's a folder")
	// The second array's setup holds the line that its own text would end at, and what a shell would expand too early.
	launches := []planner.Launch{
		{Kind: planner.Slurm, Name: "small", CPUs: 2},
		{Kind: planner.Slurm, Name: "large", CPUs: 8, GPUs: 1, Memory: 3 << 30, Seconds: 5400, Partition: "gpu", MaxParallel: 1,
			Setup: "cat > x <<END_OF_ARRAY_3\n$HOME `id` ) '\nEND_OF_ARRAY_3\n", Extra: []string{"--exclusive"}},
	}
	p := testPlan(launches, planner.Run{ID: id("a"), Sharing: 1}, planner.Run{ID: id("b"), Sharing: 1},
		planner.Run{ID: id("c"), Launch: 1, Needs: ids("a")}, planner.Run{ID: id("d"), Launch: 1, Needs: ids("a")}, planner.Run{ID: id("e"), Launch: 1, Needs: ids("b")})
	arrays := Arrange(p, 2, true)
	if diff := cmp.Diff([]string{"small features: 1", "small: a b ok 0", "large: c d after 1", "large: e after 1 after 2"}, sketch(arrays)); diff != "" {
		t.Fatal(diff)
	}
	f := &Folder{ID: ID(arrays), Dir: filepath.Join(root, "launches", ID(arrays))}
	worker := &Worker{Program: filepath.Join(root, "ftrun"), Chdir: root, Store: root}
	var b bytes.Buffer
	if err := WriteSbatch(&b, f, arrays, worker); err != nil {
		t.Fatal(err)
	}

	submit := func(t *testing.T, refused int) (dir, out string, err error) {
		dir = t.TempDir()
		fake := fmt.Sprintf(`#!/bin/bash
set -eu
n=$(($(ls "$DIR" | grep -c args || true) + 1))
[ $n != %d ] || { echo "sbatch: error: Invalid partition" >&2; exit 1; }
printf '%%s\n' "$@" > "$DIR/args$n"
cat > "$DIR/script$n"
echo "$((100 + n));cluster"
`, refused)
		if err := os.WriteFile(filepath.Join(dir, "sbatch"), []byte(fake), 0o777); err != nil {
			t.Fatal(err)
		}
		script := filepath.Join(dir, "jobs.sh")
		if err := os.WriteFile(script, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(bash, script)
		cmd.Env = append(os.Environ(), "PATH="+dir+string(filepath.ListSeparator)+os.Getenv("PATH"), "DIR="+dir)
		text, err := cmd.CombinedOutput()
		return dir, string(text), err
	}

	t.Run("all are taken", func(t *testing.T) {
		dir, out, err := submit(t, 0)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for i, want := range []string{"", "afterok:101", "afterany:102", "afterany:102:103"} {
			args, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("args%d", i+1)))
			if err != nil {
				t.Fatal(err)
			}
			line := "--parsable"
			if want != "" {
				line += " --kill-on-invalid-dep=yes --dependency=" + want
			}
			if got := strings.Join(strings.Fields(string(args)), " "); got != line {
				t.Errorf("array %d is submitted with %s, want %s", i+1, got, line)
			}
			script, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("script%d", i+1)))
			if err != nil {
				t.Fatal(err)
			}
			var asSubmitted bytes.Buffer
			if err := worker.Script(f, i, &arrays[i]).Write(&asSubmitted); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(asSubmitted.String(), string(script)); diff != "" {
				t.Errorf("array %d is not the script that apply submits (-apply +printed):\n%s", i+1, diff)
			}
		}
		if want := "Array 4 is job 104.\nsqueue -j 101,102,103,104 shows them, scancel 101 102 103 104 ends them.\n"; !strings.HasSuffix(out, want) {
			t.Errorf("it says %q at the end, want %q", out, want)
		}
	})
	t.Run("one is refused", func(t *testing.T) {
		dir, out, err := submit(t, 3)
		if err == nil || !strings.Contains(out, "Invalid partition") || !strings.Contains(out, "Array 2 is job 102.") {
			t.Errorf("%v: %s", err, out)
		}
		if _, err := os.Stat(filepath.Join(dir, "args3")); err == nil {
			t.Error("what waits for the refused array is submitted all the same")
		}
	})
}

// TestSignalBefore: a task is told to save itself before its time limit, and before the partition's where it asks for none.
func TestSignalBefore(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{
		0: time.Minute, time.Hour: time.Minute, 10 * time.Minute: time.Minute, 5 * time.Minute: 30 * time.Second,
	} {
		if got := signalBefore(limit); got != want {
			t.Errorf("limit %v: %v before", limit, got)
		}
	}
}
