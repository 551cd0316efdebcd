package planner

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/ftrun/ftrun/spec"
)

// Kinds of launchers.
const (
	Local = spec.LocalLauncher // the machine that applies the plan
	Slurm = spec.SlurmLauncher // job arrays of a cluster
	K8s   = spec.K8sLauncher   // indexed Jobs, which are printed and not started
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
	Mount     string `json:"mount,omitempty"` // where the claim is mounted; "" is the working directory
	// Volumes are further claims, which are only read, and where they are mounted.
	Volumes map[string]string `json:"volumes,omitempty"`

	// local: what the flags of apply say that have these names.
	Parallelism int    `json:"parallelism,omitempty"`
	Threads     int    `json:"threads,omitempty"`
	Device      string `json:"device,omitempty"`
	Cache       int64  `json:"cache_bytes,omitempty"` // for decoded pictures
}

// thisMachine is how runs are started that no launcher starts.
var thisMachine = Launch{Kind: Local}

// LaunchOf is how a run of the plan is started; never nil, and not to be changed.
func (p *Plan) LaunchOf(r *Run) *Launch {
	if !inside(r.Launch, p.Launches) {
		return &thisMachine
	}
	return &p.Launches[r.Launch]
}

// String is the launcher as a sentence names it: "launcher.slurm.cluster", "this machine".
func (l *Launch) String() string {
	if l.Name == "" {
		return "this machine"
	}
	return "launcher." + l.Kind + "." + l.Name
}

// Launcher is how the plan's runs that are to be done are started, as the first of them is. One apply starts all of its runs by
// one kind of launcher, and on this machine with the same settings: an error says which sweeps say otherwise. Slurm's may be
// several.
func (p *Plan) Launcher() (*Launch, error) {
	if len(p.Launches) == 0 {
		return &thisMachine, nil
	}
	var by *Launch
	sweep := ""
	for i, first := range p.firsts() {
		r := &p.Runs[i]
		if !first || r.Action == Done {
			continue
		}
		switch l := p.LaunchOf(r); {
		case by == nil:
			by, sweep = l, p.Configs[r.Config].Sweep
		case by == l || by.Kind == l.Kind && (l.Kind != Local || by.Name == l.Name):
		default:
			return nil, fmt.Errorf("sweep %q is for %s and sweep %q for %s, and one apply can't do both: choose one for all "+
				"with -launcher, or plan the sweeps one after the other with -target", sweep, by, p.Configs[r.Config].Sweep, l)
		}
	}
	if by == nil {
		by = &thisMachine
	}
	return by, nil
}

// checkLaunches makes sure that one apply can start all that is to be done.
func (p *planning) checkLaunches(plan *Plan) bool {
	_, err := plan.Launcher()
	if err == nil {
		return true
	}
	i := slices.IndexFunc(p.sweeps, func(sw *sweepState) bool { _, says := sw.Ranges["launcher"]; return says })
	p.complain(rangeOf(p.sweeps[max(i, 0)].Sweep, "launcher"), "Different launchers", "%s.", sentence(err))
	return false
}

// launches are the distinct ways in which the runs of a plan in the making are started.
type launches struct {
	list    []Launch
	indices map[*spec.Launcher]int
	equal   map[string]int // by JSON
	encoder encoder
}

func newLaunches() *launches {
	return &launches{indices: map[*spec.Launcher]int{}, equal: map[string]int{}}
}

// index is that of a launcher's launch; nil is this machine.
func (ls *launches) index(of *spec.Launcher) int {
	i, known := ls.indices[of]
	if !known {
		l := newLaunch(of)
		i = ls.add(&l)
		ls.indices[of] = i
	}
	return i
}

func (ls *launches) add(l *Launch) int {
	raw, err := ls.encoder.encode(l)
	if err != nil {
		panic(fmt.Sprintf("planner: a launch has no JSON: %v", err))
	}
	i, known := ls.equal[string(raw)]
	if !known {
		i = len(ls.list)
		ls.list = append(ls.list, *l)
		ls.equal[string(raw)] = i
	}
	return i
}

// listed are those of the plan: none where all runs are started here, as the flags say.
func (ls *launches) listed() []Launch {
	if len(ls.list) == 1 && ls.list[0].Kind == Local && ls.list[0].Name == "" {
		return nil
	}
	return ls.list
}

// newLaunch is what a launcher says, with the defaults that follow from nothing else.
func newLaunch(of *spec.Launcher) Launch {
	if of == nil {
		return thisMachine
	}
	l := Launch{
		Kind: of.Kind, Name: of.Name, GPUs: value(of.GPUs), CPUs: value(of.CPUs), Memory: value(of.Memory), MaxParallel: value(of.MaxParallel),
		Setup: of.Setup, Partition: of.Partition, Account: of.Account, QOS: of.QOS, Constraint: of.Constraint, Extra: of.Extra,
		Image: of.Image, Claim: of.Claim, Namespace: of.Namespace, Mount: of.Mount, Volumes: of.Volumes,
		Parallelism: value(of.Parallelism), Threads: value(of.Threads), Device: of.Device, Cache: value(of.Cache),
	}
	if of.Time != nil {
		l.Seconds = int64(of.Time.Seconds())
	}
	if l.Kind != Local {
		l.CPUs = max(l.CPUs, 1)
	}
	return l
}

// value is what p points to, or zero.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// The margins of what is asked for where the launcher says nothing. An estimate is of the machine that planned; a node may be
// slower and busy, read from a shared file system, and has other numbers of cores. A job that asks for too much waits longer; one
// that asks for too little is ended: without memory it fails, without time it goes on from its checkpoint.
const (
	memoryMargin = 1.25
	timeMargin   = 3
	startSeconds = 600 // for the job's start: the node's, the container's, the first reading of weights and pictures
	// gpuMemory is what the process of a GPU holds of the host's memory beside a training: the driver's context, cuBLAS and
	// cuDNN. It is an allowance, not a measurement.
	gpuMemory = 2 << 30
	// leastMemory is the least that is asked for: less frees nothing, and a small estimate is off by more than a quarter.
	leastMemory = 512 << 20
)

// memoryLimit is what is asked for a process that is expected to hold so many bytes. It is rounded, to an eighth at most, so that
// similar runs are started alike.
func memoryLimit(bytes int64) int64 {
	n := max(int64(math.Ceil(memoryMargin*float64(bytes))), leastMemory)
	return roundUp(n, max(64<<20, int64(1)<<(bits.Len64(uint64(n))-1)/8))
}

// timeLimit is what is asked for a training that is expected to take so many seconds: whole steps of five minutes, a quarter of an
// hour, or an hour.
func timeLimit(seconds float64) int64 {
	n := int64(math.Ceil(min(timeMargin*seconds, 1e12))) + startSeconds
	switch {
	case n <= 3600:
		return roundUp(n, 300)
	case n <= 4*3600:
		return roundUp(n, 900)
	}
	return roundUp(n, 3600)
}

func roundUp(n, step int64) int64 { return (n + step - 1) / step * step }

// completeLaunches fills in what launchers leave to the estimates, which suppose a process of so many threads that holds so much
// memory beside its trainings.
func (p *Plan) completeLaunches(threads int, process int64) {
	if len(p.Launches) == 0 {
		return
	}
	type key struct{ launch, estimate, sharing int }
	complete, asked := newLaunches(), map[key]int{}
	for i := range p.Runs {
		r := &p.Runs[i]
		k := key{r.Launch, r.Estimate, r.Sharing}
		if r.Action == Done {
			k.estimate = -1
		}
		index, known := asked[k]
		if !known {
			l := *p.LaunchOf(r)
			l.complete(p.Estimate(r), &p.Sharing[r.Sharing], threads, process)
			index = complete.add(&l)
			asked[k] = index
		}
		r.Launch = index
	}
	p.Launches = complete.list
}

// complete fills in what the launcher leaves to the estimate of a run; what an earlier estimate had filled in is done anew. The run
// may have to compute itself what it shares. What a CPU takes says nothing of a GPU's time, nor the other way round: without an
// estimate of its own kind a job asks for no time, and gets what its partition gives.
func (l *Launch) complete(e Estimate, sharing *Sharing, threads int, process int64) {
	if l.EstimatedMemory {
		l.Memory, l.EstimatedMemory = 0, false
	}
	if l.EstimatedTime {
		l.Seconds, l.EstimatedTime = 0, false
	}
	if l.Kind == Local {
		return
	}
	if l.Memory == 0 && e.Memory > 0 {
		if l.GPUs > 0 {
			process += gpuMemory
		} else { // which holds itself what would lie on a GPU
			process += e.DeviceMemory + sharing.DeviceMemory
		}
		l.Memory, l.EstimatedMemory = memoryLimit(e.Memory+sharing.Memory+process), true
	}
	if l.Seconds == 0 && e.Seconds > 0 && (e.DeviceMemory > 0) == (l.GPUs > 0) {
		fewer := max(1, float64(threads)/float64(max(l.CPUs, 1)))
		l.Seconds, l.EstimatedTime = timeLimit((e.Seconds+sharing.Seconds)*fewer), true
	}
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
