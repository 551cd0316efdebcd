package spec

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// condition is an attribute when, which holds for some combinations of a sweep and not for others.
type condition struct {
	term     term
	constant cty.Value // where it depends on no axis
	rng      hcl.Range
}

// compileCondition evaluates a condition where it depends on no axis. ok = false: it can't be used, which need not be an
// error of its own.
func (m *module) compileCondition(s *Sweep, a *hclsyntax.Attribute, sc scope) (c condition, ok bool, diags Diagnostics) {
	if d := m.checkReferences(a.Expr, sc); d.HasErrors() {
		return c, false, d
	}
	c.rng = a.Expr.Range()
	var dependent bool
	if c.term, dependent = newTerm(a.Expr, sc.axes); dependent {
		if d := c.term.checkFile(); d != nil {
			return c, false, Diagnostics{d}
		}
		if c.term.axis < 0 {
			c.term.memo = newMemo[cty.Value](s, a.Expr)
		}
		return c, true, nil
	}
	v, diags := a.Expr.Value(m.root)
	if diags.HasErrors() || !v.IsKnown() {
		return c, false, diags
	}
	if !v.IsNull() {
		if _, p := asBool("when", v); p != nil {
			return c, false, append(diags, errorAt(c.rng, p.summary, "%s", p.detail))
		}
	}
	c.constant = v
	return c, true, diags
}

// holds evaluates the condition for a combination; omitted is what null is, an attribute that is not there.
func (c *condition) holds(e *evaluation, omitted bool) (bool, Diagnostics) {
	v := c.constant
	if v == cty.NilVal {
		var diags Diagnostics
		if v, diags = c.term.value(e); diags.HasErrors() {
			return false, diags
		}
		if v.IsKnown() && !v.IsNull() {
			if _, p := asBool("when", v); p != nil {
				d := errorAt(c.rng, p.summary, "%s", p.detail)
				d.Expression, d.EvalContext = c.term.expr, e.context()
				return false, Diagnostics{d}
			}
		}
	}
	switch {
	case !v.IsKnown():
		return false, nil
	case v.IsNull():
		return omitted, nil
	}
	return v.True(), nil
}
