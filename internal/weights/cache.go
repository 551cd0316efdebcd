package weights

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/adrg/xdg"
	"github.com/gofrs/flock"
)

// Cache is where files of the catalogue lie on this machine, and how they come there.
type Cache struct {
	Dirs     []string     // searched in this order
	Download string       // where Fetch puts files; searched last where Dirs lacks it
	Client   *http.Client // nil for http.DefaultClient, which heeds HTTPS_PROXY
}

// DefaultCache searches $FTRUN_WEIGHTS, torch's own cache ($TORCH_HOME/hub/checkpoints, by default
// ~/.cache/torch/hub/checkpoints) and the folder ftrun/weights of the user's cache (XDG). Downloads go to
// $FTRUN_WEIGHTS where that is set, else to the last; torch's cache is never written to.
func DefaultCache() *Cache {
	c := &Cache{Download: filepath.Join(xdg.CacheHome, "ftrun", "weights")}
	if dir := os.Getenv("FTRUN_WEIGHTS"); dir != "" {
		c.Dirs = append(c.Dirs, dir)
	}
	if dir, ok := torchCheckpoints(); ok {
		c.Dirs = append(c.Dirs, dir)
	}
	c.Dirs = append(c.Dirs, c.Download)
	if dir := os.Getenv("FTRUN_WEIGHTS"); dir != "" {
		c.Download = dir
	}
	return c
}

// torchCheckpoints is the folder of torch.hub.load_state_dict_from_url (torch/hub.py, _get_torch_home). Torch uses
// ~/.cache on every system.
func torchCheckpoints() (string, bool) {
	home, err := os.UserHomeDir()
	dir := os.Getenv("TORCH_HOME")
	if dir == "" {
		cache := os.Getenv("XDG_CACHE_HOME")
		if cache == "" {
			cache = "~/.cache"
		}
		dir = filepath.Join(cache, "torch")
	}
	if rest, ok := strings.CutPrefix(dir, "~"); ok && (rest == "" || os.IsPathSeparator(rest[0])) {
		if err != nil {
			return "", false
		}
		dir = home + rest
	}
	return filepath.Join(dir, "hub", "checkpoints"), true
}

// MissingError says that a file of the catalogue is neither here nor could be fetched, and how to bring it by hand.
type MissingError struct {
	Entry    Entry
	Searched []string // folders
	Download string   // the folder to put it into
	Kept     int64    // bytes of a broken download that the next Fetch goes on from
	Err      error    // why it could not be fetched
}

func (e *MissingError) Error() string {
	kept := ""
	if e.Kept > 0 {
		kept = fmt.Sprintf(" The %.1f MB that came are kept, and the next try goes on from there.", float64(e.Kept)/1e6)
	}
	return fmt.Sprintf("the weights %s of %s are missing: %s is not in %s, and could not be fetched from %s: %v.%s "+
		"To bring it by hand, put %s into %s",
		e.Entry.Name, e.Entry.Arch, e.Entry.File, strings.Join(e.Searched, " or "), e.Entry.URL, e.Err, kept,
		e.Entry.File, e.Download)
}

func (e *MissingError) Unwrap() error { return e.Err }

// ChecksumError says that a file is not the one that its name promises.
type ChecksumError struct {
	Path      string
	Want, Got string // the first 8 digits of the SHA-256 as its name has them, and as its content has them
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("%s is truncated or altered: its SHA-256 begins with %s, and should with %s; "+
		"delete it, so that it can be fetched anew", e.Path, e.Got, e.Want)
}

// Locate looks for the entry's file in the cache's folders and checks it against the hash in its name. It uses no
// network. Where the only files of that name have other content, that is a *ChecksumError.
func (c *Cache) Locate(e Entry) (path string, found bool, err error) {
	var damaged error
	for _, dir := range c.searched() {
		path := filepath.Join(dir, e.File)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		switch err := verify(path, e.HashPrefix); {
		case err == nil:
			return path, true, nil
		case damaged == nil:
			damaged = fmt.Errorf("weights %s of %s: %w", e.Name, e.Arch, err)
		}
	}
	return "", false, damaged
}

func (c *Cache) searched() []string {
	if c.Download == "" || slices.Contains(c.Dirs, c.Download) {
		return c.Dirs
	}
	return append(slices.Clone(c.Dirs), c.Download)
}

func verify(path, prefix string) error {
	sum, err := SHA256(path)
	if err != nil {
		return err
	}
	if got := sum[:len(prefix)]; got != prefix {
		return &ChecksumError{Path: path, Want: prefix, Got: got}
	}
	return nil
}

// Fetch returns the path of the entry's file, and downloads it first where the cache lacks it. A download is written
// aside (File.part, which a later Fetch goes on from), checked against the hash, synced and renamed; several processes
// may fetch at once, and one of them downloads.
//
// progress, which may be nil, is told the bytes that are here and the bytes of the whole, -1 where the server does not
// say; it is called for each piece that arrives, so it must be quick.
//
// Where the file cannot be had the error is a *MissingError, where a file is there but damaged a *ChecksumError.
func (c *Cache) Fetch(ctx context.Context, e Entry, progress func(done, total int64)) (string, error) {
	if path, found, err := c.Locate(e); found || err != nil {
		return path, err
	}
	missing := func(err error) error {
		m := &MissingError{Entry: e, Searched: c.searched(), Download: c.Download, Err: err}
		if info, err := os.Stat(c.part(e)); err == nil {
			m.Kept = info.Size()
		}
		return m
	}
	if err := os.MkdirAll(c.Download, 0o777); err != nil {
		return "", missing(fmt.Errorf("its folder cannot be made: %w", err))
	}
	// The lock's file stays: were it deleted, a process that waits for it and one that comes later would lock two files.
	lock := flock.New(filepath.Join(c.Download, "."+e.File+".lock"), flock.SetPermissions(0o666))
	defer lock.Close()
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("another process is fetching it: %w", context.Cause(ctx))
		}
		return "", missing(err)
	}
	if path, found, err := c.Locate(e); found || err != nil { // another process may have fetched it meanwhile
		return path, err
	}
	if err := c.download(ctx, e, progress); err != nil {
		return "", missing(err)
	}
	return filepath.Join(c.Download, e.File), nil
}

func (c *Cache) part(e Entry) string { return filepath.Join(c.Download, e.File+".part") }
