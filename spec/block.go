package spec

import (
	"math"
	"slices"
	"sync/atomic"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// blockType describes a block that becomes a T: its attributes in a table, and what must hold between them.
type blockType[T any] struct {
	name     string   // "optimizer"
	key      string   // the attribute without which the block means nothing: where its value is null, the block is absent
	required []string // further attributes that must be given
	fields   []field[T]
	// check reports, for the attribute at fault, what the table cannot say. It may be nil.
	check func(t *T, report func(attr string, p *problem))
}

// field is one attribute: set converts a value that is known and not null, and stores it.
type field[T any] struct {
	name string
	set  func(m *module, t *T, v cty.Value) *problem
}

func (bt *blockType[T]) field(name string) *field[T] {
	for i := range bt.fields {
		if bt.fields[i].name == name {
			return &bt.fields[i]
		}
	}
	return nil
}

func (bt *blockType[T]) names() []string {
	names := make([]string, len(bt.fields))
	for i, f := range bt.fields {
		names[i] = f.name
	}
	return names
}

func (bt *blockType[T]) needs(name string) bool {
	return name == bt.key || slices.Contains(bt.required, name)
}

// compiled is a block whose constant attributes are evaluated; value adds those that depend on the combination.
type compiled[T any] struct {
	blockType *blockType[T]
	m         *module
	base      T
	absent    bool // the key is null whatever the combination
	broken    bool // an error was reported; checks that would follow it up are left out
	dynamic   []dynamic[T]
	header    hcl.Range
	ranges    map[string]hcl.Range // of the attributes' values
}

// dynamic is an attribute that depends on the combination or the seed.
type dynamic[T any] struct {
	field *field[T]
	term  term
}

// compileBlock decodes a block's attributes; its inner blocks are the caller's. The ranges of the attributes are added
// to all under prefix.
func compileBlock[T any](m *module, bt *blockType[T], body *hclsyntax.Body, header hcl.Range, sc scope, prefix string,
	all map[string]hcl.Range) (*compiled[T], Diagnostics) {
	c := &compiled[T]{blockType: bt, m: m, header: header, ranges: map[string]hcl.Range{}}
	var diags Diagnostics
	fail := func(d ...*hcl.Diagnostic) {
		diags = append(diags, d...)
		c.broken = true
	}
	for _, name := range append([]string{bt.key}, bt.required...) {
		if name != "" && body.Attributes[name] == nil {
			fail(errorAt(header, missing, "The %s block needs the attribute %q.", bt.name, name))
		}
	}
	for _, a := range ordered(body.Attributes) {
		f := bt.field(a.Name)
		if f == nil {
			c.broken = true // reported with the block's shape
			continue
		}
		rng := a.Expr.Range()
		c.ranges[a.Name] = rng
		all[prefix+a.Name] = rng
		if d := m.checkReferences(a.Expr, sc); d.HasErrors() {
			fail(d...)
			continue
		}
		if t, ok := newTerm(a.Expr, sc.axes); ok {
			if d := t.checkFile(); d != nil {
				fail(d)
				continue
			}
			if sc.sweep != nil && t.axis < 0 {
				t.memo = newMemo[cty.Value](sc.sweep, t.expr)
			}
			c.dynamic = append(c.dynamic, dynamic[T]{f, t})
			continue
		}
		v, d := a.Expr.Value(m.root)
		if d.HasErrors() {
			fail(d...)
			continue
		}
		switch {
		case !v.IsWhollyKnown():
			c.broken = true
		case v.IsNull() && a.Name == bt.key:
			c.absent = true
		case v.IsNull() && bt.needs(a.Name):
			fail(errorAt(rng, missing, "The %s block needs the attribute %q; here it is null.", bt.name, a.Name))
		case v.IsNull():
		default:
			if p := f.set(m, &c.base, v); p != nil {
				fail(errorAt(p.place(a.Expr), p.summary, "%s", p.detail))
			}
		}
	}
	// The key goes first: where it is null, nothing else matters.
	slices.SortStableFunc(c.dynamic, func(a, b dynamic[T]) int {
		switch {
		case a.field.name == bt.key:
			return -1
		case b.field.name == bt.key:
			return 1
		}
		return 0
	})
	if len(c.dynamic) == 0 {
		diags = append(diags, c.verify(&c.base, nil)...)
	}
	return c, diags
}

// verify runs the block's own check.
func (c *compiled[T]) verify(t *T, e *evaluation) Diagnostics {
	if c.blockType.check == nil || c.broken || c.absent {
		return nil
	}
	var diags Diagnostics
	c.blockType.check(t, func(attr string, p *problem) {
		rng, ok := c.ranges[attr]
		if !ok {
			rng = c.header
		}
		diags = append(diags, c.at(attr, rng, p, e))
	})
	return diags
}

// at makes a diagnostic of a problem, with the values that the attribute's expression saw.
func (c *compiled[T]) at(attr string, rng hcl.Range, p *problem, e *evaluation) *hcl.Diagnostic {
	d := errorAt(rng, p.summary, "%s", p.detail)
	for _, dyn := range c.dynamic {
		if dyn.field.name == attr && e != nil {
			d.Expression, d.EvalContext = dyn.term.expr, e.context()
		}
	}
	return d
}

// value is the block for one combination, or nil where it is absent. Blocks without an attribute that depends on the
// combination are shared by all: nobody may change them.
func (c *compiled[T]) value(e *evaluation) (*T, Diagnostics) {
	if c == nil || c.absent {
		return nil, nil
	}
	if len(c.dynamic) == 0 {
		return &c.base, nil
	}
	t := new(T)
	*t = c.base
	diags, present, sound := c.fill(t, e)
	if !present {
		return nil, diags
	}
	if sound {
		diags = append(diags, c.verify(t, e)...)
	}
	return t, diags
}

// fill evaluates the attributes that depend on the combination. It tells whether the block is present, and whether all
// of it could be set.
func (c *compiled[T]) fill(t *T, e *evaluation) (diags Diagnostics, present, sound bool) {
	sound = true
	for i := range c.dynamic {
		dyn := &c.dynamic[i]
		name := dyn.field.name
		v, d := dyn.term.value(e)
		diags = append(diags, d...)
		switch {
		case d.HasErrors() || !v.IsWhollyKnown():
			sound = false
		case v.IsNull() && name == c.blockType.key:
			return diags, false, sound
		case v.IsNull() && c.blockType.needs(name):
			p := problemf(missing, "The %s block needs the attribute %q; here it is null.", c.blockType.name, name)
			diags = append(diags, c.at(name, dyn.term.expr.Range(), p, e))
			sound = false
		case v.IsNull():
		default:
			if p := dyn.field.set(c.m, t, v); p != nil {
				diags = append(diags, c.at(name, p.place(dyn.term.expr), p, e))
				sound = false
			}
		}
	}
	return diags, true, sound
}

// term is an expression that depends on the combination or the seed. The most frequent form, matrix.axis, is read off
// the combination without evaluating anything.
type term struct {
	expr hclsyntax.Expression
	axis int              // the index of the axis, or -1
	rest hcl.Traversal    // what follows matrix.axis
	memo *memo[cty.Value] // nil where the values are too many, or not known beforehand, to be remembered
}

// memo remembers what comes of expressions for each choice of values on the axes that they depend on: a condition on two
// axes has a few values in a matrix of a hundred thousand combinations.
type memo[V any] struct {
	groups  []int // that the expressions depend on
	lengths []int
	values  []atomic.Pointer[V]
}

const maxMemo = 4096

// newMemo returns nil where an expression depends on the seed or on an axis whose values depend on others.
func newMemo[V any](s *Sweep, exprs ...hclsyntax.Expression) *memo[V] {
	m := &memo[V]{}
	size := 1
	var references []hcl.Traversal
	for _, expr := range exprs {
		references = append(references, expr.Variables()...)
	}
	for _, t := range references {
		name, _, named := stepName(t, 1)
		if root := t.RootName(); root == "run" {
			return nil
		} else if root != "matrix" {
			continue
		}
		axis := slices.IndexFunc(s.axes, func(a axis) bool { return a.name == name })
		if !named || axis < 0 {
			return nil
		}
		g := slices.IndexFunc(s.groups, func(g group) bool { return g.first <= axis && axis < g.end })
		if slices.Contains(m.groups, g) {
			continue
		}
		n := len(s.groups[g].rows)
		if s.groups[g].dependent || n > maxMemo || size*n > maxMemo {
			return nil
		}
		size *= n
		m.groups, m.lengths = append(m.groups, g), append(m.lengths, n)
	}
	m.values = make([]atomic.Pointer[V], size)
	return m
}

// slot is the place of the combination's value, or nil where it cannot be remembered.
func (m *memo[V]) slot(rows []int) *atomic.Pointer[V] {
	if m == nil || rows == nil {
		return nil
	}
	i := 0
	for k, g := range m.groups {
		i = i*m.lengths[k] + rows[g]
	}
	return &m.values[i]
}

// newTerm returns ok = false for an expression that depends on no axis and not on the seed.
func newTerm(expr hclsyntax.Expression, axes []string) (t term, ok bool) {
	t = term{expr: expr, axis: -1}
	for _, v := range expr.Variables() {
		if root := v.RootName(); root == "matrix" || root == "run" {
			ok = true
		}
	}
	if st, direct := expr.(*hclsyntax.ScopeTraversalExpr); direct && ok && st.Traversal.RootName() == "matrix" {
		if name, _, named := stepName(st.Traversal, 1); named {
			t.axis, t.rest = slices.Index(axes, name), st.Traversal[2:]
		}
	}
	return t, ok
}

// checkFile keeps files out of what is evaluated for each combination, so that the list of sources is whole once the
// configuration is loaded.
func (t *term) checkFile() *hcl.Diagnostic {
	var found *hcl.Diagnostic
	_ = hclsyntax.VisitAll(t.expr, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && (call.Name == "file" || call.Name == "fileexists") {
			found = errorAt(call.Range(), "Function call out of place", "%s cannot be called in an expression that depends "+
				"on matrix or run: the files that a configuration reads are fixed when it is loaded. Call it in a local, and "+
				"refer to that.", call.Name)
		}
		return nil
	})
	return found
}

func (t *term) value(e *evaluation) (cty.Value, Diagnostics) {
	var v cty.Value
	var diags Diagnostics
	switch {
	case t.axis >= 0 && len(t.rest) == 0:
		return e.values[t.axis], nil
	case t.axis >= 0:
		v, diags = t.rest.TraverseRel(e.values[t.axis])
		for _, d := range diags {
			d.Expression, d.EvalContext = t.expr, e.context()
		}
	default:
		slot := t.memo.slot(e.rows)
		if slot != nil {
			if known := slot.Load(); known != nil {
				return *known, nil
			}
		}
		v, diags = t.expr.Value(e.context())
		if slot != nil && !diags.HasErrors() {
			slot.Store(&v)
		}
	}
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return v, nil
}

// evaluation is one combination, and for a run its seed, as expressions see it.
type evaluation struct {
	sweep  *Sweep
	values []cty.Value // by axis; null where the axis is inactive
	rows   []int       // by group, the row that the values come from; nil for a combination that is included
	seed   *int64
	ctx    *hcl.EvalContext // built when an expression first needs it
}

func (e *evaluation) context() *hcl.EvalContext {
	if e.ctx == nil {
		attrs := make(map[string]cty.Value, len(e.values))
		for i, v := range e.values {
			attrs[e.sweep.axes[i].name] = v
		}
		e.ctx = e.sweep.m.root.NewChild()
		e.ctx.Variables = map[string]cty.Value{"matrix": cty.ObjectVal(attrs)}
		if e.seed != nil {
			e.ctx.Variables["run"] = cty.ObjectVal(map[string]cty.Value{"seed": cty.NumberIntVal(*e.seed)})
		}
	}
	return e.ctx
}

// The constructors of fields. at gives the place of the setting in T.

func intField[T any](name string, least int64, at func(*T) **int) field[T] {
	return boundedField(name, least, math.MaxInt32, "", at)
}

// boundedField is intField for a number of units that has a greatest value.
func boundedField[T any](name string, least int64, most int, unit string, at func(*T) **int) field[T] {
	return field[T]{name, func(_ *module, t *T, v cty.Value) *problem {
		n, p := asCount(name, v, least)
		if p == nil && n > most {
			p = problemf(outOfRange, "%s must be at most %d %s; this is %d.", name, most, unit, n)
		}
		if p == nil {
			*at(t) = &n
		}
		return p
	}}
}

func boolField[T any](name string, at func(*T) **bool) field[T] {
	return field[T]{name, func(_ *module, t *T, v cty.Value) *problem {
		b, p := asBool(name, v)
		if p == nil {
			*at(t) = &b
		}
		return p
	}}
}

func floatField[T any](name string, in interval, at func(*T) **float64) field[T] {
	return field[T]{name, func(_ *module, t *T, v cty.Value) *problem {
		x, p := in.convert(name, v)
		if p == nil {
			*at(t) = &x
		}
		return p
	}}
}

// enumField is a string of a few; kind is what its values are called.
func enumField[T any](name, kind string, options []string, at func(*T) **string) field[T] {
	return field[T]{name, func(_ *module, t *T, v cty.Value) *problem {
		s, p := asEnum(name, kind, options, v)
		if p == nil {
			*at(t) = &s
		}
		return p
	}}
}

// kindField is enumField for a setting that is always there.
func kindField[T any](name, kind string, options []string, at func(*T) *string) field[T] {
	return field[T]{name, func(_ *module, t *T, v cty.Value) *problem {
		s, p := asEnum(name, kind, options, v)
		*at(t) = s
		return p
	}}
}

// interval bounds a number; text says how in a sentence.
type interval struct {
	text string
	ok   func(x float64) bool
}

var (
	positive    = interval{"greater than 0", func(x float64) bool { return x > 0 }}
	notNegative = interval{"0 or more", func(x float64) bool { return x >= 0 }}
	fraction    = interval{"at least 0 and less than 1", func(x float64) bool { return x >= 0 && x < 1 }}
	share       = interval{"between 0 and 1, both exclusive", func(x float64) bool { return x > 0 && x < 1 }}
)

func (in interval) convert(name string, v cty.Value) (float64, *problem) {
	x, p := asFloat(name, v)
	if p == nil && !in.ok(x) {
		p = problemf(outOfRange, "%s must be %s; this is %s.", name, in.text, describe(v))
	}
	return x, p
}

// ineffective is the problem of a setting that would change nothing.
func ineffective(format string, args ...any) *problem {
	return problemf(noEffect, format, args...)
}
