package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary stand for ftrun and for Python, as FAKE says.
func TestMain(m *testing.M) {
	if os.Getenv("FAKE") == "" {
		os.Exit(m.Run())
	}
	switch args := os.Args[1:]; {
	case args[0] == "bench" && slices.Contains(args, "broken"):
		fmt.Fprintln(os.Stderr, "Error: there is no architecture \"broken\"")
		os.Exit(1)
	case args[0] == "bench" && slices.Contains(args, "fast"):
		fmt.Println(`{"ftrun":"1.2.3","device":"cpu","path":"avx2","seconds":0.25,"images_per_second":32,"peak_mib":300,"gflops":100,"peak_gflops":200}`)
	case args[0] == "bench":
		fmt.Println(`{"ftrun":"1.2.3","device":"cpu","path":"avx2","seconds":0.5,"images_per_second":16,"peak_mib":300,"gflops":50,"peak_gflops":200}`)
	case args[0] == "-c":
		if os.Getenv("FAKE") == "without torch" {
			os.Exit(1)
		}
	default:
		if got, want := strings.Join(args[1:], " "), "resnet18 finetune 8 --threads 2 --steps 4"; got != want {
			fmt.Fprintf(os.Stderr, "arguments are %q, want %q\n", got, want)
			os.Exit(1)
		}
		fmt.Println(`{"torch":"2.0","seconds":0.75,"peak_mib":900}`)
	}
}

// table runs the command with the test binary as ftrun and as Python, in a folder that has a script.
func table(t *testing.T, fake string, args ...string) (out, progress string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "step.py")
	if err := os.WriteFile(script, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAKE", fake)
	t.Setenv("PYTHON", self)
	if os.Getenv("PEER") == "" {
		t.Setenv("PEER", script)
	}
	var o, p bytes.Buffer
	err = run(context.Background(), append([]string{"-ftrun", self, "-modes", "finetune", "-rounds", "2", "-steps", "4"}, args...), &o, &p)
	return o.String(), p.String(), err
}

func TestTableBesidePyTorch(t *testing.T) {
	out, _, err := table(t, "with torch", "-archs", "resnet18")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"ftrun 1.2.3 on cpu (avx2), PyTorch 2.0",
		"2 threads; medians of 2 rounds of 4 steps; peak 200 GFLOP/s",
		"| resnet18 | finetune | 8 | 0.5000 | 16.0 | 50 | 25 % | 300 | 0.7500 | 900 | 1.50 | 1.50–1.50 |\n",
		"- finetune, batch 8: 1.50 over 1, the least 1.50",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestTableWithoutPyTorch(t *testing.T) {
	for _, c := range []struct{ name, fake, peer, want string }{
		{"no module", "without torch", "", "cannot import torch"},
		{"no script", "with torch", "nowhere.py", "there is no script nowhere.py"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("PEER", c.peer)
			out, progress, err := table(t, c.fake, "-archs", "resnet18")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(progress, c.want) {
				t.Errorf("it says %q, want %q", progress, c.want)
			}
			if want := "| resnet18 | finetune | 8 | 0.5000 | 16.0 | 50 | 25 % | 300 |\n"; !strings.Contains(out+"\n", want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		})
	}
}

func TestWhatWasMeasuredBeforeAnErrorIsPrinted(t *testing.T) {
	out, _, err := table(t, "without torch", "-archs", "resnet18,broken")
	if err == nil || !strings.Contains(err.Error(), "broken finetune, batch 8: ") || !strings.Contains(err.Error(), "there is no architecture") {
		t.Errorf("the error is %v", err)
	}
	if !strings.Contains(out, "| resnet18 |") {
		t.Errorf("the first row is lost:\n%s", out)
	}
}

func TestTableIsKeptInTheDocument(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("docs", 0o755); err != nil {
		t.Fatal(err)
	}
	document := filepath.Join("docs", "performance.md")
	text := "before\n" + tableBegin + "an old table\n" + tableEnd + "after\n"
	if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _, err := table(t, "without torch", "-archs", "resnet18", "-write")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if want := "before\n" + tableBegin + "\n" + out + "\n" + tableEnd + "after\n"; string(got) != want {
		t.Errorf("the document is\n%s\nwant\n%s", got, want)
	}

	if err := os.WriteFile(document, []byte("no marks"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := table(t, "without torch", "-archs", "resnet18", "-write"); err == nil || !strings.Contains(err.Error(), "lacks the lines") {
		t.Errorf("the error is %v", err)
	}
}

// The document of this project has its marks.
func TestDocumentHasMarks(t *testing.T) {
	if _, err := replaceTable(filepath.Join("..", "..", "docs", "performance.md"), ""); err != nil {
		t.Error(err)
	}
}

func TestOthers(t *testing.T) {
	// Two processors for a second, of 100 ticks each: busy for 1.5 of the two seconds, 0.5 of them for the process itself.
	u := usage{cores: 2, busy: 1150, total: 3200}
	if got := u.othersSince(usage{cores: 2, busy: 1000, total: 3000}, 500*time.Millisecond, time.Second); math.Abs(got-0.5) > 1e-9 {
		t.Errorf("others took %v, want 0.5", got)
	}
	if runtime.GOOS == "linux" {
		if u, ok := readUsage(); !ok || u.cores < 1 || u.busy <= 0 || u.busy > u.total {
			t.Errorf("%+v, %v", u, ok)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		name string
		x    []float64
		want float64
	}{
		{"one", []float64{3}, 3},
		{"odd", []float64{9, 1, 4}, 4},
		{"even", []float64{8, 1, 2, 4}, 3},
	} {
		if got := median(c.x); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestNumerics(t *testing.T) {
	out, _, err := table(t, "torch", "-archs", "resnet18", "-modes", "finetune,finetune:fast")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| finetune | 8 | 0.5000 |", "| finetune:fast | 8 | 0.2500 |", "finetune:fast, batch 8: 3.00 over 1"} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
}
