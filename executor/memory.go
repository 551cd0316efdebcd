package executor

import (
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

// Memory is what a run holds of the machine's memory, in bytes. What runs have in common is not in it: BaseMemory, the
// cache of decoded pictures (Options.CacheBytes), and files of features, which are mapped and the system's to drop.
type Memory struct {
	// Start is the most that the run holds for itself while it reads the weights that it starts from, Train the most of
	// the time after: while it trains, evaluates, or writes what came of it.
	Start, Train int64
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
// A run that goes on from a checkpoint may hold
// its best weights beside the checkpoint for a moment, which is not counted.
func RunMemory(device kernels.Device, threads int, set *planner.Settings, of *planner.Dataset, sharing *planner.Sharing) (Memory, error) {
	meter := device.Meter(threads)
	t := &training{run: &planner.Run{}, set: set, device: meter}
	if err := t.describe(len(of.Classes)); err != nil {
		return Memory{}, err
	}
	var classWeights []float32
	if set.ClassWeights != "" {
		classWeights = make([]float32, len(of.Classes))
	}
	if err := t.allocate(classWeights); err != nil {
		return Memory{}, err
	}
	all := t.bytes(func(int) bool { return true })
	m := Memory{Start: meter.Held()}
	if set.Weights.Kind != "none" {
		m.Weights = all
	}
	if err := t.prepareOptimizer(); err != nil {
		return Memory{}, err
	}
	trainOn, evalOn := t.cuts(sharing)
	if trainOn != nil {
		t.programs.train = t.net.After(trainOn.At)
	}
	if evalOn != nil {
		t.programs.eval = t.net.After(evalOn.At)
	}
	for _, key := range []programKey{
		{batch: min(set.BatchSize, of.Pictures[data.Train]), training: true},
		{batch: min(set.BatchSize, max(of.Pictures[data.Val], of.Pictures[data.Test]))},
	} {
		if err := t.programs.rehearse(key); err != nil {
			return Memory{}, err
		}
	}

	changed := t.bytes(func(i int) bool { return t.changes[i] })
	written := max(all, changed+t.optimizer.Memory()) // the best epoch's file, then the checkpoint
	batches := int64(0)
	if trainOn == nil || evalOn == nil {
		batches = data.EpochMemory(set.BatchSize, set.Image.Crop, threads)
	}
	m.Train = meter.Peak() + meter.Scratch() + max(changed+batches, written)
	return m, nil
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

// FeatureMemory tells what computing the features that a run shares holds beside the run, in bytes. limit is
// Options.FeatureMemory.
func FeatureMemory(device kernels.Device, threads int, set *planner.Settings, of *planner.Dataset, sharing *planner.Sharing, limit int64) (int64, error) {
	t := &training{run: &planner.Run{}, set: set, device: device.Meter(threads)}
	if err := t.describe(len(of.Classes)); err != nil {
		return 0, err
	}
	numerics, err := kernels.ParseNumerics(set.Numerics)
	if err != nil {
		return 0, err
	}
	most := int64(0)
	train, eval := t.cuts(sharing)
	for _, cut := range []*nn.Cut{train, eval} {
		if cut == nil {
			continue
		}
		batch, held, err := fillBatch(device, threads, t.net.Before(cut.At), numerics, limit)
		if err != nil {
			return 0, err
		}
		block := 4 * int64(features.BlockPictures) * int64(cut.Shape.Len())
		most = max(most, held+data.EpochMemory(batch, set.Image.Crop, threads)+block)
	}
	return most, nil
}

// fillBatch is the number of pictures that go through a frozen part together, a block, or such a part of one that memory
// allows, and the bytes that the device holds then.
func fillBatch(device kernels.Device, threads int, before *nn.Net, numerics kernels.Numerics, memory int64) (batch int, held int64, err error) {
	for batch = features.BlockPictures; ; batch /= 2 {
		meter := device.Meter(threads)
		params, err := nn.NewParamStore(meter, before)
		if err != nil {
			return 0, 0, err
		}
		programs := newPrograms(before, params, nn.Settings{Numerics: numerics})
		if err := programs.rehearse(programKey{batch: batch}); err != nil {
			return 0, 0, err
		}
		if batch == 1 || programs.memory() <= memory {
			return batch, meter.Peak() + meter.Scratch(), nil
		}
	}
}
