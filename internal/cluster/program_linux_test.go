package cluster

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ftrun/ftrun/internal/runlog"
)

// The program under test is ftrun as it is, but for two things, which `go build -overlay` changes so that ftrun itself needs
// no switch for them: the wall clock is off by what is in the environment, and leases are hasty, as a test can't wait for
// a minute.
const (
	clockVariable = "FTRUN_TEST_CLOCK" // a duration
	haste         = 10                 // times
	heartbeat     = runlog.Heartbeat / haste
	leaseTimeout  = runlog.LeaseTimeout / haste
)

// wanted skips a test of this package where it was not asked for.
func wanted(t *testing.T) {
	t.Helper()
	if os.Getenv("FTRUN_CLUSTER") == "" {
		t.Skip("starts hosts of its own; make test-slurm runs it")
	}
}

// programs are built once. They are not each test's own.
var programs struct {
	dir  string
	once sync.Once
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

// program is the path of ftrun with a clock that can be off, and hasty leases.
func program(t *testing.T) string {
	t.Helper()
	programs.once.Do(func() {
		if programs.dir, programs.err = os.MkdirTemp("", "ftrun-"); programs.err == nil {
			programs.err = build(programs.dir)
			// After the build, whose own cache lies there: what ftrun learns of this machine's speed is not the user's.
			_ = os.Setenv("XDG_CACHE_HOME", filepath.Join(programs.dir, "cache"))
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return filepath.Join(programs.dir, "ftrun")
}

const clock = `package time

import "syscall"

// off is what the wall clock is off by, in seconds.
var off = func() int64 {
	text, _ := syscall.Getenv("` + clockVariable + `")
	d, _ := ParseDuration(text)
	return int64(d / Second)
}()
`

func build(dir string) error {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return err
	}
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	library := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	replaced := map[string]string{}
	put := func(path, text string) error {
		replaced[path] = filepath.Join(dir, strings.ReplaceAll(strings.Trim(path, "/"), "/", "_"))
		return os.WriteFile(replaced[path], []byte(text), 0o666)
	}
	change := func(path string, pairs ...string) error {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := string(raw)
		for i := 0; i < len(pairs); i += 2 {
			if strings.Count(text, pairs[i]) != 1 {
				return errors.New(path + " lacks this, or has it several times, which the tests change: " + pairs[i])
			}
			text = strings.Replace(text, pairs[i], pairs[i+1], 1)
		}
		return put(path, text)
	}
	milliseconds := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + " * time.Millisecond" }
	if err := errors.Join(
		put(filepath.Join(library, "off.go"), clock),
		change(filepath.Join(library, "time.go"), "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0", "\tsec, nsec, mono := runtimeNow()\n\tsec += off\n\tif mono == 0"),
		change(filepath.Join(root, "internal", "runlog", "lease.go"),
			"Heartbeat    = 10 * time.Second", "Heartbeat    = "+milliseconds(heartbeat), "LeaseTimeout = 60 * time.Second", "LeaseTimeout = "+milliseconds(leaseTimeout)),
	); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, overlay, 0o666); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-overlay", path, "-o", filepath.Join(dir, "ftrun"), "./cmd/ftrun")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.New("building ftrun: " + err.Error() + "\n" + string(out))
	}
	return nil
}
