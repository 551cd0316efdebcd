package data

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func syntheticDataset(tb testing.TB, train int) *Dataset {
	tb.Helper()
	d, err := Open(context.Background(), Config{Kind: Synthetic,
		Synthetic: SyntheticConfig{Pictures: map[string]int{Train: train, Val: 8}, Size: 40}})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// everyOp uses each random operation.
func everyOp(tb testing.TB) []Op {
	tb.Helper()
	var ops []Op
	for _, o := range []struct {
		kind   string
		params map[string][]float64
	}{
		{"random_resized_crop", nil}, {"hflip", nil}, {"vflip", nil}, {"random_rotation", map[string][]float64{"degrees": {15}}},
		{"color_jitter", map[string][]float64{"brightness": {0.4}, "contrast": {0.4}, "saturation": {0.4}, "hue": {0.1}}},
		{"random_crop", map[string][]float64{"padding": {3}}},
	} {
		op, err := NewOp(o.kind, o.params)
		if err != nil {
			tb.Fatal(err)
		}
		ops = append(ops, op)
	}
	return ops
}

func newPipeline(tb testing.TB, ops []Op) *Pipeline {
	tb.Helper()
	p, err := NewPipeline(PipelineConfig{Resize: 36, Crop: 32, Augment: ops, Normalize: ImageNet})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// collect copies an epoch's batches.
func collect(tb testing.TB, l *Loader, epoch, from int) []Batch {
	tb.Helper()
	var all []Batch
	for b, err := range l.Epoch(context.Background(), epoch, from) {
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, Batch{slices.Clone(b.X), slices.Clone(b.Pix), slices.Clone(b.Labels), slices.Clone(b.Index), slices.Clone(b.Sizes), b.N})
	}
	return all
}

func equalBatches(a, b []Batch) bool {
	return slices.EqualFunc(a, b, func(a, b Batch) bool {
		return a.N == b.N && slices.Equal(a.X, b.X) && slices.Equal(a.Labels, b.Labels) && slices.Equal(a.Index, b.Index)
	})
}

func TestBatchesDependOnSeedAlone(t *testing.T) {
	split := syntheticDataset(t, 21).Splits[Train]
	base := LoaderConfig{Split: split, Key: "k", Seed: 7, BatchSize: 4, Shuffle: true, Pipeline: newPipeline(t, everyOp(t)), Workers: 1}
	load := func(epoch, from int, change func(*LoaderConfig)) []Batch {
		cfg := base
		change(&cfg)
		l, err := NewLoader(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return collect(t, l, epoch, from)
	}
	same := func(*LoaderConfig) {}
	want := load(3, 0, same)
	if len(want) != 6 || want[5].N != 1 {
		t.Fatalf("%d batches, want 5 of 4 and 1 of 1", len(want))
	}
	for _, workers := range []int{2, 4} {
		for _, cache := range []int64{0, 30_000, 1 << 30} {
			got := load(3, 0, func(c *LoaderConfig) { c.Workers, c.Ahead, c.Cache = workers, workers, NewCache(cache) })
			if !equalBatches(got, want) {
				t.Errorf("%d workers and a cache of %d bytes change the batches", workers, cache)
			}
		}
	}
	if !equalBatches(load(3, 4, same), want[4:]) {
		t.Error("an epoch resumed at batch 4 differs")
	}
	if got := load(3, 0, func(c *LoaderConfig) { c.DropLast = true }); !equalBatches(got, want[:5]) {
		t.Error("DropLast changes more than the last batch")
	}
	for name, other := range map[string][]Batch{
		"epoch": load(4, 0, same),
		"seed":  load(3, 0, func(c *LoaderConfig) { c.Seed = 8 }),
		"key":   load(3, 0, func(c *LoaderConfig) { c.Key = "other" }),
	} {
		if slices.Equal(other[0].Index, want[0].Index) || slices.Equal(other[0].X, want[0].X) {
			t.Errorf("another %s gives the same batch", name)
		}
	}
	seen := map[int]bool{}
	for _, b := range want {
		for i, at := range b.Index {
			seen[at] = true
			if b.Labels[i] != split.Items[at].Class {
				t.Errorf("picture %d has label %d", at, b.Labels[i])
			}
		}
	}
	if len(seen) != 21 {
		t.Errorf("an epoch shows %d of 21 pictures", len(seen))
	}
}

func TestViewsRepeat(t *testing.T) {
	split := syntheticDataset(t, 8).Splits[Train]
	load := func(seed uint64, epoch int) []Batch {
		l, err := NewLoader(LoaderConfig{Split: split, Key: "k", Seed: seed, BatchSize: 8, Views: 2, Pipeline: newPipeline(t, everyOp(t))})
		if err != nil {
			t.Fatal(err)
		}
		return collect(t, l, epoch, 0)
	}
	if !equalBatches(load(1, 1), load(2, 3)) {
		t.Error("the first and the third of two views differ, or depend on the seed")
	}
	if equalBatches(load(1, 1), load(1, 2)) {
		t.Error("the two views are the same")
	}
}

// countingSource decodes like its picture and counts.
type countingSource struct{ n *int }

func (c countingSource) decode(string) (*Image, error) {
	*c.n++
	return formulaImage(50, 40, 1), nil
}

type brokenSource struct{}

func (brokenSource) decode(string) (*Image, error) { return nil, errors.New("no picture") }

func TestPicturesAreDecodedOnce(t *testing.T) {
	for name, ops := range map[string][]Op{"evaluation": nil, "augmentation": everyOp(t)} {
		t.Run(name, func(t *testing.T) {
			counts := make([]int, 10)
			split := &Split{Name: Train}
			for i := range counts {
				split.Items = append(split.Items, Item{Path: fmt.Sprint(i), source: countingSource{&counts[i]}})
			}
			cache := NewCache(1 << 20)
			for range 2 { // two loaders share the cache
				l, err := NewLoader(LoaderConfig{Split: split, BatchSize: 3, Pipeline: newPipeline(t, ops), Cache: cache, Workers: 4})
				if err != nil {
					t.Fatal(err)
				}
				collect(t, l, 1, 0)
				collect(t, l, 2, 0)
			}
			for i, n := range counts {
				if n != 1 {
					t.Errorf("picture %d was decoded %d times", i, n)
				}
			}
		})
	}
}

// slowSource is a picture that takes its time, and no processor.
type slowSource struct{ time.Duration }

func (s slowSource) decode(string) (*Image, error) {
	time.Sleep(s.Duration)
	return NewImage(40, 40), nil
}

// Pictures are made while the consumer works: it waits for the first batch, and then only for what is slower than itself.
func TestPicturesAreMadeAhead(t *testing.T) {
	const batches, size, workers = 12, 6, 2
	for _, c := range []struct {
		name                string
		picture, step, want time.Duration
	}{
		{"fast pictures", 10 * time.Millisecond, 40 * time.Millisecond, (30 + batches*40) * time.Millisecond},
		{"slow pictures", 10 * time.Millisecond, 20 * time.Millisecond, (batches*30 + 20) * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // its clock moves only while all wait
				split := &Split{Name: Train}
				for range batches * size {
					split.Items = append(split.Items, Item{source: slowSource{c.picture}})
				}
				l, err := NewLoader(LoaderConfig{Split: split, BatchSize: size, Pipeline: newPipeline(t, nil), Workers: workers})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				for _, err := range l.Epoch(t.Context(), 1, 0) {
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(c.step)
				}
				if took := time.Since(start); took != c.want {
					t.Errorf("an epoch takes %v, want %v", took, c.want)
				}
			})
		})
	}
}

func TestEpochEnds(t *testing.T) {
	split := &Split{Name: Train, Items: slices.Clone(syntheticDataset(t, 40).Splits[Train].Items)}
	split.Items[17] = Item{Path: "train/ants/bad.jpg", source: brokenSource{}}
	l, err := NewLoader(LoaderConfig{Split: split, BatchSize: 4, Pipeline: newPipeline(t, nil), Workers: 3})
	if err != nil {
		t.Fatal(err)
	}
	var got int
	var last error
	for _, err := range l.Epoch(context.Background(), 1, 0) {
		if last = err; err == nil {
			got++
		}
	}
	var pe *PictureError
	if got != 4 || !errors.As(last, &pe) || pe.Path != "train/ants/bad.jpg" {
		t.Errorf("%d batches, then %v; want 4 and the broken picture's path", got, last)
	}
	for range l.Epoch(context.Background(), 1, 0) {
		break // must not hang
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, err := range l.Epoch(ctx, 1, 0) {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("a cancelled epoch ends with %v", last)
	}
}

func TestLoaderRefuses(t *testing.T) {
	split := syntheticDataset(t, 8).Splits[Train]
	eval := newPipeline(t, nil)
	for name, c := range map[string]struct {
		cfg  LoaderConfig
		want string
	}{
		"batch too large": {LoaderConfig{Split: split, Pipeline: eval, BatchSize: 9, Shuffle: true}, "larger than the split train with its 8"},
		"no batch":        {LoaderConfig{Split: split, Pipeline: eval}, "1 or more"},
		"no pictures":     {LoaderConfig{Split: &Split{Name: Val}, Pipeline: eval, BatchSize: 1}, "no pictures"},
		"idle views":      {LoaderConfig{Split: split, Pipeline: eval, BatchSize: 1, Views: 2}, "no effect"},
	} {
		if _, err := NewLoader(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

func TestOpsRefuse(t *testing.T) {
	for _, c := range []struct {
		kind   string
		params map[string][]float64
		want   string
	}{
		{"flip", nil, "no operation"},
		{"hflip", map[string][]float64{"q": {1}}, "no parameter \"q\""},
		{"hflip", map[string][]float64{"p": {1.5}}, "within [0, 1]"},
		{"random_rotation", nil, "degrees is missing"},
		{"random_resized_crop", map[string][]float64{"scale": {1, 0.5}}, "must rise"},
		{"random_resized_crop", map[string][]float64{"scale": {1}}, "two numbers"},
		{"color_jitter", nil, "changes nothing"},
		{"color_jitter", map[string][]float64{"hue": {0.7}}, "hue"},
		{"random_crop", map[string][]float64{"padding": {1.5}}, "whole number"},
	} {
		if _, err := NewOp(c.kind, c.params); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: error %v, want %q", c.kind, c.params, err, c.want)
		}
	}
	if _, err := NewPipeline(PipelineConfig{Resize: 32, Crop: 32, Augment: []Op{CenterCrop{}, ResizeOp{64}}, Normalize: ImageNet}); err == nil {
		t.Error("a resize after the crop is taken")
	}
}

// The share of the area is uniform and the ratio log-uniform where every try fits; thin pictures fall back to the middle.
func TestRandomResizedCropDistribution(t *testing.T) {
	key := newStreamKey("test")
	r := key.stream(0, 0, 0)
	const n = 20000
	var scale, ratio, left float64
	for range n {
		b := RandomResizedCrop{[2]float64{0.1, 0.5}, [2]float64{0.5, 2}}.box(1000, 1000, &r)
		scale += float64(b.W*b.H) / 1e6 / n
		ratio += math.Log(float64(b.W)/float64(b.H)) / n
		left += float64(b.X) / float64(1000-b.W) / n
	}
	// 5 standard errors of uniforms over 0.4, 2·ln 2 and 1
	if math.Abs(scale-0.3) > 0.0041 || math.Abs(ratio) > 0.0142 || math.Abs(left-0.5) > 0.0103 {
		t.Errorf("means: scale %.4f, log ratio %.4f, place %.4f; want 0.3, 0, 0.5", scale, ratio, left)
	}
	whole := RandomResizedCrop{[2]float64{1, 1}, [2]float64{3.0 / 4, 4.0 / 3}}
	if b := whole.box(100, 10, &r); b != (Rect{43, 0, 13, 10}) {
		t.Errorf("wide: %v, want the middle 13×10", b)
	}
	if b := whole.box(10, 100, &r); b != (Rect{0, 43, 10, 13}) {
		t.Errorf("tall: %v, want the middle 10×13", b)
	}
}

// TestBytes: bytes are those that are normalised otherwise, and what is held is not made.
func TestBytes(t *testing.T) {
	for _, augmented := range []bool{false, true} {
		var ops []Op
		if augmented {
			ops = everyOp(t)
		}
		cfg := LoaderConfig{Split: syntheticDataset(t, 9).Splits[Train], Key: "k", BatchSize: 4, Shuffle: true, Pipeline: newPipeline(t, ops)}
		load := func() []Batch {
			l, err := NewLoader(cfg)
			if err != nil {
				t.Fatal(err)
			}
			return collect(t, l, 2, 0)
		}
		want := load()
		cfg.Bytes = true
		table := ImageNet.table()
		for i, b := range load() {
			x := make([]float32, len(b.Pix))
			table.apply(x, &Image{Pix: b.Pix})
			if len(b.X) != 0 || !slices.Equal(x, want[i].X) {
				t.Errorf("augmented %v: batch %d is another", augmented, i)
			}
		}
		cfg.Held = func(view, index int) bool { return (view == 1) == augmented && index != 3 }
		size := cfg.Pipeline.Len()
		for _, b := range load() {
			for i, at := range b.Index {
				if made := slices.Max(b.Pix[i*size:(i+1)*size]) > 0; made != (at == 3) {
					t.Errorf("augmented %v: picture %d is made: %v", augmented, at, made)
				}
			}
		}
	}
}
