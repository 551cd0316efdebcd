package spec

import (
	"fmt"
	"slices"

	"github.com/zclconf/go-cty/cty"
)

var augmentType = &blockType[Augment]{
	name: "augment",
	key:  "ops",
	fields: []field[Augment]{
		{"ops", setOps},
		intField("views", 1, func(a *Augment) **int { return &a.Views }),
		{"view_seed", func(_ *module, a *Augment, v cty.Value) *problem {
			n, p := asInt("view_seed", v, 0)
			a.ViewSeed = &n
			return p
		}},
	},
	check: func(a *Augment, report func(string, *problem)) {
		if a.ViewSeed != nil && a.Views == nil {
			report("view_seed", ineffective("view_seed is what fixed views are drawn from; without views it would have no effect."))
		}
	},
}

// AugmentKind is an operation on training pictures: torchvision's transform of that name.
type AugmentKind struct {
	Name   string
	Params []AugmentParam
}

// AugmentParam is a parameter of an operation. Its value is one number or, where torchvision takes one, a pair of lower
// and upper bound.
type AugmentParam struct {
	Name     string
	Default  []float64 // nil: must be given
	Number   bool      // one number is a value
	Pair     bool      // a pair is a value
	Whole    bool
	Min, Max float64 // of each number, inclusive
}

// augmentKinds are the operations, with torchvision's parameters and defaults (torchvision.transforms v2, 0.2x).
var augmentKinds = []AugmentKind{
	{"random_resized_crop", []AugmentParam{
		{Name: "scale", Default: []float64{0.08, 1}, Pair: true, Min: 1e-6, Max: 1},
		{Name: "ratio", Default: []float64{3. / 4, 4. / 3}, Pair: true, Min: 0.01, Max: 100},
	}},
	{"random_crop", []AugmentParam{{Name: "padding", Default: []float64{0}, Number: true, Whole: true, Max: 4096}}},
	{"hflip", []AugmentParam{{Name: "p", Default: []float64{0.5}, Number: true, Max: 1}}},
	{"vflip", []AugmentParam{{Name: "p", Default: []float64{0.5}, Number: true, Max: 1}}},
	{"random_rotation", []AugmentParam{{Name: "degrees", Number: true, Pair: true, Min: -360, Max: 360}}},
	{"color_jitter", []AugmentParam{
		{Name: "brightness", Default: []float64{0}, Number: true, Pair: true, Max: 100},
		{Name: "contrast", Default: []float64{0}, Number: true, Pair: true, Max: 100},
		{Name: "saturation", Default: []float64{0}, Number: true, Pair: true, Max: 100},
		{Name: "hue", Default: []float64{0}, Number: true, Pair: true, Min: -0.5, Max: 0.5},
	}},
}

// torchvisionNames leads from names that a user of torchvision would try to ours.
var torchvisionNames = map[string]string{
	"random_horizontal_flip": "hflip", "RandomHorizontalFlip": "hflip", "horizontal_flip": "hflip", "flip": "hflip",
	"random_vertical_flip": "vflip", "RandomVerticalFlip": "vflip", "vertical_flip": "vflip",
	"RandomResizedCrop": "random_resized_crop", "RandomCrop": "random_crop", "RandomRotation": "random_rotation",
	"ColorJitter": "color_jitter", "rotation": "random_rotation", "jitter": "color_jitter",
}

// AugmentKinds lists the operations that ops may name.
func AugmentKinds() []AugmentKind { return slices.Clone(augmentKinds) }

func augmentKind(name string) *AugmentKind {
	for i := range augmentKinds {
		if augmentKinds[i].Name == name {
			return &augmentKinds[i]
		}
	}
	return nil
}

// Values are the operation's parameters, defaults filled in: one number each, or lower and upper bound.
func (op AugmentOp) Values() map[string][]float64 {
	kind := augmentKind(op.Kind)
	if kind == nil {
		return nil
	}
	values := make(map[string][]float64, len(kind.Params))
	for _, param := range kind.Params {
		values[param.Name] = slices.Clone(param.Default)
		if v, given := op.Params[param.Name]; given {
			if numbers, p := param.convert(v); p == nil {
				values[param.Name] = numbers
			}
		}
	}
	return values
}

// convert checks a value of the parameter and returns its one or two numbers.
func (param *AugmentParam) convert(v cty.Value) ([]float64, *problem) {
	want := "a number"
	switch {
	case param.Pair && param.Number:
		want = "a number or a pair such as [-10, 10]"
	case param.Pair:
		want = "a pair such as [0.5, 1]"
	}
	values := []cty.Value{v}
	if isList := v.Type().IsTupleType() || v.Type().IsListType(); isList && param.Pair {
		values = v.AsValueSlice()
		if len(values) != 2 {
			return nil, notA(param.Name, want, v)
		}
	} else if !param.Number || v.Type() != cty.Number {
		return nil, notA(param.Name, want, v)
	}
	numbers := make([]float64, len(values))
	for i, v := range values {
		if v.IsNull() {
			return nil, problemf(wrongType, "%s must be %s; it holds null.", param.Name, want)
		}
		x, p := asFloat(param.Name, v)
		if p != nil {
			return nil, p
		}
		least := param.Min
		if len(values) == 1 && param.Pair {
			least = max(least, 0) // one number stands for a range round the middle
		}
		if x < least || x > param.Max {
			return nil, problemf(outOfRange, "%s must be between %g and %g; this is %s.", param.Name, least, param.Max, describe(v))
		}
		if param.Whole && x != float64(int64(x)) {
			return nil, notA(param.Name, "a whole number", v)
		}
		numbers[i] = x
	}
	if len(numbers) == 2 && numbers[0] > numbers[1] {
		return nil, problemf(outOfRange, "%s is a pair of a lower and an upper bound; %g comes before %g.", param.Name, numbers[0],
			numbers[1])
	}
	return numbers, nil
}

func setOps(_ *module, a *Augment, v cty.Value) *problem {
	values, p := asList("ops", " of operations, such as [\"random_resized_crop\", \"hflip\"]", v)
	if p != nil {
		return p
	}
	ops := make([]AugmentOp, 0, len(values))
	for i, v := range values {
		if v.IsNull() {
			continue // an operation left out
		}
		op, p := asOp(v)
		if p != nil {
			return p.in(i)
		}
		ops = append(ops, op)
	}
	a.Ops = ops
	return nil
}

func asOp(v cty.Value) (AugmentOp, *problem) {
	var op AugmentOp
	kindValue := v
	if ty := v.Type(); ty.IsObjectType() || ty.IsMapType() {
		op.Params = v.AsValueMap()
		var given bool
		if kindValue, given = op.Params["kind"]; !given || kindValue.IsNull() {
			return op, problemf(missing, "An operation that is written as an object needs kind, as in { kind = "+
				"\"random_rotation\", degrees = 10 }.")
		}
		delete(op.Params, "kind")
	}
	if kindValue.Type() != cty.String {
		return op, notA("each of ops", "the name of an operation or an object with kind", kindValue)
	}
	op.Kind = kindValue.AsString()
	kind := augmentKind(op.Kind)
	if kind == nil {
		var names []string
		for _, k := range augmentKinds {
			names = append(names, k.Name)
		}
		hint := suggestion(op.Kind, names)
		if ours, ok := torchvisionNames[op.Kind]; ok {
			hint = fmt.Sprintf(" Did you mean %q?", ours)
		}
		return op, problemf("Unknown operation", "There is no operation %s for pictures.%s", quote(op.Kind), hint)
	}
	params := make([]string, len(kind.Params))
	for i, param := range kind.Params {
		params[i] = param.Name
		value, given := op.Params[param.Name]
		if given && value.IsNull() {
			delete(op.Params, param.Name)
			given = false
		}
		if !given && param.Default == nil {
			return op, problemf(missing, "The operation %s needs %s, as in { kind = %q, %s = 10 }.", op.Kind, param.Name, op.Kind,
				param.Name)
		}
		if given {
			if _, p := param.convert(value); p != nil {
				p.detail = "In " + op.Kind + ", " + p.detail
				return op, p
			}
		}
	}
	for _, name := range mapKeys(op.Params) {
		if !slices.Contains(params, name) {
			return op, problemf("Unknown attribute", "The operation %s has no %s.%s", op.Kind, quote(name),
				suggestion(name, params))
		}
	}
	if op.Kind == "color_jitter" && len(op.Params) == 0 {
		return op, ineffective("color_jitter changes nothing unless brightness, contrast, saturation or hue is given.")
	}
	return op, nil
}
