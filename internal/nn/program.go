package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/ftrun/ftrun/internal/kernels"
)

// Program is a network compiled for one batch size, for training or evaluation. It is not for concurrent use; Programs
// over different stores and slabs are.
type Program struct {
	net   *Net
	store *ParamStore
	set   Settings

	graph   *graph
	machine gorgonia.VM
	input   *node
	labels  *node
	params  []*node // by index in net.Params; nil where no operation reads it
	packed  []*packedConv
	logits  *node
	losses  []loss
	results func(Ref) *node

	classWeights kernels.Buffer
	tally        kernels.Buffer // losses and right answers, on a device that counts those; nil: the host does
	steps        steps
	places       *memoryPlan
	slab         *Slab
	ownSlab      bool
	bound        int // the slab's version to which the results are bound

	hostLabels, hostLogits []float32
	hostInput              []float32 // pictures on their way to a device with memory of its own
}

// loss is a cross-entropy with its weight in the sum.
type loss struct {
	node  *node
	scale float32
}

// Result is what a run gives to the host.
type Result struct {
	Loss   float64   // mean over the batch, auxiliary part included; training only
	Right  int       // pictures whose label has the greatest logit, the first of equals; Train only
	Logits []float32 // (batch, classes), valid until the next run; Run only
}

// Update is what a step of training does with its gradients, before the next one reads the parameters: an optimizer's, of
// the package optim.
type Update interface {
	// Prepare begins a step. What the update reads that is another in each step, it gives to the device.
	Prepare() error
	// Apply asks the device for the update. A device that replays the step does it unasked.
	Apply() error
}

// Run takes pictures x (N,H,W,C) and, for training, their labels through the network and back. step numbers the training
// steps of a run of training: dropout draws from it. Parameters are left alone; running statistics and counters of the
// batch norm layers in training mode move.
//
// An error is the device's and names the layer. Half a step may have moved running statistics then.
func (p *Program) Run(x []float32, labels []int, step uint64) (Result, error) {
	return p.run(p.given(x), labels, step)
}

// RunFrom is Run with pictures that are not in memory yet: read writes the batch's picture i, (H,W,C), to dst, which is the
// device's own memory where that can be.
func (p *Program) RunFrom(read func(i int, dst []float32) error, labels []int, step uint64) (Result, error) {
	return p.run(p.read(read), labels, step)
}

// Train is Run, and then u with the gradients: a whole step. A device that can captures it the second time, and replays it
// from then on.
func (p *Program) Train(x []float32, labels []int, step uint64, u Update) (Result, error) {
	finish, err := p.Begin(x, labels, step, u)
	if err != nil {
		return Result{}, err
	}
	return finish()
}

// Begin asks for what Train does, and finish waits for its result. So the next step may begin, of this Program or another,
// while the device computes. On a device that is no kernels.Fetcher all is computed when Begin returns.
func (p *Program) Begin(x []float32, labels []int, step uint64, u Update) (finish func() (Result, error), err error) {
	return p.train(p.given(x), labels, step, u)
}

// BeginFrom is Begin with pictures as those of RunFrom.
func (p *Program) BeginFrom(read func(i int, dst []float32) error, labels []int, step uint64, u Update) (finish func() (Result, error), err error) {
	return p.train(p.read(read), labels, step, u)
}

func (p *Program) train(load func(kernels.Buffer) error, labels []int, step uint64, u Update) (finish func() (Result, error), err error) {
	if !p.set.Training {
		panic("nn: a step of training on a Program that is not for it")
	}
	if err := p.compute(load, labels, step, u); err != nil {
		return nil, err
	}
	return p.beginTally()
}

// Uncaptured says why the steps of this Program are not captured, on a device that can; nil where they are, or not yet.
func (p *Program) Uncaptured() error { return p.steps.failed }

// given loads pictures that are in memory.
func (p *Program) given(x []float32) func(kernels.Buffer) error {
	if len(x) != p.input.Shape().TotalSize() {
		panic(fmt.Sprintf("nn: %d numbers for pictures of %v", len(x), p.input.Shape()))
	}
	return func(input kernels.Buffer) error { return p.store.dev.Upload(input, x) }
}

// read loads pictures that read gives.
func (p *Program) read(read func(i int, dst []float32) error) func(kernels.Buffer) error {
	return func(input kernels.Buffer) error {
		dst, direct := input.(kernels.Host)
		if !direct {
			if p.hostInput == nil {
				p.hostInput = make([]float32, input.Len())
			}
			dst = p.hostInput
		}
		size := p.net.Input.Len()
		for i := range p.set.Batch {
			if err := read(i, dst[i*size:(i+1)*size:(i+1)*size]); err != nil {
				return err
			}
		}
		if direct {
			return nil
		}
		return p.store.dev.Upload(input, dst)
	}
}

// run is Run with an input that load puts in place.
func (p *Program) run(load func(kernels.Buffer) error, labels []int, step uint64) (Result, error) {
	if err := p.compute(load, labels, step, nil); err != nil {
		return Result{}, err
	}
	return p.fetch()
}

// compute computes Run's results or, where u is there, Train's, with an input that load puts in place.
func (p *Program) compute(load func(kernels.Buffer) error, labels []int, step uint64, u Update) error {
	if p.set.Training && len(labels) != p.set.Batch {
		panic(fmt.Sprintf("nn: %d labels for pictures of %v", len(labels), p.input.Shape()))
	}
	if err := p.bind(); err != nil {
		return err
	}
	if err := load(p.buffer(p.input)); err != nil {
		return fmt.Errorf("input: %w", err)
	}
	if p.set.Training {
		for i, l := range labels {
			if l < 0 || l >= p.shape(p.net.Logits).Len() {
				panic(fmt.Sprintf("nn: a label of %d for %d classes", l, p.shape(p.net.Logits).Len()))
			}
			p.hostLabels[i] = float32(l)
		}
		if err := p.store.dev.Upload(p.buffer(p.labels), p.hostLabels); err != nil {
			return fmt.Errorf("labels: %w", err)
		}
	}
	if err := p.refresh(); err != nil {
		return err
	}
	p.moveStatistics()
	if u != nil {
		if err := u.Prepare(); err != nil {
			return err
		}
	}
	err := p.steps.compute(p.store.dev, step, u, func() error {
		if err := p.execute(step); err != nil || u == nil {
			return err
		}
		if err := u.Apply(); err != nil {
			return err
		}
		return p.sumUp()
	})
	if err == nil {
		p.count()
	}
	return err
}

// bind lays the results into the slab, where that has moved since the last time.
func (p *Program) bind() error {
	if err := p.slab.reserve(p.places.size); err != nil {
		return err
	}
	if p.hostLogits == nil {
		p.hostLogits = make([]float32, p.logits.Shape().TotalSize())
		p.hostLabels = make([]float32, p.set.Batch)
	} else if p.bound == p.slab.version {
		return nil
	}
	p.places.bind(p.graph, p.slab.buf)
	p.bound = p.slab.version
	return p.steps.forget()
}

// Bound counts how often the results, gradients among them, have got other places.
func (p *Program) Bound() int { return p.bound }

// refresh makes packed weights anew whose parameters have changed.
func (p *Program) refresh() error {
	for _, c := range p.packed {
		if err := p.store.refresh(c); err != nil {
			return err
		}
	}
	return nil
}

func (p *Program) execute(step uint64) error {
	p.graph.step, p.graph.failure = step, nil
	p.machine.Reset() // without it a second run does nothing
	err := p.machine.RunAll()
	if p.graph.failure != nil {
		return p.graph.failure
	}
	return err
}

// moveStatistics says which running statistics a step moves, or some of them where it fails half way.
func (p *Program) moveStatistics() {
	for i, par := range p.net.Params {
		if par.Kind == Buffer && p.set.batchStats(par.Layer) {
			p.store.Changed(i)
		}
	}
}

// count counts the step in num_batches_tracked.
func (p *Program) count() {
	for i, par := range p.net.Params {
		if par.Kind == Counter && p.set.batchStats(par.Layer) {
			p.store.counters[i]++
		}
	}
}

// sumUp has a device that counts right answers put them and the losses side by side.
func (p *Program) sumUp() error {
	if p.tally == nil {
		return nil
	}
	dev, n := p.store.dev.(kernels.Counter), len(p.losses)
	for i, l := range p.losses {
		if err := dev.Add([]kernels.Buffer{p.lossOf(l)}, p.tally.Slice(i, i+1), kernels.Identity); err != nil {
			return fmt.Errorf("loss: %w", err)
		}
	}
	err := dev.CountRight(p.set.Batch, p.shape(p.net.Logits).Len(), p.buffer(p.logits), p.buffer(p.labels), p.tally.Slice(n, n+1))
	if err != nil {
		return fmt.Errorf("right answers: %w", err)
	}
	return nil
}

// lossOf is where a loss lies: behind the softmax.
func (p *Program) lossOf(l loss) kernels.Buffer {
	b := p.buffer(l.node)
	return b.Slice(b.Len()-1, b.Len())
}

// beginTally asks for what a step of training tells, and for nothing else where the device has it ready.
func (p *Program) beginTally() (finish func() (Result, error), err error) {
	if p.tally == nil {
		r, err := p.hostTally()
		return func() (Result, error) { return r, nil }, err
	}
	tally := make([]float32, p.tally.Len())
	wait := func([]float32) error { return nil }
	if dev, ok := p.store.dev.(kernels.Fetcher); ok {
		wait, err = dev.Fetch(p.tally)
	} else {
		err = p.store.dev.Download(tally, p.tally)
	}
	if err != nil {
		return nil, fmt.Errorf("loss and right answers: %w", err)
	}
	return func() (r Result, err error) {
		if err := wait(tally); err != nil {
			return r, fmt.Errorf("loss and right answers: %w", err)
		}
		for i, l := range p.losses {
			r.Loss += float64(l.scale) * float64(tally[i])
		}
		r.Right = int(tally[len(p.losses)])
		return r, nil
	}, nil
}

// hostTally is what a step of training tells, made of its logits.
func (p *Program) hostTally() (Result, error) {
	r, err := p.fetch()
	if err != nil {
		return r, err
	}
	classes := len(r.Logits) / p.set.Batch
	for i, label := range p.hostLabels {
		if row := r.Logits[i*classes : (i+1)*classes]; float32(greatest(row)) == label {
			r.Right++
		}
	}
	r.Logits = nil
	return r, nil
}

// greatest is the index of the greatest number, the first of equals.
func greatest(v []float32) int {
	best := 0
	for i := range v {
		if v[i] > v[best] {
			best = i
		}
	}
	return best
}

func (p *Program) fetch() (Result, error) {
	var r Result
	for _, l := range p.losses {
		var v [1]float32
		if err := p.store.dev.Download(v[:], p.lossOf(l)); err != nil {
			return r, fmt.Errorf("loss: %w", err)
		}
		r.Loss += float64(l.scale) * float64(v[0])
	}
	if err := p.store.dev.Download(p.hostLogits, p.buffer(p.logits)); err != nil {
		return r, fmt.Errorf("logits: %w", err)
	}
	r.Logits = p.hostLogits
	return r, nil
}

func (p *Program) buffer(n *node) kernels.Buffer { return p.graph.values[n].buf }

// Gradient is the gradient of parameter i, in the device's layout, valid until the next run of a Program of this slab;
// nil where the parameter is not trained or the loss does not depend on it.
func (p *Program) Gradient(i int) kernels.Buffer {
	if n := p.params[i]; n != nil && n.Deriv() != nil {
		return p.buffer(n.Deriv())
	}
	return nil
}

// GradientTorch is the gradient of parameter i in torch's order, nil where there is none.
func (p *Program) GradientTorch(i int) ([]float32, error) {
	b := p.Gradient(i)
	if b == nil {
		return nil, nil
	}
	return p.store.ToTorch(i, b)
}

// Kept is a result of Settings.Keep, (N,H,W,C), as the last run left it, with its shape for one picture.
func (p *Program) Kept(x Ref) ([]float32, Shape, error) {
	shape := p.shape(x)
	v := make([]float32, p.set.Batch*shape.Len())
	if err := p.store.dev.Download(v, p.buffer(p.results(x))); err != nil {
		return nil, shape, fmt.Errorf("%s: %w", p.net.Layers[x].Name, err)
	}
	return v, shape, nil
}

// Close frees what the Program does not share.
func (p *Program) Close() error {
	err := p.steps.forget()
	if p.machine != nil {
		p.machine.Close()
		p.machine = nil
	}
	if p.classWeights != nil {
		p.store.dev.Free(p.classWeights)
		p.classWeights = nil
	}
	if p.tally != nil {
		p.store.dev.Free(p.tally)
		p.tally = nil
	}
	if p.ownSlab {
		p.slab.Close()
	}
	return err
}
