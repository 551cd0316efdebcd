//go:build unix

package cli

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/runlog/runlogtest"
)

// killed is a sweep in which all that a checkpoint holds matters, with runs that start from another one's weights, that go
// on where a shorter one ends, and that train a head only.
const killed = `
dataset "shapes" {
  kind     = "synthetic"
  task     = "shapes"
  classes  = 2
  pictures = { train = 20, val = 6, test = 4 }
  size     = 32
}
sweep "first" {
  dataset = dataset.shapes
  seeds   = range(2)
  matrix { epochs = [3, 5] }
  run {
    arch       = "squeezenet1_1"
    mode       = "scratch"
    epochs     = matrix.epochs
    batch_size = 4
    image { crop = 32 }
    augment { ops = ["random_resized_crop", "hflip"] }
    optimizer {
      kind = "adam"
      lr   = 0.001
    }
    schedule { kind = "plateau" }
  }
}
sweep "second" {
  dataset = dataset.shapes
  run {
    arch       = "squeezenet1_1"
    mode       = "finetune"
    weights    = sweep.first.best
    epochs     = 2
    batch_size = 8
  }
}
sweep "third" {
  dataset = dataset.shapes
  seeds   = range(2)
  run {
    arch       = "squeezenet1_1"
    mode       = "extract"
    weights    = sweep.first.best
    epochs     = 3
    batch_size = 4
  }
}
`

// killedRuns is how many runs it has.
const killedRuns = 7

// applies starts `ftrun apply` in a folder as a process of its own.
func applies(ctx context.Context, dir string, out *bytes.Buffer, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Args = append([]string{"ftrun", "apply", "-json", "-threads", "1", "-checkpoint-every", "20ms", "sweep.hcl"}, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	return cmd
}

func sweepIn(t *testing.T, src string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	writeFile(t, filepath.Join(dir, "sweep.hcl"), src)
	return dir
}

// TestKilledAtRandomMoments kills a sweep again and again (FTRUN_KILLS times, 6 unless given), and lets it go on: it ends
// with the same bits as one that was never disturbed, and no run is trained again that had finished.
func TestKilledAtRandomMoments(t *testing.T) {
	if testing.Short() {
		t.Skip("trains")
	}
	kills := 6
	if n, err := strconv.Atoi(os.Getenv("FTRUN_KILLS")); err == nil {
		kills = n
	}
	calm := sweepIn(t, killed)
	var out bytes.Buffer
	start := time.Now()
	if err := applies(t.Context(), calm, &out).Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	took := time.Since(start)
	want := runlogtest.Outcome(t, filepath.Join(calm, defaultStore))
	if len(want) != killedRuns {
		t.Fatalf("the sweep has %d runs", len(want))
	}

	for round, left := 0, kills; left > 0; round++ {
		dir := sweepIn(t, killed)
		store := runlog.Open(filepath.Join(dir, defaultStore))
		finished := map[string]runlog.Status{}
		// The whole sweep may end before it is killed; then another one is begun.
		for complete := false; !complete; {
			ctx, cancel := t.Context(), func() {}
			if left > 0 {
				// From before its first step to about the end of a run.
				ctx, cancel = context.WithTimeout(ctx, time.Duration((0.02+0.4*rand.Float64())*float64(took)))
			}
			out.Reset()
			err := applies(ctx, dir, &out).Run() // the end of ctx kills it
			cancel()
			var exit *exec.ExitError
			switch {
			case err == nil || errors.Is(err, context.DeadlineExceeded): // it ended before the kill, or in the same moment
				complete = true
			case errors.As(err, &exit) && exit.ExitCode() == -1:
				left--
			default:
				t.Fatalf("%v\n%s", err, out.String())
			}
			if bytes.Contains(out.Bytes(), []byte(`"event":"warning"`)) || bytes.Contains(out.Bytes(), []byte("damaged")) {
				t.Errorf("a kill did damage:\n%s", out.String())
			}
			statuses, err := store.Statuses()
			if err != nil {
				t.Fatal(err)
			}
			for id, was := range finished {
				if d := cmp.Diff(was, statuses[id]); d != "" {
					t.Errorf("run %s had finished, and was trained again: %s", id, d)
				}
			}
			for id, st := range statuses {
				if st.State == runlog.Failed {
					t.Errorf("run %s failed: %s", id, st.Error)
				}
				if st.State == runlog.Finished {
					finished[id] = st
				}
			}
		}
		if d := cmp.Diff(want, runlogtest.Outcome(t, filepath.Join(dir, defaultStore))); d != "" {
			t.Fatalf("round %d, %d kills left: the results differ: %s", round, left, d)
		}
	}
}

// TestTwoAppliesDivideTheRuns starts two processes over one store at the same time: each run is trained by one of them, and
// both end well, with the same table.
func TestTwoAppliesDivideTheRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("trains")
	}
	calm := sweepIn(t, killed)
	var out bytes.Buffer
	if err := applies(t.Context(), calm, &out).Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	want := runlogtest.Outcome(t, filepath.Join(calm, defaultStore))
	for _, parallelism := range []string{"1", "2"} {
		t.Run("parallelism "+parallelism, func(t *testing.T) {
			dir := sweepIn(t, killed)
			var outs [2]bytes.Buffer
			var cmds [2]*exec.Cmd
			for i := range cmds {
				cmds[i] = applies(t.Context(), dir, &outs[i], "-json=false", "-parallelism", parallelism)
				if err := cmds[i].Start(); err != nil {
					t.Fatal(err)
				}
			}
			finished := map[string]int{}
			var tables [2]string
			for i, cmd := range cmds {
				if err := cmd.Wait(); err != nil {
					t.Errorf("%v\n%s", err, outs[i].String())
				}
				for line := range strings.Lines(outs[i].String()) {
					if name, _, ok := strings.Cut(line, ": finished: val acc "); ok {
						finished[name]++
					}
				}
				text := outs[i].String()
				tables[i] = text[max(strings.LastIndex(text, "\n\nfirst\n"), 0):]
			}
			for name, n := range finished {
				if n != 1 {
					t.Errorf("%s was finished %d times", name, n)
				}
			}
			if len(finished) != killedRuns {
				t.Errorf("%d runs were finished: %v", len(finished), finished)
			}
			if tables[0] != tables[1] || strings.Count(tables[0], "val acc: best epoch") != 3 {
				t.Errorf("the tables are\n%s\nand\n%s", tables[0], tables[1])
			}
			if d := cmp.Diff(want, runlogtest.Outcome(t, filepath.Join(dir, defaultStore))); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestAStoppedApplyLosesItsRun stops a process, lets another one take its run over, which takes more than a minute, and
// lets the first go on. It runs where FTRUN_STALL is set.
func TestAStoppedApplyLosesItsRun(t *testing.T) {
	if os.Getenv("FTRUN_STALL") == "" {
		t.Skip("takes over a minute; FTRUN_STALL=1 runs it")
	}
	calm := sweepIn(t, killed)
	var out bytes.Buffer
	if err := applies(t.Context(), calm, &out).Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	dir := sweepIn(t, killed)
	var outs [2]bytes.Buffer
	first, second := applies(t.Context(), dir, &outs[0]), applies(t.Context(), dir, &outs[1])
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	for {
		if found, _ := filepath.Glob(filepath.Join(dir, defaultStore, "runs", "*", "last.ckpt")); len(found) > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := first.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := second.Run(); err != nil {
		t.Errorf("%v\n%s", err, outs[1].String())
	}
	if took := time.Since(start); took < runlog.LeaseTimeout {
		t.Errorf("the run was taken over after %v", took)
	}
	want, got := runlogtest.Outcome(t, filepath.Join(calm, defaultStore)), runlogtest.Outcome(t, filepath.Join(dir, defaultStore))
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("when the second had ended: %s", d)
	}
	if err := first.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Errorf("%v\n%s", err, outs[0].String())
	}
	if d := cmp.Diff(want, runlogtest.Outcome(t, filepath.Join(dir, defaultStore))); d != "" {
		t.Errorf("when the first had ended: %s", d)
	}
	if n := strings.Count(outs[0].String()+outs[1].String(), `"event":"run_finished"`); n != len(want) {
		t.Errorf("%d runs were finished\n%s\n%s", n, outs[0].String(), outs[1].String())
	}
}
