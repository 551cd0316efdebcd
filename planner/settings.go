package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ftrun/ftrun/spec"
)

// A filler turns one evaluated run block into settings in canonical form. What a block can't say whatever the rest, spec
// has refused; the filler complains of what only shows with the defaults: by mode, weights and architecture.
type filler struct {
	p *planning
	c *candidate
}

// settings gives them, or false where they make no sense.
func (f *filler) settings() (s *Settings, ok bool) {
	p, run := f.p, f.c.run
	before := p.faults
	s = new(Settings)

	s.Arch, s.Mode = run.Arch, run.Mode
	if !slices.Contains(p.archs, s.Arch) {
		f.fault("arch", "Unknown architecture", "There is no architecture %q.%s", s.Arch, didYouMean(s.Arch, p.archs))
		return s, false
	}
	var transform Image
	s.Weights, transform = f.weights(run.Weights, s.Arch, s.Mode)
	s.Trainable, s.BatchNorm = f.trained(run)

	s.Epochs = or(run.Epochs, defaultEpochs)
	s.BatchSize = or(run.BatchSize, defaultBatchSize)
	s.Image = f.image(run.Image, transform)
	s.Augment = augment(run.Augment, s.Image)
	s.Optimizer = optimizer(run.Optimizer)
	s.ParamGroups = paramGroups(run.ParamGroups)
	s.Schedule = f.schedule(run.Schedule, s.Optimizer.LR, s.Epochs)
	if s.Schedule != nil && s.Schedule.Kind == "onecycle" {
		s.Optimizer.LR = s.Schedule.MaxLR // the schedule takes it from there
	}
	s.Monitor = or(run.Monitor, defaultMonitor)
	s.EarlyStop = earlyStop(run.EarlyStop, s.Monitor)
	s.LabelSmoothing = or(run.LabelSmooth, 0)
	s.ClassWeights = or(run.ClassWeights, "")
	s.GradClip = or(run.GradClip, 0)
	s.Numerics = or(run.Numerics, defaultNumerics)
	s.Precision = or(run.Precision, defaultPrecision)
	s.Deterministic = or(run.Deterministic, defaultDeterministic)
	return s, p.faults == before
}

// weights resolves what the run starts from, and the transform that goes with it.
func (f *filler) weights(w *spec.Weights, arch, mode string) (Weights, Image) {
	resize, crop := f.p.world.Models.DefaultImage(arch)
	plain := Image{Resize: resize, Crop: crop, Mean: imageNetMean, Std: imageNetStd}
	if mode == "scratch" {
		return Weights{Kind: "none"}, plain
	}
	if w == nil {
		w = &spec.Weights{Catalogue: defaultWeights}
	}
	switch {
	case w.File != "":
		file, unfit := f.p.weightsFile(w.File, arch)
		switch {
		case file.err != nil:
			f.fault("weights", "Weights can't be read",
				"The file of weights %s can't be read: %v. The path is taken relative to the file that names it.", w.File, file.err)
		case unfit != nil:
			f.fault("weights", "Weights of no use", "No run of %s can start from this file: %v.", arch, unfit)
		}
		return Weights{Kind: "file", Path: w.File, SHA256: file.sum}, plain
	case w.Run != "", w.SweepBest != "":
		return f.upstream(plain)
	}
	entry, ok := f.p.world.Weights.Lookup(arch, w.Catalogue)
	if !ok {
		names := f.p.world.Weights.Names(arch)
		known := "has no pretrained weights at all: name a file, or set mode to \"scratch\""
		if len(names) > 0 {
			known = "has " + quoted(names)
		}
		f.fault("weights", "Unknown weights", "There are no weights %q for %s, which %s.%s A name that contains / or ends in .pth, .pt or "+
			".safetensors is a file.", w.Catalogue, arch, known, didYouMean(w.Catalogue, names))
	}
	return Weights{Kind: "catalogue", Name: entry.Name}, entry.Image
}

// trained gives the patterns of trained parameters, sorted, and the rule for batch-norm statistics.
func (f *filler) trained(run *spec.Run) (patterns []string, batchNorm string) {
	switch {
	case run.Trainable == nil && run.Mode == "extract":
		patterns, batchNorm = headAlone, "frozen"
	case run.Trainable == nil:
		patterns, batchNorm = everything, "train"
	default:
		if run.Mode == "extract" {
			f.fault("trainable", "Trainable contradicts the mode",
				`Mode "extract" trains the head alone. To choose what is trained, set mode to "finetune" and keep trainable.`)
		}
		if len(run.Trainable) == 0 {
			f.fault("trainable", "Nothing to train", `trainable names nothing. Give patterns of parameters, such as "head" or "layer4.**".`)
		}
		patterns = slices.Clone(run.Trainable)
		slices.Sort(patterns)
		patterns, batchNorm = slices.Compact(patterns), "auto"
		if slices.Contains(patterns, "**") {
			patterns, batchNorm = everything, "train" // which is what "auto" means where all layers train
		}
	}
	if run.BatchNorm != nil {
		batchNorm = *run.BatchNorm
	}
	return patterns, batchNorm
}

var (
	everything = []string{"**"}
	headAlone  = []string{"head"}
)

// image applies the image block to the transform of the weights.
func (f *filler) image(given *spec.Image, transform Image) Image {
	if given == nil {
		return transform
	}
	if given.Crop != nil {
		transform.Crop = *given.Crop
		transform.Resize = resizeFor(transform.Crop)
	}
	if given.Resize != nil {
		transform.Resize = *given.Resize
	}
	if transform.Resize < transform.Crop {
		f.fault("image.resize", "Crop larger than the picture",
			"The shorter side is resized to %d pixels, of which a centre crop of %d can't be taken. Give image.resize at least the value of image.crop; without image.resize it is image.crop · 256/224.",
			transform.Resize, transform.Crop)
	}
	return transform
}

func optimizer(given *spec.Optimizer) Optimizer {
	if given == nil {
		given = &spec.Optimizer{Kind: defaultOptimizer}
	}
	o := Optimizer{Kind: given.Kind, LR: or(given.LR, defaultLR)}
	if o.Kind == "sgd" {
		o.Momentum = or(given.Momentum, defaultMomentum)
		o.WeightDecay = or(given.WeightDecay, 0)
		o.Nesterov = or(given.Nesterov, false)
		return o
	}
	decay := 0.0
	if o.Kind == "adamw" {
		decay = defaultAdamWDecay
	}
	o.WeightDecay = or(given.WeightDecay, decay)
	o.Beta1, o.Beta2 = or(given.Beta1, defaultBeta1), or(given.Beta2, defaultBeta2)
	o.Eps = or(given.Eps, defaultEps)
	return o
}

// paramGroups keeps the groups' order: of two that name a parameter the first takes it.
func paramGroups(given []spec.ParamGroup) []ParamGroup {
	if len(given) == 0 {
		return nil
	}
	groups := make([]ParamGroup, len(given))
	for i, g := range given {
		groups[i] = ParamGroup(g)
	}
	return groups
}

// schedule gives nil for a constant learning rate.
func (f *filler) schedule(given *spec.Schedule, lr float64, epochs int) *Schedule {
	if given == nil {
		return nil
	}
	s := &Schedule{Kind: given.Kind, Warmup: or(given.Warmup, 0)}
	if s.Warmup >= epochs {
		f.fault("schedule.warmup", "Warmup as long as the run", "The warmup takes %d epochs and the run has %d, so the schedule would never start.", s.Warmup, epochs)
	}
	switch s.Kind {
	case "constant":
		if s.Warmup == 0 {
			return nil
		}
	case "step":
		s.StepSize, s.Gamma = *given.StepSize, or(given.Gamma, defaultGamma)
	case "multistep":
		s.Milestones, s.Gamma = given.Milestones, or(given.Gamma, defaultGamma)
		if last := s.Milestones[len(s.Milestones)-1]; last >= epochs {
			f.fault("schedule.milestones", "Setting without effect", "The milestone %d comes when the run, of %d epochs, is over.", last, epochs)
		}
	case "cosine":
		s.MinLR = or(given.MinLR, 0)
	case "plateau":
		s.Factor, s.Patience = or(given.Factor, defaultPlateauFactor), or(given.Patience, defaultPlateauPatience)
		s.MinLR = or(given.MinLR, 0)
	case "onecycle":
		s.MaxLR, s.PctStart = or(given.MaxLR, lr), or(given.PctStart, defaultPctStart)
	default:
		panic("planner: a schedule of kind " + s.Kind + ", which spec should not let through")
	}
	return s
}

func earlyStop(given *spec.EarlyStop, monitor string) *EarlyStop {
	if given == nil {
		return nil
	}
	if given.Monitor != "" {
		monitor = given.Monitor
	}
	return &EarlyStop{Monitor: monitor, Patience: given.Patience, MinDelta: given.MinDelta}
}

func (f *filler) fault(path, summary, format string, args ...any) {
	f.p.fault(f.c, path, summary, format, args...)
}

// or is the given value, or the default where none is given.
func or[T any](given *T, otherwise T) T {
	if given != nil {
		return *given
	}
	return otherwise
}

// quoted lists names for a sentence: "a", "b" or "c".
func quoted(names []string) string {
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = fmt.Sprintf("%q", n)
	}
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " or " + parts[len(parts)-1]
}
