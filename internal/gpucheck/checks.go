//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// check is one thing to be known, under a name that is its own.
type check struct {
	name  string
	alone bool // it is timed: nothing else may run beside it
	round int  // a check that goes in several rounds is there as often, with the number of each, from 1
	// run gives the result; before is what there is of it, from rounds before, or from a call that was cut off.
	run func(ctx context.Context, before result) result
}

// small are tests of the conformance suite of each kind of kernel, under a sanitizer, which makes them many times slower and
// may have sanitizerTime at most.
const (
	small = "^TestConformance$/^(Linear.*|BatchNorm.*|Sum.*|MaxPool.*|AdaptiveAvgPool.*|CopyChannels|CrossEntropy.*|SGD|Adam|" +
		"ConvForward)$"
	sanitizerTime = time.Minute
)

// checks are all there are, the most important first, of those that time nothing and of the others. Fakes run those that
// take them no minutes.
func (b *bench) checks() []check {
	list := []check{
		b.tests("conformance suite", "cuda.test", "^TestConformance$"),
		b.tests("a small sweep, CPU and GPU, and once more", "cuda.test", "^TestTraining$"),
	}
	switch b.device {
	case fake:
		return list
	case host:
		return b.timed()
	}
	list = append(list,
		b.tests("golden logits", "models.test", "^Test(Synthetic|File|Independent)Logits$"),
		b.tests("golden trajectories", "models.test", "^TestTraining$"),
		b.tests("one step against the reference, replayed steps", "cuda.test", "^Test(Step|ReplayedSteps)$"),
		b.tests("precisions and measured algorithms", "cuda.test", "^Test((Step)?Precision|Algorithms.*|TrainingInEachPrecision)$"),
		b.tests("golden logits in TF32", "models.test", "^Test(Synthetic|File|Independent)Logits$", "FTRUN_GOLDEN_PRECISION=tf32"),
		b.tests("golden trajectories in TF32", "models.test", "^TestTraining$", "FTRUN_GOLDEN_PRECISION=tf32"),
	)
	return append(list, b.timed()...)
}

// tests runs tests of a program, with more in its environment.
func (b *bench) tests(name, program, pattern string, environment ...string) check {
	return check{name: name, run: func(ctx context.Context, _ result) result {
		cmd := b.command(ctx, b.file(program), "-test.v", "-test.run", pattern)
		cmd.Env = append(cmd.Env, environment...)
		return b.runTests(ctx, name, cmd)
	}}
}

// sanitizer runs the small tests under a tool of compute-sanitizer's.
func (b *bench) sanitizer(tool string) check {
	name := "compute-sanitizer, " + tool
	return check{name: name, alone: true, run: func(ctx context.Context, _ result) result {
		path, err := exec.LookPath("compute-sanitizer")
		if err != nil {
			path = "/usr/local/cuda/bin/compute-sanitizer"
			if _, err := os.Stat(path); err != nil {
				return result{Skipped: true, Says: "there is no compute-sanitizer here"}
			}
		}
		limited, cancel := context.WithTimeout(ctx, sanitizerTime)
		defer cancel()
		r := b.runTests(limited, name, b.command(limited, path, "--tool", tool, "--error-exitcode", "9", b.file("cuda.test"), "-test.v",
			"-test.run", small))
		if limited.Err() != nil && len(r.Failures) == 0 {
			r.Failed, r.Skipped, r.Says = false, true, fmt.Sprintf("not done after %v: %s", sanitizerTime, r.Says)
		}
		return r
	}}
}

// log opens the file that holds what a check prints, which is there as soon as it prints it.
func (b *bench) log(name string) (*os.File, error) {
	file := strings.Map(func(r rune) rune {
		if r == ' ' || r == ',' {
			return '-'
		}
		return r
	}, name) + ".log"
	return os.Create(b.file("work/" + file))
}

// runTests runs a program of tests, and counts what passed.
func (b *bench) runTests(ctx context.Context, name string, cmd *exec.Cmd) result {
	log, err := b.log(name)
	if err != nil {
		return result{Failed: true, Says: err.Error()}
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	err = cmd.Run()
	out, reading := os.ReadFile(log.Name())
	if reading != nil {
		return result{Failed: true, Says: reading.Error()}
	}
	o := outcomeOf(out)
	r := result{Failed: err != nil || o.passed == 0, Failures: o.failed, Says: o.String()}
	if err != nil {
		r.Says += fmt.Sprintf(" (%v)", err)
	}
	if err != nil && ctx.Err() == nil && len(o.failed) == 0 {
		r.Failures = lastLines(out)
	}
	return r
}

// lastLines are what a program printed last, where it ended otherwise than by a test that failed.
func lastLines(out []byte) []string {
	const most = 12
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[max(len(lines)-most, 0):]
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

// noted are how the lines of tests begin that the table shows, mostNotes of them; the log has all.
var noted = []string{"losses are", "from the reference", "the bits of a picture", "not of cuDNN"}

const mostNotes = 8

func outcomeOf(output []byte) (o outcome) {
	for s := bufio.NewScanner(bytes.NewReader(output)); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if _, note, ok := strings.Cut(line, ".go:"); ok {
			_, note, _ = strings.Cut(note, ": ")
			told := slices.ContainsFunc(noted, func(how string) bool { return strings.HasPrefix(note, how) })
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
