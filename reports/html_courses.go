package reports

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ftrun/ftrun/internal/runlog"
)

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
