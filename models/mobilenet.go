package models

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/nn"
)

// mobilenetV2 is Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018 (arXiv:1801.04381), as in
// torchvision/models/mobilenetv2.py.
func mobilenetV2(b *nn.Builder, classes int) nn.Ref {
	stages := []struct{ expand, channels, blocks, stride int }{ // table 2 of the paper
		{1, 16, 1, 1},
		{6, 24, 2, 2},
		{6, 32, 3, 2},
		{6, 64, 4, 2},
		{6, 96, 3, 1},
		{6, 160, 3, 2},
		{6, 320, 1, 1},
	}
	x := convBNReLU6(b, "features.0", nn.Input, conv(32, 3, 2, 1))
	place := 1
	for _, s := range stages {
		for i := range s.blocks {
			stride := 1
			if i == 0 {
				stride = s.stride
			}
			x = invertedResidual(b, fmt.Sprintf("features.%d", place), x, s.expand, s.channels, stride)
			place++
		}
	}
	x = convBNReLU6(b, fmt.Sprintf("features.%d", place), x, conv(1280, 1, 1, 0))
	b.Module("features", x)
	x = b.AdaptiveAvgPool2d("adaptive_avg_pool2d", x, 1, 1)
	x = b.Flatten("flatten", x)
	x = b.Dropout("classifier.0", x, 0.2)
	x = b.Head(b.Linear("classifier.1", x, nn.Linear{Out: classes}, nn.Default))
	return b.Module("classifier", x)
}

// invertedResidual widens by a 1×1 convolution (unless expand is 1), filters each channel by itself, narrows without an
// activation, and adds the input where the shapes allow.
func invertedResidual(b *nn.Builder, name string, x nn.Ref, expand, channels, stride int) nn.Ref {
	in := b.Shape(x).C
	y, place := x, 0
	next := func() string {
		n := fmt.Sprintf("%s.conv.%d", name, place)
		place++
		return n
	}
	if expand > 1 {
		y = convBNReLU6(b, next(), y, conv(expand*in, 1, 1, 0))
	}
	depthwise := conv(expand*in, 3, stride, 1)
	depthwise.Groups = expand * in
	y = convBNReLU6(b, next(), y, depthwise)
	y = b.Conv2d(next(), y, conv(channels, 1, 1, 0), nn.KaimingNormalOut)
	y = b.BatchNorm2d(next(), y, bn)
	b.Module(name+".conv", y)
	if stride == 1 && in == channels {
		y = b.Add(name+".add", x, y)
	}
	return b.Module(name, y)
}

func convBNReLU6(b *nn.Builder, name string, x nn.Ref, op nn.Conv2d) nn.Ref {
	x = b.Conv2d(name+".0", x, op, nn.KaimingNormalOut)
	x = b.BatchNorm2d(name+".1", x, bn)
	x = b.ReLU6(name+".2", x)
	return b.Module(name, x)
}
