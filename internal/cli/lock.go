package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsimple"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/ftrun/ftrun/internal/runlog"
)

// lock is .ftrun.lock.hcl: what the weights and data sets of this folder are, to the last bit. Users commit it, so that
// another machine trains from the same things or is told that it does not.
type lock struct {
	path string
	mu   sync.Mutex

	Weights  []lockedWeights `hcl:"weights,block"`
	Datasets []lockedDataset `hcl:"dataset,block"`
}

// lockedWeights is a file of torchvision's catalogue.
type lockedWeights struct {
	File   string `hcl:"file,label"`
	SHA256 string `hcl:"sha256"`
}

// lockedDataset is a data set by its name.
type lockedDataset struct {
	Name string `hcl:"name,label"`
	Hash string `hcl:"hash"`
}

const lockHeader = "# Kept by ftrun: what the weights and data sets are, to the last bit. Commit it; `ftrun init -upgrade` renews it.\n"

func readLock(path string) (*lock, error) {
	l := &lock{path: path}
	src, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	if err := hclsimple.Decode(path, src, nil, l); err != nil {
		var diags hcl.Diagnostics
		if errors.As(err, &diags) {
			err = diags
		}
		return nil, fmt.Errorf("the lock file can't be read, and is not to be edited by hand; restore it, or remove it and run `ftrun init`: %w", err)
	}
	return l, nil
}

// pin holds a file of the catalogue against the lock, or notes it there where it is new.
func (l *lock) pin(file, sha256 string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.Weights {
		if w.File != file {
			continue
		}
		if w.SHA256 != sha256 {
			return fmt.Errorf("%s is not the file that %s holds: its SHA-256 is %s, locked is %s; `ftrun init -upgrade` takes the new one", file, l.path, sha256, w.SHA256)
		}
		return nil
	}
	l.Weights = append(l.Weights, lockedWeights{file, sha256})
	return l.write()
}

// pinDataset does the same for a data set.
func (l *lock) pinDataset(name, hash string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.Datasets {
		if d.Name != name {
			continue
		}
		if d.Hash != hash {
			return fmt.Errorf("the pictures of data set %q are not those that %s holds (now %.12s…, locked %.12s…); `ftrun init -upgrade` takes them as they are", name, l.path, hash, d.Hash)
		}
		return nil
	}
	l.Datasets = append(l.Datasets, lockedDataset{name, hash})
	return l.write()
}

func (l *lock) write() error {
	slices.SortFunc(l.Weights, func(a, b lockedWeights) int { return cmp.Compare(a.File, b.File) })
	slices.SortFunc(l.Datasets, func(a, b lockedDataset) int { return cmp.Compare(a.Name, b.Name) })
	f := hclwrite.NewEmptyFile()
	for _, d := range l.Datasets {
		f.Body().AppendNewline()
		f.Body().AppendNewBlock("dataset", []string{d.Name}).Body().SetAttributeValue("hash", cty.StringVal(d.Hash))
	}
	for _, w := range l.Weights {
		f.Body().AppendNewline()
		f.Body().AppendNewBlock("weights", []string{w.File}).Body().SetAttributeValue("sha256", cty.StringVal(w.SHA256))
	}
	return runlog.WriteFile(l.path, func(w io.Writer) error {
		_, err := w.Write(append([]byte(lockHeader), f.Bytes()...))
		return err
	})
}
