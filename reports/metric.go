package reports

import (
	"math"
	"strconv"

	"github.com/ftrun/ftrun/internal/runlog"
)

// Metric is something that comparisons can be about.
type Metric struct {
	Name         string
	MoreIsBetter bool
	Exact        bool // follows from the settings, the same for all seeds: there is nothing to test
	// Limit is the drop, or rise, that is borne where nothing else is said; where Relative, as a share of the baseline's.
	Limit    float64
	Relative bool

	value func(*ConfigResults, *SeedResult) (float64, bool) // of a finished run; false where it does not have it
	text  func(float64) string                              // of a value that is not negative, for people
}

// Metrics are those that there are, by their names in reports.
var Metrics = []Metric{
	accuracy("val_acc", func(m *runlog.Metrics) (float64, bool) { return m.ValAcc, true }),
	loss("val_loss", func(m *runlog.Metrics) (float64, bool) { return m.ValLoss, true }),
	accuracy("val_top5", func(m *runlog.Metrics) (float64, bool) { return m.ValTop5, m.ValTop5 > 0 }),
	accuracy("test_acc", func(m *runlog.Metrics) (float64, bool) { return given(m.TestAcc) }),
	loss("test_loss", func(m *runlog.Metrics) (float64, bool) { return given(m.TestLoss) }),
	accuracy("train_acc", func(m *runlog.Metrics) (float64, bool) { return m.TrainAcc, true }),
	loss("train_loss", func(m *runlog.Metrics) (float64, bool) { return m.TrainLoss, true }),
	accuracy("last_val_acc", func(m *runlog.Metrics) (float64, bool) { return m.LastValAcc, true }),
	loss("last_val_loss", func(m *runlog.Metrics) (float64, bool) { return m.LastValLoss, true }),
	parameters("params_trainable", func(p runlog.Params) int64 { return p.Trainable }),
	parameters("params_total", func(p runlog.Params) int64 { return p.Total }),
	cost("seconds", Duration, func(t *runlog.Timing) float64 { return t.Seconds }),
	cost("train_seconds", Duration, func(t *runlog.Timing) float64 { return t.TrainSeconds }),
	cost("val_seconds", Duration, func(t *runlog.Timing) float64 { return t.ValSeconds }),
	speed("images_per_second", func(t *runlog.Timing) float64 { return t.ImagesPerSecond }),
	cost("peak_memory_bytes", size, func(t *runlog.Timing) float64 { return float64(t.PeakMemory) }),
}

// LookupMetric finds a metric by its name.
func LookupMetric(name string) (Metric, bool) {
	for _, m := range Metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// lack says why runs may not have the metric, as the end of a sentence.
func (m *Metric) lack() string {
	switch m.Name {
	case "test_acc", "test_loss":
		return ": a data set with a test split gives it"
	case "val_top5":
		return ": it is of more than five classes only"
	}
	return ""
}

// Text writes a value for people.
func (m *Metric) Text(v float64) string {
	if v < 0 {
		return "−" + m.text(-v)
	}
	return m.text(v)
}

// limit writes what was given as a limit, with all its digits where the metric is a plain number.
func (m *Metric) limit(v float64) string {
	if m.text(0) == decimals3(0) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return m.Text(v)
}

// Change writes a difference of two values for people, with its sign.
func (m *Metric) Change(v float64) string {
	text := m.Text(v)
	if v > 0 && text != m.text(0) {
		return "+" + text
	}
	if v < 0 && text == "−"+m.text(0) {
		return m.text(0)
	}
	return text
}

func accuracy(name string, value func(*runlog.Metrics) (float64, bool)) Metric {
	m := loss(name, value)
	m.MoreIsBetter, m.Limit, m.Relative = true, 0.01, false
	return m
}

func loss(name string, value func(*runlog.Metrics) (float64, bool)) Metric {
	return Metric{Name: name, Limit: 0.05, Relative: true, text: decimals3, value: func(_ *ConfigResults, s *SeedResult) (float64, bool) {
		return value(s.Metrics)
	}}
}

func parameters(name string, value func(runlog.Params) int64) Metric {
	text := func(v float64) string { return Count(int64(math.Round(v))) }
	return Metric{Name: name, Exact: true, text: text, value: func(c *ConfigResults, _ *SeedResult) (float64, bool) {
		return float64(value(c.Params)), true
	}}
}

// cost is a metric of what a run took; what is 0 was not measured.
func cost(name string, text func(float64) string, value func(*runlog.Timing) float64) Metric {
	return Metric{Name: name, Limit: 0.1, Relative: true, text: text, value: func(_ *ConfigResults, s *SeedResult) (float64, bool) {
		if s.Timing == nil {
			return 0, false
		}
		v := value(s.Timing)
		return v, v > 0
	}}
}

func speed(name string, value func(*runlog.Timing) float64) Metric {
	m := cost(name, func(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }, value)
	m.MoreIsBetter = true
	return m
}

func decimals3(v float64) string {
	if v >= 1e6 { // a loss that has exploded
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

func size(v float64) string { return Bytes(int64(math.Round(v))) }

func given(v *float64) (float64, bool) {
	if v == nil {
		return 0, false
	}
	return *v, true
}
