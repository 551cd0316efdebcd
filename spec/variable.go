package spec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// variable is a variable block.
type variable struct {
	name         string
	block        *hclsyntax.Block
	typ          cty.Type           // cty.DynamicPseudoType where none is given
	typed        bool               // a type was given
	defaults     *typeexpr.Defaults // of optional attributes
	defaultValue cty.Value          // cty.NilVal: the variable must be set
	validations  []*hclsyntax.Block
}

var (
	variableShape = shape{
		attributes: []string{"type", "default", "description"},
		blocks:     map[string]int{"validation": 0},
	}
	validationShape = shape{attributes: []string{"condition", "error_message"}}
)

func decodeVariable(b *hclsyntax.Block) (*variable, Diagnostics) {
	v := &variable{name: b.Labels[0], block: b, typ: cty.DynamicPseudoType}
	diags := variableShape.check(b.Body, "in a variable block")
	if a := b.Body.Attributes["type"]; a != nil {
		typ, defaults, d := typeexpr.TypeConstraintWithDefaults(a.Expr)
		diags = append(diags, d...)
		if !d.HasErrors() {
			v.typ, v.defaults, v.typed = typ, defaults, true
		}
	}
	if a := b.Body.Attributes["description"]; a != nil {
		value, d := a.Expr.Value(nil)
		diags = append(diags, d...)
		if !d.HasErrors() && !value.IsNull() {
			if _, p := asString("description", value); p != nil {
				diags = append(diags, errorAt(a.Expr.Range(), p.summary, "%s", p.detail))
			}
		}
	}
	if a := b.Body.Attributes["default"]; a != nil {
		value, d := a.Expr.Value(nil)
		if d.HasErrors() {
			value = cty.DynamicVal
			d = append(Diagnostics{}, errorAt(a.Expr.Range(), "Invalid default",
				"The default of a variable is a literal value: it cannot refer to anything or call functions. %s",
				d[0].Detail))
		}
		diags = append(diags, d...)
		if value.IsKnown() {
			converted, err := v.convert(value)
			if err != nil {
				diags = append(diags, errorAt(a.Expr.Range(), wrongType,
					"The default of variable %s does not fit its type: %s.", quote(v.name), err))
				converted = cty.DynamicVal
			}
			value = converted
		}
		v.defaultValue = value
	}
	for _, inner := range b.Body.Blocks {
		if inner.Type != "validation" {
			continue
		}
		diags = append(diags, validationShape.check(inner.Body, "in a validation block")...)
		if inner.Body.Attributes["condition"] == nil {
			diags = append(diags, errorAt(headerOf(inner), missing, "A validation block needs a condition."))
			continue
		}
		v.validations = append(v.validations, inner)
	}
	return v, diags
}

// convert fits a value to the variable's type, filling in the defaults of optional attributes.
func (v *variable) convert(value cty.Value) (cty.Value, error) {
	if v.defaults != nil && !value.IsNull() {
		value = v.defaults.Apply(value)
	}
	value, err := convert.Convert(value, v.typ)
	if err == nil && tooLarge(value) {
		err = errors.New("it is more than any setting can take")
	}
	return value, err
}

// parseText gives a meaning to text from a command line or the environment, where strings have no quotes: the text
// itself for a string, a number or bool by conversion, an HCL literal for lists and objects. Without a type, what reads
// as a number, bool, list, object or quoted string is one, and all else is a string.
func (v *variable) parseText(text, source string) (cty.Value, Diagnostics) {
	if v.typed && v.typ.IsPrimitiveType() {
		return cty.StringVal(text), nil
	}
	if d := checkLimits([]byte(text), source); d != nil {
		return cty.DynamicVal, Diagnostics{d}
	}
	var value cty.Value
	expr, diags := hclsyntax.ParseExpression([]byte(text), source, hcl.InitialPos)
	if !diags.HasErrors() {
		var d Diagnostics
		value, d = expr.Value(nil)
		diags = append(diags, d...)
	}
	if diags.HasErrors() {
		if v.typed && v.typ != cty.DynamicPseudoType {
			return cty.DynamicVal, diags
		}
		return cty.StringVal(text), nil
	}
	return value, nil
}

// setVariables gives every variable its value: its default, then what FTRUN_VAR_name, the *.auto.ftvars, the -var-file
// and the -var flags say, a later one winning.
func (m *module) setVariables(autoFiles []string) Diagnostics {
	var diags Diagnostics
	type setting struct {
		value cty.Value
		rng   hcl.Range
		from  string
	}
	set := map[string]setting{}
	names := mapKeys(m.variables)

	text := func(name, text, from string) {
		value, d := m.variables[name].parseText(text, from)
		for _, one := range d {
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError,
				Summary:  "Invalid value for a variable",
				Detail:   fmt.Sprintf("%s is no value of an HCL file: %s", from, one.Detail),
			})
		}
		set[name] = setting{value: value, from: from}
	}
	if m.opt.Environ != nil {
		for _, entry := range m.opt.Environ() {
			key, value, _ := strings.Cut(entry, "=")
			if name, ok := strings.CutPrefix(key, "FTRUN_VAR_"); ok && m.variables[name] != nil {
				text(name, value, "the environment variable "+key)
			}
		}
	}
	file := func(path string, strict bool) {
		body, d := m.parse(path)
		diags = append(diags, d...)
		if body == nil {
			return
		}
		for _, b := range body.Blocks {
			diags = append(diags, errorAt(headerOf(b), "Unknown block",
				"A file of variables holds lines of the form name = value only."))
		}
		for _, a := range ordered(body.Attributes) {
			if m.variables[a.Name] == nil {
				d := unknownIn("variable", a.Name, "in the configuration", names, a.NameRange)
				if !strict {
					// Such a file serves all configurations of its directory.
					d.Severity = hcl.DiagWarning
				}
				diags = append(diags, d)
				continue
			}
			value, d := a.Expr.Value(nil)
			if d.HasErrors() {
				value = cty.DynamicVal
			}
			diags = append(diags, d...)
			set[a.Name] = setting{value: value, rng: a.Expr.Range(), from: path}
		}
	}
	for _, path := range autoFiles {
		file(path, false)
	}
	for _, path := range m.opt.VarFiles {
		file(path, true)
	}
	for _, name := range mapKeys(m.opt.Vars) {
		if m.variables[name] == nil {
			d := Unknown("variable", name, names, hcl.Range{})
			d.Subject = nil
			d.Detail += " It was set by -var."
			diags = append(diags, d)
			continue
		}
		text(name, m.opt.Vars[name], "-var "+name)
	}

	for _, name := range names {
		v := m.variables[name]
		s, given := set[name]
		switch {
		case given && s.value.IsKnown():
			value, err := v.convert(s.value)
			if err != nil {
				rng := s.rng
				if rng.Filename == "" {
					rng = headerOf(v.block)
				}
				diags = append(diags, errorAt(rng, wrongType, "The value of variable %s, from %s, does not fit its type: %s.",
					quote(name), s.from, err))
				value = cty.DynamicVal
			}
			m.spec.Inputs[name] = value
		case given:
			m.spec.Inputs[name] = cty.DynamicVal
		case v.defaultValue != cty.NilVal:
			m.spec.Inputs[name] = v.defaultValue
		default:
			diags = append(diags, errorAt(headerOf(v.block), "Variable without a value",
				"Variable %s has no default and was not set. Give -var %s=VALUE, set FTRUN_VAR_%s, or name it in a file of "+
					"variables.", quote(name), name, name))
			m.spec.Inputs[name] = cty.DynamicVal
		}
	}
	return diags
}

// validateVariables evaluates the validation blocks.
func (m *module) validateVariables() Diagnostics {
	var diags Diagnostics
	for _, name := range mapKeys(m.variables) {
		v := m.variables[name]
		if !m.spec.Inputs[name].IsWhollyKnown() {
			continue // its error is told already
		}
		for _, b := range v.validations {
			condition := b.Body.Attributes["condition"].Expr
			if d := m.checkReferences(condition, scope{only: "var"}); d.HasErrors() {
				diags = append(diags, d...)
				continue
			}
			result, d := condition.Value(m.root)
			diags = append(diags, d...)
			if d.HasErrors() || !result.IsKnown() {
				continue
			}
			ok, p := asBool("condition", result)
			switch {
			case result.IsNull():
				diags = append(diags, errorAt(condition.Range(), wrongType, "condition must be true or false; this is null."))
			case p != nil:
				diags = append(diags, errorAt(condition.Range(), p.summary, "%s", p.detail))
			case !ok:
				message := fmt.Sprintf("The value of variable %s, %s, does not meet its condition.", quote(name),
					describe(m.spec.Inputs[name]))
				if a := b.Body.Attributes["error_message"]; a != nil {
					text, d := m.evaluate(a.Expr, scope{only: "var"})
					diags = append(diags, d...)
					if !d.HasErrors() && text.IsKnown() && !text.IsNull() && text.Type() == cty.String {
						message = text.AsString()
					}
				}
				diags = append(diags, errorAt(condition.Range(), "Invalid value for a variable", "%s", message))
			}
		}
	}
	return diags
}
