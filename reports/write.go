package reports

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"

	"github.com/ftrun/ftrun/internal/stats"
)

// Formats are the names that Write takes.
var Formats = []string{"text", "md", "csv", "json"}

// Write writes the comparison of runs in one of Formats.
func Write(w io.Writer, format string, runs []Run) error {
	switch format {
	case "text", "md":
		var b bytes.Buffer
		if err := writeTables(&b, Tabulate(runs), format); err != nil {
			return err
		}
		_, err := w.Write(b.Bytes())
		return err
	case "csv":
		return writeCSV(w, Tabulate(runs))
	case "json":
		if runs == nil {
			runs = []Run{}
		}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"runs": runs})
	}
	return fmt.Errorf("there is no report format %q: use one of %s", format, strings.Join(Formats, ", "))
}

func writeMarkdown(w *bytes.Buffer, header []string, right int, rows [][]string) error {
	table := tablewriter.NewTable(w, tablewriter.WithRenderer(renderer.NewMarkdown()))
	fill(table, header, right)
	for _, r := range rows {
		for i := range r {
			r[i] = markdownText.Replace(r[i])
		}
		if err := table.Append(r); err != nil {
			return err
		}
	}
	return table.Render()
}

// markdownText keeps a cell in its column and on its line.
var markdownText = strings.NewReplacer("|", `\|`, "\n", " ")

func writeTables(w *bytes.Buffer, tables []Table, format string) error {
	heading, write := "%s\n", writePlain
	if format == "md" {
		heading, write = "### %s\n\n", writeMarkdown
	}
	if len(tables) == 0 {
		fmt.Fprintln(w, "There are no runs to compare.")
	}
	for i, t := range tables {
		if i > 0 {
			fmt.Fprintln(w)
		}
		title := t.Sweep
		if len(t.Fixed) > 0 {
			title += " (" + strings.Join(t.Fixed, ", ") + ")"
		}
		fmt.Fprintf(w, heading, title)
		header, right := columns(t)
		var rows [][]string
		for _, r := range t.Rows {
			rows = append(rows, cells(t, r))
		}
		if err := write(w, header, right, rows); err != nil {
			return err
		}
		for i, n := range notes(t) {
			if format == "md" {
				if i == 0 {
					fmt.Fprintln(w) // a table ends at the blank line
				}
				n = strings.Replace(n, "*", `\*`, 1) // no item of a list
			}
			fmt.Fprintln(w, n)
		}
	}
	return nil
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

func writeCSV(w io.Writer, tables []Table) error {
	var axes []string
	for _, t := range tables {
		for _, a := range t.All {
			if !slices.Contains(axes, a) {
				axes = append(axes, a)
			}
		}
	}
	out := csv.NewWriter(w)
	header := append([]string{"sweep"}, axes...)
	header = append(header, "val_acc_mean", "val_acc_std", "seeds", "failed", "params_trainable", "params_total", "best_epoch_mean", "seconds_mean", "images_per_second_mean")
	if err := out.Write(header); err != nil {
		return err
	}
	num := func(v float64, n int) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	for _, t := range tables {
		for _, r := range t.Rows {
			line := []string{t.Sweep}
			for _, a := range axes {
				line = append(line, r.Labels.Text(a))
			}
			std := ""
			if r.Acc.N > 1 {
				std = num(r.Acc.Std, r.Acc.N)
			}
			line = append(line, num(r.Acc.Mean, r.Acc.N), std, strconv.Itoa(r.Finished), strconv.Itoa(r.Failed),
				strconv.FormatInt(r.Params.Trainable, 10), strconv.FormatInt(r.Params.Total, 10),
				num(r.BestEpoch.Mean, r.BestEpoch.N), num(r.Seconds.Mean, r.Seconds.N), num(r.Speed.Mean, r.Speed.N))
			if err := out.Write(line); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}
