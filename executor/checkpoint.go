package executor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/ftrun/ftrun/internal/nn/optim"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/weights"
)

// progress is where a training stands between two steps. Together with the tensors of the checkpoint it is all that the
// rest of the training depends on: pictures, their order and dropout are drawn from the seed and the position alone.
type progress struct {
	Path    string         `json:"path"`  // instruction path; another one's checkpoint can't give the same bits
	Epoch   int            `json:"epoch"` // epochs done
	Step    int            `json:"step"`  // steps done of the next epoch
	Total   int            `json:"total"` // steps done in all
	Sum     sums           `json:"sums"`  // of the epoch under way
	Best    int            `json:"best"`  // epoch, 0: none yet
	Value   float64        `json:"value"` // its monitored metric
	History []runlog.Epoch `json:"history"`
	Seconds float64        `json:"seconds"` // wall time so far
	Plateau optim.Plateau  `json:"plateau"` // of the schedule of that kind
}

// sums add up the training figures of an epoch under way.
type sums struct {
	Seen    int     `json:"seen"`
	Correct int     `json:"correct"`
	Loss    float64 `json:"loss"`
	Seconds float64 `json:"seconds"`
}

const (
	progressKey = "ftrun.progress"
	paramPrefix = "param/"
	optimPrefix = "optim/"
)

// saveCheckpoint writes what training has changed (parameters, moved buffers, optimizer) and the progress.
func (t *training) saveCheckpoint() error {
	var tensors []weights.Tensor
	for i, p := range t.net.Params {
		if !t.changes[i] {
			continue
		}
		tensor, err := t.tensor(i)
		if err != nil {
			return err
		}
		tensor.Name = paramPrefix + p.Name
		tensors = append(tensors, tensor)
	}
	state, err := t.optimizer.State()
	if err != nil {
		return err
	}
	for _, m := range state.Moments {
		tensors = append(tensors, weights.Tensor{Name: optimPrefix + m.Name, Shape: []int{len(m.Values)}, Float: m.Values})
	}
	note, err := json.Marshal(t.progress)
	if err != nil {
		return err
	}
	return runlog.WriteFile(t.dir.CheckpointPath(), func(w io.Writer) error {
		return weights.WriteSafetensors(w, tensors, map[string]string{progressKey: string(note)})
	})
}

// restoreCheckpoint goes back to the last checkpoint, if there is one. A damaged one, or one of another instruction
// path, is told and left: the run starts again.
func (t *training) restoreCheckpoint() (restored bool, err error) {
	file, err := weights.Open(t.dir.CheckpointPath())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		t.warn("the checkpoint can't be read (%v): the run starts again", err)
		return false, nil
	}
	var p progress
	if err := json.Unmarshal([]byte(file.Metadata[progressKey]), &p); err != nil {
		t.warn("the checkpoint has no position (%v): the run starts again", err)
		return false, nil
	}
	if p.Path != t.device.Path() {
		t.warn("the checkpoint was made with %s arithmetic and this machine's is %s, which does not give the same bits: the run starts again", p.Path, t.device.Path())
		return false, nil
	}
	state := optim.State{Step: p.Total}
	values := map[string]weights.Tensor{}
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
			return false, fmt.Errorf("the checkpoint lacks %s: remove it (`ftrun runs rm %s`) to start again", param.Name, t.run.ID)
		}
		if err := t.setTensor(i, tensor); err != nil {
			return false, fmt.Errorf("the checkpoint's %s: %w", param.Name, err)
		}
	}
	if err := t.optimizer.LoadState(state); err != nil {
		return false, fmt.Errorf("the checkpoint's optimizer: %w", err)
	}
	t.progress = p
	return true, nil
}
