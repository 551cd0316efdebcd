package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/features"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/planner"
)

// A run whose frozen part would compute the same again and again takes what that says of the pictures, their features,
// from files, and trains and evaluates the rest of its network on them. Whoever wants a file first makes it, in this
// process or another. The results are the same bits either way (docs/decisions/0012-shared-features.md).

// source yields the batches of a split: its pictures, or their features.
type source interface {
	// Epoch is data.Loader's. A batch is valid until the next one is asked for.
	Epoch(ctx context.Context, epoch, from int) iter.Seq2[batch, error]
}

// batch is a part of an epoch.
type batch struct {
	*data.Batch
	read func(i int, dst []float32) error // gives the features of its picture i; nil: it has pictures
	load func(kernels.Buffer) error       // puts its pictures into the device's memory; nil: X holds them
}

// evaluate takes a batch through a program; see nn.Program.Run.
func (b batch) evaluate(p *nn.Program) (nn.Result, error) {
	switch {
	case b.read != nil:
		return p.RunFrom(b.read, nil, 0)
	case b.load != nil:
		return p.RunLoaded(b.load, nil, 0)
	}
	return p.Run(b.X, nil, 0)
}

// begin begins a step of training on a batch; see nn.Program.Begin.
func (b batch) begin(p *nn.Program, step uint64, u nn.Update) (finish func() (nn.Result, error), err error) {
	switch {
	case b.read != nil:
		return p.BeginFrom(b.read, b.Labels, step, u)
	case b.load != nil:
		return p.BeginLoaded(b.load, b.Labels, step, u)
	}
	return p.Begin(b.X, b.Labels, step, u)
}

// volume is the features of a split, or of one view of its pictures, that a run wants.
type volume struct {
	features.Content
	cut   nn.Cut
	split string
	view  int
}

// origin is all that features depend on; the name of their file is a hash of it.
type origin struct {
	Numerics  int                 `json:"numerics_version"`
	Path      string              `json:"path"` // of instructions
	Arch      string              `json:"arch"`
	Layer     string              `json:"layer"`
	Weights   string              `json:"weights,omitempty"` // SHA-256 of the file that the run starts from
	Seed      *int64              `json:"seed,omitempty"`    // where weights are drawn
	Algorithm string              `json:"algorithm"`
	Precision string              `json:"precision"`
	Image     planner.Image       `json:"image"`
	Dataset   string              `json:"dataset"` // hash of its content
	Split     string              `json:"split"`
	Augment   []planner.AugmentOp `json:"augment,omitempty"`
	ViewSeed  int64               `json:"view_seed,omitempty"`
	View      int                 `json:"view,omitempty"`
}

// volume describes the features of the split's pictures at a cut.
func (t *training) volume(cut nn.Cut, split string, view int) volume {
	o := origin{
		Numerics: t.Plan.Numerics, Path: t.device.Path(), Arch: t.set.Arch, Layer: t.net.Name(cut.At), Weights: t.startedFrom,
		Algorithm: t.set.Numerics, Precision: t.set.Precision, Image: t.set.Image, Dataset: t.Plan.Datasets[t.run.Dataset].Hash,
		Split: split, View: view,
	}
	needed := t.net.Before(cut.At).Needed(false)
	drawn := func(p nn.Param) bool { return needed[p.Layer] && (t.startedFrom == "" || p.Head) }
	if slices.ContainsFunc(t.net.Params, drawn) {
		o.Seed = &t.run.Seed
	}
	if a := t.set.Augment; a != nil && split == data.Train {
		o.Augment, o.ViewSeed = a.Ops, a.ViewSeed
	}
	of, err := json.Marshal(o)
	if err != nil {
		panic("executor: features without a description: " + err.Error())
	}
	s := cut.Shape
	return volume{
		Content: features.Content{Of: of, Shape: [3]int{s.H, s.W, s.C}, Pictures: len(t.data.Splits[split].Items)},
		cut:     cut, split: split, view: view,
	}
}

// errUnshared ends an attempt whose features can't be kept.
var errUnshared = errors.New("its features can't be kept")

// share lets the run work on features where it shares them. The weights that it starts from are in place. Where features
// can't be kept that is told, and the run is to be started again, without: it will hold more memory than it has room for now.
func (t *training) share(ctx context.Context) error {
	if t.want().sharing < 0 {
		return nil
	}
	trainCut, evalCut := t.cuts(&t.Plan.Sharing[t.run.Sharing])
	var training, evaluation []volume
	if trainCut != nil {
		for view := range t.set.FixedViews() {
			training = append(training, t.volume(*trainCut, data.Train, view))
		}
	}
	if evalCut != nil {
		evaluation = append(evaluation, t.volume(*evalCut, data.Val, 0))
		if t.loaders[data.Test] != nil {
			evaluation = append(evaluation, t.volume(*evalCut, data.Test, 0))
		}
	}
	all := slices.Concat(training, evaluation)
	files, err := t.takeAll(ctx, all)
	var unkept *unkeptError
	if errors.As(err, &unkept) {
		return t.shareNothing(t.net.Name(all[0].cut.At), unkept)
	}
	if err != nil {
		return err
	}
	if len(training) > 0 {
		t.sources[data.Train] = t.featureBatches(data.Train, files[:len(training)])
	}
	for i, v := range evaluation {
		t.sources[v.split] = t.featureBatches(v.split, files[len(training)+i:][:1])
	}
	t.programs.begin(trainCut, evalCut)
	return nil
}

// want is what the run has been given room for.
func (t *training) want() *want { return &t.wants[t.queue.index[t.run.ID]] }

// shareNothing tells why the run's features at a layer can't be kept, and lets it want what it holds without. The error is
// errUnshared, or that there is no such memory.
func (t *training) shareNothing(layer string, why *unkeptError) error {
	need, err := t.holds(t.device, t.run, &planner.Sharing{})
	if err != nil {
		return err
	}
	if need.memory > t.runMemory {
		return fmt.Errorf("its features can't be kept, and without them it needs %s of memory, of which %s are left for runs: %w",
			amount(need.memory), amount(t.runMemory), why)
	}
	if largest := t.largestPlace(need.precision); need.device > largest.memory {
		return fmt.Errorf("its features can't be kept, and without them it needs %s of a GPU's memory, of which %s has %s: %w",
			amount(need.device), largest.name, amount(largest.memory), why)
	}
	t.noteOnce("the features of %s at %s are not shared: %v", t.set.Arch, layer, why)
	*t.want() = need
	return errUnshared
}

// cuts is where the parts of the network begin that train, and evaluate, on features; nil where they begin at the pictures.
func (t *training) cuts(sharing *planner.Sharing) (train, eval *nn.Cut) {
	if sharing.Train != nil {
		if cut, ok := t.net.Cut(true, t.trainable, t.batchStats); ok {
			train = &cut
		}
	}
	if sharing.Val != nil {
		if cut, ok := t.net.Cut(false, t.trainable, t.batchStats); ok {
			eval = &cut
		}
	}
	return train, eval
}

// featureBatches yields the batches that a loader of pictures would yield, with features for pictures.
type featureBatches struct {
	loader *data.Loader
	split  *data.Split
	size   int // of a batch
	views  []*features.File
}

func (t *training) featureBatches(split string, views []*features.File) *featureBatches {
	return &featureBatches{loader: t.loaders[split], split: t.data.Splits[split], size: t.set.BatchSize, views: views}
}

func (b *featureBatches) Epoch(ctx context.Context, epoch, from int) iter.Seq2[batch, error] {
	return func(yield func(batch, error) bool) {
		order := b.loader.Order(epoch)
		file := b.views[b.loader.View(epoch)%len(b.views)]
		out := batch{Batch: &data.Batch{Labels: make([]int, 0, b.size)}}
		out.read = func(i int, dst []float32) error { return file.Read(dst, out.Index[i]) }
		for lo := from * b.size; lo < len(order); lo += b.size {
			if err := ctx.Err(); err != nil {
				yield(out, err)
				return
			}
			out.Index = order[lo:min(lo+b.size, len(order))]
			out.N, out.Labels = len(out.Index), out.Labels[:0]
			for _, at := range out.Index {
				out.Labels = append(out.Labels, b.split.Items[at].Class)
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}
