package nn

import (
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/ftrun/ftrun/internal/kernels"
)

// graph builds a Gorgonia graph. Nodes are made after what they read, and Gorgonia runs them in the order in which they
// were made (see checkOrder), so the order of the calls here decides how long results must be kept.
type graph struct {
	*gorgonia.ExprGraph
	dev     kernels.Device
	salt    int // part of every node's hash
	nodes   []*node
	values  map[*node]*value
	wants   map[*node]bool // torch's requires_grad
	step    uint64         // of the run that is going on, for dropout
	failure error          // of the run that is going on, without the words that Gorgonia puts round it
	merged  bool           // Gorgonia took two nodes for one
}

func newGraph(dev kernels.Device, salt int) *graph {
	return &graph{
		ExprGraph: gorgonia.NewGraph(),
		dev:       dev,
		salt:      salt,
		values:    map[*node]*value{},
		wants:     map[*node]bool{},
	}
}

// leaf adds something that is given: the pictures, a parameter. buf is nil where the memory plan is to find its place.
func (g *graph) leaf(name string, shape tensor.Shape, buf kernels.Buffer, wants bool) *node {
	v := &value{shape: shape, buf: buf}
	n := gorgonia.NewTensor(g.ExprGraph, tensor.Float32, len(shape),
		gorgonia.WithShape(shape...), gorgonia.WithName(fmt.Sprintf("%d/%s", g.salt, name)), gorgonia.WithValue(v))
	g.add(n, v)
	g.wants[n] = wants
	return n
}

func (g *graph) add(n *node, v *value) {
	if int(n.ID()) != len(g.nodes) {
		g.merged = true
	}
	g.nodes = append(g.nodes, n)
	g.values[n] = v
}

// place is where kernels are added: the graph and the layer on whose behalf.
type place struct {
	*graph
	layer string
}

// apply adds a kernel whose result has the given shape.
func (p place) apply(k kernel, shape tensor.Shape, in ...*node) *node {
	o := &op{
		kernel: k,
		graph:  p.graph,
		layer:  p.layer,
		id:     len(p.nodes),
		from:   in,
		shape:  shape,
		wrt:    make([]bool, len(in)),
		in:     make([]kernels.Buffer, len(in)),
		result: &value{shape: shape},
	}
	if _, ok := k.(differentiable); ok {
		for i, n := range in {
			o.wrt[i] = p.wants[n]
		}
	}
	n, err := gorgonia.ApplyOp(o, in...)
	if err != nil {
		panic(fmt.Sprintf("nn: %s: %v", o, err))
	}
	p.add(n, o.result)
	p.wants[n] = slices.Contains(o.wrt, true)
	return n
}

// part is the elements [lo, hi) of x as a vector.
func (p place) part(x *node, lo, hi int) *node {
	return p.apply(part{lo, hi}, tensor.Shape{hi - lo}, x)
}

// part: x → y = x[lo:hi], without a copy.
type part struct{ lo, hi int }

func (part) String() string                                             { return "part" }
func (k part) view() (lo, hi int)                                       { return k.lo, k.hi }
func (part) run(kernels.Device, []kernels.Buffer, kernels.Buffer) error { return nil }

// distinct says whether Gorgonia can tell all nodes apart: it compiles nodes with the same 32-bit hash as one.
func (g *graph) distinct() bool {
	seen := map[uint32]bool{}
	for _, n := range g.nodes {
		seen[n.Hashcode()] = true
	}
	return !g.merged && len(seen) == len(g.AllNodes())
}

// checkOrder panics unless Gorgonia will run the nodes in the order in which they were made, on which the memory plan
// relies. It sorts depth first, by ascending number among equals, so that this holds where every node comes after what
// it reads.
func (g *graph) checkOrder() {
	order, err := gorgonia.Sort(g.ExprGraph)
	if err != nil {
		panic(fmt.Sprintf("nn: %v", err))
	}
	slices.Reverse(order)
	if !slices.Equal(order, gorgonia.Nodes(g.nodes)) {
		panic("nn: Gorgonia does not keep the order in which nodes were made")
	}
}
