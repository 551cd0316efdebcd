package models

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/nn"
)

// VGGs: Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2014
// (arXiv:1409.1556), as in torchvision/models/vgg.py.

// vgg describes a VGG whose five stages have the given numbers of 3×3 convolutions, with or without batch norm after
// each: 1, 1, 2, 2, 2 is the paper's configuration A.
func vgg(norm bool, convs ...int) func(*nn.Builder, int) nn.Ref {
	return func(b *nn.Builder, classes int) nn.Ref {
		x, place := nn.Input, 0
		next := func() string {
			name := fmt.Sprintf("features.%d", place)
			place++
			return name
		}
		for stage, n := range convs {
			width := min(64<<stage, 512)
			for range n {
				x = b.Conv2d(next(), x, convBias(width, 3, 1, 1), nn.KaimingNormalOut)
				if norm {
					x = b.BatchNorm2d(next(), x, bn)
				}
				x = b.ReLU(next(), x)
			}
			x = b.MaxPool2d(next(), x, nn.MaxPool2d{Kernel: 2, Stride: 2})
		}
		b.Module("features", x)
		x = b.AdaptiveAvgPool2d("avgpool", x, 7, 7)
		x = b.Flatten("flatten", x)
		x = b.Linear("classifier.0", x, nn.Linear{Out: 4096}, nn.NormalWeight(0.01))
		x = b.ReLU("classifier.1", x)
		x = b.Dropout("classifier.2", x, 0.5)
		x = b.Linear("classifier.3", x, nn.Linear{Out: 4096}, nn.NormalWeight(0.01))
		x = b.ReLU("classifier.4", x)
		x = b.Dropout("classifier.5", x, 0.5)
		x = b.Head(b.Linear("classifier.6", x, nn.Linear{Out: classes}, nn.Default))
		return b.Module("classifier", x)
	}
}
