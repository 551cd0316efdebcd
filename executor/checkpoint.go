package executor

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
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
	checksumKey = "ftrun.checksum"
	paramPrefix = "param/"
	optimPrefix = "optim/"
)

// saveCheckpoint writes what training has changed (parameters, moved buffers, optimizer) and the progress.
func (t *training) saveCheckpoint() error {
	if !t.lease.Held() {
		return errLost
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
	note, err := json.Marshal(t.progress)
	if err != nil {
		return err
	}
	metadata := map[string]string{progressKey: string(note), checksumKey: checksum(tensors)}
	return runlog.WriteFile(t.dir.CheckpointPath(), func(w io.Writer) error {
		return weights.WriteSafetensors(w, tensors, metadata)
	})
}

// restoreCheckpoint goes back to the last checkpoint. An error says why it can't be gone on from: there is none
// (fs.ErrNotExist), it is damaged, or it is that of another training. Parameters and optimizer may be half restored then.
func (t *training) restoreCheckpoint() error {
	file, err := weights.Open(t.dir.CheckpointPath())
	if err != nil {
		return err
	}
	var p progress
	if err := json.Unmarshal([]byte(file.Metadata[progressKey]), &p); err != nil {
		return fmt.Errorf("the checkpoint has no position: %w", err)
	}
	if file.Metadata[checksumKey] != checksum(file.Tensors) {
		return errors.New("the checkpoint is damaged: its numbers are not those that were written")
	}
	if p.Path != t.device.Path() {
		return fmt.Errorf("the checkpoint was made with %s arithmetic and this machine's is %s, which does not give the same bits", p.Path, t.device.Path())
	}
	if p.Best > 0 {
		if _, err := os.Stat(t.dir.BestPath()); err != nil {
			return fmt.Errorf("the weights of epoch %d, the best so far, are gone (%v)", p.Best, err)
		}
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
			return fmt.Errorf("the checkpoint lacks %s", param.Name)
		}
		if err := t.setTensor(i, tensor); err != nil {
			return fmt.Errorf("the checkpoint's %s: %w", param.Name, err)
		}
	}
	if err := t.optimizer.LoadState(state); err != nil {
		return fmt.Errorf("the checkpoint: %w", err)
	}
	*t.progress = p
	return nil
}

// checksum is the CRC-32C of the tensors' elements, which safetensors has no place for.
func checksum(tensors []weights.Tensor) string {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	buf := make([]byte, 0, 1<<16)
	flush := func() {
		sum.Write(buf)
		buf = buf[:0]
	}
	for _, t := range tensors {
		for _, v := range t.Float {
			if buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v)); len(buf) == cap(buf) {
				flush()
			}
		}
		flush()
		for _, v := range t.Int {
			buf = binary.LittleEndian.AppendUint64(buf, uint64(v))
		}
		flush()
	}
	return fmt.Sprintf("%08x", sum.Sum32())
}
