package nn

import (
	"fmt"
	"slices"
	"sync"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/ftrun/ftrun/internal/kernels"
)

// Settings say what a network is compiled for.
type Settings struct {
	Batch    int
	Training bool // with loss and gradients; else logits only
	Numerics kernels.Numerics

	// The rest is for training.

	Trainable []bool // by index in Net.Params: which weights get a gradient
	// BatchStats, by index in Net.Layers, says which batch norms use the statistics of the batch and move the running
	// ones; nil: none.
	BatchStats   []bool
	DropoutSeed  uint64    // the masks follow from it, the layer's name and the step
	Smoothing    float32   // of labels, in [0, 1)
	ClassWeights []float32 // by class; nil: all 1

	Keep []Ref // results that can be read after a run
	Slab *Slab // memory to share with other programs; nil: memory of its own

	// For tests.
	separate bool // no two results share memory
	inputToo bool // the input gets a gradient
}

// batchStats says whether a layer uses the statistics of the batch.
func (s Settings) batchStats(layer int) bool {
	return s.Training && s.BatchStats != nil && s.BatchStats[layer]
}

// compiling holds while a graph is built and compiled: Gorgonia's pools and NewTapeMachine are not for concurrent use.
var compiling sync.Mutex

// Compile makes a Program of net over the parameters of store, which are those of net or of a network that it is a part of.
func Compile(net *Net, store *ParamStore, set Settings) (*Program, error) {
	compiling.Lock()
	defer compiling.Unlock()
	p := newProgram(net, store, set)
	err := p.plan()
	if err == nil {
		err = p.compile()
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func newProgram(net *Net, store *ParamStore, set Settings) *Program {
	if !store.fits(net) {
		panic("nn: the parameters belong to another Net")
	}
	switch {
	case set.Batch < 1:
		panic(fmt.Sprintf("nn: a batch of %d", set.Batch))
	case set.Training && len(set.Trainable) != len(net.Params):
		panic(fmt.Sprintf("nn: %d parameters, Trainable says of %d", len(net.Params), len(set.Trainable)))
	case set.Training && set.BatchStats != nil && len(set.BatchStats) != len(net.Layers):
		panic(fmt.Sprintf("nn: %d layers, BatchStats says of %d", len(net.Layers), len(set.BatchStats)))
	}
	p := &Program{net: net, store: store, set: set, slab: set.Slab, ownSlab: set.Slab == nil}
	if p.ownSlab {
		p.slab = NewSlab(store.dev)
	}
	return p
}

// plan makes the graph, and the memory that its results take.
func (p *Program) plan() error {
	if err := p.uploadClassWeights(); err != nil {
		return err
	}
	outputs := append(p.net.outputs(p.set.Training), p.set.Keep...)
	net := reduce(p.net, p.set, outputs)
	for salt := 0; ; salt++ {
		if err := p.build(net, salt); err != nil {
			return err
		}
		if p.graph.distinct() {
			break
		}
		if salt == 100 { // two nodes of a thousand have the same hash once in ten thousand times
			panic("nn: the nodes of a graph cannot be told apart")
		}
	}
	if _, ok := p.store.dev.(kernels.Counter); ok && p.set.Training {
		tally, err := p.store.dev.Alloc(len(p.losses) + 1)
		if err != nil {
			return fmt.Errorf("losses: %w", err)
		}
		p.tally = tally
	}
	p.places = planMemory(p.graph, p.keeps(), p.set.separate)
	return p.slab.reserve(p.places.size)
}

// compile hands the graph to Gorgonia.
func (p *Program) compile() error {
	p.graph.checkOrder()
	p.machine = gorgonia.NewTapeMachine(p.graph.ExprGraph)
	return nil
}

// build makes the graph. Two nodes of it may have the same hash, by an accident that another salt undoes.
func (p *Program) build(net *reduced, salt int) error {
	g := newGraph(p.store.dev, salt)
	p.graph = g
	p.losses, p.packed = nil, nil
	in := p.net.Input
	p.input = g.leaf("input", tensor.Shape{p.set.Batch, in.H, in.W, in.C}, nil, p.set.inputToo)
	results := map[Ref]*node{Input: p.input}
	joints := map[Ref]*joint{}
	p.params = make([]*node, len(p.net.Params))
	for _, u := range net.units {
		y, err := p.lower(u, results, joints)
		if err != nil {
			return err
		}
		results[u.out] = y
	}
	p.results = func(x Ref) *node { return results[net.resolve(x)] }
	p.logits = p.results(p.net.Logits)
	if !p.set.Training {
		return nil
	}
	p.labels = g.leaf("labels", tensor.Shape{p.set.Batch}, nil, false)
	var weights *node
	if p.classWeights != nil {
		weights = g.leaf("class weights", tensor.Shape{len(p.set.ClassWeights)}, p.classWeights, false)
	}
	p.addLoss(p.net.Logits, 1, weights)
	if p.net.Aux != Input {
		p.addLoss(p.net.Aux, p.net.AuxWeight, weights)
	}
	var nodes []*node
	for _, l := range p.losses {
		nodes = append(nodes, l.node)
	}
	if err := g.backward(nodes); err != nil {
		return err
	}
	p.checkGradients()
	return nil
}

// checkGradients panics where a pass has cut a trained parameter off from the loss: the optimizer would leave it alone
// without a word.
func (p *Program) checkGradients() {
	needed := p.net.Needed(true)
	for i, par := range p.net.Params {
		if par.Kind == Weight && p.set.Trainable[i] && needed[par.Layer] && (p.params[i] == nil || p.params[i].Deriv() == nil) {
			panic("nn: the graph has no gradient for " + par.Name)
		}
	}
}

// site is where a layer is added to a graph: what it reads and how.
type site struct {
	place
	unit
	batch      int
	numerics   kernels.Numerics
	in         []*node // results of other layers
	shapes     []Shape // theirs, for one picture
	out        Shape   // the result's
	params     []*node // the layer's, nil for a counter
	residual   *node
	packed     *packedConv // of a convolution with packed weights
	joint      *joint      // the concatenation that this is or lies in
	batchStats bool
	seed       uint64 // of dropout
}

// lower adds a unit's operation to the graph.
func (p *Program) lower(u unit, results map[Ref]*node, joints map[Ref]*joint) (*node, error) {
	l := p.net.Layers[u.index]
	at := site{
		place:    place{p.graph, l.Name},
		unit:     u,
		batch:    p.set.Batch,
		numerics: p.set.Numerics,
		out:      l.Out,
		residual: results[u.residual],
		seed:     p.set.DropoutSeed,
	}
	if !u.hasResidual {
		at.residual = nil
	}
	for _, x := range u.in {
		at.in = append(at.in, results[x])
		at.shapes = append(at.shapes, p.shape(x))
	}
	at.batchStats = p.set.batchStats(u.index)
	_, concat := l.Op.(Concat)
	if whole := u.within; concat || whole != Input {
		if concat {
			whole = u.out
		}
		if joints[whole] == nil {
			joints[whole] = newJoint(at.batch, p.shape(whole))
		}
		at.joint = joints[whole]
	}
	if u.packs {
		packed, err := p.store.packed(u, l.Op.(Conv2d).shape(at))
		if err != nil {
			return nil, err
		}
		at.packed = packed
		p.packed = append(p.packed, packed)
		return l.Op.lower(at), nil
	}
	for _, i := range l.Params {
		at.params = append(at.params, p.param(i))
	}
	return l.Op.lower(at), nil
}

// param is the leaf of parameter i.
func (p *Program) param(i int) *node {
	par := p.net.Params[i]
	if par.Kind == Counter {
		return nil
	}
	if p.params[i] == nil {
		shape := slices.Clone(tensor.Shape(par.Shape))
		if p.store.permuted(i) {
			shape = tensor.Shape{par.Shape[2], par.Shape[3], par.Shape[1], par.Shape[0]}
		}
		wants := p.set.Training && par.Kind == Weight && p.set.Trainable[i]
		p.params[i] = p.graph.leaf(par.Name, shape, p.store.buffers[i], wants)
	}
	return p.params[i]
}

// shape is that of a result, for one picture.
func (p *Program) shape(x Ref) Shape { return p.net.shape(x) }

func (p *Program) addLoss(logits Ref, scale float32, weights *node) {
	d := kernels.CrossEntropy{N: p.set.Batch, Classes: p.shape(logits).Len(), Smoothing: p.set.Smoothing}
	n := place{p.graph, "loss"}.loss(d, scale, p.results(logits), p.labels, weights)
	p.losses = append(p.losses, loss{n, scale})
}

// keeps says which results must outlive the run.
func (p *Program) keeps() func(*node) bool {
	kept := map[*node]bool{p.logits: true}
	for _, x := range p.set.Keep {
		kept[p.results(x)] = true
	}
	for _, l := range p.losses {
		kept[l.node] = true
	}
	if p.tally != nil {
		kept[p.labels] = true // the right answers are counted in the end
	}
	for _, n := range append(p.params, p.input) {
		if n != nil && n.Deriv() != nil {
			kept[n.Deriv()] = true
		}
	}
	return func(n *node) bool { return kept[n] }
}

func (p *Program) uploadClassWeights() error {
	if !p.set.Training || p.set.ClassWeights == nil {
		return nil
	}
	if classes := p.shape(p.net.Logits).Len(); len(p.set.ClassWeights) != classes {
		panic(fmt.Sprintf("nn: %d class weights for %d classes", len(p.set.ClassWeights), classes))
	}
	buf, err := p.store.dev.Alloc(len(p.set.ClassWeights))
	if err != nil {
		return fmt.Errorf("class weights: %w", err)
	}
	p.classWeights = buf
	if err := p.store.dev.Upload(buf, p.set.ClassWeights); err != nil {
		return fmt.Errorf("class weights: %w", err)
	}
	return nil
}
