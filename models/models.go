// Package models describes torchvision's image classifiers as networks: one file a family, with the layers, parameter
// names and initial values of torchvision's models, and the catalogue of them all. The last layer is the one that
// PyTorch's "Finetuning Torchvision Models" tutorial would put there: new, for the data set's classes, with torch's
// default initial values.
package models

import (
	"errors"
	"fmt"
	"sort"

	"github.com/ftrun/ftrun/internal/nn"
)

// Model is an architecture of the catalogue.
type Model struct {
	Name   string // torchvision's, "resnet18"
	Family string // "resnet"
	// Resize and Crop are the shorter side and the centre crop, in pixels, of the transform that torchvision's weights
	// were made for.
	Resize, Crop int

	build func(b *nn.Builder, classes int) (logits nn.Ref)
}

// catalogue holds families by name, and the variants of a family by size.
var catalogue = []Model{
	{"alexnet", "alexnet", 256, 224, alexnet},
	{"densenet121", "densenet", 256, 224, densenet(32, 64, 6, 12, 24, 16)},
	{"densenet161", "densenet", 256, 224, densenet(48, 96, 6, 12, 36, 24)},
	{"densenet169", "densenet", 256, 224, densenet(32, 64, 6, 12, 32, 32)},
	{"densenet201", "densenet", 256, 224, densenet(32, 64, 6, 12, 48, 32)},
	{"inception_v3", "inception", 342, 299, inceptionV3},
	{"mobilenet_v2", "mobilenet", 256, 224, mobilenetV2},
	{"resnet18", "resnet", 256, 224, resnet(basicBlock, 2, 2, 2, 2)},
	{"resnet34", "resnet", 256, 224, resnet(basicBlock, 3, 4, 6, 3)},
	{"resnet50", "resnet", 256, 224, resnet(bottleneck, 3, 4, 6, 3)},
	{"resnet101", "resnet", 256, 224, resnet(bottleneck, 3, 4, 23, 3)},
	{"resnet152", "resnet", 256, 224, resnet(bottleneck, 3, 8, 36, 3)},
	{"squeezenet1_0", "squeezenet", 256, 224, squeezenet(convBias(96, 7, 2, 0), 0, 3, 7)},
	{"squeezenet1_1", "squeezenet", 256, 224, squeezenet(convBias(64, 3, 2, 0), 0, 2, 4)},
	{"vgg11", "vgg", 256, 224, vgg(false, 1, 1, 2, 2, 2)},
	{"vgg11_bn", "vgg", 256, 224, vgg(true, 1, 1, 2, 2, 2)},
	{"vgg13", "vgg", 256, 224, vgg(false, 2, 2, 2, 2, 2)},
	{"vgg13_bn", "vgg", 256, 224, vgg(true, 2, 2, 2, 2, 2)},
	{"vgg16", "vgg", 256, 224, vgg(false, 2, 2, 3, 3, 3)},
	{"vgg16_bn", "vgg", 256, 224, vgg(true, 2, 2, 3, 3, 3)},
	{"vgg19", "vgg", 256, 224, vgg(false, 2, 2, 4, 4, 4)},
	{"vgg19_bn", "vgg", 256, 224, vgg(true, 2, 2, 4, 4, 4)},
}

// Names lists the architectures: families by name, the variants of a family by size.
func Names() []string {
	names := make([]string, len(catalogue))
	for i, m := range catalogue {
		names[i] = m.Name
	}
	return names
}

// Lookup finds an architecture by torchvision's name.
func Lookup(name string) (Model, bool) {
	for _, m := range catalogue {
		if m.Name == name {
			return m, true
		}
	}
	return Model{}, false
}

// Build describes arch for pictures of size by size pixels and the given number of classes. An unknown architecture, no
// class and a picture that is too small are errors.
func Build(arch string, classes, size int) (*nn.Net, error) {
	m, ok := Lookup(arch)
	if !ok {
		return nil, fmt.Errorf("there is no architecture %q", arch)
	}
	if classes < 1 {
		return nil, fmt.Errorf("%s needs at least one class, got %d", arch, classes)
	}
	if size < 1 {
		return nil, fmt.Errorf("%s needs pictures of at least %d pixels, got %d", arch, m.MinSize(), size)
	}
	net, err := m.net(classes, size)
	var small *nn.TooSmallError
	if errors.As(err, &small) {
		return nil, fmt.Errorf("%s needs pictures of at least %d pixels; this run crops to %d, of which %d×%d is left at %s",
			arch, m.MinSize(), size, small.In.H, small.In.W, small.Layer)
	}
	return net, err
}

// MinSize is the smallest picture, in pixels, that the architecture can be trained with.
func (m Model) MinSize() int {
	const enough = 1024
	return 1 + sort.Search(enough, func(i int) bool {
		_, err := m.net(1, 1+i)
		return err == nil
	})
}

func (m Model) net(classes, size int) (*nn.Net, error) {
	b := nn.NewBuilder(m.Name, nn.Shape{H: size, W: size, C: 3})
	return b.Net(m.build(b, classes))
}
