package cluster

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/runlog/runlogtest"
)

const clocksSweep = `
dataset "shapes" {
  kind     = "synthetic"
  task     = "shapes"
  classes  = 2
  pictures = { train = 48, val = 8 }
  size     = 32
}
sweep "clocks" {
  dataset = dataset.shapes
  seeds   = range(6)
  run {
    arch       = "squeezenet1_1"
    mode       = "scratch"
    epochs     = 12
    batch_size = 4
    image { crop = 32 }
    augment { ops = ["hflip"] }
  }
}
`

const clocksRuns, clocksEpochs = 6, 12

// TestLeasesHoldWhereClocksDiffer lets two hosts that have nothing in common but the file system carry out one sweep, the
// clock of one off by a minute, kills one of them in the middle of a run, and lets the other go on.
func TestLeasesHoldWhereClocksDiffer(t *testing.T) {
	wanted(t)
	hostsAllowed(t)
	ftrun := program(t)
	folder := func() string {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "sweep.hcl"), clocksSweep)
		return dir
	}
	type process struct {
		out   output
		ended chan error
		kill  func() error
	}
	start := func(dir, name, off string) *process {
		cmd := host(t.Context(), name, true, ftrun, "apply", "-json", "-threads", "1", "-parallelism", "1", "-checkpoint-every", "100ms", "sweep.hcl")
		p := &process{ended: make(chan error, 1)}
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), clockVariable+"="+off), &p.out, &p.out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		p.kill = cmd.Process.Kill
		go func() { p.ended <- cmd.Wait() }()
		return p
	}
	calm := folder()
	alone := start(calm, "alone", "0s")
	if err := <-alone.ended; err != nil {
		t.Fatalf("%v\n%s", err, alone.out.String())
	}
	want := runlogtest.Outcome(t, filepath.Join(calm, ".ftrun"))
	if len(want) != clocksRuns {
		t.Fatalf("the sweep has %d runs", len(want))
	}

	tests := map[string]struct {
		off    time.Duration // of east; west's clock is right
		killed string
	}{
		"the one that is ahead dies":             {time.Minute, "east"},
		"the one beside one that is ahead dies":  {time.Minute, "west"},
		"the one that is behind dies":            {-time.Minute, "east"},
		"the one beside one that is behind dies": {-time.Minute, "west"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := folder()
			store := runlog.Open(filepath.Join(dir, ".ftrun"))
			off := map[string]time.Duration{"east": test.off}
			at := time.Now()
			hosts := map[string]*process{}
			for _, name := range []string{"east", "west"} {
				hosts[name] = start(dir, name, off[name].String())
			}
			dead, survivor := hosts[test.killed], hosts["west"]
			survivorOff := off["west"]
			if test.killed == "west" {
				survivor, survivorOff = hosts["east"], off["east"]
			}

			// Killed when it has finished one run and is in the middle of the next.
			var run string
			eventually(t, time.Minute, "no second run is under way", func() bool {
				started := dead.out.events(t, "run_started")
				if len(started) < 2 || len(dead.out.events(t, "run_finished")) < 1 {
					return false
				}
				run = started[len(started)-1].Run
				return store.Run(run).HasCheckpoint()
			})
			if err := dead.kill(); err != nil {
				t.Fatal(err)
			}
			killed := time.Now()
			<-dead.ended
			if err := <-survivor.ended; err != nil {
				t.Fatalf("%v\n%s", err, survivor.out.String())
			}

			for name, p := range hosts {
				started := p.out.events(t, "apply_started")
				if len(started) != 1 {
					t.Fatalf("%s started %d times", name, len(started))
				}
				if d := started[0].Time.Sub(at) - off[name]; d < 0 || d > 20*time.Second {
					t.Errorf("the clock of %s is off by %v and not by %v", name, started[0].Time.Sub(at), off[name])
				}
			}
			times := map[string]int{}
			for _, e := range append(hosts["east"].out.events(t, "run_finished"), hosts["west"].out.events(t, "run_finished")...) {
				times[e.Run]++
			}
			taken := false
			for _, e := range survivor.out.events(t, "run_started") {
				if e.Run != run {
					continue
				}
				taken = true
				// The dead host's last heartbeat was up to one before its end.
				if after := e.Time.Add(-survivorOff).Sub(killed); after < leaseTimeout-heartbeat {
					t.Errorf("the run was taken over %v after its host had died", after)
				}
			}
			if !taken {
				t.Errorf("run %s was not taken over", run)
			}
			statuses, err := store.Statuses()
			if err != nil {
				t.Fatal(err)
			}
			for id, st := range statuses {
				attempts := 1
				if id == run {
					attempts = 2
				}
				if st.Attempts != attempts || times[id] != 1 {
					t.Errorf("run %s: %d attempts, finished %d times; want %d, 1", id, st.Attempts, times[id], attempts)
				}
			}
			got := runlogtest.Outcome(t, store.Dir)
			for id, r := range got {
				if len(r.Epochs) != clocksEpochs {
					t.Errorf("run %s has %d epochs", id, len(r.Epochs))
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("the results differ from those of one host: %s", d)
			}
			if t.Failed() {
				t.Logf("east:\n%s\nwest:\n%s", hosts["east"].out.String(), hosts["west"].out.String())
			}
		})
	}
}
