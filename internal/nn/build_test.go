package nn

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestInfer(t *testing.T) {
	tests := []struct {
		name string
		op   Op
		in   []Shape
		want Shape
	}{
		{"conv, padding and stride by row and column",
			Conv2d{Out: 8, Kernel: [2]int{1, 7}, Stride: [2]int{1, 2}, Padding: [2]int{0, 3}}, []Shape{{5, 9, 3}}, Shape{5, 5, 8}},
		{"conv, the last column left over", Conv2d{Out: 4, Kernel: [2]int{3, 3}, Stride: [2]int{2, 2}}, []Shape{{6, 7, 3}}, Shape{2, 3, 4}},
		{"conv, defaults", Conv2d{Out: 4, Kernel: [2]int{1, 1}}, []Shape{{6, 7, 3}}, Shape{6, 7, 4}},
		{"conv, no row left", Conv2d{Out: 4, Kernel: [2]int{3, 3}}, []Shape{{2, 4, 3}}, Shape{0, 2, 4}},
		{"max pool, floor", MaxPool2d{Kernel: 3, Stride: 2}, []Shape{{6, 7, 2}}, Shape{2, 3, 2}},
		{"max pool, ceil", MaxPool2d{Kernel: 3, Stride: 2, Ceil: true}, []Shape{{6, 7, 2}}, Shape{3, 3, 2}},
		{"max pool, ceil, window wider than all there is", MaxPool2d{Kernel: 3, Stride: 2, Ceil: true}, []Shape{{2, 1, 2}}, Shape{1, 0, 2}},
		{"max pool, ceil, last window would begin beyond", MaxPool2d{Kernel: 2, Stride: 3, Ceil: true}, []Shape{{3, 4, 2}}, Shape{1, 2, 2}},
		{"max pool, padding", MaxPool2d{Kernel: 3, Stride: 2, Padding: 1}, []Shape{{1, 112, 2}}, Shape{1, 56, 2}},
		{"average pool", AvgPool2d{Kernel: 3, Stride: 1, Padding: 1}, []Shape{{8, 8, 2}}, Shape{8, 8, 2}},
		{"adaptive pool that widens", AdaptiveAvgPool2d{7, 7}, []Shape{{1, 10, 2}}, Shape{7, 7, 2}},
		{"flatten", Flatten{}, []Shape{{2, 3, 4}}, Shape{1, 1, 24}},
		{"linear", Linear{Out: 5}, []Shape{{1, 1, 24}}, Shape{1, 1, 5}},
		{"concat", Concat{}, []Shape{{2, 3, 4}, {2, 3, 1}, {2, 3, 2}}, Shape{2, 3, 7}},
		{"add", Add{}, []Shape{{2, 3, 4}, {2, 3, 4}}, Shape{2, 3, 4}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.op.infer(test.in)
			if err != nil || got != test.want {
				t.Errorf("got %v, %v; want %v", got, err, test.want)
			}
		})
	}
}

func TestInferErrors(t *testing.T) {
	x := Shape{4, 4, 6}
	tests := []struct {
		name string
		op   Op
		in   []Shape
	}{
		{"conv without kernel", Conv2d{Out: 2}, []Shape{x}},
		{"groups that do not divide the input", Conv2d{Out: 4, Kernel: [2]int{1, 1}, Groups: 4}, []Shape{x}},
		{"groups that do not divide the output", Conv2d{Out: 4, Kernel: [2]int{1, 1}, Groups: 3}, []Shape{x}},
		{"max pool without stride", MaxPool2d{Kernel: 2}, []Shape{x}},
		{"padding over half the kernel", MaxPool2d{Kernel: 3, Stride: 1, Padding: 2}, []Shape{x}},
		{"adaptive pool to nothing", AdaptiveAvgPool2d{}, []Shape{x}},
		{"dropout of everything", Dropout{1}, []Shape{x}},
		{"linear of a picture", Linear{Out: 3}, []Shape{x}},
		{"two inputs of one", Flatten{}, []Shape{x, x}},
		{"one input of many", Add{}, []Shape{x}},
		{"concat of unlike rows", Concat{}, []Shape{x, {3, 4, 6}}},
		{"add of unlike channels", Add{}, []Shape{x, {4, 4, 5}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, err := test.op.infer(test.in); err == nil {
				t.Errorf("got %v and no error", got)
			}
		})
	}
}

// describeTiny is a network with all that counting has to tell apart: a shortcut, an auxiliary output and batch norm.
//
//	conv 4 (3×3) → norm → relu ─┬→ conv2 4 (3×3) ─→ add → pool → flatten → fc 2
//	                            ├────────────────────┘
//	                            └→ auxpool → auxflatten → auxfc 2
func describeTiny(t *testing.T, size int) *Net {
	t.Helper()
	b := NewBuilder("tiny", Shape{size, size, 3})
	same := Conv2d{Out: 4, Kernel: [2]int{3, 3}, Padding: [2]int{1, 1}}
	x := b.Conv2d("conv", Input, same, KaimingNormalOut)
	x = b.BatchNorm2d("norm", x, BatchNorm2d{Eps: 1e-5, Momentum: 0.1})
	x = b.ReLU("relu", x)
	b.Module("stem", x)
	aux := b.AdaptiveAvgPool2d("auxpool", x, 1, 1)
	aux = b.Flatten("auxflatten", aux)
	b.Aux(b.Head(b.Linear("auxfc", aux, Linear{Out: 2}, Default)), 0.4)
	x = b.Add("add", b.Conv2d("conv2", x, same, KaimingNormalOut), x)
	x = b.AdaptiveAvgPool2d("pool", x, 1, 1)
	x = b.Flatten("flatten", x)
	net, err := b.Net(b.Head(b.Linear("fc", x, Linear{Out: 2}, Default)))
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// trained picks the weights of the named layers; "*" all of them.
func trained(net *Net, layers ...string) []bool {
	picked := make([]bool, len(net.Params))
	for i, p := range net.Params {
		picked[i] = p.Kind == Weight && (slices.Contains(layers, "*") || slices.Contains(layers, net.Layers[p.Layer].Name))
	}
	return picked
}

func TestBuilder(t *testing.T) {
	net := describeTiny(t, 8)
	var names []string
	for i, p := range net.Params {
		names = append(names, p.Name)
		if !slices.Contains(net.Layers[p.Layer].Params, i) {
			t.Errorf("%s and its layer do not know each other", p.Name)
		}
		if head := strings.Contains(p.Name, "fc."); p.Head != head {
			t.Errorf("%s: Head is %v", p.Name, p.Head)
		}
	}
	want := "conv.weight norm.weight norm.bias norm.running_mean norm.running_var norm.num_batches_tracked " +
		"auxfc.weight auxfc.bias conv2.weight fc.weight fc.bias"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("parameters\n%s\nwant\n%s", got, want)
	}
	if net.Modules["stem"] != net.Modules["relu"] || net.Layers[net.Aux].Name != "auxfc" || net.Layers[net.Logits].Name != "fc" {
		t.Error("a module or an output is not what it was named")
	}
}

func TestBuilderTooSmall(t *testing.T) {
	b := NewBuilder("deep", Shape{4, 8, 3})
	three := Conv2d{Out: 4, Kernel: [2]int{3, 3}}
	x := b.Conv2d("a", Input, three, Default)
	x = b.Conv2d("b", x, three, Default)
	x = b.Conv2d("c", x, three, Default)
	x = b.Flatten("flatten", x)
	_, err := b.Net(b.Linear("fc", x, Linear{Out: 2}, Default))
	var small *TooSmallError
	if !errors.As(err, &small) || *small != (TooSmallError{Arch: "deep", Layer: "b", In: Shape{2, 6, 4}}) {
		t.Errorf("got %v, want the first layer without rows, b", err)
	}
}

func TestBuilderPanics(t *testing.T) {
	tests := []struct {
		name  string
		build func(b *Builder)
	}{
		{"two layers of one name", func(b *Builder) { b.ReLU("a", Input); b.ReLU("a", Input) }},
		{"two modules of one name", func(b *Builder) { b.Module("a", Input); b.Module("a", Input) }},
		{"a layer that does not fit", func(b *Builder) { b.Linear("a", Input, Linear{Out: 2}, Default) }},
		{"logits that are a picture", func(b *Builder) { b.Net(b.ReLU("a", Input)) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			test.build(NewBuilder("wrong", Shape{4, 4, 3}))
		})
	}
}
