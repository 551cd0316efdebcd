package spec

import (
	"math"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// expansion is what a sweep needs to be expanded; see expand.go.
type expansion struct {
	m        *module
	dataset  *Dataset // of the runs that name none
	axes     []axis
	groups   []group
	excludes []condition
	includes []Combination
	run      *runBlock

	uses      *launcher           // nil: this machine
	launcher  *compiled[Launcher] // nil: this machine
	launchers *memo[Launcher]     // nil where they are not to be remembered

	header hcl.Range // of the matrix block, or of the sweep
	broken bool      // loading has failed: what is known of the sweep is incomplete
}

// axis is a line of a matrix or zip block.
type axis struct {
	name string
	expr hclsyntax.Expression
	rng  hcl.Range
}

// group is axes that are walked side by side: one of matrix, or those of a zip block.
type group struct {
	first, end int           // its axes
	rows       [][]cty.Value // a value for each of its axes; nil where an axis depends on earlier ones
	keys       []string      // of the rows, for telling combinations apart
	dependent  bool
	terms      []term // by axis, where dependent
	zip        bool
	rng        hcl.Range
}

var (
	sweepShape = shape{
		attributes: []string{"dataset", "seeds", "launcher"},
		blocks:     map[string]int{"matrix": 0, "zip": 0, "exclude": 0, "include": 0, "run": 0},
		inner:      map[string][]string{runType.name: runType.names()},
	}
	excludeShape = shape{attributes: []string{"when"}}
)

// inOrder lists the names of the datasets or sweeps as they stand in the files, each once.
func (m *module) inOrder(blockType string) []string {
	var names []string
	m.eachBlock(blockType, func(b *hclsyntax.Block) {
		if !slices.Contains(names, b.Labels[0]) {
			names = append(names, b.Labels[0])
		}
	})
	return names
}

func (m *module) decodeSweeps() Diagnostics {
	var diags Diagnostics
	for _, name := range m.inOrder("sweep") {
		sw := m.sweeps[name]
		m.spec.Sweeps = append(m.spec.Sweeps, sw.value)
		diags = append(diags, m.decodeSweep(sw.value, sw.block)...)
	}
	return diags
}

func (m *module) decodeSweep(s *Sweep, b *hclsyntax.Block) Diagnostics {
	diags := sweepShape.check(b.Body, "in a sweep block")
	s.Ranges = map[string]hcl.Range{}
	s.expansion = expansion{m: m, header: headerOf(b)}
	if a := b.Body.Attributes["dataset"]; a != nil {
		diags = append(diags, m.constant(a, func(v cty.Value) (p *problem) {
			s.dataset, p = m.asDataset(v)
			return p
		})...)
		s.Ranges["dataset"] = a.Expr.Range()
	}
	s.Seeds = []int64{0}
	if a := b.Body.Attributes["seeds"]; a != nil {
		diags = append(diags, m.constant(a, func(v cty.Value) *problem { return setSeeds(s, v) })...)
	}

	if a := b.Body.Attributes["launcher"]; a != nil {
		diags = append(diags, m.constant(a, func(v cty.Value) (p *problem) {
			s.uses, p = m.asLauncher(v)
			return p
		})...)
		s.Ranges["launcher"] = a.Expr.Range()
	}

	var matrix, run *hclsyntax.Block
	once := func(to **hclsyntax.Block, b *hclsyntax.Block) {
		if *to != nil {
			diags = append(diags, errorAt(headerOf(b), "Duplicate block",
				"This sweep has had a %s block at line %d. Put what they hold into one.", b.Type, (*to).TypeRange.Start.Line))
			return
		}
		*to = b
	}
	for _, inner := range b.Body.Blocks {
		switch inner.Type {
		case "matrix":
			once(&matrix, inner)
			if matrix == inner {
				s.header = headerOf(inner)
				diags = append(diags, m.declareAxes(s, inner, false)...)
			}
		case "zip":
			diags = append(diags, m.declareAxes(s, inner, true)...)
		case "run":
			once(&run, inner)
		}
	}
	sc := scope{sweep: s, inRun: true}
	for _, a := range s.axes {
		sc.axes = append(sc.axes, a.name)
	}
	diags = append(diags, m.evaluateAxes(s)...)
	for _, inner := range b.Body.Blocks {
		switch inner.Type {
		case "exclude":
			diags = append(diags, m.decodeExclude(s, inner, scope{axes: sc.axes})...)
		case "include":
			diags = append(diags, m.decodeInclude(s, inner)...)
		}
	}
	if run == nil {
		return append(diags, errorAt(headerOf(b), missing, "A sweep needs a run block, which says what is trained."))
	}
	var d Diagnostics
	s.run, d = m.compileRun(s, run, sc)
	diags = append(diags, d...)
	if a := run.Body.Attributes["dataset"]; a == nil && b.Body.Attributes["dataset"] == nil {
		diags = append(diags, errorAt(headerOf(b), missing, "The sweep needs a data set: dataset = dataset.NAME."))
	}
	return diags
}

// constant evaluates an attribute that may not depend on a sweep's axes, and hands its value to set. Null is as if the
// attribute were not there.
func (m *module) constant(a *hclsyntax.Attribute, set func(cty.Value) *problem) Diagnostics {
	v, diags := m.evaluate(a.Expr, scope{})
	if diags.HasErrors() || !v.IsWhollyKnown() || v.IsNull() {
		return diags
	}
	if p := set(v); p != nil {
		diags = append(diags, errorAt(p.place(a.Expr), p.summary, "%s", p.detail))
	}
	return diags
}

func setSeeds(s *Sweep, v cty.Value) *problem {
	values, p := asList("seeds", " of whole numbers, such as [0, 1, 2] or range(3)", v)
	if p != nil {
		return p
	}
	if len(values) == 0 {
		return problemf(outOfRange, "seeds must have at least one number; for one run of each configuration leave seeds out.")
	}
	seeds := make([]int64, 0, len(values))
	seen := map[int64]bool{}
	for i, v := range values {
		n, p := asInt("each of seeds", v, 0)
		if p != nil {
			return p.in(i)
		}
		if seen[n] {
			return problemf("Duplicate value", "The seed %d stands in seeds twice; it would give the same run again.", n).in(i)
		}
		seen[n] = true
		seeds = append(seeds, n)
	}
	s.Seeds = seeds
	return nil
}

// declareAxes registers the axes of a matrix or zip block.
func (m *module) declareAxes(s *Sweep, b *hclsyntax.Block, zip bool) Diagnostics {
	var diags Diagnostics
	for _, inner := range b.Body.Blocks {
		d := errorAt(inner.TypeRange, "Unknown block", "A %s block holds axes only: lines of the form name = [values].", b.Type)
		if _, ok := sweepShape.blocks[inner.Type]; ok {
			d.Detail += " A " + inner.Type + " block stands beside it, in the sweep."
		}
		diags = append(diags, d)
	}
	attrs := ordered(b.Body.Attributes)
	if len(attrs) == 0 && len(diags) == 0 {
		diags = append(diags, errorAt(headerOf(b), "Empty matrix", "This block has no axis. Give it lines of the form "+
			"name = [values], or take it out."))
	}
	start := len(s.axes)
	for _, a := range attrs {
		if i := slices.IndexFunc(s.axes, func(x axis) bool { return x.name == a.Name }); i >= 0 {
			diags = append(diags, duplicate("axis", a.Name, a.NameRange, s.axes[i].rng))
			continue
		}
		s.axes = append(s.axes, axis{a.Name, a.Expr, a.NameRange})
		if !zip {
			s.groups = append(s.groups, group{first: len(s.axes) - 1, end: len(s.axes), rng: a.Expr.Range()})
		}
	}
	if zip && len(s.axes) > start {
		s.groups = append(s.groups, group{first: start, end: len(s.axes), zip: true, rng: headerOf(b)})
	}
	return diags
}

// evaluateAxes gives the axes that do not depend on others their values.
func (m *module) evaluateAxes(s *Sweep) Diagnostics {
	var diags Diagnostics
	var names []string
	for _, a := range s.axes {
		names = append(names, a.name)
	}
	for i := range s.groups {
		g := &s.groups[i]
		sc := scope{axes: names[:g.first:g.first], later: names[g.first:]}
		sound := true
		for _, a := range s.axes[g.first:g.end] {
			if d := m.checkReferences(a.expr, sc); d.HasErrors() {
				diags = append(diags, d...)
				sound = false
				continue
			}
			t, dependent := newTerm(a.expr, names)
			g.terms = append(g.terms, t)
			if dependent {
				g.dependent = true
				if d := t.checkFile(); d != nil {
					diags = append(diags, d)
					sound = false
				}
			}
		}
		if g.dependent || !sound {
			continue
		}
		e := &evaluation{sweep: s}
		rows, d := s.rowsOf(g, e)
		diags = append(diags, d...)
		if d.HasErrors() {
			continue
		}
		if len(rows) == 0 && rows != nil {
			diags = append(diags, errorAt(g.rng, "Empty matrix", "%s has no value, so the sweep would have no run. Give it "+
				"values, or null to leave it out.", s.groupName(g)))
		}
		g.rows = rows
		for _, row := range rows {
			g.keys = append(g.keys, keyOf(row))
		}
	}
	return diags
}

func (s *Sweep) groupName(g *group) string {
	if g.zip {
		return "This zip block"
	}
	return "Axis " + quote(s.axes[g.first].name)
}

// rowsOf evaluates the axes of a group and sets their values side by side. An axis that is null is inactive. Rows are nil
// where a value is not known.
func (s *Sweep) rowsOf(g *group, e *evaluation) ([][]cty.Value, Diagnostics) {
	columns := make([][]cty.Value, g.end-g.first)
	length := -1 // of the columns that are lists
	var longest axis
	for i := range columns {
		a := s.axes[g.first+i]
		v, diags := g.terms[i].valueIn(e)
		if diags.HasErrors() {
			return nil, diags
		}
		if !v.IsWhollyKnown() {
			return nil, nil
		}
		if v.IsNull() {
			continue
		}
		values, p := asList("axis "+a.name, " of values", v)
		if p == nil {
			p = checkAxisValues(a.name, values)
		}
		if p != nil {
			d := errorAt(p.place(a.expr), p.summary, "%s", p.detail)
			if g.dependent {
				d.Expression, d.EvalContext = a.expr, e.context()
			}
			return nil, Diagnostics{d}
		}
		if length >= 0 && len(values) != length {
			d := errorAt(a.expr.Range(), "Unequal lengths", "The axes of a zip block are walked side by side, so they have the "+
				"same number of values; %s has %d and %s has %d.", quote(longest.name), length, quote(a.name), len(values))
			if g.dependent {
				d.Expression, d.EvalContext = a.expr, e.context()
			}
			return nil, Diagnostics{d}
		}
		columns[i], length, longest = values, len(values), a
	}
	if length < 0 {
		length = 1 // all inactive
	}
	rows := make([][]cty.Value, length)
	for r := range rows {
		row := make([]cty.Value, len(columns))
		for i, column := range columns {
			row[i] = cty.NullVal(cty.DynamicPseudoType)
			if column != nil {
				row[i] = column[r]
			}
		}
		rows[r] = row
	}
	return rows, nil
}

// checkAxisValues makes sure that the values can be told apart and shown in a table.
func checkAxisValues(name string, values []cty.Value) *problem {
	for i, v := range values {
		ty := v.Type()
		if v.IsNull() {
			continue
		}
		if bad := unlabelled(v); bad != "" {
			return problemf(outOfRange, "A value of axis %s holds %s, which can't stand in a label.", quote(name), bad).in(i)
		}
		switch {
		case ty.IsPrimitiveType(), ty.IsObjectType(), ty.IsMapType(), ty == datasetType, ty == bestType:
		default:
			return problemf(wrongType, "The values of axis %s are strings, numbers, bools, objects or null; one is %s. Give the "+
				"object { x = … } and write matrix.%s.x where the list is needed.", quote(name), describe(v), name).in(i)
		}
	}
	return nil
}

// unlabelled describes what is in a value and can't be written into a label: a number that no float64 comes near, or
// within an object, a reference. It is "" where all is well.
func unlabelled(v cty.Value) string {
	bad := ""
	_ = cty.Walk(v, func(path cty.Path, inner cty.Value) (bool, error) { // the function gives no error
		switch {
		case bad != "" || inner.IsNull():
			return false, nil
		case inner.Type() == cty.Number:
			if x, _ := inner.AsBigFloat().Float64(); math.IsInf(x, 0) {
				bad = describe(inner)
			}
		case inner.Type().IsCapsuleType() && len(path) > 0:
			bad = "the reference " + describe(inner)
		}
		return true, nil
	})
	return bad
}

func (m *module) decodeExclude(s *Sweep, b *hclsyntax.Block, sc scope) Diagnostics {
	diags := excludeShape.check(b.Body, "in an exclude block")
	a := b.Body.Attributes["when"]
	if a == nil {
		return append(diags, errorAt(headerOf(b), missing, "An exclude block needs when = CONDITION."))
	}
	x, ok, d := m.compileCondition(s, a, sc)
	if ok {
		s.excludes = append(s.excludes, x)
	}
	return append(diags, d...)
}

func (m *module) decodeInclude(s *Sweep, b *hclsyntax.Block) Diagnostics {
	var diags Diagnostics
	for _, inner := range b.Body.Blocks {
		diags = append(diags, errorAt(inner.TypeRange, "Unknown block", "An include block holds a value for each axis only."))
	}
	values := make([]cty.Value, len(s.axes))
	for i := range values {
		values[i] = cty.NullVal(cty.DynamicPseudoType)
	}
	var names []string
	for _, a := range s.axes {
		names = append(names, a.name)
	}
	attrs := ordered(b.Body.Attributes)
	if len(attrs) == 0 && len(diags) == 0 {
		diags = append(diags, errorAt(headerOf(b), missing, "An include block gives at least one axis a value."))
	}
	for _, a := range attrs {
		i := slices.Index(names, a.Name)
		if i < 0 {
			d := unknownIn("axis", a.Name, "in this sweep", names, a.NameRange)
			if len(names) == 0 {
				d.Detail += " It has no matrix at all."
			}
			diags = append(diags, d)
			continue
		}
		diags = append(diags, m.constant(a, func(v cty.Value) *problem {
			values[i] = v
			return checkAxisValues(a.Name, []cty.Value{v})
		})...)
	}
	if !diags.HasErrors() {
		s.includes = append(s.includes, s.combination(values))
	}
	return diags
}

// valueIn is value for a term that may depend on nothing.
func (t *term) valueIn(e *evaluation) (cty.Value, Diagnostics) {
	if t.axis >= 0 || e.values != nil {
		return t.value(e)
	}
	v, diags := t.expr.Value(e.sweep.m.root)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return v, nil
}
