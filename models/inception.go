package models

import "github.com/ftrun/ftrun/internal/nn"

// inceptionV3 is Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2015 (arXiv:1512.00567), as
// in torchvision/models/inception.py with its auxiliary head, whose loss the tutorial weighs by 0.4. Mixed_5b to
// Mixed_7c are TensorFlow's names of the paper's modules. The auxiliary head's 5×5 convolution has no padding: it is what
// asks for pictures of 299 pixels, where the rest would do with 75.
func inceptionV3(b *nn.Builder, classes int) nn.Ref {
	in := inception{b}
	pool := nn.MaxPool2d{Kernel: 3, Stride: 2}
	x := in.conv("Conv2d_1a_3x3", nn.Input, conv(32, 3, 2, 0))
	x = in.conv("Conv2d_2a_3x3", x, conv(32, 3, 1, 0))
	x = in.conv("Conv2d_2b_3x3", x, conv(64, 3, 1, 1))
	x = b.MaxPool2d("maxpool1", x, pool)
	x = in.conv("Conv2d_3b_1x1", x, conv(80, 1, 1, 0))
	x = in.conv("Conv2d_4a_3x3", x, conv(192, 3, 1, 0))
	x = b.MaxPool2d("maxpool2", x, pool)
	x = in.a("Mixed_5b", x, 32)
	x = in.a("Mixed_5c", x, 64)
	x = in.a("Mixed_5d", x, 64)
	x = in.b("Mixed_6a", x)
	x = in.c("Mixed_6b", x, 128)
	x = in.c("Mixed_6c", x, 160)
	x = in.c("Mixed_6d", x, 160)
	x = in.c("Mixed_6e", x, 192)
	b.Aux(in.aux("AuxLogits", x, classes), 0.4)
	x = in.d("Mixed_7a", x)
	x = in.e("Mixed_7b", x)
	x = in.e("Mixed_7c", x)
	x = b.AdaptiveAvgPool2d("avgpool", x, 1, 1)
	x = b.Dropout("dropout", x, 0.5)
	x = b.Flatten("flatten", x)
	return b.Head(b.Linear("fc", x, nn.Linear{Out: classes}, nn.Default))
}

// inception adds the parts that Inception v3 is made of. As in torchvision a convolution starts from a standard deviation
// of 0.1, cut to ±2: the smaller one that inception.py sets on the auxiliary head's second convolution is set on the
// module around it, where the initialisation does not look.
type inception struct{ *nn.Builder }

// conv is BasicConv2d: convolution, batch norm, ReLU.
func (in inception) conv(name string, x nn.Ref, op nn.Conv2d) nn.Ref {
	x = in.Conv2d(name+".conv", x, op, nn.TruncNormalWeight(0.1))
	x = in.BatchNorm2d(name+".bn", x, nn.BatchNorm2d{Eps: 1e-3, Momentum: 0.1})
	return in.Module(name, in.ReLU(name+".relu", x))
}

// join ends a module of several branches.
func (in inception) join(name string, branches ...nn.Ref) nn.Ref {
	return in.Module(name, in.Concat(name+".cat", branches...))
}

// pooled is the branch of a module that averages and then mixes channels.
func (in inception) pooled(name string, x nn.Ref, out int) nn.Ref {
	x = in.AvgPool2d(name+".avg_pool2d", x, nn.AvgPool2d{Kernel: 3, Stride: 1, Padding: 1})
	return in.conv(name+".branch_pool", x, conv(out, 1, 1, 0))
}

// The modules are named by torchvision's letters.

// a is InceptionA: 1×1, 5×5, two 3×3, and an average.
func (in inception) a(name string, x nn.Ref, pool int) nn.Ref {
	one := in.conv(name+".branch1x1", x, conv(64, 1, 1, 0))

	five := in.conv(name+".branch5x5_1", x, conv(48, 1, 1, 0))
	five = in.conv(name+".branch5x5_2", five, conv(64, 5, 1, 2))

	three := in.conv(name+".branch3x3dbl_1", x, conv(64, 1, 1, 0))
	three = in.conv(name+".branch3x3dbl_2", three, conv(96, 3, 1, 1))
	three = in.conv(name+".branch3x3dbl_3", three, conv(96, 3, 1, 1))

	return in.join(name, one, five, three, in.pooled(name, x, pool))
}

// b is InceptionB, which halves rows and columns.
func (in inception) b(name string, x nn.Ref) nn.Ref {
	three := in.conv(name+".branch3x3", x, conv(384, 3, 2, 0))

	double := in.conv(name+".branch3x3dbl_1", x, conv(64, 1, 1, 0))
	double = in.conv(name+".branch3x3dbl_2", double, conv(96, 3, 1, 1))
	double = in.conv(name+".branch3x3dbl_3", double, conv(96, 3, 2, 0))

	pool := in.MaxPool2d(name+".max_pool2d", x, nn.MaxPool2d{Kernel: 3, Stride: 2})
	return in.join(name, three, double, pool)
}

// c is InceptionC: 7×7 filters taken apart into rows and columns, of the given width.
func (in inception) c(name string, x nn.Ref, width int) nn.Ref {
	one := in.conv(name+".branch1x1", x, conv(192, 1, 1, 0))

	seven := in.conv(name+".branch7x7_1", x, conv(width, 1, 1, 0))
	seven = in.conv(name+".branch7x7_2", seven, oblong(width, 1, 7))
	seven = in.conv(name+".branch7x7_3", seven, oblong(192, 7, 1))

	double := in.conv(name+".branch7x7dbl_1", x, conv(width, 1, 1, 0))
	double = in.conv(name+".branch7x7dbl_2", double, oblong(width, 7, 1))
	double = in.conv(name+".branch7x7dbl_3", double, oblong(width, 1, 7))
	double = in.conv(name+".branch7x7dbl_4", double, oblong(width, 7, 1))
	double = in.conv(name+".branch7x7dbl_5", double, oblong(192, 1, 7))

	return in.join(name, one, seven, double, in.pooled(name, x, 192))
}

// d is InceptionD, which halves rows and columns.
func (in inception) d(name string, x nn.Ref) nn.Ref {
	three := in.conv(name+".branch3x3_1", x, conv(192, 1, 1, 0))
	three = in.conv(name+".branch3x3_2", three, conv(320, 3, 2, 0))

	seven := in.conv(name+".branch7x7x3_1", x, conv(192, 1, 1, 0))
	seven = in.conv(name+".branch7x7x3_2", seven, oblong(192, 1, 7))
	seven = in.conv(name+".branch7x7x3_3", seven, oblong(192, 7, 1))
	seven = in.conv(name+".branch7x7x3_4", seven, conv(192, 3, 2, 0))

	pool := in.MaxPool2d(name+".max_pool2d", x, nn.MaxPool2d{Kernel: 3, Stride: 2})
	return in.join(name, three, seven, pool)
}

// e is InceptionE: rows and columns side by side.
func (in inception) e(name string, x nn.Ref) nn.Ref {
	one := in.conv(name+".branch1x1", x, conv(320, 1, 1, 0))

	three := in.conv(name+".branch3x3_1", x, conv(384, 1, 1, 0))
	three = in.Concat(name+".cat_1",
		in.conv(name+".branch3x3_2a", three, oblong(384, 1, 3)),
		in.conv(name+".branch3x3_2b", three, oblong(384, 3, 1)))

	double := in.conv(name+".branch3x3dbl_1", x, conv(448, 1, 1, 0))
	double = in.conv(name+".branch3x3dbl_2", double, conv(384, 3, 1, 1))
	double = in.Concat(name+".cat_2",
		in.conv(name+".branch3x3dbl_3a", double, oblong(384, 1, 3)),
		in.conv(name+".branch3x3dbl_3b", double, oblong(384, 3, 1)))

	return in.join(name, one, three, double, in.pooled(name, x, 192))
}

// aux is InceptionAux, the auxiliary head.
func (in inception) aux(name string, x nn.Ref, classes int) nn.Ref {
	x = in.AvgPool2d(name+".avg_pool2d", x, nn.AvgPool2d{Kernel: 5, Stride: 3})
	x = in.conv(name+".conv0", x, conv(128, 1, 1, 0))
	x = in.conv(name+".conv1", x, conv(768, 5, 1, 0))
	x = in.AdaptiveAvgPool2d(name+".adaptive_avg_pool2d", x, 1, 1)
	x = in.Flatten(name+".flatten", x)
	x = in.Head(in.Linear(name+".fc", x, nn.Linear{Out: classes}, nn.Default))
	return in.Module(name, x)
}

// oblong is a convolution of rows × columns that keeps the shape.
func oblong(out, rows, columns int) nn.Conv2d {
	return nn.Conv2d{Out: out, Kernel: [2]int{rows, columns}, Padding: [2]int{rows / 2, columns / 2}}
}
