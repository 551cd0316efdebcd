package executor

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
)

// mount makes a small file system for the store, or skips the test: that needs to be root, and to be let.
func mount(t *testing.T, l *lab, options string) (remount func(options string)) {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("a small file system can't be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	l.store = runlog.Open(filepath.Join(dir, ".ftrun"))
	l.opt.Store = l.store
	return func(options string) {
		t.Helper()
		flags := uintptr(syscall.MS_REMOUNT)
		if options == "ro" {
			flags, options = flags|syscall.MS_RDONLY, ""
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFullDisk(t *testing.T) {
	l := newLab(t)
	remount := mount(t, l, "size=14m") // a run of squeezenet1_1 takes 8.7 MB, and 2.9 MB more while it replaces its best
	first := l.run(func(s *planner.Settings) { s.Epochs = 1 })
	second := l.run(nil)
	l.apply(1, 0, 1, 0)
	kept := l.result(first)
	wantText(t, l.log.texts(), second+" failed", "no space left", l.store.Run(second).Dir)
	entries, err := os.ReadDir(l.store.Run(second).Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name()[0] == '.' {
			t.Errorf("%s is left half-written", e.Name())
		}
	}
	remount("size=64m")
	l.plan.Runs[1].Action = planner.Replace
	l.apply(1, 1, 0, 0)
	if d := cmp.Diff(kept, l.result(first)); d != "" {
		t.Errorf("the run that had finished: %s", d)
	}
}

func TestReadOnlyStore(t *testing.T) {
	l := newLab(t)
	remount := mount(t, l, "size=32m")
	id := l.run(func(s *planner.Settings) { s.Epochs = 1 })
	l.apply(1, 0, 0, 0)
	remount("ro")
	l.apply(0, 1, 0, 0) // nothing to do, nothing to write
	l.run(nil)
	_, err := Apply(t.Context(), l.opt)
	if err == nil {
		t.Fatal("no error")
	}
	wantText(t, []string{err.Error()}, "the store can't be written", "read-only file system", "-store")
	l.result(id)
}
