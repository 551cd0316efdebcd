package planner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ftrun/ftrun/spec"
)

// fakeWorld has two small architectures, one data set found wherever it is looked for, and a store in memory.
type fakeWorld struct {
	World
	models  *fakeModels
	data    *fakeData
	weights *fakeWeights
	store   fakeStore
}

func newFakeWorld() *fakeWorld {
	w := &fakeWorld{models: &fakeModels{}, data: &fakeData{train: 244, val: 153}, weights: &fakeWeights{}, store: fakeStore{}}
	w.World = World{Models: w.models, Data: w.data, Weights: w.weights, Store: w.store, Version: "0.1.0", Numerics: 1}
	return w
}

// fakeModels: "resnet18" has a batch norm, "alexnet" none, "inception_v3" takes larger pictures.
type fakeModels struct{ inspections int }

type fakeParam struct {
	name          string
	len           int64
	moving        bool
	head, trained bool
}

func (m *fakeModels) Names() []string {
	return []string{"resnet18", "resnet34", "alexnet", "inception_v3"}
}

func (m *fakeModels) DefaultImage(arch string) (resize, crop int) {
	if arch == "inception_v3" {
		return 342, 299
	}
	return 256, 224
}

func (m *fakeModels) MinCrop(arch string) int {
	if arch == "inception_v3" {
		return 75
	}
	return 32
}

func (m *fakeModels) params(arch string, classes int) []fakeParam {
	if arch == "alexnet" {
		return []fakeParam{
			{name: "features.0.weight", len: 100}, {name: "classifier.6.weight", len: int64(10 * classes), head: true},
			{name: "classifier.6.bias", len: int64(classes), head: true},
		}
	}
	return []fakeParam{
		{name: "conv1.weight", len: 90}, {name: "bn1.weight", len: 8}, {name: "bn1.bias", len: 8},
		{name: "bn1.running_mean", len: 8, moving: true}, {name: "bn1.running_var", len: 8, moving: true},
		{name: "layer4.0.conv1.weight", len: 70},
		{name: "fc.weight", len: int64(5 * classes), head: true}, {name: "fc.bias", len: int64(classes), head: true},
	}
}

func (p *fakeParam) matches(pattern string) bool {
	prefix, wide := strings.CutSuffix(pattern, "**")
	return pattern == "head" && p.head || wide && strings.HasPrefix(p.name, prefix) || pattern == p.name
}

func (m *fakeModels) Inspect(n Network) (Inspection, error) {
	m.inspections++
	if slices.Contains(n.Trainable, "[") {
		return Inspection{}, errors.New(`the pattern "[" has no closing bracket`)
	}
	var in Inspection
	params := m.params(n.Arch, n.Classes)
	matched := map[string]bool{}
	for i := range params {
		p := &params[i]
		for _, pattern := range n.Trainable {
			if p.matches(pattern) && !p.moving {
				matched[pattern], p.trained = true, true
			}
		}
		if !p.moving {
			in.Params.Total += p.len
		}
		if p.trained {
			in.Params.Trainable += p.len
		}
		if p.moving && (n.BatchNorm == "train" || n.BatchNorm == "auto" && params[1].trained) {
			in.Params.Moving += p.len
		}
	}
	for _, pattern := range n.Trainable {
		if !matched[pattern] {
			in.Unmatched = append(in.Unmatched, pattern)
		}
	}
	switch {
	case in.Params.Moving > 0 || len(params) > 0 && params[0].trained:
		in.Why = "too little is frozen"
	case n.Arch == "alexnet":
		in.Train, in.Val = Cut{"flatten", [3]int{1, 1, 9}}, Cut{"classifier.5", [3]int{1, 1, 4}}
	default:
		in.Train = Cut{"flatten", [3]int{1, 1, 5}}
		in.Val = in.Train
	}
	for _, pattern := range n.Groups {
		named, used := false, false
		for i := range params {
			if params[i].matches(pattern) {
				named, used = true, used || params[i].trained
			}
		}
		switch {
		case !named:
			in.Unmatched = append(in.Unmatched, pattern)
		case !used:
			in.Idle = append(in.Idle, pattern)
		}
	}
	return in, nil
}

// fakeData finds two classes unless told otherwise; a path that holds "absent" is not there.
type fakeData struct {
	train, val int
	classes    []string
	changed    string // part of the hash
	described  int
}

func (f *fakeData) Describe(_ context.Context, d *spec.Dataset) (Dataset, error) {
	f.described++
	if strings.Contains(d.Path, "absent") {
		return Dataset{}, fs.ErrNotExist
	}
	classes := f.classes
	if classes == nil {
		classes = []string{"ants", "bees"}
	}
	return Dataset{
		Name: d.Name, Kind: d.Kind, Path: d.Path, Splits: d.Splits, Fractions: d.Fractions,
		Hash: "hash of " + filepath.Clean(d.Path) + f.changed, Classes: classes, Pictures: map[string]int{"train": f.train, "val": f.val},
	}, nil
}

type fakeWeights struct{ changed string }

func (f *fakeWeights) Names(arch string) []string { return []string{"IMAGENET1K_V1", "IMAGENET1K_V2"} }

func (f *fakeWeights) Lookup(arch, name string) (CatalogueEntry, bool) {
	if name == "DEFAULT" {
		name = "IMAGENET1K_V2"
	}
	resize, crop := (&fakeModels{}).DefaultImage(arch)
	e := CatalogueEntry{Name: name, Image: Image{Resize: resize, Crop: crop, Mean: imageNetMean, Std: imageNetStd}}
	if arch == "inception_v3" {
		e.Image.Mean, e.Image.Std = [3]float32{0.5, 0.5, 0.5}, [3]float32{0.5, 0.5, 0.5}
	}
	return e, slices.Contains(f.Names(arch), name)
}

func (f *fakeWeights) FileSHA256(path string) (string, error) {
	if strings.Contains(path, "absent") {
		return "", fs.ErrNotExist
	}
	return "sum of " + filepath.Base(path) + f.changed, nil
}

func (f *fakeWeights) CheckFile(path, arch string) error {
	if other, only := strings.CutPrefix(filepath.Base(path), "only_"); only && other != arch+".pth" {
		return fmt.Errorf("%s does not hold weights of %s", path, arch)
	}
	return nil
}

type fakeStore map[string]RunState

func (s fakeStore) IDs() ([]string, error) { return mapKeys(s), nil }

func (s fakeStore) Trajectories() (map[string][]string, error) { return nil, nil }

func (s fakeStore) Status(id string) (RunState, error) {
	state, ok := s[id]
	if !ok {
		return state, fmt.Errorf("asked for run %s, which is not in the listing", id)
	}
	return state, nil
}

const antsAndBees = `
dataset "ants" {
  kind   = "imagefolder"
  path   = "data/ants"
  splits = { train = "train", val = "val" }
}
`

// load reads a file of the language, to which the data set "ants" is added.
func load(tb testing.TB, src string) *spec.Spec {
	tb.Helper()
	s, diags := spec.LoadSources(map[string][]byte{"test.hcl": []byte(src + antsAndBees)}, spec.Options{})
	if diags.HasErrors() {
		tb.Fatalf("the test's own file is wrong: %v", diags)
	}
	return s
}

// plan makes a plan that must have no errors.
func plan(tb testing.TB, w *fakeWorld, src string, opt Options) *Plan {
	tb.Helper()
	p, diags := Make(context.Background(), load(tb, src), w.World, opt)
	if diags.HasErrors() {
		tb.Fatalf("unexpected errors: %s", texts(diags))
	}
	return p
}

// texts writes diagnostics as "line: summary: detail", one a line.
func texts(diags spec.Diagnostics) string {
	var lines []string
	for _, d := range diags {
		place := "-"
		if d.Subject != nil {
			place = fmt.Sprint(d.Subject.Start.Line)
		}
		lines = append(lines, fmt.Sprintf("%s: %s: %s", place, d.Summary, d.Detail))
	}
	return strings.Join(lines, "\n")
}

// sweepOf wraps the attributes of a run block.
func sweepOf(run string) string {
	return `sweep "s" {
  dataset = dataset.ants
  run {
` + run + `
  }
}
`
}
