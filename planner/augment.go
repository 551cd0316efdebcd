package planner

import (
	"slices"

	"github.com/ftrun/ftrun/spec"
)

// augment writes the operations on training pictures out in full, each with all its parameters. They replace the resize
// and crop of evaluation, so what the network needs of these comes first where the operations don't do it themselves:
// the resize, unless a random_resized_crop chooses the scale, and the centre crop, unless something crops.
func augment(given *spec.Augment, image Image) *Augment {
	if given == nil {
		return nil
	}
	has := func(kind string) bool {
		return slices.ContainsFunc(given.Ops, func(op spec.AugmentOp) bool { return op.Kind == kind })
	}
	a := &Augment{
		Ops: make([]AugmentOp, 0, len(given.Ops)+2), Views: or(given.Views, 0), ViewSeed: or(given.ViewSeed, 0),
	}
	if !has("random_resized_crop") {
		a.Ops = append(a.Ops, AugmentOp{Kind: "resize", Params: map[string][]float64{"size": {float64(image.Resize)}}})
		if !has("random_crop") {
			a.Ops = append(a.Ops, AugmentOp{Kind: "center_crop"})
		}
	}
	for _, op := range given.Ops {
		params := op.Values()
		switch op.Kind {
		case "random_rotation":
			around(params, "degrees", 0)
		case "color_jitter":
			for name, middle := range map[string]float64{"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0} {
				around(params, name, middle)
			}
		}
		a.Ops = append(a.Ops, AugmentOp{Kind: op.Kind, Params: params})
	}
	return a
}

// around makes of one number x the pair that torchvision takes it for: middle − x, for a factor (middle 1) not below 0,
// and middle + x.
func around(params map[string][]float64, name string, middle float64) {
	v := params[name]
	if len(v) != 1 {
		return
	}
	low := middle - v[0]
	if middle > 0 {
		low = max(low, 0)
	}
	params[name] = []float64{low, middle + v[0]}
}
