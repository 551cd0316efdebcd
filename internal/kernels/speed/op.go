package speed

import "github.com/ftrun/ftrun/internal/kernels"

// Kind is one of a device's operations. Those that work alike are one kind.
type Kind uint8

const (
	ConvForward Kind = iota
	ConvForwardPacked
	ConvBackwardData
	ConvBackwardWeights
	LinearForward
	LinearBackwardData
	LinearBackwardWeights
	PackWeights
	MaxPoolForward
	MaxPoolBackward
	AvgPoolForward
	AvgPoolBackward
	GlobalPoolForward
	GlobalPoolBackward
	SumRows
	BatchNormStats
	BatchNormApply
	BatchNormReduce
	BatchNormBackward
	Activate
	ActivateBackward
	Add
	Dropout
	CopyChannels
	Reorder
	SGD
	Adam
	SumSquares
	Scale
	Few // what works on a number a class or a channel

	kinds = int(Few) + 1
	convs = int(ConvBackwardWeights) + 1 // the convolutions come first,
	macs  = int(PackWeights)             // then the linear layers; the others take their time by the element
)

// Op is an operation on a device, with what decides how long it takes.
type Op struct {
	Kind   Kind
	Conv   kernels.Conv   // of a convolution, and of the packing of its weights
	Linear kernels.Linear // of a linear layer
	// Rows and Columns of elements, of the larger side of a pooling; else positions and channels.
	Rows, Columns int
	Terms         int // of a sum; of a batch norm's result 2 where a residual is added; else 0
}

// class is a sort of convolutions that are computed alike. It goes by the shape alone, as the choice of the devices does.
type class uint8

const (
	pointwise class = iota // 1×1
	direct                 // larger filters
	pixels                 // of the pictures themselves, with few channels
	winograd2              // Winograd's F(2×2,3×3), and its kin for the gradient of weights
	winograd4              // F(4×4,3×3)
	depthwise              // a filter a channel

	classes = int(depthwise) + 1
)

// classOf is a device's choice in outline, which TestClassesAreTheDevicesChoice holds to the CPU's:
// docs/decisions/0009-winograd.md has its reasons.
func classOf(d kernels.Conv) class {
	const (
		channels = 16  // from which Winograd's convolutions pay
		outputs  = 16  // of a picture, from which they do
		large    = 400 // outputs from which F(4×4,3×3) does
		few      = 4
	)
	positions := d.P() * d.Q()
	switch {
	case d.Groups > 1:
		return depthwise
	case d.R == 1 && d.S == 1:
		return pointwise
	case d.R == 3 && d.S == 3 && d.StrideH == 1 && d.StrideW == 1 && d.Numerics != kernels.Exact &&
		min(d.C, d.K) >= channels && positions >= outputs:
		if d.Numerics == kernels.Fast && positions >= large {
			return winograd4
		}
		return winograd2
	case d.C <= few:
		return pixels
	}
	return direct
}
