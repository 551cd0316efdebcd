package spec

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// The defaults and bounds of a synthetic data set. Its generator knows ten classes of each task.
const (
	defaultTask    = "shapes"
	defaultClasses = 4
	mostClasses    = 10
	defaultSize    = 64
	mostSize       = 1024
	mostPictures   = 10_000_000
)

var defaultPictures = map[string]int{"train": 400, "val": 200}

var splitNames = []string{"train", "val", "test"}

// datasetBlock is what a dataset block says before its kind is known.
type datasetBlock struct {
	kind      string
	path      *string
	splits    map[string]string
	fractions map[string]float64
	task      *string
	classes   *int
	pictures  map[string]int
	size      *int
	seed      *int64
}

var datasetBlockType = &blockType[datasetBlock]{
	name: "dataset",
	key:  "kind",
	fields: []field[datasetBlock]{
		kindField("kind", "kind of data set", []string{"imagefolder", "synthetic"}, func(d *datasetBlock) *string { return &d.kind }),
		{"path", func(m *module, d *datasetBlock, v cty.Value) *problem {
			s, p := asString("path", v)
			if p == nil && s == "" {
				p = problemf(outOfRange, "path is empty. Give the folder, relative to this file's.")
			}
			path := m.resolve(s)
			d.path = &path
			return p
		}},
		{"splits", setSplits},
		enumField("task", "task", []string{"shapes", "textures"}, func(d *datasetBlock) **string { return &d.task }),
		intField("classes", 2, func(d *datasetBlock) **int { return &d.classes }),
		{"pictures", setPictures},
		intField("size", 16, func(d *datasetBlock) **int { return &d.size }),
		{"seed", func(_ *module, d *datasetBlock, v cty.Value) *problem {
			n, p := asInt("seed", v, 0)
			d.seed = &n
			return p
		}},
	},
	check: checkDataset,
}

func checkDataset(d *datasetBlock, report func(string, *problem)) {
	unused := func(attr string, given bool) {
		if given {
			report(attr, ineffective("A data set of kind %q has no %s, so it would have no effect. Take it out.", d.kind, attr))
		}
	}
	if d.kind == "imagefolder" {
		unused("task", d.task != nil)
		unused("classes", d.classes != nil)
		unused("pictures", d.pictures != nil)
		unused("size", d.size != nil)
		unused("seed", d.seed != nil)
		if d.path == nil {
			report("", problemf(missing, "A data set of kind \"imagefolder\" needs path, the folder that holds the splits."))
		}
		return
	}
	unused("path", d.path != nil)
	unused("splits", d.splits != nil || d.fractions != nil)
	classes := defaultClasses
	if d.classes != nil {
		classes = *d.classes
	}
	if classes > mostClasses {
		report("classes", problemf(outOfRange, "classes must be at most %d; this is %d.", mostClasses, classes))
	}
	for _, split := range mapKeys(d.pictures) {
		if n := d.pictures[split]; n > mostPictures {
			report("pictures", problemf(outOfRange, "The split %s has %d pictures; the most is %d.", split, n, mostPictures))
		} else if n < classes {
			report("pictures", problemf(outOfRange, "The split %s has %d pictures, fewer than the %d classes.", split, n, classes))
		}
	}
	if d.size != nil && *d.size > mostSize {
		report("size", problemf(outOfRange, "size must be at most %d pixels; this is %d.", mostSize, *d.size))
	}
}

// checkSplits makes sure that names are those of splits and that none of needed is missing.
func checkSplits(attr string, given map[string]cty.Value, needed ...string) *problem {
	for _, name := range mapKeys(given) {
		if !slices.Contains(splitNames, name) {
			return problemf("Unknown split", "There is no split %s.%s", quote(name), suggestion(name, splitNames)).of(name)
		}
	}
	for _, name := range needed {
		if v, ok := given[name]; !ok || v.IsNull() {
			return problemf(missing, "%s needs %s.", attr, name)
		}
	}
	return nil
}

// setSplits takes folders, { train = "train", val = "val" }, or the shares to cut off for validation, { val = 0.2 }.
func setSplits(_ *module, d *datasetBlock, v cty.Value) *problem {
	given, p := asObject("splits", v)
	if p != nil {
		return p
	}
	numbers := 0
	for _, v := range given {
		if v.Type() == cty.Number {
			numbers++
		}
	}
	if numbers == 0 {
		if p := checkSplits("splits", given, "train", "val"); p != nil {
			return p
		}
		d.splits = map[string]string{}
		for _, name := range mapKeys(given) {
			if given[name].IsNull() {
				continue
			}
			folder, p := asString("each of splits", given[name])
			if p == nil && folder == "" {
				p = problemf(outOfRange, "The folder of the split %s is empty.", name)
			}
			if p != nil {
				return p.of(name)
			}
			for _, other := range mapKeys(d.splits) {
				if d.splits[other] == folder {
					return problemf("Duplicate value", "The splits %s and %s have the same folder, %s: what is trained on cannot "+
						"be measured on. To cut one folder write splits = { val = 0.2 }.", other, name, quote(folder))
				}
			}
			d.splits[name] = folder
		}
		return nil
	}
	if p := checkSplits("splits", given, "val"); p != nil {
		return p
	}
	if _, ok := given["train"]; ok {
		return problemf("Invalid splits", "Where splits cut one folder by shares, train is what remains: take it out, as in "+
			"splits = { val = 0.2 }. To name folders, give strings.").of("train")
	}
	d.fractions = map[string]float64{}
	total := 0.0
	for _, name := range mapKeys(given) {
		if given[name].IsNull() {
			continue
		}
		x, p := share.convert("the share of "+name, given[name])
		if p != nil {
			return p.of(name)
		}
		d.fractions[name] = x
		total += x
	}
	if total >= 1 {
		return problemf(outOfRange, "The shares of splits come to %g, so nothing remains for training.", total)
	}
	return nil
}

func setPictures(_ *module, d *datasetBlock, v cty.Value) *problem {
	given, p := asObject("pictures", v)
	if p == nil {
		p = checkSplits("pictures", given, "train", "val")
	}
	if p != nil {
		return p
	}
	d.pictures = map[string]int{}
	for _, name := range mapKeys(given) {
		if given[name].IsNull() {
			continue
		}
		n, p := asCount("the number of pictures of "+name, given[name], 1)
		if p != nil {
			return p.of(name)
		}
		d.pictures[name] = n
	}
	return nil
}

// decodeDatasets gives the dataset blocks their meaning.
func (m *module) decodeDatasets() Diagnostics {
	var diags Diagnostics
	for _, name := range m.inOrder("dataset") {
		ds := m.datasets[name]
		out := ds.value
		out.Ranges = map[string]hcl.Range{}
		diags = append(diags, shape{attributes: datasetBlockType.names()}.check(ds.block.Body, "in a dataset block")...)
		c, d := compileBlock(m, datasetBlockType, ds.block.Body, headerOf(ds.block), scope{}, "", out.Ranges)
		diags = append(diags, d...)
		if c.absent {
			ds.absent = true
			continue
		}
		b := c.base
		out.Kind = b.kind
		m.spec.Datasets = append(m.spec.Datasets, out)
		if b.kind != "synthetic" {
			out.Splits, out.Fractions = b.splits, b.fractions
			if out.Splits == nil && out.Fractions == nil {
				out.Splits = map[string]string{"train": "train", "val": "val"}
			}
			if b.path != nil {
				out.Path = *b.path
			}
			continue
		}
		s := &Synthetic{Task: defaultTask, Classes: defaultClasses, Pictures: defaultPictures, Size: defaultSize}
		if b.task != nil {
			s.Task = *b.task
		}
		if b.classes != nil {
			s.Classes = *b.classes
		}
		if b.pictures != nil {
			s.Pictures = b.pictures
		}
		if b.size != nil {
			s.Size = *b.size
		}
		if b.seed != nil {
			s.Seed = *b.seed
		}
		out.Synthetic = s
	}
	return diags
}
