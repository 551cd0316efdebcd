package reports

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"
)

// plain is the style of tables for terminals: columns apart by blanks, one rule under the header, so that two axes and
// six columns of figures fit 80 characters.
func plain(w io.Writer) *tablewriter.Table {
	pad := tw.CellPadding{Global: tw.Padding{Left: "", Right: " ", Overwrite: true}}
	return tablewriter.NewTable(w,
		tablewriter.WithRendition(tw.Rendition{
			Borders: tw.BorderNone,
			Symbols: tw.NewSymbols(tw.StyleLight),
			Settings: tw.Settings{
				Separators: tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off},
				Lines:      tw.Lines{ShowTop: tw.Off, ShowBottom: tw.Off, ShowHeaderLine: tw.On},
			},
		}),
		tablewriter.WithConfig(tablewriter.Config{Header: tw.CellConfig{Padding: pad}, Row: tw.CellConfig{Padding: pad}}),
	)
}

// fill sets header and alignment: the columns from right on hold numbers.
func fill(table *tablewriter.Table, header []string, right int) {
	align := make([]tw.Align, len(header))
	for i := range align {
		align[i] = tw.AlignLeft
		if i >= right {
			align[i] = tw.AlignRight
		}
	}
	table.Configure(func(c *tablewriter.Config) {
		c.Header.Alignment.PerColumn, c.Row.Alignment.PerColumn = align, align
		c.Header.Formatting.AutoFormat, c.Header.Formatting.AutoWrap, c.Row.Formatting.AutoWrap = tw.Off, tw.WrapNone, tw.WrapNone
	})
	table.Header(header)
}

// widest is the number of characters at which a cell of words is cut: a path in a matrix would push the figures out of
// sight.
const widest = 32

// WriteText writes a table for a terminal. The columns from right on are aligned to the right.
func WriteText(w io.Writer, header []string, right int, rows [][]string) error {
	var b bytes.Buffer
	if err := writePlain(&b, header, right, rows); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func writePlain(w *bytes.Buffer, header []string, right int, rows [][]string) error {
	var b bytes.Buffer
	table := plain(&b)
	fill(table, header, right)
	for i := range right {
		for _, r := range rows {
			r[i] = Printable(r[i])
		}
		shortenColumn(rows, i, widest)
	}
	for _, r := range rows {
		if err := table.Append(r); err != nil {
			return err
		}
	}
	if err := table.Render(); err != nil {
		return err
	}
	for line := range bytes.Lines(b.Bytes()) {
		w.Write(bytes.TrimRight(line, " \n"))
		w.WriteByte('\n')
	}
	return nil
}

// shortenColumn cuts the cells of a column that have more than so many characters. Cells that differ still do afterwards: where cutting the
// middle would make two the same, the beginning goes that they have in common; where that is not enough, they stay whole.
func shortenColumn(rows [][]string, i, most int) {
	whole := map[string][]string{} // by what they are cut to
	seen := map[string]bool{}
	for _, r := range rows {
		if !seen[r[i]] {
			seen[r[i]] = true
			short := Shorten(r[i], most)
			whole[short] = append(whole[short], r[i])
		}
	}
	cut := map[string]string{}
	for short, cells := range whole {
		if len(cells) == 1 {
			cut[cells[0]] = short
			continue
		}
		common := commonPrefix(cells)
		ends := map[string]bool{}
		for _, c := range cells {
			tail := []rune(c)[common:]
			if len(tail) > most-1 {
				tail = append(tail[:most-2:most-2], '…')
			}
			cut[c] = "…" + string(tail)
			ends[cut[c]] = true
		}
		if len(ends) < len(cells) {
			for _, c := range cells {
				cut[c] = c
			}
		}
	}
	for _, r := range rows {
		r[i] = cut[r[i]]
	}
}

// commonPrefix is the number of characters with which all begin.
func commonPrefix(all []string) int {
	first := []rune(all[0])
	n := len(first)
	for _, s := range all[1:] {
		r := []rune(s)
		n = min(n, len(r))
		for k := range n {
			if r[k] != first[k] {
				n = k
				break
			}
		}
	}
	return n
}

// Wrap breaks paragraphs at so many columns; what follows a break is indented. Lines that start with a blank stay as they
// are.
func Wrap(text string, indent, width int) string {
	var b strings.Builder
	column := indent
	for i, line := range strings.Split(text, "\n") {
		fixed := line == "" || line[0] == ' '
		if i > 0 && (fixed || column == 0) {
			b.WriteByte('\n')
			column = indent
		}
		if fixed {
			b.WriteString(line)
			column = 0
			continue
		}
		for _, word := range strings.Fields(line) {
			n := utf8.RuneCountInString(word)
			switch {
			case column == indent:
			case column+1+n > width:
				b.WriteString("\n" + strings.Repeat(" ", indent))
				column = indent
			default:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += n
		}
	}
	return b.String()
}
