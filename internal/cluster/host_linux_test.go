package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// enter makes a shell into a host: it has a name and processes of its own, and sees no others. With the network apart, too,
// nothing is left of other hosts but the file system.
const enter = `set -e
mount --make-rprivate /
mount -t proc proc /proc
hostname "$0"
exec "$@"`

// host gives a command that is run on a host of that name, which ends with it, and with the test.
func host(ctx context.Context, name string, network bool, command ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", enter, name}, command...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if network {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// hostsAllowed skips the test where hosts can't be made.
func hostsAllowed(t *testing.T) {
	t.Helper()
	var names []string
	for _, name := range []string{"east", "west"} {
		out, err := host(t.Context(), name, true, "sh", "-c", "echo $(hostname) $$").CombinedOutput()
		if err != nil {
			t.Skipf("hosts of its own can't be made here, which takes root, and namespaces: %v: %s", err, out)
		}
		names = append(names, strings.TrimSpace(string(out)))
	}
	if names[0] != "east 1" || names[1] != "west 1" {
		t.Fatalf("hosts are called %q", names)
	}
}

// output gathers what a process prints, and may be read meanwhile.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// event is a line of `ftrun apply -json`.
type event struct {
	Time  time.Time
	Event string
	Run   string
	Job   string
	Text  string
}

func (o *output) events(t *testing.T, kind string) (all []event) {
	t.Helper()
	for line := range strings.Lines(o.String()) {
		var e event
		if strings.HasPrefix(line, "{") && strings.HasSuffix(line, "\n") {
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
		}
		if e.Event == kind {
			all = append(all, e)
		}
	}
	return all
}

// eventually waits until something is so.
func eventually(t *testing.T, within time.Duration, what string, so func() bool) {
	t.Helper()
	for start := time.Now(); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > within {
			t.Fatalf("after %v: %s", within, what)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}
