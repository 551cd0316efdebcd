package spec

import (
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Spec is what a file or directory of HCL means: everything evaluated that does not depend on a sweep's axes.
type Spec struct {
	Sources  []Source // the files read, in order, with the hashes that make a plan stale
	Datasets []*Dataset
	Sweeps   []*Sweep
	Gates    []*Gate
	Inputs   map[string]cty.Value // the variables' final values, for the plan file

	files map[string]*hcl.File // for the snippets of diagnostics
}

// Source is one file that was read: a configuration file or a file of variables.
type Source struct {
	Path   string // as the user would name it, relative to the working directory where it lies below it
	SHA256 string
}

// Dataset is a dataset block.
type Dataset struct {
	Name   string
	Kind   string            // "imagefolder" or "synthetic"
	Path   string            // imagefolder: resolved against the file that names it
	Splits map[string]string // imagefolder: split → folder below Path ("train", "val", optional "test")
	// Fractions cuts one folder of classes into splits, stratified: split → share (0 < share < 1); what remains is
	// "train". Set instead of Splits.
	Fractions map[string]float64
	Synthetic *Synthetic
	Range     hcl.Range            // of the block's header
	Ranges    map[string]hcl.Range // of attributes by name
}

// Synthetic holds the knobs of kind = "synthetic".
type Synthetic struct {
	Task     string // "textures" or "shapes"
	Classes  int
	Pictures map[string]int // split → pictures in all
	Size     int            // rows and columns, pixels
	Seed     int64
}

// Sweep is a sweep block, ready to be expanded.
type Sweep struct {
	Name   string
	Seeds  []int64
	Range  hcl.Range
	Ranges map[string]hcl.Range // of the run block's attributes, by dotted path: "arch", "optimizer.lr", "image.crop"

	// unexported: axes, include, exclude and the run block's body, by the package's own files
	expansion
}

// Combination is one configuration of a sweep: a value for each axis that is active in it.
type Combination struct {
	Labels []Label

	values []cty.Value // by axis, null where the axis is inactive
	rows   []int       // see evaluation
}

// Label is an axis and its value, as the user wrote it.
type Label struct {
	Axis  string
	Value cty.Value
}

// Run is a run block evaluated for one combination and seed. A nil pointer or slice is a setting not given (or null):
// defaults, which depend on the architecture, the weights and the mode, are the planner's.
type Run struct {
	Dataset   *Dataset
	Arch      string
	Mode      string // "finetune", "extract", "scratch"
	Weights   *Weights
	Trainable []string // patterns; nil: by the mode
	BatchNorm *string  // "train", "frozen"

	Epochs        *int
	BatchSize     *int
	Image         *Image
	Augment       *Augment
	Optimizer     *Optimizer
	ParamGroups   []ParamGroup // in the file's order
	Schedule      *Schedule
	EarlyStop     *EarlyStop
	Monitor       *string // "val_acc" …
	LabelSmooth   *float64
	ClassWeights  *string // "balanced"
	GradClip      *float64
	Numerics      *string // "exact", "default", "fast"
	Precision     *string // "fp32", "tf32", "bf16"
	Deterministic *bool
}

// Launcher is a launcher block evaluated for one combination and seed. A nil pointer or an empty string is a setting not
// given (or null).
type Launcher struct {
	Kind string // LocalLauncher, SlurmLauncher, K8sLauncher
	Name string

	// slurm and k8s: of one run
	GPUs, CPUs  *int
	Memory      *int64 // bytes; local: of all runs together
	Time        *time.Duration
	MaxParallel *int
	Setup       string // shell lines

	// slurm
	Partition, Account, QOS, Constraint string
	Extra                               []string // options of sbatch

	// k8s
	Image, Claim, Namespace string
	Mount                   string            // where the claim is mounted
	Volumes                 map[string]string // further claims, and where they are mounted

	// local
	Parallelism, Threads *int
	Cache                *int64 // bytes
	Device               string
}

// Weights says what a run starts from: exactly one field is set.
type Weights struct {
	Catalogue string // torchvision's name, "IMAGENET1K_V1"
	File      string // resolved path
	Run       string // "run:ID"
	SweepBest string // sweep.NAME.best
}

// Image is the image block: pixels. Nil fields take the weights' own transform.
type Image struct{ Resize, Crop *int }

// Augment is the augment block of the training pictures.
type Augment struct {
	Ops      []AugmentOp
	Views    *int
	ViewSeed *int64
}

// AugmentOp is one entry of ops: a name, with parameters where an object was given.
type AugmentOp struct {
	Kind   string
	Params map[string]cty.Value
}

// Optimizer is the optimizer block; names are torch's.
type Optimizer struct {
	Kind                      string // "sgd", "adam", "adamw"
	LR, Momentum, WeightDecay *float64
	Nesterov                  *bool
	Beta1, Beta2, Eps         *float64
}

// ParamGroup overrides settings for the parameters that its pattern names.
type ParamGroup struct {
	Pattern         string
	LR, WeightDecay *float64
}

// Schedule is the schedule block; which fields apply depends on Kind. Names are torch's.
type Schedule struct {
	Kind       string // "step", "multistep", "cosine", "plateau", "onecycle", "constant"
	StepSize   *int
	Milestones []int
	Gamma      *float64
	MinLR      *float64
	Factor     *float64
	Patience   *int
	MaxLR      *float64
	PctStart   *float64
	Warmup     *int // epochs
}

// EarlyStop ends a run whose monitored metric has not improved for Patience epochs.
type EarlyStop struct {
	Monitor  string
	Patience int
	MinDelta float64
}

// Gate is a gate block: a bound that the configurations of a sweep are held to. All defaults are filled in.
type Gate struct {
	Name     string
	Sweep    string // its name
	Baseline string // with max_drop and max_rise: the file, resolved against the one that names it
	Metric   string // one of GateMetrics

	Bound    Bound   // the attribute that is given
	Limit    float64 // its value
	Relative bool    // max_drop, max_rise: it is a share of the baseline's value

	Test         Test
	Alpha        float64    // chance of an error that is taken; 0 without a test
	Correction   Correction // over the configurations; "" without a test
	MinSeeds     int        // with fewer a configuration is inconclusive
	Inconclusive Reaction   // to what is neither worse nor known not to be: Pass, Fail
	Missing      Reaction   // to a baseline that isn't there: Warn, Fail; "" where none is wanted

	Range  hcl.Range
	Ranges map[string]hcl.Range // of attributes by name

	sweep *Sweep
	when  *condition // nil: all configurations
}
