package data

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The kinds of data set.
const (
	ImageFolder = "imagefolder"
	Synthetic   = "synthetic"
)

// The names of splits. A data set has train and val; test is optional.
const (
	Train = "train"
	Val   = "val"
	Test  = "test"
)

var splitNames = []string{Train, Val, Test}

// Config says where a data set's pictures come from.
type Config struct {
	Name string // for people, in error texts
	Kind string // ImageFolder or Synthetic

	// Path is the data set's root: an absolute path or one relative to the working directory. ImageFolder only.
	Path string
	// Folders names the folder of each split below Path; each holds one folder a class. Nil, with Fractions nil too,
	// means train and val by their own names.
	Folders map[string]string
	// Fractions cuts the class folders right below Path into splits, instead of Folders: split → share of each class,
	// 0 < share < 1, for val and test; what remains is train. Which picture goes where follows from a hash of its path,
	// so it is the same for every run and machine, and a new picture moves few others.
	Fractions map[string]float64

	// Synthetic draws the pictures. Synthetic only.
	Synthetic SyntheticConfig
}

// Dataset is a resolved data set: its classes and the pictures of each split, in torchvision ImageFolder's order.
type Dataset struct {
	Name    string
	Root    string   // "" for a synthetic one
	Classes []string // sorted by bytes; an item's Class is an index into them
	Splits  map[string]*Split
}

// Split is one part of a data set. Items are sorted by class, then path.
type Split struct {
	Name  string
	Items []Item
}

// Counts returns the number of pictures of each of n classes.
func (s *Split) Counts(n int) []int {
	counts := make([]int, n)
	for _, it := range s.Items {
		if it.Class >= 0 && it.Class < n {
			counts[it.Class]++
		}
	}
	return counts
}

// Item is one picture of a split.
type Item struct {
	Path   string // for people: relative to the data set's root, with forward slashes
	Class  int    // index into the classes; −1 where it is not known
	SHA256 string // of the content, in hex; empty until Dataset.Hash

	source source
}

// source is where a picture's pixels come from. Values are comparable: equal sources are the same picture.
type source interface {
	// decode refuses content whose SHA-256, in hex, is not sum, unless sum is empty.
	decode(sum string) (*Image, error)
}

// fileSource is the path of a file.
type fileSource string

func (f fileSource) decode(sum string) (*Image, error) { return decodeFile(string(f), sum) }

// Decode returns the picture in RGB. A file whose content is not that of SHA256 any more is an error, for results are kept
// under the hash of what they were made from. Errors are *PictureError with the item's Path.
func (it Item) Decode() (*Image, error) {
	img, err := it.source.decode(it.SHA256)
	if err == nil {
		return img, nil
	}
	var pe *PictureError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return nil, &PictureError{Path: it.Path, Err: err}
}

// Problems are all the things that are wrong with a data set, told at once.
type Problems []error

const problemsShown = 20

func (p Problems) Error() string {
	lines := make([]string, 0, problemsShown+1)
	for i, err := range p {
		if i == problemsShown {
			lines = append(lines, fmt.Sprintf("and %d more", len(p)-i))
			break
		}
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

func (p Problems) Unwrap() []error { return p }

// err is nil where there are no problems.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

func (p *Problems) addf(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

// Open lists a data set's pictures and checks its folders and classes. It reads no picture: see Verify. What is wrong
// with the data set comes as Problems.
func Open(ctx context.Context, cfg Config) (*Dataset, error) {
	var d *Dataset
	var problems Problems
	switch cfg.Kind {
	case ImageFolder:
		d, problems = openImageFolder(ctx, cfg)
	case Synthetic:
		d, problems = openSynthetic(cfg)
	default:
		problems.addf("there is no kind of data set %q; there are %q and %q", cfg.Kind, ImageFolder, Synthetic)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := problems.err(); err != nil {
		return nil, fmt.Errorf("data set %q: %w", cfg.Name, err)
	}
	return d, nil
}

// checkClasses finds what no classifier can be trained on.
func (d *Dataset) checkClasses() (p Problems) {
	switch len(d.Classes) {
	case 0:
		p.addf("there are no classes")
	case 1:
		p.addf("there is one class only, %q: a classifier needs two or more", d.Classes[0])
	}
	return p
}

// orderedSplits are the splits in the order train, val, test.
func (d *Dataset) orderedSplits() []*Split {
	var splits []*Split
	for _, name := range splitNames {
		if s := d.Splits[name]; s != nil {
			splits = append(splits, s)
		}
	}
	return splits
}

// checkSplitNames finds unknown and missing splits among the keys of a configuration.
func checkSplitNames[V any](splits map[string]V, needed ...string) (p Problems) {
	names := make([]string, 0, len(splits))
	for name := range splits {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(splitNames, name) {
			p.addf("there is no split %q; there are %s", name, strings.Join(splitNames, ", "))
		}
	}
	for _, name := range needed {
		if _, ok := splits[name]; !ok {
			p.addf("the split %q is missing", name)
		}
	}
	return p
}
