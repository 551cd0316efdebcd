package reports

import (
	"math"
	"strconv"
	"strings"
)

// strip is a row's accuracies on a line: each seed, the mean, and one standard deviation to both sides.
type strip struct {
	Seeds string
	Mean  float64
	Bar   string
}

// stripAxis is the scale of all strips of a table.
type stripAxis struct{ axis }

// Strips are 120 units wide and 16 high.
const stripWidth, stripMiddle = 120.0, 8.0

// stripScale is nil where fewer than two rows have finished runs.
func stripScale(rows []Row) *stripAxis {
	low, high, n := math.Inf(1), math.Inf(-1), 0
	for _, r := range rows {
		if r.Finished == 0 {
			continue
		}
		n++
		low, high = min(low, r.Acc.Mean-r.Acc.Std), max(high, r.Acc.Mean+r.Acc.Std)
		for _, run := range r.runs {
			if run.Metrics != nil {
				low, high = min(low, run.Metrics.ValAcc), max(high, run.Metrics.ValAcc)
			}
		}
	}
	if n < 2 || high <= low {
		return nil
	}
	return &stripAxis{axis{low: low, high: high, from: 5, to: stripWidth - 5}}
}

func (s *stripAxis) strip(r Row) *strip {
	if s == nil || r.Finished == 0 {
		return nil
	}
	v := &strip{Mean: s.at(r.Acc.Mean)}
	if r.Acc.N > 1 {
		v.Bar = "M" + coordinates(s.at(r.Acc.Mean-r.Acc.Std), stripMiddle) + "H" + strconv.FormatFloat(s.at(r.Acc.Mean+r.Acc.Std), 'f', -1, 64)
	}
	var b strings.Builder
	for i, run := range r.runs {
		if run.Metrics != nil && i < mostSeeds && r.Acc.N > 1 {
			b.WriteString("M" + coordinates(s.at(run.Metrics.ValAcc), stripMiddle-4) + "v8")
		}
	}
	v.Seeds = b.String()
	return v
}
