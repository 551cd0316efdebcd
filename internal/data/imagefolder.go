package data

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// classFolder is one class of one split as it lies on disk.
type classFolder struct {
	name  string
	items []Item // Class is not yet set
}

func openImageFolder(ctx context.Context, cfg Config) (*Dataset, Problems) {
	var p Problems
	root, err := filepath.Abs(cfg.Path)
	if err == nil {
		var info fs.FileInfo
		if info, err = os.Stat(root); err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is a file, not a folder", cfg.Path)
		}
	}
	switch {
	case cfg.Path == "":
		p.addf("the path is missing: name the folder that holds the pictures")
	case os.IsNotExist(err):
		p.addf("there is no folder %s: check the path, or fetch the data set", cfg.Path)
	case err != nil:
		p.addf("folder %s: %w", cfg.Path, plainError(err))
	case cfg.Folders != nil && cfg.Fractions != nil:
		p.addf("splits are given both by folders and by fractions: keep one of them")
	}
	if len(p) > 0 {
		return nil, p
	}
	d := &Dataset{Name: cfg.Name, Root: root, Splits: map[string]*Split{}}
	if cfg.Fractions != nil {
		p = d.openFractions(ctx, cfg)
	} else {
		p = d.openFolders(ctx, cfg)
	}
	return d, p
}

// openFolders reads one folder a split and checks that the splits agree on the classes.
func (d *Dataset) openFolders(ctx context.Context, cfg Config) Problems {
	folders := cfg.Folders
	if folders == nil {
		folders = map[string]string{Train: Train, Val: Val}
	}
	p := checkSplitNames(folders, Train, Val)
	found := map[string][]classFolder{}
	owner := map[string]string{} // folder → the split that has it
	for _, split := range splitNames {
		folder, ok := folders[split]
		if !ok {
			continue
		}
		folder = path.Clean(filepath.ToSlash(folder))
		if other, taken := owner[folder]; taken {
			p.addf("the splits %s and %s are the same folder %s: what is learnt from must not be what is tested on", other,
				split, folder)
			continue
		}
		owner[folder] = split
		classes, problems := listClasses(ctx, d.Root, folder)
		p = append(p, problems...)
		found[split] = classes
		for _, c := range classes {
			d.Classes = append(d.Classes, c.name)
		}
	}
	slices.Sort(d.Classes)
	d.Classes = slices.Compact(d.Classes)
	for _, split := range splitNames {
		classes, ok := found[split]
		if !ok || len(classes) == 0 {
			continue // told already
		}
		s := &Split{Name: split}
		for i, name := range d.Classes {
			at := slices.IndexFunc(classes, func(c classFolder) bool { return c.name == name })
			if at < 0 {
				p.addf("the class %q is missing in %s: every split needs the same class folders", name, folders[split])
				continue
			}
			for _, it := range classes[at].items {
				it.Class = i
				s.Items = append(s.Items, it)
			}
		}
		d.Splits[split] = s
	}
	if len(p) == 0 {
		p = d.checkClasses()
	}
	return p
}

// openFractions reads one folder and cuts each class by the rank of its pictures' hashed paths.
func (d *Dataset) openFractions(ctx context.Context, cfg Config) Problems {
	p := checkSplitNames(cfg.Fractions, Val)
	rest := 1.0
	for _, split := range splitNames {
		share, ok := cfg.Fractions[split]
		if !ok {
			continue
		}
		if !(share > 0 && share < 1) {
			p.addf("the share %v of split %s must lie between 0 and 1", share, split)
		}
		if split != Train {
			rest -= share
		}
	}
	if train, ok := cfg.Fractions[Train]; ok && math.Abs(train-rest) > 1e-9 {
		p.addf("the shares of the splits must add up to 1 where train is given: leave train out, it is what remains")
	}
	if rest <= 1e-9 {
		p.addf("the shares of the splits leave no pictures to train on")
	}
	if len(p) > 0 {
		return p
	}
	classes, p := listClasses(ctx, d.Root, ".")
	cuts := []string{} // every split but train
	for _, split := range splitNames {
		if _, ok := cfg.Fractions[split]; ok || split == Train {
			d.Splits[split] = &Split{Name: split}
			if split != Train {
				cuts = append(cuts, split)
			}
		}
	}
	for i, c := range classes {
		d.Classes = append(d.Classes, c.name)
		if len(c.items) < len(d.Splits) {
			p.addf("the class %q has too few pictures (%d) to be cut into %d splits", c.name, len(c.items), len(d.Splits))
			continue
		}
		rank := make([]int, len(c.items))
		hash := make([]string, len(c.items))
		for j, it := range c.items {
			sum := sha256.Sum256([]byte(it.Path))
			rank[j], hash[j] = j, string(sum[:])
		}
		slices.SortFunc(rank, func(a, b int) int { return cmp.Compare(hash[a], hash[b]) })
		split := make([]string, len(c.items))
		for j := range split {
			split[j] = Train
		}
		next := 0
		for k, name := range cuts {
			n := max(int(math.Round(cfg.Fractions[name]*float64(len(c.items)))), 1)
			n = min(n, len(c.items)-next-(len(cuts)-k)) // the splits yet to come and train get one each
			for range n {
				split[rank[next]] = name
				next++
			}
		}
		for j, it := range c.items {
			it.Class = i
			s := d.Splits[split[j]]
			s.Items = append(s.Items, it)
		}
	}
	if len(p) == 0 {
		p = d.checkClasses()
	}
	return p
}

// listClasses lists the class folders of root/folder, sorted, as torchvision's find_classes and make_dataset do.
func listClasses(ctx context.Context, root, folder string) ([]classFolder, Problems) {
	var p Problems
	entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(folder)))
	if err != nil {
		if os.IsNotExist(err) {
			p.addf("there is no folder %s in %s%s", folder, root, whatIsThere(root))
		} else {
			p.addf("folder %s: %w", folder, plainError(err))
		}
		return nil, p
	}
	var classes []classFolder
	loose := 0
	for _, e := range entries {
		if !isDir(filepath.Join(root, filepath.FromSlash(folder), e.Name()), e) {
			if IsPictureName(e.Name()) {
				loose++
			}
			continue
		}
		rel := path.Join(folder, e.Name())
		items, problems := listPictures(ctx, root, rel)
		p = append(p, problems...)
		if len(items) == 0 && len(problems) == 0 {
			advice := "put some there, or delete it"
			if strings.HasPrefix(e.Name(), ".") {
				advice = "it is a hidden folder left by another program, delete it"
			}
			p.addf("the class folder %s holds no picture (%s): %s", rel, strings.Join(Extensions, " "), advice)
		}
		classes = append(classes, classFolder{e.Name(), items})
	}
	slices.SortFunc(classes, func(a, b classFolder) int { return cmp.Compare(a.name, b.name) })
	if len(classes) == 0 {
		if loose > 0 {
			p.addf("the folder %s holds %d pictures but no class folders: sort the pictures into one folder a class", folder, loose)
		} else {
			p.addf("the folder %s holds no class folders", folder)
		}
	}
	return classes, p
}

// whatIsThere names the folders that a user may have meant.
func whatIsThere(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range entries {
		if isDir(filepath.Join(dir, e.Name()), e) {
			names = append(names, e.Name())
		}
	}
	switch {
	case len(names) == 0:
		return ", which holds no folders"
	case len(names) > 8:
		names = append(names[:8], "…")
	}
	return ", which holds " + strings.Join(names, ", ")
}

// isDir follows symbolic links, as ImageFolder does.
func isDir(name string, e fs.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.IsDir()
	}
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// listPictures lists the pictures below one class folder at any depth: folders sorted by their whole paths, files by name.
// folder is relative to root, with forward slashes, and so are the items' paths.
func listPictures(ctx context.Context, root, folder string) ([]Item, Problems) {
	var p Problems
	type dir struct {
		rel   string
		files []string
	}
	var dirs []dir
	var walk func(rel string, above []fs.FileInfo)
	walk = func(rel string, above []fs.FileInfo) {
		if ctx.Err() != nil {
			return
		}
		name := filepath.Join(root, filepath.FromSlash(rel))
		info, err := os.Stat(name)
		if err != nil {
			p.addf("folder %s: %w", rel, plainError(err))
			return
		}
		for _, a := range above {
			if os.SameFile(a, info) {
				p.addf("folder %s: a symbolic link leads back to a folder that holds it: delete the link", rel)
				return
			}
		}
		entries, err := os.ReadDir(name)
		if err != nil {
			p.addf("folder %s: %w", rel, plainError(err))
			return
		}
		at := len(dirs)
		dirs = append(dirs, dir{rel: rel})
		for _, e := range entries {
			if isDir(filepath.Join(name, e.Name()), e) {
				walk(path.Join(rel, e.Name()), append(above[:len(above):len(above)], info))
			} else if IsPictureName(e.Name()) {
				dirs[at].files = append(dirs[at].files, e.Name())
			}
		}
	}
	walk(folder, nil)
	slices.SortFunc(dirs, func(a, b dir) int { return cmp.Compare(a.rel, b.rel) })
	var items []Item
	for _, d := range dirs {
		slices.Sort(d.files)
		for _, f := range d.files {
			rel := path.Join(d.rel, f)
			items = append(items, Item{Path: rel, source: fileSource(filepath.Join(root, filepath.FromSlash(rel)))})
		}
	}
	return items, p
}
