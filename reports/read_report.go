package reports

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ftrun/ftrun/internal/durable"
)

// IsReport tells by its first member whether a file is a report as JSON.
func IsReport(raw []byte) bool { return durable.FirstMember(raw) == "runs" }

// ReadReport reads what Write gives as json. It holds neither settings nor predictions. text gives a label's value for
// people.
func ReadReport(raw []byte, text func(value json.RawMessage) string) (*Results, error) {
	var doc struct{ Runs []Run }
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, durable.ExplainJSON(err)
	}
	r := &Results{}
	index := map[string]int{}
	for i := range doc.Runs {
		run := &doc.Runs[i]
		for k := range run.Labels {
			run.Labels[k].Text = text(run.Labels[k].Value)
		}
		if run.Metrics != nil && run.Metrics.Epochs == 0 {
			return nil, fmt.Errorf("run %s has no metrics", run.ID)
		}
		key := configKey(run.Sweep, run.Labels)
		at, ok := index[key]
		if !ok {
			at = len(r.Configs)
			index[key] = at
			r.Configs = append(r.Configs, ConfigResults{Sweep: run.Sweep, Labels: run.Labels, Params: run.Params})
		}
		c := &r.Configs[at]
		c.Seeds = append(c.Seeds, SeedResult{
			Seed: run.Seed, ID: run.ID, Status: run.Status, Error: run.Error, Metrics: run.Metrics, Timing: run.Timing,
			Device: run.Device, Path: run.Path,
		})
	}
	for i := range r.Configs {
		c := &r.Configs[i]
		slices.SortFunc(c.Seeds, func(x, y SeedResult) int { return cmp.Compare(x.Seed, y.Seed) })
		for k := 1; k < len(c.Seeds); k++ {
			if c.Seeds[k].Seed == c.Seeds[k-1].Seed {
				return nil, fmt.Errorf("it has seed %d of %s twice", c.Seeds[k].Seed, c.Name())
			}
		}
	}
	return r, nil
}
