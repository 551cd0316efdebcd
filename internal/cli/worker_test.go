package cli

import (
	"os"
	"syscall"
	"testing"

	"github.com/ftrun/ftrun/internal/runlog"
)

// A task that SIGTERM ends says by its exit code whether it got anywhere: what counts failures counts those that did not.
func TestTaskThatIsTerminated(t *testing.T) {
	a, _, _ := newApp("worker")
	terminated := func() os.Signal { return syscall.SIGTERM }
	task := &workTask{Sink: newLines(a.out)}
	if err := a.stopped(task, terminated); err == nil || err == exit(exitTerminated) {
		t.Errorf("nothing was trained, and it ends with %v", err)
	}
	task.Emit(runlog.Step{})
	if err := a.stopped(task, terminated); err != exit(exitTerminated) {
		t.Errorf("it has trained and saved, and ends with %v", err)
	}
}
