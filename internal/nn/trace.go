package nn

import "github.com/ftrun/ftrun/internal/kernels"

// Trace asks of dev, which need not compute anything, what one run of a Program asks of it: the operations of the network
// in their order, for what they cost. Memory is dev's to give; nothing is laid out, and no parameter has a value. gradient
// gives those of the trained parameters afterwards, as Program.Gradient.
func Trace(net *Net, store *ParamStore, set Settings) (gradient func(param int) kernels.Buffer, err error) {
	p := &Program{net: net, store: store, set: set}
	if err := p.build(reduce(net, set, net.outputs(set.Training)), 0); err != nil {
		return nil, err
	}
	for _, n := range p.graph.nodes {
		v := p.graph.values[n]
		if v.buf == nil {
			if v.buf, err = store.dev.Alloc(v.Size()); err != nil {
				return nil, err
			}
		}
		o, computed := n.Op().(*op)
		if !computed {
			continue
		}
		if k, ok := o.kernel.(viewer); ok {
			v.buf = p.graph.values[o.from[0]].buf.Slice(k.view())
			continue
		}
		for i, x := range o.from {
			o.in[i] = p.graph.values[x].buf
		}
		if err := o.kernel.run(store.dev, o.in, v.buf); err != nil {
			return nil, err
		}
	}
	return p.Gradient, nil
}
