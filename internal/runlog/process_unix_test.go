//go:build unix

package runlog

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const stalledStore = "FTRUN_TEST_STALLED_STORE"

// TestStalledProcess is the process that TestAProcessThatIsStoppedLosesItsRun stops. It writes one checkpoint after the
// other until it can't.
func TestStalledProcess(t *testing.T) {
	dir := os.Getenv(stalledStore)
	if dir == "" {
		t.Skip("not a test of its own")
	}
	r := hasty(dir).Run("aa")
	lease, err := r.Acquire("the stalled process")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		if err := writeCheckpoint(r, fmt.Sprintf("stalled %d", i)); err != nil {
			break
		}
		if err := r.WriteStatus(Status{State: Running, Attempts: i}); err != nil {
			break
		}
	}
	fmt.Println("held at the end:", lease.Held())
	lease.Release()
}

func TestAProcessThatIsStoppedLosesItsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for i := range 5 {
		dir := t.TempDir()
		child := exec.Command(os.Args[0], "-test.run=^TestStalledProcess$", "-test.v")
		child.Env = append(os.Environ(), stalledStore+"="+dir)
		var out strings.Builder
		child.Stdout, child.Stderr = &out, &out
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- child.Wait() }()
		r := hasty(dir).Run("aa")
		for start := time.Now(); !r.HasCheckpoint(); time.Sleep(time.Millisecond) {
			if time.Since(start) > 20*time.Second {
				_ = child.Process.Kill()
				t.Fatalf("the process wrote nothing: %s", out.String())
			}
		}
		time.Sleep(time.Duration(i) * 3 * time.Millisecond) // so that it is stopped somewhere
		if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		lease := takeOver(t, r, "the other process")
		if err := writeCheckpoint(r, "taken over"); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteStatus(Status{State: Finished}); err != nil {
			t.Fatal(err)
		}
		if err := child.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err != nil || !strings.Contains(out.String(), "held at the end: false") {
				t.Errorf("the process that came back: %v\n%s", err, out.String())
			}
		case <-time.After(20 * time.Second):
			_ = child.Process.Kill()
			t.Fatal("the process that came back goes on writing")
		}
		if st, _, err := r.Status(); err != nil || st.State != Finished {
			t.Errorf("status %+v, %v", st, err)
		}
		f, err := os.Open(r.CheckpointPath())
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := io.ReadAll(f); err != nil || string(raw) != "taken over" {
			t.Errorf("the checkpoint is %q, %v", raw, err)
		}
		f.Close()
		if !lease.Held() {
			t.Error("the other process lost its lease")
		}
		lease.Release()
	}
}
