//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// umask reads the process's mask, once: reading it means setting it.
var umask = sync.OnceValue(func() fs.FileMode {
	m := syscall.Umask(0)
	syscall.Umask(m)
	return fs.FileMode(m)
})

// syncDir makes a rename in dir last, where the file system can: one that has no such call says EINVAL or ENOTSUP, and a
// folder may be writable without being readable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}
