package host

import (
	"path/filepath"
	"runtime"
	"testing"
)

func TestFree(t *testing.T) {
	bytes, ok := Free(t.TempDir())
	if ok != (runtime.GOOS == "linux" || runtime.GOOS == "darwin" || runtime.GOOS == "freebsd") || ok && bytes <= 0 {
		t.Errorf("%d, %v", bytes, ok)
	}
	if _, ok := Free(filepath.Join(t.TempDir(), "none")); ok {
		t.Error("a folder that is not there has a disk")
	}
}
