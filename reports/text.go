package reports

import (
	"io"

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
	table := plain(w)
	fill(table, header, right)
	for _, r := range rows {
		for i := range r {
			if i < right {
				r[i] = Shorten(r[i], widest)
			}
		}
		if err := table.Append(r); err != nil {
			return err
		}
	}
	return table.Render()
}
