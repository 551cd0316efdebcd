package nn

import (
	"fmt"
	"hash"
	"hash/fnv"
	"runtime/debug"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/ftrun/ftrun/internal/kernels"
)

// kernel is what one node of a graph computes: a call or a few of the device.
type kernel interface {
	// String names the computation, "conv", for a person who reads a graph.
	String() string
	// run computes out from in, in the order of the node's children.
	run(dev kernels.Device, in []kernels.Buffer, out kernels.Buffer) error
}

// differentiable is a kernel that has a gradient.
type differentiable interface {
	kernel
	// gradient adds the nodes that compute the loss's derivative by each input that wants one (at.wants) and returns
	// them; the rest are nil. y is the node's result and dy the derivative by it, nil where the node is a loss.
	gradient(at place, in []*node, y, dy *node) []*node
}

// overwriter is a kernel whose result may take the place of an input that nothing needs any more.
type overwriter interface {
	overwrites() []int // the inputs, the best first
}

// viewer is a kernel that computes nothing: its result is a part of its first input.
type viewer interface {
	view() (lo, hi int)
}

// op is a kernel as Gorgonia sees it. Each node has its own op, whose id keeps Gorgonia from merging it with another,
// and the op owns its result: the memory plan says where that lies.
type op struct {
	kernel kernel
	graph  *graph
	layer  string // for errors and for a person
	id     int    // the node's place in the graph's order
	from   []*node
	shape  tensor.Shape
	wrt    []bool // the inputs for which a gradient is wanted
	in     []kernels.Buffer
	result *value
}

var _ gorgonia.SDOp = (*op)(nil)

// Do runs the kernel. Gorgonia calls it in a goroutine of its own, where a panic would end the process: a kernel's panic
// comes back as an error. The device is then in the middle of something, and good for nothing but Close.
func (o *op) Do(in ...gorgonia.Value) (_ gorgonia.Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if err != nil {
			err = fmt.Errorf("%s: %s: %w", o.layer, o.kernel, err)
			o.graph.failure = err
		}
	}()
	if _, ok := o.kernel.(viewer); ok {
		return o.result, nil
	}
	for i, v := range in {
		o.in[i] = v.(*value).buf
	}
	return o.result, o.kernel.run(o.graph.dev, o.in, o.result.buf)
}

// third is an input that may be missing.
func third(in []kernels.Buffer) kernels.Buffer {
	if len(in) < 3 {
		return nil
	}
	return in[2]
}

// SymDiff adds the gradient's nodes to the graph; see differentiable.
func (o *op) SymDiff(in gorgonia.Nodes, y, dy *node) (gorgonia.Nodes, error) {
	d, ok := o.kernel.(differentiable)
	if !ok {
		return nil, fmt.Errorf("%s: %s has no gradient", o.layer, o.kernel)
	}
	return d.gradient(place{o.graph, o.layer}, in, y, dy), nil
}

// DiffWRT says for which inputs a gradient is wanted: torch's requires_grad.
func (o *op) DiffWRT(int) []bool { return o.wrt }

// Type and InferShape return fresh values, for Gorgonia puts them into pools.
func (o *op) Type() hm.Type {
	types := make(hm.Types, 0, len(o.from)+1)
	for _, n := range o.from {
		types = append(types, typeOf(n.Shape()))
	}
	return hm.NewFnType(append(types, typeOf(o.shape))...)
}
func (o *op) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) { return o.shape.Clone(), nil }

// The machine must neither allocate results nor reuse them: the memory plan does.
func (o *op) ReturnsPtr() bool     { return false }
func (o *op) CallsExtern() bool    { return false }
func (o *op) OverwritesInput() int { return -1 }

func (o *op) Arity() int            { return len(o.from) }
func (o *op) String() string        { return o.layer + " " + o.kernel.String() }
func (o *op) WriteHash(h hash.Hash) { fmt.Fprintf(h, "%d/%d %s", o.graph.salt, o.id, o.kernel) }
func (o *op) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

// node is a result in the graph.
type node = gorgonia.Node

// value is a gorgonia.Value in a device's memory, of which Gorgonia sees nothing but the shape.
type value struct {
	shape tensor.Shape
	buf   kernels.Buffer
}

var _ gorgonia.Value = (*value)(nil)

func typeOf(s tensor.Shape) hm.Type { return gorgonia.TensorType{Dims: len(s), Of: tensor.Float32} }

func (v *value) Shape() tensor.Shape        { return v.shape }
func (v *value) Size() int                  { return v.shape.TotalSize() }
func (v *value) Data() any                  { return v.buf }
func (v *value) Dtype() tensor.Dtype        { return tensor.Float32 }
func (v *value) Type() hm.Type              { return typeOf(v.shape) }
func (v *value) Uintptr() uintptr           { return 0 }
func (v *value) MemSize() uintptr           { return uintptr(4 * v.Size()) }
func (v *value) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%v on the device", v.shape) }
