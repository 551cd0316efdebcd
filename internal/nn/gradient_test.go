package nn

import (
	"math"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// checkGradients compares the gradients of a net's loss by its input and by every trained parameter with central
// differences. Where two step lengths disagree a kink (of a ReLU, of a maximum) lies in between and the element is left
// out; more than one in five such elements is a failure.
func checkGradients(t *testing.T, net *Net, set Settings) {
	t.Helper()
	set.inputToo = true
	if set.Batch == 0 {
		set.Batch = 2
	}
	set.Training = true
	if set.Trainable == nil {
		set.Trainable = trained(net, nil)
	}
	s := randomStore(t, net, 1)
	p := compile(t, net, s, set)
	x, labels := batch(p, 5)
	initial := make([][]float32, len(net.Params))
	for i, par := range net.Params {
		if par.Kind != Counter {
			initial[i], _ = s.Get(i)
		}
	}
	loss := func() float64 {
		for i, par := range net.Params { // running statistics move with each run
			if par.Kind == Buffer {
				s.Set(i, initial[i])
			}
		}
		r, err := p.Run(x, labels, 3)
		if err != nil {
			t.Fatal(err)
		}
		return r.Loss
	}
	loss()
	type checked struct {
		name   string
		values []float32
		grad   []float32
		store  func()
	}
	var all []checked
	dx := make([]float32, len(x))
	if d := p.input.Deriv(); d != nil {
		s.dev.Download(dx, p.buffer(d))
		all = append(all, checked{"input", x, dx, func() {}})
	}
	for i, par := range net.Params {
		g, err := p.GradientTorch(i)
		if err != nil {
			t.Fatal(err)
		}
		if !set.Trainable[i] {
			if g != nil {
				t.Errorf("%s is frozen and has a gradient", par.Name)
			}
			continue
		}
		if g == nil {
			t.Errorf("%s has no gradient", par.Name)
			continue
		}
		all = append(all, checked{par.Name, initial[i], g, func() { s.Set(i, initial[i]) }})
	}
	for _, c := range all {
		var scale float64
		for _, g := range c.grad {
			scale = max(scale, math.Abs(float64(g)))
		}
		if scale < 1e-3 {
			t.Errorf("%s: the gradients are too small to be checked: %g", c.name, scale)
		}
		at := func(j int, h float32) float64 {
			was := c.values[j]
			c.values[j] = was + h
			hi := float64(c.values[j])
			c.store()
			up := loss()
			c.values[j] = was - h
			lo := float64(c.values[j])
			c.store()
			down := loss()
			c.values[j] = was
			c.store()
			return (up - down) / (hi - lo)
		}
		kinks, n := 0, 0
		for j := 0; j < len(c.values); j += 1 + len(c.values)/40 {
			n++
			a, b := at(j, 1e-2), at(j, 5e-3)
			if math.Abs(a-b) > 2e-3*scale+1e-4 {
				kinks++
				continue
			}
			want := b + (b-a)/3 // Richardson's
			if got := float64(c.grad[j]); math.Abs(got-want) > 3e-3*scale+1e-4 {
				t.Errorf("%s[%d]: gradient %g, difference quotient %g", c.name, j, got, want)
			}
		}
		if kinks*5 > n {
			t.Errorf("%s: kinks at %d of %d elements", c.name, kinks, n)
		}
	}
}

func always(int) bool { return true }

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
		name   string
		set    Settings
		layers func(b *Builder) Ref
		frozen func(Param) bool
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
		{name: "batch norm of the batch", set: Settings{Batch: 3, BatchStats: always}, layers: func(b *Builder) Ref {
			return head(b, b.BatchNorm2d("n", Input, norm))
		}},
		{name: "batch norm of the batch, relu", set: Settings{Batch: 3, BatchStats: always}, layers: func(b *Builder) Ref {
			return head(b, b.ReLU("r", b.BatchNorm2d("n", Input, norm)))
		}},
		{name: "frozen batch norm", layers: func(b *Builder) Ref {
			return head(b, b.ReLU("r", b.BatchNorm2d("n", Input, norm)))
		}},
		{name: "batch norm of the batch with frozen scale and shift", set: Settings{Batch: 3, BatchStats: always},
			frozen: func(p Param) bool { return p.Name == "n.weight" || p.Name == "n.bias" },
			layers: func(b *Builder) Ref { return head(b, b.BatchNorm2d("n", conv(b, "c", Input, 4), norm)) }},
		{name: "frozen batch norm with frozen scale",
			frozen: func(p Param) bool { return p.Name == "n.weight" },
			layers: func(b *Builder) Ref { return head(b, b.BatchNorm2d("n", conv(b, "c", Input, 4), norm)) }},
		{name: "residual block", set: Settings{Batch: 3, BatchStats: always}, layers: func(b *Builder) Ref {
			x := b.ReLU("r0", b.BatchNorm2d("n0", conv(b, "c0", Input, 4), norm))
			y := b.ReLU("r1", b.BatchNorm2d("n1", conv(b, "c1", x, 4), norm))
			y = b.BatchNorm2d("n2", conv(b, "c2", y, 4), norm)
			return head(b, b.ReLU("r2", b.Add("a", y, x)))
		}},
		{name: "residual block, norm on both sides", set: Settings{Batch: 3, BatchStats: always}, layers: func(b *Builder) Ref {
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
				test.set.Trainable = trained(net, func(p Param) bool { return !test.frozen(p) })
			}
			checkGradients(t, net, test.set)
		})
	}
	_ = kernels.Identity
}
