package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ftrun/ftrun/internal/stats"
)

// formats are the ways in which reports and comparisons are written; nil where one is not written so.
var formats = []struct {
	name        string
	report      func(io.Writer, *Report) error
	comparisons func(io.Writer, []Outcome) error
}{
	{"text", writeReportText, writeComparisonsText},
	{"md", writeReportMarkdown, writeComparisonsMarkdown},
	{"csv", writeReportCSV, writeComparisonsCSV},
	{"json", writeReportJSON, writeComparisonsJSON},
	{"html", writeReportHTML, writeComparisonsHTML},
	{"junit", nil, writeComparisonsJUnit},
	{"github", nil, writeComparisonsGitHub},
}

// Formats are the names that Write takes.
func Formats() []string {
	var names []string
	for _, f := range formats {
		if f.report != nil {
			names = append(names, f.name)
		}
	}
	return names
}

// ComparisonFormats are the names that WriteComparisons takes.
func ComparisonFormats() []string {
	var names []string
	for _, f := range formats {
		if f.comparisons != nil {
			names = append(names, f.name)
		}
	}
	return names
}

// Report is what there is to tell of runs.
type Report struct {
	Runs []Run

	// A page for a browser tells more than the other formats.
	Title       string    // what the runs are of, for people
	Comparisons []Outcome // on top
	// Course reads of a run what its row does not say; nil: nothing is known. It is asked for the runs that the page shows
	// in detail, once each. What can be told of a run comes with the error that says why the rest can't; the page shows
	// both.
	Course func(id string) (Course, error)
}

// Write writes a report in one of Formats.
func Write(w io.Writer, format string, r *Report) error {
	for _, f := range formats {
		if f.name == format && f.report != nil {
			return f.report(w, r)
		}
	}
	return fmt.Errorf("there is no report format %q: use one of %s", format, strings.Join(Formats(), ", "))
}

// WriteComparisons writes what came of comparisons, one for each metric or gate, in one of ComparisonFormats.
func WriteComparisons(w io.Writer, format string, all []Outcome) error {
	for _, f := range formats {
		if f.name == format && f.comparisons != nil {
			return f.comparisons(w, all)
		}
	}
	return fmt.Errorf("there is no format %q of comparisons: use one of %s", format, strings.Join(ComparisonFormats(), ", "))
}

func writeReportText(w io.Writer, r *Report) error { return writeTables(w, Tabulate(r.Runs), false) }

func writeReportJSON(w io.Writer, r *Report) error {
	runs := r.Runs
	if runs == nil {
		runs = []Run{}
	}
	return writeJSON(w, map[string]any{"runs": runs})
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func writeTables(out io.Writer, tables []Table, markdown bool) error {
	var w bytes.Buffer
	heading, write, text := "%s\n", writePlain, Printable
	if markdown {
		heading, write, text = "### %s\n\n", writeMarkdown, markdownText
	}
	if len(tables) == 0 {
		fmt.Fprintln(&w, "There are no runs to compare.")
	}
	for i, t := range tables {
		if i > 0 {
			fmt.Fprintln(&w)
		}
		title := t.Sweep
		if len(t.Fixed) > 0 {
			title += " (" + strings.Join(t.Fixed, ", ") + ")"
		}
		fmt.Fprintf(&w, heading, text(title))
		header, right := columns(t)
		var rows [][]string
		for _, r := range t.Rows {
			rows = append(rows, cells(t, r))
		}
		if err := write(&w, header, right, rows); err != nil {
			return err
		}
		for i, n := range notes(t) {
			if markdown {
				if i == 0 {
					fmt.Fprintln(&w) // a table ends at the blank line
				}
				n = strings.Replace(n, "*", `\*`, 1) // no item of a list
			}
			fmt.Fprintln(&w, n)
		}
	}
	_, err := out.Write(w.Bytes())
	return err
}

// columns are the axes that vary and, from right on, the figures.
func columns(t Table) (header []string, right int) {
	header = append(header, t.Axes...)
	if len(t.Axes) == 0 {
		header = append(header, "configuration")
	}
	return append(header, "val acc", "trained", "total", "epoch", "time", "img/s"), len(header)
}

func cells(t Table, r Row) []string {
	var c []string
	for _, a := range t.Axes {
		v := r.Labels.Text(a)
		if v == "" {
			v = "–"
		}
		c = append(c, v)
	}
	if len(t.Axes) == 0 {
		c = append(c, t.Sweep)
	}
	acc, epoch, time, speed := "–", "–", "–", "–"
	if r.Finished > 0 {
		acc = spread(r.Acc, 3)
		epoch = strconv.FormatFloat(r.BestEpoch.Mean, 'f', decimals(r.BestEpoch.Mean), 64)
		time = Duration(r.Seconds.Mean)
		speed = strconv.FormatFloat(r.Speed.Mean, 'f', 1, 64)
	}
	if r.Best {
		acc = "* " + acc
	}
	if r.Failed > 0 {
		acc += fmt.Sprintf(" (%d failed)", r.Failed)
	}
	return append(c, acc, Count(r.Params.Trainable), Count(r.Params.Total), epoch, time, speed)
}

func decimals(v float64) int {
	if v == float64(int(v)) {
		return 0
	}
	return 1
}

func spread(s stats.Summary, digits int) string {
	out := strconv.FormatFloat(s.Mean, 'f', digits, 64)
	if s.N > 1 {
		out += " ± " + strconv.FormatFloat(s.Std, 'f', digits, 64)
	}
	return out
}

// notes says below the table what its figures are.
func notes(t Table) []string {
	lowest, most, open, failed, best := 0, 0, 0, 0, false
	for _, r := range t.Rows {
		if r.Finished > 0 && (lowest == 0 || r.Finished < lowest) {
			lowest = r.Finished
		}
		most = max(most, r.Finished)
		open += r.Open
		failed += r.Failed
		best = best || r.Best
	}
	var out []string
	legend := ""
	if best {
		legend = "* best. "
	}
	switch {
	case most > 1 && lowest == most:
		legend += fmt.Sprintf("val acc: best epoch, mean ± standard deviation over %d seeds.", most)
	case most > 1:
		legend += fmt.Sprintf("val acc: best epoch, mean ± standard deviation over %d to %d seeds.", lowest, most)
	case most == 1:
		legend += "val acc: best epoch of one seed."
	}
	if legend != "" {
		out = append(out, legend)
	}
	if failed > 0 {
		out = append(out, fmt.Sprintf("%s failed: `ftrun runs list` names them, `ftrun show ID` says why.", Plural(failed, "run", "runs")))
	}
	if open > 0 {
		out = append(out, fmt.Sprintf("%s not finished: `ftrun apply` goes on.", Plural(open, "run is", "runs are")))
	}
	if len(t.Mixed) > 0 {
		out = append(out, "The runs were made with different arithmetic ("+strings.Join(t.Mixed, ", ")+"): small differences may come from that.")
	}
	return out
}
