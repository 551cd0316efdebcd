package planner

import (
	"context"

	"github.com/ftrun/ftrun/spec"
)

// World is what planning must know beside the spec. The interfaces are small so that planning needs neither a network
// nor a graph nor weights at hand, and tests need no files.
type World struct {
	Models  Models
	Data    Data
	Weights WeightsCatalogue
	Store   Store // nil: an empty one
	Costs   Costs // nil: nothing is estimated

	Baselines Baselines // nil: there are none

	Version string // of ftrun
	// Numerics is the version of the arithmetic: it goes up when a change gives the same settings other bits.
	Numerics int
}

// Models knows the architectures.
type Models interface {
	// Names lists the architectures.
	Names() []string
	// DefaultImage gives the pixels of the shorter side and of the centre crop that arch was made for.
	DefaultImage(arch string) (resize, crop int)
	// MinCrop is the smallest picture, in pixels, that arch takes.
	MinCrop(arch string) int
	// Inspect describes a network of a known architecture without building a graph. An error is a pattern that can't be
	// read.
	Inspect(Network) (Inspection, error)
}

// Network is the part of a run's settings that decides what its network holds and trains.
type Network struct {
	Arch      string
	Classes   int
	Crop      int
	Trainable []string // patterns
	BatchNorm string   // "train", "frozen", "auto"
	Groups    []string // patterns of the parameter groups, in order
}

// Inspection is what a Network comes to.
type Inspection struct {
	Params Params
	// Unmatched are those patterns, of Trainable and of Groups, that name no parameter.
	Unmatched []string
	// Idle are those patterns of Groups that name parameters, but none that is trained and not taken by a group before.
	Idle []string
	// Train and Val are where the frozen part ends in training and in evaluation, in which dropout is nothing. Why says
	// what keeps the network from having one.
	Train, Val Cut
	Why        string
}

// Data knows the data sets.
type Data interface {
	// Describe finds a data set and fills in Hash, Classes and Pictures. The hash covers all that a run sees of it: the
	// classes, the content of each picture and the split that it is in.
	Describe(context.Context, *spec.Dataset) (Dataset, error)
}

// WeightsCatalogue knows pretrained weights by name and files of weights by content.
type WeightsCatalogue interface {
	// Names lists the weights of an architecture.
	Names(arch string) []string
	// Lookup finds weights by name, "DEFAULT" included.
	Lookup(arch, name string) (CatalogueEntry, bool)
	// FileSHA256 is the hash of a file's content, in hexadecimal digits.
	FileSHA256(path string) (string, error)
	// CheckFile says what keeps a run of an architecture from starting from a file of weights; nil where nothing does.
	CheckFile(path, arch string) error
}

// CatalogueEntry is one set of pretrained weights.
type CatalogueEntry struct {
	Name  string // its own name, where "DEFAULT" was asked for too
	Image Image  // the transform that it was trained for
}

// Store knows the runs of before.
type Store interface {
	// IDs lists the runs that have left something: one listing, cheap beside 100,000 runs.
	IDs() ([]string, error)
	// Trajectories lists the ids of the runs of each trajectory; some may have left nothing else. One listing, too.
	Trajectories() (map[string][]string, error)
	// Status tells of one run that has left something.
	Status(id string) (RunState, error)
}

// Baselines knows the results that gates compare with.
type Baselines interface {
	// Noise tells how results of configurations vary by what the file at path holds: a function that answers for one of them,
	// false where the file doesn't have it. predictions: they are wanted, too. An error is fs.ErrNotExist where there is no
	// such file.
	Noise(path, metric string, predictions bool) (func(*Config) (Noise, bool), error)
}

// Noise is how the results of a configuration vary from seed to seed.
type Noise struct {
	Values map[int64]float64 // of the metric, by seed
	Runs   map[int64]string  // ids, by seed
	// Discordant is the share of pictures on which two seeds differ in being right; negative where that isn't known.
	Discordant float64
}

// Costs knows what trainings take on this machine. It is asked once for each sort of run.
type Costs interface {
	// Training estimates a training of which some epochs are done; of what sharing says it computes nothing itself.
	Training(s *Settings, d *Dataset, sharing *Sharing, done int) Estimate
	// Features estimates what computing all that sharing says takes, beside the run that does it; s is one of the runs' that
	// share.
	Features(s *Settings, d *Dataset, sharing *Sharing) Estimate
	// StartedBy says, before all questions, how the trainings are started: what a launcher of kind local says of the machine counts.
	StartedBy(l *Launch)
	// Process tells what of the process these answers suppose: its threads, and the bytes that it holds beside its trainings.
	Process() (threads int, memory int64)
}

// RunState is what the store holds of a run. Neither finished nor failed: pending, running or interrupted.
type RunState struct {
	Finished   bool
	Failed     bool
	Damage     string // what is not as it was written, of a run that would else be finished or whose state can't be told
	Trained    bool   // of a damaged run: all that training gives is whole
	Checkpoint bool   // there is one to go on from
	Epochs     int    // done by the checkpoint; 0 where it isn't known
	Started    string // when it was begun, in any form: a run that was begun anew has another one
	Arch       string
	Image      Image // that it was trained with; zero where it isn't known
}

// Options of Make.
type Options struct {
	Target string // the file or directory that is planned, for the plan's own record

	// Targets, Excludes and Replace are selectors: see ParseSelector. Targets keeps what they select and the runs that
	// those start from; Excludes drops what they select and the runs that would start from those, unless those have
	// finished; Replace trains anew what is there already.
	Targets  []string
	Excludes []string
	Replace  []string

	MaxRuns int // 0: DefaultMaxRuns

	// NoPower leaves out what gates could not find: nothing is to be trained by the plan.
	NoPower bool
	// NoLaunch lets runs be started in ways that one apply can't mix: none is to be started by the plan.
	NoLaunch bool
}

// DefaultMaxRuns is the number of runs above which a plan wants to be asked for: a slip in a matrix is more likely.
const DefaultMaxRuns = 100_000
