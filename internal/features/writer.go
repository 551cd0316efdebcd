package features

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ftrun/ftrun/internal/durable"
)

// syncEvery is how much work a power cut may cost.
const syncEvery = 5 * time.Second

// Writer makes a file of features, under a name that nobody reads it by.
type Writer struct {
	content Content
	path    string
	file    *os.File
	there   []bool // by block
	synced  time.Time
}

// Resume goes on with the file at path, or starts it: what an earlier attempt has written there counts as far as it is
// whole. One writer at a time may do so.
func Resume(path string, c Content, threads int) (*Writer, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	w := &Writer{content: c, path: path, file: file, synced: time.Now()}
	var damaged *DamagedError
	w.there, err = (&File{c, c.data(), file}).check(path, threads)
	if errors.As(err, &damaged) {
		w.there = make([]bool, c.Blocks())
		err = w.start()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return w, nil
}

// start writes the header over what is there.
func (w *Writer) start() error {
	return errors.Join(w.file.Truncate(0), w.file.Truncate(w.content.Bytes()), w.writeAt(w.content.header(), 0))
}

func (w *Writer) writeAt(b []byte, at int64) error {
	_, err := w.file.WriteAt(b, at)
	return err
}

// Missing gives the first stretch of blocks, [lo, hi), that are not there; ok is false where all are.
func (w *Writer) Missing() (lo, hi int, ok bool) {
	lo = slices.Index(w.there, false)
	if lo < 0 {
		return 0, 0, false
	}
	for hi = lo; hi < len(w.there) && !w.there[hi]; hi++ {
	}
	return lo, hi, true
}

// Put writes a block: the features of its pictures, one after the other.
func (w *Writer) Put(block int, values []float32) error {
	lo, hi := w.content.span(block)
	n := w.content.Len()
	if len(values) != (hi-lo)*n {
		panic(fmt.Sprintf("features: %d numbers for %d pictures with %d each", len(values), hi-lo, n))
	}
	s := sum(block, values)
	// In either order on the disk: a hash without its block is a block that is damaged.
	err := errors.Join(
		w.writeAt(littleEndianBytes(values), w.content.data()+4*int64(lo)*int64(n)),
		w.writeAt(s[:], w.content.sums()+sha256.Size*int64(block)))
	if err == nil && time.Since(w.synced) > syncEvery {
		err, w.synced = w.file.Sync(), time.Now()
	}
	if err == nil {
		w.there[block] = true
	}
	return err
}

// Publish gives the file, of which nothing must be missing, its name.
func (w *Writer) Publish(path string) error {
	if _, _, missing := w.Missing(); missing {
		panic("features: a file with missing blocks is published")
	}
	err := w.file.Sync()
	err = errors.Join(err, w.file.Close())
	if err != nil {
		return err
	}
	return durable.Rename(w.path, path)
}

// Close leaves the file for the next attempt.
func (w *Writer) Close() error { return w.file.Close() }
