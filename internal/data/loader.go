package data

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strconv"
	"sync"
)

// Batch is a part of an epoch. Its memory is used again: a consumer that wants to keep anything copies it.
type Batch struct {
	X      []float32 // (N, Crop, Crop, 3), normalised; empty where the loader gives bytes
	Pix    []uint8   // (N, Crop, Crop, 3), R, G, B; empty where it does not
	Labels []int     // (N): classes
	Index  []int     // (N): positions in the split's items
	Sizes  []Size    // (N): of the pictures before anything is drawn for them; 0×0 where nothing is, and of those that are held
	N      int
}

// LoaderConfig says which pictures a loader yields, and how.
type LoaderConfig struct {
	Split    *Split
	Pipeline *Pipeline
	// Key names the data set in the draws. It must be the same wherever the same batches are wanted.
	Key       string
	Seed      uint64 // of the order, and of the augmentation unless Views is set
	BatchSize int
	Shuffle   bool // a new order each epoch; else the split's
	DropLast  bool // leave out a last batch of fewer than BatchSize pictures

	// Views, where positive, is the number of fixed augmentations of each picture, drawn from ViewSeed: epoch e (from 1)
	// shows view (e−1) mod Views. 0 draws anew each epoch, from Seed.
	Views    int
	ViewSeed uint64

	// Bytes asks for Batch.Pix in the place of Batch.X: what is normalised elsewhere. Where Held is there too, and says that a
	// picture is not wanted in a View, its bytes are anything. It is called by several goroutines.
	Bytes bool
	Held  func(view, index int) bool

	Workers int    // goroutines that decode and augment; 0: one a processor
	Ahead   int    // batches made ready before they are asked for; 0: 2
	Cache   *Cache // nil: nothing is kept
}

// Loader yields a split's batches. It is immutable and may be used by goroutines at once.
type Loader struct {
	cfg     LoaderConfig
	order   streamKey
	augment streamKey
}

const (
	ahead = 2 // batches made ready before they are asked for, unless LoaderConfig says otherwise
	// pictureMemory is what a worker holds of one picture, in bytes: its file, its pixels and those of an operation's
	// result. It serves for pictures of half a megapixel; what those of a data set have is not known before they are read.
	pictureMemory = 4 << 20
)

// EpochMemory is the number of bytes that an epoch of a loader over so many pictures holds at a time, the cache left out.
// Its batches have up to batch pictures of crop×crop pixels.
func EpochMemory(pictures, batch, crop, workers int) int64 {
	held := min(underWay(ahead)*batch, pictures)
	return int64(held)*4*3*int64(crop)*int64(crop) + int64(workers)*pictureMemory
}

// underWay is the most batches at a time: waiting, in the making, and at the consumer.
func underWay(ahead int) int { return ahead + 2 }

// NewLoader checks cfg.
func NewLoader(cfg LoaderConfig) (*Loader, error) {
	if cfg.Split == nil || cfg.Pipeline == nil {
		panic("data: a loader needs a split and a pipeline")
	}
	var errs []error
	n := len(cfg.Split.Items)
	switch {
	case n == 0:
		errs = append(errs, fmt.Errorf("the split %s has no pictures", cfg.Split.Name))
	case cfg.BatchSize < 1:
		errs = append(errs, fmt.Errorf("batch size %d: it must be 1 or more", cfg.BatchSize))
	case cfg.BatchSize > n && (cfg.Shuffle || cfg.DropLast):
		errs = append(errs, fmt.Errorf("batch size %d is larger than the split %s with its %d pictures: take %d or fewer",
			cfg.BatchSize, cfg.Split.Name, n, n))
	}
	if cfg.Views < 0 {
		errs = append(errs, fmt.Errorf("views = %d must not be negative", cfg.Views))
	}
	if cfg.Views > 0 && !cfg.Pipeline.Random() {
		errs = append(errs, errors.New("views has no effect without augmentation: give operations, or leave it out"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Workers <= 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	if cfg.Ahead <= 0 {
		cfg.Ahead = ahead
	}
	if cfg.Cache == nil {
		cfg.Cache = NewCache(0)
	}
	l := &Loader{cfg: cfg}
	l.order = newStreamKey("order", cfg.Key, strconv.FormatUint(cfg.Seed, 10))
	if cfg.Views > 0 {
		l.augment = newStreamKey("view", cfg.Key, strconv.FormatUint(cfg.ViewSeed, 10))
	} else {
		l.augment = newStreamKey("augment", cfg.Key, strconv.FormatUint(cfg.Seed, 10))
	}
	return l, nil
}

// Batches is the number of batches of an epoch.
func (l *Loader) Batches() int {
	n, b := len(l.cfg.Split.Items), l.cfg.BatchSize
	if l.cfg.DropLast {
		return n / b
	}
	return (n + b - 1) / b
}

// Order is the order of the split's items in an epoch (from 1).
func (l *Loader) Order(epoch int) []int {
	n := len(l.cfg.Split.Items)
	if l.cfg.Shuffle {
		r := l.order.stream(uint64(epoch), 0, 0)
		return r.permutation(n)
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

// View is the number, from 0, that tells an epoch's (from 1) augmentation from others': epochs of the same view show the
// same pixels.
func (l *Loader) View(epoch int) int {
	switch {
	case !l.cfg.Pipeline.Random():
		return 0
	case l.cfg.Views > 0:
		return (epoch - 1) % l.cfg.Views
	}
	return epoch - 1
}

// still makes item index, for which nothing is drawn.
func (l *Loader) still(index int, s *scratch) (*Image, error) {
	it := &l.cfg.Split.Items[index]
	p := l.cfg.Pipeline
	return l.cfg.Cache.get(cacheKey{it.source, it.SHA256, p.resize, p.crop}, func() (*Image, error) {
		base, err := it.Decode()
		if err != nil {
			return nil, err
		}
		out := NewImage(p.crop, p.crop)
		if err := resizeCenterCrop(out, base, p.resize, s); err != nil {
			return nil, &PictureError{Path: it.Path, Err: err}
		}
		return out, nil
	})
}

// undrawn makes item index as it is before anything is drawn for it.
func (l *Loader) undrawn(index int, s *scratch) (*Image, error) {
	it := &l.cfg.Split.Items[index]
	img, err := l.cfg.Cache.get(cacheKey{source: it.source, sum: it.SHA256}, it.Decode)
	if err != nil {
		return nil, err
	}
	if img, err = l.cfg.Pipeline.prepare(img, s); err != nil {
		return nil, &PictureError{Path: it.Path, Err: err}
	}
	return img, nil
}

// drawn makes of what undrawn made what an epoch shows.
func (l *Loader) drawn(epoch, index int, img *Image, s *scratch) (*Image, error) {
	img, err := l.cfg.Pipeline.draw(img, l.draws(epoch, index), s)
	if err != nil {
		return nil, &PictureError{Path: l.cfg.Split.Items[index].Path, Err: err}
	}
	return img, nil
}

// draws are the streams of the operations on item index in an epoch.
func (l *Loader) draws(epoch, index int) func(op int) stream {
	view := uint64(l.View(epoch))
	return func(op int) stream { return l.augment.stream(view, uint64(index), uint64(op)) }
}

// fill puts item index into a slot of a batch.
func (l *Loader) fill(b *Batch, slot, epoch, index int, s *scratch) error {
	b.Sizes[slot] = Size{}
	if l.cfg.Held != nil && l.cfg.Held(l.View(epoch), index) {
		return nil
	}
	var img *Image
	var err error
	if l.cfg.Pipeline.Random() {
		if img, err = l.undrawn(index, s); err == nil {
			b.Sizes[slot] = Size{img.W, img.H}
			img, err = l.drawn(epoch, index, img, s)
		}
	} else {
		img, err = l.still(index, s)
	}
	if err != nil {
		return err
	}
	size := l.cfg.Pipeline.Len()
	if l.cfg.Bytes {
		copy(b.Pix[slot*size:(slot+1)*size], img.Pix)
	} else {
		l.cfg.Pipeline.norm.apply(b.X[slot*size:(slot+1)*size], img)
	}
	return nil
}

// pending is a batch in the making.
type pending struct {
	batch *Batch
	left  sync.WaitGroup
	errs  []error // (N)
}

// task is one picture of a batch.
type task struct {
	to   *pending
	slot int
}

// Epoch yields the batches of an epoch (from 1), beginning with batch from (from 0), and reads Ahead batches further while
// the consumer works. A Batch is valid until the next one is asked for. An error — a *PictureError, or the context's —
// is the last thing that is yielded. When the iteration ends, by whichever side, so have its goroutines.
func (l *Loader) Epoch(ctx context.Context, epoch, from int) iter.Seq2[*Batch, error] {
	if epoch < 1 || from < 0 {
		panic(fmt.Sprintf("data: epoch %d, batch %d: epochs count from 1, batches from 0", epoch, from))
	}
	return func(yield func(*Batch, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()

		ready := make(chan *pending, l.cfg.Ahead)
		tasks := make(chan task)
		free := make(chan *pending, underWay(l.cfg.Ahead))
		for range cap(free) {
			free <- &pending{}
		}
		running.Go(func() {
			defer close(ready)
			defer close(tasks)
			l.produce(ctx, epoch, from, free, ready, tasks)
		})
		for range l.cfg.Workers {
			running.Go(func() { l.work(ctx, epoch, tasks) })
		}
		for p := range ready {
			p.left.Wait()
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			for _, err := range p.errs {
				if err != nil {
					yield(nil, err) // the first in the batch's order, whoever came upon one first
					return
				}
			}
			if !yield(p.batch, nil) {
				return
			}
			free <- p
		}
		if err := ctx.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// produce hands out an epoch's pictures, batch by batch.
func (l *Loader) produce(ctx context.Context, epoch, from int, free <-chan *pending, ready chan<- *pending, tasks chan<- task) {
	order := l.Order(epoch)
	size := l.cfg.Pipeline.Len()
	for b := from; b < l.Batches(); b++ {
		var p *pending
		select {
		case p = <-free:
		case <-ctx.Done():
			return
		}
		index := order[b*l.cfg.BatchSize : min((b+1)*l.cfg.BatchSize, len(order))]
		n := len(index)
		if p.batch == nil {
			p.batch = &Batch{}
		}
		p.batch.N, p.batch.Index = n, index
		p.batch.Labels = grow(p.batch.Labels, n)
		p.batch.Sizes = grow(p.batch.Sizes, n)
		if l.cfg.Bytes {
			p.batch.Pix = grow(p.batch.Pix, n*size)
		} else {
			p.batch.X = grow(p.batch.X, n*size)
		}
		p.errs = grow(p.errs, n)
		clear(p.errs)
		for i, at := range index {
			p.batch.Labels[i] = l.cfg.Split.Items[at].Class
		}
		p.left.Add(n)
		select {
		case ready <- p:
		case <-ctx.Done():
			return
		}
		for slot := range n {
			select {
			case tasks <- task{p, slot}:
			case <-ctx.Done():
				p.left.Add(slot - n) // the consumer must not wait for pictures that nobody makes
				return
			}
		}
	}
}

func (l *Loader) work(ctx context.Context, epoch int, tasks <-chan task) {
	s := &scratch{}
	for t := range tasks {
		if ctx.Err() == nil {
			t.to.errs[t.slot] = l.fill(t.to.batch, t.slot, epoch, t.to.batch.Index[t.slot], s)
		}
		t.to.left.Done()
	}
}
