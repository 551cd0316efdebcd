package spec

import (
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// dependentSample bounds how many combinations Size looks at for the length of an axis that depends on others.
const dependentSample = 1000

// Size estimates how many runs the sweep has, seeds counted, before anything is expanded: excludes and duplicates are
// not taken off. It is an upper bound except where the length of an axis that depends on others varies beyond the first
// thousand combinations. A number that does not fit is math.MaxInt.
func (s *Sweep) Size() int {
	total := uint64(1)
	for i := range s.groups {
		g := &s.groups[i]
		n := len(g.rows)
		if g.dependent {
			n = s.longest(i)
		}
		total = saturatingMul(total, uint64(n))
	}
	sum, carry := bits.Add64(total, uint64(len(s.includes)), 0)
	if carry != 0 {
		sum = math.MaxInt
	}
	return int(saturatingMul(sum, uint64(len(s.Seeds))))
}

func saturatingMul(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 || lo > math.MaxInt {
		return math.MaxInt
	}
	return lo
}

// longest is the greatest length of a group among the first combinations of the groups before it.
func (s *Sweep) longest(group int) int {
	most, seen := 0, 0
	w := &walk{s: s, failed: map[int]bool{}}
	w.descend(0, group, start(s), nil, func(e *evaluation, _ []byte) bool {
		rows, _ := s.rowsOf(&s.groups[group], e)
		most = max(most, len(rows))
		seen++
		return seen < dependentSample
	}, func(Diagnostics) bool { return true })
	return most
}

// Combinations yields the sweep's configurations: the product of its axes in the file's order, the last axis fastest,
// without what is excluded, then what is included; of equal ones the first. It yields diagnostics, with an empty
// Combination, as mistakes come up, each once, and goes on. It is lazy: a matrix too big to be walked costs nothing until
// it is. Combinations panics where Load has reported errors.
func (s *Sweep) Combinations() iter.Seq2[Combination, Diagnostics] {
	return func(yield func(Combination, Diagnostics) bool) {
		if s.broken {
			panic("spec: Combinations of a sweep whose configuration has errors")
		}
		w := &walk{s: s, failed: map[int]bool{}, removed: make([]int, len(s.excludes))}
		if s.mayRepeat() {
			w.seen = map[string]struct{}{}
		}
		failed := false
		stopped := !w.descend(0, len(s.groups), start(s), nil, func(e *evaluation, key []byte) bool {
			w.product++
			out, diags := w.excluded(e)
			if len(diags) > 0 {
				failed = true
				if !yield(Combination{}, diags) {
					return false
				}
			}
			if out || w.repeats(key) {
				return true
			}
			w.kept++
			c := s.combination(slices.Clone(e.values))
			c.rows = slices.Clone(e.rows)
			return yield(c, nil)
		}, func(diags Diagnostics) bool {
			failed = true
			return yield(Combination{}, diags)
		})
		if stopped {
			return
		}
		for _, c := range s.includes {
			if w.repeats([]byte(keyOf(c.values))) {
				continue
			}
			w.kept++
			if !yield(c, nil) {
				return
			}
		}
		if w.kept == 0 && !failed {
			yield(Combination{}, Diagnostics{w.empty()})
		}
	}
}

// walk is one pass over the matrix.
type walk struct {
	s             *Sweep
	seen          map[string]struct{} // nil where no combination can come twice
	failed        map[int]bool        // exclude blocks (by index) and groups (by -1-index) whose mistake was told
	product, kept int
	removed       []int // combinations, by exclude block
}

// start is the combination of no group.
func start(s *Sweep) *evaluation {
	return &evaluation{sweep: s, values: make([]cty.Value, 0, len(s.axes)), rows: make([]int, 0, len(s.groups))}
}

// descend walks the groups from i to end depth first and calls visit for each combination of their values. key tells
// combinations apart. It stops, and returns false, as soon as visit or report returns false.
func (w *walk) descend(i, end int, e *evaluation, key []byte, visit func(*evaluation, []byte) bool,
	report func(Diagnostics) bool) bool {
	if i == end {
		return visit(e, key)
	}
	g := &w.s.groups[i]
	rows := g.rows
	if g.dependent {
		var diags Diagnostics
		rows, diags = w.s.rowsOf(g, e)
		if len(diags) > 0 {
			if w.failed[-1-i] {
				return true
			}
			w.failed[-1-i] = true
			return report(diags)
		}
	}
	for r, row := range rows {
		next := key
		switch {
		case w.seen == nil:
		case g.dependent:
			next = append(next, keyOf(row)...)
		default:
			next = append(next, g.keys[r]...)
		}
		inner := &evaluation{sweep: w.s, values: append(e.values, row...), rows: append(e.rows, r)}
		if !w.descend(i+1, end, inner, next, visit, report) {
			return false
		}
	}
	return true
}

// excluded tells whether an exclude block takes the combination out. An exclude block that fails is told once and then
// takes nothing out.
func (w *walk) excluded(e *evaluation) (bool, Diagnostics) {
	var diags Diagnostics
	for i := range w.s.excludes {
		x := &w.s.excludes[i]
		if w.failed[i] {
			continue
		}
		out, d := x.holds(e, false)
		if d.HasErrors() {
			w.failed[i] = true
			diags = append(diags, d...)
			continue
		}
		if out {
			w.removed[i]++
			return true, diags
		}
	}
	return false, diags
}

// repeats tells whether a combination of that key came before.
func (w *walk) repeats(key []byte) bool {
	if w.seen == nil {
		return false
	}
	if _, ok := w.seen[string(key)]; ok {
		return true
	}
	w.seen[string(key)] = struct{}{}
	return false
}

// empty says why nothing is left.
func (w *walk) empty() *hcl.Diagnostic {
	s := w.s
	if w.product == 0 {
		for i := range s.groups {
			if g := &s.groups[i]; g.dependent && s.longest(i) == 0 {
				return errorAt(g.rng, "Empty matrix", "%s has no value in any combination, so the sweep has no run. Where it "+
					"shall be left out, make it null.", s.groupName(g))
			}
		}
		return errorAt(s.header, "Empty matrix", "The axes have no values, so the sweep has no run.")
	}
	var lines []string
	for i, n := range w.removed {
		if n == w.product {
			return errorAt(s.excludes[i].rng, "Empty matrix", "This exclude block takes out %s, so the sweep has no run.", every(n))
		}
		if n > 0 {
			lines = append(lines, fmt.Sprintf("line %d takes out %d", s.excludes[i].rng.Start.Line, n))
		}
	}
	return errorAt(s.header, "Empty matrix", "The exclude blocks take out %s, so the sweep has no run: %s.",
		every(w.product), strings.Join(lines, ", "))
}

// every names all of n combinations.
func every(n int) string {
	if n == 1 {
		return "the only combination"
	}
	return fmt.Sprintf("all %d combinations", n)
}

// mayRepeat tells whether a combination can come twice: then, and only then, the walk must remember all of them.
func (s *Sweep) mayRepeat() bool {
	if len(s.includes) > 0 {
		return true
	}
	for i := range s.groups {
		g := &s.groups[i]
		if g.dependent {
			return true
		}
		distinct := map[string]bool{}
		for _, key := range g.keys {
			distinct[key] = true
		}
		if len(distinct) < len(g.keys) {
			return true
		}
	}
	return false
}

// combination labels the active axes of values, which it keeps.
func (s *Sweep) combination(values []cty.Value) Combination {
	c := Combination{values: values, Labels: make([]Label, 0, len(values))}
	for i, v := range values {
		if v.IsNull() {
			continue
		}
		if v.Type().IsCapsuleType() {
			v = cty.StringVal(strings.TrimPrefix(describe(v), "dataset."))
		}
		c.Labels = append(c.Labels, Label{Axis: s.axes[i].name, Value: v})
	}
	return c
}

// valuesOf returns the combination's values by axis.
func (s *Sweep) valuesOf(c Combination) []cty.Value {
	if len(c.values) == len(s.axes) {
		return c.values
	}
	values := make([]cty.Value, len(s.axes))
	for i := range values {
		values[i] = cty.NullVal(cty.DynamicPseudoType)
		for _, l := range c.Labels {
			if l.Axis == s.axes[i].name {
				values[i] = l.Value
			}
		}
	}
	return values
}

// keyOf writes values so that equal ones, and only those, have equal text: 1 and 1.0 are equal, 1 and "1" are not.
func keyOf(values []cty.Value) string {
	var b strings.Builder
	for _, v := range values {
		writeKey(&b, v)
	}
	return b.String()
}

func writeKey(b *strings.Builder, v cty.Value) {
	ty := v.Type()
	switch {
	case v.IsNull():
		b.WriteByte('0')
	case !v.IsKnown():
		b.WriteByte('?')
	case ty == cty.String:
		s := v.AsString()
		b.WriteString("s" + strconv.Itoa(len(s)) + ":" + s)
	case ty == cty.Number:
		b.WriteString("n" + v.AsBigFloat().Text('p', 0) + ";") // in powers of two: exact, and short for every number
	case ty == cty.Bool:
		b.WriteString(strconv.FormatBool(v.True()))
	case ty.IsObjectType() || ty.IsMapType():
		attrs := v.AsValueMap()
		b.WriteByte('{')
		for _, name := range mapKeys(attrs) {
			b.WriteString(strconv.Itoa(len(name)) + ":" + name)
			writeKey(b, attrs[name])
		}
		b.WriteByte('}')
	case ty.IsTupleType() || ty.IsListType() || ty.IsSetType():
		b.WriteByte('[')
		for _, e := range v.AsValueSlice() {
			writeKey(b, e)
		}
		b.WriteByte(']')
	default:
		b.WriteString("<" + describe(v) + ">")
	}
}
