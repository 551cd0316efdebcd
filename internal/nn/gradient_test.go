package nn

import (
	"math"
	"slices"
	"testing"
)

// checkNet compares what a Program computes for a training step with the definitions in float64: the loss, the logits,
// the running statistics, and the gradients of the loss by the input and by every trained parameter with central
// differences.
func checkNet(t *testing.T, net *Net, set Settings) {
	t.Helper()
	set.inputToo = true
	set.Batch = max(set.Batch, 2)
	set.Training = true
	if set.Trainable == nil {
		set.Trainable = mark(net, nil)
	}
	s := randomStore(t, net, 1)
	o := newOracle(t, s, set)
	o.step = 3
	p := compile(t, net, s, set)
	x, labels := batch(p, 5)
	x64 := float64s(x)
	result, err := p.Run(x, labels, o.step)
	if err != nil {
		t.Fatal(err)
	}

	want, results := o.loss(x64, labels)
	if math.Abs(result.Loss-want) > 2e-6*max(1, want) {
		t.Errorf("loss %g, want %g", result.Loss, want)
	}
	compare(t, "logits", result.Logits, results[net.Logits], 5e-6)
	for i, par := range net.Params {
		if par.Kind != Buffer {
			continue
		}
		moved := o.running[i]
		if moved == nil {
			moved = o.params[i] // frozen
		}
		got, err := s.Get(i)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, par.Name, got, moved, 1e-6)
	}

	gradient := func(name string, values []float64, got []float32) {
		quotients := make([]float64, len(values))
		const h = 1e-5
		for j, was := range values {
			values[j] = was + h
			up, _ := o.loss(x64, labels)
			values[j] = was - h
			down, _ := o.loss(x64, labels)
			values[j] = was
			quotients[j] = (up - down) / (2 * h)
		}
		compare(t, "gradient of "+name, got, quotients, 1e-5)
	}
	if d := p.input.Deriv(); d != nil {
		dx := make([]float32, len(x))
		if err := s.dev.Download(dx, p.buffer(d)); err != nil {
			t.Fatal(err)
		}
		gradient("the input", x64, dx)
	}
	for i, par := range net.Params {
		g, err := p.GradientTorch(i)
		switch {
		case err != nil:
			t.Fatal(err)
		case !set.Trainable[i] && g != nil:
			t.Errorf("%s is frozen and has a gradient", par.Name)
		case set.Trainable[i] && g == nil:
			t.Errorf("%s has no gradient", par.Name)
		case g != nil:
			gradient(par.Name, o.params[i], g)
		}
	}
}

// compare allows errors of tol times the largest wanted number, which must be big enough for that to mean something.
func compare(t *testing.T, what string, got []float32, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	var scale float64
	for _, v := range want {
		scale = max(scale, math.Abs(v))
	}
	if scale < 1e-3 {
		t.Errorf("%s: too small to be checked: %g", what, scale)
	}
	for i, v := range want {
		if !(math.Abs(float64(got[i])-v) <= tol*scale) {
			t.Errorf("%s[%d] = %g, want %g", what, i, got[i], v)
			return
		}
	}
}

func TestGradients(t *testing.T) {
	small := Shape{5, 4, 4}
	// head makes logits of x through a linear layer.
	head := func(b *Builder, x Ref) Ref {
		return b.Linear("head", b.Flatten("flatten", x), Linear{Out: 3}, Default)
	}
	conv := func(b *Builder, name string, x Ref, out int) Ref {
		return b.Conv2d(name, x, Conv2d{Out: out, Kernel: [2]int{3, 3}, Padding: [2]int{1, 1}}, Default)
	}
	norm := BatchNorm2d{Eps: 1e-5, Momentum: 0.1}
	tests := []struct {
		name       string
		set        Settings
		layers     func(b *Builder) Ref
		frozen     func(Param) bool
		batchStats bool
	}{
		{name: "convolution", layers: func(b *Builder) Ref {
			return head(b, b.Conv2d("c", Input, Conv2d{Out: 5, Kernel: [2]int{3, 2}, Stride: [2]int{2, 1}, Padding: [2]int{1, 0}, Bias: true}, Default))
		}},
		{name: "convolution with groups", layers: func(b *Builder) Ref {
			return head(b, b.Conv2d("c", Input, Conv2d{Out: 6, Kernel: [2]int{3, 3}, Groups: 2}, Default))
		}},
		{name: "depthwise convolution, relu6", layers: func(b *Builder) Ref {
			x := b.Conv2d("c", Input, Conv2d{Out: 4, Kernel: [2]int{3, 3}, Padding: [2]int{1, 1}, Stride: [2]int{2, 2}, Groups: 4, Bias: true}, Default)
			return head(b, b.ReLU6("r", x))
		}},
		{name: "convolution without bias, relu", layers: func(b *Builder) Ref {
			return head(b, b.ReLU("r", conv(b, "c", Input, 5)))
		}},
		{name: "linear, relu", layers: func(b *Builder) Ref {
			x := b.Linear("l", b.Flatten("f", Input), Linear{Out: 7}, Default)
			return b.Linear("head", b.ReLU("r", x), Linear{Out: 3}, Default)
		}},
		{name: "relu by itself", layers: func(b *Builder) Ref {
			x := conv(b, "c", Input, 4)
			return head(b, b.Add("a", b.ReLU("r", x), x))
		}},
		{name: "batch norm of the batch", set: Settings{Batch: 3}, batchStats: true, layers: func(b *Builder) Ref {
			return head(b, b.BatchNorm2d("n", Input, norm))
		}},
		{name: "batch norm of the batch, relu", set: Settings{Batch: 3}, batchStats: true, layers: func(b *Builder) Ref {
			return head(b, b.ReLU("r", b.BatchNorm2d("n", Input, norm)))
		}},
		{name: "frozen batch norm", layers: func(b *Builder) Ref {
			return head(b, b.ReLU("r", b.BatchNorm2d("n", Input, norm)))
		}},
		{name: "batch norm of the batch with frozen scale and shift", set: Settings{Batch: 3}, batchStats: true,
			frozen: func(p Param) bool { return p.Name == "n.weight" || p.Name == "n.bias" },
			layers: func(b *Builder) Ref { return head(b, b.BatchNorm2d("n", conv(b, "c", Input, 4), norm)) }},
		{name: "frozen batch norm with frozen scale",
			frozen: func(p Param) bool { return p.Name == "n.weight" },
			layers: func(b *Builder) Ref { return head(b, b.BatchNorm2d("n", conv(b, "c", Input, 4), norm)) }},
		{name: "residual block", set: Settings{Batch: 3}, batchStats: true, layers: func(b *Builder) Ref {
			x := b.ReLU("r0", b.BatchNorm2d("n0", conv(b, "c0", Input, 4), norm))
			y := b.ReLU("r1", b.BatchNorm2d("n1", conv(b, "c1", x, 4), norm))
			y = b.BatchNorm2d("n2", conv(b, "c2", y, 4), norm)
			return head(b, b.ReLU("r2", b.Add("a", y, x)))
		}},
		{name: "residual block, norm on both sides", set: Settings{Batch: 3}, batchStats: true, layers: func(b *Builder) Ref {
			x := b.ReLU("r0", conv(b, "c0", Input, 4))
			y := b.BatchNorm2d("n1", conv(b, "c1", x, 4), norm)
			z := b.BatchNorm2d("n2", conv(b, "c2", x, 4), norm)
			return head(b, b.ReLU("r2", b.Add("a", y, z)))
		}},
		{name: "residual block on the right, no activation", layers: func(b *Builder) Ref {
			x := b.ReLU6("r0", conv(b, "c0", Input, 4))
			return head(b, b.Add("a", x, b.BatchNorm2d("n2", conv(b, "c2", x, 4), norm)))
		}},
		{name: "three terms", layers: func(b *Builder) Ref {
			x := conv(b, "c0", Input, 4)
			return head(b, b.ReLU("r", b.Add("a", x, conv(b, "c1", x, 4), Input)))
		}},
		{name: "a term twice", layers: func(b *Builder) Ref {
			x := b.BatchNorm2d("n", conv(b, "c0", Input, 4), norm)
			return head(b, b.ReLU("r", b.Add("a", x, x)))
		}},
		{name: "concat with several consumers", layers: func(b *Builder) Ref {
			x := conv(b, "c0", Input, 3)
			y := conv(b, "c1", b.Concat("k1", Input, x), 2)
			z := conv(b, "c2", b.Concat("k2", Input, x, y), 2)
			return head(b, b.Concat("k3", x, z, y, z))
		}},
		{name: "parts of a concat", layers: func(b *Builder) Ref {
			x := b.ReLU("r0", conv(b, "c0", Input, 4))
			k := b.Concat("k", b.ReLU("r1", conv(b, "c1", x, 3)), b.BatchNorm2d("n", x, norm), conv(b, "c2", x, 2),
				b.ReLU6("r3", conv(b, "c3", Input, 5)))
			return head(b, b.ReLU("r4", conv(b, "c4", k, 3)))
		}},
		{name: "max pool with padding", layers: func(b *Builder) Ref {
			return head(b, b.MaxPool2d("p", conv(b, "c", Input, 4), MaxPool2d{Kernel: 3, Stride: 2, Padding: 1}))
		}},
		{name: "max pool, ceil mode", layers: func(b *Builder) Ref {
			return head(b, b.MaxPool2d("p", conv(b, "c", Input, 4), MaxPool2d{Kernel: 3, Stride: 2, Ceil: true}))
		}},
		{name: "average pool", layers: func(b *Builder) Ref {
			return head(b, b.AvgPool2d("p", Input, AvgPool2d{Kernel: 3, Stride: 1, Padding: 1}))
		}},
		{name: "adaptive average pool", layers: func(b *Builder) Ref {
			return head(b, b.AdaptiveAvgPool2d("p", Input, 3, 2))
		}},
		{name: "global average pool as logits", layers: func(b *Builder) Ref {
			return b.Flatten("f", b.AdaptiveAvgPool2d("p", b.ReLU("r", conv(b, "c", Input, 3)), 1, 1))
		}},
		{name: "dropout", set: Settings{DropoutSeed: 7}, layers: func(b *Builder) Ref {
			return head(b, b.Dropout("d", b.ReLU("r", conv(b, "c", Input, 4)), 0.4))
		}},
		{name: "label smoothing and class weights", set: Settings{Batch: 3, Smoothing: 0.2, ClassWeights: []float32{1, 0.5, 3}},
			layers: func(b *Builder) Ref { return head(b, conv(b, "c", Input, 4)) }},
		{name: "auxiliary loss", layers: func(b *Builder) Ref {
			x := b.ReLU("r", conv(b, "c", Input, 4))
			b.Aux(b.Linear("aux", b.Flatten("auxf", x), Linear{Out: 3}, Default), 0.4)
			return head(b, conv(b, "c2", x, 3))
		}},
		{name: "only the head", frozen: func(p Param) bool { return p.Name[:4] != "head" },
			layers: func(b *Builder) Ref { return head(b, b.ReLU("r", conv(b, "c", Input, 4))) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			net := build(t, small, test.layers)
			if test.frozen != nil {
				test.set.Trainable = mark(net, func(p Param) bool { return !test.frozen(p) })
			}
			if test.batchStats {
				test.set.BatchStats = slices.Repeat([]bool{true}, len(net.Layers))
			}
			checkNet(t, net, test.set)
		})
	}
}
