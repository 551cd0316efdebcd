//go:build linux || darwin || freebsd

package features

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/ftrun/ftrun/internal/durable"
)

// mapping is a file in memory.
type mapping []byte

// open maps a file.
func open(path string) (source, error) {
	f, err := durable.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return mapping(nil), nil
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if errors.Is(err, unix.ENODEV) { // a file system without it
		return openPlain(path)
	}
	if err != nil {
		return nil, fmt.Errorf("mapping %s into memory: %w", path, err)
	}
	return mapping(m), nil
}

// ReadAt copies. Where the disk fails, or another program has cut the file off, the system raises a fault, which is an
// error here.
func (m mapping) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off >= int64(len(m)) {
		return 0, io.EOF
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, fmt.Errorf("a file that is mapped into memory can't be read: %v", r)
		}
	}()
	if n = copy(p, m[off:]); n < len(p) {
		err = io.EOF
	}
	return n, err
}

// Close unmaps the file.
func (m mapping) Close() error {
	if m == nil {
		return nil
	}
	return unix.Munmap(m)
}
