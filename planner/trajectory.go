package planner

// continueShorter lets each run of which nothing is there yet go on where the longest shorter run of its trajectory ends,
// be it in the store or of this plan. Whether early stopping, which is no part of a trajectory, would have ended the run
// before is for the executor to see.
func (p *planning) continueShorter() {
	p.from = map[string]string{}
	stored, err := p.shelf.trajectories()
	if err != nil {
		p.complain(nil, "Store can't be read", "%s.", sentence(err))
		return
	}
	planned := p.shorterOnes()
	if len(stored) == 0 && len(planned) == 0 {
		return
	}
	for _, c := range p.settled {
		if !c.chosen || p.actions[c.id] != Create {
			continue
		}
		most, epochs := "", 0
		for _, u := range planned[c.trajectory] {
			if n := p.settings[u.settings].Epochs; n > epochs && n < p.settings[c.settings].Epochs {
				most, epochs = u.id, n
			}
		}
		for _, id := range stored[c.trajectory] {
			if p.planned[id] {
				continue
			}
			state, there, err := p.shelf.state(id)
			if err == nil && there && state.Checkpoint && state.Epochs > epochs && state.Epochs <= p.settings[c.settings].Epochs {
				most, epochs = id, state.Epochs
			}
		}
		if most != "" {
			p.from[c.id], p.epochs[c.id] = most, epochs
		}
	}
	for id, from := range p.from {
		if p.actions[id], _, err = p.shelf.continued(from); err != nil {
			p.complain(nil, "Run can't be read", "%s.", sentence(err))
		}
	}
}

// shorterOnes lists the chosen candidates of those trajectories of which the plan has runs of different lengths. Most
// plans have none, and then it costs a look at the settings only.
func (p *planning) shorterOnes() map[string][]*candidate {
	epochs := map[settingsHash]int{}
	several := map[settingsHash]bool{}
	for i, s := range p.settings {
		if n, known := epochs[p.hashes[i]]; known && n != s.Epochs {
			several[p.hashes[i]] = true
		}
		epochs[p.hashes[i]] = s.Epochs
	}
	if len(several) == 0 {
		return nil
	}
	byTrajectory := map[string][]*candidate{}
	for _, c := range p.settled {
		if c.chosen && several[p.hashes[c.settings]] {
			byTrajectory[c.trajectory] = append(byTrajectory[c.trajectory], c)
		}
	}
	return byTrajectory
}

// trajectories lists the runs of the store by their trajectories.
func (s *shelf) trajectories() (map[string][]string, error) {
	if s.store == nil || len(s.ids) == 0 {
		return nil, nil
	}
	return s.store.Trajectories()
}
