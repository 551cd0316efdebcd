package reports

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// gateJSON is what came of a gate.
type gateJSON struct {
	Name    string  `json:"name"`
	Metric  string  `json:"metric"`
	Verdict Passing `json:"verdict"`
	Reason  string  `json:"reason,omitempty"`
}

func writeComparisonsJSON(w io.Writer, all []Outcome) error {
	doc := struct {
		Comparisons []*Comparison `json:"comparisons"`
		Gates       []gateJSON    `json:"gates,omitempty"`
	}{Comparisons: []*Comparison{}}
	for i := range all {
		o := &all[i]
		if o.Comparison != nil {
			doc.Comparisons = append(doc.Comparisons, o.Comparison)
		}
		if o.Criterion.Name != "" {
			is, reason := o.Passing()
			doc.Gates = append(doc.Gates, gateJSON{o.Criterion.Name, o.Criterion.Metric, is, reason})
		}
	}
	return writeJSON(w, doc)
}

// columnsOfText is how wide a comparison is as text, and listed how many configurations are named one by one.
const (
	columnsOfText = 80
	rowsOfText    = 200
	listed        = 8
)

func writeComparisonsText(w io.Writer, all []Outcome) error {
	var b bytes.Buffer
	for i := range all {
		if i > 0 {
			fmt.Fprintln(&b)
		}
		o := &all[i]
		if o.Comparison == nil {
			fmt.Fprintln(&b, Wrap(Printable(o.Title()+": "+o.unevaluated()), 0, columnsOfText))
			continue
		}
		if err := o.Comparison.writeText(&b); err != nil {
			return err
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (c *Comparison) writeText(b *bytes.Buffer) error {
	para := func(text string) { fmt.Fprintln(b, Wrap(Printable(text), 0, columnsOfText)) }
	para(c.Title())
	for _, t := range c.Tables() {
		fmt.Fprintln(b)
		title := t.Sweep
		if len(t.Fixed) > 0 {
			title += " (" + strings.Join(t.Fixed, ", ") + ")"
		}
		para(title)
		shown := t.Rows[:min(len(t.Rows), rowsOfText)]
		header, right, rows := c.textCells(&t, shown)
		if err := writePlain(b, header, right, rows); err != nil {
			return err
		}
		if more := len(t.Rows) - len(shown); more > 0 {
			fmt.Fprintf(b, "… and %s: -format json lists them all.\n", Plural(more, "more line", "more lines"))
		}
	}
	if len(c.Judged) > 0 {
		fmt.Fprintln(b)
	}
	for _, n := range c.Notes() {
		para(n)
	}
	for _, warning := range c.Warnings {
		para("Warning: " + warning)
	}
	para(c.Summary())
	return nil
}

// textCells are the cells of a table for a terminal. Where they would be too wide, labels are cut further, and then the
// interval and the p value left out.
func (c *Comparison) textCells(t *SweepTable, shown []*Judgement) (header []string, right int, rows [][]string) {
	header, right, rows = c.cells(t, shown)
	for most := widest; tableWidth(header, rows) > columnsOfText && most >= 8; most -= 4 {
		for i := range right {
			header[i] = Shorten(header[i], most)
			shortenColumn(rows, i, most)
		}
	}
	for len(header) > right+4 && tableWidth(header, rows) > columnsOfText { // p first, then the interval
		at := len(header) - 2
		header = slices.Delete(header, at, at+1)
		for i := range rows {
			rows[i] = slices.Delete(rows[i], at, at+1)
		}
	}
	return header, right, rows
}

// cells are those of a table: the axes that vary and, from right on, the figures with the verdict at the end.
func (c *Comparison) cells(t *SweepTable, shown []*Judgement) (header []string, right int, rows [][]string) {
	m := c.metric()
	tested := slices.ContainsFunc(shown, func(j *Judgement) bool { return j.Interval != nil })
	figures := []string{"baseline", "new", "change"}
	if c.Base == nil {
		figures = []string{string(c.Criterion.Bound), "new", "change"}
	}
	if tested {
		figures = append(figures, fmt.Sprintf("%.4g%% interval", 100*(1-2*c.Criterion.Alpha)), "p")
	}
	labels := t.Axes
	if len(labels) == 0 {
		labels = []string{"configuration"}
	}
	right = len(labels)
	for _, j := range shown {
		row := make([]string, 0, right+len(figures)+1)
		for _, axis := range t.Axes {
			row = append(row, orDash(Printable(j.Labels.Text(axis))))
		}
		if len(t.Axes) == 0 {
			row = append(row, t.Sweep)
		}
		row = append(row, c.reference(m, j), valueText(m, &j.New), "–")
		if j.Difference != nil {
			row[len(row)-1] = m.Change(*j.Difference)
		}
		if tested {
			row = append(row, intervalText(m, j.Interval), orDash(j.pText()))
		}
		rows = append(rows, append(row, c.word(j.Verdict)))
	}
	return append(append(slices.Clone(labels), figures...), "verdict"), right, rows
}

// tableWidth is the number of characters of the widest line of a table in style plain.
func tableWidth(header []string, rows [][]string) int {
	width := 0
	for i := range header {
		column := utf8.RuneCountInString(header[i])
		for _, r := range rows {
			column = max(column, utf8.RuneCountInString(r[i]))
		}
		width += column + 1
	}
	return width - 1
}

func (c *Comparison) metric() *Metric {
	m, ok := LookupMetric(c.Criterion.Metric)
	if !ok {
		panic("reports: no metric " + c.Criterion.Metric)
	}
	return &m
}

// reference is what the newer value is held against.
func (c *Comparison) reference(m *Metric, j *Judgement) string {
	if j.Base == nil {
		return m.limit(c.Criterion.Limit)
	}
	return valueText(m, j.Base)
}

func valueText(m *Metric, v *Value) string {
	if v.N == 0 {
		return "–"
	}
	return m.Text(v.Mean)
}

func intervalText(m *Metric, i *Interval) string {
	if i == nil {
		return "–"
	}
	end := func(v *float64) string {
		if v == nil {
			return "…"
		}
		return m.Change(*v)
	}
	if i.Low == nil && i.High == nil {
		return "open"
	}
	return end(i.Low) + " to " + end(i.High)
}

// pText is the p value that the verdict rests on; of an inconclusive one the smaller of those that it could have rested on.
func (j *Judgement) pText() string {
	if j.P == nil {
		return ""
	}
	switch j.Verdict {
	case Worse:
		return pText(j.P.Worse)
	case Same:
		return pText(j.P.Same)
	case Better:
		return pText(max(j.P.Same, j.P.Better))
	}
	return pText(min(j.P.Worse, j.P.Same))
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// Title says what is compared with what: "val_acc of the last plan against baseline.json (ftrun 0.1.0)".
func (c *Comparison) Title() string {
	title := c.Criterion.Metric + " of " + c.New.Origin
	if c.Criterion.Name != "" {
		title = c.Criterion.Name + ": " + title
	}
	if c.Base != nil {
		title += " against " + c.Base.String()
	}
	return title
}

// String is the side's origin, with the version that wrote it where that is told.
func (s *Side) String() string {
	if s.Version == "" {
		return s.Origin
	}
	return s.Origin + " (ftrun " + s.Version + ")"
}

// Summary counts the verdicts: "1 worse, 2 inconclusive, 5 same of 8 configurations".
func (c *Comparison) Summary() string {
	if len(c.Judged) == 0 {
		return "No configuration was compared."
	}
	return c.Tally() + " of " + Plural(len(c.Judged), "configuration", "configurations") + "."
}

// Notes say in sentences what the figures and verdicts are, why some are inconclusive, which settings differ, and what one
// side alone has.
func (c *Comparison) Notes() []string {
	var notes []string
	if len(c.Judged) > 0 {
		notes = append(notes, c.Rule())
	}
	if slices.ContainsFunc(c.Judged, func(j Judgement) bool { return j.P != nil }) {
		notes = append(notes, "p is of what the verdict says: that the bound is exceeded (worse), or kept (same, better); where it is inconclusive, the smaller of the two.")
	}
	notes = append(notes, c.Reasons()...)
	var changed grouping
	tables := c.Tables()
	for i := range tables {
		t := &tables[i]
		for _, j := range t.Rows {
			for _, s := range j.Changed {
				changed.add(s, t.name(j, len(tables) > 1))
			}
		}
	}
	for i, setting := range changed.keys {
		where := some(changed.names[i])
		if len(changed.names[i]) == len(c.Judged) {
			where = "all"
		}
		if i == listed {
			notes = append(notes, fmt.Sprintf("… and %s that differ.", Plural(len(changed.keys)-i, "more setting", "more settings")))
			break
		}
		notes = append(notes, fmt.Sprintf("Changed: %s (%s).", setting, where))
	}
	for _, side := range []struct {
		all []Unmatched
		of  *Side
	}{{c.OnlyBase, c.Base}, {c.OnlyNew, &c.New}} {
		if len(side.all) > 0 {
			names := make([]string, len(side.all))
			for i := range side.all {
				names[i] = side.all[i].Name()
			}
			notes = append(notes, fmt.Sprintf("Only in %s: %s.", side.of.Origin, some(names)))
		}
	}
	return notes
}

// name is how a configuration is told from the others of its comparison.
func (t *SweepTable) name(j *Judgement, sweeps bool) string {
	labels := slices.DeleteFunc(slices.Clone(j.Labels), func(l Label) bool { return !slices.Contains(t.Axes, l.Axis) })
	if sweeps || len(labels) == 0 {
		return configName(j.Sweep, labels)
	}
	name := configName("", labels)
	return name[1 : len(name)-1]
}

// Rule says by what the verdicts were given.
func (c *Comparison) Rule() string {
	k, m := &c.Criterion, c.metric()
	limit := k.limit()
	if k.Relative && k.NeedsBaseline() {
		limit += " of the baseline"
	}
	var asked string
	switch change := map[Bound]string{MaxDrop: "drop", MaxRise: "rise"}[k.Bound]; {
	case change != "" && k.Limit == 0:
		asked = "no " + change + " is borne"
	case change != "":
		asked = "a " + change + " of up to " + limit + " is borne"
	case k.Bound == Min:
		asked = "at least " + limit + " is asked for"
	case k.Bound == Max:
		asked = "at most " + limit + " is asked for"
	}
	if m.Exact {
		return "It follows from the settings, so there is nothing to test; " + asked + "."
	}
	text := "Means over seeds; " + asked
	if k.Test == NoTest {
		return text + "; noise is not tested."
	}
	var methods grouping
	for i := range c.Judged {
		if j := &c.Judged[i]; j.Method != "" {
			methods.add(j.Method, j.Name())
		}
	}
	text += fmt.Sprintf(", tested at alpha %v", k.Alpha)
	if k.Correction == Holm && len(c.Judged) > 1 {
		text += ", p corrected for all that are tested (Holm)"
	}
	if len(methods.keys) > 0 {
		text += ": " + strings.Join(methods.keys[:min(len(methods.keys), listed)], "; ")
	}
	return text + "."
}

// grouping gathers names by what is said of them, in the order in which that first occurs.
type grouping struct {
	keys  []string
	names [][]string
	index map[string]int
}

func (g *grouping) add(key, name string) {
	if g.index == nil {
		g.index = map[string]int{}
	}
	at, ok := g.index[key]
	if !ok {
		at = len(g.keys)
		g.index[key] = at
		g.keys, g.names = append(g.keys, key), append(g.names, nil)
	}
	g.names[at] = append(g.names[at], name)
}

// some joins names, the first few where there are many.
func some(names []string) string {
	if more := len(names) - listed; more > 0 {
		return strings.Join(names[:listed], ", ") + " and " + Count(int64(more)) + " more"
	}
	return strings.Join(names, ", ")
}
