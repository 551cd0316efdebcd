package planner

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ftrun/ftrun/spec"
)

// Make plans a spec: all its runs, in an order in which they can be done. All errors come at once, and with any error
// there is no plan. What needs a look at every run is done once for each distinct settings.
func Make(ctx context.Context, s *spec.Spec, w World, opt Options) (*Plan, spec.Diagnostics) {
	p := newPlanning(ctx, s, w, opt)

	if !p.expand() || !p.describeData() {
		return nil, p.diagnostics()
	}
	// A run's identity holds those of the runs that it starts from, so runs are settled in waves: first those that start
	// from none, then those whose upstream is settled. The order of settling is the order of execution.
	for wave := p.ready(); len(wave) > 0; wave = p.ready() {
		for _, c := range wave {
			if p.fill(c) && p.check(c) {
				p.identify(c)
			}
			c.run = nil // of a million candidates the evaluated blocks are a third of the memory
		}
	}
	p.checkUnsettled()
	p.judge()
	if p.faults == 0 {
		p.dropRepeats()
		p.choose()
		p.decide()
		p.continueShorter()
		p.share()
		if !p.opt.NoPower {
			p.weighGates()
		}
	}
	diags := p.diagnostics()
	if diags.HasErrors() {
		return nil, diags
	}
	plan := p.assemble(diags)
	if !p.opt.NoLaunch && !p.checkLaunches(plan) {
		return nil, p.diagnostics()
	}
	if w.Costs != nil && p.left() {
		plan.estimate(w.Costs)
	}
	return plan, diags
}

// planning is the state of one Make.
type planning struct {
	ctx   context.Context
	spec  *spec.Spec
	world World
	opt   Options
	archs []string

	sweeps  []*sweepState
	pending []*candidate // those not yet settled, in the files' order
	settled []*candidate // the others, in an order of execution
	byID    map[string]*candidate

	datasets  []Dataset
	datasetOf map[*spec.Dataset]int // -1: it can't be described

	settings   []*Settings // distinct ones
	hashes     []settingsHash
	settingsBy map[settingsKey]int
	encoder    encoder
	identifier identifier

	inspections map[inspectionKey]inspected
	files       map[string]*weightsFile // by path
	shelf       *shelf
	origins     map[originKey]*origin
	planned     map[string]bool // ids of chosen candidates
	actions     map[string]Action
	sharings    []Sharing
	judged      [][]bool          // by gate, then by combination of its sweep
	replaces    map[string]string // when the runs that are to be replaced were begun
	epochs      map[string]int    // done by the checkpoints that runs go on from, by the runs' ids
	from        map[string]string // ids of runs that go on where another one of their trajectory ends, and of those

	faults   int // errors so far, repeats included
	reported reports
}

// sweepState is a sweep in the making.
type sweepState struct {
	*spec.Sweep
	combinations []spec.Combination
	candidates   []*candidate
	unsettled    int
	checked      map[checkKey]bool
}

// candidate is a run in the making: one combination of one sweep with one seed.
type candidate struct {
	sweep       *sweepState
	combination int // index in the sweep's
	seed        int64
	run         *spec.Run // nil once it has been settled
	launcher    *spec.Launcher

	state     candidateState
	upstream  []*candidate // of this plan, that it starts from
	from      Weights      // kind, and ids, of the runs that it starts from
	fromImage Image        // that they were trained with; zero where it isn't known

	settings   int
	dataset    int
	sharing    int
	params     Params
	trajectory string
	id         string
	config     int
	repeat     bool // of an earlier combination of its sweep
	chosen     bool
}

type candidateState uint8

const (
	waiting candidateState = iota
	identified
	broken // there is an error, which has been told
)

func newPlanning(ctx context.Context, s *spec.Spec, w World, opt Options) *planning {
	p := &planning{
		ctx: ctx, spec: s, world: w, opt: opt,
		archs:       w.Models.Names(),
		byID:        map[string]*candidate{},
		datasetOf:   map[*spec.Dataset]int{},
		settingsBy:  map[settingsKey]int{},
		inspections: map[inspectionKey]inspected{},
		files:       map[string]*weightsFile{},
		origins:     map[originKey]*origin{},
		planned:     map[string]bool{},
		actions:     map[string]Action{},
		replaces:    map[string]string{},
		epochs:      map[string]int{},
		reported:    reports{at: map[reportKey]*report{}},
	}
	if p.opt.MaxRuns == 0 {
		p.opt.MaxRuns = DefaultMaxRuns
	}
	var err error
	if p.shelf, err = openShelf(w.Store); err != nil {
		p.complain(nil, "Store can't be read", "%s.", sentence(err))
	}
	return p
}

// expand lists the sweeps' combinations with their seeds, and evaluates the run block, and the launcher, for each. It gives up at MaxRuns.
func (p *planning) expand() bool {
	for _, sw := range p.spec.Sweeps {
		state := &sweepState{Sweep: sw, checked: map[checkKey]bool{}}
		p.sweeps = append(p.sweeps, state)
		for combination, diags := range sw.Combinations() {
			if p.pass(nil, diags); diags.HasErrors() {
				continue
			}
			if len(p.pending)+len(sw.Seeds) > p.opt.MaxRuns {
				p.complain(&sw.Range, "Too many runs", "There are more runs than %d: sweep %q alone has up to %d. If that is meant, give -max-runs %d.",
					p.opt.MaxRuns, sw.Name, sw.Size(), max(sw.Size(), p.opt.MaxRuns+1))
				return false
			}
			for _, seed := range sw.Seeds {
				c := &candidate{sweep: state, combination: len(state.combinations), seed: seed}
				state.candidates = append(state.candidates, c)
				p.pending = append(p.pending, c)
			}
			state.combinations = append(state.combinations, combination)
		}
		state.unsettled = len(state.candidates)
	}
	diags := p.evaluate()
	if p.interrupted() {
		return false
	}
	for i, c := range p.pending {
		p.pass(c, diags[i])
		if diags[i].HasErrors() {
			c.state = broken
		}
	}
	return true
}

// evaluate evaluates the run blocks and launchers of all candidates, on all cores: it is the longest part of a big plan.
func (p *planning) evaluate() []spec.Diagnostics {
	diags := make([]spec.Diagnostics, len(p.pending))
	const chunk = 256
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for p.ctx.Err() == nil {
				hi := int(next.Add(chunk))
				lo := hi - chunk
				if lo >= len(p.pending) {
					return
				}
				for i, c := range p.pending[lo:min(hi, len(p.pending))] {
					combination := c.sweep.combinations[c.combination]
					c.run, diags[lo+i] = c.sweep.Run(combination, c.seed)
					var d spec.Diagnostics
					c.launcher, d = c.sweep.Launcher(combination, c.seed)
					diags[lo+i] = append(diags[lo+i], d...)
				}
			}
		})
	}
	workers.Wait()
	return diags
}

// describeData describes the data sets that runs use.
func (p *planning) describeData() bool {
	for _, c := range p.pending {
		if c.state == broken {
			continue
		}
		d := c.run.Dataset
		if _, known := p.datasetOf[d]; known {
			continue
		}
		described, err := p.world.Data.Describe(p.ctx, d)
		if p.interrupted() {
			return false
		}
		if err == nil {
			p.datasetOf[d] = len(p.datasets)
			p.datasets = append(p.datasets, described)
			p.checkDataset(d, described)
			continue
		}
		p.datasetOf[d] = -1
		reason := strings.TrimPrefix(err.Error(), fmt.Sprintf("data set %q: ", d.Name))
		p.complain(datasetRange(d, "path"), "Data set can't be read", "The data set %q can't be read: %s.", d.Name, reason)
	}
	return true
}

func (p *planning) interrupted() bool {
	if p.ctx.Err() == nil {
		return false
	}
	p.complain(nil, "Planning was interrupted", "Planning was interrupted; nothing was saved.")
	return true
}

// fill gives a candidate, whose upstream is known, its settings among the distinct ones. false: they can't be.
func (p *planning) fill(c *candidate) bool {
	p.settled = append(p.settled, c)
	c.sweep.unsettled--
	c.dataset = p.datasetOf[c.run.Dataset]
	settings, ok := (&filler{p, c}).settings()
	if !ok || c.dataset < 0 {
		c.state = broken
		return false
	}
	c.settings = p.intern(settings)
	return true
}

// settingsKey tells settings apart.
type settingsKey struct {
	hash   settingsHash
	epochs int
	stop   EarlyStop
	path   string
}

// intern gives the index of settings among the distinct ones.
func (p *planning) intern(s *Settings) int {
	key := settingsKey{hash: hashSettings(&p.encoder, s), epochs: s.Epochs, path: s.Weights.Path}
	if s.EarlyStop != nil {
		key.stop = *s.EarlyStop
	}
	i, known := p.settingsBy[key]
	if !known {
		i = len(p.settings)
		p.settingsBy[key] = i
		p.settings = append(p.settings, s)
		p.hashes = append(p.hashes, key.hash)
	}
	return i
}

// identify computes a candidate's ids.
func (p *planning) identify(c *candidate) {
	s := p.settings[c.settings]
	c.id, c.trajectory = p.identifier.identify(p.world.Numerics, p.datasets[c.dataset].Hash, &p.hashes[c.settings], s.Epochs, s.EarlyStop, c.seed)
	c.state = identified
	if _, known := p.byID[c.id]; !known {
		p.byID[c.id] = c
	}
}

// weightsFile is a file of weights: its hash, or why it can't be read, and for what architectures it does not do.
type weightsFile struct {
	sum   string
	err   error
	unfit map[string]error // by architecture; nil where it does
}

// weightsFile reads a file of weights, once to hash it and once for each architecture that is to start from it.
func (p *planning) weightsFile(path, arch string) (f *weightsFile, unfit error) {
	f = p.files[path]
	if f == nil {
		f = &weightsFile{unfit: map[string]error{}}
		f.sum, f.err = p.world.Weights.FileSHA256(path)
		p.files[path] = f
	}
	unfit, known := f.unfit[arch]
	if !known && f.err == nil {
		unfit = p.world.Weights.CheckFile(path, arch)
		f.unfit[arch] = unfit
	}
	return f, unfit
}

// dropRepeats leaves out the combinations of a sweep that come to the runs of an earlier one, as axes do that the run
// block doesn't look at. It says so: it may be a slip.
func (p *planning) dropRepeats() {
	for _, sw := range p.sweeps {
		seen := map[string]int{}
		repeats, first := 0, ""
		var kept []*candidate
		for lo := 0; lo < len(sw.candidates); lo += len(sw.Seeds) {
			group := sw.candidates[lo:min(lo+len(sw.Seeds), len(sw.candidates))]
			var ids strings.Builder
			for _, c := range group {
				ids.WriteString(c.id)
			}
			earlier, repeat := seen[ids.String()]
			if !repeat {
				seen[ids.String()] = group[0].combination
				kept = append(kept, group...)
				continue
			}
			for _, c := range group {
				c.repeat = true
			}
			if repeats++; repeats == 1 {
				a, b := p.config(group[0]), p.config(&candidate{sweep: sw, combination: earlier})
				first = fmt.Sprintf("%s is the same as %s", a.Name(), b.Name())
			}
		}
		if repeats > 0 {
			sw.candidates = kept
			p.warn(&sw.Range, "Combinations with the same settings",
				"%d of %d combinations of sweep %q come to the settings of an earlier one and are left out: %s. Does the run block look at every axis?",
				repeats, len(sw.combinations), sw.Name, first)
		}
	}
}
