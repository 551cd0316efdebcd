// Package durable writes files that are always whole: aside, synced and renamed, so that a crash, a full disk or a power
// cut leaves the old content or the new.
package durable

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// WriteFile makes or replaces a file with what write gives, and makes its folder where there is none. A file that is
// replaced keeps its permissions, a new one has those that the umask leaves. A link is followed; what is no regular file
// is an error, and stays. A process that is killed on the way leaves a hidden file ".<name>.<digits>" beside path.
func WriteFile(path string, write func(io.Writer) error) error {
	return writeFile(path, "", write)
}

// WriteFileThrough is WriteFile with the half-written file in the folder desk, which is on path's file system. Where desk
// is not there, or goes before the file is whole, nothing is written: who takes the desk away from a process has its last
// word.
func WriteFileThrough(desk, path string, write func(io.Writer) error) error {
	return writeFile(path, desk, write)
}

func writeFile(path, desk string, write func(io.Writer) error) (err error) {
	defer func() {
		if err != nil {
			// The hidden file is nothing that a user should look for.
			if p, ok := err.(*fs.PathError); ok && strings.HasPrefix(filepath.Base(p.Path), "."+filepath.Base(path)+".") {
				err = p.Err
			}
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	target, mode, err := destination(path)
	if err != nil {
		return err
	}
	if desk == "" {
		desk = filepath.Dir(target)
		if err := os.MkdirAll(desk, 0o777); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(desk, "."+filepath.Base(target)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	buf := bufio.NewWriterSize(f, 1<<20)
	if err := write(buf); err != nil {
		return err
	}
	if err := buf.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return Rename(f.Name(), target)
}

// ErrNoFile says that something else lies where a file should: a folder, a pipe, a socket or a device.
var ErrNoFile = errors.New("what is there is no regular file")

// Open opens a file for reading. What is no regular file is ErrNoFile, and not opened: that would wait for ever on a pipe.
func Open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: ErrNoFile}
	}
	return os.Open(path)
}

// ReadFile reads a file whole, as Open opens it.
func ReadFile(path string) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// Write is WriteFile of content that is there already.
func Write(path string, content []byte) error {
	return WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// Rename renames a file, whose content is synced, within its file system, and makes the new name last.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// destination is where path leads, and the mode that the file there is to have.
func destination(path string) (string, fs.FileMode, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, 0o666 &^ umask(), nil
	}
	if err != nil {
		return "", 0, err
	}
	if !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("%w; it is left as it is", ErrNoFile)
	}
	target, err := filepath.EvalSymlinks(path)
	return target, info.Mode().Perm(), err
}
