//go:build unix

package runlog

import (
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

// syncDir makes a rename in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
