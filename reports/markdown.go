package reports

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
)

func writeReportMarkdown(w io.Writer, r *Report) error { return writeTables(w, Tabulate(r.Runs), true) }

func writeMarkdown(w *bytes.Buffer, header []string, right int, rows [][]string) error {
	table := tablewriter.NewTable(w, tablewriter.WithRenderer(renderer.NewMarkdown()))
	fill(table, header, right)
	for _, r := range rows {
		cells := slices.Clone(r)
		for i := range right {
			cells[i] = markdownText(r[i])
		}
		if err := table.Append(cells); err != nil {
			return err
		}
	}
	return table.Render()
}

// markdownText is a text that Markdown shows as it is, in a table's cell too.
func markdownText(s string) string {
	runes := []rune(Printable(s))
	word := func(i int) bool {
		return i >= 0 && i < len(runes) && (unicode.IsLetter(runes[i]) || unicode.IsDigit(runes[i]))
	}
	var b strings.Builder
	for i, r := range runes {
		switch {
		case r == '_' && word(i-1) && word(i+1): // emphasises nothing
		case strings.ContainsRune("\\`*_[]<>|~&#", r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// rowsOfMarkdown is how many rows of configurations all tables of comparisons have together: GitHub takes comments of
// 65,536 characters, GitLab of 1,000,000.
const rowsOfMarkdown = 200

// writeComparisonsMarkdown writes comparisons for the comment on a pull request: the verdict first, then a table of what
// needs a look; what is the same, and by what was judged, is folded.
func writeComparisonsMarkdown(w io.Writer, all []Outcome) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "### %s\n", conclusion(all))
	left := rowsOfMarkdown
	for i := range all {
		o := &all[i]
		if o.Comparison == nil {
			fmt.Fprintf(&b, "\n**%s**: %s\n", markdownText(o.Title()), markdownText(o.unevaluated()))
			continue
		}
		if err := o.Comparison.writeMarkdown(&b, &left); err != nil {
			return err
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// conclusion is what comparisons come to, in a few words.
func conclusion(all []Outcome) string {
	worse, failed, lacks, inconclusive, judged, skipped, compared := 0, 0, 0, 0, 0, 0, 0
	for i := range all {
		c := all[i].Comparison
		switch {
		case all[i].Err != nil:
			failed++
			continue
		case c == nil:
			skipped++
			continue
		}
		compared++
		worse += c.Count(Worse)
		inconclusive += c.Count(Inconclusive)
		judged += len(c.Judged)
		if c.Lacks() {
			lacks += len(c.OnlyNew)
		}
	}
	share := func(n int) string {
		of := " of " + Count(int64(judged))
		if compared > 1 { // a configuration may have several
			return Plural(n, "verdict", "verdicts") + of
		}
		return Plural(n, "configuration", "configurations") + of
	}
	switch {
	case worse > 0:
		return "Worse: " + share(worse)
	case failed > 0:
		return "Not evaluated: " + Plural(failed, "gate", "gates")
	case lacks > 0:
		return "Not in the baseline: " + Plural(lacks, "configuration", "configurations")
	case inconclusive > 0:
		return "Inconclusive: " + share(inconclusive)
	case skipped == len(all) && skipped > 0:
		return "Skipped: " + Plural(skipped, "gate", "gates")
	case judged == 0:
		return "Nothing was compared"
	case skipped > 0:
		return "Nothing is worse, but skipped: " + Plural(skipped, "gate", "gates")
	}
	return "Nothing is worse"
}

func (c *Comparison) writeMarkdown(b *bytes.Buffer, left *int) error {
	fmt.Fprintf(b, "\n**%s**: %s\n", markdownText(c.Title()), c.Summary())
	for _, t := range c.Tables() {
		title := t.Sweep
		if len(t.Fixed) > 0 {
			title += " (" + strings.Join(t.Fixed, ", ") + ")"
		}
		fmt.Fprintf(b, "\n%s\n", markdownText(title))
		// The rows are sorted: what is the same comes last.
		same := slices.IndexFunc(t.Rows, func(j *Judgement) bool { return j.Verdict == Same })
		if same < 0 {
			same = len(t.Rows)
		}
		if err := c.markdownRows(b, &t, t.Rows[:same], left); err != nil {
			return err
		}
		if rows := t.Rows[same:]; len(rows) > 0 {
			fold(b, Plural(len(rows), "configuration", "configurations")+" the same")
			if err := c.markdownRows(b, &t, rows, left); err != nil {
				return err
			}
			b.WriteString("\n</details>\n")
		}
	}
	notes := c.Notes()
	for _, warning := range c.Warnings {
		fmt.Fprintf(b, "\n**Warning:** %s\n", markdownText(warning))
	}
	if len(notes) > 0 {
		fold(b, "By what it was judged, and what else there is to say")
		for _, n := range notes {
			fmt.Fprintf(b, "\n- %s", markdownText(n))
		}
		b.WriteString("\n\n</details>\n")
	}
	return nil
}

// fold begins a part that is to be seen after a click, and ends with </details>.
func fold(b *bytes.Buffer, summary string) {
	fmt.Fprintf(b, "\n<details><summary>%s</summary>\n", summary)
}

// markdownRows writes a table of as many rows as are left.
func (c *Comparison) markdownRows(b *bytes.Buffer, t *SweepTable, rows []*Judgement, left *int) error {
	shown := rows[:min(len(rows), *left)]
	*left -= len(shown)
	if len(shown) > 0 {
		b.WriteByte('\n')
		header, right, cells := c.cells(t, shown)
		for i, j := range shown {
			if j.Verdict == Worse {
				last := len(cells[i]) - 1
				cells[i][last] = "**" + cells[i][last] + "**"
			}
		}
		if err := writeMarkdown(b, header, right, cells); err != nil {
			return err
		}
	}
	if more := len(rows) - len(shown); more > 0 {
		fmt.Fprintf(b, "\n… and %s: `-format json` lists them all.\n", Plural(more, "more configuration", "more configurations"))
	}
	return nil
}
