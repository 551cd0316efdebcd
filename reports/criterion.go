package reports

// Bound says what a criterion holds a metric against.
type Bound string

const (
	MaxDrop Bound = "max_drop" // below the baseline by no more than the limit: for metrics of which more is better
	MaxRise Bound = "max_rise" // above the baseline by no more than the limit: for metrics of which less is better
	Min     Bound = "min"      // no lower than the limit; needs no baseline
	Max     Bound = "max"      // no higher than the limit; needs no baseline
)

// Test is how a criterion takes the noise of training into account.
type Test string

const (
	PairedPermutation Test = "paired_permutation" // sign flips of the differences over seeds
	McNemar           Test = "mcnemar"            // of the predictions for each validation picture; for val_acc
	Bootstrap         Test = "bootstrap"          // BCa over seeds
	NoTest            Test = "none"               // the means as they are
)

// Tests are those that there are.
var Tests = []Test{PairedPermutation, McNemar, Bootstrap, NoTest}

// Correction is what is done about the many configurations that are judged at once.
type Correction string

const (
	Holm         Correction = "holm" // no false alarm among all of them with a probability of 1 − alpha
	NoCorrection Correction = "none" // each for itself
)

// Corrections are those that there are.
var Corrections = []Correction{Holm, NoCorrection}

// Criterion is what a comparison asks of each configuration. The zero value of a field is no default: DefaultCriterion has
// those.
type Criterion struct {
	Name   string `json:"name,omitempty"` // of the gate; "" where a person compares
	Metric string `json:"metric"`         // the name of one of Metrics
	Bound  Bound  `json:"bound"`
	// Limit of the bound in the metric's unit. That of max_drop and max_rise is at least 0 and may be Relative: a share of
	// the baseline's mean.
	Limit      float64    `json:"limit"`
	Relative   bool       `json:"relative,omitempty"`
	Test       Test       `json:"test"`
	Alpha      float64    `json:"alpha,omitempty"` // at least 1e-9, less than 0.5; of no meaning with NoTest
	Correction Correction `json:"correction,omitempty"`
	MinSeeds   int        `json:"min_seeds"` // a configuration with fewer is inconclusive; at least 1
	// FailInconclusive and FailMissing say that an inconclusive configuration, and one that the baseline does not have,
	// are to fail whoever asked. They change no verdict.
	FailInconclusive bool `json:"fail_inconclusive"`
	FailMissing      bool `json:"fail_missing"`

	// Configs are the indices of the configurations of the newer side that are judged; nil: all are. What only the baseline
	// has is listed for the sweeps of these.
	Configs []int `json:"-"`
}

// DefaultCriterion is what is asked of a metric where nothing else is said.
func DefaultCriterion(m Metric) Criterion {
	c := Criterion{Metric: m.Name, Bound: MaxRise, Limit: m.Limit, Relative: m.Relative, Test: PairedPermutation, Alpha: 0.05, Correction: Holm, MinSeeds: 1}
	if m.MoreIsBetter {
		c.Bound = MaxDrop
	}
	if m.Exact {
		c.Test, c.Alpha, c.Correction = NoTest, 0, ""
	}
	return c
}

// NeedsBaseline tells whether the bound is a difference from another side.
func (c *Criterion) NeedsBaseline() bool { return c.Bound == MaxDrop || c.Bound == MaxRise }

// NeedsPredictions tells whether the test looks at single pictures.
func (c *Criterion) NeedsPredictions() bool { return c.Test == McNemar }
