package reports

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// mostNumbered is the number of points up to which each has its place in the table beside it.
const mostNumbered = 30

// dot is a configuration with a finished run.
type dot struct {
	place   int // in the table, from 1
	row     Row
	x, y    float64
	highest bool // none with as few parameters or fewer is better
}

// againstParams sets accuracy against trained parameters; why says where there is nothing to see.
func (b *sweepBuilder) againstParams(rows []Row) (f figure, why string) {
	var dots []dot
	low, high := math.Inf(1), math.Inf(-1)
	var least, most int64 = math.MaxInt64, 0
	for i, r := range rows {
		if r.Finished == 0 {
			continue
		}
		dots = append(dots, dot{place: i + 1, row: r})
		low, high = min(low, r.Acc.Mean-r.Acc.Std), max(high, r.Acc.Mean+r.Acc.Std)
		least, most = min(least, r.Params.Trainable), max(most, r.Params.Trainable)
	}
	switch {
	case len(dots) == 0:
		return f, "No configuration has a finished run: there is no accuracy to set against the trained parameters."
	case len(dots) == 1:
		return f, "One configuration alone has finished runs: there is nothing to set its accuracy and its trained parameters against."
	case least == most:
		return f, "All configurations train " + Count(least) + " parameters: there is nothing to set their accuracy against."
	}
	x, xTicks := logarithmic(float64(max(1, least)), float64(max(1, most)), frameLeft, frameRight)
	y, yTicks := linear(max(0, low), min(1, high), frameBottom, frameTop)
	place(dots, x, y)
	front := frontOf(dots)
	var best []string
	for _, d := range front[:min(8, len(front))] {
		best = append(best, fmt.Sprintf("%s %.3f with %s", rowName(b.table, d.row), d.row.Acc.Mean, Count(d.row.Params.Trainable)))
	}
	c := chart{XLabel: "trained parameters", XTicks: xTicks, YTicks: yTicks, Shapes: []shape{{"line front", stairs(front)}}}
	b.drawDots(&c, dots, y)
	return figure{
		Title: "Validation accuracy against trained parameters", Chart: c,
		Desc: fmt.Sprintf("%s between %s and %s trained parameters. The best with so many or fewer: %s.",
			Plural(len(dots), "configuration", "configurations"), Count(least), Count(most), strings.Join(best, "; ")),
		Note: "Numbers are places in the table. Whiskers are ± one standard deviation over the seeds; the dashed line is the best with so many trained parameters or fewer.",
	}, ""
}

// place gives dots their points. Those with as many parameters stand side by side.
func place(dots []dot, x, y axis) {
	beside := map[int64]int{}
	for i := range dots {
		beside[dots[i].row.Params.Trainable]++
	}
	placed := map[int64]int{}
	for i := range dots {
		d := &dots[i]
		k := d.row.Params.Trainable
		gap := min(8, 48/float64(beside[k]))
		d.x = x.at(float64(max(1, k))) + math.Round((float64(placed[k])-float64(beside[k]-1)/2)*gap*10)/10
		d.x = min(max(d.x, frameLeft), frameRight)
		d.y = y.at(d.row.Acc.Mean)
		placed[k]++
	}
}

// frontOf marks the dots that beat all with as few parameters or fewer, and lists them by parameters.
func frontOf(dots []dot) []*dot {
	order := make([]*dot, len(dots))
	for i := range order {
		order[i] = &dots[i]
	}
	slices.SortStableFunc(order, func(a, b *dot) int {
		return cmp.Or(cmp.Compare(a.row.Params.Trainable, b.row.Params.Trainable), cmp.Compare(b.row.Acc.Mean, a.row.Acc.Mean))
	})
	var front []*dot
	for _, d := range order {
		if len(front) == 0 || d.row.Acc.Mean > front[len(front)-1].row.Acc.Mean {
			d.highest = true
			front = append(front, d)
		}
	}
	return front
}

// stairs is the path of the line below which nothing is worth its parameters: it rises at each dot of the front.
func stairs(front []*dot) string {
	var path strings.Builder
	for i, d := range front {
		if i == 0 {
			fmt.Fprintf(&path, "M%s", coordinates(d.x, d.y))
		} else {
			fmt.Fprintf(&path, "H%sV%s", strconv.FormatFloat(d.x, 'f', -1, 64), strconv.FormatFloat(d.y, 'f', -1, 64))
		}
	}
	fmt.Fprintf(&path, "H%s", strconv.FormatFloat(frameRight, 'f', -1, 64))
	return path.String()
}

// drawDots draws the dots with their whiskers and numbers, the best last, on top.
func (b *sweepBuilder) drawDots(c *chart, dots []dot, y axis) {
	points := make([]chartText, len(dots))
	for i := len(dots) - 1; i >= 0; i-- {
		d := dots[i]
		points[i] = chartText{X: d.x, Y: d.y}
		n := b.series(d.place - 1)
		class := seriesClass(n)
		if acc := d.row.Acc; acc.N > 1 {
			c.Shapes = append(c.Shapes, shape{"whisker " + class, "M" + coordinates(d.x, y.at(acc.Mean-acc.Std)) + "V" + strconv.FormatFloat(y.at(acc.Mean+acc.Std), 'f', -1, 64)})
		}
		c.Marks = append(c.Marks, mark{Class: "mark " + class, Path: marker(n, d.x, d.y),
			Tip: fmt.Sprintf("%d %s: %s, %s trained", d.place, rowName(b.table, d.row), spread(d.row.Acc, 3), Count(d.row.Params.Trainable))})
		if n > 0 || d.highest || len(dots) <= mostNumbered {
			c.Texts = append(c.Texts, chartText{d.x, d.y, strconv.Itoa(d.place)})
		}
	}
	separate(c.Texts, points)
}

// separate moves the numbers off the points, to where each is nearest to its own, and apart where two would lie on each
// other.
func separate(texts, points []chartText) {
	for i := range texts {
		t := &texts[i]
		x, y := t.X, t.Y
		width := 6.5 * float64(len(t.Text))
		// covers tells whether the number lies on something about p; its middle is 4 above its foot.
		covers := func(p chartText, right, high float64) bool {
			return p.X+right > t.X-2 && p.X < t.X+width+2 && math.Abs(p.Y-(t.Y-4)) < high
		}
		distance := func(p chartText) float64 { return math.Hypot(p.X-(t.X+width/2), p.Y-(t.Y-4)) }
		free := func(near bool) bool {
			for _, offset := range [][2]float64{{7, -5}, {7, 12}, {-6 - width, -5}, {-6 - width, 12}, {-width / 2, -8}, {-width / 2, 17}, {7, -16}, {-6 - width, -16}, {7, 23}, {-6 - width, 23}} {
				t.X, t.Y = x+offset[0], y+offset[1]
				if t.X+width > frameRight || t.X < frameLeft || t.Y < frameTop+8 || t.Y > frameBottom {
					continue
				}
				own := distance(chartText{X: x, Y: y})
				if !slices.ContainsFunc(texts[:i], func(o chartText) bool { return covers(chartText{X: o.X, Y: o.Y - 4}, 6.5*float64(len(o.Text)), 10) }) &&
					!slices.ContainsFunc(points, func(p chartText) bool {
						return (p.X != x || p.Y != y) && (covers(chartText{X: p.X - 4, Y: p.Y}, 8, 8) || near && distance(p) < own)
					}) {
					return true
				}
			}
			return false
		}
		if !free(true) && !free(false) {
			t.X, t.Y = x+7, y-5
		}
	}
}
