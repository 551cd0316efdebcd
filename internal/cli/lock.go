package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsimple"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/planner"
)

// lockPath is the lock file, in the working directory wherever the store is.
const lockPath = ".ftrun.lock.hcl"

// lock is .ftrun.lock.hcl: what the weights and data sets of this folder are, to the last bit. Users commit it, so that
// another machine trains from the same things or is told that it does not. Unlike the store's files it has no checksum: git
// merges it line by line, and then each entry of either side is right. What it holds are hashes: one that was altered
// refuses what it belongs to, and lets nothing wrong pass.
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

// lockedDataset is a data set by its name and folder: the files of one working directory may use a name twice.
type lockedDataset struct {
	Name string `hcl:"name,label"`
	Path string `hcl:"path"`
	Hash string `hcl:"hash"`
}

const lockHeader = "# Kept by ftrun: what the weights and data sets are, to the last bit. Commit it; `ftrun init -upgrade` renews it.\n"

func readLock(path string) (*lock, error) {
	l := &lock{path: path}
	src, err := durable.ReadFile(path)
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

// pin holds a file of the catalogue against the lock, or notes it there where it is new. With renew the lock follows the
// file.
func (l *lock) pin(file, sha256 string, renew bool) error {
	return l.update(func() (changed bool, err error) {
		i := slices.IndexFunc(l.Weights, func(w lockedWeights) bool { return w.File == file })
		switch {
		case i < 0:
			l.Weights = append(l.Weights, lockedWeights{file, sha256})
		case l.Weights[i].SHA256 == sha256:
			return false, nil
		case renew:
			l.Weights[i].SHA256 = sha256
		default:
			return false, l.otherWeights(file, sha256, l.Weights[i])
		}
		return true, nil
	})
}

// checkWeights holds a file of the catalogue against the lock, and changes nothing.
func (l *lock) checkWeights(file, sha256 string) error {
	i := slices.IndexFunc(l.Weights, func(w lockedWeights) bool { return w.File == file })
	if i < 0 || l.Weights[i].SHA256 == sha256 {
		return nil
	}
	return l.otherWeights(file, sha256, l.Weights[i])
}

func (l *lock) otherWeights(file, sha256 string, locked lockedWeights) error {
	return fmt.Errorf("%s is not the file that %s holds: its SHA-256 is %s, locked is %s; `ftrun init -upgrade FILE` takes the new one", file, l.path, sha256, locked.SHA256)
}

// checkDatasets holds data sets of pictures in folders against the lock. What is generated is what the configuration
// says, and needs no lock.
func (l *lock) checkDatasets(sets []planner.Dataset) error {
	for _, d := range sets {
		if i := l.find(d); i >= 0 && l.Datasets[i].Hash != d.Hash {
			return fmt.Errorf("the data set %q in %s, its pictures or its splits, is not what %s holds (now %.12s…, locked %.12s…); `ftrun init -upgrade FILE` takes it as it is",
				d.Name, d.Path, l.path, d.Hash, l.Datasets[i].Hash)
		}
	}
	return nil
}

// pinDatasets checks them and notes those that are new. With renew the lock follows them.
func (l *lock) pinDatasets(sets []planner.Dataset, renew bool) error {
	return l.update(func() (changed bool, err error) {
		if err := l.checkDatasets(sets); err != nil && !renew {
			return false, err
		}
		for _, d := range sets {
			if d.Kind != "imagefolder" {
				continue
			}
			i := l.find(d)
			if i < 0 {
				i = len(l.Datasets)
				l.Datasets = append(l.Datasets, lockedDataset{Name: d.Name, Path: d.Path})
			}
			changed = changed || l.Datasets[i].Hash != d.Hash
			l.Datasets[i].Hash = d.Hash
		}
		return changed, nil
	})
}

// update changes what the lock file says now, other processes' changes included.
func (l *lock) update(change func() (changed bool, err error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, err := readLock(l.path)
	if err != nil {
		return err
	}
	l.Weights, l.Datasets = now.Weights, now.Datasets
	changed, err := change()
	if err != nil || !changed {
		return err
	}
	return l.write()
}

func (l *lock) find(d planner.Dataset) int {
	return slices.IndexFunc(l.Datasets, func(was lockedDataset) bool { return was.Name == d.Name && was.Path == d.Path })
}

func (l *lock) write() error {
	slices.SortFunc(l.Weights, func(a, b lockedWeights) int { return cmp.Compare(a.File, b.File) })
	slices.SortFunc(l.Datasets, func(a, b lockedDataset) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Path, b.Path))
	})
	f := hclwrite.NewEmptyFile()
	for _, d := range l.Datasets {
		f.Body().AppendNewline()
		block := f.Body().AppendNewBlock("dataset", []string{d.Name}).Body()
		block.SetAttributeValue("path", cty.StringVal(d.Path))
		block.SetAttributeValue("hash", cty.StringVal(d.Hash))
	}
	for _, w := range l.Weights {
		f.Body().AppendNewline()
		f.Body().AppendNewBlock("weights", []string{w.File}).Body().SetAttributeValue("sha256", cty.StringVal(w.SHA256))
	}
	return durable.Write(l.path, append([]byte(lockHeader), f.Bytes()...))
}
