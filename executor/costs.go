package executor

import (
	"context"
	"math"
	"strings"

	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/speed"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/models"
	"github.com/ftrun/ftrun/planner"
)

// What a run will take of time is rehearsed, as what it will hold is: the steps ask their operations of a recorder, and a
// profile of the machine says how long those take.

// Costs tells what trainings take on this machine: planner.Costs. It remembers what it was asked, and is not for
// concurrent use.
type Costs struct {
	Device  kernels.Device // or one like it, which may be in use meanwhile
	Threads int
	// Speeds are those of the device; nil: not known, and so is no time but that of what was trained before.
	Speeds *speed.Profile
	// Paces are what trainings took here before, by Sort; nil: none is known.
	Paces func(Sort) (Pace, bool)

	// As in Options.
	CacheBytes, FeatureMemory int64
	SaveAfter                 float64 // seconds

	courses map[courseKey]*course
}

var _ planner.Costs = (*Costs)(nil)

// What a run does beside its steps, in seconds of one core of an AMD EPYC of 2024 with a local disk: measured on pictures of
// hymenoptera, on weights of resnet18 and on programs of 150 to 1,100 operations, and rounded. Beside minutes of training it
// is little.
const (
	decodePixel   = 5e-9   // of a JPEG
	decodedPixels = 2e5    // of a picture of unknown size
	preparePixel  = 3.3e-9 // resize, crop, flip, normalise, by the pixel that the network sees
	nodeSeconds   = 1e-6   // that Gorgonia takes for an operation of a program
	compileNode   = 6e-5   // and to compile it; twice as much in networks of a thousand
	readByte      = 2.5e-9 // of weights: read, hash, put in order
	drawByte      = 1e-8   // of weights that are drawn
	touchByte     = 3e-10  // of memory that the system gives
	writeByte     = 2.5e-9 // of what is kept: read from the device, put in order, hash, write, sync
	beginSeconds  = 0.01   // of any run: folders, leases, status
)

// Sizes of what a run leaves beside tensors, in bytes.
const (
	descriptions   = 3 << 10 // config.json and status.json
	tensorHeader   = 120     // an entry in the header of a file of tensors
	epochLine      = 420     // of metrics.jsonl
	predictionLine = 230     // of predictions.jsonl
	number         = 12      // digits of a probability
)

// Training estimates a training of which some epochs are done; zero where the settings can't be trained.
func (c *Costs) Training(s *planner.Settings, d *planner.Dataset, sharing *planner.Sharing, done int) planner.Estimate {
	k := c.course(s, d, sharing)
	if k == nil {
		return planner.Estimate{}
	}
	classes := int64(len(d.Classes))
	metrics := int64(s.Epochs) * (epochLine + classes*number)
	if classes <= 50 {
		metrics += int64(s.Epochs) * classes * classes * 4
	}
	predictions := int64(d.Pictures[data.Val]) * (predictionLine + classes*number)
	return planner.Estimate{
		Memory:       k.memory.Peak(),
		DeviceMemory: k.onDevice,
		Seconds:      c.seconds(k, s, d, sharing, float64(max(s.Epochs-done, 0))),
		Disk:         k.all + k.state + int64(k.tensors)*tensorHeader + metrics + predictions + descriptions,
	}
}

// seconds is the time of so many epochs of a training, its begin and its end.
func (c *Costs) seconds(k *course, s *planner.Settings, d *planner.Dataset, sharing *planner.Sharing, epochs float64) float64 {
	pace, paced := Pace{}, false
	if c.Paces != nil {
		pace, paced = c.Paces(SortOf(s, d, sharing, c.CacheBytes))
	}
	if c.Speeds == nil && !paced {
		return 0
	}
	train, val, test := float64(d.Pictures[data.Train]), float64(d.Pictures[data.Val]), float64(d.Pictures[data.Test])
	trainPicture, evalPicture := pace.Train, pace.Val
	if !paced {
		trainPicture = k.step/float64(k.batch) + c.fetch(s, sharing.Train)
		evalPicture = k.evaluation/float64(k.evalBatch) + c.fetch(s, sharing.Val)
	}
	// Pictures are decoded in the first epoch, and again in each that follows where memory does not hold them: then it is part
	// of the pace, which is that of later epochs.
	decodings, again := min(epochs, 1), decodedBytes(s, d, sharing) > float64(c.CacheBytes)
	switch {
	case again && paced:
		decodings = 0
	case again:
		decodings = epochs
	}
	epoch := train*trainPicture + val*evalPicture + k.packing
	seconds := beginSeconds + k.start + epochs*epoch + test*evalPicture
	seconds += decodings * decodedPictures(d, sharing) * c.decode(d) / float64(c.Threads)
	// Checkpoints are due at the end, and after each epoch, or some, before; the best so far is written with them.
	saves := max(1, min(epochs, math.Ceil(epochs*epoch/max(c.SaveAfter, epoch))))
	return seconds + saves*writeByte*float64(k.all+k.state)
}

// decodedPictures is how many pictures a training decodes.
func decodedPictures(d *planner.Dataset, sharing *planner.Sharing) (n float64) {
	if sharing.Train == nil {
		n += float64(d.Pictures[data.Train])
	}
	if sharing.Val == nil {
		n += float64(d.Pictures[data.Val])
	}
	return n
}

// decodedBytes is what they take of memory, as they are kept there.
func decodedBytes(s *planner.Settings, d *planner.Dataset, sharing *planner.Sharing) float64 {
	pixels := decodedPixels
	if s.Augment == nil {
		pixels = float64(s.Image.Crop * s.Image.Crop)
	}
	return 3 * pixels * decodedPictures(d, sharing)
}

// decode is the processor's time to decode a picture.
func (c *Costs) decode(d *planner.Dataset) float64 {
	if d.Synthetic != nil {
		return decodePixel * float64(d.Synthetic.Size*d.Synthetic.Size)
	}
	return decodePixel * decodedPixels
}

// fetch is the time to get what the network sees of a picture, decoded before: from the picture, or from its features.
func (c *Costs) fetch(s *planner.Settings, f *planner.Features) float64 {
	if f == nil {
		return c.prepare(s) / float64(c.Threads)
	}
	return 2 * c.Speeds.Cold * float64(f.Shape[0]*f.Shape[1]*f.Shape[2]) // from one place of the memory to another
}

// prepare is the processor's time to make of a decoded picture what the network sees.
func (c *Costs) prepare(s *planner.Settings) float64 {
	return preparePixel * float64(s.Image.Crop*s.Image.Crop)
}

// StartedBy is part of planner.Costs. It changes nothing: Device, Threads and CacheBytes say what trainings are given.
func (c *Costs) StartedBy(*planner.Launch) {}

// Process is part of planner.Costs.
func (c *Costs) Process() (threads int, memory int64) { return c.Threads, BaseMemory }

// Features estimates what it takes to compute the features that runs share; zero where that can't be done, which is for the
// run to tell.
func (c *Costs) Features(s *planner.Settings, d *planner.Dataset, sharing *planner.Sharing) planner.Estimate {
	seconds, err := c.featureSeconds(s, d, sharing)
	if err != nil {
		return planner.Estimate{}
	}
	memory, onDevice, err := FeatureMemory(c.Device, c.Threads, s, d, sharing, c.featureLimits())
	if err != nil {
		return planner.Estimate{}
	}
	return planner.Estimate{Seconds: seconds, Memory: memory, DeviceMemory: onDevice, Disk: sharing.Bytes()}
}

// featureLimits are those of a machine with room enough.
func (c *Costs) featureLimits() FeatureLimits {
	return FeatureLimits{Results: c.FeatureMemory, All: math.MaxInt64, Device: math.MaxInt64}
}

func (c *Costs) featureSeconds(s *planner.Settings, d *planner.Dataset, sharing *planner.Sharing) (float64, error) {
	if c.Speeds == nil {
		return 0, nil
	}
	t := &training{run: &planner.Run{}, set: s, device: speed.NewRecorder(c.Device)}
	if err := t.describe(len(d.Classes)); err != nil {
		return 0, err
	}
	numerics, err := kernels.ParseNumerics(s.Numerics)
	if err != nil {
		return 0, err
	}
	train, eval := t.cuts(sharing)
	seconds := 0.0
	for _, part := range []struct {
		cut *nn.Cut
		of  []*planner.Features
	}{
		{train, []*planner.Features{sharing.Train}},
		{eval, []*planner.Features{sharing.Val, sharing.Test}},
	} {
		if part.cut == nil {
			continue
		}
		pictures := 0
		for _, f := range part.of {
			if f != nil {
				pictures += f.Pictures * f.Views
				seconds += writeByte * float64(f.Bytes)
			}
		}
		before := t.net.Before(part.cut.At)
		fill, err := t.fillBatch(c.Device, c.Threads, part.cut, pictures, c.featureLimits())
		if err != nil {
			return 0, err
		}
		first, each, err := c.evaluations(before, numerics, fill.batch)
		if err != nil {
			return 0, err
		}
		seconds += first - each + float64(pictures)*(each/float64(fill.batch)+(c.decode(d)+c.prepare(s))/float64(c.Threads))
	}
	return seconds, nil
}

// evaluations is the time of the first run of a network's evaluation, with what goes before, and of each that follows.
func (c *Costs) evaluations(net *nn.Net, numerics kernels.Numerics, batch int) (first, each float64, err error) {
	recorder := speed.NewRecorder(c.Device)
	params, err := nn.NewParamStore(recorder, net)
	if err != nil {
		return 0, 0, err
	}
	programs := newPrograms(net, params, nn.Settings{Numerics: numerics})
	for _, seconds := range []*float64{&first, &each} {
		if err := programs.rehearse(programKey{batch: batch}); err != nil {
			return 0, 0, err
		}
		ops := recorder.Take()
		*seconds = c.sum(ops, 0)
		if seconds == &first {
			first += compileNode * float64(len(ops))
		}
	}
	return first, each, nil
}

// courseKey is what a course depends on.
type courseKey struct {
	arch, trainable, batchNorm, numerics, precision, optimizer string
	classes, crop, batch                                       int
	train, val, test                                           int // pictures
	momentum, clip, weighted, pretrained                       bool
	sharesTrain, sharesVal                                     bool
}

// course is what the parts of a training take.
type course struct {
	step, evaluation float64 // seconds of a batch
	batch, evalBatch int
	packing          float64 // seconds for weights in the form in which evaluation reads them, once an epoch
	start            float64 // seconds before the first step
	memory           Memory
	onDevice         int64 // the part of it that a device with a memory of its own holds
	all, state       int64 // bytes of the network, and of a checkpoint
	tensors          int   // in the files of both
}

func courseKeyOf(s *planner.Settings, d *planner.Dataset, sharing *planner.Sharing) courseKey {
	return courseKey{
		arch: s.Arch, trainable: strings.Join(s.Trainable, " "), batchNorm: s.BatchNorm, numerics: s.Numerics, precision: s.Precision, optimizer: s.Optimizer.Kind,
		classes: len(d.Classes), crop: s.Image.Crop, batch: s.BatchSize,
		train: d.Pictures[data.Train], val: d.Pictures[data.Val], test: d.Pictures[data.Test],
		momentum: s.Optimizer.Momentum != 0, clip: s.GradClip > 0, weighted: s.ClassWeights != "", pretrained: s.Weights.Kind != "none",
		sharesTrain: sharing.Train != nil, sharesVal: sharing.Val != nil,
	}
}

func (c *Costs) course(s *planner.Settings, d *planner.Dataset, sharing *planner.Sharing) *course {
	key := courseKeyOf(s, d, sharing)
	k, known := c.courses[key]
	if !known {
		if c.courses == nil {
			c.courses = map[courseKey]*course{}
		}
		k, _ = c.rehearse(s, d, sharing) // what can't be rehearsed can't be trained, which is for the run to tell
		c.courses[key] = k
	}
	return k
}

// rehearse takes a training's steps on a recorder.
func (c *Costs) rehearse(s *planner.Settings, d *planner.Dataset, sharing *planner.Sharing) (*course, error) {
	memory, err := RunMemory(c.Device, c.Threads, s, d, sharing)
	if err != nil {
		return nil, err
	}
	recorder := speed.NewRecorder(c.Device)
	t, err := rehearse(recorder, s, d, sharing)
	if err != nil {
		return nil, err
	}
	k := &course{
		batch: min(s.BatchSize, d.Pictures[data.Train]), evalBatch: min(s.BatchSize, max(d.Pictures[data.Val], d.Pictures[data.Test])),
		memory: memory,
	}
	if separate(c.Device) {
		k.onDevice = memory.Device
	}
	first := recorder.Take()
	if err := t.programs.rehearse(programKey{k.batch, true}); err != nil {
		return nil, err
	}
	t.progress, t.schedule = &progress{}, newSchedule(s, 1)
	if err := t.optimizer.Step(t.lr, t.rehearsedGradients()); err != nil {
		return nil, err
	}
	step := recorder.Take()
	// After a step evaluation reads what was trained in a form that has to be made anew, then no more.
	var evaluations [2][]speed.Op
	for i := range evaluations {
		if err := t.programs.rehearse(programKey{k.evalBatch, false}); err != nil {
			return nil, err
		}
		evaluations[i] = recorder.Take()
	}
	kept := t.kept(k.batch)
	k.step, k.evaluation = c.sum(step, kept), c.sum(evaluations[1], 0)
	k.packing = c.sum(evaluations[0], 0) - k.evaluation

	changed := t.bytes(func(i int) bool { return t.changes[i] })
	k.all = t.bytes(func(int) bool { return true })
	k.state = changed + t.optimizer.Memory()
	k.tensors = len(t.net.Params)
	for i := range t.changes {
		if t.changes[i] {
			k.tensors += 2
		}
	}
	// Programs are compiled for whole batches and for the last ones, which may be smaller; the first of each packs weights.
	k.start = max(c.sum(first, kept)-k.step-k.evaluation, 0) + 2*compileNode*float64(len(step)+len(evaluations[1])) + touchByte*float64(memory.Train)
	if s.Weights.Kind != "none" {
		k.start += readByte * float64(k.all)
	} else {
		k.start += drawByte * float64(k.all)
	}
	return k, nil
}

// sum is the time of operations that work through so many elements together, beside what each works on.
func (c *Costs) sum(ops []speed.Op, among int) float64 {
	if c.Speeds == nil {
		return 0
	}
	sum := nodeSeconds * float64(len(ops))
	for _, o := range ops {
		sum += c.Speeds.Seconds(o, among)
	}
	return sum * max(c.Speeds.Whole, 1)
}

// CalibrateSteps learns what becomes, in whole steps, of the speeds that operations have by themselves, and sets p.Whole. The
// steps are those of squeezenet1_1, which take little time, are of middling size, and have all but batch norm.
func CalibrateSteps(ctx context.Context, device kernels.Device, threads int, p *speed.Profile) error {
	const arch, batch = "squeezenet1_1", 8
	p.Whole = 0
	info, _ := models.Lookup(arch)
	k, err := (&Costs{Device: device, Threads: threads, Speeds: p}).rehearse(&planner.Settings{
		Arch: arch, Trainable: []string{"**"}, BatchNorm: models.BatchNormAuto, Epochs: 1, BatchSize: batch,
		Image: planner.Image{Crop: info.Crop}, Optimizer: planner.Optimizer{Kind: "sgd", LR: 1, Momentum: 0.9},
		Weights: planner.Weights{Kind: "none"}, Numerics: kernels.Default.String(), Precision: kernels.FP32.String(),
	}, &planner.Dataset{Classes: []string{"a", "b"}, Pictures: map[string]int{data.Train: batch, data.Val: batch}}, &planner.Sharing{})
	if err != nil {
		return err
	}
	step, err := Bench(ctx, BenchOptions{Arch: arch, Mode: "finetune", Batch: batch, Steps: 5, Device: device, Numerics: kernels.Default})
	if err != nil {
		return err
	}
	p.Whole = step.Seconds / k.step
	return nil
}

// kept is how many elements a training step works through before it comes back to one: the results that the backward pass
// reads, and what the optimizer moves.
func (t *training) kept(batch int) (n int) {
	needed, wants := t.programs.train.Needed(true), t.net.WantsGradient(t.trainable)
	for i, l := range t.net.Layers {
		if needed[i] && wants[i] {
			n += batch * l.Out.Len()
		}
	}
	for i, p := range t.net.Params {
		if t.trainable[i] {
			n += 3 * p.Len()
		}
	}
	return n
}
