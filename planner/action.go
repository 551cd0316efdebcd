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
		if state, err = s.store.Status(id); err != nil {
			err = fmt.Errorf("what the store holds of run %s can't be read: %w", id, err)
		}
	}
	return state, there, err
}

// action is what apply is to do with a run that has left something.
func (s RunState) action(replace bool) Action {
	switch {
	case replace:
		return Replace
	case s.Finished && (s.Damage == "" || s.Trained):
		return Done
	case s.Checkpoint: // of a failed or damaged run, too
		return Resume
	case s.Failed || s.Damage != "":
		return Replace
	}
	return Create
}

// continued is what apply is to do with a run of which nothing is there but a run of its trajectory, and the epochs that
// are done by that one's checkpoint.
func (s *shelf) continued(from string) (action Action, epochs int, err error) {
	state, _, err := s.state(from)
	if err != nil {
		return "", 0, err
	}
	if state.Checkpoint {
		return Resume, state.Epochs, nil
	}
	return Create, 0, nil
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
		p.actions[c.id] = Create
		state, there, err := p.shelf.state(c.id)
		if err != nil {
			p.complain(nil, "Run can't be read", "%s.", sentence(err))
		}
		if !there {
			continue
		}
		action := state.action(replace[c.id])
		if p.actions[c.id] = action; action == Replace {
			p.replaces[c.id] = state.Started
		} else if action == Resume {
			p.epochs[c.id] = state.Epochs
		}
		if state.Damage != "" && !replace[c.id] {
			then := "It is made again."
			if action == Done {
				then = "The next apply writes it anew, and trains nothing."
			}
			p.warn(nil, "Damaged run", "What the store holds is damaged: %s. %s", state.Damage, then)
		}
	}
}

// left tells whether any run is to be trained.
func (p *planning) left() bool {
	for _, action := range p.actions {
		if action != Done {
			return true
		}
	}
	return false
}

// Refresh brings the actions of a plan, which may have been saved a while ago, up to what the store holds now, and, where
// costs are given, its estimates too. What the plan is to replace is replaced once: a run that was begun since is the new
// one.
func Refresh(p *Plan, store Store, costs Costs) error {
	shelf, err := openShelf(store)
	if err != nil {
		return err
	}
	epochs := map[string]int{} // of the runs of the plan that others go on from
	for i := range p.Runs {
		epochs[p.Runs[i].ID] = p.Settings[p.Runs[i].Settings].Epochs
	}
	left := false
	for i := range p.Runs {
		r := &p.Runs[i]
		state, there, err := shelf.state(r.ID)
		if err != nil {
			return err
		}
		if was := r.Action; there {
			r.Action = state.action(was == Replace && r.Replaces == state.Started)
		} else {
			r.Action = Create
		}
		if r.FromEpoch = 0; r.Action == Resume {
			r.FromEpoch = state.Epochs
		}
		if r.Action == Create && r.From != "" {
			if r.Action, r.FromEpoch, err = shelf.continued(r.From); err != nil {
				return err
			}
			r.FromEpoch = max(r.FromEpoch, epochs[r.From])
		}
		left = left || r.Action != Done
	}
	if costs != nil && left {
		p.estimate(costs)
	}
	return nil
}
