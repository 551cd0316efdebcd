package spec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// References to data sets and to a sweep's best run are opaque values: they can be chosen between, put on an axis and
// given to the attribute that takes them, nothing else.
type best struct{ sweep string }

var (
	datasetType = cty.Capsule("data set", reflect.TypeFor[Dataset]())
	bestType    = cty.Capsule("best run of a sweep", reflect.TypeFor[best]())
)

func (m *module) datasetObject() cty.Value {
	attrs := map[string]cty.Value{}
	for name, d := range m.datasets {
		attrs[name] = cty.CapsuleVal(datasetType, d.value)
	}
	return cty.ObjectVal(attrs)
}

func (m *module) sweepObject() cty.Value {
	attrs := map[string]cty.Value{}
	for name, s := range m.sweeps {
		attrs[name] = cty.ObjectVal(map[string]cty.Value{"best": cty.CapsuleVal(bestType, s.best)})
	}
	return cty.ObjectVal(attrs)
}

// scope says what beside var, local, dataset and sweep an expression may refer to.
type scope struct {
	axes  []string // of matrix
	later []string // axes that are declared, but after this place
	inRun bool     // matrix of the whole sweep, and run.seed
	sweep *Sweep   // whose matrix it is
	only  string   // nothing but this root, in the validation of a variable

	launches string // the sweep whose launcher it is
	anyAxes  bool   // of a launcher that no sweep uses: there is no saying which
	machine  bool   // of a launcher whose settings are a machine's, not a run's
}

// checkReferences reports references to what is not there and calls of functions that do not exist, without evaluating
// anything: so an expression that fails for one combination only is reported once, and before any run is expanded.
func (m *module) checkReferences(expr hclsyntax.Expression, sc scope) Diagnostics {
	var diags Diagnostics
	for _, t := range expr.Variables() {
		if d := m.checkReference(t, sc); d != nil {
			diags = append(diags, d)
		}
	}
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok {
			if _, known := m.functions[call.Name]; !known {
				diags = append(diags, Unknown("function", call.Name, m.functionNames, call.NameRange))
			}
		}
		return nil
	})
	return diags
}

func (m *module) checkReference(t hcl.Traversal, sc scope) *hcl.Diagnostic {
	root := t.RootName()
	rng := t.SourceRange()
	name, nameRange, named := stepName(t, 1)
	switch {
	case sc.only != "" && root != sc.only && slices.Contains([]string{"local", "dataset", "sweep", "launcher", "matrix", "run"}, root):
		return errorAt(rng, "Reference out of place", "Only %s can be referred to here.", sc.only)
	case root == "var":
		return unknownMember(named, "variable", name, m.variables, nameRange)
	case root == "local":
		return unknownMember(named, "local", name, m.locals, nameRange)
	case root == "dataset":
		if d := unknownMember(named, "data set", name, m.datasets, nameRange); d != nil {
			return d
		}
		if len(t) > 2 {
			return errorAt(rng, "Reference out of place", "A data set has no attributes that can be referred to: give it "+
				"whole, as dataset.%s.", name)
		}
		return nil
	case root == "sweep":
		if d := unknownMember(named, "sweep", name, m.sweeps, nameRange); d != nil {
			return d
		}
		if attr, r, ok := stepName(t, 2); ok && attr != "best" {
			return unknownIn("attribute", attr, "of a sweep", []string{"best"}, r)
		}
		return nil
	case root == "launcher":
		return m.checkLauncherReference(t)
	case (root == "matrix" || root == "run") && sc.machine:
		return errorAt(rng, "Reference out of place", "A launcher of kind local holds the settings of a machine, which are the same for all "+
			"runs: they can't depend on %s.", root)
	case root == "matrix" && sc.anyAxes:
		return nil
	case root == "matrix" && sc.launches != "" && (named && !slices.Contains(sc.axes, name) || len(sc.axes) == 0):
		d := unknownIn("axis", name, "in sweep "+quote(sc.launches)+", which uses this launcher", sc.axes, nameRange)
		if len(sc.axes) == 0 {
			d.Subject = &rng
			d.Detail = fmt.Sprintf("Sweep %s, which uses this launcher, has no axes that could be referred to.", quote(sc.launches))
		}
		d.Detail += " Give that sweep a launcher of its own where the axis is not one for all."
		return d
	case root == "matrix" && sc.axes == nil && sc.later == nil:
		return errorAt(rng, "Reference out of place",
			"matrix is known in a sweep that has axes only: in its run and exclude blocks, in the when of its gates, in "+
				"launchers, and in axes after the one that is referred to.")
	case root == "matrix" && named && slices.Contains(sc.later, name):
		return errorAt(nameRange, "Reference out of place",
			"Axis %s comes later. An axis may refer to axes before it only.", quote(name))
	case root == "matrix" && named && !slices.Contains(sc.axes, name):
		return unknownIn("axis", name, "in this sweep", sc.axes, nameRange)
	case root == "matrix":
		return nil
	case root == "run" && !sc.inRun:
		return errorAt(rng, "Reference out of place", "run.seed is known in run and launcher blocks only.")
	case root == "run":
		if named && name != "seed" {
			return unknownIn("attribute", name, "of run", []string{"seed"}, nameRange)
		}
		return nil
	}
	roots := []string{"var", "local", "dataset", "sweep", "launcher"}
	if sc.axes != nil {
		roots = append(roots, "matrix")
	}
	if sc.inRun {
		roots = append(roots, "run")
	}
	d := errorAt(rng, "Unknown reference", "There is no %s to refer to.", quote(root))
	if near := Nearest(root, roots); near != "" && len(t) > 1 {
		d.Detail += fmt.Sprintf(" Did you mean %q?", near)
	} else if len(t) == 1 {
		d.Detail += fmt.Sprintf(" If you mean the text, put it between quotes: %q.", root)
	} else {
		d.Detail += " What can be: " + strings.Join(roots, ", ") + "."
	}
	return d
}

func unknownMember[V any](named bool, kind, name string, members map[string]V, rng hcl.Range) *hcl.Diagnostic {
	if _, ok := members[name]; ok || !named {
		return nil
	}
	d := Unknown(kind, name, mapKeys(members), rng)
	if len(members) == 0 {
		d.Detail += fmt.Sprintf(" The configuration has no %s at all.", kind)
	}
	return d
}

// stepName returns the attribute that step i of a reference names, by dot or by index.
func stepName(t hcl.Traversal, i int) (string, hcl.Range, bool) {
	if len(t) <= i {
		return "", hcl.Range{}, false
	}
	switch step := t[i].(type) {
	case hcl.TraverseAttr:
		rng := step.SrcRange
		if end := rng.End.Byte - rng.Start.Byte; end == len(step.Name)+1 { // hcl counts the dot in
			rng.Start.Byte++
			rng.Start.Column++
		}
		return step.Name, rng, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
			return step.Key.AsString(), step.SrcRange, true
		}
	}
	return "", hcl.Range{}, false
}

// evaluate gives an expression its value where that depends on nothing of a sweep. What cannot be evaluated is unknown,
// and is reported here and nowhere else: whoever meets an unknown value passes it on in silence.
func (m *module) evaluate(expr hclsyntax.Expression, sc scope) (cty.Value, Diagnostics) {
	if diags := m.checkReferences(expr, sc); diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	v, diags := expr.Value(m.root)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return v, diags
}

// node is something that is declared under a name and refers to others: "local.x".
type node struct {
	name  string
	exprs []hclsyntax.Expression
	rng   hcl.Range
}

// graph lists the named things that may refer to each other, in the files' order of their kind.
func (m *module) graph() []node {
	var nodes []node
	for _, name := range mapKeys(m.locals) {
		a := m.locals[name]
		nodes = append(nodes, node{"local." + name, []hclsyntax.Expression{a.Expr}, a.NameRange})
	}
	for _, name := range mapKeys(m.datasets) {
		b := m.datasets[name].block
		nodes = append(nodes, node{"dataset." + name, expressions(b.Body), headerOf(b)})
	}
	for _, name := range mapKeys(m.sweeps) {
		b := m.sweeps[name].block
		nodes = append(nodes, node{"sweep." + name, expressions(b.Body), headerOf(b)})
	}
	return nodes
}

// expressions lists all expressions of a body and of the blocks in it.
func expressions(body *hclsyntax.Body) []hclsyntax.Expression {
	var list []hclsyntax.Expression
	for _, a := range ordered(body.Attributes) {
		list = append(list, a.Expr)
	}
	for _, b := range body.Blocks {
		list = append(list, expressions(b.Body)...)
	}
	return list
}

// evaluateLocals sorts the locals by what they refer to and evaluates them. A cycle, of locals or of sweeps that wait
// for each other's best run, is an error that prints its path.
func (m *module) evaluateLocals() Diagnostics {
	var diags Diagnostics
	nodes := m.graph()
	index := map[string]int{}
	for i, n := range nodes {
		index[n.name] = i
	}
	const (
		fresh = iota
		open
		closed
	)
	state := make([]int, len(nodes))
	values := map[string]cty.Value{} // of locals
	var path []int
	var visit func(i int)
	visit = func(i int) {
		n := nodes[i]
		state[i] = open
		path = append(path, i)
		cyclic := false
		for _, expr := range n.exprs {
			for _, t := range expr.Variables() {
				for _, j := range m.targets(t, index, nodes) {
					switch state[j] {
					case fresh:
						visit(j)
					case open:
						cyclic = true
						diags = append(diags, cycleError(nodes, path[slices.Index(path, j):], t.SourceRange()))
					}
				}
			}
		}
		path = path[:len(path)-1]
		state[i] = closed
		name, isLocal := strings.CutPrefix(n.name, "local.")
		if !isLocal {
			return
		}
		values[name] = cty.DynamicVal
		if cyclic {
			return
		}
		m.root.Variables["local"] = m.visibleLocals(n.exprs[0], values)
		v, d := m.evaluate(n.exprs[0], scope{})
		if tooLarge(v) {
			d = append(d, errorAt(n.exprs[0].Range(), "Number out of range", "The value of this local is %s, more than any "+
				"setting can take.", describe(v)))
			v = cty.DynamicVal
		}
		diags = append(diags, d...)
		values[name] = v
	}
	for i := range nodes {
		if state[i] == fresh {
			visit(i)
		}
	}
	m.root.Variables["local"] = cty.ObjectVal(values)
	return diags
}

// visibleLocals is the object local for one expression: only what it refers to, so that evaluating n locals does not
// cost n² copies.
func (m *module) visibleLocals(expr hclsyntax.Expression, values map[string]cty.Value) cty.Value {
	needed := map[string]cty.Value{}
	for _, t := range expr.Variables() {
		if t.RootName() != "local" {
			continue
		}
		name, _, named := stepName(t, 1)
		if !named {
			return cty.ObjectVal(values)
		}
		if v, ok := values[name]; ok {
			needed[name] = v
		}
	}
	return cty.ObjectVal(needed)
}

// targets lists the nodes that a reference leads to: one, or all of a kind where the name is computed.
func (m *module) targets(t hcl.Traversal, index map[string]int, nodes []node) []int {
	root := t.RootName()
	if root != "local" && root != "dataset" && root != "sweep" {
		return nil
	}
	if name, _, named := stepName(t, 1); named {
		if i, ok := index[root+"."+name]; ok {
			return []int{i}
		}
		return nil
	}
	var all []int
	for i, n := range nodes {
		if strings.HasPrefix(n.name, root+".") {
			all = append(all, i)
		}
	}
	return all
}

func cycleError(nodes []node, cycle []int, rng hcl.Range) *hcl.Diagnostic {
	names := make([]string, 0, len(cycle)+1)
	for _, i := range cycle {
		names = append(names, nodes[i].name)
	}
	names = append(names, names[0])
	why := "none of them can be evaluated first"
	if strings.HasPrefix(names[0], "sweep.") {
		why = "none of them can run first"
	}
	return errorAt(rng, "Cycle", "These refer to each other in a circle, so %s: %s. Take one reference out.", why,
		strings.Join(names, " → "))
}
