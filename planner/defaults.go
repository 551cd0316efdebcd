package planner

import "math"

// What a setting is where the file doesn't give it. Those of optimizers, schedules and augmentations are torch's and
// torchvision's, except where a comment says otherwise; those that depend on mode, weights or architecture are in
// settings.go beside the code that decides.
const (
	defaultWeights   = "IMAGENET1K_V1" // of the pretrained modes
	defaultEpochs    = 15              // as PyTorch's tutorial on finetuning torchvision models
	defaultBatchSize = 8               // the same

	defaultOptimizer  = "sgd"
	defaultLR         = 0.001 // the tutorial's; torch's too
	defaultMomentum   = 0.9   // the tutorial's; torch's is 0
	defaultBeta1      = 0.9
	defaultBeta2      = 0.999
	defaultEps        = 1e-8
	defaultAdamWDecay = 0.01

	defaultGamma           = 0.1
	defaultPlateauFactor   = 0.1
	defaultPlateauPatience = 10
	defaultPctStart        = 0.3

	defaultMonitor  = "val_acc"
	defaultNumerics = "default"
	// The id leaves the device out, so the default can't depend on it: fp32, which every device has.
	defaultPrecision     = "fp32"
	defaultDeterministic = true
)

// The transform of ImageNet weights: means and standard deviations of its training pictures, as torchvision gives them.
var (
	imageNetMean = [3]float32{0.485, 0.456, 0.406}
	imageNetStd  = [3]float32{0.229, 0.224, 0.225}
)

// resizeFor is the shorter side for a crop that is given alone: in the proportion of 256 to 224.
func resizeFor(crop int) int { return int(math.Round(float64(crop) * 256 / 224)) }

// DefaultImage is the transform of weights that bring none of their own: ImageNet's, at the given sizes in pixels.
func DefaultImage(resize, crop int) Image {
	return Image{Resize: resize, Crop: crop, Mean: imageNetMean, Std: imageNetStd}
}
