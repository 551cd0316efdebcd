package planner

// Estimate is what a training is expected to take on the machine that planned it, alone on all its cores. What runs share
// is not in it: that is in Sharing.
type Estimate struct {
	Memory  int64   `json:"memory_bytes"` // the most that it holds at a time
	Seconds float64 `json:"seconds"`      // of what is left to be done
	Disk    int64   `json:"disk_bytes"`   // of what it leaves in the store
	// DeviceMemory is what it holds of the memory of a device that has its own; 0 where it is trained on none.
	DeviceMemory int64 `json:"device_memory_bytes,omitempty"`
}

// Estimate is that of a run of the plan; zero where nothing is left to be done or nothing is known.
func (p *Plan) Estimate(r *Run) Estimate {
	if r.Action == Done || r.Estimate < 0 || r.Estimate >= len(p.Estimates) {
		return Estimate{}
	}
	return p.Estimates[r.Estimate]
}

// estimateKey is what a run's estimate depends on.
type estimateKey struct{ settings, dataset, sharing, done int }

// estimate asks what the runs that are to be done take, each sort of them once, and what they save by sharing.
func (p *Plan) estimate(costs Costs) {
	p.Estimates = nil
	if by, err := p.Launcher(); err == nil {
		costs.StartedBy(by)
	}
	for i := range p.Sharing {
		s := &p.Sharing[i]
		s.Seconds, s.Memory, s.DeviceMemory, s.Saves = 0, 0, 0, 0
	}
	type known struct {
		index int
		saves float64
	}
	asked := map[estimateKey]known{}
	distinct := map[Estimate]int{}
	begun := make([]bool, len(p.Sharing))
	for i, first := range p.firsts() {
		r := &p.Runs[i]
		r.Estimate = 0
		if r.Action == Done {
			continue
		}
		key := estimateKey{r.Settings, r.Dataset, r.Sharing, r.FromEpoch}
		s, d, sharing := &p.Settings[r.Settings], &p.Datasets[r.Dataset], &p.Sharing[r.Sharing]
		of, there := asked[key]
		if !there {
			e := costs.Training(s, d, sharing, r.FromEpoch)
			index, equal := distinct[e]
			if !equal {
				index = len(p.Estimates)
				distinct[e] = index
				p.Estimates = append(p.Estimates, e)
			}
			of = known{index: index}
			if sharing.any() {
				of.saves = costs.Training(s, d, &Sharing{}, r.FromEpoch).Seconds - e.Seconds
			}
			asked[key] = of
		}
		r.Estimate = of.index
		if !first || !sharing.any() {
			continue
		}
		if !begun[r.Sharing] {
			begun[r.Sharing] = true
			e := costs.Features(s, d, sharing)
			sharing.Seconds, sharing.Memory, sharing.DeviceMemory = e.Seconds, e.Memory, e.DeviceMemory
			sharing.Saves -= e.Seconds
		}
		sharing.Saves += of.saves
	}
	p.completeLaunches(costs.Process())
}

// firsts visits the runs of the plan, by index, and says of each whether it is the first of its id: runs with the same id
// are one training.
func (p *Plan) firsts() func(yield func(int, bool) bool) {
	return func(yield func(int, bool) bool) {
		seen := make(map[[idLen]byte]struct{}, len(p.Runs))
		for i := range p.Runs {
			var id [idLen]byte
			copy(id[:], p.Runs[i].ID)
			before := len(seen)
			seen[id] = struct{}{}
			if !yield(i, len(seen) > before) {
				return
			}
		}
	}
}
