package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/nn/optim"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/planner"
)

// checkpoint is a state that a training may go on from: its own, or that of another run of its trajectory.
type checkpoint struct {
	dir  *runlog.Run
	path string
}

// checkpoints lists what may be gone on from, the best first.
func (t *training) checkpoints() []checkpoint {
	dirs := []*runlog.Run{t.dir}
	if t.run.From != "" && t.run.Action != planner.Replace {
		dirs = append(dirs, t.Store.Run(t.run.From))
	}
	var all []checkpoint
	for _, dir := range dirs {
		for _, path := range dir.CheckpointPaths() {
			all = append(all, checkpoint{dir, path})
		}
	}
	return all
}

// goOn brings the training, which is at its start, to the first checkpoint that is of use, and says so where that is one of
// another run. told is what is to be said of those that are not, and of what had to be mended.
func (t *training) goOn(ctx context.Context) (told []string, err error) {
	var problems []string
	for _, c := range t.checkpoints() {
		mended, err := t.restore(ctx, c)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil && (ctx.Err() != nil || !t.lease.Held()):
			return nil, err
		case err != nil:
			if problem := err.Error(); !slices.Contains(problems, problem) {
				problems = append(problems, problem)
			}
		case c.dir != t.dir:
			t.emit(runlog.Note{Text: fmt.Sprintf("%s: it goes on from the last checkpoint of run %s, a training of the same settings", t.Plan.Name(t.run), c.dir.ID)})
			return mended, nil
		case len(problems) > 0:
			return append(mended, strings.Join(problems, "; ")+"; the run goes on from the checkpoint before it"), nil
		default:
			return mended, nil
		}
	}
	if len(problems) == 0 {
		return nil, nil
	}
	return []string{strings.Join(problems, "; ") + "; the run starts again"}, t.begin(ctx)
}

// restore goes back to a checkpoint. An error says why it can't be gone on from: there is none (fs.ErrNotExist), it is
// damaged, or it is that of another training. Parameters and optimizer may be half restored then. mended is what had to
// be made again.
func (t *training) restore(ctx context.Context, c checkpoint) (mended []string, err error) {
	file, err := weights.OpenSealed(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("the checkpoint can't be used: %w", err)
	}
	p, err := readProgress(file, t.steps)
	if err != nil {
		return nil, fmt.Errorf("the checkpoint can't be used: %w", err)
	}
	if p.Path != t.device.Path() {
		return nil, fmt.Errorf("the checkpoint was made with %s arithmetic and this device's is %s, which does not give the same bits", p.Path, t.device.Path())
	}
	if c.dir != t.dir && !t.passes(p) {
		return nil, fmt.Errorf("the checkpoint of run %s lies where this run does not come by", c.dir.ID)
	}
	t.adopt(p.Algorithms)
	if err := t.setState(file, p); err != nil {
		return nil, fmt.Errorf("the checkpoint %w", err)
	}
	if p.Epoch > 0 {
		if mended, err = t.recoverBest(ctx, c, p); err != nil {
			return nil, err
		}
		if len(mended) > 0 { // parameters may be those of the best epoch now
			if err := t.setState(file, p); err != nil {
				return nil, fmt.Errorf("the checkpoint %w", err)
			}
		}
		if p.Files.Metrics, err = t.dir.WriteEpochs(p.History); err != nil {
			return nil, err
		}
	}
	*t.progress = *p
	t.spent = p.Seconds
	return mended, nil
}

// passes tells whether this run comes by a state of its trajectory: whether neither its epochs nor its early stopping end
// it before.
func (t *training) passes(p *progress) bool {
	if p.Epoch > t.set.Epochs || p.Epoch == t.set.Epochs && p.Step > 0 {
		return false
	}
	for done := 1; done < p.Epoch || done == p.Epoch && p.Step > 0; done++ {
		if stalled(t.set.EarlyStop, p.History[:done]) {
			return false
		}
	}
	return true
}

// setState puts the checkpoint's parameters and moments in place.
func (t *training) setState(file *weights.File, p *progress) error {
	values := map[string]weights.Tensor{}
	state := optim.State{Step: p.Total}
	for _, tensor := range file.Tensors {
		if name, ok := strings.CutPrefix(tensor.Name, optimPrefix); ok {
			state.Moments = append(state.Moments, optim.Moment{Name: name, Values: tensor.Float})
		} else if name, ok := strings.CutPrefix(tensor.Name, paramPrefix); ok {
			values[name] = tensor
		}
	}
	for i, param := range t.net.Params {
		if !t.changes[i] {
			continue
		}
		tensor, ok := values[param.Name]
		if !ok {
			return fmt.Errorf("lacks %s", param.Name)
		}
		if err := t.setTensor(i, tensor); err != nil {
			return fmt.Errorf("does not fit at %s: %w", param.Name, err)
		}
	}
	if err := t.optimizer.LoadState(state); err != nil {
		return fmt.Errorf("does not fit: %w", err)
	}
	return nil
}

// recoverBest makes sure that the best weights so far and what they say of the validation pictures lie in the run's
// folder, as the checkpoint c, which has just been restored, has it. What is damaged is made again where it can be; p
// follows. Afterwards the parameters may be those of the best epoch, if mended has something to say.
func (t *training) recoverBest(ctx context.Context, c checkpoint, p *progress) (mended []string, err error) {
	file, damage := weights.OpenSealed(c.dir.BestPath())
	if damage == nil && file.SHA256 != p.Files.Best.SHA256 {
		if c.dir == t.dir && epochOf(file) > p.Epoch {
			return nil, nil // of an epoch after the checkpoint, which is going to be trained, and to be the best, again
		}
		damage = fmt.Errorf("%s is not that of epoch %d", c.dir.BestPath(), p.Best)
	}
	if damage != nil {
		if p.Best != p.Epoch || p.Step > 0 {
			return nil, fmt.Errorf("the weights of epoch %d, the best so far, %s", p.Best, lost(damage))
		}
		_, predictions, err := t.evaluate(ctx, data.Val)
		if err != nil {
			return nil, err
		}
		best, err := t.snapshot(predictions)
		if err != nil {
			return nil, err
		}
		if err := t.keepBest(best, p); err != nil {
			return nil, err
		}
		return []string{fmt.Sprintf("the best weights, which %s, were made again from the checkpoint", lost(damage))}, nil
	}
	predictions, damage := c.dir.Predictions(runlog.Status{Files: &p.Files})
	if damage == nil && c.dir == t.dir {
		return nil, nil
	}
	if damage != nil {
		if err := t.setAll(file); err != nil {
			return nil, err
		}
		if _, predictions, err = t.evaluate(ctx, data.Val); err != nil {
			return nil, err
		}
		mended = []string{fmt.Sprintf("the predictions were made again from the best weights: %v", damage)}
	}
	if c.dir != t.dir {
		if p.Files.Best, err = t.writeBest(file.Tensors, p.Best); err != nil {
			return nil, err
		}
	}
	p.Files.Predictions, err = t.dir.WritePredictions(predictions)
	return mended, err
}

// lost says what became of weights that can't be read.
func lost(damage error) string {
	if errors.Is(damage, fs.ErrNotExist) {
		return "are gone"
	}
	return fmt.Sprintf("can't be used (%v)", damage)
}

// LastEpoch is the number of epochs that a run's newest checkpoint which is whole has done. An error says that there is none
// (fs.ErrNotExist), or what is wrong with the last. One that is as the status has it is not read.
func LastEpoch(dir *runlog.Run, st runlog.Status) (int, error) {
	if dir.KeptCheckpoint(st) {
		return st.Epoch, nil
	}
	var damage error
	for _, path := range dir.CheckpointPaths() {
		p, err := progressIn(path)
		if err == nil {
			return p.Epoch, nil
		}
		if damage == nil || errors.Is(damage, fs.ErrNotExist) {
			damage = err
		}
	}
	return 0, damage
}

// progressIn reads the progress from a checkpoint of any training.
func progressIn(path string) (*progress, error) {
	file, err := weights.OpenSealed(path)
	if err != nil {
		return nil, err
	}
	p := new(progress)
	if err := json.Unmarshal([]byte(file.Metadata[progressKey]), p); err != nil {
		return nil, fmt.Errorf("%s has no position: %w", path, err)
	}
	return p, nil
}

// GoesOnWithoutBest tells whether a run can go on from one of its checkpoints although its best weights are lost: they are
// made again where the checkpoint is that of the best epoch's end.
func GoesOnWithoutBest(dir *runlog.Run) bool {
	return slices.ContainsFunc(dir.CheckpointPaths(), func(path string) bool {
		p, err := progressIn(path)
		return err == nil && (p.Epoch == 0 || p.Best == p.Epoch && p.Step == 0)
	})
}

// epochOf is the epoch of a file of best weights, 0 where it has none.
func epochOf(file *weights.File) int {
	n, _ := strconv.Atoi(file.Metadata[epochKey])
	return n
}
