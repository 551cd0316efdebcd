package nn

import (
	"cmp"
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/ftrun/ftrun/internal/kernels"
)

// Slab is memory that Programs share which never run at once: those of a full batch, of the last batch and of evaluation.
// What a Program keeps (results, gradients) is gone when another one of the same slab runs or is compiled.
type Slab struct {
	dev     kernels.Device
	buf     kernels.Buffer
	version int // counts the buffers that it has had
}

// NewSlab returns an empty slab, which grows to what its largest Program needs.
func NewSlab(dev kernels.Device) *Slab { return &Slab{dev: dev} }

// reserve makes the slab at least n elements long.
func (s *Slab) reserve(n int) error {
	if s.buf != nil && s.buf.Len() >= n {
		return nil
	}
	s.free() // first, so that the old and the new one need not fit side by side
	buf, err := s.dev.Alloc(n)
	if err != nil {
		return fmt.Errorf("%.0f MB for activations and gradients: %w", float64(4*n)/1e6, err)
	}
	s.buf = buf
	return nil
}

func (s *Slab) free() {
	if s.buf != nil {
		s.dev.Free(s.buf)
	}
	s.buf = nil
	s.version++
}

// Memory is the slab's size in bytes.
func (s *Slab) Memory() int64 {
	if s.buf == nil {
		return 0
	}
	return 4 * int64(s.buf.Len())
}

// Close frees the memory. Programs over this slab must not run any more.
func (s *Slab) Close() error {
	s.free()
	return nil
}

// Rehearse does over a store of a kernels.Meter what Compile and the first run of a Program do, so that the Meter tells
// what memory they take. Nothing of their size is held, and Gorgonia compiles nothing.
func Rehearse(net *Net, store *ParamStore, set Settings) error {
	compiling.Lock()
	defer compiling.Unlock()
	p := newProgram(net, store, set)
	defer p.Close()
	if err := p.plan(); err != nil {
		return err
	}
	return p.rehearse()
}

// rehearse runs the operations one by one, in Gorgonia's order.
func (p *Program) rehearse() error {
	if err := p.bind(); err != nil {
		return err
	}
	if err := p.refresh(); err != nil {
		return err
	}
	var in []gorgonia.Value
	for _, n := range p.graph.nodes {
		o, ok := n.Op().(*op)
		if !ok {
			continue
		}
		in = in[:0]
		for _, x := range o.from {
			in = append(in, p.graph.values[x])
		}
		if _, err := o.Do(in...); err != nil {
			return err
		}
	}
	return nil
}

// block is a piece of the slab that holds a result, and then perhaps others that take its place or are parts of it.
type block struct {
	size       int // elements, aligned
	start, end int // the first and the last node, by number, that needs it
	at         int // where it lies
}

// memoryPlan says where results lie in the slab.
type memoryPlan struct {
	size  int // of the slab
	total int // what all results would take side by side
	spots map[*node]spot
}

// spot is where a result lies: in a block, from an element on, over so many elements.
type spot struct {
	block *block
	from  int
	len   int
}

// planMemory lays out the results of the nodes, which are run in this order. A block is free for others when the last
// reader of what it holds has run; what is kept is never free. The largest blocks are placed first, each in the first
// gap among the blocks that live at the same time. With separate, nothing shares memory: for tests.
func planMemory(g *graph, kept func(*node) bool, separate bool) *memoryPlan {
	p := &memoryPlan{spots: map[*node]spot{}}
	end := len(g.nodes)
	last := map[*node]int{} // the last reader
	for i, n := range g.nodes {
		last[n] = i
		if o, ok := n.Op().(*op); ok {
			for _, x := range o.from {
				last[x] = i
			}
		}
	}
	for _, n := range g.nodes {
		if separate || kept(n) {
			last[n] = end
		}
	}

	var blocks []*block
	for i, n := range g.nodes {
		if g.values[n].buf != nil {
			continue // a parameter
		}
		var s spot
		o, computed := n.Op().(*op)
		if computed {
			s = p.reuse(o, i, separate)
		}
		if s.block == nil && computed {
			s = p.inJoint(o, i, &blocks)
		}
		if s.block == nil {
			s.block = &block{size: aligned(n.Shape().TotalSize()), start: i}
			if !computed {
				s.block.start = 0 // it is uploaded before the run
			}
			blocks = append(blocks, s.block)
		}
		if s.len == 0 {
			s.len = n.Shape().TotalSize()
		}
		s.block.end = max(s.block.end, last[n])
		p.spots[n] = s
	}

	for _, b := range blocks {
		p.total += b.size
	}
	slices.SortStableFunc(blocks, func(a, b *block) int { return cmp.Compare(b.size, a.size) })
	var placed []*block // by at
	for _, b := range blocks {
		for _, q := range placed {
			if q.end < b.start || b.end < q.start {
				continue
			}
			if q.at >= b.at+b.size {
				break
			}
			b.at = max(b.at, q.at+q.size)
		}
		i, _ := slices.BinarySearchFunc(placed, b.at, func(q *block, at int) int { return cmp.Compare(q.at, at) })
		placed = slices.Insert(placed, i, b)
		p.size = max(p.size, b.at+b.size)
	}
	return p
}

// reuse finds the place of the result of node i where it needs none of its own: a part of its input, or in the place of
// an input that nothing needs after it.
func (p *memoryPlan) reuse(o *op, i int, separate bool) spot {
	if v, ok := o.kernel.(viewer); ok {
		lo, _ := v.view()
		in, ok := p.spots[o.from[0]]
		if !ok {
			panic(fmt.Sprintf("nn: %s: a part of something that is not in the slab", o))
		}
		return spot{block: in.block, from: in.from + lo}
	}
	w, ok := o.kernel.(overwriter)
	if !ok || separate {
		return spot{}
	}
	for _, j := range w.overwrites() {
		if j >= len(o.from) {
			continue
		}
		s, ok := p.spots[o.from[j]]
		if !ok || s.from != 0 || s.block.end > i || s.block.size != aligned(o.shape.TotalSize()) {
			continue
		}
		readers := 0
		for _, x := range o.from {
			if q, ok := p.spots[x]; ok && q.block == s.block {
				readers++
			}
		}
		if readers == 1 {
			return spot{block: s.block}
		}
	}
	return spot{}
}

// inJoint finds the place of the result of node i where that is a concatenation or lies in one, of which the first part to
// be computed makes the block.
func (p *memoryPlan) inJoint(o *op, i int, blocks *[]*block) spot {
	k, ok := o.kernel.(placed)
	if !ok {
		return spot{}
	}
	whole, from := k.lies()
	if whole == nil {
		return spot{}
	}
	if whole.block == nil {
		whole.block = &block{size: aligned(whole.m * whole.c), start: i}
		*blocks = append(*blocks, whole.block)
	}
	return spot{whole.block, from, kernels.ChannelsLen(whole.m, o.shape.TotalSize()/whole.m, whole.c)}
}

// bind gives each result its part of the slab.
func (p *memoryPlan) bind(g *graph, slab kernels.Buffer) {
	for _, n := range g.nodes {
		if s, ok := p.spots[n]; ok {
			lo := s.block.at + s.from
			g.values[n].buf = slab.Slice(lo, lo+s.len)
		}
	}
}
