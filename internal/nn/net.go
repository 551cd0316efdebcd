// Package nn describes networks, compiles them to Gorgonia graphs over our own operations, and trains them.
//
// A Net is a description: layers, shapes, parameter names, nothing else. Builder makes one; counting parameters,
// estimating work and finding the frozen part need no more than that.
//
// Compile makes a Program of it, for one batch size and one set of trained parameters, which runs on a kernels.Device:
//
//	fuse.go      passes over the layers: what is not needed goes, activations and sums join what is before them
//	compile.go   the rest becomes a Gorgonia graph; conv.go, batchnorm.go … hold an operation and its gradient each
//	backward.go  the gradients of the loss by whatever is trained join the graph
//	packed.go    weights that no gradient passes, as the device reads them, batch norm folded in
//	memory.go    every result gets a place in one slab, shared with results that are not needed at the same time
//	program.go   Gorgonia's TapeMachine runs the graph, once a step
//
// The parameters lie in a ParamStore, which Programs for other batch sizes and for evaluation share. Optimizers are in
// nn/optim.
package nn

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/kernels"
)

// Shape is the shape of one picture's activation: rows, columns, channels. A vector of features is 1×1×C.
type Shape struct{ H, W, C int }

// Len is the number of elements.
func (s Shape) Len() int { return s.H * s.W * s.C }

func (s Shape) String() string { return fmt.Sprintf("%d×%d×%d", s.H, s.W, s.C) }

// Ref names the result of a layer by its index in Net.Layers; Input is the picture itself.
type Ref int

// Input is the network's input, the normalised picture.
const Input Ref = -1

// Net is a network for pictures of one size, independent of the batch. Layers are in an order of execution.
type Net struct {
	Arch   string // torchvision's name, "resnet18"
	Input  Shape
	Layers []Layer
	Params []Param // parameters and buffers in the order of torchvision's state_dict
	Logits Ref     // (N, classes)
	// Aux is the second, training-only output of inception_v3, or Input where there is none; it adds AuxWeight times its
	// loss. Layers that lead to it alone are not run in evaluation.
	Aux       Ref
	AuxWeight float32
	// Modules gives the result of torchvision's modules by name ("layer1", "features.3", "avgpool").
	Modules map[string]Ref
}

// shape is that of a result, for one picture.
func (n *Net) shape(x Ref) Shape {
	if x == Input {
		return n.Input
	}
	return n.Layers[x].Out
}

// Layer is one operation with its place in the network.
type Layer struct {
	Name   string // torchvision's module name, "layer1.0.conv1"; unique
	Op     Op
	In     []Ref
	Out    Shape
	Params []int // its entries of Net.Params, in state_dict order
}

// Op is what a layer computes: one of the types below, with torch's names and defaults.
type Op interface {
	// infer gives the result's shape for inputs of the given shapes, or says what is wrong with them.
	infer(in []Shape) (Shape, error)
	// lower adds the operation to a graph and returns its result.
	lower(at site) *node
}

type (
	// Conv2d is torch.nn.Conv2d. Kernel, Stride and Padding are {rows, columns}; Stride 0 means 1, Groups 0 means 1.
	Conv2d struct {
		Out                     int
		Kernel, Stride, Padding [2]int
		Groups                  int
		Bias                    bool
	}
	// BatchNorm2d is torch.nn.BatchNorm2d; Momentum is the share of the new value.
	BatchNorm2d struct{ Eps, Momentum float32 }
	// Activate is ReLU or ReLU6.
	Activate struct{ Kind kernels.Activation }
	// MaxPool2d is torch.nn.MaxPool2d; Ceil is ceil_mode.
	MaxPool2d struct {
		Kernel, Stride, Padding int
		Ceil                    bool
	}
	// AvgPool2d is torch.nn.AvgPool2d with count_include_pad.
	AvgPool2d struct{ Kernel, Stride, Padding int }
	// AdaptiveAvgPool2d is torch.nn.AdaptiveAvgPool2d.
	AdaptiveAvgPool2d struct{ H, W int }
	// Dropout zeroes elements with probability P in training and is nothing in evaluation.
	Dropout struct{ P float32 }
	// Flatten makes a vector of an activation, in torch's order (channels, rows, columns).
	Flatten struct{}
	// Linear is torch.nn.Linear with a bias.
	Linear struct{ Out int }
	// Concat joins activations along the channels.
	Concat struct{}
	// Add sums activations of equal shape.
	Add struct{}
)

// ParamKind tells trained parameters from what else a state_dict holds.
type ParamKind uint8

const (
	Weight  ParamKind = iota // requires_grad may be set
	Buffer                   // running_mean, running_var: float32, moved by batch norm in training mode
	Counter                  // num_batches_tracked: int64 scalar
)

// Param is one entry of the state_dict.
type Param struct {
	Name  string
	Shape []int // torch's own: a convolution's weight is (K, C/G, R, S)
	Kind  ParamKind
	Init  Init // how torchvision initialises it when nothing is loaded
	Layer int  // the layer that owns it
	Head  bool // belongs to the reshaped last layer (inception_v3: both heads)
}

// Len is the number of elements; a scalar has one.
func (p Param) Len() int {
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	return n
}

// Distribution is a family of initial values.
type Distribution uint8

const (
	Constant    Distribution = iota // A
	Uniform                         // on [A, B)
	Normal                          // mean A, standard deviation B
	TruncNormal                     // mean A, standard deviation B, cut to ±2 (absolute, as torchvision's inception_v3 does)
)

// Init is the distribution of a parameter's initial values.
type Init struct {
	Dist Distribution
	A, B float64
}
