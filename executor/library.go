package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/features"
	"github.com/ftrun/ftrun/internal/host"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/internal/runlog"
)

// library holds the files of features that the runs of one apply have open.
type library struct {
	making  sync.Mutex // one is made at a time: that takes all threads
	mu      sync.Mutex
	entries map[string]*entry // by hash
	told    map[string]bool
}

// entry is that of one file. It is held while the file is looked for and made.
type entry struct {
	sync.Mutex
	file *features.File // nil: not open
}

func newLibrary() *library {
	return &library{entries: map[string]*entry{}, told: map[string]bool{}}
}

func (l *library) entry(hash string) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries[hash] == nil {
		l.entries[hash] = &entry{}
	}
	return l.entries[hash]
}

// close gives the files back, when no run reads them any more.
func (l *library) close() error {
	var errs []error
	for _, p := range l.entries {
		if p.file != nil {
			errs = append(errs, p.file.Close())
		}
	}
	return errors.Join(errs...)
}

// noteOnce tells something that is the same for many runs.
func (e *execution) noteOnce(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	e.library.mu.Lock()
	told := e.library.told[text]
	e.library.told[text] = true
	e.library.mu.Unlock()
	if !told {
		e.emit(runlog.Note{Text: text})
	}
}

// unkeptError says why features can't be kept. The run can do without them.
type unkeptError struct{ err error }

func (e *unkeptError) Error() string { return e.err.Error() }
func (e *unkeptError) Unwrap() error { return e.err }

// takeAll opens the files of all volumes, making those that are not there.
func (t *training) takeAll(ctx context.Context, volumes []volume) ([]*features.File, error) {
	if err := t.makeRoom(volumes); err != nil {
		return nil, err
	}
	files := make([]*features.File, len(volumes))
	for i, v := range volumes {
		var err error
		if files[i], err = t.take(ctx, v); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// makeRoom refuses what would take up more than half of the disk that is left, or what runs are going to leave there.
func (t *training) makeRoom(volumes []volume) error {
	var need int64
	for _, v := range volumes {
		if _, err := os.Stat(t.Store.FeaturesPath(v.Hash())); err != nil {
			need += v.Bytes()
		}
	}
	if left, ok := host.Free(t.Store.Dir); ok && need > 0 && need > min(left/2, left-t.toLeave.Load()) {
		return &unkeptError{fmt.Errorf("they would take %d MB of the %d MB that are left on the disk", need>>20, left>>20)}
	}
	return nil
}

// take opens a file of features, and makes it where it is not there, or damaged.
func (t *training) take(ctx context.Context, v volume) (*features.File, error) {
	hash := v.Hash()
	entry := t.library.entry(hash)
	entry.Lock()
	defer entry.Unlock()
	path := t.Store.FeaturesPath(hash)
	made := 0
	for entry.file == nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var err error
		if entry.file, err = features.Open(path, v.Content, t.Threads); err == nil {
			break
		}
		var damaged *features.DamagedError
		if !errors.Is(err, fs.ErrNotExist) && !errors.As(err, &damaged) || made == 2 { // a disk that keeps nothing
			return nil, &unkeptError{err}
		}
		workshop := t.Store.Workshop(hash)
		lease, err := workshop.Acquire(t.owner)
		var busy *runlog.BusyError
		switch {
		case errors.As(err, &busy):
			t.noteOnce("%s computes the features of %s: waiting for them", busy.Owner, t.set.Arch)
			select {
			case <-ctx.Done():
			case <-time.After(retryBusy):
			}
			continue
		case errors.Is(err, fs.ErrNotExist): // another process has just finished, and put the folder away
			continue
		case err != nil:
			return nil, &unkeptError{err}
		}
		err = t.compute(ctx, v, path, filepath.Join(workshop.Dir, "part"), lease)
		lease.Release()
		if err != nil {
			return nil, err
		}
		dropped(largeGarbage) // parameters and results of the frozen part
		made++
		_ = os.Remove(workshop.Dir) // unless another process is at it again
	}
	return entry.file, nil
}

// compute makes a file of features at part, going on with what is there, and gives it its path. A file that is there
// already is damaged, or was made a moment ago.
func (t *training) compute(ctx context.Context, v volume, path, part string, lease *runlog.Lease) (err error) {
	var damaged *features.DamagedError
	f, err := features.Open(path, v.Content, t.Threads)
	if err == nil {
		return f.Close()
	}
	if errors.As(err, &damaged) {
		t.emit(runlog.Note{Text: fmt.Sprintf("%v; they are computed again", err)})
		if err := os.Rename(path, part); err != nil {
			return &unkeptError{err}
		}
	}
	w, err := features.Resume(part, v.Content, t.Threads)
	if err != nil {
		return &unkeptError{err}
	}
	if err := t.fill(ctx, w, v); err != nil {
		return errors.Join(err, w.Close())
	}
	if !lease.Held() {
		return w.Close() // another process took it over, and will publish it
	}
	if err := w.Publish(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // as it is where another one has published it
		return &unkeptError{err}
	}
	return nil
}

// fill computes the blocks that are missing, on all threads.
func (t *training) fill(ctx context.Context, w *features.Writer, v volume) (err error) {
	t.library.making.Lock()
	defer t.library.making.Unlock()
	device, err := t.place.Open(t.Threads)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, device.Close()) }()
	how, err := tuning(t.set)
	if err != nil {
		return err
	}
	how.Nondeterministic = false
	if err := kernels.Tune(device, how); err != nil {
		return err
	}
	dropped(t.params.Memory()) // what reading the run's weights left: the frozen part may not fit where that lay
	before, params, err := t.frozenPart(device, v.cut)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, params.Close()) }()
	programs := newPrograms(before, params, nn.Settings{Numerics: t.programs.settings.Numerics})
	defer func() { err = errors.Join(err, programs.close()) }()

	cfg, err := t.datasets.loaderConfig(t.data, t.run, t.set, v.split, t.Threads)
	if err != nil {
		return err
	}
	limits := FeatureLimits{Results: t.FeatureMemory, All: t.want().making, Device: t.want().deviceMaking}
	fill, err := t.fillBatch(device, t.Threads, &v.cut, v.Pictures, limits)
	if err != nil {
		return err
	}
	cfg.BatchSize = fill.batch
	cfg.Shuffle = false
	loader, err := data.NewLoader(cfg)
	if err != nil {
		return err
	}
	report, fixed := t.reporter(v), fixedBatch(device)
	for {
		lo, hi, missing := w.Missing()
		if !missing {
			report(v.Pictures)
			return nil
		}
		block, done := lo, lo*features.BlockPictures
		values := make([]float32, 0, features.BlockPictures*v.Len())
		for batch, err := range loader.Epoch(ctx, v.view+1, done/cfg.BatchSize) {
			if err != nil {
				return err
			}
			report(done)
			n := max(batch.N, fixed)
			program, err := programs.evaluation(n)
			if err != nil {
				return err
			}
			out, err := program.Run(padded(batch.X, n*t.net.Input.Len()), nil, 0)
			if err != nil {
				return err
			}
			values = append(values, out.Logits[:batch.N*v.Len()]...)
			if done += batch.N; done%features.BlockPictures != 0 && done < v.Pictures {
				continue
			}
			if err := w.Put(block, values); err != nil {
				return &unkeptError{err}
			}
			values = values[:0]
			if block++; block == hi {
				break
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// padded is x with as many zeros behind it as n elements ask for.
func padded(x []float32, n int) []float32 {
	if len(x) == n {
		return x
	}
	return append(slices.Clip(x), make([]float32, n-len(x))...)
}

// frozenPart is the part of the network that leads to a cut, with the run's parameters on another device.
func (t *training) frozenPart(device kernels.Device, cut nn.Cut) (before *nn.Net, params *nn.ParamStore, err error) {
	before = t.net.Before(cut.At)
	if params, err = nn.NewParamStore(device, before); err != nil {
		return nil, nil, err
	}
	needed := before.Needed(false)
	if err := params.CopyFrom(t.params, func(i int) bool { return needed[t.net.Params[i].Layer] }); err != nil {
		return nil, nil, errors.Join(err, params.Close())
	}
	return before, params, nil
}

// reporter tells, now and then, how many pictures have their features.
func (t *training) reporter(v volume) func(done int) {
	what := []string{t.set.Arch, v.split}
	if t.set.FixedViews() > 1 && v.split == data.Train {
		what = append(what, fmt.Sprintf("view %d", v.view+1))
	}
	var last time.Time
	return func(done int) {
		if done < v.Pictures && time.Since(last) < time.Second/2 {
			return
		}
		last = time.Now()
		t.emit(runlog.ComputingFeatures{Of: strings.Join(what, ", "), Done: done, Total: v.Pictures})
	}
}
