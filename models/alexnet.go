package models

import "github.com/ftrun/ftrun/internal/nn"

// alexnet is Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014 (arXiv:1404.5997), as in
// torchvision/models/alexnet.py, which leaves torch's default initial values everywhere.
func alexnet(b *nn.Builder, classes int) nn.Ref {
	pool := nn.MaxPool2d{Kernel: 3, Stride: 2}
	x := b.Conv2d("features.0", nn.Input, convBias(64, 11, 4, 2), nn.Default)
	x = b.ReLU("features.1", x)
	x = b.MaxPool2d("features.2", x, pool)
	x = b.Conv2d("features.3", x, convBias(192, 5, 1, 2), nn.Default)
	x = b.ReLU("features.4", x)
	x = b.MaxPool2d("features.5", x, pool)
	x = b.Conv2d("features.6", x, convBias(384, 3, 1, 1), nn.Default)
	x = b.ReLU("features.7", x)
	x = b.Conv2d("features.8", x, convBias(256, 3, 1, 1), nn.Default)
	x = b.ReLU("features.9", x)
	x = b.Conv2d("features.10", x, convBias(256, 3, 1, 1), nn.Default)
	x = b.ReLU("features.11", x)
	x = b.MaxPool2d("features.12", x, pool)
	b.Module("features", x)
	x = b.AdaptiveAvgPool2d("avgpool", x, 6, 6)
	x = b.Flatten("flatten", x)
	x = b.Dropout("classifier.0", x, 0.5)
	x = b.Linear("classifier.1", x, nn.Linear{Out: 4096}, nn.Default)
	x = b.ReLU("classifier.2", x)
	x = b.Dropout("classifier.3", x, 0.5)
	x = b.Linear("classifier.4", x, nn.Linear{Out: 4096}, nn.Default)
	x = b.ReLU("classifier.5", x)
	x = b.Head(b.Linear("classifier.6", x, nn.Linear{Out: classes}, nn.Default))
	return b.Module("classifier", x)
}
