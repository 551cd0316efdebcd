package nn

import "math"

// Initializer gives the distributions of a layer's weight and bias from the weight's shape (out, in, …).
type Initializer func(weight []int) (w, bias Init)

// Default is what torch.nn.Conv2d and torch.nn.Linear start with: weight and bias uniform on ±1/sqrt(fan in). Torch calls
// it kaiming_uniform_(a=sqrt(5)); the gain sqrt(2/(1+5)) times sqrt(3/fan in) is just that bound.
func Default(weight []int) (w, bias Init) {
	in := uniform(1 / math.Sqrt(fanIn(weight)))
	return in, in
}

// KaimingUniform is torch.nn.init.kaiming_uniform_ with its defaults, uniform on ±sqrt(6/fan in), and a bias of 0.
// (He et al., Delving Deep into Rectifiers, 2015)
func KaimingUniform(weight []int) (w, bias Init) {
	return uniform(math.Sqrt(6 / fanIn(weight))), constant(0)
}

// KaimingNormalIn is torch.nn.init.kaiming_normal_ with its defaults, a standard deviation of sqrt(2/fan in), and a bias
// of 0.
func KaimingNormalIn(weight []int) (w, bias Init) {
	return Init{Dist: Normal, B: math.Sqrt(2 / fanIn(weight))}, constant(0)
}

// KaimingNormalOut is torch.nn.init.kaiming_normal_(mode="fan_out"), a standard deviation of sqrt(2/fan out), and a bias
// of 0. As in torch fan out does not know of groups.
func KaimingNormalOut(weight []int) (w, bias Init) {
	out := weight[0] * receptive(weight)
	return Init{Dist: Normal, B: math.Sqrt(2 / float64(out))}, constant(0)
}

// NormalWeight is a normal distribution about 0 and a bias of 0.
func NormalWeight(std float64) Initializer {
	return func([]int) (w, bias Init) { return Init{Dist: Normal, B: std}, constant(0) }
}

// TruncNormalWeight is a normal distribution about 0, cut to ±2, and a bias of 0.
func TruncNormalWeight(std float64) Initializer {
	return func([]int) (w, bias Init) { return Init{Dist: TruncNormal, B: std}, constant(0) }
}

func constant(v float64) Init    { return Init{Dist: Constant, A: v} }
func uniform(bound float64) Init { return Init{Dist: Uniform, A: -bound, B: bound} }

func fanIn(weight []int) float64 { return float64(weight[1] * receptive(weight)) }

// receptive is the number of positions of a filter.
func receptive(weight []int) int {
	n := 1
	for _, d := range weight[2:] {
		n *= d
	}
	return n
}
