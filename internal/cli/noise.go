package cli

import (
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

// baselines tells planning how the results vary that gates compare with.
type baselines struct {
	app  *app
	read map[string]*reports.Results
}

func (b baselines) Noise(path, metric string, predictions bool) (func(*planner.Config) (planner.Noise, bool), error) {
	r := b.read[path]
	if r == nil {
		var err error
		if r, err = b.app.readBaseline(path); err != nil {
			return nil, err
		}
		b.read[path] = r
	}
	find := r.Lookup()
	return func(c *planner.Config) (planner.Noise, bool) {
		results := find(c.Sweep, labels(c))
		if results == nil {
			return planner.Noise{}, false
		}
		n := planner.Noise{Values: results.Values(metric), Runs: map[int64]string{}, Discordant: -1}
		for i := range results.Seeds {
			n.Runs[results.Seeds[i].Seed] = results.Seeds[i].ID
		}
		if predictions {
			if share, ok := results.Discordant(); ok {
				n.Discordant = share
			}
		}
		return n, true
	}, nil
}
