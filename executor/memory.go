package executor

import (
	"cmp"

	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/features"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/planner"
)

// What a run will hold is not modelled but rehearsed: the training allocates its parameters, moments and programs on a
// kernels.Meter, which counts and computes nothing. What it holds beside the device is counted here.

// BaseMemory is what the process holds beside its runs, in bytes: the program, the planned runs and the runtime.
const BaseMemory = 24 << 20

// Memory is what a run holds, in bytes: of the machine's memory, and of that of a device which has its own. What runs have
// in common is not in it: BaseMemory, the cache of decoded pictures (Options.CacheBytes), and files of features, which are
// mapped and the system's to drop.
type Memory struct {
	// Start is the most that the run holds for itself while it reads the weights that it starts from, Train the most of
	// the time after: while it trains, evaluates, or writes what came of it.
	Start, Train int64
	// Device is what lies on the device. It is a part of Train where that has no memory of its own.
	Device int64
	// Weights is the file of weights that the run starts from, in memory. Runs that start from the same file share it,
	// and it is kept until the last one has begun.
	Weights int64
}

// Peak is the most that a run that is alone holds at a time.
func (m Memory) Peak() int64 { return max(m.Start+m.Weights, m.Train) }

// RunMemory tells what a run with these settings holds on so many threads of a device like the given one, which may be in
// use meanwhile. Of the data set it looks at the classes and the numbers of pictures. sharing says what the run takes from
// files of features. It takes milliseconds, and no memory to speak of.
//
// A run that goes on from a checkpoint may hold its best weights beside that for a moment, which is not counted.
func RunMemory(device kernels.Device, threads int, set *planner.Settings, of *planner.Dataset, sharing *planner.Sharing) (Memory, error) {
	meter := device.Meter(threads)
	t, err := rehearse(meter, set, of, sharing)
	if err != nil {
		return Memory{}, err
	}
	if err := t.optimizer.Rehearse(t.rehearsedGradients()); err != nil {
		return Memory{}, err
	}
	all := t.bytes(func(int) bool { return true })
	m := Memory{Start: all}
	if set.Weights.Kind != "none" {
		m.Weights = all
	}
	changed := t.bytes(func(i int) bool { return t.changes[i] })
	written := max(all, changed+t.optimizer.Memory()) // the best epoch's file, then the checkpoint
	batches := int64(0)
	train, eval := t.cuts(sharing)
	for split, pictures := range of.Pictures {
		if cutOf(split, train, eval) == nil {
			batches = max(batches, data.EpochMemory(pictures, set.BatchSize, set.Image.Crop, threads))
		}
	}
	// Those of the best epoch so far and those of the last one: probabilities, path and hash of each picture.
	predictions := 2 * int64(of.Pictures[data.Val]) * (4*int64(len(of.Classes)) + 256)
	m.Device = meter.Peak() + meter.Scratch()
	m.Train = predictions + max(changed+batches, written)
	if separate(device) {
		staged := t.staged(meter, set.BatchSize)
		m.Start = 2*t.largest() + staged // on its way to the device, as it is in the file and as the device has it
		m.Train += staged
	} else {
		m.Train += m.Device
	}
	m.Train += garbageAllowed(m.Train)
	return m, nil
}

// separate tells whether a device's memory is its own.
func separate(device kernels.Device) bool {
	_, own := device.(kernels.Separate)
	return own
}

// rehearse does on a meter what a training allocates on its device: parameters, moments, the programs of whole batches.
// Those of a smaller last batch lie in the same memory.
func rehearse(meter kernels.Meter, set *planner.Settings, of *planner.Dataset, sharing *planner.Sharing) (*training, error) {
	t := &training{run: &planner.Run{}, set: set, device: meter}
	if err := tuneMeter(meter, set, unmeasured{}); err != nil {
		return nil, err
	}
	if err := t.describe(len(of.Classes)); err != nil {
		return nil, err
	}
	var classWeights []float32
	if set.ClassWeights != "" {
		classWeights = make([]float32, len(of.Classes))
	}
	if err := t.allocate(classWeights); err != nil {
		return nil, err
	}
	if err := t.prepareOptimizer(); err != nil {
		return nil, err
	}
	t.programs.begin(t.cuts(sharing))
	// Of a split without pictures the run itself complains.
	batch := func(pictures int) int { return max(min(set.BatchSize, pictures), 1) }
	err := t.programs.rehearse(programKey{batch(of.Pictures[data.Train]), true})
	if err == nil {
		err = t.programs.rehearse(programKey{batch(max(of.Pictures[data.Val], of.Pictures[data.Test])), false})
	}
	return t, err
}

// rehearsedGradients stand for those of a training program.
func (t *training) rehearsedGradients() func(param int) kernels.Buffer {
	needed := t.programs.train.Needed(true)
	return func(i int) kernels.Buffer {
		if !needed[t.net.Params[i].Layer] {
			return nil
		}
		return kernels.Extent(t.params.Buffer(i).Len())
	}
}

// cutOf is where the part of the network begins that a split's pictures go through.
func cutOf(split string, train, eval *nn.Cut) *nn.Cut {
	if split == data.Train {
		return train
	}
	return eval
}

// bytes is the size of some parameters.
func (t *training) bytes(which func(int) bool) (n int64) {
	for i, p := range t.net.Params {
		if which(i) {
			n += 4 * int64(p.Len())
		}
	}
	return n
}

// staged is what a device keeps of the machine's memory to copy parameters and batches of so many pictures from.
func (t *training) staged(meter kernels.Meter, batch int) int64 {
	s, ok := meter.(kernels.Stager)
	if !ok {
		return 0
	}
	return s.Staged(max(t.largest(), int64(batch*3*t.set.Image.Crop*t.set.Image.Crop)))
}

// largest is the size of the largest parameter in bytes.
func (t *training) largest() (n int64) {
	for _, p := range t.net.Params {
		n = max(n, 4*int64(p.Len()))
	}
	return n
}

// FeatureLimits bound, in bytes, what is held while features are computed. Where one picture at a time is too much for them,
// it is one at a time all the same.
type FeatureLimits struct {
	Results int64 // those of the frozen part: Options.FeatureMemory
	All     int64 // with everything else, beside what the run holds at its start
	Device  int64 // of a device's own memory, beside what the run holds of it
}

// FeatureMemory tells what computing the features that a run shares holds beside what the run holds at its start, in bytes:
// of the machine's memory, and of that of a device which has its own; 0 where it shares none.
func FeatureMemory(device kernels.Device, threads int, set *planner.Settings, of *planner.Dataset, sharing *planner.Sharing, limits FeatureLimits) (most, onDevice int64, err error) {
	t := &training{run: &planner.Run{}, set: set}
	if err := t.describe(len(of.Classes)); err != nil {
		return 0, 0, err
	}
	train, eval := t.cuts(sharing)
	for split, pictures := range of.Pictures {
		cut := cutOf(split, train, eval)
		if cut == nil || pictures == 0 {
			continue
		}
		fill, err := t.fillBatch(device, threads, cut, pictures, limits)
		if err != nil {
			return 0, 0, err
		}
		most, onDevice = max(most, fill.held), max(onDevice, fill.onDevice)
	}
	return most, onDevice, nil
}

// filling is how features are computed: so many pictures at a time, and what is held then, in bytes.
type filling struct {
	batch          int
	held, onDevice int64 // as of FeatureMemory
}

// fillBatch is how many pictures, of so many, go through the frozen part before a cut together: a block, or such a part of one
// that the limits allow. On a device whose results may depend on that number it is the same whatever the limits, and a smaller
// last batch is padded.
func (t *training) fillBatch(device kernels.Device, threads int, cut *nn.Cut, pictures int, limits FeatureLimits) (f filling, err error) {
	before := t.net.Before(cut.At)
	numerics, err := kernels.ParseNumerics(t.set.Numerics)
	if err != nil {
		return filling{}, err
	}
	block := 4 * int64(min(features.BlockPictures, pictures)) * int64(cut.Shape.Len())
	fixed := fixedBatch(device)
	for f.batch = cmp.Or(fixed, features.BlockPictures); ; f.batch /= 2 {
		meter := device.Meter(threads)
		if err := tuneMeter(meter, t.set, nil); err != nil {
			return filling{}, err
		}
		params, err := nn.NewParamStore(meter, before)
		if err != nil {
			return filling{}, err
		}
		programs := newPrograms(before, params, nn.Settings{Numerics: numerics})
		if err := programs.rehearse(programKey{batch: max(fixed, min(f.batch, pictures))}); err != nil {
			return filling{}, err
		}
		if _, err := newPictures(meter, t.set.Image, f.batch); err != nil {
			return filling{}, err
		}
		f.held, f.onDevice = data.EpochMemory(pictures, f.batch, t.set.Image.Crop, threads)+nn.CopyMemory+2*block+t.staged(meter, f.batch), 0
		if computing := meter.Peak() + meter.Scratch(); separate(device) {
			f.onDevice = computing
		} else {
			f.held += computing
		}
		f.held += garbageAllowed(f.held)
		if f.batch == fixed || f.batch == 1 || programs.memory() <= limits.Results && f.held <= limits.All && f.onDevice <= limits.Device {
			return f, nil
		}
	}
}
