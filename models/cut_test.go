package models_test

import (
	"fmt"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/models"
)

func TestCut(t *testing.T) {
	tests := []struct {
		name, arch, batchNorm string
		trainable             []string
		training, evaluation  string // the cuts, "" for none
	}{
		{"the vector behind the last pooling", "resnet18", "frozen", []string{"head"}, "flatten 1×1×512", "flatten 1×1×512"},
		{"the head's dropout comes first", "squeezenet1_1", "frozen", []string{"head"}, "features.12.cat 13×13×512", "features.12.cat 13×13×512"},
		{"dropout between layers", "alexnet", "frozen", []string{"head"}, "flatten 1×1×9216", "classifier.5 1×1×4096"},
		{"dropout between layers, vgg", "vgg11_bn", "frozen", []string{"head"}, "classifier.1 1×1×4096", "classifier.4 1×1×4096"},
		{"densenet", "densenet121", "frozen", []string{"head"}, "flatten 1×1×1024", "flatten 1×1×1024"},
		{"mobilenet", "mobilenet_v2", "frozen", []string{"head"}, "flatten 1×1×1280", "flatten 1×1×1280"},
		{"both heads", "inception_v3", "frozen", []string{"head"}, "Mixed_6e.cat 17×17×768", "flatten 1×1×2048"},
		{"the auxiliary head alone", "inception_v3", "frozen", []string{"AuxLogits.**"}, "Mixed_6e.cat 17×17×768", "flatten 1×1×2048"},
		{"a block and the head", "resnet18", "auto", []string{"layer4.**", "head"}, "layer3.1.relu_1 14×14×256", "layer3.1.relu_1 14×14×256"},
		{"inside a residual block: before it", "resnet18", "auto", []string{"layer4.1.bn2.*"}, "layer4.0.relu_1 7×7×512", "layer4.0.relu_1 7×7×512"},
		{"beside a frozen branch: before both", "resnet18", "auto", []string{"layer3.0.downsample.**"}, "layer2.1.relu_1 28×28×128", "layer2.1.relu_1 28×28×128"},
		{"all trained", "resnet18", "train", []string{"**"}, "", ""},
		{"all trained, statistics frozen", "resnet18", "frozen", []string{"**"}, "", ""},
		{"statistics that move after one convolution: not worth it", "resnet18", "train", []string{"head"}, "", ""},
		{"statistics that move, without batch norm", "alexnet", "train", []string{"head"}, "flatten 1×1×9216", "classifier.5 1×1×4096"},
		{"a batch norm behind a frozen convolution, into which it is folded in evaluation", "mobilenet_v2", "auto", []string{"features.18.1.*"}, "features.18.0 7×7×1280", "features.17.conv.3 7×7×320"},
		{"one block late", "mobilenet_v2", "auto", []string{"features.18.**", "head"}, "features.17.conv.3 7×7×320", "features.17.conv.3 7×7×320"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, _ := models.Lookup(test.arch)
			net, trainable, stats := selected(t, test.arch, m.Crop, test.trainable, test.batchNorm)
			for _, half := range []struct {
				training bool
				want     string
			}{{true, test.training}, {false, test.evaluation}} {
				got := ""
				if cut, ok := net.Cut(half.training, trainable, stats); ok {
					got = fmt.Sprintf("%s %v", net.Name(cut.At), cut.Shape)
					if work := net.Before(cut.At).Work(nil).Forward; work != cut.Work {
						t.Errorf("%s: work %d, counted %d", got, cut.Work, work)
					}
				}
				if got != half.want {
					t.Errorf("training %v: the cut is %q, want %q", half.training, got, half.want)
				}
			}
		})
	}
}

// selected builds a network and says what of it trains.
func selected(t *testing.T, arch string, size int, patterns []string, batchNorm string) (net *nn.Net, trainable, stats []bool) {
	t.Helper()
	net, err := models.Build(arch, 3, size)
	if err != nil {
		t.Fatal(err)
	}
	if trainable, err = models.Match(net, patterns); err != nil {
		t.Fatal(err)
	}
	return net, trainable, models.BatchStats(net, trainable, batchNorm)
}

// TestSameBitsInTwoParts: a step over features is a step over the pictures, whatever the batches they were made in.
func TestSameBitsInTwoParts(t *testing.T) {
	const pictures = 6
	for _, test := range []struct {
		arch      string
		size      int
		trainable []string
		large     bool
	}{
		{"alexnet", 63, []string{"head"}, false},
		{"squeezenet1_1", 51, []string{"head"}, false},
		{"resnet18", 49, []string{"layer4.**", "head"}, false},
		{"resnet50", 32, []string{"layer4.2.bn2.*"}, false},
		{"densenet121", 32, []string{"features.denseblock4.denselayer16.**"}, false},
		{"mobilenet_v2", 48, []string{"head"}, false},
		{"mobilenet_v2", 96, []string{"features.18.1.*"}, false},
		{"inception_v3", 299, []string{"head"}, true},
	} {
		t.Run(test.arch+" "+test.trainable[0], func(t *testing.T) {
			if testing.Short() && test.arch != "mobilenet_v2" || test.large && !goldenAll {
				t.Skip("takes long: set FTRUN_GOLDEN=all")
			}
			t.Parallel()
			net, trainable, stats := selected(t, test.arch, test.size, test.trainable, models.BatchNormAuto)
			x := formulaPictures(7, pictures, test.size)
			s := started(t, net, nil, 2)
			run := func(net *nn.Net, set nn.Settings, x []float32, step uint64) (*nn.Program, nn.Result) {
				p, err := nn.Compile(net, s, set)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { p.Close() })
				var labels []int
				if set.Training {
					labels = []int{0, 1, 2, 0, 1, 2}
				}
				out, err := p.Run(x, labels, step)
				if err != nil {
					t.Fatal(err)
				}
				return p, out
			}
			for _, training := range []bool{false, true} {
				cut, ok := net.Cut(training, trainable, stats)
				if !ok {
					t.Fatal("there is no cut")
				}
				var features []float32
				for lo, n := 0, net.Input.Len(); lo < pictures; lo += 2 {
					_, out := run(net.Before(cut.At), nn.Settings{Batch: 2, Numerics: kernels.Default}, x[lo*n:(lo+2)*n], 0)
					features = append(features, out.Logits...)
				}
				set := nn.Settings{Batch: pictures, Numerics: kernels.Default}
				if training {
					set.Training, set.Trainable, set.DropoutSeed = true, trainable, 5
					// The statistics are left alone here: a step that moves them can't be taken twice.
				}
				whole, want := run(net, set, x, 3)
				part, got := run(net.After(cut.At), set, features, 3)
				if !sameBits(got.Logits, want.Logits) || got.Loss != want.Loss {
					t.Errorf("training %v, cut at %s: the logits or the loss of the parts are not those of the whole", training, net.Name(cut.At))
				}
				for i, yes := range trainable {
					if !training || !yes {
						continue
					}
					a, err := whole.GradientTorch(i)
					if err != nil {
						t.Fatal(err)
					}
					b, err := part.GradientTorch(i)
					if err != nil {
						t.Fatal(err)
					}
					if a == nil || !sameBits(a, b) {
						t.Errorf("the gradient of %s is another in the part than in the whole", net.Params[i].Name)
					}
				}
			}
		})
	}
}
