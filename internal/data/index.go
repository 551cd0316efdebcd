package data

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ftrun/ftrun/internal/durable"
)

// Index remembers what was found out about files, so that neither hashing nor checking reads a file twice that has not
// changed since (same path, size and time of change). It may be shared by goroutines and data sets.
type Index struct {
	path    string
	mu      sync.Mutex
	records map[string]record
	changed bool
}

// record is one line of an index file.
type record struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	MTime  int64  `json:"mtime"` // nanoseconds since 1970
	SHA256 string `json:"sha256"`
	Broken string `json:"broken,omitempty"` // why it cannot be used as a picture
}

// indexHead begins an index file; its digits are the checksum of the lines after it. Its version changes when the checks
// behind record.Broken do.
const indexHead = `{"ftrun_picture_index":2,"checksum":"%s"}`

func headOf(lines []byte) string {
	var sum durable.Sum
	sum.Write(lines)
	return fmt.Sprintf(indexHead, sum.Digits())
}

// OpenIndex reads the index file at path, or starts an empty one: where path is "" (it then lives in memory only), there
// is no such file, or it is damaged, which costs time and nothing else.
func OpenIndex(path string) *Index {
	ix := &Index{path: path, records: map[string]record{}}
	b, err := durable.ReadFile(path)
	if path == "" || err != nil {
		return ix
	}
	head, rest, _ := bytes.Cut(b, []byte{'\n'})
	if string(head) != headOf(rest) {
		return ix
	}
	lines := bufio.NewScanner(bytes.NewReader(rest))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if json.Unmarshal(lines.Bytes(), &r) == nil && len(r.SHA256) == 2*sha256.Size {
			ix.records[r.Path] = r
		}
	}
	return ix
}

// Save writes the index to its path, where anything changed.
func (ix *Index) Save() error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.path == "" || !ix.changed {
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	paths := make([]string, 0, len(ix.records))
	for p := range ix.records {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		if err := enc.Encode(ix.records[p]); err != nil {
			return err
		}
	}
	if err := durable.Write(ix.path, append([]byte(headOf(b.Bytes())+"\n"), b.Bytes()...)); err != nil {
		return fmt.Errorf("saving the index of pictures: %w", err)
	}
	ix.changed = false
	return nil
}

// look returns what is known about a file, reading it where that is nothing or out of date.
func (ix *Index) look(path string) (record, error) {
	info, err := os.Stat(path)
	if err != nil {
		return record{}, err
	}
	if info.IsDir() {
		return record{}, errors.New("is a folder")
	}
	if !info.Mode().IsRegular() { // reading a pipe or a device may never end
		return record{}, errors.New("is not a regular file")
	}
	ix.mu.Lock()
	r, ok := ix.records[path]
	ix.mu.Unlock()
	if ok && r.Size == info.Size() && r.MTime == info.ModTime().UnixNano() {
		return r, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return record{}, err
	}
	sum := sha256.Sum256(b)
	r = record{Path: path, Size: int64(len(b)), MTime: info.ModTime().UnixNano(), SHA256: hex.EncodeToString(sum[:])}
	if err := check(b); err != nil {
		r.Broken = err.Error()
	}
	// A file changed a moment ago may change again within the clock's tick, and would then look unchanged.
	if time.Since(info.ModTime()) > 2*time.Second && r.Size == info.Size() {
		ix.mu.Lock()
		ix.records[path], ix.changed = r, true
		ix.mu.Unlock()
	}
	return r, nil
}

// each calls do for every item of the data set, in parallel, and returns the errors in the items' order.
func (d *Dataset) each(ctx context.Context, do func(*Item) error) error {
	var items []*Item
	for _, s := range d.orderedSplits() {
		for i := range s.Items {
			items = append(items, &s.Items[i])
		}
	}
	errs := make([]error, len(items))
	var g errgroup.Group
	g.SetLimit(2 * runtime.GOMAXPROCS(0)) // some wait for the disk while others compute
	for i, it := range items {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if ctx.Err() == nil {
				errs[i] = do(it)
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return nil: all problems are told, not the first
	if err := ctx.Err(); err != nil {
		return err
	}
	var p Problems
	for _, err := range errs {
		if err != nil {
			p = append(p, err)
		}
	}
	return p.err()
}

// Hash returns the hash of the data set's content, in hex: SHA-256 over each split's pictures, with their paths, classes
// and the SHA-256 of their files. The data set's name and place do not matter. It also sets every item's SHA256, so it
// must not run beside other uses of the data set. ix may be nil.
func (d *Dataset) Hash(ctx context.Context, ix *Index) (string, error) {
	if ix == nil {
		ix = OpenIndex("")
	}
	err := d.each(ctx, func(it *Item) error {
		switch s := it.source.(type) {
		case fileSource:
			r, err := ix.look(string(s))
			if err != nil {
				return &PictureError{Path: it.Path, Err: plainError(err)}
			}
			it.SHA256 = r.SHA256
		case syntheticSource:
			it.SHA256 = s.hash()
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "ftrun data set 1\nclasses %q\n", d.Classes)
	for _, s := range d.orderedSplits() {
		fmt.Fprintf(h, "split %q\n", s.Name)
		for _, it := range s.Items {
			fmt.Fprintf(h, "%s %d %q\n", it.SHA256, it.Class, it.Path)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Verify finds the broken pictures without decoding the good ones where that can be seen from a file's start and end, and
// names them all, as Problems of *PictureError. A JPEG or PNG with damage in the middle is only found when it is decoded.
// ix may be nil.
func (d *Dataset) Verify(ctx context.Context, ix *Index) error {
	if ix == nil {
		ix = OpenIndex("")
	}
	return d.each(ctx, func(it *Item) error {
		s, ok := it.source.(fileSource)
		if !ok {
			return nil
		}
		r, err := ix.look(string(s))
		switch {
		case err != nil:
			err = plainError(err)
		case r.Broken != "" && strings.HasPrefix(filepath.Base(string(s)), "._"):
			err = fmt.Errorf("%s (macOS leaves such files beside the real ones: delete all ._ files)", r.Broken)
		case r.Broken != "":
			err = errors.New(r.Broken)
		default:
			return nil
		}
		return &PictureError{Path: it.Path, Err: err}
	})
}
