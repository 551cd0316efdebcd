package weights

import (
	"slices"
)

// Entry is one of torchvision's published files of weights.
type Entry struct {
	Arch          string  // torchvision's name of the architecture, "resnet50"
	Name          string  // torchvision's name of the weights, "IMAGENET1K_V2"
	File          string  // "resnet50-11ad3fa6.pth"
	HashPrefix    string  // the first 8 hex digits of the file's SHA-256, which its name ends in
	URL           string  // where it is published
	SizeMiB       float64 // size of the file as torchvision states it, 2^20 bytes
	Preprocessing Preprocessing
}

// Preprocessing is what was done to the pictures that the weights were trained for: the shorter side resized to Resize
// pixels with antialiasing, the middle Crop x Crop pixels taken, values divided by 255, then (x - Mean) / Std for each of
// red, green and blue.
type Preprocessing struct {
	Resize, Crop  int
	Interpolation string // "bilinear"
	Mean, Std     [3]float32
}

// torchvision's ImageClassification preset (torchvision/transforms/_presets.py).
var (
	preset224 = Preprocessing{256, 224, "bilinear", imagenetMean, imagenetStd}
	// The newer training recipe was evaluated at its own best resize.
	preset232 = Preprocessing{232, 224, "bilinear", imagenetMean, imagenetStd}
	// Inception's weights are Google's. Torchvision normalises with ImageNet's mean and deviation like everywhere, and
	// the model undoes that and normalises with 0.5 and 0.5 (torchvision/models/inception.py, _transform_input, on
	// whenever these weights are loaded). Both together are this.
	presetInception = Preprocessing{342, 299, "bilinear", [3]float32{0.5, 0.5, 0.5}, [3]float32{0.5, 0.5, 0.5}}

	imagenetMean = [3]float32{0.485, 0.456, 0.406}
	imagenetStd  = [3]float32{0.229, 0.224, 0.225}
)

const (
	v1 = "IMAGENET1K_V1"
	v2 = "IMAGENET1K_V2"

	// Default is torchvision's alias for an architecture's best weights.
	Default = "DEFAULT"

	baseURL = "https://download.pytorch.org/models/"
)

// catalogue is from the *_Weights classes of torchvision 0.29's torchvision/models/*.py. Of the families listed it leaves
// out VGG16's IMAGENET1K_FEATURES, which has no numbers for the classifier. The last entry of an architecture is its
// default, as it is torchvision's.
var catalogue = []Entry{
	entry("alexnet", v1, "alexnet-owt-7be5be79.pth", 233.087, preset224),
	entry("densenet121", v1, "densenet121-a639ec97.pth", 30.845, preset224),
	entry("densenet161", v1, "densenet161-8d451a50.pth", 110.369, preset224),
	entry("densenet169", v1, "densenet169-b2777c0a.pth", 54.708, preset224),
	entry("densenet201", v1, "densenet201-c1103571.pth", 77.373, preset224),
	entry("inception_v3", v1, "inception_v3_google-0cc3c7bd.pth", 103.903, presetInception),
	entry("mobilenet_v2", v1, "mobilenet_v2-b0353104.pth", 13.555, preset224),
	entry("mobilenet_v2", v2, "mobilenet_v2-7ebf99e0.pth", 13.598, preset232),
	entry("resnet18", v1, "resnet18-f37072fd.pth", 44.661, preset224),
	entry("resnet34", v1, "resnet34-b627a593.pth", 83.275, preset224),
	entry("resnet50", v1, "resnet50-0676ba61.pth", 97.781, preset224),
	entry("resnet50", v2, "resnet50-11ad3fa6.pth", 97.79, preset232),
	entry("resnet101", v1, "resnet101-63fe2227.pth", 170.511, preset224),
	entry("resnet101", v2, "resnet101-cd907fc2.pth", 170.53, preset232),
	entry("resnet152", v1, "resnet152-394f9c45.pth", 230.434, preset224),
	entry("resnet152", v2, "resnet152-f82ba261.pth", 230.474, preset232),
	entry("squeezenet1_0", v1, "squeezenet1_0-b66bff10.pth", 4.778, preset224),
	entry("squeezenet1_1", v1, "squeezenet1_1-b8a52dc0.pth", 4.729, preset224),
	entry("vgg11", v1, "vgg11-8a719046.pth", 506.84, preset224),
	entry("vgg11_bn", v1, "vgg11_bn-6002323d.pth", 506.881, preset224),
	entry("vgg13", v1, "vgg13-19584684.pth", 507.545, preset224),
	entry("vgg13_bn", v1, "vgg13_bn-abd245e5.pth", 507.59, preset224),
	entry("vgg16", v1, "vgg16-397923af.pth", 527.796, preset224),
	entry("vgg16_bn", v1, "vgg16_bn-6c64b313.pth", 527.866, preset224),
	entry("vgg19", v1, "vgg19-dcbb9e9d.pth", 548.051, preset224),
	entry("vgg19_bn", v1, "vgg19_bn-c79401a0.pth", 548.143, preset224),
}

func entry(arch, name, file string, sizeMiB float64, p Preprocessing) Entry {
	return Entry{
		Arch: arch, Name: name, File: file, HashPrefix: hashPrefix(file),
		URL: baseURL + file, SizeMiB: sizeMiB, Preprocessing: p,
	}
}

// hashPrefix cuts the digits out of "name-01234567.pth".
func hashPrefix(file string) string {
	const digits, suffix = 8, len(".pth")
	return file[len(file)-suffix-digits : len(file)-suffix]
}

// Find returns the weights of an architecture by torchvision's name or its alias Default.
func Find(arch, name string) (Entry, bool) {
	for _, e := range slices.Backward(catalogue) {
		if e.Arch == arch && (e.Name == name || name == Default) {
			return e, true
		}
	}
	return Entry{}, false
}

// Names lists the names of an architecture's weights, oldest first and without the alias; none for an architecture that
// is unknown.
func Names(arch string) []string {
	var names []string
	for _, e := range catalogue {
		if e.Arch == arch {
			names = append(names, e.Name)
		}
	}
	return names
}
