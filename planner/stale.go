package planner

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/ftrun/ftrun/spec"
)

// Inputs are what a plan was made from, as they are found when it is to be applied.
type Inputs struct {
	// Sources are the files that would be read now for the plan's target.
	Sources []spec.Source
	// Variables are those given now, by flags or the environment. One that isn't given keeps the plan's value.
	Variables map[string]cty.Value
}

// Stale lists in what a plan no longer agrees with the world: files, variables, data, weights, the version of the
// arithmetic. An empty list means that the plan may be applied. What the store holds plays no part: Refresh follows it.
func Stale(ctx context.Context, p *Plan, now Inputs, w World) ([]string, error) {
	var reasons []string
	add := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }

	if p.Numerics != w.Numerics {
		add("the arithmetic has version %d, the plan was made for version %d", w.Numerics, p.Numerics)
	}
	for _, was := range p.Sources {
		i := slices.IndexFunc(now.Sources, func(s spec.Source) bool { return s.Path == was.Path })
		if i < 0 {
			add("%s is gone", was.Path)
		} else if now.Sources[i].SHA256 != was.SHA256 {
			add("%s has changed", was.Path)
		}
	}
	for _, s := range now.Sources {
		if !slices.ContainsFunc(p.Sources, func(was Source) bool { return was.Path == s.Path }) {
			add("%s is new", s.Path)
		}
	}
	for _, name := range mapKeys(now.Variables) {
		value := valueJSON(now.Variables[name])
		if was, ok := p.Variables[name]; !ok {
			add("the variable %q is given, which the plan doesn't have", name)
		} else if !bytes.Equal(was, value) {
			add("the variable %q is %s, the plan was made with %s", name, value, was)
		}
	}
	for i := range p.Datasets {
		was := &p.Datasets[i]
		found, err := w.Data.Describe(ctx, was.spec())
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			add("the data set %q can't be read: %v", was.Name, err)
		case found.Hash != was.Hash:
			add("the data set %q has changed", was.Name)
		}
	}
	hashed := map[string]bool{}
	for i := range p.Settings {
		switch weights, arch := &p.Settings[i].Weights, p.Settings[i].Arch; weights.Kind {
		case "file":
			if hashed[weights.Path] {
				continue
			}
			hashed[weights.Path] = true
			if sum, err := w.Weights.FileSHA256(weights.Path); err != nil {
				add("the weights %s can't be read: %v", weights.Path, err)
			} else if sum != weights.SHA256 {
				add("the weights %s have changed", weights.Path)
			}
		case "catalogue":
			if key := arch + " " + weights.Name; !hashed[key] {
				hashed[key] = true
				if _, ok := w.Weights.Lookup(arch, weights.Name); !ok {
					add("this ftrun has no weights %q for %s", weights.Name, arch)
				}
			}
		}
	}
	return reasons, nil
}

// spec is the data set as a file would give it.
func (d *Dataset) spec() *spec.Dataset {
	s := &spec.Dataset{Name: d.Name, Kind: d.Kind, Path: d.Path, Splits: d.Splits, Fractions: d.Fractions}
	if d.Synthetic != nil {
		synthetic := spec.Synthetic(*d.Synthetic)
		s.Synthetic = &synthetic
	}
	return s
}
