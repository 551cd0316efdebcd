package planner

import (
	"fmt"
	"slices"

	"github.com/ftrun/ftrun/spec"
)

// Gate is a bound that configurations are held to when their runs are done. It decides nothing about training, and so is
// no part of a run's identity.
type Gate struct {
	Name     string     `json:"name"`
	Sweep    string     `json:"sweep"`
	Configs  []int      `json:"configurations,omitempty"` // that it judges, ascending; left out: all of the sweep
	Baseline string     `json:"baseline,omitempty"`       // the file; with max_drop and max_rise
	Metric   string     `json:"metric"`
	Bound    spec.Bound `json:"bound"`
	Limit    float64    `json:"limit"`
	Relative bool       `json:"relative,omitempty"` // Limit is a share of the baseline's value

	Test         spec.Test       `json:"test"`
	Alpha        float64         `json:"alpha,omitempty"`      // with a test
	Correction   spec.Correction `json:"correction,omitempty"` // with a test
	MinSeeds     int             `json:"min_seeds"`
	Inconclusive spec.Reaction   `json:"inconclusive"`      // Pass, Fail
	Missing      spec.Reaction   `json:"missing,omitempty"` // with a baseline: Warn, Fail
}

// check holds a gate that was read to what a file could say.
func (g *Gate) check() error {
	return (&spec.Gate{Baseline: g.Baseline, Metric: g.Metric, Bound: g.Bound, Limit: g.Limit, Relative: g.Relative, Test: g.Test,
		Alpha: g.Alpha, Correction: g.Correction, MinSeeds: g.MinSeeds, Inconclusive: g.Inconclusive, Missing: g.Missing}).Check()
}

// Judged lists the configurations that a gate of the plan judges.
func (p *Plan) Judged(g *Gate) []int {
	if g.Configs != nil {
		return g.Configs
	}
	var all []int
	for i := range p.Configs {
		if p.Configs[i].Sweep == g.Sweep {
			all = append(all, i)
		}
	}
	return all
}

// judge evaluates the gates' conditions for every combination of their sweeps, and makes sure that the runs will have what
// the gates bound.
func (p *planning) judge() {
	p.judged = make([][]bool, len(p.spec.Gates))
	whole := p.faults == 0 // every combination is there to be judged
	for i, g := range p.spec.Gates {
		sw := p.sweepOf(g)
		p.judged[i] = make([]bool, len(sw.combinations))
		some := false
		for k, c := range sw.combinations {
			judges, diags := g.Judges(c)
			p.judged[i][k] = judges
			some = some || judges
			if diags.HasErrors() { // told once, for the first that it fails for
				p.pass(nil, diags)
				some = true
				break
			}
		}
		if !some && whole {
			p.pass(nil, g.Idle())
		}
		p.checkMetric(g, sw, p.judged[i])
	}
}

func (p *planning) sweepOf(g *spec.Gate) *sweepState {
	i := slices.IndexFunc(p.sweeps, func(sw *sweepState) bool { return sw.Name == g.Sweep })
	return p.sweeps[i]
}

// checkMetric makes sure that the judged runs will have the gate's metric.
func (p *planning) checkMetric(g *spec.Gate, sw *sweepState, judged []bool) {
	lacks := func(d *Dataset) string {
		switch {
		case (g.Metric == "test_acc" || g.Metric == "test_loss") && d.Pictures["test"] == 0:
			return "has no test split"
		case g.Metric == "val_top5" && len(d.Classes) <= 5:
			return fmt.Sprintf("has %d classes, and the best five of them are told from six classes on", len(d.Classes))
		}
		return ""
	}
	for _, c := range sw.candidates {
		if !judged[c.combination] || c.state != identified {
			continue
		}
		if d := &p.datasets[c.dataset]; lacks(d) != "" {
			rng, given := g.Ranges["metric"]
			if !given {
				rng = g.Range
			}
			p.complain(&rng, "Metric that runs lack", "The gate %q bounds %s, but the data set %q %s.", g.Name, g.Metric, d.Name, lacks(d))
			return
		}
	}
}

// gates writes down the gates that judge something of the plan.
func (p *planning) gates() []Gate {
	var gates []Gate
	for i, g := range p.spec.Gates {
		var judged []int
		all := true
		for _, c := range p.sweepOf(g).candidates {
			switch {
			case !c.chosen:
			case !p.judged[i][c.combination]:
				all = false
			case len(judged) == 0 || judged[len(judged)-1] != c.config:
				judged = append(judged, c.config)
			}
		}
		if len(judged) == 0 {
			continue
		}
		if all {
			judged = nil
		}
		gates = append(gates, Gate{
			Name: g.Name, Sweep: g.Sweep, Configs: judged, Baseline: g.Baseline, Metric: g.Metric, Bound: g.Bound, Limit: g.Limit, Relative: g.Relative,
			Test: g.Test, Alpha: g.Alpha, Correction: g.Correction, MinSeeds: g.MinSeeds, Inconclusive: g.Inconclusive, Missing: g.Missing,
		})
	}
	return gates
}

// verifyGates holds the gates of a plan that was read against the rest of it.
func (p *Plan) verifyGates() error {
	names := map[string]bool{}
	for i := range p.Gates {
		g := &p.Gates[i]
		if names[g.Name] {
			return fmt.Errorf("there are two gates %q", g.Name)
		}
		names[g.Name] = true
		if err := g.check(); err != nil {
			return fmt.Errorf("the gate %q: %w", g.Name, err)
		}
		judged := p.Judged(g)
		if len(judged) == 0 {
			return fmt.Errorf("the gate %q judges no configuration", g.Name)
		}
		for k, c := range judged {
			if !inside(c, p.Configs) || p.Configs[c].Sweep != g.Sweep || k > 0 && c <= judged[k-1] {
				return fmt.Errorf("the gate %q judges a configuration that its sweep doesn't have", g.Name)
			}
		}
	}
	return nil
}
