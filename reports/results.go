package reports

import (
	"encoding/json"

	"github.com/ftrun/ftrun/internal/runlog"
)

// Results are one side of a comparison: what the runs of some configurations came to, wherever that is kept.
type Results struct {
	Origin   string // for people: "baseline.json", "the last plan"
	Version  string // of the ftrun that wrote them; "" where that is not told
	Numerics int    // version of the arithmetic that the runs were made with; 0 where that is not told
	Configs  []ConfigResults
}

// ConfigResults is a configuration with its runs over the seeds. A sweep and its labels occur once in Results.
type ConfigResults struct {
	Sweep  string
	Labels Labels
	Params runlog.Params
	// Settings are those of its runs with all defaults filled in, as canonical JSON; nil where they are not told.
	Settings json.RawMessage
	Data     *Data        // what the runs were validated on; shared by configurations; nil where that is not told
	Seeds    []SeedResult // by seed, ascending; each seed once
}

// Data is a data set as runs saw it.
type Data struct {
	Name    string
	Hash    string // of its content
	Classes []string
	// Pictures are those of the validation split, in the order of predictions.jsonl; nil where no predictions were read.
	Pictures []Picture
}

// Picture is one of a validation split.
type Picture struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // of its file
	Class  int    `json:"class"`  // the true one
}

// SeedResult is one run of a configuration.
type SeedResult struct {
	Seed    int64
	ID      string
	Status  runlog.State
	Error   string
	Damaged bool            // what the store has of it can't be read, and is trained again
	Metrics *runlog.Metrics // of a finished run
	Timing  *runlog.Timing  // of a finished run
	Device  string
	Path    string // the instruction path
	Version string // of the ftrun that trained it
	// Settings are given where they are not those of the configuration, as where they depend on the seed.
	Settings json.RawMessage
	// Predicted holds for each of the Data's Pictures the class that it was taken for; nil where that is not told.
	Predicted []int32
}

// Finished tells whether the run has results.
func (s *SeedResult) Finished() bool { return s.Status == runlog.Finished && s.Metrics != nil }

// Name is how people see a configuration: "tutorial[arch=resnet18, mode=extract]".
func (c *ConfigResults) Name() string { return configName(c.Sweep, c.Labels) }

// configKey tells configurations apart, whatever the order of their axes.
func configKey(sweep string, labels Labels) string { return sweep + "\x00" + labels.key() }

func configName(sweep string, labels Labels) string {
	if len(labels) == 0 {
		return sweep
	}
	name := sweep + "["
	for i, l := range labels {
		if i > 0 {
			name += ", "
		}
		name += l.Axis + "=" + l.Text
	}
	return name + "]"
}
