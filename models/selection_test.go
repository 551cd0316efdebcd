package models_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/models"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		name, arch string
		patterns   []string
		first      string // the first parameter that is picked
		count      int
	}{
		{"head of a resnet", "resnet18", []string{"head"}, "fc.weight", 2},
		{"head of a squeezenet", "squeezenet1_0", []string{"head"}, "classifier.1.weight", 2},
		{"both heads of inception", "inception_v3", []string{"head"}, "AuxLogits.fc.weight", 4},
		{"everything", "resnet18", []string{"**"}, "conv1.weight", 62},
		{"everything by one star, for modules stand for what is in them", "resnet18", []string{"*"}, "conv1.weight", 62},
		{"an exact name", "resnet18", []string{"fc.bias"}, "fc.bias", 1},
		{"a module", "resnet18", []string{"layer4"}, "layer4.0.conv1.weight", 15},
		{"all in a module", "resnet18", []string{"layer4.**"}, "layer4.0.conv1.weight", 15},
		{"modules in a module", "densenet121", []string{"features.denseblock4.*"},
			"features.denseblock4.denselayer1.norm1.weight", 16 * 6},
		{"letters within a part", "resnet18", []string{"layer?.0.conv*"}, "layer1.0.conv1.weight", 8},
		{"any depth before", "resnet18", []string{"**.bias"}, "bn1.bias", 21},
		{"any depth between", "resnet18", []string{"layer1.**.weight"}, "layer1.0.conv1.weight", 8},
		{"any depth, very often", "resnet18", []string{strings.Repeat("**.", 500) + "fc.bias"}, "fc.bias", 1},
		{"two patterns that overlap", "resnet18", []string{"head", "fc.**", "layer4.1"}, "layer4.1.conv1.weight", 8},
		{"none", "resnet18", nil, "", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			net := build(t, test.arch, 2)
			picked, err := models.Match(net, test.patterns)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for i, p := range picked {
				if p {
					names = append(names, net.Params[i].Name)
					if net.Params[i].Kind != nn.Weight {
						t.Errorf("%s is picked and is no weight", net.Params[i].Name)
					}
				}
			}
			if len(names) != test.count || test.count > 0 && names[0] != test.first {
				t.Errorf("picked %d: %v; want %d from %s on", len(names), names, test.count, test.first)
			}
		})
	}
}

func TestMatchErrors(t *testing.T) {
	tests := []struct{ name, pattern, want string }{
		{"a slip in a name", "fc.wieght", `did you mean "fc.weight"?`},
		{"a slip before a glob", "layr4.**", `did you mean "layer4.**"?`},
		{"a slip in head", "haed", `did you mean "head"?`},
		{"another family's name", "classifier.**", "its outermost modules are conv1, bn1, layer1, layer2, layer3, layer4, fc"},
		{"a buffer", "bn1.running_mean", "bn1.running_mean is not trained"},
		{"any depth, very often, and no such part", strings.Repeat("**.", 500) + "nothing", "outermost modules"},
		{"a part too many", "fc.weight.0", `did you mean "fc.weight"?`},
		{"an empty part", "layer1..conv1", `is malformed at ""`},
		{"no pattern", "", `is malformed at ""`},
		{"an open bracket", "layer[1", `is malformed at "layer[1"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := models.Match(build(t, "resnet18", 2), []string{"head", test.pattern})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestBatchStats(t *testing.T) {
	tests := []struct {
		name, arch string
		trainable  string
		mode       string
		layers     int
		moving     int64
	}{
		{"all train", "resnet18", "**", models.BatchNormAuto, 20, 9600},
		{"only the head trains", "resnet18", "head", models.BatchNormAuto, 0, 0},
		{"the tutorial's extract", "resnet18", "head", models.BatchNormTrain, 20, 9600},
		{"frozen, whatever trains", "resnet18", "**", models.BatchNormFrozen, 0, 0},
		{"by layer", "resnet18", "layer4", models.BatchNormAuto, 5, 5 * 2 * 512},
		{"by layer, where only a convolution trains", "resnet18", "layer4.*.conv?", models.BatchNormAuto, 0, 0},
		{"none to speak of", "alexnet", "**", models.BatchNormTrain, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			net := build(t, test.arch, 2)
			trainable, err := models.Match(net, []string{test.trainable})
			if err != nil {
				t.Fatal(err)
			}
			batch := models.BatchStats(net, trainable, test.mode)
			layers := len(slices.DeleteFunc(slices.Clone(batch), func(b bool) bool { return !b }))
			if moving := net.Count(trainable, batch).Moving; layers != test.layers || moving != test.moving {
				t.Errorf("%d layers move %d elements, want %d and %d", layers, moving, test.layers, test.moving)
			}
		})
	}
}
