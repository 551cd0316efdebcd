package planner

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/ftrun/ftrun/spec"
)

// assemble writes the chosen runs down, and only what they refer to.
func (p *planning) assemble(diags spec.Diagnostics) *Plan {
	plan := &Plan{
		Format: format, Version: p.world.Version, Numerics: p.world.Numerics, Target: p.opt.Target,
		Sources: make([]Source, 0, len(p.spec.Sources)), Variables: map[string]json.RawMessage{},
		Datasets: []Dataset{}, Settings: make([]Settings, 0, len(p.settings)), Configs: []Config{}, Sharing: p.sharings,
		Runs: make([]Run, 0, len(p.settled)),
	}
	for _, d := range diags { // none is an error
		plan.Warnings = append(plan.Warnings, d.Detail)
	}
	for _, s := range p.spec.Sources {
		plan.Sources = append(plan.Sources, Source(s))
	}
	for name, v := range p.spec.Inputs {
		plan.Variables[name] = valueJSON(v)
	}

	// Configurations are in the files' order, runs in an order of execution.
	for _, sw := range p.sweeps {
		combination := -1
		for _, c := range sw.candidates {
			if !c.chosen {
				continue
			}
			if c.combination != combination {
				combination = c.combination
				plan.Configs = append(plan.Configs, p.config(c))
			}
			c.config = len(plan.Configs) - 1
		}
	}
	datasets, settings := renumbering(len(p.datasets)), renumbering(len(p.settings))
	launches := newLaunches()
	for _, c := range p.settled {
		if !c.chosen {
			continue
		}
		plan.Runs = append(plan.Runs, Run{
			ID: c.id, Trajectory: c.trajectory, Config: c.config,
			Settings: renumber(settings, c.settings, &plan.Settings, p.settings[c.settings]),
			Dataset:  renumber(datasets, c.dataset, &plan.Datasets, &p.datasets[c.dataset]),
			Sharing:  c.sharing, Seed: c.seed, Action: p.actions[c.id], Replaces: p.replaces[c.id], FromEpoch: p.epochs[c.id],
			Launch: launches.index(c.launcher), Needs: p.needs(c), From: p.from[c.id], Params: c.params,
		})
	}
	plan.Launches = launches.listed()
	plan.Gates = p.gates()
	return plan
}

// needs lists those of the runs that c starts from that are in the plan too: the others have finished before.
func (p *planning) needs(c *candidate) []string {
	outside := func(id string) bool { return !p.planned[id] }
	if !slices.ContainsFunc(c.from.Runs, outside) {
		return c.from.Runs
	}
	if ids := slices.DeleteFunc(slices.Clone(c.from.Runs), outside); len(ids) > 0 {
		return ids
	}
	return nil
}

// renumbering and renumber keep of a list what is referred to, in the order of the first reference.
func renumbering(n int) []int { return slices.Repeat([]int{-1}, n) }

func renumber[T any](to []int, i int, kept *[]T, item *T) int {
	if to[i] < 0 {
		to[i] = len(*kept)
		*kept = append(*kept, *item)
	}
	return to[i]
}

// config makes a candidate's configuration.
func (p *planning) config(c *candidate) Config {
	labels := c.sweep.combinations[c.combination].Labels
	config := Config{Sweep: c.sweep.Name, Labels: make([]Label, 0, len(labels))}
	for _, l := range labels {
		config.Labels = append(config.Labels, Label{Axis: l.Axis, Value: valueJSON(l.Value)})
	}
	return config
}

// valueJSON is a value of the language as JSON. A number is the nearest float64, as everywhere in a plan.
func valueJSON(v cty.Value) json.RawMessage {
	if !v.IsNull() && v.IsKnown() {
		switch v.Type() {
		case cty.Number:
			if n, accuracy := v.AsBigFloat().Int64(); accuracy == big.Exact {
				return strconv.AppendInt(nil, n, 10)
			}
			if x, _ := v.AsBigFloat().Float64(); !math.IsInf(x, 0) {
				return mustJSON(x)
			}
		case cty.String:
			return mustJSON(v.AsString())
		}
	}
	raw, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		panic(fmt.Sprintf("planner: a value of the spec has no JSON: %v", err))
	}
	return raw
}
