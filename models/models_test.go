package models_test

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/models"
)

// build describes arch with torchvision's default crop.
func build(t *testing.T, arch string, classes int) *nn.Net {
	t.Helper()
	m, ok := models.Lookup(arch)
	if !ok {
		t.Fatalf("no architecture %s", arch)
	}
	net, err := models.Build(arch, classes, m.Crop)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// Names, shapes, order and kinds of the entries are those of torchvision's state_dict.
func TestStateDict(t *testing.T) {
	for _, arch := range models.Names() {
		t.Run(arch, func(t *testing.T) {
			var want struct {
				Entries []struct {
					Name, Dtype, Kind string
					Shape             []int
				}
			}
			readJSON(t, "data/golden/state_dicts/"+arch+".json", &want)
			got := build(t, arch, 1000).Params
			if len(got) != len(want.Entries) {
				t.Errorf("%d entries, torchvision has %d", len(got), len(want.Entries))
			}
			for i := range min(len(got), len(want.Entries)) {
				g, w := got[i], want.Entries[i]
				kind := nn.Weight
				switch {
				case w.Dtype == "int64":
					kind = nn.Counter
				case w.Kind == "buffer":
					kind = nn.Buffer
				}
				if g.Name != w.Name || !slices.Equal(g.Shape, w.Shape) || g.Kind != kind {
					t.Fatalf("entry %d is %s %v of kind %d, torchvision has %s %v of kind %d",
						i, g.Name, g.Shape, g.Kind, w.Name, w.Shape, kind)
				}
			}
		})
	}
}

// The totals, multiply-adds (in 10⁹, "GFLOPS") and smallest pictures that torchvision publishes with its weights.
// inception_v3's smallest picture is that of its auxiliary head; torchvision tells evaluation's, 75.
var published = []struct {
	arch    string
	params  int64
	gmacs   float64
	minSize int
}{
	{"alexnet", 61100840, 0.714, 63},
	{"densenet121", 7978856, 2.834, 29},
	{"densenet161", 28681000, 7.728, 29},
	{"densenet169", 14149480, 3.36, 29},
	{"densenet201", 20013928, 4.291, 29},
	{"inception_v3", 27161264, 5.713, 299},
	{"mobilenet_v2", 3504872, 0.301, 1},
	{"resnet18", 11689512, 1.814, 1},
	{"resnet34", 21797672, 3.664, 1},
	{"resnet50", 25557032, 4.089, 1},
	{"resnet101", 44549160, 7.801, 1},
	{"resnet152", 60192808, 11.514, 1},
	{"squeezenet1_0", 1248424, 0.819, 21},
	{"squeezenet1_1", 1235496, 0.349, 17},
	{"vgg11", 132863336, 7.609, 32},
	{"vgg11_bn", 132868840, 7.609, 32},
	{"vgg13", 133047848, 11.308, 32},
	{"vgg13_bn", 133053736, 11.308, 32},
	{"vgg16", 138357544, 15.47, 32},
	{"vgg16_bn", 138365992, 15.47, 32},
	{"vgg19", 143667240, 19.632, 32},
	{"vgg19_bn", 143678248, 19.632, 32},
}

func TestPublishedFacts(t *testing.T) {
	var archs []string
	for _, want := range published {
		archs = append(archs, want.arch)
		t.Run(want.arch, func(t *testing.T) {
			net := build(t, want.arch, 1000)
			if got := net.Count(nil, nil); got != (nn.Count{Total: want.params}) {
				t.Errorf("counted %+v, torchvision tells %d parameters", got, want.params)
			}
			gmacs := math.Round(float64(net.Work(nil).Forward)/1e6) / 1e3
			if gmacs != want.gmacs {
				t.Errorf("%.3f·10⁹ multiply-adds, torchvision tells %.3f", gmacs, want.gmacs)
			}
			m, _ := models.Lookup(want.arch)
			if got := m.MinSize(); got != want.minSize {
				t.Errorf("smallest picture %d, torchvision tells %d", got, want.minSize)
			}
		})
	}
	if names := models.Names(); !slices.Equal(names, archs) {
		t.Errorf("the catalogue is %v, tested are %v", names, archs)
	}
}

// With the head replaced for two classes, total and trained parameters are those of the tutorial's models.
func TestParamCounts(t *testing.T) {
	var golden struct {
		Archs map[string]struct {
			Total     int64    `json:"total"`
			Extract   int64    `json:"trainable_extract"`
			Names     []string `json:"trainable_extract_names"`
			Buffers   int64    `json:"buffers_elements_1000_classes"`
			BatchNorm int      `json:"batchnorm_layers"`
			Size      int      `json:"input_size"`
			Dropout   [][]any  `json:"dropout_layers"`
		}
	}
	readJSON(t, "data/golden/param_counts.json", &golden)
	for _, arch := range models.Names() {
		t.Run(arch, func(t *testing.T) {
			want, ok := golden.Archs[arch]
			if !ok {
				t.Fatal("no golden counts")
			}
			net := build(t, arch, 2)
			if net.Input.H != want.Size {
				t.Errorf("crops to %d, torchvision to %d", net.Input.H, want.Size)
			}
			head, err := models.Match(net, []string{models.Head})
			if err != nil {
				t.Fatal(err)
			}
			batch := models.BatchStats(net, head, models.BatchNormTrain)
			var names []string
			var counters int64
			for i, p := range net.Params {
				if head[i] {
					names = append(names, p.Name)
				}
				if p.Kind == nn.Counter {
					counters++
				}
			}
			if !slices.Equal(names, want.Names) {
				t.Errorf("the head is %v, torchvision's %v", names, want.Names)
			}
			wantCount := nn.Count{Total: want.Total, Trainable: want.Extract, Moving: want.Buffers - counters}
			if got := net.Count(head, batch); got != wantCount {
				t.Errorf("counted %+v, want %+v", got, wantCount)
			}
			if int(counters) != want.BatchNorm {
				t.Errorf("%d batch norms, torchvision has %d", counters, want.BatchNorm)
			}
			var dropout [][]any
			for _, l := range net.Layers {
				if d, ok := l.Op.(nn.Dropout); ok {
					p, _ := strconv.ParseFloat(strconv.FormatFloat(float64(d.P), 'g', -1, 32), 64)
					dropout = append(dropout, []any{l.Name, p})
				}
			}
			if !slices.EqualFunc(dropout, want.Dropout, slices.Equal[[]any]) {
				t.Errorf("dropout %v, torchvision %v", dropout, want.Dropout)
			}
		})
	}
}

// Whatever the size, Build describes a network or says why it cannot.
func TestEverySize(t *testing.T) {
	for _, arch := range models.Names() {
		t.Run(arch, func(t *testing.T) {
			m, _ := models.Lookup(arch)
			least := m.MinSize()
			sizes := []int{298, 299, 300, 320, 512}
			for size := -1; size <= 128; size++ {
				sizes = append(sizes, size)
			}
			for _, size := range sizes {
				net, err := models.Build(arch, 3, size)
				if (err == nil) != (size >= least) {
					t.Fatalf("size %d: %v, but the smallest is %d", size, err, least)
				}
				if err == nil && net.Layers[net.Logits].Out != (nn.Shape{H: 1, W: 1, C: 3}) {
					t.Fatalf("size %d: logits are %v", size, net.Layers[net.Logits].Out)
				}
			}
		})
	}
}

func TestBuildErrors(t *testing.T) {
	tests := []struct {
		name, arch    string
		classes, size int
		want          string
	}{
		{"unknown", "resnet81", 2, 224, `there is no architecture "resnet81"`},
		{"no class", "resnet18", 0, 224, "resnet18 needs at least one class, got 0"},
		{"too small", "vgg16", 2, 31, "vgg16 needs pictures of at least 32 pixels; this run crops to 31, of which 1×1 is left at features.30"},
		{"no picture", "vgg16", 2, 0, "vgg16 needs pictures of at least 32 pixels, got 0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := models.Build(test.arch, test.classes, test.size); err == nil || err.Error() != test.want {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

// The standard deviations of torchvision's initial values, worked out by hand from its constructors; heads are torch's
// default for every family.
func TestInitialValues(t *testing.T) {
	normal := func(std float64) nn.Init { return nn.Init{Dist: nn.Normal, B: std} }
	uniform := func(bound float64) nn.Init { return nn.Init{Dist: nn.Uniform, A: -bound, B: bound} }
	tests := []struct {
		arch, param string
		want        nn.Init
	}{
		{"resnet18", "conv1.weight", normal(math.Sqrt(2. / (64 * 49)))},
		{"resnet18", "bn1.weight", nn.Init{A: 1}},
		{"resnet18", "bn1.running_var", nn.Init{A: 1}},
		{"resnet18", "bn1.running_mean", nn.Init{}},
		{"resnet18", "fc.weight", uniform(1 / math.Sqrt(512))},
		{"resnet18", "fc.bias", uniform(1 / math.Sqrt(512))},
		{"alexnet", "features.0.bias", uniform(1 / math.Sqrt(3*121))},
		{"alexnet", "classifier.1.weight", uniform(1. / 96)},
		{"vgg11", "features.0.weight", normal(math.Sqrt(2. / (64 * 9)))},
		{"vgg11", "features.0.bias", nn.Init{}},
		{"vgg11", "classifier.0.weight", normal(0.01)},
		{"vgg11", "classifier.6.weight", uniform(1. / 64)},
		{"squeezenet1_0", "features.0.weight", uniform(math.Sqrt(6. / (3 * 49)))},
		{"squeezenet1_0", "classifier.1.weight", uniform(1 / math.Sqrt(512))},
		{"densenet121", "features.conv0.weight", normal(math.Sqrt(2. / (3 * 49)))},
		{"densenet121", "classifier.bias", uniform(1. / 32)},
		{"inception_v3", "AuxLogits.conv1.conv.weight", nn.Init{Dist: nn.TruncNormal, B: 0.1}},
		{"inception_v3", "AuxLogits.fc.weight", uniform(1 / math.Sqrt(768))},
		{"mobilenet_v2", "features.1.conv.0.0.weight", normal(math.Sqrt(2. / (32 * 9)))}, // depthwise
		{"mobilenet_v2", "classifier.1.weight", uniform(1 / math.Sqrt(1280))},
	}
	for _, test := range tests {
		t.Run(test.arch+" "+test.param, func(t *testing.T) {
			for _, p := range build(t, test.arch, 2).Params {
				if p.Name != test.param {
					continue
				}
				near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-12*math.Abs(b) }
				if p.Init.Dist != test.want.Dist || !near(p.Init.A, test.want.A) || !near(p.Init.B, test.want.B) {
					t.Errorf("got %+v, want %+v", p.Init, test.want)
				}
				return
			}
			t.Error("no such parameter")
		})
	}
}

// The modules whose results the golden files hold are there under torchvision's names, with its shapes.
func TestModules(t *testing.T) {
	tests := []struct {
		arch, module string
		want         nn.Shape
	}{
		{"resnet18", "maxpool", nn.Shape{H: 56, W: 56, C: 64}},
		{"resnet18", "layer2", nn.Shape{H: 28, W: 28, C: 128}},
		{"resnet50", "layer4.2", nn.Shape{H: 7, W: 7, C: 2048}},
		{"resnet18", "avgpool", nn.Shape{H: 1, W: 1, C: 512}},
		{"squeezenet1_0", "features.12", nn.Shape{H: 13, W: 13, C: 512}},
		{"squeezenet1_1", "features.12", nn.Shape{H: 13, W: 13, C: 512}},
		{"mobilenet_v2", "features.18", nn.Shape{H: 7, W: 7, C: 1280}},
		{"densenet121", "features.denseblock4.denselayer16", nn.Shape{H: 7, W: 7, C: 32}},
		{"densenet121", "features.transition3", nn.Shape{H: 7, W: 7, C: 512}},
		{"inception_v3", "Mixed_6e", nn.Shape{H: 17, W: 17, C: 768}},
		{"inception_v3", "Mixed_7c", nn.Shape{H: 8, W: 8, C: 2048}},
		{"inception_v3", "AuxLogits", nn.Shape{H: 1, W: 1, C: 2}},
		{"vgg16", "avgpool", nn.Shape{H: 7, W: 7, C: 512}},
		{"alexnet", "features", nn.Shape{H: 6, W: 6, C: 256}},
	}
	for _, test := range tests {
		t.Run(test.arch+" "+test.module, func(t *testing.T) {
			net := build(t, test.arch, 2)
			x, ok := net.Modules[test.module]
			if !ok {
				t.Fatal("no such module")
			}
			if got := net.Layers[x].Out; got != test.want {
				t.Errorf("its result is %v, want %v", got, test.want)
			}
		})
	}
}
