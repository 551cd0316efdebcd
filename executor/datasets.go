package executor

import (
	"context"
	"fmt"
	"sync"

	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/planner"
)

// datasets opens the plan's data sets, each once, and lets the loaders of all runs share decoded pictures.
type datasets struct {
	plan  *planner.Plan
	index *data.Index
	cache *data.Cache
	mu    sync.Mutex
	sets  map[int]*data.Dataset
}

func newDatasets(plan *planner.Plan, indexPath string, cacheBytes int64) *datasets {
	return &datasets{plan: plan, index: data.OpenIndex(indexPath), cache: data.NewCache(cacheBytes), sets: map[int]*data.Dataset{}}
}

// open gives data set i of the plan, with the pictures that were planned with.
func (d *datasets) open(ctx context.Context, i int) (*data.Dataset, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if set := d.sets[i]; set != nil {
		return set, nil
	}
	planned := &d.plan.Datasets[i]
	set, err := data.Open(ctx, dataConfig(planned))
	if err != nil {
		return nil, err
	}
	hash, err := set.Hash(ctx, d.index)
	if err != nil {
		return nil, err
	}
	if hash != planned.Hash {
		return nil, fmt.Errorf("the pictures of data set %q are not those of the plan any more: plan again", planned.Name)
	}
	d.sets[i] = set
	return set, nil
}

// loaderConfig is that of one split for a run: augmented and shuffled for training, in order for evaluation.
func (d *datasets) loaderConfig(set *data.Dataset, run *planner.Run, s *planner.Settings, split string, workers int) (data.LoaderConfig, error) {
	training := split == data.Train
	pipe := data.PipelineConfig{
		Resize: s.Image.Resize, Crop: s.Image.Crop, Normalize: data.Normalize{Mean: s.Image.Mean, Std: s.Image.Std},
	}
	cfg := data.LoaderConfig{
		Split: set.Splits[split], Key: d.plan.Datasets[run.Dataset].Hash, Seed: uint64(run.Seed), BatchSize: s.BatchSize,
		Shuffle: training, Workers: workers, Cache: d.cache,
	}
	if training && s.Augment != nil {
		for _, op := range s.Augment.Ops {
			o, err := data.NewOp(op.Kind, op.Params)
			if err != nil {
				return cfg, err
			}
			pipe.Augment = append(pipe.Augment, o)
		}
		cfg.Views, cfg.ViewSeed = s.Augment.Views, uint64(s.Augment.ViewSeed)
	}
	var err error
	cfg.Pipeline, err = data.NewPipeline(pipe)
	return cfg, err
}

// dataConfig is where a planned data set's pictures come from.
func dataConfig(d *planner.Dataset) data.Config {
	c := data.Config{Name: d.Name, Kind: d.Kind, Path: d.Path, Folders: d.Splits, Fractions: d.Fractions}
	if s := d.Synthetic; s != nil {
		c.Synthetic = data.SyntheticConfig{Task: s.Task, Classes: s.Classes, Pictures: s.Pictures, Size: s.Size, Seed: s.Seed}
	}
	return c
}

// DescribeDataset fills in a data set's hash, classes and numbers of pictures. indexPath remembers hashes of files
// between calls.
func DescribeDataset(ctx context.Context, d planner.Dataset, indexPath string) (planner.Dataset, error) {
	set, err := data.Open(ctx, dataConfig(&d))
	if err != nil {
		return d, err
	}
	index := data.OpenIndex(indexPath)
	if d.Hash, err = set.Hash(ctx, index); err != nil {
		return d, err
	}
	// What could not be remembered costs time and nothing else: a store that can't be written is told where it matters.
	_ = index.Save()
	d.Classes = set.Classes
	d.Pictures = map[string]int{}
	for name, split := range set.Splits {
		d.Pictures[name] = len(split.Items)
	}
	return d, nil
}
