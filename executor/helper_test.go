package executor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/models"
	"github.com/ftrun/ftrun/planner"
)

// lab is a store with a plan whose runs a test adds.
type lab struct {
	t     *testing.T
	store *runlog.Store
	plan  *planner.Plan
	log   *recorder
	opt   Options
}

// size of pictures in pixels: small, so that a step takes milliseconds.
const size = 32

// newLab makes a lab with a generated data set of 3 classes, 14 pictures to train on (batches of 4, 4, 4 and 2), and 9
// for validation.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, store: runlog.Open(filepath.Join(t.TempDir(), ".ftrun")), plan: &planner.Plan{}, log: &recorder{}}
	l.dataset(planner.Synthetic{Task: "textures", Classes: 3, Pictures: map[string]int{"train": 14, "val": 9}, Size: size, Seed: 7})
	l.opt = Options{
		Plan: l.plan, Store: l.store, Events: l.log, Threads: 1, Parallelism: 1, CacheBytes: 1 << 20, Version: "test",
		Places: []Place{{Open: func(threads int) (kernels.Device, error) { return cpu.New(threads) }}},
	}
	return l
}

// dataset adds a generated data set; runs that are added afterwards use it.
func (l *lab) dataset(s planner.Synthetic) {
	l.t.Helper()
	l.describe(planner.Dataset{Name: "made", Kind: "synthetic", Synthetic: &s})
}

func (l *lab) describe(d planner.Dataset) {
	l.t.Helper()
	d, err := DescribeDataset(l.t.Context(), d, "")
	if err != nil {
		l.t.Fatal(err)
	}
	l.plan.Datasets = append(l.plan.Datasets, d)
}

// run adds a run: 2 epochs of a small network from scratch, unless edit says otherwise. It returns its id.
func (l *lab) run(edit func(*planner.Settings)) string {
	l.t.Helper()
	mean := [3]float32{0.5, 0.5, 0.5}
	s := planner.Settings{
		Arch: "squeezenet1_1", Mode: "scratch", Weights: planner.Weights{Kind: "none"}, Trainable: []string{"**"}, BatchNorm: "train",
		Epochs: 2, BatchSize: 4, Image: planner.Image{Resize: size, Crop: size, Mean: mean, Std: mean},
		Augment:   &planner.Augment{Ops: []planner.AugmentOp{{Kind: "random_resized_crop"}, {Kind: "hflip"}}},
		Optimizer: planner.Optimizer{Kind: "sgd", LR: 0.01, Momentum: 0.9}, Monitor: "val_acc",
		Numerics: "default", Precision: "fp32", Deterministic: true,
	}
	if edit != nil {
		edit(&s)
	}
	net, err := models.Build(s.Arch, len(l.plan.Datasets[len(l.plan.Datasets)-1].Classes), s.Image.Crop)
	if err != nil {
		l.t.Fatal(err)
	}
	trainable, err := models.Match(net, s.Trainable)
	if err != nil {
		l.t.Fatal(err)
	}
	count := net.Count(trainable, models.BatchStats(net, trainable, s.BatchNorm))
	i := len(l.plan.Runs)
	l.plan.Settings = append(l.plan.Settings, s)
	l.plan.Configs = append(l.plan.Configs, planner.Config{Sweep: fmt.Sprintf("sweep%d", i)})
	l.plan.Sharing = append(l.plan.Sharing, planner.Sharing{})
	l.plan.Runs = append(l.plan.Runs, planner.Run{
		ID: fmt.Sprintf("run%d", i), Config: i, Settings: i, Dataset: len(l.plan.Datasets) - 1, Sharing: i, Seed: 1, Action: planner.Create,
		Params: planner.Params{Total: count.Total, Trainable: count.Trainable, Moving: count.Moving},
	})
	return l.plan.Runs[i].ID
}

// apply carries the plan out and wants these numbers of runs finished, done before, failed and skipped.
func (l *lab) apply(finished, done, failed, skipped int) {
	l.t.Helper()
	got, err := Apply(l.t.Context(), l.opt)
	if err != nil {
		l.t.Fatal(err)
	}
	if want := (Summary{Finished: finished, Done: done, Failed: failed, Skipped: skipped}); got != want {
		l.t.Fatalf("summary %+v, want %+v\n%s", got, want, strings.Join(l.log.texts(), "\n"))
	}
}

// network is what a run trained, with names for its classes.
func (l *lab) network(id, arch string, classes []string) Network {
	return Network{Arch: arch, Path: l.store.Run(id).BestPath(), Image: l.plan.Settings[0].Image, Classes: classes,
		Numerics: kernels.Default}
}

func (l *lab) status(id string) runlog.Status {
	l.t.Helper()
	st, ok, err := l.store.Run(id).Status()
	if err != nil || !ok {
		l.t.Fatalf("status of %s: there %v, %v", id, ok, err)
	}
	return st
}

// epochs reads a run's course and takes out what depends on the clock.
func (l *lab) epochs(id string) []runlog.Epoch {
	l.t.Helper()
	all, err := l.store.Run(id).Epochs(l.status(id))
	if err != nil {
		l.t.Fatal(err)
	}
	for i := range all {
		all[i].TrainSeconds, all[i].ValSeconds, all[i].ImagesPerSecond = 0, 0, 0
	}
	return all
}

// result is all that a run leaves and that depends on its settings and seed alone.
type result struct {
	Best, Predictions string // SHA-256
	Epochs            []runlog.Epoch
	Metrics           runlog.Metrics
}

func (l *lab) result(id string) result {
	l.t.Helper()
	st := l.status(id)
	if st.State != runlog.Finished {
		l.t.Fatalf("run %s is %s (%s)", id, st.State, st.Error)
	}
	return result{
		Best:        fileHash(l.t, l.store.Run(id).BestPath()),
		Predictions: fileHash(l.t, filepath.Join(l.store.Run(id).Dir, "predictions.jsonl")),
		Epochs:      l.epochs(id), Metrics: st.Result.Metrics,
	}
}

// pretend leaves what a finished run leaves, with these weights.
func (l *lab) pretend(id string, st runlog.Status, best []weights.Tensor) {
	l.t.Helper()
	dir := l.store.Run(id)
	var files [3]runlog.File
	var errs [5]error
	files[0], errs[0] = dir.WriteBest(func(w io.Writer) error { return weights.WriteSealed(w, best, nil) })
	files[1], errs[1] = dir.WritePredictions(nil)
	files[2], errs[2] = dir.WriteEpochs(nil)
	errs[3] = dir.WriteConfig(map[string]string{"by": "a test"})
	st.State, st.Files = runlog.Finished, &runlog.Files{Best: files[0], Predictions: files[1], Metrics: files[2]}
	errs[4] = dir.WriteStatus(st)
	if err := errors.Join(errs[:]...); err != nil {
		l.t.Fatal(err)
	}
}

func fileHash(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256(raw)
	return hex.EncodeToString(h[:])
}

// best reads the weights of a run's best epoch.
func (l *lab) best(id string) map[string]weights.Tensor {
	return tensorsOf(l.t, l.store.Run(id).BestPath())
}

func tensorsOf(t *testing.T, path string) map[string]weights.Tensor {
	t.Helper()
	file, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]weights.Tensor{}
	for _, tensor := range file.Tensors {
		all[tensor.Name] = tensor
	}
	return all
}

// writeWeights makes a file of weights of arch with 5 classes, as edit leaves it.
func writeWeights(t *testing.T, path, arch string, edit func([]weights.Tensor) []weights.Tensor) (sha256 string) {
	t.Helper()
	info, _ := models.Lookup(arch)
	net, err := models.Build(arch, 5, max(64, info.MinSize()))
	if err != nil {
		t.Fatal(err)
	}
	device, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	params, err := nn.NewParamStore(device, net)
	if err != nil {
		t.Fatal(err)
	}
	if err := params.Init(99, nil); err != nil {
		t.Fatal(err)
	}
	all := make([]weights.Tensor, len(net.Params))
	for i, p := range net.Params {
		if all[i], err = readTensor(net, params, i); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(p.Name, "running_mean") {
			for j := range all[i].Float {
				all[i].Float[j] = float32(j%7) / 10
			}
		}
		if p.Kind == nn.Counter {
			all[i].Int = []int64{1000}
		}
	}
	if edit != nil {
		all = edit(all)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := weights.WriteSafetensors(f, all, nil); err != nil {
		t.Fatal(err)
	}
	return fileHash(t, path)
}

// recorder keeps events; on, if set, sees each first.
type recorder struct {
	mu  sync.Mutex
	all []runlog.Event
	on  func(runlog.Event)
}

func (r *recorder) Emit(e runlog.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.on != nil {
		r.on(e)
	}
	r.all = append(r.all, e)
}

// texts are what people are told.
func (r *recorder) texts() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, e := range r.all {
		switch e := e.(type) {
		case runlog.Note:
			out = append(out, e.Text)
		case runlog.Warning:
			out = append(out, e.Run+": "+e.Text)
		case runlog.RunFailed:
			out = append(out, e.Run+" failed: "+e.Error)
		case runlog.RunSkipped:
			out = append(out, e.Run+" skipped: "+e.Reason)
		}
	}
	return out
}

func (r *recorder) started(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.all {
		if s, ok := e.(runlog.RunStarted); ok && s.Run == id {
			n++
		}
	}
	return n
}

// wantText wants one of the texts to hold all the parts.
func wantText(t *testing.T, texts []string, parts ...string) {
	t.Helper()
	if !slices.ContainsFunc(texts, func(text string) bool {
		return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) })
	}) {
		t.Errorf("no text has %q:\n%s", parts, strings.Join(texts, "\n"))
	}
}

// interruptAt applies until stop says so of an event, and wants the interruption told.
func (l *lab) interruptAt(stop func(runlog.Event) bool) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	defer cancel()
	l.log.on = func(e runlog.Event) {
		if stop(e) {
			cancel()
		}
	}
	got, err := Apply(ctx, l.opt)
	l.log.on = nil
	if err != nil || !got.Interrupted {
		l.t.Fatalf("summary %+v, error %v, want an interruption\n%s", got, err, strings.Join(l.log.texts(), "\n"))
	}
}
