package reports

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ftrun/ftrun/internal/runlog"
)

// The frame that a chart is drawn in, of its 520 by 300 units. The page scales it; 12 units are the height of its text.
const (
	frameLeft, frameRight = 48.0, 508.0
	frameTop, frameBottom = 10.0, 264.0
)

type (
	// figure is a chart with its caption.
	figure struct {
		ID    string
		Title string
		Desc  string // for those who don't see it
		Note  string // below it
		Key   []keyView
		Chart chart
	}
	// keyView explains a kind of line in a figure of its own; Class is the stylesheet's.
	keyView struct{ Class, Text string }

	chart struct {
		XLabel         string
		XTicks, YTicks []tick
		Shapes         []shape // in the order of drawing
		Marks          []mark
		Texts          []chartText
	}
	tick struct {
		At   float64
		Text string
	}
	// shape is a path; Class is the stylesheet's.
	shape struct{ Class, Path string }
	// mark is a shape with a text that shows where a mouse points at it.
	mark struct{ Class, Path, Tip string }

	chartText struct {
		X, Y float64
		Text string
	}
)

// axis maps values to a chart's units, linearly or by their logarithm.
type axis struct {
	low, high float64 // of values, or of their logarithms to 10
	from, to  float64 // in units of the chart
	log       bool
}

func (a axis) at(v float64) float64 {
	if a.log {
		v = math.Log10(v)
	}
	v = min(max(v, a.low), a.high)
	return math.Round((a.from+(v-a.low)/(a.high-a.low)*(a.to-a.from))*10) / 10
}

// linear is an axis over round numbers that hold low and high, with some six ticks.
func linear(low, high, from, to float64) (axis, []tick) {
	if high-low < 1e-9*max(1, math.Abs(high)) {
		pad := max(math.Abs(high)*0.05, 1e-3)
		low, high = low-pad, high+pad
	}
	step := roundStep((high - low) / 5)
	a := axis{low: math.Floor(low/step+1e-9) * step, high: math.Ceil(high/step-1e-9) * step, from: from, to: to}
	digits := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	var ticks []tick
	for i := range int(math.Round((a.high-a.low)/step)) + 1 {
		v := a.low + float64(i)*step
		if math.Abs(v) < step/2 {
			v = 0 // and not -0
		}
		ticks = append(ticks, tick{a.at(v), strconv.FormatFloat(v, 'f', digits, 64)})
	}
	return a, ticks
}

// roundStep is the next of 1, 2, 5 and their tenfold that is not less.
func roundStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power*(1+1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logarithmic is an axis over the powers of ten about low and high; where these are few, 2 and 5 times them have ticks too.
func logarithmic(low, high, from, to float64) (axis, []tick) {
	a := axis{from: from, to: to, log: true}
	a.low, a.high = math.Log10(low), math.Log10(high)
	pad := max(0.06*(a.high-a.low), 0.06)
	a.low, a.high = a.low-pad, a.high+pad
	factors := []float64{1, 2, 5}
	every := 1
	if span := a.high - a.low; span > 2 {
		factors = factors[:1]
		every = int(math.Ceil(span / 6))
	}
	var ticks []tick
	for e := int(math.Floor(a.low)); e <= int(math.Ceil(a.high)); e++ {
		if e%every != 0 {
			continue
		}
		for _, f := range factors {
			v := f * math.Pow(10, float64(e))
			if l := math.Log10(v); l >= a.low && l <= a.high {
				ticks = append(ticks, tick{a.at(v), short(v)})
			}
		}
	}
	return a, ticks
}

// short writes a number of parameters, or a loss, in few characters: 500, 2k, 11M, 1e30.
func short(v float64) string {
	if v >= 1e12 {
		return strings.Replace(strconv.FormatFloat(v, 'g', 3, 64), "e+", "e", 1)
	}
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= unit.size*0.9995 {
			return strconv.FormatFloat(v/unit.size, 'g', 3, 64) + unit.name
		}
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// epochAxis is an axis over whole epochs from 1.
func epochAxis(last int) (axis, []tick) {
	a := axis{low: 1, high: float64(last), from: frameLeft + 8, to: frameRight - 8}
	if last == 1 {
		a.low, a.high = 0, 2
		return a, []tick{{a.at(1), "1"}}
	}
	step := max(1, int(roundStep(float64(last-1)/6)))
	ticks := []tick{{a.at(1), "1"}}
	for e := step; e <= last; e += step {
		if e > 1 && (e-1)*6 >= step { // not over the first
			ticks = append(ticks, tick{a.at(float64(e)), strconv.Itoa(e)})
		}
	}
	return a, ticks
}

// curve is the course of one configuration over its seeds.
type curve struct {
	valAcc, valLoss, trainAcc, trainLoss series
	best                                 []bestEpoch // of the seeds that have finished
	finished                             int         // seeds, and those that are still under way
	open                                 int
}

type bestEpoch struct {
	epoch     int
	acc, loss float64
}

// series holds a metric of a configuration: of each seed, and over the seeds that reached an epoch.
type series struct {
	seeds [][]point
	mean  []point
	low   []float64 // at the epochs of mean
	high  []float64
}

type point struct {
	epoch int
	value float64
}

// curveOf gathers the epochs of a configuration's runs.
func curveOf(runs []Run, courses []Course) curve {
	var c curve
	for i, course := range courses {
		if len(course.Epochs) == 0 {
			continue
		}
		if runs[i].Status == runlog.Finished {
			c.finished++
		} else {
			c.open++
		}
		add := func(s *series, value func(runlog.Epoch) float64) {
			points := make([]point, len(course.Epochs))
			for k, e := range course.Epochs {
				points[k] = point{e.Epoch, value(e)}
			}
			s.seeds = append(s.seeds, points)
		}
		add(&c.valAcc, func(e runlog.Epoch) float64 { return e.ValAcc })
		add(&c.valLoss, func(e runlog.Epoch) float64 { return e.ValLoss })
		add(&c.trainAcc, func(e runlog.Epoch) float64 { return e.TrainAcc })
		add(&c.trainLoss, func(e runlog.Epoch) float64 { return e.TrainLoss })
		if m := runs[i].Metrics; m != nil {
			c.best = append(c.best, bestEpoch{m.BestEpoch, m.ValAcc, m.ValLoss})
		}
	}
	for _, s := range []*series{&c.valAcc, &c.valLoss, &c.trainAcc, &c.trainLoss} {
		s.summarize()
	}
	return c
}

// summarize makes mean, low and high of the seeds, thinned out to mostPoints.
func (s *series) summarize() {
	at := map[int][]float64{}
	last := 0
	for _, points := range s.seeds {
		for _, p := range points {
			at[p.epoch] = append(at[p.epoch], p.value)
			last = max(last, p.epoch)
		}
	}
	epochs := make([]int, 0, len(at))
	for e := range at {
		epochs = append(epochs, e)
	}
	slices.Sort(epochs)
	stride := (len(epochs) + mostPoints - 1) / max(1, mostPoints)
	kept := map[int]bool{}
	for i, e := range epochs {
		if i%max(1, stride) != 0 && e != last {
			continue
		}
		kept[e] = true
		sum := 0.0
		for _, v := range at[e] {
			sum += v
		}
		s.mean = append(s.mean, point{e, sum / float64(len(at[e]))})
		s.low = append(s.low, slices.Min(at[e]))
		s.high = append(s.high, slices.Max(at[e]))
	}
	s.seeds = s.seeds[:min(mostSeeds, len(s.seeds))]
	for i, points := range s.seeds {
		s.seeds[i] = slices.DeleteFunc(points, func(p point) bool { return !kept[p.epoch] })
	}
}

func (s *series) last() int {
	if len(s.mean) == 0 {
		return 0
	}
	return s.mean[len(s.mean)-1].epoch
}

// plot draws series over epochs in one chart.
type plot struct {
	x, y  axis
	chart chart
	note  string
}

// newPlot makes the axes for series of a metric. Accuracies have a linear axis. Losses have a logarithmic one where they go
// over more than a decade, and end at 20 times their median, so that one run that diverged does not press all others flat.
func newPlot(all []*series, loss bool) *plot {
	p := &plot{}
	var values []float64
	last := 1
	for _, s := range all {
		last = max(last, s.last())
		values = append(append(values, s.low...), s.high...)
	}
	slices.Sort(values)
	low, high := values[0], values[len(values)-1]
	p.chart.XLabel = "epoch"
	p.x, p.chart.XTicks = epochAxis(last)
	if loss {
		if limit := 20 * values[len(values)/2]; high > limit && limit > 0 {
			high = limit
			p.note = "Values above " + short(limit) + " are drawn at the upper edge."
		}
	}
	if loss && low > 0 && high > 10*low {
		p.y, p.chart.YTicks = logarithmic(low, high, frameBottom, frameTop)
	} else {
		p.y, p.chart.YTicks = linear(low, high, frameBottom, frameTop)
	}
	return p
}

func (p *plot) line(class string, points []point) {
	var b strings.Builder
	for i, q := range points {
		b.WriteByte("ML"[min(i, 1)])
		b.WriteString(coordinates(p.x.at(float64(q.epoch)), p.y.at(q.value)))
	}
	if len(points) > 1 {
		p.chart.Shapes = append(p.chart.Shapes, shape{"line " + class, b.String()})
	}
}

// band fills what lies between the lowest and the highest seed.
func (p *plot) band(class string, s *series) {
	if len(s.seeds) < 2 || len(s.mean) < 2 {
		return
	}
	var b strings.Builder
	for i, q := range s.mean {
		b.WriteByte("ML"[min(i, 1)])
		b.WriteString(coordinates(p.x.at(float64(q.epoch)), p.y.at(s.high[i])))
	}
	for i := len(s.mean) - 1; i >= 0; i-- {
		b.WriteByte('L')
		b.WriteString(coordinates(p.x.at(float64(s.mean[i].epoch)), p.y.at(s.low[i])))
	}
	b.WriteByte('Z')
	p.chart.Shapes = append(p.chart.Shapes, shape{"band " + class, b.String()})
}

// marks puts the series' mark on its line: on each point of a short one, on some of a long one.
func (p *plot) marks(n int, points []point) {
	every := max(1, (len(points)+7)/8)
	for i, q := range points {
		if (len(points)-1-i)%every == 0 {
			p.chart.Marks = append(p.chart.Marks, mark{Class: "mark " + seriesClass(n), Path: marker(n, p.x.at(float64(q.epoch)), p.y.at(q.value))})
		}
	}
}

func coordinates(x, y float64) string {
	return strconv.FormatFloat(x, 'f', -1, 64) + " " + strconv.FormatFloat(y, 'f', -1, 64)
}

// marker is the mark of a series about a place: circle, square, triangle up, diamond, triangle down, cross; a small circle
// for those without a colour.
func marker(series int, x, y float64) string {
	at := coordinates(x, y)
	switch series {
	case 0:
		return "M" + at + "m-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0z"
	case 2:
		return "M" + at + "m-3.5-3.5h7v7h-7z"
	case 3:
		return "M" + at + "m0-4.6l4.5 8h-9z"
	case 4:
		return "M" + at + "m0-5l5 5l-5 5l-5-5z"
	case 5:
		return "M" + at + "m0 4.6l4.5-8h-9z"
	case 6:
		return "M" + at + "m-4.5-1.4h3.1v-3.1h2.8v3.1h3.1v2.8h-3.1v3.1h-2.8v-3.1h-3.1z"
	}
	return "M" + at + "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"
}

// figures are the charts of one configuration: accuracy and loss, on training and on validation pictures.
func (c *curve) figures(id, name string) []figure {
	if len(c.valAcc.mean) == 0 {
		return nil
	}
	seeds := c.finished + c.open
	over := ""
	if seeds > 1 {
		over = fmt.Sprintf(", mean of %d seeds", seeds)
	}
	draw := func(suffix, metric string, val, train *series, loss bool, best func(bestEpoch) float64) figure {
		p := newPlot([]*series{val, train}, loss)
		p.band("train", train)
		p.band("val", val)
		if seeds > 1 {
			for _, points := range val.seeds {
				p.line("seed", points)
			}
		}
		p.line("train", train.mean)
		p.line("val", val.mean)
		if len(val.mean) == 1 {
			for _, s := range []struct {
				class string
				*series
			}{{"train", train}, {"val", val}} {
				p.chart.Marks = append(p.chart.Marks, mark{Class: "mark " + s.class, Path: marker(1, p.x.at(1), p.y.at(s.mean[0].value))})
			}
		}
		for _, b := range c.best {
			p.chart.Marks = append(p.chart.Marks, mark{Class: "mark best", Path: marker(1, p.x.at(float64(b.epoch)), p.y.at(best(b))),
				Tip: fmt.Sprintf("best epoch %d: %.4g", b.epoch, best(b))})
		}
		n := len(val.mean) - 1
		f := figure{ID: id + suffix, Title: metric + " by epoch", Chart: p.chart, Note: p.note,
			Desc: fmt.Sprintf("%s of %s over %s%s: at the last epoch %.4g on validation pictures and %.4g on training pictures.",
				metric, name, Plural(val.last(), "epoch", "epochs"), over, val.mean[n].value, train.mean[len(train.mean)-1].value),
			Key: []keyView{{"val", "validation"}, {"train", "training"}},
		}
		if seeds > 1 {
			f.Key[0].Text, f.Key[1].Text = "validation, mean of the seeds", "training, mean of the seeds"
			f.Key = append(f.Key, keyView{"seed", "validation, each seed"}, keyView{"area", "lowest to highest seed"})
		}
		if len(c.best) > 0 {
			f.Key = append(f.Key, keyView{"dot", "best epoch"})
		}
		return f
	}
	return []figure{
		draw("acc", "Accuracy", &c.valAcc, &c.trainAcc, false, func(b bestEpoch) float64 { return b.acc }),
		draw("loss", "Loss", &c.valLoss, &c.trainLoss, true, func(b bestEpoch) float64 { return b.loss }),
	}
}

// overview draws all configurations that are shown in detail over epochs, and all of the table's rows against their trained
// parameters. The first few have a colour, a dash and a mark of their own, the same in each chart.
func (b *sweepBuilder) overview(s *sweepView) {
	grey := false
	for i, r := range b.table.Rows[:len(s.Rows)] {
		if n := b.series(i); n > 0 {
			s.Legend = append(s.Legend, legendView{n, strconv.Itoa(i + 1), rowName(b.table, r)})
		} else if r.Finished > 0 {
			grey = true
		}
	}
	if grey {
		s.Legend = append(s.Legend, legendView{Text: "the others"})
	}
	for _, m := range []struct {
		suffix, metric string
		of             func(*curve) *series
		loss           bool
	}{
		{"acc", "Validation accuracy", func(c *curve) *series { return &c.valAcc }, false},
		{"loss", "Validation loss", func(c *curve) *series { return &c.valLoss }, true},
	} {
		if f, ok := b.courses(m.metric, m.of, m.loss); ok {
			f.ID = b.id + m.suffix
			s.Figures = append(s.Figures, f)
		}
	}
	if f, why := b.againstParams(b.table.Rows[:len(s.Rows)]); why != "" {
		s.NoPlot = why
	} else {
		f.ID = b.id + "params"
		s.Figures = append(s.Figures, f)
	}
}

// courses draws a metric of the configurations over epochs.
func (b *sweepBuilder) courses(metric string, of func(*curve) *series, loss bool) (figure, bool) {
	var all []*series
	for i := range b.curves {
		if s := of(&b.curves[i]); len(s.mean) > 0 {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return figure{}, false
	}
	p := newPlot(all, loss)
	seeds := 0
	var ends []string
	for i := len(b.curves) - 1; i >= 0; i-- { // the best last, on top
		s, n := of(&b.curves[i]), b.series(i)
		if len(s.mean) == 0 {
			continue
		}
		seeds = max(seeds, len(s.seeds))
		if n > 0 {
			p.band(seriesClass(n), s)
			ends = append(ends, fmt.Sprintf("%s %.4g", rowName(b.table, b.table.Rows[i]), s.mean[len(s.mean)-1].value))
		}
		p.line(seriesClass(n), s.mean)
		if n > 0 {
			p.marks(n, s.mean)
		}
	}
	slices.Reverse(ends)
	f := figure{Title: metric + " by epoch", Chart: p.chart, Note: p.note}
	f.Desc = fmt.Sprintf("%s of %s over epochs. At the last epoch: %s.", metric, Plural(len(all), "configuration", "configurations"), strings.Join(ends, "; "))
	if seeds > 1 {
		f.Note = strings.TrimSpace("Lines are means over the seeds, bands go from the lowest to the highest seed. " + f.Note)
	}
	return f, true
}

// mostNumbered is the number of points up to which each has its place in the table beside it.
const mostNumbered = 30

// againstParams sets accuracy against trained parameters; why says where there is nothing to see.
func (b *sweepBuilder) againstParams(rows []Row) (f figure, why string) {
	type dot struct {
		place   int
		row     Row
		x, y    float64
		highest bool // none with as few parameters or fewer is better
	}
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
	c := chart{XLabel: "trained parameters", XTicks: xTicks, YTicks: yTicks}

	// Points with as many parameters stand side by side.
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

	// The line below which nothing is worth its parameters: it rises at each configuration that beats all smaller ones.
	order := make([]int, len(dots))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(dots[i].row.Params.Trainable, dots[j].row.Params.Trainable), cmp.Compare(dots[j].row.Acc.Mean, dots[i].row.Acc.Mean))
	})
	var stairs strings.Builder
	top := math.Inf(-1)
	var front []string
	for _, i := range order {
		d := &dots[i]
		if d.row.Acc.Mean <= top {
			continue
		}
		top, d.highest = d.row.Acc.Mean, true
		front = append(front, fmt.Sprintf("%s %.3f with %s", rowName(b.table, d.row), d.row.Acc.Mean, Count(d.row.Params.Trainable)))
		if stairs.Len() == 0 {
			fmt.Fprintf(&stairs, "M%s", coordinates(d.x, d.y))
		} else {
			fmt.Fprintf(&stairs, "H%sV%s", strconv.FormatFloat(d.x, 'f', -1, 64), strconv.FormatFloat(d.y, 'f', -1, 64))
		}
	}
	fmt.Fprintf(&stairs, "H%s", strconv.FormatFloat(frameRight, 'f', -1, 64))
	c.Shapes = append(c.Shapes, shape{"line front", stairs.String()})

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
	f = figure{Title: "Validation accuracy against trained parameters", Chart: c}
	f.Desc = fmt.Sprintf("%s between %s and %s trained parameters. The best with so many or fewer: %s.",
		Plural(len(dots), "configuration", "configurations"), Count(least), Count(most), strings.Join(front[:min(8, len(front))], "; "))
	f.Note = "Numbers are places in the table. Whiskers are ± one standard deviation over the seeds; the dashed line is the best with so many trained parameters or fewer."
	return f, ""
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
