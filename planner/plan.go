// Package planner turns a spec into a plan: every run that is to exist, what it is identified by, what it trains, what
// it waits for and what the store already holds of it.
package planner

import "encoding/json"

// Plan is everything that apply needs: the executor reads no HCL, asks nothing, and does what the plan says.
type Plan struct {
	Format    int                        `json:"format"` // of this file
	Version   string                     `json:"ftrun_version"`
	Numerics  int                        `json:"numerics_version"` // of the arithmetic that the ids are made with
	Target    string                     `json:"target"`           // the file or directory that was planned, as the user named it
	Sources   []Source                   `json:"sources"`
	Variables map[string]json.RawMessage `json:"variables,omitempty"`

	Datasets []Dataset  `json:"datasets"`
	Settings []Settings `json:"settings"` // distinct ones; runs refer by index
	Configs  []Config   `json:"configurations"`
	Sharing  []Sharing  `json:"sharing"`
	// Estimates are distinct; runs refer by index.
	Estimates []Estimate `json:"estimates,omitempty"`
	Launches  []Launch   `json:"launches,omitempty"` // distinct ones; runs refer by index. None: this machine as the flags say
	Runs      []Run      `json:"runs"`               // in an order of execution: a run comes after those that it waits for
	Gates     []Gate     `json:"gates,omitempty"`
	Warnings  []string   `json:"warnings,omitempty"`
}

// Source is a file whose change makes the plan stale.
type Source struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// Dataset is a data set as it was found when planning.
type Dataset struct {
	Name      string             `json:"name"`
	Kind      string             `json:"kind"`
	Path      string             `json:"path,omitempty"`
	Splits    map[string]string  `json:"splits,omitempty"`
	Fractions map[string]float64 `json:"fractions,omitempty"`
	Synthetic *Synthetic         `json:"synthetic,omitempty"`

	Hash     string         `json:"hash"` // of its content
	Classes  []string       `json:"classes"`
	Pictures map[string]int `json:"pictures"` // by split
}

// Synthetic holds the knobs of a generated data set.
type Synthetic struct {
	Task     string         `json:"task"`
	Classes  int            `json:"classes"`
	Pictures map[string]int `json:"pictures"`
	Size     int            `json:"size"`
	Seed     int64          `json:"seed"`
}

// Config is a configuration: a sweep's label and its matrix values. Tables, baselines and gates group runs by it.
type Config struct {
	Sweep  string  `json:"sweep"`
	Labels []Label `json:"labels"`
}

// Label is an axis and its value.
type Label struct {
	Axis  string          `json:"axis"`
	Value json.RawMessage `json:"value"`
}

// Action says what apply does with a run.
type Action string

const (
	Create  Action = "create"  // +   nothing is there yet
	Done    Action = "done"    // =   finished before
	Resume  Action = "resume"  // >   goes on from its last checkpoint
	Replace Action = "replace" // -/+ failed before, or asked for by -replace
)

// Run is one training.
type Run struct {
	ID         string   `json:"id"`         // hash of settings with defaults, data, weights and numerics version
	Trajectory string   `json:"trajectory"` // the same without epochs and early stopping
	Config     int      `json:"configuration"`
	Settings   int      `json:"settings"`
	Dataset    int      `json:"dataset"`
	Sharing    int      `json:"sharing"`
	Estimate   int      `json:"estimate"`
	Launch     int      `json:"launch"`
	Seed       int64    `json:"seed"`
	Action     Action   `json:"action"`
	Replaces   string   `json:"replaces,omitempty"`   // replace: when what is there was begun, so that it is replaced once
	FromEpoch  int      `json:"from_epoch,omitempty"` // epochs that are done before it goes on; 0 where that isn't known, too
	Needs      []string `json:"needs,omitempty"`      // ids of runs that must have finished before
	From       string   `json:"from,omitempty"`       // id of a run of the same trajectory, where it goes on from that one's checkpoint
	Params     Params   `json:"params"`
}

// Params counts elements.
type Params struct {
	Total     int64 `json:"total"`
	Trainable int64 `json:"trainable"`
	// Moving counts the elements of buffers that training changes: running means and variances of batch norm in
	// training mode.
	Moving int64 `json:"moving_buffers"`
}

// Settings are a run's settings with all defaults filled in, in canonical form: equal settings have equal JSON. A
// setting that has no meaning in its context is zero and left out.
type Settings struct {
	Arch      string   `json:"arch"`
	Mode      string   `json:"mode"`
	Weights   Weights  `json:"weights"`
	Trainable []string `json:"trainable"`  // patterns; "head" is the reshaped last layer, "**" everything
	BatchNorm string   `json:"batch_norm"` // "train", "frozen", or "auto": by layer, training mode where a layer trains

	Epochs    int      `json:"epochs"`
	BatchSize int      `json:"batch_size"`
	Image     Image    `json:"image"`
	Augment   *Augment `json:"augment,omitempty"` // nil: the training pictures go through Image alone

	Optimizer      Optimizer    `json:"optimizer"`
	ParamGroups    []ParamGroup `json:"param_groups,omitempty"`
	Schedule       *Schedule    `json:"schedule,omitempty"` // nil: constant
	EarlyStop      *EarlyStop   `json:"early_stop,omitempty"`
	Monitor        string       `json:"monitor"`
	LabelSmoothing float64      `json:"label_smoothing,omitempty"`
	ClassWeights   string       `json:"class_weights,omitempty"`
	GradClip       float64      `json:"grad_clip,omitempty"`
	Numerics       string       `json:"numerics"`
	Precision      string       `json:"precision"`
	Deterministic  bool         `json:"deterministic"`
}

// Weights is what a run starts from.
type Weights struct {
	Kind   string   `json:"kind"`             // "none", "catalogue", "file", "run", "best"
	Name   string   `json:"name,omitempty"`   // catalogue: IMAGENET1K_V1
	Path   string   `json:"path,omitempty"`   // file: where it lies; no part of the identity
	SHA256 string   `json:"sha256,omitempty"` // file: what it holds
	Runs   []string `json:"runs,omitempty"`   // run: the one; best: the candidates, of which the best val_acc is taken
}

// Image says how a decoded picture becomes the network's input: shorter side to Resize, centre crop of Crop pixels,
// (x/255 − Mean)/Std.
type Image struct {
	Resize int        `json:"resize"`
	Crop   int        `json:"crop"`
	Mean   [3]float32 `json:"mean"`
	Std    [3]float32 `json:"std"`
}

// Augment is what is done to training pictures instead of Image's resize and crop.
type Augment struct {
	Ops      []AugmentOp `json:"ops"`
	Views    int         `json:"views,omitempty"` // 0: drawn afresh each epoch
	ViewSeed int64       `json:"view_seed,omitempty"`
}

// AugmentOp is one operation by torchvision's name in snake case, with all its parameters.
type AugmentOp struct {
	Kind   string               `json:"kind"`
	Params map[string][]float64 `json:"params,omitempty"` // a number is a list of one
}

// Optimizer holds torch.optim's settings.
type Optimizer struct {
	Kind        string  `json:"kind"`
	LR          float64 `json:"lr"`
	Momentum    float64 `json:"momentum,omitempty"`
	WeightDecay float64 `json:"weight_decay,omitempty"`
	Nesterov    bool    `json:"nesterov,omitempty"`
	Beta1       float64 `json:"beta1,omitempty"`
	Beta2       float64 `json:"beta2,omitempty"`
	Eps         float64 `json:"eps,omitempty"`
}

// ParamGroup overrides the optimizer for the parameters that Pattern names; the first group that matches wins.
type ParamGroup struct {
	Pattern     string   `json:"pattern"`
	LR          *float64 `json:"lr,omitempty"`
	WeightDecay *float64 `json:"weight_decay,omitempty"`
}

// Schedule moves the learning rate by epoch (one-cycle: by step), by torch's formulas.
type Schedule struct {
	Kind       string  `json:"kind"`
	StepSize   int     `json:"step_size,omitempty"`
	Milestones []int   `json:"milestones,omitempty"`
	Gamma      float64 `json:"gamma,omitempty"`
	MinLR      float64 `json:"min_lr,omitempty"`
	Factor     float64 `json:"factor,omitempty"`
	Patience   int     `json:"patience,omitempty"`
	MaxLR      float64 `json:"max_lr,omitempty"`
	PctStart   float64 `json:"pct_start,omitempty"`
	Warmup     int     `json:"warmup,omitempty"` // epochs of linear rise before the schedule starts
}

// EarlyStop ends a run whose Monitor has not improved by more than MinDelta for Patience epochs.
type EarlyStop struct {
	Monitor  string  `json:"monitor"`
	Patience int     `json:"patience"`
	MinDelta float64 `json:"min_delta,omitempty"`
}
