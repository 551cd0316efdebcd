package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/ftrun/ftrun/internal/kernels"
)

// backward adds the gradients of the sum of the losses by every leaf that wants one; a leaf's Deriv is its gradient
// then. It does what gorgonia.Grad does, with one kernel for the sum of a result's gradients over its consumers, and
// from more than one loss.
func (g *graph) backward(losses []*node) error {
	order, err := gorgonia.Sort(g.ExprGraph) // consumers come before what they read
	if err != nil {
		return fmt.Errorf("sorting the graph: %w", err)
	}
	terms := map[*node][]*node{}
	for _, n := range losses {
		terms[n] = []*node{nil}
	}
	for _, n := range order {
		if len(terms[n]) == 0 || !g.wants[n] {
			continue
		}
		o, computed := n.Op().(*op)
		layer := n.Name()
		if computed {
			layer = o.layer
		}
		dy := terms[n][0]
		if len(terms[n]) > 1 {
			dy = place{g, layer}.apply(addition{act: kernels.Identity}, n.Shape().Clone(), terms[n]...)
		}
		if dy != nil {
			gorgonia.SetDerivOf(dy, n)
		}
		if !computed {
			continue
		}
		derivs, err := o.SymDiff(o.from, n, dy)
		if err != nil {
			return err
		}
		for i, d := range derivs {
			if d != nil {
				terms[o.from[i]] = append(terms[o.from[i]], d)
			}
		}
	}
	return nil
}
