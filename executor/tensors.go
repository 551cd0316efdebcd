package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/models"
)

// initialise gives every parameter its first value: torchvision's random ones from the run's seed, then, where the run
// starts from weights, those of all layers but the reshaped last one.
func (t *training) initialise(ctx context.Context) error {
	path, check, err := t.startingWeights(ctx)
	if err != nil {
		return err
	}
	fresh := func(p nn.Param) bool { return path == "" || p.Head || p.Kind == nn.Counter }
	if err := t.params.Init(uint64(t.run.Seed), fresh); err != nil || path == "" {
		return err
	}
	file, err := checked(t.files.open, path, check)
	if err != nil {
		return err
	}
	t.startedFrom = file.SHA256
	return loadBody(t.net, t.params, file, path)
}

// OpenWeights opens a file of weights; check, which may be nil, refuses one by its SHA-256, "" where it can't be read.
func OpenWeights(path string, check func(sha256 string) error) (*weights.File, error) {
	return checked(weights.Open, path, check)
}

func checked(open func(string) (*weights.File, error), path string, check func(sha256 string) error) (*weights.File, error) {
	file, err := open(path)
	if check == nil {
		return file, err
	}
	if err != nil {
		return nil, errors.Join(check(""), err)
	}
	return file, check(file.SHA256)
}

// startingWeights finds the file that the run starts from, "" where it starts from nothing, and what refuses a file with
// another SHA-256 than it should have, nil where that is done.
func (t *training) startingWeights(ctx context.Context) (path string, check func(sha256 string) error, err error) {
	w := t.set.Weights
	switch w.Kind {
	case "none":
		return "", nil, nil
	case "file":
		return w.Path, func(sha256 string) error {
			if sha256 != "" && sha256 != w.SHA256 {
				return fmt.Errorf("%s is not the file that was planned with: its SHA-256 is %.12s…, it was %.12s…; plan again", w.Path, sha256, w.SHA256)
			}
			return nil
		}, nil
	case "catalogue":
		path, err = t.catalogueFile(ctx, t.set.Arch, w.Name)
		return path, nil, err
	case "run", "best":
		return t.bestOf(w.Runs)
	}
	return "", nil, fmt.Errorf("the plan asks for weights of an unknown kind, %q: it was made by a newer ftrun", w.Kind)
}

// catalogueFile gives the path of torchvision's file, fetching it where it is not there yet.
func (e *execution) catalogueFile(ctx context.Context, arch, name string) (string, error) {
	entry, ok := weights.Find(arch, name)
	if !ok {
		return "", fmt.Errorf("there are no weights %q for %s", name, arch)
	}
	e.files.fetching.Lock()
	defer e.files.fetching.Unlock()
	path, err := e.Weights.Fetch(ctx, entry, func(done, total int64) {
		e.emit(runlog.Fetching{File: entry.File, Bytes: done, Total: max(total, 0)})
	})
	if err != nil {
		return "", err
	}
	if e.Pin != nil {
		file, err := e.files.open(path)
		if err != nil {
			return "", err
		}
		if err := e.Pin(entry.File, file.SHA256); err != nil {
			return "", err
		}
	}
	return path, nil
}

// bestOf gives the weights of the run with the best val_acc, the least id of equals, and what holds them against what that
// run wrote.
func (e *execution) bestOf(ids []string) (path string, check func(sha256 string) error, err error) {
	var best *runlog.Run
	var status runlog.Status
	for _, id := range slices.Sorted(slices.Values(ids)) {
		dir := e.Store.Run(id)
		st, ok, err := dir.Status()
		if err != nil {
			return "", nil, err
		}
		if !ok || st.State != runlog.Finished || st.Result == nil {
			return "", nil, fmt.Errorf("run %s, whose weights this one starts from, is not finished", id)
		}
		if best == nil || st.Result.Metrics.ValAcc > status.Result.Metrics.ValAcc {
			best, status = dir, st
		}
	}
	return best.BestPath(), func(sha256 string) error {
		if err := best.CheckBest(status, sha256); err != nil {
			return fmt.Errorf("this run starts from weights that are damaged; plan again, and they are made again: %w", err)
		}
		return nil
	}, nil
}

// loadBody takes all parameters but the head's from a file of weights of the same architecture, with any number of
// classes. name is the file's, for errors.
func loadBody(net *nn.Net, params *nn.ParamStore, file *weights.File, name string) error {
	return load(net, params, file, name, body)
}

func body(p nn.Param) bool { return !p.Head }

// load takes the parameters for which the function says so. All that does not fit is told at once.
func load(net *nn.Net, params *nn.ParamStore, file *weights.File, name string, which func(nn.Param) bool) error {
	if err := matches(net, file, name, which); err != nil {
		return err
	}
	var bad []string
	for i, p := range net.Params {
		tensor, ok := file.Lookup(p.Name)
		switch {
		case !ok || !which(p):
		case p.Kind == nn.Counter:
			if len(tensor.Int) == 1 {
				params.SetCounter(i, tensor.Int[0])
			}
		default:
			if at := slices.IndexFunc(tensor.Float, func(v float32) bool { return v-v != 0 }); at >= 0 {
				bad = append(bad, fmt.Sprintf("%s[%d] is %v", p.Name, at, tensor.Float[at]))
				continue
			}
			if err := params.Set(i, tensor.Float); err != nil {
				return err
			}
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("%s holds numbers that are none: %s", name, some(bad))
	}
	return nil
}

// CheckWeights says what keeps a run of an architecture from starting from a file of weights, as far as that shows without
// the numbers; nil where nothing does.
func CheckWeights(path, arch string) error {
	file, err := weights.Describe(path)
	if err != nil {
		return err
	}
	m, _ := models.Lookup(arch)
	net, err := models.Build(arch, 2, m.Crop) // any head will do
	if err != nil {
		return err
	}
	return matches(net, file, path, body)
}

// matches holds names and shapes of a file, which name names, against the parameters for which the function says so.
func matches(net *nn.Net, file *weights.File, name string, which func(nn.Param) bool) error {
	var missing, shapes []string
	known := map[string]bool{}
	for _, p := range net.Params {
		known[p.Name] = true
		if !which(p) {
			continue
		}
		tensor, ok := file.Lookup(p.Name)
		switch {
		case p.Kind == nn.Counter: // files of before torch 0.4.1 have none
		case !ok:
			missing = append(missing, p.Name)
		case tensor.Float == nil:
			shapes = append(shapes, fmt.Sprintf("%s is of whole numbers", p.Name))
		case !slices.Equal(tensor.Shape, p.Shape):
			shapes = append(shapes, fmt.Sprintf("%s is %v, not %v", p.Name, tensor.Shape, p.Shape))
		}
	}
	var unknown []string
	for _, tensor := range file.Tensors {
		if !known[tensor.Name] {
			unknown = append(unknown, tensor.Name)
		}
	}
	switch {
	case len(missing) > 0 && len(unknown) > 0, len(shapes) > 0:
		return fmt.Errorf("%s does not hold weights of %s: %s", name, net.Arch, mismatch(missing, shapes, unknown))
	case len(missing) > 0:
		return fmt.Errorf("%s is incomplete for %s: it lacks %s", name, net.Arch, some(missing))
	case len(unknown) > 0:
		return fmt.Errorf("%s holds more than %s has: %s", name, net.Arch, some(unknown))
	}
	return nil
}

func mismatch(missing, shapes, unknown []string) string {
	var parts []string
	if len(shapes) > 0 {
		parts = append(parts, some(shapes))
	}
	if len(missing) > 0 {
		parts = append(parts, "it lacks "+some(missing))
	}
	if len(unknown) > 0 {
		parts = append(parts, "it has "+some(unknown)+" instead")
	}
	return strings.Join(parts, "; ")
}

// some names the first few of a list and counts the rest.
func some(list []string) string {
	const most = 3
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

// tensor reads entry i of the state_dict.
func (t *training) tensor(i int) (weights.Tensor, error) { return readTensor(t.net, t.params, i) }

func readTensor(net *nn.Net, params *nn.ParamStore, i int) (weights.Tensor, error) {
	p := net.Params[i]
	tensor := weights.Tensor{Name: p.Name, Shape: p.Shape}
	if p.Kind == nn.Counter {
		tensor.Int = []int64{params.Counter(i)}
		return tensor, nil
	}
	var err error
	tensor.Float, err = params.Get(i)
	return tensor, err
}

// setTensor writes entry i of the state_dict.
func (t *training) setTensor(i int, tensor weights.Tensor) error {
	p := t.net.Params[i]
	if p.Kind == nn.Counter {
		if len(tensor.Int) != 1 {
			return fmt.Errorf("it is %v, not one whole number", tensor.Shape)
		}
		t.params.SetCounter(i, tensor.Int[0])
		return nil
	}
	if len(tensor.Float) != p.Len() {
		return fmt.Errorf("it has %d elements, not %d", len(tensor.Float), p.Len())
	}
	return t.params.Set(i, tensor.Float)
}

// setAll takes the whole state_dict from a run's own file.
func (t *training) setAll(file *weights.File) error {
	return load(t.net, t.params, file, t.dir.BestPath(), func(nn.Param) bool { return true })
}

// weightFiles keeps the file of weights that was opened last: the runs of a sweep tend to follow each other with the
// same ones.
type weightFiles struct {
	fetching sync.Mutex
	mu       sync.Mutex
	path     string
	file     *weights.File
}

func (w *weightFiles) open(path string) (*weights.File, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != nil && w.path == path {
		return w.file, nil
	}
	w.file = nil // first, so that the old and the new one need not fit side by side
	file, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	w.path, w.file = path, file
	return file, nil
}

// releaseWeights lets the file go when no run is left that may start from it.
func (e *execution) releaseWeights() {
	if e.left.Load() == 0 {
		e.files.mu.Lock()
		defer e.files.mu.Unlock()
		e.files.file = nil
	}
}
