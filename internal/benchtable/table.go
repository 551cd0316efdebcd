package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// render makes the table with the description of how it came about.
func render(m machine, o options, rows []row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d cores", m.cpu, m.cores)
	if m.memory > 0 {
		fmt.Fprintf(&b, ", %.0f GiB of memory", m.memory)
	}
	first := rows[0].ours[0]
	fmt.Fprintf(&b, "; %s/%s, %s, ftrun %s on %s (%s)", runtime.GOOS, runtime.GOARCH, runtime.Version(), first.Ftrun, first.Device, first.Path)
	if len(rows[0].theirs) > 0 {
		fmt.Fprintf(&b, ", PyTorch %s", rows[0].theirs[0].Torch)
	}
	fmt.Fprintf(&b, "; %s.\n", m.date.Format(time.DateOnly))
	peak := 0.0
	for _, r := range rows {
		for _, l := range r.ours {
			peak = max(peak, l.PeakGFLOPS)
		}
	}
	fmt.Fprintf(&b, "%d threads; medians of %d rounds of %d steps", o.threads, o.rounds, o.steps)
	if peak > 0 {
		fmt.Fprintf(&b, "; peak %.0f GFLOP/s", peak)
	}
	if busy, ok := others(rows); ok {
		fmt.Fprintf(&b, "; other programs took %.0f %% of the processors meanwhile", 100*busy)
	}
	b.WriteString(".\n\n")

	columns := []string{"architecture", "mode", "batch", "s a step", "pictures/s", "GFLOP/s", "of peak", "MiB"}
	if len(rows[0].theirs) > 0 {
		columns = append(columns, "PyTorch: s a step", "MiB", "times as fast", "rounds")
	}
	fmt.Fprintf(&b, "| %s |\n|---|---%s|\n", strings.Join(columns, " | "), strings.Repeat("|---:", len(columns)-2))
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r.cells(peak), " | "))
	}
	b.WriteString(means(rows))
	return strings.TrimRight(b.String(), "\n")
}

func (r row) cells(peak float64) []string {
	share := "–"
	if peak > 0 {
		share = fmt.Sprintf("%.0f %%", 100*medianOf(r.ours, gflops)/peak)
	}
	cells := []string{
		r.arch, r.mode, fmt.Sprint(r.batch), fmt.Sprintf("%.4f", medianOf(r.ours, seconds)),
		fmt.Sprintf("%.1f", medianOf(r.ours, pictures)), fmt.Sprintf("%.0f", medianOf(r.ours, gflops)), share,
		fmt.Sprintf("%.0f", medianOf(r.ours, mib)),
	}
	if len(r.theirs) > 0 {
		ratios := r.ratios()
		cells = append(cells, fmt.Sprintf("%.4f", medianOf(r.theirs, seconds)), fmt.Sprintf("%.0f", medianOf(r.theirs, mib)),
			fmt.Sprintf("%.2f", median(ratios)), fmt.Sprintf("%.2f–%.2f", slices.Min(ratios), slices.Max(ratios)))
	}
	return cells
}

// summary is a row as it is told when it is measured.
func (r row) summary() string {
	s := fmt.Sprintf("%s %s, batch %d: %.4f s", r.arch, r.mode, r.batch, medianOf(r.ours, seconds))
	if len(r.theirs) > 0 {
		s += fmt.Sprintf(", PyTorch %.4f s: %.2f times as fast", medianOf(r.theirs, seconds), median(r.ratios()))
	}
	if busy, ok := others([]row{r}); ok {
		s += fmt.Sprintf(" (others took %.0f %% of the processors)", 100*busy)
	}
	return s
}

// means says, for each mode and batch that was compared, how the architectures fare together.
func means(rows []row) string {
	type group struct {
		mode  string
		batch int
	}
	var order []group
	logs := map[group][]float64{}
	for _, r := range rows {
		if len(r.theirs) == 0 {
			continue
		}
		g := group{r.mode, r.batch}
		if logs[g] == nil {
			order = append(order, g)
		}
		logs[g] = append(logs[g], math.Log(median(r.ratios())))
	}
	var b strings.Builder
	for i, g := range order {
		if i == 0 {
			b.WriteString("\nGeometric means of times as fast:\n\n")
		}
		sum := 0.0
		for _, l := range logs[g] {
			sum += l
		}
		n := len(logs[g])
		fmt.Fprintf(&b, "- %s, batch %d: %.2f over %d, the least %.2f\n", g.mode, g.batch,
			math.Exp(sum/float64(n)), n, math.Exp(slices.Min(logs[g])))
	}
	return b.String()
}

// ratios is, for each round, how many of ftrun's steps PyTorch's takes.
func (r row) ratios() []float64 {
	x := make([]float64, len(r.theirs))
	for i := range x {
		x[i] = r.theirs[i].Seconds / r.ours[i].Seconds
	}
	return x
}

func seconds(l line) float64  { return l.Seconds }
func pictures(l line) float64 { return l.ImagesPerSecond }
func gflops(l line) float64   { return l.GFLOPS }
func mib(l line) float64      { return l.PeakMiB }

func medianOf(lines []line, value func(line) float64) float64 {
	x := make([]float64, len(lines))
	for i, l := range lines {
		x[i] = value(l)
	}
	return median(x)
}

// median of at least one number: the mean of the middle two of an even count.
func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// others is the mean over all processes of the processors' share that others took; not ok where it is not known.
func others(rows []row) (busy float64, ok bool) {
	var all []float64
	for _, r := range rows {
		for _, l := range append(slices.Clone(r.ours), r.theirs...) {
			if l.others != nil {
				all = append(all, *l.others)
			}
		}
	}
	for _, x := range all {
		busy += x / float64(len(all))
	}
	return busy, len(all) > 0
}

// Between these lines of the document stands the table.
const (
	tableBegin = "<!-- table: begin, written by make bench ARGS=-write -->\n"
	tableEnd   = "<!-- table: end -->\n"
)

// replaceTable reads the document and puts the table between its marks.
func replaceTable(document, table string) (string, error) {
	text, err := os.ReadFile(document)
	if err != nil {
		return "", err
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !ok || !ends {
		return "", fmt.Errorf("%s lacks the lines %q and %q between which the table is written", document, strings.TrimSpace(tableBegin), strings.TrimSpace(tableEnd))
	}
	return before + tableBegin + "\n" + table + "\n\n" + tableEnd + after, nil
}
