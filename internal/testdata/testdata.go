// Package testdata finds the test material that is too big, or too much somebody else's, to lie in the repository: real
// pictures, real weights and golden numbers of PyTorch, in a folder "shared" beside the checkout or in $FTRUN_SHARED.
// Tests only.
package testdata

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Shared returns the absolute path of rel inside the shared folder, or skips the test where it is not there.
func Shared(tb testing.TB, rel string) string {
	tb.Helper()
	dir := os.Getenv("FTRUN_SHARED")
	if dir == "" {
		_, file, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(file), "..", "..", "..", "shared")
		if abs, err := filepath.EvalSymlinks(dir); err == nil {
			dir = abs
		}
	}
	path := filepath.Join(dir, filepath.FromSlash(rel))
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("shared/%s is absent: put the test data beside the checkout, or name its folder in FTRUN_SHARED", rel)
	}
	return path
}
