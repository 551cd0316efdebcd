package models

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/nn"
)

// DenseNets: Huang et al., Densely Connected Convolutional Networks, 2016 (arXiv:1608.06993), as in
// torchvision/models/densenet.py: DenseNet-BC, bottlenecks of four times the growth and transitions that halve.

// densenet describes a DenseNet whose layers add growth channels each, with first channels before the first block and
// the given numbers of layers in its four blocks.
func densenet(growth, first int, layers ...int) func(*nn.Builder, int) nn.Ref {
	return func(b *nn.Builder, classes int) nn.Ref {
		x := b.Conv2d("features.conv0", nn.Input, conv(first, 7, 2, 3), nn.KaimingNormalIn)
		x = b.BatchNorm2d("features.norm0", x, bn)
		x = b.ReLU("features.relu0", x)
		x = b.MaxPool2d("features.pool0", x, nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1})
		for i, n := range layers {
			block := fmt.Sprintf("features.denseblock%d", i+1)
			for j := range n {
				name := fmt.Sprintf("%s.denselayer%d", block, j+1)
				// A layer reads everything before it in its block. Torchvision joins the pieces anew for each layer; joining
				// the newest to what is joined already gives the same, and the pieces need not be kept.
				y := b.Module(name, denseLayer(b, name, x, growth))
				x = b.Concat(name+".cat", x, y)
			}
			b.Module(block, x)
			if i < len(layers)-1 {
				x = transition(b, fmt.Sprintf("features.transition%d", i+1), x)
			}
		}
		x = b.BatchNorm2d("features.norm5", x, bn)
		b.Module("features", x)
		x = b.ReLU("relu", x)
		x = b.AdaptiveAvgPool2d("adaptive_avg_pool2d", x, 1, 1)
		x = b.Flatten("flatten", x)
		return b.Head(b.Linear("classifier", x, nn.Linear{Out: classes}, nn.Default))
	}
}

// denseLayer computes growth new channels from x.
func denseLayer(b *nn.Builder, name string, x nn.Ref, growth int) nn.Ref {
	x = b.BatchNorm2d(name+".norm1", x, bn)
	x = b.ReLU(name+".relu1", x)
	x = b.Conv2d(name+".conv1", x, conv(4*growth, 1, 1, 0), nn.KaimingNormalIn)
	x = b.BatchNorm2d(name+".norm2", x, bn)
	x = b.ReLU(name+".relu2", x)
	return b.Conv2d(name+".conv2", x, conv(growth, 3, 1, 1), nn.KaimingNormalIn)
}

// transition halves channels, rows and columns between two blocks.
func transition(b *nn.Builder, name string, x nn.Ref) nn.Ref {
	channels := b.Shape(x).C / 2
	x = b.BatchNorm2d(name+".norm", x, bn)
	x = b.ReLU(name+".relu", x)
	x = b.Conv2d(name+".conv", x, conv(channels, 1, 1, 0), nn.KaimingNormalIn)
	x = b.AvgPool2d(name+".pool", x, nn.AvgPool2d{Kernel: 2, Stride: 2})
	return b.Module(name, x)
}
