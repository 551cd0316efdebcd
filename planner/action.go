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

// action is what apply is to do with a run.
func (s *shelf) action(id string, replace bool) (Action, error) {
	state, there, err := s.state(id)
	switch {
	case err != nil:
		return "", fmt.Errorf("what the store holds of run %s can't be read (`ftrun runs rm %s` removes it): %w", id, id, err)
	case there && (replace || state.Failed):
		return Replace, nil
	case state.Finished:
		return Done, nil
	case state.Checkpoint:
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
		action, err := p.shelf.action(c.id, replace[c.id])
		if err != nil {
			p.complain(nil, "Run can't be read", "%v.", err)
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
		if r.Action, err = shelf.action(r.ID, replaced[r.ID]); err != nil {
			return err
		}
	}
	return nil
}
