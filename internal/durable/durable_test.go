package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// read fails the test unless path holds want and its folder holds nothing else.
func read(t *testing.T, path, want string, files int) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("content %q, %v; want %q", got, err, want)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != files {
		t.Errorf("%v in the folder, want %d files", entries, files)
	}
}

func TestOldContentStaysWhenWritingFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "f")
	if err := Write(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	err := WriteFile(path, func(w io.Writer) error {
		if _, err := io.WriteString(w, "half"); err != nil {
			return err
		}
		return full
	})
	if !errors.Is(err, full) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v; want %v and the file's name", err, full)
	}
	read(t, path, "old", 1)
}

func TestContentIsReplacedAsAWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, content := range []string{"a long first content", "short", ""} {
		if err := Write(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		read(t, path, content, 1)
	}
}

func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such permissions")
	}
	dir := t.TempDir()
	plain, path := filepath.Join(dir, "plain"), filepath.Join(dir, "f")
	if err := os.WriteFile(plain, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	like, err := os.Stat(plain)
	if err != nil {
		t.Fatal(err)
	}
	mode := func() os.FileMode {
		t.Helper()
		if err := Write(path, []byte("x")); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	if got := mode(); got != like.Mode() {
		t.Errorf("a new file has %v; another new file has %v", got, like.Mode())
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if got := mode(); got != 0o640 {
		t.Errorf("a file that is replaced has %v, had -rw-r-----", got)
	}
}

func TestALinkStaysALink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "there", "f"), filepath.Join(dir, "link")
	if err := Write(target, []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Skip("no links here:", err)
	}
	if err := Write(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	read(t, target, "new", 1)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v now, %v", info, err)
	}
}

// TestWhatIsNoFileStays: whoever runs as root must not lose /dev/null to a plan that is thrown away.
func TestWhatIsNoFileStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, os.DevNull} {
		if err := Write(path, []byte("x")); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: error %v", path, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
			t.Errorf("%s is %v now, %v", path, info, err)
		}
	}
}

// TestTheHiddenFileIsNotNamed: it is nothing that a user could find.
func TestTheHiddenFileIsNotNamed(t *testing.T) {
	dir := t.TempDir()
	err := WriteFileThrough(filepath.Join(dir, "gone"), filepath.Join(dir, "f"), func(io.Writer) error { return nil })
	if !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), ".f.") {
		t.Errorf("error %v", err)
	}
}
