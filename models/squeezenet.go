package models

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/nn"
)

// SqueezeNets: Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size, 2016
// (arXiv:1602.07360), as in torchvision/models/squeezenet.py; 1.1 is its authors' own revision, with a smaller first
// convolution and earlier pools.

// fires are the squeeze widths of the eight fire modules; each expands to eight times as many channels.
var fires = [...]int{16, 16, 32, 32, 48, 48, 64, 64}

// squeezenet describes a SqueezeNet with the given first convolution and a pool before each fire module in pools (the
// first module is 0).
func squeezenet(first nn.Conv2d, pools ...int) func(*nn.Builder, int) nn.Ref {
	return func(b *nn.Builder, classes int) nn.Ref {
		x := b.Conv2d("features.0", nn.Input, first, nn.KaimingUniform)
		x = b.ReLU("features.1", x)
		place := 2
		for i, squeeze := range fires {
			for _, p := range pools {
				if p == i {
					x = b.MaxPool2d(fmt.Sprintf("features.%d", place), x, nn.MaxPool2d{Kernel: 3, Stride: 2, Ceil: true})
					place++
				}
			}
			x = fire(b, fmt.Sprintf("features.%d", place), x, squeeze)
			place++
		}
		b.Module("features", x)
		x = b.Dropout("classifier.0", x, 0.5)
		x = b.Head(b.Conv2d("classifier.1", x, convBias(classes, 1, 1, 0), nn.Default))
		x = b.ReLU("classifier.2", x)
		x = b.AdaptiveAvgPool2d("classifier.3", x, 1, 1)
		b.Module("classifier", x)
		return b.Flatten("flatten", x)
	}
}

// fire squeezes to few channels by a 1×1 convolution and expands them by a 1×1 and a 3×3 one side by side.
func fire(b *nn.Builder, name string, x nn.Ref, squeeze int) nn.Ref {
	expand := 4 * squeeze
	x = b.Conv2d(name+".squeeze", x, convBias(squeeze, 1, 1, 0), nn.KaimingUniform)
	x = b.ReLU(name+".squeeze_activation", x)
	one := b.Conv2d(name+".expand1x1", x, convBias(expand, 1, 1, 0), nn.KaimingUniform)
	one = b.ReLU(name+".expand1x1_activation", one)
	three := b.Conv2d(name+".expand3x3", x, convBias(expand, 3, 1, 1), nn.KaimingUniform)
	three = b.ReLU(name+".expand3x3_activation", three)
	return b.Module(name, b.Concat(name+".cat", one, three))
}
