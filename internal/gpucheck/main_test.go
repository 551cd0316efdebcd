//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pack makes a folder whose programs are scripts: each adds a line to "calls" and prints what the real one might.
func pack(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, script := range map[string]string{
		"ftrun": `case $1 in
devices) echo "cpu  avx2, 2 threads"; echo "cuda:0  GPU of scripts";;
version) echo "ftrun 1.2.3";;
bench) [ $3 != alexnet ] || { echo "no memory left" >&2; exit 1; }; echo '{"seconds": 0.1, "images_per_second": 40}';;
apply) [ -f tutorial.hcl ] || exit 1;;
esac`,
		"cuda.test": `if [ -f broken ]; then
	echo '--- FAIL: TestConformance (0.1s)'
	echo '    --- FAIL: TestConformance/Add (0.1s)'
	exit 1
fi
echo '--- PASS: TestConformance (0.1s)'`,
		"models.test": "[ ! -f slow ] || sleep 60\necho '--- PASS: TestTraining (0.1s)'",
		// What it is asked for, the steps' process, the tutorial's script.
		"python": `case "$1 $2" in
*importlib.metadata*) echo 2.0;;
*find_spec*) ;;
-u*) while read -r line; do
	echo "$line" >> calls
	case $line in
	*densenet121*128*compile*|*resnet50*extract*'"8"'*) printf '%s\n' '{"error": "Traceback\nno kernel"}';;
	*squeezenet1_1*finetune*'"8"'*) exit 1;;
	*) printf '%s\n' '{"printed": "{\"images_per_second\": 10}"}';;
	esac
done;;
*) echo '{"seconds": 1.5}';;
esac`,
	} {
		text := "#!/bin/sh\necho " + name + " \"$*\" >> " + filepath.Join(folder, "calls") + "\n" + script + "\n"
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(folder, "shared/data/hymenoptera_data"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PYTHON", filepath.Join(folder, "python"))
	t.Setenv("PATH", "/usr/bin:/bin") // without a compute-sanitizer
	return folder
}

func calls(t *testing.T, folder, word string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), word)
}

func gpucheck(t *testing.T, folder string, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := run(t.Context(), append([]string{"-folder", folder}, args...), &out, io.Discard)
	return out.String(), err
}

func TestAllIsRunOnceAndKept(t *testing.T) {
	folder := pack(t)
	out, err := gpucheck(t, folder)
	if !errors.Is(err, errFailed) { // alexnet's steps
		t.Errorf("the error is %v", err)
	}
	for _, want := range []string{
		"GPU of scripts; ", "; ftrun 1.2.3; PyTorch 2.0; ",
		"| conformance suite | passed | 1 tests passed | ",
		"| golden logits | passed | 1 tests passed | ",
		// A step of 8 pictures at 40 a second beside one at 10.
		"| resnet18 finetune, batch 8, tf32 | passed | 200.00 ms a step; torch 800.00 ms: 4.00 times as fast; torch.compile 800.00",
		"| golden trajectories in TF32 | passed | 1 tests passed | ",
		"| the tutorial's sweep, 3 epochs | passed | 0.0 s; the script ", "times as fast; its training alone 9.0 s: ",
		// A script that fails, and a process that ends, are told of and end nothing.
		"| resnet50 extract, batch 8, tf32 | passed | 200.00 ms a step | ",
		"| squeezenet1_1 finetune, batch 8, tf32 | passed | 200.00 ms a step | ", "torch: Traceback\n- no kernel", "PyTorch's process ended",
		"| squeezenet1_1 extract, batch 128, tf32 | passed | 3200.00 ms a step; torch 12800.00 ms: 4.00 times as fast | ",
		"| mobilenet_v2 extract, batch 128, bf16 | passed | 3200.00 ms a step; torch 12800.00 ms: 4.00 times as fast | ",
		"| mobilenet_v2 extract, batch 128, bf16, beside torch.compile | passed | 3200.00 ms a step; torch.compile 12800.00",
		"| alexnet extract, batch 128, tf32 | **failed** |  | ",
		"no memory left",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	data, err := os.ReadFile(filepath.Join(folder, "gpu-check.json"))
	if err != nil {
		t.Fatal(err)
	}
	var kept report
	if err := json.Unmarshal(data, &kept); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(kept.Results, func(r result) bool { return r.Name == "resnet18 finetune, batch 8, tf32" })
	if at < 0 || !slices.Equal(kept.Results[at].Figures["ftrun"], []float64{0.2, 0.2}) {
		t.Errorf("the figures of a step are not kept:\n%s", data)
	}

	before := calls(t, folder, "ftrun bench")
	if n := calls(t, folder, "bench -arch vgg11_bn -mode finetune -batch 8 "); n != 2 {
		t.Errorf("a step is timed in %d rounds", n)
	}
	again, _ := gpucheck(t, folder)
	if again != out || calls(t, folder, "ftrun bench") != before {
		t.Errorf("a second call runs anew, or says\n%s", again)
	}
	if _, _ = gpucheck(t, folder, "-again"); calls(t, folder, "ftrun bench") != 2*before {
		t.Error("-again runs nothing")
	}
}

// TestBudget: what is cut off has no result, and the next call begins with it.
func TestBudget(t *testing.T) {
	folder := pack(t)
	slow := filepath.Join(folder, "slow")
	if err := os.WriteFile(slow, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	results := t.TempDir()
	out, err := gpucheck(t, folder, "-budget", "3s", "-results", results)
	if !errors.Is(err, errFailed) && err != nil {
		t.Error(err)
	}
	// What takes too long keeps nothing from being timed.
	for _, want := range []string{
		"| conformance suite | passed |", "| golden logits | cut off | 0 tests passed", "| resnet18 finetune, batch 8, tf32 | passed |",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, ending := range []string{".json", ".md", ".log"} {
		if text, err := os.ReadFile(filepath.Join(results, "gpu-check"+ending)); err != nil || !strings.Contains(string(text), "onformance") {
			t.Errorf("gpu-check%s: %v\n%s", ending, err, text)
		}
	}
	if err := os.Remove(slow); err != nil {
		t.Fatal(err)
	}
	if out, _ = gpucheck(t, folder); !strings.Contains(out, "| golden logits | passed |") ||
		calls(t, folder, "cuda.test -test.v -test.run ^TestConformance$") != 1 {
		t.Errorf("the second call does not go on:\n%s", out)
	}
}

func TestFailedTestsAreNamed(t *testing.T) {
	folder := pack(t)
	if err := os.WriteFile(filepath.Join(folder, "broken"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := gpucheck(t, folder, "-device", "fake")
	row := "| conformance suite | **failed** | 0 tests passed, 1 failed (exit status 1) |"
	if !errors.Is(err, errFailed) || !strings.Contains(out, row) || !strings.Contains(out, "\n- TestConformance/Add\n") {
		t.Errorf("the error is %v, the table\n%s", err, out)
	}
}

// TestOtherGPU: results of another GPU, or another program, are not gone on with.
func TestOtherGPU(t *testing.T) {
	folder := pack(t)
	other := `{"gpu": "another", "sha256": "", "results": [{"name": "conformance suite"}]}`
	path := filepath.Join(folder, "gpu-check-fake.json")
	for _, test := range []struct{ name, kept, want string }{
		{"another", other, "| conformance suite | passed | 1 tests passed |"},
		{"damaged", other[:20], "is damaged"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(test.kept), 0o644); err != nil {
				t.Fatal(err)
			}
			out, err := gpucheck(t, folder, "-device", "fake")
			if err != nil {
				out += err.Error()
			}
			if !strings.Contains(out, test.want) {
				t.Errorf("it says\n%s", out)
			}
		})
	}
}

func TestWithoutGPU(t *testing.T) {
	folder := pack(t)
	text := "#!/bin/sh\necho 'cuda  none: no NVIDIA driver'\n"
	if err := os.WriteFile(filepath.Join(folder, "ftrun"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := gpucheck(t, folder); err == nil || !strings.Contains(err.Error(), "no NVIDIA driver") {
		t.Errorf("the error is %v", err)
	}
}

func TestOutcomeOf(t *testing.T) {
	for _, test := range []struct {
		name, output, says string
		failed             []string
	}{
		{"nothing", "", "0 tests passed", nil},
		{"leaves that failed", "--- FAIL: A (1s)\n    --- FAIL: A/b (1s)\n    --- PASS: A/c (1s)\n--- FAIL: D (1s)\n",
			"1 tests passed, 2 failed", []string{"A/b", "D"}},
		{"skipped", "--- SKIP: A (0s)\n--- PASS: B (0s)\n", "1 tests passed, 1 left out", nil},
		{"a note, once", strings.Repeat("    step_test.go:1: not of cuDNN: a\n", 2) + "    step_test.go:2: else\n",
			"0 tests passed; not of cuDNN: a", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := outcomeOf([]byte(test.output))
			if o.String() != test.says || !slices.Equal(o.failed, test.failed) {
				t.Errorf("%q, failed %q", o, o.failed)
			}
		})
	}
}
