package planner

import (
	"fmt"
	"slices"
)

// Kinds of launchers.
const (
	Local = "local" // the machine that applies the plan
	Slurm = "slurm" // job arrays of a cluster
	K8s   = "k8s"   // indexed Jobs, which are printed and not started
)

// Launch says how a training is started: by which launcher, and with what. It is no part of a run's identity: what comes
// of a training depends on none of it. A zero is what is neither said nor known.
type Launch struct {
	Kind string `json:"kind"`
	Name string `json:"name,omitempty"` // of the launcher; "" is this machine as the flags of apply say

	// What one training gets (slurm, k8s), or all trainings together (local: Memory alone).
	CPUs    int   `json:"cpus,omitempty"`
	GPUs    int   `json:"gpus,omitempty"`
	Memory  int64 `json:"memory_bytes,omitempty"`
	Seconds int64 `json:"time_seconds,omitempty"` // after which the job is ended
	// Memory, and Seconds, follow from the run's estimate.
	EstimatedMemory bool `json:"memory_estimated,omitempty"`
	EstimatedTime   bool `json:"time_estimated,omitempty"`

	MaxParallel int    `json:"max_parallel,omitempty"` // trainings at a time
	Setup       string `json:"setup,omitempty"`        // shell lines before ftrun

	// slurm: options of sbatch, Extra as they are.
	Partition  string   `json:"partition,omitempty"`
	Account    string   `json:"account,omitempty"`
	QOS        string   `json:"qos,omitempty"`
	Constraint string   `json:"constraint,omitempty"`
	Extra      []string `json:"extra,omitempty"`

	// k8s
	Image     string `json:"image,omitempty"`
	Claim     string `json:"claim,omitempty"` // persistent volume claim that holds the store
	Namespace string `json:"namespace,omitempty"`

	// local: what the flags of apply say that have these names.
	Parallelism int    `json:"parallelism,omitempty"`
	Threads     int    `json:"threads,omitempty"`
	Device      string `json:"device,omitempty"`
	Cache       int64  `json:"cache_bytes,omitempty"` // for decoded pictures
}

// LaunchOf is how a run of the plan is started; never nil.
func (p *Plan) LaunchOf(r *Run) *Launch {
	if !inside(r.Launch, p.Launches) {
		return &Launch{Kind: Local}
	}
	return &p.Launches[r.Launch]
}

// Only is the plan of those runs alone that keep picks, with what they refer to. Gates are left out: they judge the whole.
// A run may need one that is not in it, which must have finished when it starts. What runs share is as the whole plan
// counts it.
func (p *Plan) Only(keep func(*Run) bool) *Plan {
	part := *p
	part.Runs, part.Gates, part.Warnings = nil, nil, nil
	part.Datasets, part.Settings, part.Configs, part.Sharing = []Dataset{}, []Settings{}, []Config{}, []Sharing{}
	part.Estimates, part.Launches = nil, nil
	datasets, settings := renumbering(len(p.Datasets)), renumbering(len(p.Settings))
	configs, sharing := renumbering(len(p.Configs)), renumbering(len(p.Sharing))
	estimates, launches := renumbering(len(p.Estimates)), renumbering(len(p.Launches))
	for i := range p.Runs {
		if !keep(&p.Runs[i]) {
			continue
		}
		r := p.Runs[i]
		r.Config = renumber(configs, r.Config, &part.Configs, &p.Configs[r.Config])
		r.Settings = renumber(settings, r.Settings, &part.Settings, &p.Settings[r.Settings])
		r.Dataset = renumber(datasets, r.Dataset, &part.Datasets, &p.Datasets[r.Dataset])
		r.Sharing = renumber(sharing, r.Sharing, &part.Sharing, &p.Sharing[r.Sharing])
		if len(p.Estimates) > 0 {
			r.Estimate = renumber(estimates, r.Estimate, &part.Estimates, &p.Estimates[r.Estimate])
		}
		if len(p.Launches) > 0 {
			r.Launch = renumber(launches, r.Launch, &part.Launches, &p.Launches[r.Launch])
		}
		part.Runs = append(part.Runs, r)
	}
	return &part
}

// verifyLaunches holds the launches of a plan that was read to what a launcher block could say.
func (p *Plan) verifyLaunches() error {
	for i := range p.Launches {
		l := &p.Launches[i]
		if !slices.Contains([]string{Local, Slurm, K8s}, l.Kind) {
			return fmt.Errorf("launch %d has the unknown kind %q", i, l.Kind)
		}
		if min(l.CPUs, l.GPUs, l.MaxParallel, l.Parallelism, l.Threads) < 0 || min(l.Memory, l.Seconds, l.Cache) < 0 {
			return fmt.Errorf("launch %d asks for less than nothing", i)
		}
	}
	for i := range p.Runs {
		if r := &p.Runs[i]; r.Launch != 0 && !inside(r.Launch, p.Launches) {
			return fmt.Errorf("run %d refers to a launch that it doesn't hold", i)
		}
	}
	return nil
}
