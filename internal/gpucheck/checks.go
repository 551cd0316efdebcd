//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// check is one thing to be known, under a name that is its own.
type check struct {
	name string
	run  func(ctx context.Context) result
}

// small are tests of the conformance suite of each kind of kernel, under a sanitizer, which makes them many times slower and
// may have sanitizerTime at most.
const (
	small = "^TestConformance$/^(Linear.*|BatchNorm.*|Sum.*|MaxPool.*|AdaptiveAvgPool.*|CopyChannels|CrossEntropy.*|SGD|Adam|" +
		"ConvForward)$"
	sanitizerTime = 2 * time.Minute
)

// The steps that are timed: the architectures of make bench, the smallest batch and what matters most first.
var (
	timedArchs = []string{"resnet18", "mobilenet_v2", "resnet50", "squeezenet1_1", "densenet121", "vgg11_bn", "alexnet",
		"inception_v3"}
	timedModes   = []string{"finetune", "extract"}
	timedBatches = []int{8, 128}
	// Those that are also timed beside torch.compile, which takes a minute to compile, and in bfloat16.
	timedMore = []string{"resnet18", "mobilenet_v2"}
)

// checks are all there are, the most important first. Fakes run those that take them no minutes.
func (b *bench) checks() []check {
	list := []check{
		b.tests("conformance suite", "cuda.test", "^TestConformance$"),
		b.tests("a small sweep, CPU and GPU, and once more", "cuda.test", "^TestTraining$"),
	}
	if b.fake {
		return list
	}
	list = append(list,
		b.tests("golden logits", "models.test", "^Test(Synthetic|File|Independent)Logits$"),
		b.tests("golden trajectories", "models.test", "^TestTraining$"),
		b.tests("one step against the reference, replayed steps", "cuda.test", "^Test(Step|ReplayedSteps)$"),
		b.tests("precisions and measured algorithms", "cuda.test", "^Test((Step)?Precision|Algorithms.*|TrainingInEachPrecision)$"),
		b.tests("golden logits in TF32", "models.test", "^Test(Synthetic|File|Independent)Logits$", "FTRUN_GOLDEN_PRECISION=tf32"),
		b.tests("golden trajectories in TF32", "models.test", "^TestTraining$", "FTRUN_GOLDEN_PRECISION=tf32"),
		b.sanitizer("memcheck"),
		b.sanitizer("initcheck"),
	)
	for _, precision := range []string{"tf32", "bf16"} {
		archs := timedArchs
		if precision == "bf16" {
			archs = timedMore
		}
		for _, batch := range timedBatches {
			for _, mode := range timedModes {
				for _, arch := range archs {
					list = append(list, b.speed(arch, mode, batch, precision))
				}
			}
		}
	}
	return list
}

// tests runs tests of a program, with more in its environment.
func (b *bench) tests(name, program, pattern string, environment ...string) check {
	return check{name, func(ctx context.Context) result {
		cmd := b.command(ctx, b.file(program), "-test.v", "-test.run", pattern)
		cmd.Env = append(cmd.Env, environment...)
		return b.runTests(name, cmd)
	}}
}

// sanitizer runs the small tests under a tool of compute-sanitizer's.
func (b *bench) sanitizer(tool string) check {
	name := "compute-sanitizer, " + tool
	return check{name, func(ctx context.Context) result {
		path, err := exec.LookPath("compute-sanitizer")
		if err != nil {
			path = "/usr/local/cuda/bin/compute-sanitizer"
			if _, err := os.Stat(path); err != nil {
				return result{Skipped: true, Says: "there is no compute-sanitizer here"}
			}
		}
		limited, cancel := context.WithTimeout(ctx, sanitizerTime)
		defer cancel()
		r := b.runTests(name, b.command(limited, path, "--tool", tool, "--error-exitcode", "9", b.file("cuda.test"), "-test.v",
			"-test.run", small))
		if limited.Err() != nil && len(r.Failures) == 0 {
			r.Failed, r.Skipped, r.Says = false, true, fmt.Sprintf("not done after %v: %s", sanitizerTime, r.Says)
		}
		return r
	}}
}

// runTests runs a program of tests, keeps what it prints in a file of the check's name, and counts what passed.
func (b *bench) runTests(name string, cmd *exec.Cmd) result {
	out, err := cmd.CombinedOutput()
	file := strings.Map(func(r rune) rune {
		if r == ' ' || r == ',' {
			return '-'
		}
		return r
	}, name) + ".log"
	if err := os.WriteFile(b.file(file), out, 0o644); err != nil {
		return result{Failed: true, Says: err.Error()}
	}
	o := outcomeOf(out)
	r := result{Failed: err != nil || o.passed == 0, Failures: o.failed, Says: o.String()}
	if err != nil {
		r.Says += fmt.Sprintf(" (%v; see %s)", err, file)
	}
	return r
}

// outcome is what a program of tests printed with -test.v.
type outcome struct {
	passed, skipped int
	failed          []string // by name, those without a failed test inside them
	notes           []string // the tests' own lines worth a place in the table
}

func (o outcome) String() string {
	says := fmt.Sprintf("%d tests passed", o.passed)
	if len(o.failed) > 0 {
		says += fmt.Sprintf(", %d failed", len(o.failed))
	}
	if o.skipped > 0 {
		says += fmt.Sprintf(", %d left out", o.skipped)
	}
	return strings.Join(append([]string{says}, o.notes...), "; ")
}

// mostNotes is how many lines of tests the table shows of a check; the log has all.
const mostNotes = 8

func outcomeOf(output []byte) (o outcome) {
	for s := bufio.NewScanner(bytes.NewReader(output)); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if _, note, ok := strings.Cut(line, "_test.go:"); ok {
			_, note, _ = strings.Cut(note, ": ")
			told := strings.HasPrefix(note, "losses are") || strings.HasPrefix(note, "not of cuDNN")
			if told && !slices.Contains(o.notes, note) && len(o.notes) < mostNotes {
				o.notes = append(o.notes, note)
			}
		}
		verdict, rest, ok := strings.Cut(strings.TrimPrefix(line, "--- "), ": ")
		if !ok || !strings.HasPrefix(line, "--- ") {
			continue
		}
		test, _, _ := strings.Cut(rest, " (")
		switch verdict {
		case "PASS":
			o.passed++
		case "SKIP":
			o.skipped++
		case "FAIL":
			// A test stands before those inside it.
			o.failed = slices.DeleteFunc(o.failed, func(f string) bool { return strings.HasPrefix(test, f+"/") })
			o.failed = append(o.failed, test)
		}
	}
	return o
}

// rounds is how often each program times a step, in alternation, each time in a new process.
const rounds = 2

// speed times a step of an architecture beside PyTorch in the same precision: TF32, which is PyTorch's default (there linear
// layers are float32), or bfloat16, and beside torch.compile with CUDA graphs where that is wanted.
func (b *bench) speed(arch, mode string, batch int, precision string) check {
	name := fmt.Sprintf("%s %s, batch %d, %s", arch, mode, batch, precision)
	return check{name, func(ctx context.Context) result {
		n := fmt.Sprint(batch)
		r := result{Figures: map[string][]float64{}}
		type program struct {
			name    string
			command []string
		}
		programs := []program{{"ftrun", []string{b.file("ftrun"), "bench", "-arch", arch, "-mode", mode, "-batch", n, "-steps", "20",
			"-device", "cuda:0", "-precision", precision, "-format", "json"}}}
		if b.torch != "" {
			torch := []string{b.python, b.file("shared/peers/torch_step.py"), arch, mode, n, "--device", "cuda", "--steps", "20",
				"--precision", precision}
			programs = append(programs, program{"torch", torch})
			if slices.Contains(timedMore, arch) {
				programs = append(programs, program{"torch.compile", append(slices.Clip(torch), "--compile")})
			}
		}
		var failures []error
		for range rounds {
			for _, p := range programs {
				seconds, err := seconds(b.command(ctx, p.command[0], p.command[1:]...), batch)
				if err != nil {
					failures = append(failures, fmt.Errorf("%s: %w", p.name, err))
					continue
				}
				r.Figures[p.name] = append(r.Figures[p.name], seconds)
			}
		}
		ours := r.Figures["ftrun"]
		if r.Failed = len(ours) == 0; !r.Failed {
			r.Says = fmt.Sprintf("%.2f ms a step", 1e3*slices.Min(ours))
			for _, p := range programs[1:] {
				if theirs := r.Figures[p.name]; len(theirs) > 0 {
					r.Says += fmt.Sprintf("; %s %.2f ms: %.2f times as fast", p.name, 1e3*slices.Min(theirs), slices.Min(theirs)/slices.Min(ours))
				}
			}
		}
		if err := errors.Join(failures...); err != nil {
			r.Failures = strings.Split(err.Error(), "\n")
		}
		return r
	}}
}

// seconds runs a command that times a step of so many pictures, and prints a line of JSON with the pictures a second. Those
// have more digits than the seconds have that the line holds, too.
func seconds(cmd *exec.Cmd, batch int) (float64, error) {
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, strings.TrimSpace(complaint.String()))
	}
	var line struct {
		ImagesPerSecond float64 `json:"images_per_second"`
	}
	if err := json.Unmarshal(out, &line); err != nil || line.ImagesPerSecond <= 0 {
		return 0, fmt.Errorf("printed %q, which is no line of JSON with the pictures a second", out)
	}
	return float64(batch) / line.ImagesPerSecond, nil
}
