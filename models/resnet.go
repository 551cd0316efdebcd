package models

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/nn"
)

// ResNets: He et al., Deep Residual Learning for Image Recognition, 2015 (arXiv:1512.03385), as in
// torchvision/models/resnet.py, which puts the stride of a bottleneck on its 3×3 convolution ("v1.5").

// resnetBlock adds one residual block of the given width; its result has width times the block's expansion channels.
type resnetBlock func(b *nn.Builder, name string, x nn.Ref, width, stride int) nn.Ref

// resnet describes a ResNet with the given numbers of blocks in its four layers.
func resnet(block resnetBlock, blocks ...int) func(*nn.Builder, int) nn.Ref {
	return func(b *nn.Builder, classes int) nn.Ref {
		x := b.Conv2d("conv1", nn.Input, conv(64, 7, 2, 3), nn.KaimingNormalOut)
		x = b.BatchNorm2d("bn1", x, bn)
		x = b.ReLU("relu", x)
		x = b.MaxPool2d("maxpool", x, nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1})
		for i, n := range blocks {
			layer := fmt.Sprintf("layer%d", i+1)
			for j := range n {
				stride := 1
				if i > 0 && j == 0 {
					stride = 2
				}
				name := fmt.Sprintf("%s.%d", layer, j)
				x = b.Module(name, block(b, name, x, 64<<i, stride))
			}
			b.Module(layer, x)
		}
		x = b.AdaptiveAvgPool2d("avgpool", x, 1, 1)
		x = b.Flatten("flatten", x)
		return b.Head(b.Linear("fc", x, nn.Linear{Out: classes}, nn.Default))
	}
}

// basicBlock is two 3×3 convolutions and the shortcut.
func basicBlock(b *nn.Builder, name string, x nn.Ref, width, stride int) nn.Ref {
	y := b.Conv2d(name+".conv1", x, conv(width, 3, stride, 1), nn.KaimingNormalOut)
	y = b.BatchNorm2d(name+".bn1", y, bn)
	y = b.ReLU(name+".relu", y)
	y = b.Conv2d(name+".conv2", y, conv(width, 3, 1, 1), nn.KaimingNormalOut)
	y = b.BatchNorm2d(name+".bn2", y, bn)
	y = b.Add(name+".add", y, shortcut(b, name, x, width, stride))
	return b.ReLU(name+".relu_1", y)
}

// bottleneck narrows by a 1×1 convolution, works with a 3×3 one, widens by another 1×1 to four times the width, and adds
// the shortcut.
func bottleneck(b *nn.Builder, name string, x nn.Ref, width, stride int) nn.Ref {
	y := b.Conv2d(name+".conv1", x, conv(width, 1, 1, 0), nn.KaimingNormalOut)
	y = b.BatchNorm2d(name+".bn1", y, bn)
	y = b.ReLU(name+".relu", y)
	y = b.Conv2d(name+".conv2", y, conv(width, 3, stride, 1), nn.KaimingNormalOut)
	y = b.BatchNorm2d(name+".bn2", y, bn)
	y = b.ReLU(name+".relu_1", y)
	y = b.Conv2d(name+".conv3", y, conv(4*width, 1, 1, 0), nn.KaimingNormalOut)
	y = b.BatchNorm2d(name+".bn3", y, bn)
	y = b.Add(name+".add", y, shortcut(b, name, x, 4*width, stride))
	return b.ReLU(name+".relu_2", y)
}

// shortcut is the block's input, brought to the shape of its result where that differs.
func shortcut(b *nn.Builder, name string, x nn.Ref, channels, stride int) nn.Ref {
	if stride == 1 && b.Shape(x).C == channels {
		return x
	}
	x = b.Conv2d(name+".downsample.0", x, conv(channels, 1, stride, 0), nn.KaimingNormalOut)
	x = b.BatchNorm2d(name+".downsample.1", x, bn)
	return b.Module(name+".downsample", x)
}
