package reports

import (
	"fmt"
	"io"
	"math"
	"strconv"
)

// writeComparisonsHTML writes a page of comparisons alone; Report.Comparisons has them on top of what is known of the runs.
func writeComparisonsHTML(w io.Writer, all []Outcome) error {
	title := "comparison"
	if len(all) > 0 {
		title = all[0].Title()
		if c := all[0].Comparison; c != nil {
			title = c.Title()
		}
	}
	return writeReportHTML(w, &Report{Title: title, Comparisons: all})
}

type (
	comparisonView struct {
		ID, Title string
		Reason    string // why there is nothing to show: it was skipped, or could not be evaluated
		Counts    []verdictCount
		Tables    []comparisonTable
		Forest    bool // of one of the tables
		Notes     []string
		Warnings  []string
	}
	verdictCount struct {
		verdictView
		Count int
	}
	// verdictView is a verdict with its word for people and its mark; the verdict is the stylesheet's class.
	verdictView struct{ Class, Word, Mark string }

	comparisonTable struct {
		Sweep   string
		Fixed   []string
		Header  []headView
		Rows    []judgementView
		Forest  bool
		LeftOut string
	}
	judgementView struct {
		Verdict verdictView
		Names   []string
		Cells   []cellView
		Forest  *forest
	}
	// forest is a row's difference with its interval, and what is borne, on a line.
	forest struct {
		Zero, Margin string
		Bar          string
		Mean         float64
	}
)

func (c *Comparison) viewOfVerdict(v Verdict) verdictView {
	return verdictView{string(v), c.word(v), map[Verdict]string{Worse: "▼", Inconclusive: "?", Better: "▲", Same: "="}[v]}
}

// view is what a page shows of an outcome, with so many rows at most.
func (o *Outcome) view(id string, left *int) comparisonView {
	if o.Comparison == nil {
		return comparisonView{ID: id, Title: o.Title(), Reason: o.unevaluated()}
	}
	return o.Comparison.view(id, left)
}

// view is what a page shows of a comparison, with so many rows at most.
func (c *Comparison) view(id string, left *int) comparisonView {
	v := comparisonView{ID: id, Title: c.Title(), Notes: c.Notes(), Warnings: c.Warnings}
	for _, verdict := range urgency {
		if n := c.Count(verdict); n > 0 {
			v.Counts = append(v.Counts, verdictCount{c.viewOfVerdict(verdict), n})
		}
	}
	for _, t := range c.Tables() {
		shown := t.Rows[:min(len(t.Rows), *left)]
		*left -= len(shown)
		table := comparisonTable{Sweep: t.Sweep, Fixed: t.Fixed}
		header, right, cells := c.cells(&t, shown)
		header = header[:len(header)-1] // the verdict stands in front
		for i, h := range header {
			table.Header = append(table.Header, headView{h, i >= right})
		}
		scale := c.forestScale(shown)
		table.Forest = scale != nil
		for i, j := range shown {
			row := judgementView{Verdict: c.viewOfVerdict(j.Verdict), Names: cells[i][:right], Forest: scale.forest(c, j)}
			values := [...]*float64{nil, nil, j.Difference, nil, nil}
			if j.Base != nil && j.Base.N > 0 {
				values[0] = &j.Base.Mean
			} else if j.Base == nil {
				values[0] = &c.Criterion.Limit
			}
			if j.New.N > 0 {
				values[1] = &j.New.Mean
			}
			if j.Interval != nil {
				values[3] = j.Interval.Low
			}
			if j.P != nil {
				values[4] = &j.P.Worse
			}
			for k, text := range cells[i][right : len(cells[i])-1] {
				row.Cells = append(row.Cells, cellView{text, number(values[k])})
			}
			table.Rows = append(table.Rows, row)
		}
		if n := len(t.Rows) - len(shown); n > 0 {
			table.LeftOut = fmt.Sprintf("%s left out: `ftrun compare -format csv` has them all.", Plural(n, "more configuration is", "more configurations are"))
		}
		v.Tables = append(v.Tables, table)
		v.Forest = v.Forest || table.Forest
	}
	return v
}

// Forests are as wide as strips, and half as wide again.
const forestWidth, forestMiddle = 180.0, 8.0

type forestAxis struct{ axis }

// forestScale is the scale of the differences of a table; nil where there are none.
func (c *Comparison) forestScale(rows []*Judgement) *forestAxis {
	low, high := 0.0, 0.0
	known := false
	for _, j := range rows {
		if j.Difference == nil {
			continue
		}
		known = true
		ends := []float64{*j.Difference, c.margin(j)}
		if j.Interval != nil {
			for _, end := range []*float64{j.Interval.Low, j.Interval.High} {
				if end != nil {
					ends = append(ends, *end)
				}
			}
		}
		for _, v := range ends {
			low, high = min(low, v), max(high, v)
		}
	}
	if !known || math.IsInf(low, 0) || math.IsInf(high, 0) || high <= low {
		return nil
	}
	return &forestAxis{axis{low: low, high: high, from: 8, to: forestWidth - 8}}
}

// margin is the difference beyond which a configuration is worse.
func (c *Comparison) margin(j *Judgement) float64 {
	if c.metric().MoreIsBetter {
		return -j.Margin
	}
	return j.Margin
}

func (a *forestAxis) forest(c *Comparison, j *Judgement) *forest {
	if a == nil || j.Difference == nil {
		return nil
	}
	upright := func(v float64) string {
		return "M" + strconv.FormatFloat(a.at(v), 'f', -1, 64) + " 0v16"
	}
	f := &forest{Zero: upright(0), Mean: a.at(*j.Difference)}
	if j.Margin > 0 {
		f.Margin = upright(c.margin(j))
	}
	if i := j.Interval; i != nil {
		// An open end goes over the edge.
		low, high := 0.0, forestWidth
		if i.Low != nil {
			low = a.at(*i.Low)
		}
		if i.High != nil {
			high = a.at(*i.High)
		}
		f.Bar = "M" + coordinates(low, forestMiddle) + "H" + strconv.FormatFloat(high, 'f', -1, 64)
	}
	return f
}
