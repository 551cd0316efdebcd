package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/ftrun/ftrun/executor"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/models"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
	"github.com/ftrun/ftrun/spec"
)

// numericsVersion goes up when a change gives the same settings other bits.
const numericsVersion = 2

// world wires what planning asks for to the packages that know it.
func (a *app) world() (planner.World, error) {
	store, err := a.runs()
	if err != nil {
		return planner.World{}, err
	}
	return planner.World{
		Models:    architectures{},
		Data:      datasets{store},
		Weights:   catalogue{},
		Store:     shelf{store},
		Baselines: baselines{a, map[string]*reports.Results{}},
		Version:   Version(),
		Numerics:  numericsVersion,
	}, nil
}

// architectures answers from package models.
type architectures struct{}

func (architectures) Names() []string { return models.Names() }

func (architectures) DefaultImage(arch string) (resize, crop int) {
	m, _ := models.Lookup(arch)
	return m.Resize, m.Crop
}

// MinCrop is asked for every run of a plan, and finding it builds the network several times, so it is remembered.
func (architectures) MinCrop(arch string) int {
	if n, ok := minCrops.Load(arch); ok {
		return n.(int)
	}
	m, _ := models.Lookup(arch)
	n := m.MinSize()
	minCrops.Store(arch, n)
	return n
}

var minCrops sync.Map // by architecture; never changes

func (architectures) Inspect(n planner.Network) (planner.Inspection, error) {
	net, err := models.Build(n.Arch, n.Classes, n.Crop)
	if err != nil {
		return planner.Inspection{}, err
	}
	var out planner.Inspection
	trainable := make([]bool, len(net.Params))
	for _, pattern := range n.Trainable {
		picked, err := models.Match(net, []string{pattern})
		if err != nil {
			out.Unmatched = append(out.Unmatched, pattern)
			continue
		}
		for i := range picked {
			trainable[i] = trainable[i] || picked[i]
		}
	}
	taken := make([]bool, len(net.Params))
	for _, pattern := range n.Groups {
		picked, err := models.Match(net, []string{pattern})
		if err != nil {
			out.Unmatched = append(out.Unmatched, pattern)
			continue
		}
		idle := true
		for i := range picked {
			if picked[i] && trainable[i] && !taken[i] {
				taken[i], idle = true, false
			}
		}
		if idle {
			out.Idle = append(out.Idle, pattern)
		}
	}
	stats := models.BatchStats(net, trainable, n.BatchNorm)
	count := net.Count(trainable, stats)
	out.Params = planner.Params{Total: count.Total, Trainable: count.Trainable, Moving: count.Moving}
	out.Train, out.Val = cut(net, true, trainable, stats), cut(net, false, trainable, stats)
	if out.Train.Layer == "" {
		out.Why = whyNoCut(net, trainable, stats)
	}
	return out, nil
}

func cut(net *nn.Net, training bool, trainable, stats []bool) planner.Cut {
	c, ok := net.Cut(training, trainable, stats)
	if !ok {
		return planner.Cut{}
	}
	return planner.Cut{Layer: net.Name(c.At), Shape: [3]int{c.Shape.H, c.Shape.W, c.Shape.C}}
}

// fromTheStart is why a run that trains its first layer shares nothing: no more than what its settings say.
const fromTheStart = "the first layer is trained"

// whyNoCut says what keeps a network from having a frozen part that is worth keeping features of.
func whyNoCut(net *nn.Net, trainable, stats []bool) string {
	first, ok := net.FirstChange(trainable, stats)
	if !ok {
		return "nothing is trained"
	}
	l := net.Layers[first]
	switch {
	case stats[first] && !slices.ContainsFunc(l.Params, func(p int) bool { return trainable[p] }):
		return fmt.Sprintf("batch_norm is not \"frozen\" at %s", l.Name)
	case l.Params[0] == 0:
		return fromTheStart
	}
	return fmt.Sprintf("too little is frozen before %s", l.Name)
}

// datasets answers from the pictures themselves, with their hashes remembered in the store.
type datasets struct{ store *runlog.Store }

func (d datasets) Describe(ctx context.Context, s *spec.Dataset) (planner.Dataset, error) {
	set := planner.Dataset{Name: s.Name, Kind: s.Kind, Path: s.Path, Splits: s.Splits, Fractions: s.Fractions}
	if s.Synthetic != nil {
		y := planner.Synthetic(*s.Synthetic)
		set.Synthetic = &y
	}
	return executor.DescribeDataset(ctx, set, d.store.HashCachePath())
}

// catalogue answers from package weights.
type catalogue struct{}

func (catalogue) Names(arch string) []string { return weights.Names(arch) }

func (catalogue) Lookup(arch, name string) (planner.CatalogueEntry, bool) {
	e, ok := weights.Find(arch, name)
	if !ok {
		return planner.CatalogueEntry{}, false
	}
	p := e.Preprocessing
	return planner.CatalogueEntry{Name: e.Name, Image: planner.Image{Resize: p.Resize, Crop: p.Crop, Mean: p.Mean, Std: p.Std}}, true
}

func (catalogue) FileSHA256(path string) (string, error) { return weights.SHA256(path) }

func (catalogue) CheckFile(path, arch string) error { return executor.CheckWeights(path, arch) }

// shelf answers from the store.
type shelf struct{ store *runlog.Store }

// IDs lists runs that have a folder, and those in whose place something else lies.
func (r shelf) IDs() ([]string, error) {
	ids, err := r.store.IDs()
	if err != nil {
		return nil, err
	}
	strays, err := r.store.Strays()
	for _, name := range strays {
		if r.store.Run(name).Obstructed() != nil {
			ids = append(ids, name)
		}
	}
	return ids, err
}

func (r shelf) Trajectories() (map[string][]string, error) { return r.store.Trajectories() }

func (r shelf) Status(id string) (planner.RunState, error) {
	dir := r.store.Run(id)
	if err := dir.Obstructed(); err != nil {
		return planner.RunState{Damage: err.Error()}, nil
	}
	st, _, err := dir.Status()
	if err == nil && st.State == runlog.Finished {
		err = dir.Damage(st)
	}
	var damage *runlog.DamageError
	damaged := errors.As(err, &damage)
	state := planner.RunState{
		Finished: st.State == runlog.Finished, Failed: st.State == runlog.Failed,
		Arch: st.Arch, Trained: damaged && damage.OfDescription(),
	}
	epochs, unusable := executor.LastEpoch(dir, st)
	state.Checkpoint, state.Epochs = unusable == nil, epochs
	if err == nil && !state.Finished && unusable != nil && !errors.Is(unusable, fs.ErrNotExist) {
		err = unusable
	}
	// A run that was saved within its first epoch has no best weights yet.
	if lost := damaged && damage.OfBest() || !dir.HasBest() && (damaged || epochs > 0); lost && state.Checkpoint {
		state.Checkpoint = executor.GoesOnWithoutBest(dir)
	}
	if !st.Started.IsZero() {
		state.Started = st.Started.UTC().Format(time.RFC3339Nano)
	}
	if err != nil {
		state.Damage = err.Error()
	}
	var d planner.Description
	if dir.ReadConfig(&d) == nil {
		state.Image = d.Settings.Image
	}
	return state, nil
}

// weightsCache is where weights are looked for and fetched to.
var weightsCache = sync.OnceValue(weights.DefaultCache)
