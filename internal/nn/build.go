package nn

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/kernels"
)

// Builder puts a Net together, layer by layer in an order of execution that is also the order of torchvision's
// state_dict. Each method adds a layer by torchvision's module name and returns its result.
//
// A picture that is too small is the user's mistake: the builder keeps the first such error, goes on as though a row had
// been left, and Net returns it. Anything else that does not fit together is a mistake in the description and panics.
type Builder struct {
	net   Net
	names map[string]bool
	err   error
}

// NewBuilder starts the description of arch for pictures of shape input.
func NewBuilder(arch string, input Shape) *Builder {
	return &Builder{
		net:   Net{Arch: arch, Input: input, Aux: Input, Modules: map[string]Ref{}},
		names: map[string]bool{},
	}
}

// Net returns the finished network, whose output is logits.
func (b *Builder) Net(logits Ref) (*Net, error) {
	if b.err != nil {
		return nil, b.err
	}
	b.net.Logits = logits
	for _, out := range []Ref{logits, b.net.Aux} {
		if s := b.Shape(out); out != Input && s.Len() != s.C {
			panic(fmt.Sprintf("nn: %s: an output of %v is not a vector", b.net.Arch, s))
		}
	}
	net := b.net
	return &net, nil
}

// Shape is the shape of a result.
func (b *Builder) Shape(x Ref) Shape {
	if x == Input {
		return b.net.Input
	}
	return b.net.Layers[x].Out
}

// Module gives a result the name of a torchvision module that is more than one layer.
func (b *Builder) Module(name string, x Ref) Ref {
	if _, ok := b.net.Modules[name]; ok {
		panic(fmt.Sprintf("nn: %s: two modules %s", b.net.Arch, name))
	}
	b.net.Modules[name] = x
	return x
}

// Head marks the parameters of a layer as those of a reshaped last layer.
func (b *Builder) Head(x Ref) Ref {
	for _, p := range b.net.Layers[x].Params {
		b.net.Params[p].Head = true
	}
	return x
}

// Aux makes a result the network's second, training-only output.
func (b *Builder) Aux(x Ref, weight float32) {
	b.net.Aux, b.net.AuxWeight = x, weight
}

// Conv2d adds a convolution. init gives its initial values.
func (b *Builder) Conv2d(name string, x Ref, op Conv2d, init Initializer) Ref {
	y := b.layer(name, op, x)
	b.weights(y, []int{op.Out, b.Shape(x).C / op.groups(), op.Kernel[0], op.Kernel[1]}, op.Bias, init)
	return y
}

// Linear adds a fully connected layer with a bias.
func (b *Builder) Linear(name string, x Ref, op Linear, init Initializer) Ref {
	y := b.layer(name, op, x)
	b.weights(y, []int{op.Out, b.Shape(x).C}, true, init)
	return y
}

// BatchNorm2d adds a batch norm, which starts as torch's does: scale 1, shift 0, mean 0, variance 1.
func (b *Builder) BatchNorm2d(name string, x Ref, op BatchNorm2d) Ref {
	y := b.layer(name, op, x)
	c := []int{b.Shape(x).C}
	b.param(y, "weight", c, Weight, constant(1))
	b.param(y, "bias", c, Weight, constant(0))
	b.param(y, "running_mean", c, Buffer, constant(0))
	b.param(y, "running_var", c, Buffer, constant(1))
	b.param(y, "num_batches_tracked", nil, Counter, constant(0))
	return y
}

// ReLU and ReLU6 add activations.
func (b *Builder) ReLU(name string, x Ref) Ref  { return b.layer(name, Activate{kernels.ReLU}, x) }
func (b *Builder) ReLU6(name string, x Ref) Ref { return b.layer(name, Activate{kernels.ReLU6}, x) }

// MaxPool2d adds a maximum over windows.
func (b *Builder) MaxPool2d(name string, x Ref, op MaxPool2d) Ref { return b.layer(name, op, x) }

// AvgPool2d adds an average over windows.
func (b *Builder) AvgPool2d(name string, x Ref, op AvgPool2d) Ref { return b.layer(name, op, x) }

// AdaptiveAvgPool2d adds an average whose result has h rows and w columns.
func (b *Builder) AdaptiveAvgPool2d(name string, x Ref, h, w int) Ref {
	return b.layer(name, AdaptiveAvgPool2d{h, w}, x)
}

// Dropout adds a dropout of probability p.
func (b *Builder) Dropout(name string, x Ref, p float32) Ref { return b.layer(name, Dropout{p}, x) }

// Flatten makes a vector of x.
func (b *Builder) Flatten(name string, x Ref) Ref { return b.layer(name, Flatten{}, x) }

// Concat joins results along the channels.
func (b *Builder) Concat(name string, xs ...Ref) Ref { return b.layer(name, Concat{}, xs...) }

// Add sums results of equal shape.
func (b *Builder) Add(name string, xs ...Ref) Ref { return b.layer(name, Add{}, xs...) }

// layer adds a layer whose parameters, if it has any, follow.
func (b *Builder) layer(name string, op Op, in ...Ref) Ref {
	if b.names[name] {
		panic(fmt.Sprintf("nn: %s: two layers %s", b.net.Arch, name))
	}
	b.names[name] = true
	shapes := make([]Shape, len(in))
	for i, x := range in {
		shapes[i] = b.Shape(x)
	}
	out, err := op.infer(shapes)
	if err != nil {
		panic(fmt.Sprintf("nn: %s: layer %s: %v", b.net.Arch, name, err))
	}
	if out.H < 1 || out.W < 1 {
		if b.err == nil {
			b.err = &TooSmallError{Arch: b.net.Arch, Layer: name, In: shapes[0]}
		}
		out.H, out.W = max(out.H, 1), max(out.W, 1)
	}
	y := Ref(len(b.net.Layers))
	b.net.Layers = append(b.net.Layers, Layer{Name: name, Op: op, In: in, Out: out})
	b.net.Modules[name] = y
	return y
}

// weights adds the weight and the bias of a convolution or a linear layer.
func (b *Builder) weights(y Ref, shape []int, bias bool, init Initializer) {
	w, c := init(shape)
	b.param(y, "weight", shape, Weight, w)
	if bias {
		b.param(y, "bias", shape[:1], Weight, c)
	}
}

func (b *Builder) param(y Ref, name string, shape []int, kind ParamKind, init Init) {
	l := &b.net.Layers[y]
	l.Params = append(l.Params, len(b.net.Params))
	b.net.Params = append(b.net.Params,
		Param{Name: l.Name + "." + name, Shape: shape, Kind: kind, Init: init, Layer: int(y)})
}
