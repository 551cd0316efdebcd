package planner

import (
	"fmt"
	"slices"
)

// shelf is the store as planning sees it: one listing, then a look at the runs that are there.
type shelf struct {
	store Store
	ids   []string // sorted
}

// openShelf lists a store; nil is an empty one.
func openShelf(store Store) (*shelf, error) {
	if store == nil {
		return &shelf{}, nil
	}
	ids, err := store.IDs()
	if err != nil {
		return &shelf{}, fmt.Errorf("the store of runs can't be read: %w", err)
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return &shelf{store, ids}, nil
}

// state tells of a run; there is false where the store holds nothing of it.
func (s *shelf) state(id string) (state RunState, there bool, err error) {
	if _, there = slices.BinarySearch(s.ids, id); there {
		state, err = s.store.Status(id)
	}
	return state, there, err
}

// action is what apply is to do with a run, and what of it is damaged.
func (s *shelf) action(id string, replace bool) (action Action, damage string, err error) {
	state, there, err := s.state(id)
	switch {
	case err != nil:
		return "", "", fmt.Errorf("what the store holds of run %s can't be read: %w", id, err)
	case there && replace:
		return Replace, "", nil
	case state.Finished && state.Damage == "":
		return Done, "", nil
	case state.Checkpoint: // of a failed or damaged run, too
		return Resume, state.Damage, nil
	case state.Failed || state.Damage != "":
		return Replace, state.Damage, nil
	}
	return Create, "", nil
}

// continued is what apply is to do with a run of which nothing is there but a run of its trajectory.
func (s *shelf) continued(from string) (Action, error) {
	state, _, err := s.state(from)
	if err != nil {
		return "", err
	}
	if state.Checkpoint {
		return Resume, nil
	}
	return Create, nil
}

// decide sets what apply will do with each chosen run.
func (p *planning) decide() {
	replace := map[string]bool{}
	if len(p.opt.Replace) > 0 {
		all := p.kept()
		sel := p.selection(all)
		for i, yes := range p.pick(&sel, "-replace", p.opt.Replace) {
			if yes {
				replace[all[i].id] = true
			}
		}
	}
	for _, c := range p.settled {
		if _, known := p.actions[c.id]; known || !c.chosen {
			continue
		}
		action, damage, err := p.shelf.action(c.id, replace[c.id])
		if err != nil {
			p.complain(nil, "Run can't be read", "%v.", err)
		}
		if damage != "" {
			p.warn(nil, "Damaged run", "What the store holds is damaged: %s. It is made again.", damage)
		}
		p.actions[c.id] = action
	}
}

// Refresh brings the actions of a plan, which may have been saved a while ago, up to what the store holds now. Replace
// takes selectors as Options.Replace does.
func Refresh(p *Plan, store Store, replace []string) error {
	shelf, err := openShelf(store)
	if err != nil {
		return err
	}
	sel := selection{configs: p.Configs, runs: make([]selectable, len(p.Runs))}
	for i, r := range p.Runs {
		sel.runs[i] = selectable{r.Config, r.ID, r.Seed}
	}
	picked, errs := sel.pick(replace)
	if len(errs) > 0 {
		return errs[0]
	}
	replaced := map[string]bool{}
	for i, yes := range picked {
		if yes {
			replaced[p.Runs[i].ID] = true
		}
	}
	for i := range p.Runs {
		r := &p.Runs[i]
		if r.Action, _, err = shelf.action(r.ID, replaced[r.ID]); err != nil {
			return err
		}
		if r.Action == Create && r.From != "" {
			if r.Action, err = shelf.continued(r.From); err != nil {
				return err
			}
		}
	}
	return nil
}
