package planner

// Estimate is what a training is expected to take on the machine that planned it, alone on all its cores. What runs share
// is not in it: that is in Sharing.
type Estimate struct {
	Memory  int64   `json:"memory_bytes"` // the most that it holds at a time
	Seconds float64 `json:"seconds"`      // of what is left to be done
	Disk    int64   `json:"disk_bytes"`   // of what it leaves in the store
}

// Estimate is that of a run of the plan; zero where nothing is left to be done or nothing is known.
func (p *Plan) Estimate(r *Run) Estimate {
	if r.Estimate < 0 || r.Estimate >= len(p.Estimates) {
		return Estimate{}
	}
	return p.Estimates[r.Estimate]
}
