package executor

import (
	"encoding/json"
	"testing"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/planner"
)

// FuzzProgress reads positions from checkpoints: what is let through can be gone on from.
func FuzzProgress(f *testing.F) {
	good := progress{
		Path: "avx2", Epoch: 2, Step: 1, Total: 9, Best: 1, Value: 0.5, Sum: sums{Seen: 4, Loss: 1},
		History: []runlog.Epoch{{Epoch: 1, ValAcc: 0.5}, {Epoch: 2, ValAcc: 0.25}},
	}
	raw, err := json.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	const steps = 4
	if _, err := readProgress(&weights.File{Metadata: map[string]string{progressKey: string(raw)}}, steps); err != nil {
		f.Fatal(err)
	}
	f.Add(string(raw))
	f.Add(`{"epoch":-1}`)
	f.Add(`{"epoch":1,"history":[{}],"total":4,"best":1}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, note string) {
		p, err := readProgress(&weights.File{Metadata: map[string]string{progressKey: note}}, steps)
		if err != nil {
			return
		}
		if p.Epoch > 0 {
			_, _ = p.History[p.Best-1], p.History[len(p.History)-1]
		}
		tr := &training{set: &planner.Settings{Epochs: 3, EarlyStop: &planner.EarlyStop{Monitor: "val_loss", Patience: 1}}}
		tr.passes(p)
		if p.Total != p.Epoch*steps+p.Step {
			t.Errorf("%d steps in all at epoch %d, step %d", p.Total, p.Epoch, p.Step)
		}
	})
}
