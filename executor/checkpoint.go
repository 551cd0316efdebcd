package executor

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/ftrun/ftrun/internal/kernels"
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
	Files   runlog.Files   `json:"files"` // those of the best epoch, and the course
	History []runlog.Epoch `json:"history"`
	Seconds float64        `json:"seconds"` // wall time so far
	Plateau optim.Plateau  `json:"plateau"` // of the schedule of that kind
	// Algorithms are those that the device has chosen by measuring, without which the rest would have other bits.
	Algorithms kernels.Algorithms `json:"algorithms,omitempty"`
}

// check finds what can't be said of a training of so many steps an epoch.
func (p *progress) check(steps int) error {
	switch {
	case p.Epoch < 0 || p.Epoch != len(p.History),
		p.Step < 0 || p.Step > steps || p.Total != p.Epoch*steps+p.Step,
		(p.Sum.Seen > 0) != (p.Step > 0),
		p.Best < 0 || p.Best > p.Epoch || (p.Best > 0) != (p.Epoch > 0):
		return fmt.Errorf("it says that it was written in step %d of epoch %d, which this training has not", p.Step, p.Epoch+1)
	}
	return nil
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

	// of a file of best weights
	archKey  = "ftrun.arch"
	runKey   = "ftrun.run"
	epochKey = "ftrun.epoch"
)

// saveCheckpoint writes what training has changed (parameters, moved buffers, optimizer) and the progress, and before it
// what that refers to and is not yet written: the best epoch and the course.
func (t *training) saveCheckpoint() error {
	if !t.lease.Held() {
		return errLost
	}
	p := t.progress
	if t.best != nil {
		if err := t.keepBest(t.best, p); err != nil {
			return err
		}
		t.best = nil
		dropped(t.params.Memory())
	}
	if len(p.History) > 0 {
		var err error
		if p.Files.Metrics, err = t.dir.WriteEpochs(p.History); err != nil {
			return err
		}
	}
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
	t.progress.Seconds, t.progress.Algorithms = t.seconds(), t.algorithms()
	note, err := json.Marshal(t.progress)
	if err != nil {
		return err
	}
	metadata := map[string]string{progressKey: string(note)}
	file, err := t.dir.WriteCheckpoint(func(w io.Writer) error { return weights.WriteSealed(w, tensors, metadata) })
	if err != nil {
		return err
	}
	tensors, state = nil, optim.State{}
	dropped(t.params.Memory() + t.optimizer.Memory())
	t.saved = time.Now()
	t.status.Epoch, t.status.Checkpoint, t.status.Updated = p.Epoch, &file, t.saved
	return t.dir.WriteStatus(*t.status)
}

// readProgress reads the progress from a checkpoint of a training of so many steps an epoch.
func readProgress(file *weights.File, steps int) (*progress, error) {
	p := new(progress)
	if err := json.Unmarshal([]byte(file.Metadata[progressKey]), p); err != nil {
		return nil, fmt.Errorf("it has no position: %w", err)
	}
	return p, p.check(steps)
}
