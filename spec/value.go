package spec

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Summaries of what can be wrong with a value.
const (
	wrongType  = "Wrong type"
	outOfRange = "Value out of range"
	noEffect   = "Setting without effect"
	missing    = "Missing setting"
)

// problem is what is wrong with a value, before it is known where that stands.
type problem struct {
	summary, detail string
	element         int    // of a list, from 1, that is at fault; 0: the whole
	key             string // of an object, likewise
}

func problemf(summary, format string, args ...any) *problem {
	return &problem{summary: summary, detail: fmt.Sprintf(format, args...)}
}

// in says which element of a list, counted from 0, a problem is about.
func (p *problem) in(element int) *problem {
	if p != nil {
		p.element = element + 1
	}
	return p
}

// of says which attribute of an object a problem is about.
func (p *problem) of(key string) *problem {
	if p != nil {
		p.key = key
	}
	return p
}

// place is the range of what a problem is about in the expression of its value: the element or attribute at fault where
// it is written out there, otherwise the whole.
func (p *problem) place(expr hclsyntax.Expression) hcl.Range {
	switch e := expr.(type) {
	case *hclsyntax.TupleConsExpr:
		if p.element > 0 && p.element <= len(e.Exprs) {
			return e.Exprs[p.element-1].Range()
		}
	case *hclsyntax.ObjectConsExpr:
		for _, item := range e.Items {
			if p.key != "" && hcl.ExprAsKeyword(item.KeyExpr) == p.key {
				return hcl.RangeBetween(item.KeyExpr.Range(), item.ValueExpr.Range())
			}
		}
	}
	return expr.Range()
}

// quote puts a user's name or text between double quotes, shortened where it is long.
func quote(s string) string {
	const longest = 60
	if utf8.RuneCountInString(s) > longest {
		s = string([]rune(s)[:longest-1]) + "…"
	}
	return strconv.Quote(s)
}

// describe writes a value for a sentence such as "this is …". It is short and cheap for every value.
func describe(v cty.Value) string {
	ty := v.Type()
	switch {
	case v.IsNull():
		return "null"
	case !v.IsKnown():
		return "not known"
	case ty == cty.String:
		return quote(v.AsString())
	case ty == cty.Bool:
		return strconv.FormatBool(v.True())
	case ty == cty.Number:
		return formatNumber(v.AsBigFloat())
	case ty == datasetType:
		return "dataset." + v.EncapsulatedValue().(*Dataset).Name
	case ty == bestType:
		return "sweep." + v.EncapsulatedValue().(*best).sweep + ".best"
	case ty == launcherType:
		return "launcher." + v.EncapsulatedValue().(*launcher).String()
	case ty.IsObjectType() || ty.IsMapType():
		return describeObject(v)
	case ty.IsTupleType() || ty.IsListType() || ty.IsSetType():
		if n := v.LengthInt(); n != 1 {
			return fmt.Sprintf("a list of %d values", n)
		}
		return "a list of 1 value"
	}
	return ty.FriendlyName()
}

// describeObject writes a small object of plain values out.
func describeObject(v cty.Value) string {
	const longest = 50
	attrs := v.AsValueMap()
	var parts []string
	length := 0
	for _, name := range mapKeys(attrs) {
		a := attrs[name]
		if !a.IsKnown() || !a.IsNull() && !a.Type().IsPrimitiveType() {
			return "an object"
		}
		part := name + " = " + describe(a)
		parts = append(parts, part)
		if length += len(part) + 2; length > longest {
			return "an object"
		}
	}
	if len(parts) == 0 {
		return "{}"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// formatNumber writes a number shortly. Numbers have no bound in HCL, and writing 1e1000000000 in decimal takes minutes.
func formatNumber(f *big.Float) string {
	if x, _ := f.Float64(); !math.IsInf(x, 0) {
		if f.IsInt() && math.Abs(x) < 1e15 {
			return f.Text('f', 0)
		}
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	if f.Signbit() {
		return "a number below -1.8e308"
	}
	return "a number above 1.8e308"
}

// asFloat converts a number to the nearest float64.
func asFloat(name string, v cty.Value) (float64, *problem) {
	if v.Type() != cty.Number {
		return 0, notA(name, "a number", v)
	}
	x, _ := v.AsBigFloat().Float64()
	if math.IsInf(x, 0) {
		return 0, problemf(outOfRange, "%s is %s, more than any setting can take.", name, describe(v))
	}
	return x, nil
}

// asInt converts a whole number of at least least.
func asInt(name string, v cty.Value, least int64) (int64, *problem) {
	if v.Type() != cty.Number {
		return 0, notA(name, "a whole number", v)
	}
	f := v.AsBigFloat()
	n, exact := f.Int64()
	switch {
	case !f.IsInt():
		return 0, notA(name, "a whole number", v)
	case n < least || f.Sign() < 0 && exact != big.Exact:
		return 0, problemf(outOfRange, "%s must be at least %d; this is %s.", name, least, describe(v))
	case exact != big.Exact:
		return 0, problemf(outOfRange, "%s is %s, more than any setting can take.", name, describe(v))
	}
	return n, nil
}

// asCount is asInt for what fits an int on every machine.
func asCount(name string, v cty.Value, least int64) (int, *problem) {
	n, p := asInt(name, v, least)
	if p == nil && n > math.MaxInt32 {
		p = problemf(outOfRange, "%s is %s, more than any setting can take.", name, describe(v))
	}
	return int(n), p
}

func asString(name string, v cty.Value) (string, *problem) {
	if v.Type() != cty.String {
		return "", notA(name, "a string", v)
	}
	return v.AsString(), nil
}

func asBool(name string, v cty.Value) (bool, *problem) {
	if v.Type() != cty.Bool {
		return false, notA(name, "true or false", v)
	}
	return v.True(), nil
}

// asList returns the elements of a list, tuple or set.
func asList(name, of string, v cty.Value) ([]cty.Value, *problem) {
	ty := v.Type()
	if !ty.IsTupleType() && !ty.IsListType() && !ty.IsSetType() {
		return nil, notA(name, "a list"+of, v)
	}
	return v.AsValueSlice(), nil
}

// asObject returns the attributes of an object or map.
func asObject(name string, v cty.Value) (map[string]cty.Value, *problem) {
	if ty := v.Type(); !ty.IsObjectType() && !ty.IsMapType() {
		return nil, notA(name, "an object", v)
	}
	return v.AsValueMap(), nil
}

// asEnum converts one of a few known strings; kind names what they are in the error for another.
func asEnum(name, kind string, options []string, v cty.Value) (string, *problem) {
	s, p := asString(name, v)
	if p != nil {
		return "", p
	}
	for _, o := range options {
		if s == o {
			return s, nil
		}
	}
	hint := suggestion(s, options)
	return "", problemf("Unknown "+kind, "There is no %s %s.%s", kind, quote(s), hint)
}

// notA says that a value has not the type that its setting needs, and what to do where that is likely a slip.
func notA(name, want string, v cty.Value) *problem {
	hint := ""
	if v.IsKnown() && !v.IsNull() && v.Type() == cty.String {
		s := strings.TrimSpace(v.AsString())
		_, err := strconv.ParseFloat(s, 64)
		switch {
		case strings.Contains(want, "number") && err == nil, want == "true or false" && (s == "true" || s == "false"):
			hint = fmt.Sprintf(" Write %s without the quotes.", s)
		}
	}
	if v.Type() == datasetType && want == "a string" {
		hint = " A data set is given by the attribute \"dataset\"."
	}
	return problemf(wrongType, "%s must be %s; this is %s.%s", name, want, describe(v), hint)
}
